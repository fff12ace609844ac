/**
 * Who stays a member, as statements come and time passes: each is judged anew, and follows from the table, into it, or into
 * what is kept of those who may come back without doing anything.
 */
import type { NodeEvent } from "../event.ts";
import { type Now, type Outbox, secondsOf } from "../machine.ts";
import type { Swim } from "../swim/swim.ts";
import { type MemberId, mirrorOf } from "./identity.ts";
import type { Judge, Membership, Refusal } from "./judge.ts";
import type { NodeRecord } from "./record.ts";
import type { Member, Roster } from "./roster.ts";
import type { Spreading } from "./spreading.ts";
import { type Statement, subjectOf } from "./statement.ts";
import { isOfClock, KEPT, Untimely } from "./untimely.ts";
import { WallWatch } from "../wall_watch.ts";

/** Milliseconds for which members whose certificate has lost its signer are kept, for it may be signed anew. */
const VOID_GRACE = 20_000;
/** Records of members that were beyond their token's uses, kept in case they are within again; the oldest makes room. */
export const SURPLUS_KEPT = 256;
/**
 * Seconds of silence after which a member is forgotten; it comes back by knocking. What counts is the time in which we
 * ran and heard others: whoever was off, or alone, for long knows nothing about who is still there.
 */
export const LONG_DEAD = 30 * 86_400;
/** Milliseconds for which what we did from one review to the next counts as silence, at most: a machine may have slept. */
const ATTENTION_MAX = 60_000;
/** Milliseconds after a start, and after the wall clock was set, for which nothing is forgotten by it: it may be wrong. */
const DOUBTED_FOR = 3_600_000;
/** Keys that are not in the table and are judged at one review, once each had its first turn: a thief can certify 65,536. */
const ABSENT_EACH = 16_384;
/** The same at their first turn, in which each gets its name and addresses: so many take some 50 ms. */
export const ABSENT_FIRST = 1_024;
/** Milliseconds from one of these to the next, in which datagrams are answered. */
const FIRST_PAUSE = 10;
/** Milliseconds after a start in which it is found out who of those that it remembers is gone. */
const FOUND_OUT_WITHIN = 120_000;

interface Links {
  /** Whose mesh this is judged for. */
  readonly self: MemberId;
  readonly judge: Judge;
  readonly roster: Roster;
  readonly swim: Swim;
  readonly spreading: Spreading;
  /** Whether nobody of the mesh talks to us. */
  readonly isAlone: () => boolean;
  /** Takes a record in again. */
  readonly take: (now: Now, record: NodeRecord, out: Outbox<NodeEvent>) => void;
  /** Takes a member out of every part. */
  readonly remove: (now: Now, member: Member, out: Outbox<NodeEvent>) => void;
  /** It is a member, and we may be the admin that certifies it. */
  readonly confirmed: (now: Now, member: Member, out: Outbox<NodeEvent>) => void;
  /** What a member is by its certificate has changed. */
  readonly renewed: (now: Now, out: Outbox<NodeEvent>) => void;
}

export class Reviewing {
  /** Out by the clock alone, or by an office that ended. */
  readonly untimely: Untimely;
  /** Members without a certificate that counts, and until when (boot ms) they are kept. */
  readonly #lost = new Map<MemberId, number>();
  /** Of members that are out since others come before them by their token. */
  readonly #surplus = new Map<MemberId, NodeRecord>();
  readonly #watch = new WallWatch();
  /** Boot ms from which the wall clock has gone its way, as far as this run knows. */
  #goesSince: number;
  /** Boot ms of the last review. */
  #reviewedAt: number;
  /** Keys that are not in the table, and whose turn is still to come. */
  #turns: Iterator<MemberId> | undefined;
  /** Whether each of them had its first turn since the start. */
  #hadFirst = false;
  /** Boot ms at which some of them had theirs last. */
  #turnAt: number;

  /** @param begunAt boot ms of this start */
  constructor(
    private readonly links: Links,
    private readonly begunAt: number,
    membersMax: number,
  ) {
    this.untimely = new Untimely(membersMax);
    this.#goesSince = begunAt;
    this.#turnAt = begunAt;
    this.#reviewedAt = begunAt;
  }

  /** It is out of the table. */
  forget(id: MemberId): void {
    this.#lost.delete(id);
  }

  /** When {@link all} is due before its usual time. */
  get due(): number {
    let due = Infinity;
    for (const until of this.#lost.values()) due = Math.min(due, until);
    return due;
  }

  /** Whether all that hold a name or an address by a certificate alone are known since the start. */
  get isComplete(): boolean {
    return this.#hadFirst;
  }

  /** When {@link more} is due. */
  get moreDue(): number {
    return this.#hadFirst ? Infinity : this.#turnAt + FIRST_PAUSE;
  }

  /** Goes on with those that had no turn since the start. */
  more(now: Now, out: Outbox<NodeEvent>): void {
    this.#absent(now, this.#nextAbsent(now), out);
  }

  /** Where our own certificate is not valid, it is our clock that is wrong, more likely than others. */
  isTimely(now: Now): boolean {
    const { judge, self } = this.links;
    const judgement = judge.judge(self, secondsOf(now));
    return judgement.kind === "member" || !isOfClock(judgement.why);
  }

  /**
   * Whether what is over by our clock may be forgotten for good. A clock of the next century is put right within
   * minutes, as a rule, and what it has made us forget would not come back.
   */
  mayForget(now: Now): boolean {
    return this.isTimely(now) && now.boot - this.#goesSince >= DOUBTED_FOR;
  }

  /**
   * Takes out everybody who is no member any more by what is known now, and back who is again.
   * @param changed what alone has changed since the last review, beside the clock; undefined: anything may have
   */
  all(now: Now, out: Outbox<NodeEvent>, changed?: readonly Statement[]): void {
    const { judge, roster, take } = this.links;
    const seconds = secondsOf(now);
    if (this.#watch.look(now) !== 0) this.#goesSince = now.boot;
    const isTimely = this.isTimely(now);
    const attendedMs = this.#attended(now);
    for (const member of [...roster.members()]) {
      this.#member(now, member, isTimely, out);
      this.#forgetLongDead(now, member, attendedMs, out);
    }
    const judgeNow = ({ id }: NodeRecord) => judge.judge(id, seconds, true);
    const judgeEarlier = ({ id }: NodeRecord) => judge.judge(id, seconds - KEPT, true);
    const wasMember = (id: MemberId) => judge.wasMember(id);
    const earlier = this.mayForget(now) ? judgeEarlier : undefined;
    const back = this.untimely.review(now, judgeNow, earlier, wasMember);
    for (const record of back) take(now, record, out);
    for (const id of [...this.#surplus.keys()]) this.#surplusOf(now, id, out);
    this.#absent(now, changed ? this.#concernedBy(changed) : this.#nextAbsent(now), out);
  }

  /** Whose certificates count by other rules now: a use that one does not take is another's by the same invite. */
  #concernedBy(changed: readonly Statement[]): Set<MemberId> {
    const { statements } = this.links.judge;
    const concerned = new Set(changed.map(subjectOf));
    const tokens = new Set(
      changed.flatMap((one) => one.kind === "member" && one.token ? [one.token.key] : []),
    );
    for (const token of tokens) for (const id of statements.certifiedBy(token)) concerned.add(id);
    for (const id of [...concerned].map(mirrorOf)) {
      if (statements.wasCertified(id)) concerned.add(id);
    }
    return concerned;
  }

  /** So many at each review: by the clock alone nothing changes that cannot wait for minutes. */
  *#nextAbsent(now: Now): Generator<MemberId> {
    const most = this.#hadFirst ? ABSENT_EACH : ABSENT_FIRST;
    this.#turnAt = now.boot;
    for (let n = 0; n < most; n++) {
      this.#turns ??= this.#everyAbsent();
      const { value, done } = this.#turns.next();
      if (done) {
        this.#turns = undefined;
        this.#hadFirst = true;
        return;
      }
      yield value;
    }
  }

  /** Goes on through what comes meanwhile, too. */
  *#everyAbsent(): Generator<MemberId> {
    const { judge, roster } = this.links;
    const certified = judge.statements.certifiedKeys();
    yield* certified;
    for (const id of roster.absent()) if (!certified.has(id)) yield id;
  }

  /** Judges those anew whom a statement concerns. @returns their keys */
  about(now: Now, statement: Statement, out: Outbox<NodeEvent>): Set<string> {
    const { judge, roster } = this.links;
    const concerned = new Set([subjectOf(statement)]);
    const token = statement.kind === "member" ? statement.token?.key : undefined;
    // All of that token's would be as many judgements as it has certified, for each that it certifies.
    for (const id of token ? judge.statements.certifiedAtEnd(token) : []) concerned.add(id);
    if (statement.kind === "withdrawn" || statement.kind === "token") {
      for (const { id, membership } of roster.members()) {
        if (membership.token?.key === statement.key) concerned.add(id);
      }
    }
    // Of two keys with one tunnel key one is a member.
    for (const id of [...concerned].map(mirrorOf)) {
      if (roster.get(id) || judge.statements.wasCertified(id)) concerned.add(id);
    }
    const isTimely = this.isTimely(now);
    for (const id of concerned) {
      const member = roster.get(id);
      if (member) this.#member(now, member, isTimely, out);
      else this.#surplusOf(now, id, out);
    }
    this.#absent(now, concerned, out);
    return concerned;
  }

  /** Whoever is not in the table holds its name and address while its certificate counts. */
  #absent(now: Now, ids: Iterable<MemberId>, out: Outbox<NodeEvent>): void {
    const { judge, roster, self, renewed } = this.links;
    const isTimely = this.isTimely(now);
    const { revision } = roster;
    for (const id of ids) {
      if (id === self || roster.get(id)) continue;
      const judgement = judge.judge(id, secondsOf(now));
      const isOut = judgement.kind === "refused" && isOfClock(judgement.why);
      if (isTimely || !isOut) roster.reserve(id, judgement);
    }
    if (roster.revision !== revision) renewed(now, out);
  }

  #member(now: Now, member: Member, isTimely: boolean, out: Outbox<NodeEvent>): void {
    const { judge, roster, remove, confirmed } = this.links;
    const judgement = judge.judge(member.id, secondsOf(now));
    if (judgement.kind === "member") {
      this.renew(now, member, judgement.membership, out);
      this.#lost.delete(member.id);
      confirmed(now, member, out);
      return;
    }
    if (judgement.why === "stranger" && this.#isGraceful(now, member)) return;
    // Whom another certificate has found by now waits for its clock: a grace that is over would be due for ever.
    this.#lost.delete(member.id);
    const who = roster.who(member.id);
    if (!isOfClock(judgement.why)) {
      this.keep(now, member.record, judgement.why);
      remove(now, member, out);
      // Whoever has not met it refuses it, and can say by this record who had used the token.
      if (judgement.why === "tokenUsedUp") this.#keepSurplus(now, member.record, out);
      if (judgement.why !== "left") out.event({ kind: "memberOut", who, why: judgement.why });
    } else if (isTimely) {
      this.keep(now, member.record, judgement.why);
      remove(now, member, out);
      out.event({ kind: "memberExpired", who });
    }
  }

  /** What a member is by its certificate may have changed, by the clock as well: everything that follows from it. */
  renew(now: Now, member: Member, membership: Membership, out: Outbox<NodeEvent>): void {
    const { roster, renewed } = this.links;
    const name = roster.nameOf(member.id);
    if (!roster.renew(member, membership)) return;
    renewed(now, out);
    const who = roster.who(member.id);
    if (who.name !== name) out.event({ kind: "renamed", who, before: name });
  }

  /**
   * Keeps the record of somebody who is out, if another time, or another's signature, makes it a member again without its
   * doing.
   */
  keep(now: Now, record: NodeRecord, why: Refusal): void {
    const mayComeBack = isOfClock(why) ||
      why === "stranger" && this.links.judge.wasMember(record.id);
    if (mayComeBack) this.untimely.keep(now, record, why);
  }

  /** Its record goes on travelling, so no news of it would bring it back. */
  #keepSurplus(now: Now, record: NodeRecord, out: Outbox<NodeEvent>): void {
    this.links.spreading.record(now, record, out);
    const [oldest] = this.#surplus.keys();
    if (this.#surplus.size >= SURPLUS_KEPT && oldest !== undefined) this.#dropSurplus(oldest);
    this.#surplus.set(record.id, record);
  }

  #dropSurplus(id: MemberId): void {
    this.#surplus.delete(id);
    this.links.spreading.retractRecord(id); // From now on it is news again.
  }

  /** Takes somebody in again who was beyond its token's uses, once it is within. */
  #surplusOf(now: Now, id: MemberId, out: Outbox<NodeEvent>): void {
    const { judge, roster, take } = this.links;
    const record = this.#surplus.get(id);
    if (!record) return;
    const judgement = judge.judge(id, secondsOf(now));
    if (judgement.kind === "refused" && judgement.why === "tokenUsedUp") return;
    this.#dropSurplus(id);
    if (judgement.kind === "member" && !roster.get(id)) take(now, record, out);
  }

  /** Whether a member whose certificate lost its signer is kept: it may be signed anew just now. */
  #isGraceful(now: Now, { id, membership }: Member): boolean {
    if (membership.standing === "individual") return false; // A person's word ends at once.
    const until = this.#lost.get(id) ?? now.boot + VOID_GRACE;
    this.#lost.set(id, until);
    return now.boot < until;
  }

  /** Milliseconds since the last review in which we would have heard whoever is there. */
  #attended(now: Now): number {
    const ms = Math.min(now.boot - this.#reviewedAt, ATTENTION_MAX);
    this.#reviewedAt = now.boot;
    return this.links.isAlone() ? 0 : ms;
  }

  /** The long dead leave the table by themselves; their certificates let them in again. */
  #forgetLongDead(now: Now, member: Member, attendedMs: number, out: Outbox<NodeEvent>): void {
    const { roster, swim, remove } = this.links;
    if (roster.get(member.id) !== member) return; // It was just taken out.
    const { status, heardAt = -Infinity } = swim.member(member.id) ?? {};
    if (status === "alive" || status === "suspect") {
      // Whom a start remembers counts as alive until somebody has found out otherwise.
      const isKnown = heardAt > -Infinity || now.boot - this.begunAt >= FOUND_OUT_WITHIN;
      if (!isKnown) return;
      member.aliveAt = secondsOf(now);
      member.silentMs = 0;
      return;
    }
    member.silentMs += attendedMs;
    if (member.silentMs > LONG_DEAD * 1_000) remove(now, member, out);
  }
}
