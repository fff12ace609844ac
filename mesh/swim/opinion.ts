/**
 * What we hold of each member, and how words change it: a member's own word, what third parties say,
 * what our probes find, and what is said about ourselves. membership.ts has the rule of precedence.
 */
import type { Random } from "../machine.ts";
import type { Agenda, Entry } from "./agenda.ts";
import { mayTake, take } from "./allowance.ts";
import type { Announcements } from "./announcement.ts";
import type { Awareness } from "./awareness.ts";
import { below } from "./chance.ts";
import type { Gossip } from "./gossip.ts";
import { type Accusation, claimOf, isLive, type Member, type Membership } from "./membership.ts";
import { type Claim, INCARNATION_MAX, type Status, type Tag, type View } from "./messages.ts";
import type { Moment } from "./outbox.ts";
import { suspicionOf, suspicionTimeout } from "./suspicion.ts";

/** How many members tell a suspect so at once, before gossip reaches it. */
const TELLERS = 8;
/**
 * Milliseconds in which no signature is checked that a member passes on after a false one. An honest
 * member passes on none, having checked it; so a flood of them costs us one check a minute.
 */
const FORGER_REST = 60_000;

export interface OpinionOptions {
  readonly period: number;
  readonly lifeguard: boolean;
  /** Most claims about members not admitted yet; the oldest is dropped. */
  readonly strangersMax: number;
  /** Most members to be asked because of strange claims; more are not noted. */
  readonly doubtsMax: number;
}

export interface OpinionLink {
  /** Probes a member in full; false if that is not possible now. */
  readonly probe: (member: Member, done: (answered: boolean) => void) => boolean;
  /** How long that takes at most, in ms. */
  readonly probeTime: (member: Member) => number;
  /** A member that was dead or had left is back. */
  readonly returned: (member: Member) => void;
}

export class Opinion {
  readonly #strangers = new Map<Tag, { readonly claim: Claim; readonly speaker: Member }>();
  /** Members to be asked, each with whoever speaks of an incarnation that we do not know of. */
  readonly #doubts = new Map<Member, Member | undefined>();
  #refutedAt = -Infinity;
  #refutation: Entry | undefined;
  readonly counters = {
    droppedStrangers: 0,
    /** Claims about incarnations that their subjects have not announced, as far as we know. */
    unannounced: 0,
    forgedProofs: 0,
    uncheckedProofs: 0,
    refusedDoubts: 0,
  };

  constructor(
    private readonly options: OpinionOptions,
    private readonly members: Membership,
    private readonly gossip: Gossip,
    private readonly agenda: Agenda,
    private readonly awareness: Awareness,
    private readonly announcements: Announcements,
    private readonly random: Random,
    private readonly moment: Moment,
    private readonly link: OpinionLink,
  ) {}

  /** A sign of life: a suspicion starts again, until the suspect has refuted it. */
  heard(member: Member): void {
    member.heardAt = this.moment.now;
    if (member.accusation !== undefined && this.options.lifeguard) {
      member.accusation.began = this.moment.now;
    }
  }

  /**
   * What a member says of itself by sending at all. What it has not signed raises nothing. At the
   * greatest incarnation, where no signature is needed, its word counts as often as a signature would
   * be checked: else it could leave and return as fast as it speaks. Until then it is asked.
   */
  ownWord(member: Member, incarnation: number): void {
    const { moment: { now }, options: { period } } = this;
    member.used = incarnation;
    const isEnd = incarnation === INCARNATION_MAX && member.incarnation === INCARNATION_MAX;
    if (isEnd && member.status !== "alive" && mayTake(member.proofsPaid, now, period)) {
      member.proofsPaid = take(member.proofsPaid, now, period);
      this.#revive(member, incarnation);
    } else if (member.status !== "alive" || incarnation !== member.incarnation) this.doubt(member);
  }

  /** A member, or we ourselves, are known to have announced this: a signed record says so. */
  announced(member: Member, incarnation: number): void {
    if (incarnation <= member.incarnation) return;
    if (member === this.members.self) return this.#resume(incarnation);
    member.proof = undefined;
    this.#revive(member, incarnation);
  }

  /**
   * A member is about to leave with this incarnation, whose signature may be among the claims: it is checked, however
   * soon after another. Without it the member could not be shown how it is held, should it be back and have forgotten
   * that. Each of these ends in a farewell, so who wants more of them has to return in between.
   */
  leaves(member: Member, incarnation: number): void {
    if (isLive(member) && incarnation > member.incarnation) member.proofsPaid = -Infinity;
  }

  /** What a member says when it leaves. What it said before it came back is void. */
  ownFarewell(member: Member, incarnation: number): void {
    if (incarnation < member.incarnation || !isLive(member)) return;
    const { incarnation: before, proof } = member;
    if (incarnation > before) member.proof = undefined;
    this.#settle(member, "left", incarnation);
    member.beforeFarewell = { incarnation: before, proof };
    this.moment.out.event({ kind: "departed", id: member.id });
  }

  /**
   * Somebody else has said a member's farewell. That may have named any incarnation, and the member does not go beyond one
   * that it has not announced; so it is held as before.
   */
  goesOn(member: Member): void {
    const { status, since, id } = member;
    const { now, out } = this.moment;
    this.members.takeBack(member, now);
    if (status !== "left" || member.status === "left") return;
    this.gossip.withdrawClaim(member.tag);
    out.event({ kind: "returned", id, absentMs: now - since });
    this.link.returned(member);
  }

  /**
   * What a third party says. Gossip is passed on; what a push-pull brings is not, since it is old
   * news to most.
   */
  hear(from: Member, claim: Claim, isGossip: boolean): void {
    const { subject, status, incarnation, proof } = claim;
    if (subject === this.members.self.tag) return this.refute(from, claim, proof);
    const member = this.members.get(subject);
    if (member === undefined) return this.#remember(claim, from);
    const isHigher = incarnation > member.incarnation;
    if (isHigher && !this.#isAnnounced(from, member, incarnation, proof)) {
      return this.doubt(member, from);
    }
    if (isHigher) member.proof = proof;
    const isNew = isHigher && member.heardAt === -Infinity;
    if (isNew && (status === "dead" || status === "left")) {
      return this.#believe(member, status, incarnation);
    }
    if (status === "alive" || member === from) {
      if (isHigher) this.#revive(member, incarnation);
      else if (!isGossip && !isLive(member)) this.doubt(member);
    } else if (status !== "suspect" && !this.options.lifeguard) {
      if (this.members.precedes(member, "dead", incarnation)) {
        this.#declareDead(member, incarnation);
      }
    } else {
      this.accuse(from, member, incarnation, claim.origin ?? from.tag, isGossip);
      if (status === "dead") this.#hasten(member, incarnation);
    }
  }

  /** Whether a member has announced an incarnation higher than the one we know of. */
  #isAnnounced(
    from: Member | undefined,
    member: Member,
    incarnation: number,
    proof: Uint8Array | undefined,
  ): boolean {
    const isProven = proof !== undefined && this.#check(from, member, incarnation, proof);
    if (!isProven) this.counters.unannounced++;
    return isProven;
  }

  /**
   * Checks a signature. That is not cheap: so those about one subject are checked once a period, as
   * often as it may announce, and one more; and those from a forger not at all for a while, but for its own, of which
   * false ones count like true ones: else nobody could be shown with what it has left.
   */
  #check(from: Member | undefined, member: Member, incarnation: number, proof: Uint8Array) {
    const { now } = this.moment;
    const { period } = this.options;
    const isOwn = from === member;
    const isForger = !isOwn && from !== undefined && now - from.forgedAt < FORGER_REST;
    if (isForger || !mayTake(member.proofsPaid, now, period)) {
      this.counters.uncheckedProofs++;
      return false;
    }
    if (!this.announcements.isSigned(member.id, incarnation, proof)) {
      this.counters.forgedProofs++;
      if (from !== undefined) from.forgedAt = now;
      if (isOwn) member.proofsPaid = take(member.proofsPaid, now, period);
      return false;
    }
    member.proofsPaid = take(member.proofsPaid, now, period);
    return true;
  }

  /** Somebody has declared a member dead after a suspicion of its own: ours may end sooner. */
  #hasten(member: Member, incarnation: number): void {
    const { accusation } = member;
    if (accusation === undefined || incarnation !== member.incarnation) return;
    if (accusation.isShort) return;
    accusation.isShort = true;
    this.#expect(member, accusation);
  }

  /** Somebody, or we, say that a member does not answer. */
  accuse(from: Member, member: Member, incarnation: number, origin: Tag, isGossip: boolean): void {
    if (member.status === "suspect" && incarnation === member.incarnation) {
      this.#confirm(member, origin, isGossip);
      return;
    }
    if (!this.members.precedes(member, "suspect", incarnation)) return;
    this.#settle(member, "suspect", incarnation, isGossip ? origin : undefined);
    const accusation: Accusation = {
      origins: new Set([origin]),
      began: this.moment.now,
      isShort: false,
      expiry: undefined,
    };
    member.accusation = accusation;
    this.#expect(member, accusation);
    this.moment.out.event({ kind: "suspected", id: member.id });
    if (!this.options.lifeguard || !isGossip) return;
    // The suspect hears of it from the first who know, in the view that every message carries.
    const isFirst = from.tag === origin || below(this.random, this.members.live) < TELLERS;
    if (isFirst) this.gossip.tell(member);
  }

  /**
   * Somebody holds us to be so. We answer what is said of our incarnation of now, and nothing higher:
   * nobody can hold us higher than we have announced, but when we have forgotten that, on a disk of
   * yesterday. Then our own signature is the proof, and we go on from there.
   */
  refute(from: Member, { status, incarnation }: View, proof?: Uint8Array): void {
    const { self } = this.members;
    if (incarnation > self.incarnation) {
      if (!this.#isAnnounced(from, self, incarnation, proof)) return;
      this.#resume(incarnation);
    }
    if (status !== "alive" && incarnation === self.incarnation) this.#refute();
  }

  /** Answers an accusation with one incarnation more, once a period at most. */
  #refute(): void {
    const { self } = this.members;
    const { now, out } = this.moment;
    const due = this.#refutedAt + this.options.period;
    if (now < due) {
      const { incarnation } = self;
      this.#refutation ??= this.agenda.add(due, "refutation", () => {
        this.#refutation = undefined;
        if (self.incarnation === incarnation) this.#refute();
      });
      return;
    }
    this.#refutedAt = now;
    this.#resume(Math.min(INCARNATION_MAX, self.incarnation + 1));
    this.gossip.claim(claimOf(self, self, true));
    if (this.options.lifeguard) this.awareness.note(1);
    out.event({ kind: "refuted", incarnation: self.incarnation });
  }

  /** Goes on with an incarnation of our own, signed. */
  #resume(incarnation: number): void {
    const { self } = this.members;
    self.proof = this.announcements.sign(incarnation);
    this.members.set(self, "alive", incarnation, this.moment.now);
  }

  /**
   * Notes a member to be asked: only it can say how it is. A speaker that knows more of it than we
   * do is to show us the proof.
   */
  doubt(member: Member, speaker?: Member): void {
    const isFull = this.#doubts.size >= this.options.doubtsMax;
    if (isFull && !this.#doubts.has(member)) this.counters.refusedDoubts++;
    else this.#doubts.set(member, this.#doubts.get(member) ?? speaker);
  }

  /** Up to `count` members that are to be asked, each with the speaker that is. */
  takeDoubts(count: number): [Member, Member | undefined][] {
    const taken: [Member, Member | undefined][] = [];
    for (const doubt of this.#doubts) {
      if (taken.length >= count) break;
      taken.push(doubt);
      this.#doubts.delete(doubt[0]);
    }
    return taken;
  }

  /** Applies what was said of a member before it was admitted. */
  introduce(member: Member): void {
    const stranger = this.#strangers.get(member.tag);
    this.#strangers.delete(member.tag);
    if (stranger === undefined) return;
    const { claim, speaker } = stranger;
    const { incarnation, proof } = claim;
    // Whoever is suspect elsewhere is not suspect here before we have asked it.
    const status = claim.status === "suspect" ? "alive" : claim.status;
    if (incarnation > member.incarnation) {
      if (!this.#isAnnounced(undefined, member, incarnation, proof)) {
        return this.doubt(member, speaker);
      }
      member.proof = proof;
    }
    if (this.members.precedes(member, status, incarnation)) {
      this.#believe(member, status, incarnation);
    }
  }

  /** Of a member never heard of: nobody loses it by believing this, and it is asked all the same. */
  #believe(member: Member, status: Status, incarnation: number): void {
    endSuspicion(member);
    this.members.set(member, status, incarnation, this.moment.now);
    if (!isLive(member)) this.doubt(member);
  }

  /** Forgets a member that is no more. */
  forget(member: Member): void {
    endSuspicion(member);
    this.gossip.withdrawClaim(member.tag);
    this.#doubts.delete(member);
  }

  /** Keeps a claim about somebody who may be admitted later. */
  #remember(claim: Claim, speaker: Member): void {
    const known = this.#strangers.get(claim.subject)?.claim;
    if (known !== undefined && !this.members.precedes(known, claim.status, claim.incarnation)) {
      return;
    }
    this.#strangers.delete(claim.subject);
    if (this.#strangers.size >= this.options.strangersMax) {
      const [oldest] = this.#strangers.keys();
      if (oldest !== undefined) this.#strangers.delete(oldest);
      this.counters.droppedStrangers++;
    }
    this.#strangers.set(claim.subject, { claim, speaker });
  }

  #revive(member: Member, incarnation: number): void {
    const { status, since, id } = member;
    const { now, out } = this.moment;
    member.beforeFarewell = undefined;
    this.#settle(member, "alive", incarnation);
    if (status === "suspect") out.event({ kind: "recovered", id });
    if (status !== "dead" && status !== "left") return;
    out.event({ kind: "returned", id, absentMs: now - since });
    this.link.returned(member);
  }

  #confirm(member: Member, origin: Tag, isGossip: boolean): void {
    const { accusation, incarnation, tag: subject } = member;
    const { confirmations } = suspicionOf(this.members.live, this.options.period);
    if (accusation === undefined || accusation.origins.size > confirmations) return;
    if (accusation.origins.has(origin)) return;
    accusation.origins.add(origin);
    this.#expect(member, accusation);
    if (isGossip) this.gossip.claim({ subject, status: "suspect", incarnation, origin });
  }

  /** Sets the end of a suspicion anew, from its beginning and its confirmations. */
  #expect(member: Member, accusation: Accusation): void {
    if (accusation.expiry !== undefined) accusation.expiry.cancelled = true;
    const at = Math.max(this.moment.now, this.#lastQuestionOf(member, accusation));
    accusation.expiry = this.agenda.add(at, "suspicion over", () => {
      // A sign of life since then has moved the beginning.
      const isOver = this.#lastQuestionOf(member, accusation) <= this.moment.now;
      if (isOver) this.#askLast(member, accusation);
      else this.#expect(member, accusation);
    });
  }

  /** When the last question is to be asked, so that silence is complete at the end. */
  #lastQuestionOf(member: Member, { began, origins, isShort }: Accusation): number {
    const { lifeguard, period } = this.options;
    const suspicion = suspicionOf(this.members.live, period);
    if (!lifeguard) return began + suspicion.shortest;
    // Somebody has waited for the suspect to the end: half of that is left to our own news.
    const timeout = isShort
      ? suspicion.shortest / 2
      : suspicionTimeout(suspicion, origins.size - 1);
    return began + timeout - this.link.probeTime(member);
  }

  /** A suspicion ends: the last question is asked by ourselves. */
  #askLast(member: Member, accusation: Accusation): void {
    const { incarnation } = member;
    if (!this.options.lifeguard) return this.#declareDead(member, incarnation);
    const isAsked = this.link.probe(member, (answered) => {
      if (member.accusation !== accusation) return;
      if (!answered) return this.#declareDead(member, incarnation);
      accusation.began = this.moment.now;
      this.#expect(member, accusation);
    });
    if (isAsked) return;
    // A probe from before the end is under way, and its answer is not the last one; or the suspect cannot be asked yet.
    const again = this.moment.now + this.options.period;
    const act = () => this.#askLast(member, accusation);
    accusation.expiry = this.agenda.add(again, "suspicion over", act);
  }

  #declareDead(member: Member, incarnation: number): void {
    this.#settle(member, "dead", incarnation);
    this.moment.out.event({ kind: "died", id: member.id });
  }

  /** Changes a member and gossips it; a suspicion only with its origin. */
  #settle(member: Member, status: Status, incarnation: number, origin?: Tag): void {
    endSuspicion(member);
    this.members.set(member, status, incarnation, this.moment.now);
    this.#doubts.delete(member);
    // An "alive" is of use with its proof alone, the others to those who have had that.
    const isAlive = status === "alive";
    if (status === "suspect" ? origin === undefined : isAlive && !member.proof) return;
    const claim = claimOf(member, this.members.self, isAlive);
    this.gossip.claim(origin === undefined ? claim : { ...claim, origin });
  }
}

/** Ends a suspicion. */
function endSuspicion(member: Member): void {
  if (member.accusation?.expiry !== undefined) member.accusation.expiry.cancelled = true;
  member.accusation = undefined;
}
