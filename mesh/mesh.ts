/**
 * One node's life inside one mesh: it puts the roster, the seal, swim, the door and the tunnels
 * together. A record that is verified makes its subject a member here in all of them; a revocation
 * or an expiry takes it out of all of them.
 *
 * News travels as swim's rumours: records, revocations, redeemed tokens, approvals. Each is verified
 * here before it is passed on. Swim must not be called from its own outbox, so rumours wait in an
 * inbox until its step is over.
 */
import type { Crypto } from "./crypto.ts";
import type { Decoded } from "./codec.ts";
import { formatAddress } from "./endpoint.ts";
import type { Now, Outbox, Random } from "./machine.ts";
import { ip6Of } from "./address.ts";
import { Bulletin } from "./bulletin.ts";
import { PAYLOAD_MAX, type PayloadKind, Seal } from "./control.ts";
import { Door } from "./door.ts";
import type { NodeEvent } from "./event.ts";
import { MemberTunnels } from "./member_tunnels.ts";
import { verifyNews } from "./news.ts";
import { OwnRecord, type Self } from "./own_record.ts";
import { bootOf, type NodeRecord } from "./record.ts";
import { type Acceptance, isUnheard, type Member, MEMBERS_MAX, Roster, whoOf } from "./roster.ts";
import { decode, encode, type Rumour, type View } from "./swim/messages.ts";
import type { SwimEvent, SwimOutbox } from "./swim/outbox.ts";
import { type MemberView, Swim } from "./swim/swim.ts";
import type { Chain, Membership } from "./trust/certificate.ts";
import type { MemberId } from "./trust/identity.ts";
import type { Revocation } from "./trust/revocation.ts";
import { Trust } from "./trust/trust.ts";
import type { Tunnels } from "./tunnel/tunnels.ts";
import type { FactReader } from "./tunnel/types.ts";
import { isOfClock, KEPT, Untimely } from "./untimely.ts";

export interface MeshOptions {
  readonly crypto: Crypto;
  readonly random: Random;
  readonly tunnels: Tunnels;
  readonly meshKey: Uint8Array;
  readonly self: Self;
  /** On disk already. */
  readonly boot: number;
  readonly incarnation: number;
  /** Members that are remembered at most, the dead among them; 16,384 when absent. */
  readonly membersMax?: number;
}

/** How many members hear of a revocation at once from each that learns of it. */
const FANOUT = 4;
/** How many members greet a newcomer on their own, or tell somebody its revocation, on average. */
const GREETERS = 8;

export class Mesh {
  readonly trust: Trust;
  readonly roster: Roster;
  readonly door: Door;
  readonly swim: Swim;
  readonly tunnels: MemberTunnels;
  /** Out by the clock alone. */
  readonly untimely: Untimely;
  readonly #o: MeshOptions;
  readonly #seal: Seal;
  readonly #inbox: Rumour[] = [];
  readonly #bulletin: Bulletin;
  readonly #own: OwnRecord;
  #isQuiet = false;
  /** Members to whom something was sent and who may not know us yet. */
  readonly #unheard = new Set<Member>();
  /** Whether what is remembered over restarts has changed. */
  isDirty = true;
  /** How often others held a record of ours that we had not made in this run. */
  recalls = 0;
  /** Rumours and payloads that were not believed. */
  readonly drops = { rumour: 0, gossip: 0 };

  constructor(now: Now, options: MeshOptions) {
    const { crypto, random, self, meshKey, boot } = options;
    this.#o = options;
    const { identity } = self;
    this.trust = new Trust(crypto, meshKey);
    const { membersMax = MEMBERS_MAX } = options;
    this.roster = new Roster(crypto, this.trust, identity.id, membersMax);
    this.untimely = new Untimely(membersMax);
    this.tunnels = new MemberTunnels(crypto, this.roster, options.tunnels);
    this.#seal = new Seal(crypto, random, this.roster.meshId, identity, boot);
    this.door = new Door(crypto, random, identity, this.trust);
    const { incarnation } = options;
    const limit = PAYLOAD_MAX;
    // Swim counts ourselves too.
    const swim = { self: identity.id, random, limit, incarnation, membersMax: membersMax + 1 };
    this.swim = new Swim(swim, now);
    this.#bulletin = new Bulletin(crypto, this.swim);
    this.#own = new OwnRecord(crypto, meshKey, this.roster, self, boot);
  }

  get meshKey(): Uint8Array {
    return this.#o.meshKey;
  }
  get self(): Self {
    return this.#own.self;
  }
  get seal(): Seal {
    return this.#seal;
  }
  get record(): NodeRecord {
    return this.#own.record;
  }
  get boot(): number {
    return this.#own.boot;
  }
  /** Our own membership; undefined when our chain proves none. */
  get membership(): Membership | undefined {
    return this.#own.membership;
  }
  /** Whether our key was revoked, or one that our certificate rests on. */
  get isRevoked(): boolean {
    const { membership, trust, self } = this;
    return [self.identity.id, ...membership?.keys ?? []].some((key) => trust.isRevoked(key));
  }
  /** Our own address, which nobody can dispute. */
  get ip6(): Uint8Array {
    return ip6Of(this.#o.crypto, this.roster.meshId, this.self.identity.signing.publicKey);
  }

  // ---- Ourselves ------------------------------------------------------------------------------

  /** Something that our record says has changed; the record follows within a second. */
  describe(change: Partial<Self>): void {
    this.#own.describe(change);
    this.isDirty = true;
  }

  /**
   * Takes a new chain for ourselves if an admin made it and it is valid for longer than what we have.
   * Whoever holds a token can make one for any key, so that its flags and name are not the admin's.
   */
  adopt(now: Now, chain: Chain): void {
    const judgement = this.trust.judgeChain(
      this.self.identity.id,
      chain,
      Math.floor(now.wall / 1000),
    );
    if (judgement.kind === "refused" || !judgement.membership.isVouched) return;
    if (judgement.membership.expires > (this.membership?.expires ?? 0)) this.describe({ chain });
  }

  /** When our record is to be renewed; undefined: it is up to date. */
  recordDue(): number | undefined {
    return this.#own.due();
  }

  /** Renews our record if that is due, and steps aside where another holds our address. */
  settle(now: Now, out: Outbox<NodeEvent>): void {
    const { boot } = this;
    const record = this.#own.settle(now);
    if (this.boot !== boot) this.#seal.restart(this.boot);
    if (record) this.#bulletin.record(now, record, this.#swimOut(now, out));
  }

  /** Our own record as others hold it: proof of what we once said and may have forgotten. */
  recall(now: Now, bytes: Uint8Array, out: Outbox<NodeEvent>): void {
    if (!this.#own.recall(now, bytes)) return;
    this.recalls++;
    const { id } = this.self.identity;
    out.event({ kind: "equivocation", who: { id, name: this.membership?.name ?? "" } });
    this.#seal.restart(this.boot);
    this.isDirty = true;
  }

  // ---- Members --------------------------------------------------------------------------------

  /**
   * Takes in a verified record: its subject becomes, or stays, a member in every part.
   * @param known how a remembered member was held last
   */
  take(now: Now, record: NodeRecord, out: Outbox<NodeEvent>, known?: View): Acceptance {
    const isFull = !this.roster.hasRoom && !this.roster.get(record.id);
    // Only a member is worth another one's place.
    if (isFull && this.roster.judge(record, now).kind === "member") this.#makeRoom(now, out);
    const acceptance = this.roster.accept(record, now);
    switch (acceptance.kind) {
      case "new":
        return this.#enter(now, acceptance.member, known, out)
          ? acceptance
          : { kind: "refused", why: "full", detail: "the member table is full" };
      case "updated":
        this.#replaced(now, acceptance, out);
        break;
      case "equivocation":
        out.event({ kind: "equivocation", who: whoOf(acceptance.member) });
        if (acceptance.isTaken) this.#replaced(now, acceptance, out);
        break;
      case "refused":
        // A member that we remember; who is new to us is told at the door.
        if (this.#isQuiet && isOfClock(acceptance.why)) this.untimely.keep(record);
        break;
      case "old":
    }
    return acceptance;
  }

  /** Another record stands for a member. */
  #replaced(
    now: Now,
    { member, before }: { readonly member: Member; readonly before: NodeRecord },
    out: Outbox<NodeEvent>,
  ): void {
    const { ip4Counter } = before;
    if (member.record.ip4Counter !== ip4Counter) this.tunnels.withdraw(member, ip4Counter, out);
    this.#refresh(now, member, out);
  }

  #enter(
    now: Now,
    member: Member,
    known: View | undefined,
    out: Outbox<NodeEvent>,
  ): boolean {
    const { id, record } = member;
    this.#seal.know(id, record.key, bootOf(record.sequence));
    if (!this.swim.admit(now, id, this.#swimOut(now, out), known)) {
      this.roster.remove(id);
      this.#seal.forget(id);
      return false;
    }
    this.tunnels.add(now, member, out);
    this.#refresh(now, member, out);
    this.#redeem(member.membership, record.chain, out);
    if (!this.#isQuiet && this.#isOneOf(GREETERS)) this.#unheard.add(member);
    return true;
  }

  /** Where so many members of the whole mesh, on average, are enough for something. */
  #isOneOf(count: number): boolean {
    const [draw = 0] = this.#o.random(1);
    return draw * this.roster.size < 256 * count;
  }

  /** A member's record changed: everything that follows from it. */
  #refresh(now: Now, member: Member, out: Outbox<NodeEvent>): void {
    this.#seal.know(member.id, member.record.key, bootOf(member.record.sequence));
    if (this.#bulletin.isPickedUp(member.membership)) this.door.withdraw(member.id);
    this.tunnels.route([member.id, ...this.roster.rivals(member.id)], out);
    this.tunnels.aim(now, member, out);
    this.#bulletin.record(now, member.record, this.#swimOut(now, out));
    this.isDirty = true;
  }

  /** The member that a person means by a name, a key or an address. */
  find(text: string): Decoded<Member> {
    const found = this.roster.find(text);
    const own = [this.membership?.name, this.self.identity.id, formatAddress(this.ip6)];
    return found.ok || !own.includes(text)
      ? found
      : { ok: false, error: `${text}: that is this node itself: name another` };
  }

  /** Whether one more member can be taken in: there is room, or somebody is gone. */
  hasRoom(): boolean {
    return this.roster.hasRoom || this.#longestGone() !== undefined;
  }

  /** Forgets the member that has been dead or gone for longest, if there is one. */
  #makeRoom(now: Now, out: Outbox<NodeEvent>): void {
    const gone = this.#longestGone();
    if (gone) this.#remove(now, gone, out);
  }

  #longestGone(): Member | undefined {
    let oldest: MemberView | undefined;
    for (const view of this.swim.members()) {
      const isGone = view.status === "dead" || view.status === "left";
      if (isGone && view.since < (oldest?.since ?? Infinity)) oldest = view;
    }
    return oldest && this.roster.get(oldest.id);
  }

  /** Takes a member out for good: revoked, expired, or no longer trusted. */
  expel(now: Now, member: Member, out: Outbox<NodeEvent>): void {
    this.#remove(now, member, out);
    out.event({ kind: "memberRevoked", who: whoOf(member) });
  }

  /** Takes a member out of every part. */
  #remove(now: Now, member: Member, out: Outbox<NodeEvent>): void {
    const rivals = this.roster.rivals(member.id);
    this.#bulletin.redemption(
      now,
      member.membership,
      member.record.chain,
      this.#swimOut(now, out),
    );
    this.swim.forget(now, member.id, this.#swimOut(now, out));
    this.#bulletin.retractRecord(member.id);
    this.#seal.forget(member.id);
    this.door.withdraw(member.id);
    this.tunnels.remove(now, member, out);
    this.roster.remove(member.id);
    this.tunnels.route(rivals, out);
    this.isDirty = true;
  }

  /** Expels everybody who is no member any more by what is known now, and takes back who is again. */
  review(now: Now, out: Outbox<NodeEvent>): void {
    const seconds = Math.floor(now.wall / 1000);
    const isTimely = this.#isTimely(seconds);
    for (const member of [...this.roster.members()]) {
      const judgement = this.trust.review(member.membership, seconds);
      if (judgement.kind === "member") member.membership = judgement.membership;
      else if (!isOfClock(judgement.why)) this.expel(now, member, out);
      else if (isTimely) {
        this.untimely.keep(member.record);
        this.#remove(now, member, out);
        out.event({ kind: "memberExpired", who: whoOf(member) });
      }
    }
    const judge = (record: NodeRecord) => this.trust.judge(record, seconds);
    const judgeEarlier = (record: NodeRecord) => this.trust.judge(record, seconds - KEPT);
    const back = this.untimely.review(judge, isTimely ? judgeEarlier : undefined);
    for (const record of back) this.take(now, record, out);
    const ended = this.#bulletin.expire(seconds, this.trust.expire(seconds));
    for (const id of ended) this.door.withdraw(id);
    for (const id of this.door.expire(now)) this.release(id);
  }

  /** Where our own certificate is not valid, it is our clock that is wrong, more likely than others. */
  #isTimely(seconds: number): boolean {
    const { membership } = this;
    return !membership || this.trust.review(membership, seconds).kind === "member";
  }

  /** Whether somebody is a member, or was one before the clock said otherwise. */
  isKnown(id: MemberId): boolean {
    return this.roster.get(id) !== undefined || this.untimely.has(id);
  }

  /** Whether a member has not heard of us yet, or may have forgotten us: it needs an introduction. */
  isStranger(member: Member): boolean {
    return isUnheard(member) || this.swim.member(member.id)?.status === "dead";
  }

  /** Somebody was answered at the door: its confirmation can be opened. */
  expect(record: NodeRecord): void {
    this.#seal.know(record.id, record.key, bootOf(record.sequence));
  }

  /** A half-open acquaintance ended: without membership its key is not needed. */
  release(id: MemberId): void {
    if (!this.roster.get(id)) this.#seal.forget(id);
  }

  /** Counts a membership against the tokens that it redeemed. @returns whether that is news. */
  #redeem(membership: Membership, chain: Chain, out: Outbox<NodeEvent>): boolean {
    const { isNew, over } = this.trust.redeem(membership, chain);
    for (const { token, by } of over) {
      const members = by.map((id) => whoOf(this.roster.get(id)) ?? { id, name: "" });
      out.event({ kind: "tokenOverused", token, members });
    }
    return isNew;
  }

  /** Somebody joined with a token and may be no member any more: others must not let it in again. */
  redeemed(now: Now, membership: Membership, chain: Chain, out: Outbox<NodeEvent>): void {
    if (!this.#redeem(membership, chain, out)) return;
    this.#bulletin.redemption(now, membership, chain, this.#swimOut(now, out));
  }

  // ---- Rumours --------------------------------------------------------------------------------

  /** Takes our own or a verified revocation in: voids what rests on it, passes it on. */
  revoke(now: Now, revocation: Revocation, out: Outbox<NodeEvent>): void {
    const wasRevoked = this.isRevoked;
    if (!this.trust.revoke(revocation, Math.floor(now.wall / 1000))) return;
    const { key, bytes } = revocation;
    // Who is voided by it should know why nobody talks to it any more.
    for (const { id, membership } of this.roster.members()) {
      const isVoid = id === key || membership.keys.includes(key);
      if (isVoid && this.#isOneOf(GREETERS)) this.send(now, id, "revocation", bytes, out);
    }
    if (this.isRevoked && !wasRevoked) out.event({ kind: "revoked" });
    this.review(now, out);
    this.#bulletin.revocation(now, revocation, this.#swimOut(now, out));
    // Gossip may have much else to carry: whoever learns of it tells some others at once.
    for (const id of this.#some(FANOUT)) this.send(now, id, "revocation", revocation.bytes, out);
    this.isDirty = true;
  }

  /** So many living members at random, or all. */
  #some(count: number): MemberId[] {
    const live = [...this.swim.members()].filter(({ status }) => status === "alive");
    const chosen: MemberId[] = [];
    while (chosen.length < count && live.length > 0) {
      const [high = 0, low = 0] = this.#o.random(2);
      const [one] = live.splice((high * 256 + low) % live.length, 1);
      if (one) chosen.push(one.id);
    }
    return chosen;
  }

  /**
   * An admin's approval of a key: every door grants it to whoever asks, and a member that has it
   * already takes it for its new certificate.
   */
  approve(now: Now, membership: Membership, chain: Chain, out: Outbox<NodeEvent>): void {
    const { id } = membership;
    if (!this.roster.get(id)) this.door.approve(id, chain);
    this.#bulletin.approval(now, membership, chain, this.#swimOut(now, out));
  }

  #approved(now: Now, membership: Membership, chain: Chain, out: Outbox<NodeEvent>): void {
    const { id, expires } = membership;
    if (id === this.self.identity.id) return this.adopt(now, chain);
    // Whose record shows it, or a longer one, has picked it up.
    const shown = this.roster.get(id)?.membership.expires ?? -Infinity;
    if (shown < expires) this.approve(now, membership, chain, out);
  }

  /** Judges what swim has handed out; each verdict may hand out more. */
  digest(now: Now, out: Outbox<NodeEvent>): void {
    for (let rumour; (rumour = this.#inbox.shift()) !== undefined;) {
      if (!this.#believe(now, rumour, out)) this.drops.rumour++;
    }
  }

  #believe(now: Now, rumour: Rumour, out: Outbox<NodeEvent>): boolean {
    const { meshId } = this.roster;
    const news = verifyNews(this.#o.crypto, meshId, this.trust, now, rumour);
    switch (news?.kind) {
      case undefined:
        return false;
      case "record":
        if (news.record.id !== this.self.identity.id) {
          return this.take(now, news.record, out).kind !== "refused";
        }
        this.recall(now, news.record.bytes, out);
        return true;
      case "revocation":
        this.revoke(now, news.revocation, out);
        return true;
      case "redemption":
        this.redeemed(now, news.membership, news.chain, out);
        return true;
      case "approval":
        this.#approved(now, news.membership, news.chain, out);
        return true;
    }
  }

  // ---- Swim -----------------------------------------------------------------------------------

  tick(now: Now, out: Outbox<NodeEvent>): void {
    this.swim.tick(now, this.#swimOut(now, out));
  }

  gossip(now: Now, from: MemberId, payload: Uint8Array, out: Outbox<NodeEvent>): void {
    const message = decode(payload, PAYLOAD_MAX);
    if (message.ok) this.swim.receive(now, from, message.value, this.#swimOut(now, out));
    else this.drops.gossip++;
  }

  heard(now: Now, id: MemberId, out: Outbox<NodeEvent>): void {
    this.swim.heard(now, id, this.#swimOut(now, out));
  }

  level(now: Now, id: MemberId, out: Outbox<NodeEvent>): void {
    this.swim.pushPull(now, id, this.#swimOut(now, out));
  }

  leave(now: Now, out: Outbox<NodeEvent>): void {
    this.swim.leave(now, this.#swimOut(now, out));
  }

  /** Members that should be greeted, each once: whoever was sent to unheard, and some newcomers. */
  takeUnheard(): Member[] {
    const all = [...this.#unheard];
    this.#unheard.clear();
    return all;
  }

  /** Whether nobody of the mesh talks to us. */
  isAlone(): boolean {
    for (const { status, heardAt } of this.swim.members()) {
      if (status === "alive" && heardAt > -Infinity) return false;
    }
    return true;
  }

  /** Authenticated traffic of a tunnel is a sign of life: such members need no probe. */
  traffic(now: Now, facts: FactReader, out: Outbox<NodeEvent>): void {
    for (const { id } of this.tunnels.heard(now, facts)) this.heard(now, id, out);
  }

  /** What was not believed or had no room, by reason. */
  counters(): Record<string, number> {
    const { rumour, gossip } = this.drops;
    const door = Object.entries(this.door.drops).map(([why, count]) => [`door_${why}`, count]);
    const swim = Object.entries(this.swim.counters()).map(([why, count]) => [`swim_${why}`, count]);
    const { refusedRevocations: revocations, refusedRedemptions: redemptions } = this.trust;
    const news = this.#bulletin.refused;
    const untimely = this.untimely.dropped;
    const own = {
      rumour,
      gossip,
      untimely,
      news,
      revocations,
      redemptions,
      members: this.roster.refused,
    };
    return { ...own, ...Object.fromEntries(door), ...Object.fromEntries(swim) };
  }

  /** Runs a step of which people need not hear: what a restart remembers is no news. */
  quietly(step: () => void): void {
    this.#isQuiet = true;
    step();
    this.#isQuiet = false;
  }

  /** Seals for a member and sends to wherever it may be. */
  send(
    now: Now,
    to: MemberId,
    kind: PayloadKind,
    payload: Uint8Array,
    out: Outbox<NodeEvent>,
  ): void {
    const member = this.roster.get(to);
    const bytes = member && this.#seal.seal(to, kind, payload);
    if (!bytes) return;
    if (this.isStranger(member)) this.#unheard.add(member);
    for (const place of this.roster.places(member, now)) out.send({ bytes, ...place });
  }

  #swimOut(now: Now, out: Outbox<NodeEvent>): SwimOutbox {
    return {
      message: (to, message) => this.send(now, to, "gossip", encode(message, PAYLOAD_MAX), out),
      rumour: (_from, rumour) => void this.#inbox.push(rumour),
      event: (event) => this.#tell(event, out),
    };
  }

  #tell(event: SwimEvent, out: Outbox<NodeEvent>): void {
    this.isDirty = true;
    if (event.kind === "refuted" || this.#isQuiet) return;
    const member = this.roster.get(event.id);
    if (!member) return;
    const who = whoOf(member);
    if (event.kind === "returned") {
      return out.event({ kind: "memberReturned", who, absentMs: event.absentMs });
    }
    out.event({ kind: MEMBER_EVENTS[event.kind], who });
  }
}

const MEMBER_EVENTS = {
  joined: "memberJoined",
  suspected: "memberSuspected",
  recovered: "memberRecovered",
  died: "memberDied",
  departed: "memberLeft",
} as const;
