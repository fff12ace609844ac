/**
 * SWIM with Lifeguard's extensions, as a machine: who of the mesh is alive, and news for everybody.
 *
 * Once a period one member is probed (detector.ts). Silence makes it suspect, which is gossiped, so
 * that the suspect can refute it with a higher incarnation; a suspicion that nobody refutes ends in
 * death. What others say is bounded (membership.ts), and nobody is declared dead on hearsay: when a
 * suspicion ends we probe the suspect once more ourselves, so whoever answers us cannot be evicted
 * by any number of liars. The dead are asked now and then for ever, so a partition heals by itself.
 *
 * Claims and rumours ride along on probes and answers (broadcast.ts); push–pull with a random member
 * repairs what that loses (pushpull.ts).
 *
 * Calls give the time first and the outbox last. Swim does not verify rumours, admit members or
 * know addresses: whoever composes it calls {@link Swim.admit} for a verified member, and
 * {@link Swim.spread} for a verified rumour. Outbox functions must not call back into swim.
 */
import type { Deadline, Now, Random } from "../machine.ts";
import { Agenda, type Entry } from "./agenda.ts";
import { Awareness } from "./awareness.ts";
import { Broadcast, transmissions } from "./broadcast.ts";
import { Buckets } from "./buckets.ts";
import { below, within } from "./chance.ts";
import { Detector } from "./detector.ts";
import {
  type Accusation,
  HEARSAY_JUMP,
  isLive,
  type Member,
  Membership,
  tagOf,
} from "./membership.ts";
import {
  type Body,
  bodySize,
  type Claim,
  claimSize,
  COUNT_MAX,
  INCARNATION_MAX,
  type MemberId,
  type Message,
  type Rumour,
  rumourFault,
  rumourSize,
  type Status,
  type Tag,
} from "./messages.ts";
import type { SwimOutbox } from "./outbox.ts";
import { PushPull } from "./pushpull.ts";
import { Ring } from "./ring.ts";
import { nameOf, Rumours } from "./rumours.ts";
import { suspicionOf, suspicionTimeout } from "./suspicion.ts";

/** One dead member is asked this rarely, in periods. */
const DEAD_PERIODS = 5;
/** Members that are asked in one period because somebody says strange things about them. */
const DOUBTS_PER_PERIOD = 16;
/** Milliseconds between push–pulls in a small mesh; it grows with log n beyond 32 members. */
const PUSH_PULL = 30_000;
/** The same while more news waits than rides along. */
const PUSH_PULL_BUSY = 3_000;
/** Milliseconds to wait for a step of a push–pull. */
const STEP = 1_000;
/** Who is told of a suspicion before gossip reaches it: this many members tell it at once. */
const TELLERS = 8;
/** Members that are told directly when we leave. */
const FAREWELLS = 128;
/** A tick this late, in ms, means that we stood still, and that answers may be waiting. */
const STALL = 500;
/** Milliseconds to take those answers in before anything is concluded. */
const GRACE = 100;

export interface SwimOptions {
  readonly self: MemberId;
  readonly random: Random;
  /** Most bytes of an encoded message. */
  readonly limit: number;
  /** The first incarnation to use: one more than the last one used, where that is known. */
  readonly incarnation?: number;
  /** Milliseconds between probes. */
  readonly period?: number;
  /** False: plain SWIM, with fixed timeouts and belief in what others say, for comparison. */
  readonly lifeguard?: boolean;
  /** Most members, the dead among them. At the limit the one dead longest makes room, or nobody. */
  readonly membersMax?: number;
  /** Most rumours that are kept; more are refused. */
  readonly rumoursMax?: number;
  /** Most claims and most rumours that wait to ride along; the one sent most is dropped. */
  readonly queueMax?: number;
  /** Most claims about members not admitted yet; the oldest is dropped. */
  readonly strangersMax?: number;
}

/** What is to be seen of a member. */
export interface MemberView {
  readonly id: MemberId;
  readonly status: Status;
  readonly incarnation: number;
  /** Boot ms of the last change of status. */
  readonly since: number;
  /** Boot ms when something authenticated last came from it; -Infinity: never. */
  readonly heardAt: number;
  /** Smoothed round trip of probes in ms; 0: not measured. */
  readonly rtt: number;
}

/** How often something was left out or went wrong. */
export interface SwimCounters {
  /** Messages from, and admissions refused for, somebody who is no member. */
  strangers: number;
  refusedMembers: number;
  evictedMembers: number;
  /** Claims about somebody unknown that made room for newer ones. */
  droppedStrangers: number;
  /** Claims beyond what a third party may say. */
  jumps: number;
  /** Members that somebody said strange things about, beyond what can be asked. */
  refusedDoubts: number;
  /** Ticks that came late. */
  stalls: number;
}

export class Swim {
  readonly #o: Required<SwimOptions>;
  readonly #fingerprint = new Buckets();
  readonly #members: Membership;
  readonly #rumours: Rumours;
  readonly #claims: Broadcast<Claim>;
  readonly #news: Broadcast<Rumour>;
  readonly #ring: Ring;
  readonly #agenda = new Agenda();
  readonly #awareness = new Awareness();
  readonly #detector: Detector;
  readonly #pushPull: PushPull;
  readonly #strangers = new Map<Tag, Claim>();
  readonly #doubts = new Set<Member>();
  readonly counters: SwimCounters = {
    strangers: 0,
    refusedMembers: 0,
    evictedMembers: 0,
    droppedStrangers: 0,
    jumps: 0,
    refusedDoubts: 0,
    stalls: 0,
  };
  #periods = 0;
  #stalled = false;
  #refutedAt = -Infinity;
  #left = false;
  #pushPullTimer: Entry | undefined;
  /** The step under way: its time and where its effects go. */
  #now: number;
  #out: SwimOutbox = NOWHERE;

  constructor(options: SwimOptions, now: Now) {
    this.#o = {
      incarnation: 0,
      period: 1000,
      lifeguard: true,
      membersMax: 16_384,
      rumoursMax: 65_536,
      queueMax: 16_384,
      strangersMax: 4_096,
      ...options,
    };
    const { random, limit, queueMax, lifeguard, period } = this.#o;
    this.#now = now.boot;
    this.#members = new Membership(
      options.self,
      this.#o.incarnation,
      now.boot,
      this.#fingerprint,
    );
    this.#rumours = new Rumours(this.#fingerprint, this.#o.rumoursMax);
    this.#claims = new Broadcast(claimSize, queueMax);
    this.#news = new Broadcast(rumourSize, queueMax);
    this.#ring = new Ring(random);
    const send = (to: Member, body: Body) => this.#send(to, body);
    this.#detector = new Detector(
      {
        now: () => this.#now,
        send,
        vouched: (from, { tag: subject }, incarnation) =>
          this.#hear(from, { subject, status: "alive", incarnation }, true),
      },
      this.#ring,
      this.#agenda,
      this.#awareness,
      random,
      lifeguard,
    );
    this.#pushPull = new PushPull(
      {
        send,
        share: (to, claims, rumours) => this.#share(to, claims, rumours),
        hear: (from, claim) => this.#hear(from, claim, false),
      },
      this.#members,
      this.#rumours,
      this.#fingerprint,
      limit,
    );
    this.#agenda.add(now.boot + within(random, period), "period", () => this.#period());
    this.#schedulePushPull();
  }

  /** When {@link tick} is due. */
  deadline(): Deadline {
    const { at, why } = this.#agenda.next() ?? { at: Infinity, why: "left" };
    return { at, why };
  }

  /** Our own incarnation: to be kept over a restart. */
  get incarnation(): number {
    return this.#members.self.incarnation;
  }

  /** Living members, ourselves included. */
  get live(): number {
    return this.#members.live;
  }

  /** Our doubt in our own health, 0 to 8. */
  get health(): number {
    return this.#awareness.score;
  }

  /** Everybody but ourselves. */
  *members(): Iterable<MemberView> {
    for (const member of this.#members.values()) {
      if (member !== this.#members.self) yield member;
    }
  }

  member(id: MemberId): MemberView | undefined {
    return this.#find(id);
  }

  /** What the limits of the queues and tables have cost, by name. */
  drops(): Readonly<Record<string, number>> {
    return {
      ...this.counters,
      claims: this.#claims.dropped,
      rumours: this.#news.dropped,
      refusedRumours: this.#rumours.refused,
      probes: this.#detector.refused,
    };
  }

  /**
   * Takes a verified member in, alive until we know better; what was gossiped about it before, or
   * what is remembered of it, counts. False: the table is full of living members.
   */
  admit(now: Now, id: MemberId, out: SwimOutbox, known?: { status: Status; incarnation: number }) {
    this.#step(now, out);
    const tag = tagOf(id);
    const present = this.#members.get(tag);
    if (present !== undefined) return present.id === id;
    if (this.#members.size >= this.#o.membersMax && !this.#evict()) {
      this.counters.refusedMembers++;
      return false;
    }
    const member = this.#members.add(id, known?.incarnation ?? 0, now.boot);
    this.#ring.insert(member);
    if (known?.status === "dead" || known?.status === "left") {
      this.#members.set(member, known.status, known.incarnation, now.boot);
    }
    const claim = this.#strangers.get(tag);
    this.#strangers.delete(tag);
    if (claim !== undefined) this.#introduce(member, claim);
    if (isLive(member)) this.#out.event({ kind: "joined", id });
    return true;
  }

  /** Forgets a member: its certificate has expired or was revoked. */
  forget(now: Now, id: MemberId, out: SwimOutbox): void {
    this.#step(now, out);
    const member = this.#find(id);
    if (member !== undefined) this.#remove(member);
  }

  /** Something authenticated has come from this member, which counts as an answer to a probe. */
  heard(now: Now, id: MemberId, out: SwimOutbox): void {
    this.#step(now, out);
    const member = this.#find(id);
    if (member === undefined) return;
    this.#heard(member);
    if (!isLive(member)) this.#doubt(member);
  }

  /** The subject's own signed word, verified, says that it has left. */
  departed(now: Now, id: MemberId, out: SwimOutbox): void {
    this.#step(now, out);
    const member = this.#find(id);
    if (member !== undefined) this.#depart(member);
  }

  /** A verified rumour, ours or another's: keeps it and passes it on. False: old, or no room. */
  spread(now: Now, rumour: Rumour, out: SwimOutbox): boolean {
    this.#step(now, out);
    const fault = rumourFault(rumour, this.#o.limit);
    if (fault !== undefined) throw new RangeError(`swim: a rumour cannot be spread: ${fault}`);
    if (!this.#rumours.isNews(rumour) || !this.#rumours.put(rumour)) return false;
    this.#news.put(nameOf(rumour.key.slice(0, 32), rumour.kind), rumour);
    return true;
  }

  /** Drops a rumour that no longer matters. The key may be its first 16 bytes. */
  retract(kind: number, key: string): void {
    this.#rumours.remove(key.slice(0, 32), kind);
    this.#news.drop(nameOf(key.slice(0, 32), kind));
  }

  /** Levels everything with this member at once: after joining through it. */
  pushPull(now: Now, id: MemberId, out: SwimOutbox): void {
    this.#step(now, out);
    const member = this.#find(id);
    if (member !== undefined) this.#beginPushPull(member);
  }

  /** Says good-bye; nothing is done or answered afterwards. */
  leave(now: Now, out: SwimOutbox): void {
    this.#step(now, out);
    for (const member of this.#ring.some(FAREWELLS, isLive)) this.#send(member, { kind: "leave" });
    this.#left = true;
    this.#agenda.clear();
  }

  /** Does what is due. */
  tick(now: Now, out: SwimOutbox): void {
    this.#step(now, out);
    const late = now.boot - this.deadline().at;
    if (this.#o.lifeguard && late > STALL && !this.#stalled) {
      this.#stalled = true;
      this.counters.stalls++;
      this.#awareness.note(1);
      this.#agenda.postpone(late + GRACE);
      return;
    }
    this.#stalled = false;
    for (let entry; (entry = this.#agenda.due(now.boot)) !== undefined;) entry.act();
  }

  /** A message that this member, authenticated, has sent to us. */
  receive(now: Now, from: MemberId, message: Message, out: SwimOutbox): void {
    if (this.#left) return;
    this.#step(now, out);
    const sender = this.#find(from);
    if (sender === undefined) {
      this.counters.strangers++;
      return;
    }
    this.#heard(sender);
    if (message.body.kind === "leave") this.#ownFarewell(sender, message.incarnation);
    else this.#ownWord(sender, message.incarnation);
    if (message.view !== undefined) this.#refute(message.view.status, message.view.incarnation);
    for (const claim of message.claims) this.#hear(sender, claim, true);
    for (const rumour of message.rumours) {
      if (this.#rumours.isNews(rumour)) out.rumour(from, rumour);
    }
    this.#answer(sender, message.body);
  }

  #answer(sender: Member, body: Body): void {
    switch (body.kind) {
      case "ping":
        return this.#send(sender, { kind: "ack", seq: body.seq });
      case "ack":
        return this.#detector.acked(sender, body.seq);
      case "ask":
        return this.#detector.asked(sender, body, this.#members.get(body.target));
      case "forward":
        return this.#detector.forwarded(sender, body);
      case "nack":
        return this.#detector.nacked(sender, body.seq);
      case "news":
      case "leave":
        return;
      default:
        if (this.#pushPull.receive(sender, body)) this.#schedulePushPull();
    }
  }

  // Words about members.

  /** What a member says of itself by sending at all. */
  #ownWord(member: Member, incarnation: number): void {
    member.word = Math.max(member.word, incarnation);
    const higher = incarnation > member.incarnation;
    const final = incarnation === INCARNATION_MAX && member.incarnation === INCARNATION_MAX;
    if (higher || final && member.status !== "alive") this.#revive(member, incarnation);
    else if (member.status !== "alive" || incarnation < member.incarnation) this.#doubt(member);
  }

  #ownFarewell(member: Member, incarnation: number): void {
    if (incarnation >= member.incarnation) this.#depart(member);
  }

  #depart(member: Member): void {
    if (member === this.#members.self || !isLive(member)) return;
    this.#settle(member, "left", member.incarnation);
    this.#out.event({ kind: "departed", id: member.id });
  }

  #revive(member: Member, incarnation: number): void {
    const { status, since, id } = member;
    this.#settle(member, "alive", incarnation);
    if (status === "suspect") this.#out.event({ kind: "recovered", id });
    if (status !== "dead" && status !== "left") return;
    this.#out.event({ kind: "returned", id, absentMs: this.#now - since });
    this.#beginPushPull(member);
  }

  /**
   * What a third party says. Gossip is passed on; what a push–pull brings is not, since it is old
   * news to most.
   */
  #hear(from: Member, claim: Claim, gossip: boolean): void {
    if (claim.subject === this.#members.self.tag) {
      this.#refute(claim.status, claim.incarnation);
      return;
    }
    const member = this.#members.get(claim.subject);
    if (member === undefined) return this.#remember(claim);
    if (member === from) return;
    if (claim.incarnation > member.word + HEARSAY_JUMP) {
      this.counters.jumps++;
      this.#doubt(member);
      return;
    }
    if (claim.status === "alive") {
      if (claim.incarnation > member.incarnation) this.#revive(member, claim.incarnation);
      else if (!gossip && !isLive(member)) this.#doubt(member);
      return;
    }
    if (!this.#o.lifeguard && claim.status === "dead") {
      if (this.#members.precedes(member, "dead", claim.incarnation)) {
        this.#bury(member, claim.incarnation);
      }
      return;
    }
    this.#accuse(from, member, claim.incarnation, claim.origin ?? from.tag, gossip);
  }

  /** A claim about somebody who may be admitted later. */
  #remember(claim: Claim): void {
    const known = this.#strangers.get(claim.subject);
    if (known !== undefined && known.incarnation > claim.incarnation) return;
    this.#strangers.delete(claim.subject);
    if (this.#strangers.size >= this.#o.strangersMax) {
      const [oldest] = this.#strangers.keys();
      if (oldest !== undefined) this.#strangers.delete(oldest);
      this.counters.droppedStrangers++;
    }
    this.#strangers.set(claim.subject, claim);
  }

  /** What was said of a member before it was admitted. Nobody lost it yet, so death may be believed. */
  #introduce(member: Member, { status, incarnation }: Claim): void {
    const gone = status === "dead" || status === "left";
    if (incarnation > member.word + HEARSAY_JUMP) this.#doubt(member);
    else if (this.#members.precedes(member, gone ? "dead" : "alive", incarnation)) {
      this.#members.set(member, gone ? "dead" : "alive", incarnation, this.#now);
      if (gone) this.#doubt(member);
    }
  }

  /** Somebody, or we, say that a member does not answer. */
  #accuse(from: Member, member: Member, incarnation: number, origin: Tag, gossip: boolean): void {
    const subject = member.tag;
    const status = "suspect";
    if (member.status === status && incarnation === member.incarnation) {
      const { origins } = member.accusation ?? { origins: new Set<Tag>() };
      const { confirmations } = suspicionOf(this.#members.live, this.#o.period);
      if (origins.has(origin) || origins.size > confirmations) return;
      origins.add(origin);
      this.#expect(member);
      if (gossip) this.#claims.put(subject, { subject, status, incarnation, origin });
      return;
    }
    if (!this.#members.precedes(member, status, incarnation)) return;
    this.#settle(member, status, incarnation, gossip ? origin : undefined);
    member.accusation = { origins: new Set([origin]), began: this.#now, expiry: undefined };
    this.#expect(member);
    this.#out.event({ kind: "suspected", id: member.id });
    if (!this.#o.lifeguard || !gossip) return;
    // The suspect hears of it from the first who know, in the view that every message carries.
    const first = from.tag === origin || below(this.#o.random, this.#members.live) < TELLERS;
    if (first) this.#send(member, { kind: "news" });
  }

  /** Sets the end of a suspicion anew from its beginning and its confirmations. */
  #expect(member: Member): void {
    const { accusation } = member;
    if (accusation === undefined) return;
    const suspicion = suspicionOf(this.#members.live, this.#o.period);
    const confirmations = this.#o.lifeguard ? accusation.origins.size - 1 : Infinity;
    const end = accusation.began + suspicionTimeout(suspicion, confirmations);
    if (accusation.expiry !== undefined) accusation.expiry.cancelled = true;
    accusation.expiry = this.#agenda.add(end, "suspicion over", () => {
      // A sign of life since then has moved the beginning.
      if (accusation.began + suspicionTimeout(suspicion, confirmations) > end) this.#expect(member);
      else this.#sentence(member, accusation);
    });
  }

  /** A suspicion has ended: the last question is asked by ourselves. */
  #sentence(member: Member, accusation: Accusation): void {
    const { incarnation } = member;
    if (!this.#o.lifeguard) return this.#bury(member, incarnation);
    const asked = this.#detector.probe(member, (answered) => {
      if (member.accusation !== accusation) return;
      if (!answered) return this.#bury(member, incarnation);
      accusation.began = this.#now;
      this.#expect(member);
    });
    if (asked) return;
    // It is being asked already, before the end: that answer is not the last one.
    accusation.expiry = this.#agenda.add(
      this.#now + this.#o.period,
      "suspicion over",
      () => this.#sentence(member, accusation),
    );
  }

  #bury(member: Member, incarnation: number): void {
    this.#settle(member, "dead", incarnation);
    this.#out.event({ kind: "died", id: member.id });
  }

  /** Changes a member and gossips it. */
  #settle(member: Member, status: Status, incarnation: number, origin?: Tag): void {
    acquit(member);
    this.#members.set(member, status, incarnation, this.#now);
    this.#doubts.delete(member);
    const subject = member.tag;
    if (status !== "suspect") this.#claims.put(subject, { subject, status, incarnation });
    else if (origin !== undefined) {
      this.#claims.put(subject, { subject, status, incarnation, origin });
    }
  }

  /** Somebody holds us to be so. */
  #refute(status: Status, incarnation: number): void {
    const { self } = this.#members;
    const accused = status !== "alive";
    if (incarnation < self.incarnation || incarnation === self.incarnation && !accused) return;
    // No honest member holds us higher than this unless we have forgotten what we used: see there.
    const reachable = Math.min(incarnation, self.incarnation + HEARSAY_JUMP);
    const next = Math.min(INCARNATION_MAX, reachable + (accused ? 1 : 0));
    if (next > self.incarnation) this.#members.set(self, "alive", next, this.#now);
    if (!accused) return;
    this.#claims.put(self.tag, { subject: self.tag, status: "alive", incarnation: next });
    if (this.#now - this.#refutedAt < this.#o.period) return;
    this.#refutedAt = this.#now;
    if (this.#o.lifeguard) this.#awareness.note(1);
    this.#out.event({ kind: "refuted", incarnation: next });
  }

  /** A sign of life: a suspicion starts again, until the suspect has refuted it. */
  #heard(member: Member): void {
    member.heardAt = this.#now;
    if (member.accusation !== undefined && this.#o.lifeguard) member.accusation.began = this.#now;
  }

  /** Notes a member to be asked: only it can say how it is. */
  #doubt(member: Member): void {
    if (this.#doubts.size >= this.#o.queueMax) this.counters.refusedDoubts++;
    else this.#doubts.add(member);
  }

  // What happens by itself.

  #period(): void {
    const { period, lifeguard } = this.#o;
    this.#agenda.add(
      this.#now + this.#awareness.stretch(period),
      "period",
      () => this.#period(),
    );
    const quiet = this.#claims.length + this.#news.length === 0;
    const target = this.#ring.next((member) =>
      isLive(member) && !(lifeguard && quiet && this.#now - member.heardAt < period)
    );
    if (target !== undefined) this.#probe(target);
    if (++this.#periods % DEAD_PERIODS === 0 && this.#members.dead > 0) {
      const [dead] = this.#ring.some(1, (member) => member.status === "dead");
      if (dead !== undefined) this.#detector.glance(dead);
    }
    let doubts = DOUBTS_PER_PERIOD;
    for (const member of this.#doubts) {
      if (doubts-- === 0) break;
      this.#doubts.delete(member);
      this.#detector.glance(member);
    }
  }

  #probe(target: Member): void {
    const { incarnation } = target;
    this.#detector.probe(target, (answered) => {
      if (answered || !isLive(target) || target.incarnation !== incarnation) return;
      const { self } = this.#members;
      this.#accuse(self, target, incarnation, self.tag, true);
    });
  }

  #schedulePushPull(): void {
    if (this.#pushPullTimer !== undefined) this.#pushPullTimer.cancelled = true;
    if (this.#pushPull.partner !== undefined) {
      this.#pushPullTimer = this.#agenda.add(
        this.#now + this.#awareness.stretch(STEP),
        "push-pull step",
        () => {
          this.#pushPull.retry();
          this.#schedulePushPull();
        },
      );
      return;
    }
    const { live } = this.#members;
    const scale = live <= 32 ? 1 : Math.ceil(Math.log2(live / 32)) + 1;
    const interval = this.#isBehind() ? PUSH_PULL_BUSY : PUSH_PULL * scale;
    this.#pushPullTimer = this.#agenda.add(
      this.#now + interval * (0.75 + within(this.#o.random, 0.5)),
      "push-pull",
      () => {
        const [partner] = this.#ring.some(1, (member) => member.status === "alive");
        if (partner === undefined) this.#schedulePushPull();
        else this.#beginPushPull(partner);
      },
    );
  }

  /** Whether more waits than a few messages carry. */
  #isBehind(): boolean {
    return this.#claims.length > COUNT_MAX || this.#news.length > COUNT_MAX / 16;
  }

  #beginPushPull(partner: Member): void {
    if (this.#pushPull.partner !== undefined) return;
    this.#pushPull.begin(partner, below(this.#o.random, 2 ** 32));
    this.#schedulePushPull();
  }

  // What is said.

  #send(to: Member, body: Body): void {
    const carrier = body.kind !== "digest" && body.kind !== "page" && body.kind !== "want";
    let room = carrier ? this.#o.limit - bodySize(body) : 0;
    const times = transmissions(this.#members.live);
    // Claims come first, but never leave a waiting rumour without room.
    const share = this.#news.length > 0 ? 0.5 * room : room;
    const claims = this.#claims.take(share, COUNT_MAX, times);
    for (const claim of claims) room -= claimSize(claim);
    this.#emit(to, body, claims, this.#news.take(room, COUNT_MAX, times));
  }

  #share(to: Member, claims: readonly Claim[], rumours: readonly Rumour[]): void {
    const body: Body = { kind: "news" };
    const room = this.#o.limit - bodySize(body);
    let used = 0;
    let some: Claim[] = [];
    let more: Rumour[] = [];
    const flush = () => {
      if (some.length + more.length > 0) this.#emit(to, body, some, more);
      used = 0;
      some = [];
      more = [];
    };
    const fit = (size: number, count: number) => {
      if (used + size > room || count >= COUNT_MAX) flush();
      used += size;
    };
    for (const claim of claims) {
      fit(claimSize(claim), some.length);
      some.push(claim);
    }
    for (const rumour of rumours) {
      fit(rumourSize(rumour), more.length);
      more.push(rumour);
    }
    flush();
  }

  #emit(to: Member, body: Body, claims: readonly Claim[], rumours: readonly Rumour[]): void {
    const { status, incarnation } = to;
    const view = this.#o.lifeguard ? { status, incarnation } : undefined;
    const own = this.#members.self.incarnation;
    this.#out.message(to.id, { incarnation: own, view, body, claims, rumours });
  }

  // The table.

  #find(id: MemberId): Member | undefined {
    const member = this.#members.get(tagOf(id));
    return member?.id === id && member !== this.#members.self ? member : undefined;
  }

  /** Makes room: whoever is gone longest goes. */
  #evict(): boolean {
    let oldest: Member | undefined;
    for (const member of this.#members.values()) {
      if (!isLive(member) && member.since < (oldest?.since ?? Infinity)) oldest = member;
    }
    if (oldest === undefined) return false;
    this.counters.evictedMembers++;
    this.#remove(oldest);
    return true;
  }

  #remove(member: Member): void {
    acquit(member);
    this.#members.remove(member);
    this.#ring.remove(member);
    this.#detector.forget(member);
    this.#claims.drop(member.tag);
    this.#doubts.delete(member);
  }

  #step(now: Now, out: SwimOutbox): void {
    this.#now = now.boot;
    this.#out = out;
  }
}

function acquit(member: Member): void {
  if (member.accusation?.expiry !== undefined) member.accusation.expiry.cancelled = true;
  member.accusation = undefined;
}

const NOWHERE: SwimOutbox = { message: () => {}, rumour: () => {}, event: () => {} };
