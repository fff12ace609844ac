/**
 * Our own node record: what it says, when it is renewed, and what happens when others hold one of
 * ours that we have not made.
 */
import type { Crypto } from "../crypto.ts";
import { Allowance, type Share } from "../door/allowance.ts";
import { type Endpoint, sameEndpoint } from "../endpoint.ts";
import { type Now, secondsOf } from "../machine.ts";
import {
  BOOT_MAX,
  bootOf,
  isRecent,
  type NodeRecord,
  openRecord,
  type Proof,
  type RecordBody,
  RECORDS_PER_BOOT,
  RUN_SIZE,
  sequenceOf,
  signRecord,
  type Twin,
  TWIN_TIME,
} from "./record.ts";
import type { Identity } from "./identity.ts";

/** What is said of ourselves. */
export interface Self {
  readonly identity: Identity;
  readonly proof: Proof;
  readonly endpoints: readonly Endpoint[];
  readonly capabilities: RecordBody["capabilities"];
  readonly meshKeyClaim?: RecordBody["meshKeyClaim"];
  readonly version: string;
}

/** Milliseconds between two records of ours. */
const PACE = 1_000;
/**
 * How often we go on beyond records of ours that we have not made: some times at once, then once a
 * minute, and not at all while another machine is known to have our key: what we say of it is believed
 * whatever our numbers are, and whoever has our key could bring these to their end.
 */
export const JUMPS: Share = { rate: 1 / 60, burst: 4 };
/** Starts that an old disk may be behind: whoever claims more of us would bring us to the end of all numbers. */
const FAR = 4_096;
/** Milliseconds after which it is said again that another machine uses our key, while it does. */
const TWIN_PACE = 60_000;
/** Starts by which we go on at once at a member's word, and how often while others talk to us. */
const WORD_MAX = 16;
const WORDS: Share = { rate: 1 / 600, burst: 1 };

/** A run of our key that is not this one, by the last of its records. */
interface Foreign extends Twin {
  readonly sequence: number;
}

/** What a record of ours that others hold has told. */
export type Recall =
  /** We have made it, or it says nothing new. */
  | "known"
  /** It is of a run that we do not know: our state was older than it should have been. */
  | "jumped"
  /** It is of a machine that runs now, with our key. */
  | "twin"
  /**
   * It bears the run of this start, and we have not made it: a machine was copied while it ran, or
   * somebody has our key and took our run out of our record. We need another run, so that the two can
   * be told apart.
   */
  | "forked";

export class OwnRecord {
  #self: Self;
  #run: string;
  #boot: number;
  #count = 0;
  #record: NodeRecord;
  #renewedAt = -Infinity;
  readonly #jumps = new Allowance({ boot: 0, wall: 0 }, JUMPS);
  readonly #words = new Allowance({ boot: 0, wall: 0 }, WORDS);
  /** The last record that made us jump, or was another machine's. */
  #other: Foreign | undefined;
  #twin: (Foreign & { readonly seenAt: number }) | undefined;
  /** The first record has not been seen by anybody. */
  #isStale = true;

  /**
   * @param run 8 random bytes of this start, hexadecimal
   * @param boot on disk already
   * @param perBoot records of one start at most
   */
  constructor(
    private readonly crypto: Crypto,
    private readonly meshId: Uint8Array,
    run: string,
    self: Self,
    boot: number,
    private readonly perBoot = RECORDS_PER_BOOT,
  ) {
    this.#self = self;
    this.#run = run;
    this.#boot = boot;
    this.#record = this.#sign();
  }

  get self(): Self {
    return this.#self;
  }

  get record(): NodeRecord {
    return this.#record;
  }

  get run(): string {
    return this.#run;
  }

  /** What we say from now on is of another run. @param run 8 random bytes, hexadecimal */
  startRun(run: string): void {
    this.#run = run;
    this.#isStale = true;
  }

  /** Rises beyond what the start gave when we find that we have used higher ones. */
  get boot(): number {
    return this.#boot;
  }

  /** The machine that uses our key, too. */
  get twin(): Twin | undefined {
    return this.#twin;
  }

  /** Another member is at this place: the machine that used our key there has another now. */
  vacate(place: Endpoint): void {
    const endpoint = this.#twin?.endpoint;
    if (!endpoint || !sameEndpoint(endpoint, place)) return;
    this.#twin = undefined;
    this.#isStale = true;
  }

  /** Something that the record says has changed. */
  describe(change: Partial<Self>): void {
    // Nobody believes a record that proves nothing: its successor does not wait for the pace.
    if (change.proof && !isTelling(this.#self.proof)) this.#renewedAt = -Infinity;
    this.#self = { ...this.#self, ...change };
    this.#isStale = true;
  }

  /** The next record follows at once, and not at the pace of records. */
  hurry(): void {
    this.#renewedAt = -Infinity;
  }

  /** Boot ms at which the record is to be renewed; undefined: it is up to date. */
  due(): number | undefined {
    return this.#isStale ? this.#renewedAt + PACE : undefined;
  }

  /** Renews the record if that is due. @returns the new record, to be spread */
  settle(now: Now): NodeRecord | undefined {
    if (this.#twin && now.boot - this.#twin.seenAt > TWIN_TIME) {
      // Whoever holds its last record hears us again.
      this.#jump(now, this.#twin.sequence);
      this.#twin = undefined;
      this.#isStale = true;
    }
    const due = this.due();
    if (due === undefined || now.boot < due) return undefined;
    this.#isStale = false;
    if (!this.#next()) return undefined;
    this.#renewedAt = now.boot;
    return this.#record = this.#sign();
  }

  /**
   * A record of ours as others hold it, signed by our key. If we have not made it, our state was
   * older than it should be, or another machine has our key. Our counters go on beyond it. If it
   * follows us then, somebody lives who makes such records.
   */
  recall(now: Now, bytes: Uint8Array): Recall {
    const opened = openRecord(this.crypto, this.meshId, bytes);
    if (!opened.ok || opened.value.id !== this.#self.identity.id) return "known";
    const { sequence, run, endpoints, twin } = opened.value;
    const own = this.#record.sequence;
    const isBeyond = sequence > own ||
      sequence === own && bytes.toHex() !== this.#record.bytes.toHex();
    if (run === this.#run) {
      if (!isBeyond) return "known";
      const isKnown = this.#twin !== undefined;
      const other = { run: this.#nameless(), endpoint: endpoints[0], sequence, at: secondsOf(now) };
      this.#noteTwin(now, other);
      return !isKnown && this.#jump(now, sequence) ? "forked" : "twin";
    }
    const other = { run, endpoint: endpoints[0], sequence, at: secondsOf(now) };
    // What it has signed before is no sign that it lives.
    const isNew = this.#other?.run !== run || sequence > this.#other.sequence;
    const hasFollowed = isNew && this.#other?.run === run && sequence > own;
    // Whoever names our run has met it since we began.
    const isOfUs = twin?.run === this.#run && isRecent(now, twin);
    const isSign = isNew && (isOfUs || this.#twin?.run === run);
    if (hasFollowed || isSign) this.#noteTwin(now, other);
    if (!isBeyond) return isSign ? "twin" : "known";
    // So many that are ahead of us, or so far, are not what an earlier start has left: somebody makes them now.
    if (this.#twin === undefined && this.#jump(now, sequence)) this.#other = other;
    else if (!hasFollowed && !isSign && this.#twin?.run !== run) this.#noteTwin(now, other);
    return this.#twin?.run === run ? "twin" : "jumped";
  }

  /**
   * Others have had what was sealed with our key, and not by us.
   * @returns whether another machine was not known before
   */
  overtaken(now: Now): boolean {
    const run = this.#nameless();
    const known = this.#twin;
    if (known && known.run !== run) return false;
    const { sequence } = this.#record;
    this.#noteTwin(now, { run, endpoint: undefined, sequence, at: secondsOf(now) });
    return known === undefined;
  }

  /** A run of nobody's, for another machine: who goes on in our run may take the next one as well. */
  #nameless(): string {
    return this.crypto.blake2s(Uint8Array.fromHex(this.#run)).subarray(0, RUN_SIZE).toHex();
  }

  #noteTwin(now: Now, twin: Foreign): void {
    const isNew = this.#twin?.run !== twin.run;
    this.#other = twin;
    // Nothing of ours may be heard before it.
    if (this.#twin === undefined) this.hurry();
    this.#twin = { ...twin, seenAt: now.boot };
    if (isNew || now.boot - this.#renewedAt >= TWIN_PACE) this.#isStale = true;
  }

  /**
   * Somebody says that we had a later start than this one, and shows no record of it: we go on beyond that, by few at
   * once.
   * @param isAlone nobody else talks to us
   * @returns whether we did
   */
  catchUp(now: Now, boot: number, isAlone: boolean): boolean {
    if (!isAlone && !this.#words.take(now)) return false;
    return this.#jumpBeyond(now, Math.min(boot, this.#boot + WORD_MAX));
  }

  /** Goes on beyond a sequence that we have not used, if that may be now. */
  #jump(now: Now, sequence: number): boolean {
    const boot = bootOf(sequence);
    return boot - this.#boot <= FAR && this.#jumpBeyond(now, boot);
  }

  #jumpBeyond(now: Now, boot: number): boolean {
    if (boot >= BOOT_MAX || !this.#jumps.take(now)) return false;
    this.#boot = Math.max(this.#boot, boot) + 1;
    this.#count = 0;
    this.#isStale = true;
    // Whoever holds the other one must see that we live.
    this.hurry();
    return true;
  }

  /** Counts one record on; past the last of a start as if there had been another start. */
  #next(): boolean {
    if (this.#count + 1 < this.perBoot) this.#count++;
    else if (this.#boot < BOOT_MAX) {
      this.#boot++;
      this.#count = 0;
    } else return false;
    return true;
  }

  #sign(): NodeRecord {
    const { identity, ...rest } = this.#self;
    return signRecord(this.crypto, this.meshId, identity.signing, {
      ...rest,
      key: identity.signing.publicKey,
      sequence: sequenceOf(this.#boot, this.#count),
      run: this.#run,
      twin: this.#twin && {
        run: this.#twin.run,
        endpoint: this.#twin.endpoint,
        at: this.#twin.at,
      },
      routes: [],
    });
  }
}

/** Whether others than the door of a token can take somebody for a member by this proof. */
function isTelling({ statements, admission }: Proof): boolean {
  return admission === undefined ? statements.length > 0 : admission.endorsement !== undefined;
}
