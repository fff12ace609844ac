/**
 * SWIM with Lifeguard's extensions, as a machine: who of the mesh is alive, and news for everybody.
 *
 * Once a period one member is probed (detector.ts). Silence makes it suspect, which is gossiped, so
 * that the suspect can refute it with a higher incarnation; a suspicion that nobody refutes ends in
 * death. What others say counts only at incarnations that the subject has announced (membership.ts),
 * and nobody is declared dead on hearsay: when a suspicion ends we probe the suspect once more
 * ourselves, so whoever answers us cannot be evicted by any number of liars. The dead are asked now and
 * then for ever, so a partition heals by itself.
 *
 * Claims and rumours ride along on probes and answers (broadcast.ts); push-pull with a random member
 * repairs what that loses (pushpull.ts).
 *
 * Calls give the time first and the outbox last. Swim does not verify rumours, admit members or
 * know addresses: whoever composes it calls {@link Swim.admit} for a verified member, and
 * {@link Swim.spread} for a verified rumour. Outbox functions must not call back into swim.
 */
import type { Deadline, Now, Random } from "../machine.ts";
import { Agenda, type Entry } from "./agenda.ts";
import type { Announcements } from "./announcement.ts";
import { Answers } from "./answers.ts";
import { Awareness } from "./awareness.ts";
import { Buckets } from "./buckets.ts";
import { below, within } from "./chance.ts";
import { Detector } from "./detector.ts";
import { Gossip } from "./gossip.ts";
import { Inventory } from "./inventory.ts";
import { isLive, type Member, Membership, tagOf } from "./membership.ts";
import {
  type Body,
  INCARNATION_MAX,
  type MemberId,
  type Message,
  type Rumour,
  rumourFault,
  type Status,
  type View,
} from "./messages.ts";
import { Opinion } from "./opinion.ts";
import type { Moment, SwimOutbox } from "./outbox.ts";
import { PushPull, type PushPullLink } from "./pushpull.ts";
import { Ring } from "./ring.ts";
import { Rumours } from "./rumours.ts";

/** One dead member is asked this rarely, in periods. */
const DEAD_PERIODS = 5;
/** Members that are asked in one period because somebody says strange things about them. */
const DOUBTS_PER_PERIOD = 16;
/** Milliseconds between push-pulls in a small mesh; it grows with log n beyond 32 members. */
const PUSH_PULL = 30_000;
/** The same while more news waits than rides along, and after somebody was back from the dead. */
const PUSH_PULL_BUSY = 3_000;
/** Milliseconds for which somebody's return makes push-pulls frequent: a partition may be healing. */
const HEALING = 20_000;
/** With how many members at once beside that: one that answers slowly must not keep us from the others. */
const WELCOMES = 4;
/** Milliseconds to wait for a step of a push-pull. */
const STEP = 1_000;
/** Members that are told directly when we leave. */
const FAREWELLS = 128;
/** A tick this late, in ms, means that we stood still, and that answers may be waiting. */
const STALL = 500;
/** Milliseconds to take those answers in before anything is concluded. */
const GRACE = 100;

/** A push-pull with somebody who has come, or come back. */
interface Welcome {
  readonly pushPull: PushPull;
  step: Entry | undefined;
}

export interface SwimOptions {
  readonly self: MemberId;
  readonly random: Random;
  readonly announcements: Announcements;
  /** Most bytes of an encoded message. */
  readonly limit: number;
  /**
   * The first incarnation to use: one more than the last one used, where that is known. Beyond the
   * greatest it is the greatest, which does as well.
   */
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
  /** Most rumours given on request of late that are remembered; with more, none is given. */
  readonly givenMax?: number;
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

export class Swim {
  readonly #o: Required<SwimOptions>;
  readonly #moment: Moment;
  readonly #fingerprint = new Buckets();
  readonly #members: Membership;
  readonly #rumours: Rumours;
  readonly #ring: Ring;
  readonly #agenda = new Agenda();
  readonly #awareness = new Awareness();
  readonly #gossip: Gossip;
  readonly #detector: Detector;
  readonly #opinion: Opinion;
  readonly #answers: Answers;
  readonly #inventory: Inventory;
  /** By turns with everybody, and beside it with some who have just come: none keeps us from others. */
  readonly #turns: PushPull;
  readonly #welcomes: readonly Welcome[];
  readonly #counters = { strangers: 0, refusedMembers: 0, evictedMembers: 0, stalls: 0 };
  #periods = 0;
  #healingUntil = -Infinity;
  #stalled = false;
  #left = false;
  #turn: Entry | undefined;

  constructor(options: SwimOptions, now: Now) {
    const o = this.#o = { ...DEFAULTS, ...options };
    const moment = this.#moment = { now: now.boot, out: NOWHERE };
    const incarnation = Math.min(INCARNATION_MAX, o.incarnation);
    const members = new Membership(o.self, incarnation, now.boot, this.#fingerprint);
    if (incarnation > 0) members.self.proof = o.announcements.sign(incarnation);
    const answers = this.#answers = new Answers(moment, o.givenMax);
    const gossip = this.#gossip = new Gossip(o, members, answers, moment);
    const send = (to: Member, body: Body) => gossip.send(to, body);
    this.#members = members;
    this.#rumours = new Rumours(this.#fingerprint, o.rumoursMax);
    this.#ring = new Ring(o.random);
    this.#detector = new Detector(
      {
        now: () => moment.now,
        send,
        vouched: (from, { tag: subject }, incarnation) =>
          this.#opinion.hear(from, { subject, status: "alive", incarnation }, true),
      },
      this.#ring,
      this.#agenda,
      this.#awareness,
      o.random,
      o.lifeguard,
      o.period,
    );
    this.#opinion = new Opinion(
      { ...o, doubtsMax: o.queueMax },
      members,
      gossip,
      this.#agenda,
      this.#awareness,
      o.announcements,
      o.random,
      moment,
      {
        probe: (member, done) => this.#detector.probe(member, done),
        probeTime: (member) => this.#detector.probeTime(member),
        returned: (member) => this.#welcome(member),
      },
    );
    const link: PushPullLink = {
      send,
      share: (to, claims, rumours) => gossip.share(to, claims, rumours),
      levelled: ({ id }, wanted) => moment.out.event({ kind: "levelled", id, wanted }),
      hear: (from, claim) => this.#opinion.hear(from, claim, false),
    };
    const [rumours, fingerprint] = [this.#rumours, this.#fingerprint];
    const inventory = new Inventory(link, members, rumours, fingerprint, answers, o.limit);
    const pushPull = () =>
      new PushPull(link, members, rumours, fingerprint, inventory, answers, o.limit, moment);
    this.#inventory = inventory;
    this.#turns = pushPull();
    this.#welcomes = Array.from({ length: WELCOMES }, () => ({
      pushPull: pushPull(),
      step: undefined,
    }));
    this.#agenda.add(now.boot + within(o.random, o.period), "period", () => this.#period());
    this.#scheduleTurn();
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

  /** What limits and misbehaviour have cost, by name. */
  counters(): Readonly<Record<string, number>> {
    return {
      ...this.#counters,
      ...this.#opinion.counters,
      ...this.#answers.counters,
      brokenPushPulls: this.#welcomes.reduce(
        (sum, { pushPull }) => sum + pushPull.broken,
        this.#turns.broken,
      ),
      droppedClaims: this.#gossip.dropped.claims,
      droppedRumours: this.#gossip.dropped.rumours,
      refusedRumours: this.#rumours.refused,
      refusedProbes: this.#detector.refused,
    };
  }

  /**
   * Takes a verified member in, alive until we know better; what was gossiped about it before, or
   * what is remembered of it, counts. False: the table is full of living members.
   */
  admit(now: Now, id: MemberId, out: SwimOutbox, known?: View): boolean {
    this.#step(now, out);
    const tag = tagOf(id);
    const present = this.#members.get(tag);
    if (present !== undefined) return present.id === id;
    if (this.#members.size >= this.#o.membersMax && !this.#evict()) {
      this.#counters.refusedMembers++;
      return false;
    }
    const member = this.#members.add(id, known?.incarnation ?? 0, now.boot);
    this.#ring.insert(member);
    if (known?.status === "dead" || known?.status === "left") {
      this.#members.set(member, known.status, known.incarnation, now.boot);
      this.#opinion.doubt(member); // it may be back since
    }
    this.#opinion.introduce(member);
    if (isLive(member)) out.event({ kind: "joined", id });
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
    this.#opinion.heard(member);
    if (!isLive(member)) this.#opinion.doubt(member);
  }

  /** Somebody else has said a member's farewell: the member is held as before that. */
  goesOn(now: Now, id: MemberId, out: SwimOutbox): void {
    this.#step(now, out);
    const member = this.#find(id);
    if (member !== undefined) this.#opinion.goesOn(member);
  }

  /** Asks a member within a period whether it is there; nothing follows from its silence. */
  ask(now: Now, id: MemberId, out: SwimOutbox): void {
    this.#step(now, out);
    const member = this.#find(id);
    if (member !== undefined) this.#opinion.doubt(member);
  }

  /**
   * A member, or we ourselves, have announced this incarnation in something signed that is no
   * message of swim: a record, which spreads by itself.
   */
  announced(now: Now, id: MemberId, incarnation: number, out: SwimOutbox): void {
    this.#step(now, out);
    const member = this.#members.get(tagOf(id));
    if (member?.id === id) this.#opinion.announced(member, Math.min(INCARNATION_MAX, incarnation));
  }

  /** A verified rumour, ours or another's: keeps it and passes it on. False: old, or no room. */
  spread(now: Now, rumour: Rumour, out: SwimOutbox): boolean {
    this.#step(now, out);
    const fault = rumourFault(rumour, this.#o.limit);
    if (fault !== undefined) throw new RangeError(`swim: a rumour cannot be spread: ${fault}`);
    if (!this.#rumours.isNews(rumour) || !this.#rumours.put(rumour)) return false;
    this.#gossip.rumour(rumour);
    return true;
  }

  /** Drops a rumour that no longer matters. The key may be its first 16 bytes. */
  retract(kind: number, key: string): void {
    this.#rumours.remove(key.slice(0, 32), kind);
    this.#gossip.withdrawRumour(key.slice(0, 32), kind);
  }

  /** Levels everything with this member at once: after joining through it. */
  pushPull(now: Now, id: MemberId, out: SwimOutbox): void {
    this.#step(now, out);
    const member = this.#find(id);
    if (member !== undefined) this.#beginWelcome(member);
  }

  /** Says good-bye; nothing is done or answered afterwards. */
  leave(now: Now, out: SwimOutbox): void {
    this.#step(now, out);
    for (const member of this.#ring.some(FAREWELLS, isLive)) {
      this.#gossip.send(member, { kind: "leave" });
    }
    this.#left = true;
    this.#agenda.clear();
  }

  /** Does what is due. */
  tick(now: Now, out: SwimOutbox): void {
    this.#step(now, out);
    const late = now.boot - this.deadline().at;
    if (this.#o.lifeguard && late > STALL && !this.#stalled) {
      this.#stalled = true;
      this.#counters.stalls++;
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
      this.#counters.strangers++;
      return;
    }
    this.#opinion.heard(sender);
    if (message.body.kind !== "leave") this.#opinion.ownWord(sender, message.incarnation);
    if (message.view !== undefined) {
      sender.holdsUs = message.view.incarnation;
      this.#opinion.refute(sender, message.view);
    }
    if (message.body.kind === "leave") this.#opinion.leaves(sender, message.incarnation);
    for (const claim of message.claims) this.#opinion.hear(sender, claim, true);
    // Last, since the signature of the incarnation with which it leaves may be among the claims.
    if (message.body.kind === "leave") this.#opinion.ownFarewell(sender, message.incarnation);
    for (const rumour of message.rumours) {
      if (this.#rumours.isNews(rumour)) out.rumour(from, rumour);
    }
    this.#answer(sender, message.body);
  }

  #answer(sender: Member, body: Body): void {
    switch (body.kind) {
      case "ping":
        return void this.#gossip.send(sender, { kind: "ack", seq: body.seq });
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
      case "differ":
      case "page":
        if (this.#turns.receive(sender, body)) return this.#scheduleTurn();
        for (const welcome of this.#welcomes) {
          if (welcome.pushPull.receive(sender, body)) return this.#scheduleWelcome(welcome);
        }
        return;
      default:
        this.#inventory.answer(sender, body);
    }
  }

  // What happens by itself.

  #period(): void {
    const { period, lifeguard } = this.#o;
    this.#agenda.add(
      this.#moment.now + this.#awareness.stretch(period),
      "period",
      () => this.#period(),
    );
    if (this.#gossip.isBehind) this.#hasten();
    const quiet = this.#gossip.isIdle;
    const target = this.#ring.next((member) =>
      isLive(member) && !(lifeguard && quiet && this.#moment.now - member.heardAt < period)
    );
    if (target !== undefined) this.#probe(target);
    if (++this.#periods % DEAD_PERIODS === 0 && this.#members.dead > 0) {
      const [dead] = this.#ring.some(1, (member) => member.status === "dead");
      if (dead !== undefined) this.#detector.glance(dead);
    }
    for (const [member, speaker] of this.#opinion.takeDoubts(DOUBTS_PER_PERIOD)) {
      this.#detector.glance(member);
      if (speaker === undefined || speaker === member) continue;
      this.#gossip.send(speaker, { kind: "want", rumours: [{ tag: member.tag, kind: 0 }] });
    }
  }

  #probe(target: Member): void {
    const { incarnation } = target;
    this.#detector.probe(target, (answered) => {
      if (answered || !isLive(target) || target.incarnation !== incarnation) return;
      const { self } = this.#members;
      this.#opinion.accuse(self, target, incarnation, self.tag, true);
    });
  }

  #scheduleTurn(): void {
    if (this.#turn !== undefined) this.#turn.cancelled = true;
    this.#turn = this.#turns.partner === undefined
      ? this.#agenda.add(this.#turnAt(), "push-pull", () => this.#takeTurn())
      : this.#nextStep(this.#turns, () => this.#scheduleTurn());
  }

  #scheduleWelcome(welcome: Welcome): void {
    const { pushPull, step } = welcome;
    if (step !== undefined) step.cancelled = true;
    if (pushPull.partner === undefined) return;
    welcome.step = this.#nextStep(pushPull, () => this.#scheduleWelcome(welcome));
  }

  #nextStep(pushPull: PushPull, schedule: () => void): Entry {
    return this.#agenda.add(
      this.#moment.now + this.#awareness.stretch(STEP),
      "push-pull step",
      () => {
        pushPull.retry();
        schedule();
      },
    );
  }

  /** Brings the next turn forward, now that there is more to level; it never comes later by this. */
  #hasten(): void {
    const { partner } = this.#turns;
    const left = (this.#turn?.at ?? Infinity) - this.#moment.now;
    if (partner === undefined && left > 1.25 * PUSH_PULL_BUSY) this.#scheduleTurn();
  }

  #turnAt(): number {
    const { live } = this.#members;
    const scale = live <= 32 ? 1 : Math.ceil(Math.log2(live / 32)) + 1;
    const interval = this.#gossip.isBehind || this.#moment.now < this.#healingUntil
      ? PUSH_PULL_BUSY
      : PUSH_PULL * scale;
    return this.#moment.now + interval * (0.75 + within(this.#o.random, 0.5));
  }

  #takeTurn(): void {
    const [partner] = this.#ring.some(
      1,
      (member) => member.status === "alive" && !this.#isWelcomed(member),
    );
    if (partner !== undefined) this.#turns.begin(partner, below(this.#o.random, 2 ** 32));
    this.#scheduleTurn();
  }

  #welcome(member: Member): void {
    this.#healingUntil = this.#moment.now + HEALING;
    this.#beginWelcome(member);
    this.#hasten();
  }

  #beginWelcome(partner: Member): void {
    if (this.#turns.partner === partner || this.#isWelcomed(partner)) return;
    const free = this.#welcomes.find(({ pushPull }) => pushPull.partner === undefined);
    if (free === undefined) return;
    free.pushPull.begin(partner, below(this.#o.random, 2 ** 32));
    this.#scheduleWelcome(free);
  }

  #isWelcomed(member: Member): boolean {
    return this.#welcomes.some(({ pushPull }) => pushPull.partner === member);
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
    this.#counters.evictedMembers++;
    this.#remove(oldest);
    return true;
  }

  #remove(member: Member): void {
    this.#members.remove(member);
    this.#ring.remove(member);
    this.#detector.forget(member);
    this.#opinion.forget(member);
    this.#turns.forget(member);
    for (const { pushPull } of this.#welcomes) pushPull.forget(member);
  }

  #step(now: Now, out: SwimOutbox): void {
    this.#moment.now = now.boot;
    this.#moment.out = out;
  }
}

const DEFAULTS = {
  incarnation: 0,
  period: 1000,
  lifeguard: true,
  membersMax: 16_384,
  rumoursMax: 65_536,
  queueMax: 16_384,
  strangersMax: 4_096,
  givenMax: 16_384,
};

const NOWHERE: SwimOutbox = { message: () => 0, rumour: () => {}, event: () => {} };
