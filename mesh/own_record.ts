/**
 * Our own node record: what it says, when it is renewed, and what happens when others hold one of
 * ours that we do not know.
 */
import type { Crypto } from "./crypto.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Now } from "./machine.ts";
import {
  BOOT_MAX,
  bootOf,
  type NodeRecord,
  openRecord,
  type RecordBody,
  RECORDS_PER_BOOT,
  sequenceOf,
  signRecord,
} from "./record.ts";
import type { Roster } from "./roster.ts";
import { type Chain, type Membership, verifyChain } from "./trust/certificate.ts";
import type { Identity } from "./trust/identity.ts";

/** What is said of ourselves. */
export interface Self {
  readonly identity: Identity;
  readonly chain: Chain;
  readonly endpoints: readonly Endpoint[];
  readonly capabilities: RecordBody["capabilities"];
  readonly version: string;
  readonly ip4Counter: number;
}

/** Milliseconds between two records of ours. */
const PACE = 1_000;
/**
 * Milliseconds between two jumps past a record of ours that we do not know: two machines with one
 * key would chase each other for ever.
 */
const JUMP_PACE = 60_000;

export class OwnRecord {
  #self: Self;
  #boot: number;
  #count = 0;
  #record: NodeRecord;
  #verified: { readonly chain: Chain; readonly membership: Membership | undefined } | undefined;
  #renewedAt = -Infinity;
  #jumpedAt = -Infinity;
  /** The first record has not been seen by anybody. */
  #isStale = true;

  /** @param boot on disk already. */
  constructor(
    private readonly crypto: Crypto,
    private readonly meshKey: Uint8Array,
    private readonly roster: Roster,
    self: Self,
    boot: number,
  ) {
    this.#self = self;
    this.#boot = boot;
    this.#record = this.#sign();
  }

  get self(): Self {
    return this.#self;
  }

  get record(): NodeRecord {
    return this.#record;
  }

  /** Rises beyond what the start gave when we find that we have used higher ones. */
  get boot(): number {
    return this.#boot;
  }

  /** Our own membership; undefined when our chain proves none. */
  get membership(): Membership | undefined {
    const { chain } = this.#self;
    if (this.#verified?.chain !== chain) {
      const verified = verifyChain(this.crypto, this.meshKey, chain);
      this.#verified = { chain, membership: verified.ok ? verified.value : undefined };
    }
    return this.#verified.membership;
  }

  /** Something that the record says has changed. */
  describe(change: Partial<Self>): void {
    this.#self = { ...this.#self, ...change };
    this.#isStale = true;
  }

  /** Boot ms at which the record is to be renewed; undefined: it is up to date. */
  due(): number | undefined {
    return this.#isStale ? this.#renewedAt + PACE : undefined;
  }

  /**
   * Steps aside where another holds our IPv4 address, and renews the record if that is due.
   * @returns the new record, to be spread.
   */
  settle(now: Now): NodeRecord | undefined {
    this.#stepAside();
    const due = this.due();
    if (due === undefined || now.boot < due) return undefined;
    this.#isStale = false;
    if (!this.#next()) return undefined;
    this.#renewedAt = now.boot;
    return this.#record = this.#sign();
  }

  /**
   * A record of ours as others hold it, signed by our key. If it is not one that we know, we have
   * lost our counters (or somebody has our key): they go on beyond it.
   * @returns whether the boot number has risen.
   */
  recall(now: Now, bytes: Uint8Array): boolean {
    const opened = openRecord(this.crypto, this.roster.meshId, bytes);
    if (!opened.ok || opened.value.id !== this.#self.identity.id) return false;
    const { sequence } = opened.value;
    const own = this.#record.sequence;
    const isKnown = sequence < own ||
      sequence === own && bytes.toHex() === this.#record.bytes.toHex();
    const isTooSoon = now.boot - this.#jumpedAt < JUMP_PACE;
    if (isKnown || isTooSoon || bootOf(sequence) >= BOOT_MAX) return false;
    this.#jumpedAt = now.boot;
    this.#boot = Math.max(this.#boot, bootOf(sequence)) + 1;
    this.#count = 0;
    this.#isStale = true;
    return true;
  }

  /** Counts one record on; past the last of a start as if there had been another start. */
  #next(): boolean {
    if (this.#count + 1 < RECORDS_PER_BOOT) this.#count++;
    else if (this.#boot < BOOT_MAX) {
      this.#boot++;
      this.#count = 0;
    } else return false;
    return true;
  }

  #sign(): NodeRecord {
    const { identity, ...rest } = this.#self;
    const key = identity.signing.publicKey;
    this.#claim();
    return signRecord(this.crypto, this.roster.meshId, identity.signing, {
      ...rest,
      key,
      sequence: sequenceOf(this.#boot, this.#count),
      routes: [],
    });
  }

  #claim(): void {
    const { identity, ip4Counter } = this.#self;
    const issuedAt = this.membership?.issuedAt ?? Number.MAX_SAFE_INTEGER;
    this.roster.claimOwn(identity.signing.publicKey, ip4Counter, issuedAt);
  }

  #stepAside(): void {
    const { identity } = this.#self;
    if (this.roster.ip4(identity.id) !== undefined) return;
    const key = identity.signing.publicKey;
    let counter = this.#self.ip4Counter;
    do counter = (counter + 1) % 65_536; while (this.roster.isTaken(key, counter));
    this.describe({ ip4Counter: counter });
    this.#claim();
  }
}
