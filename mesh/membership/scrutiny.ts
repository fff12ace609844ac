/**
 * What members pass on is looked at here: how much of it, whether its signatures are true, and who is to blame where one is
 * false. Each look costs a signature or more, so each sender and each subject has its bounds (forgers.ts, record_pace.ts).
 */
import type { Crypto } from "../crypto.ts";
import type { NodeEvent } from "../event.ts";
import type { Now, Outbox } from "../machine.ts";
import { sameBytes } from "../endpoint.ts";
import { mayTake, take } from "../swim/allowance.ts";
import type { Rumour } from "../swim/messages.ts";
import type { Copies } from "./copies.ts";
import { Forgers } from "./forgers.ts";
import type { MemberId } from "./identity.ts";
import type { Judge } from "./judge.ts";
import {
  hasProof,
  isRecent,
  type NodeRecord,
  openRecord,
  peekRecord,
  subjectIn,
} from "./record.ts";
import { RecordPace } from "./record_pace.ts";
import type { Roster } from "./roster.ts";
import { areSigned } from "./statement.ts";
import type { Added } from "./statements.ts";

/** Records of keys that nobody has heard of: so many at once from one member, then one in so many ms. */
const STRANGE_BURST = 16;
const STRANGE_COST = 250;

interface Links {
  readonly crypto: Crypto;
  readonly judge: Judge;
  readonly roster: Roster;
  readonly copies: Copies;
  /** Takes a statement in. */
  readonly learn: (now: Now, bytes: Uint8Array, out: Outbox<NodeEvent>) => Added;
}

export class Scrutiny {
  /** Whose word about others is not looked at for a while. */
  readonly forgers = new Forgers();
  readonly #pace = new RecordPace();
  /** Boot ms up to which each member has paid for records of keys that nobody has heard of; never more than the members. */
  readonly #strange = new Map<MemberId, number>();

  constructor(private readonly links: Links) {}

  /** It is no member any more. */
  forget(id: MemberId): void {
    this.forgers.forget(id);
    this.#strange.delete(id);
    this.#pace.forget(id);
  }

  /** What was not looked at, or false, by reason. */
  counters(): Record<string, number> {
    return { ...this.forgers.counts, records: this.#pace.refused };
  }

  /** Takes in a statement that a member has passed on; undefined: it was not looked at. */
  learnFrom(
    now: Now,
    from: MemberId,
    bytes: Uint8Array,
    out: Outbox<NodeEvent>,
  ): Added | undefined {
    if (!this.forgers.mayLook(now, from)) return undefined;
    const added = this.links.learn(now, bytes, out);
    if (isForged(added)) this.blame(now, from);
    return added;
  }

  /**
   * Opens a record that a member has passed on, or sent as its own; undefined: it is false, or was not looked at.
   * @param isCopy the datagram that it came in may have been sent by anybody, again
   */
  open(
    now: Now,
    from: MemberId,
    bytes: Uint8Array,
    out: Outbox<NodeEvent>,
    isCopy = false,
  ): NodeRecord | undefined {
    const { roster, copies, crypto, judge } = this.links;
    const subject = subjectIn(bytes);
    const held = roster.get(subject)?.record;
    const known = [held, copies.note(subject)].find((one) => one && sameBytes(one.bytes, bytes));
    if (known) return known;
    if (!this.forgers.mayLook(now, from, subject)) return undefined;
    if (held && !this.#isWorthOpening(now, !isCopy && from === held.id, held, bytes, out)) {
      return undefined;
    }
    const opened = openRecord(crypto, judge.meshId, bytes);
    if (opened.isForged) this.blame(now, from);
    return opened.ok ? opened.value : undefined;
  }

  /**
   * Of a member's records the new ones are, and what names another machine now, as far as their shares go.
   * @param isDirect its subject has sent it, now
   */
  #isWorthOpening(
    now: Now,
    isDirect: boolean,
    held: NodeRecord,
    bytes: Uint8Array,
    out: Outbox<NodeEvent>,
  ): boolean {
    const body = peekRecord(bytes);
    if (!body) return true; // What it is found out to be costs nothing.
    const isNote = body.twin !== undefined && isRecent(now, body.twin);
    if (!isNote && body.sequence < held.sequence) return false;
    if (this.#pace.take(now, held.id, { isNote, isDirect })) return true;
    // No machine says so often that there is another: somebody else sends in its name, so that it is not heard.
    if (isNote && isDirect) this.links.copies.drowned(now, held.id, out);
    return false;
  }

  /**
   * Records of keys of which nobody here has heard, and which prove nothing themselves, may be a member's whose certificate
   * is on its way, and cost a signature each: anybody can make as many as it likes. From one member a few are looked at.
   */
  mayOpen(now: Now, from: MemberId, { key, bytes }: Rumour): boolean {
    const { roster, judge } = this.links;
    const isHeardOf = roster.get(key) !== undefined || judge.wasMember(key);
    if (isHeardOf || hasProof(bytes)) return true;
    const paid = this.#strange.get(from) ?? -Infinity;
    if (!mayTake(paid, now.boot, (STRANGE_BURST - 1) * STRANGE_COST)) return false;
    this.#strange.set(from, take(paid, now.boot, STRANGE_COST));
    return true;
  }

  /**
   * What a record shows, the rights of signers first.
   * @param from the member that passed it on; undefined at the door
   * @returns statements whose signature was not looked at; undefined: one is false, or was of late
   */
  learnProof(
    now: Now,
    { id, proof }: NodeRecord,
    out: Outbox<NodeEvent>,
    from?: MemberId,
  ): Uint8Array[] | undefined {
    const unchecked: Uint8Array[] = [];
    for (const bytes of proof.statements.toReversed()) {
      if (!this.forgers.mayLook(now, id, id)) return undefined;
      const added = this.links.learn(now, bytes, out);
      if (isForged(added)) {
        this.#blameForProof(now, id, from);
        return undefined;
      }
      if (!isChecked(added, bytes)) unchecked.push(bytes);
    }
    return unchecked;
  }

  /**
   * Whether the signatures that nobody needed to look at fit, too. Others may hold other statements
   * than we do and look at them, and must find nothing false in what we have passed on. Of a record
   * that is not about to be taken in nothing is checked: that would be work at anybody's word.
   */
  isProofTrue(
    now: Now,
    record: NodeRecord,
    unchecked: readonly Uint8Array[],
    from?: MemberId,
  ): boolean {
    const { roster } = this.links;
    const before = roster.get(record.id)?.record.proof.statements ?? [];
    const rest = unchecked.filter((bytes) => !before.some((one) => sameBytes(one, bytes)));
    if (rest.length === 0 || roster.judge(record, now).kind !== "member") return true;
    if (this.areTrue(rest)) return true;
    this.#blameForProof(now, record.id, from);
    return false;
  }

  /** Whether the signature of each fits. */
  areTrue(statements: readonly Uint8Array[]): boolean {
    const { crypto, judge } = this.links;
    return statements.every((bytes) => areSigned(crypto, judge.meshId, bytes));
  }

  /** A member has passed on, or shown, something false. */
  blame(now: Now, from: MemberId): void {
    if (this.links.roster.get(from)) this.forgers.blame(now, from);
  }

  /**
   * A member is to blame itself for what its record holds: it has signed that as it is. A key that is
   * no member cannot be remembered, and can be made up as often as one likes. Then it is the one that
   * passed the record on: nobody honest does that without having found every signature in it true.
   */
  #blameForProof(now: Now, subject: MemberId, from: MemberId | undefined): void {
    if (this.links.roster.get(subject)) this.blame(now, subject);
    else if (from !== undefined) this.blame(now, from);
  }
}

function isForged(added: Added): boolean {
  return added.kind === "refused" && added.why === "forged";
}

/** Whether these bytes were found to be signed, now or before. */
function isChecked(added: Added, bytes: Uint8Array): boolean {
  // A farewell is known when its signer has said another one.
  if (added.kind !== "refused") return sameBytes(added.statement.bytes, bytes);
  return added.why === "outranked" || added.why === "tooFast" || added.why === "full";
}
