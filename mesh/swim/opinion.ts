/**
 * What we hold of each member, and how words change it: a member's own word, what third parties say,
 * what our probes find, and what is said about ourselves. membership.ts has the rule of precedence.
 */
import type { Random } from "../machine.ts";
import type { Agenda } from "./agenda.ts";
import type { Awareness } from "./awareness.ts";
import { below } from "./chance.ts";
import type { Gossip } from "./gossip.ts";
import {
  type Accusation,
  HEARSAY_JUMP,
  isLive,
  type Member,
  type Membership,
} from "./membership.ts";
import { type Claim, INCARNATION_MAX, type Status, type Tag, type View } from "./messages.ts";
import type { Moment } from "./outbox.ts";
import { suspicionOf, suspicionTimeout } from "./suspicion.ts";

/** How many members tell a suspect so at once, before gossip reaches it. */
const TELLERS = 8;

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
  readonly #strangers = new Map<Tag, Claim>();
  readonly #doubts = new Set<Member>();
  #refutedAt = -Infinity;
  readonly counters = { droppedStrangers: 0, jumps: 0, refusedDoubts: 0 };

  constructor(
    private readonly options: OpinionOptions,
    private readonly members: Membership,
    private readonly gossip: Gossip,
    private readonly agenda: Agenda,
    private readonly awareness: Awareness,
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

  /** What a member says of itself by sending at all. */
  ownWord(member: Member, incarnation: number): void {
    member.word = Math.max(member.word, incarnation);
    const higher = incarnation > member.incarnation;
    const final = incarnation === INCARNATION_MAX && member.incarnation === INCARNATION_MAX;
    if (higher || final && member.status !== "alive") this.#revive(member, incarnation);
    else if (member.status !== "alive" || incarnation < member.incarnation) this.doubt(member);
  }

  /** What a member says when it leaves. What it said before it came back is void. */
  ownFarewell(member: Member, incarnation: number): void {
    if (incarnation < member.incarnation || !isLive(member)) return;
    // At its own incarnation, so that what it said just before and comes later is void, too.
    member.word = Math.max(member.word, incarnation);
    this.#settle(member, "left", incarnation);
    this.moment.out.event({ kind: "departed", id: member.id });
  }

  /**
   * What a third party says. Gossip is passed on; what a push–pull brings is not, since it is old
   * news to most.
   */
  hear(from: Member, claim: Claim, isGossip: boolean): void {
    const { subject, status, incarnation } = claim;
    if (subject === this.members.self.tag) return this.refute(claim);
    const member = this.members.get(subject);
    if (member === undefined) return this.#remember(claim);
    if (member === from) return;
    if (incarnation > member.word + HEARSAY_JUMP) {
      this.counters.jumps++;
      return this.doubt(member);
    }
    if (status === "alive") {
      if (incarnation > member.incarnation) this.#revive(member, incarnation);
      else if (!isGossip && !isLive(member)) this.doubt(member);
    } else if (status !== "suspect" && !this.options.lifeguard) {
      if (this.members.precedes(member, "dead", incarnation)) this.#bury(member, incarnation);
    } else {
      this.accuse(from, member, incarnation, claim.origin ?? from.tag, isGossip);
      if (status === "dead") this.#hasten(member, incarnation);
    }
  }

  /** Somebody has buried a member after a suspicion of its own: ours may end sooner. */
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
    if (isFirst) this.gossip.send(member, { kind: "news" });
  }

  /** Somebody holds us to be so. */
  refute({ status, incarnation }: View): void {
    const { self } = this.members;
    const isAccused = status !== "alive";
    if (incarnation < self.incarnation || incarnation === self.incarnation && !isAccused) return;
    // No honest member holds us higher than this, unless we have forgotten what we used.
    const reachable = Math.min(incarnation, self.incarnation + HEARSAY_JUMP);
    const next = Math.min(INCARNATION_MAX, reachable + (isAccused ? 1 : 0));
    const { now, out } = this.moment;
    if (next > self.incarnation) this.members.set(self, "alive", next, now);
    if (!isAccused) return;
    this.gossip.claim({ subject: self.tag, status: "alive", incarnation: next });
    if (now - this.#refutedAt < this.options.period) return;
    this.#refutedAt = now;
    if (this.options.lifeguard) this.awareness.note(1);
    out.event({ kind: "refuted", incarnation: next });
  }

  /** Notes a member to be asked: only it can say how it is. */
  doubt(member: Member): void {
    if (this.#doubts.size >= this.options.doubtsMax) this.counters.refusedDoubts++;
    else this.#doubts.add(member);
  }

  /** Up to `count` members that are to be asked. */
  takeDoubts(count: number): Member[] {
    const taken: Member[] = [];
    for (const member of this.#doubts) {
      if (taken.length >= count) break;
      taken.push(member);
      this.#doubts.delete(member);
    }
    return taken;
  }

  /** Applies what was said of a member before it was admitted. */
  introduce(member: Member): void {
    const claim = this.#strangers.get(member.tag);
    this.#strangers.delete(member.tag);
    if (claim === undefined) return;
    const { incarnation } = claim;
    // Whoever is suspect elsewhere is not suspect here before we have asked it.
    const status = claim.status === "suspect" ? "alive" : claim.status;
    if (incarnation > member.word + HEARSAY_JUMP) return this.doubt(member);
    if (!this.members.precedes(member, status, incarnation)) return;
    // Nobody loses it by believing this; it is asked all the same.
    this.members.set(member, status, incarnation, this.moment.now);
    if (!isLive(member)) this.doubt(member);
  }

  /** Forgets a member that is no more. */
  forget(member: Member): void {
    acquit(member);
    this.gossip.withdrawClaim(member.tag);
    this.#doubts.delete(member);
  }

  /** Keeps a claim about somebody who may be admitted later. */
  #remember(claim: Claim): void {
    const known = this.#strangers.get(claim.subject);
    if (known !== undefined && !this.members.precedes(known, claim.status, claim.incarnation)) {
      return;
    }
    this.#strangers.delete(claim.subject);
    if (this.#strangers.size >= this.options.strangersMax) {
      const [oldest] = this.#strangers.keys();
      if (oldest !== undefined) this.#strangers.delete(oldest);
      this.counters.droppedStrangers++;
    }
    this.#strangers.set(claim.subject, claim);
  }

  #revive(member: Member, incarnation: number): void {
    const { status, since, id } = member;
    const { now, out } = this.moment;
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
      if (isOver) this.#sentence(member, accusation);
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
  #sentence(member: Member, accusation: Accusation): void {
    const { incarnation } = member;
    if (!this.options.lifeguard) return this.#bury(member, incarnation);
    const isAsked = this.link.probe(member, (answered) => {
      if (member.accusation !== accusation) return;
      if (!answered) return this.#bury(member, incarnation);
      accusation.began = this.moment.now;
      this.#expect(member, accusation);
    });
    if (isAsked) return;
    // A probe from before the end is under way: that answer is not the last one.
    const again = this.moment.now + this.options.period;
    const act = () => this.#sentence(member, accusation);
    accusation.expiry = this.agenda.add(again, "suspicion over", act);
  }

  #bury(member: Member, incarnation: number): void {
    this.#settle(member, "dead", incarnation);
    this.moment.out.event({ kind: "died", id: member.id });
  }

  /** Changes a member and gossips it; a suspicion only with its origin. */
  #settle(member: Member, status: Status, incarnation: number, origin?: Tag): void {
    acquit(member);
    this.members.set(member, status, incarnation, this.moment.now);
    this.#doubts.delete(member);
    const subject = member.tag;
    if (status !== "suspect") this.gossip.claim({ subject, status, incarnation });
    else if (origin !== undefined) this.gossip.claim({ subject, status, incarnation, origin });
  }
}

/** Ends a suspicion. */
function acquit(member: Member): void {
  if (member.accusation?.expiry !== undefined) member.accusation.expiry.cancelled = true;
  member.accusation = undefined;
}
