/**
 * What members say to each other beside gossip: first acquaintance, pings, notices of boot numbers,
 * records that their subject has forgotten, certificates that an admin renewed.
 */
import { Reader } from "./codec.ts";
import type { Crypto } from "./crypto.ts";
import type { Endpoint } from "./endpoint.ts";
import { sameEndpoint } from "./endpoint.ts";
import type { Deadline, Now, Outbox, Random } from "./machine.ts";
import { DATAGRAM_MAX, openAnswer, type Opened, PAYLOAD_MAX, sealHello } from "./control.ts";
import type { NodeEvent } from "./event.ts";
import { CHALLENGE_SIZE, decodeAnswer, encodeGreeting } from "./greeting.ts";
import { Introductions } from "./introductions.ts";
import type { Mesh } from "./mesh.ts";
import {
  decodePing,
  decodePong,
  encodePing,
  encodePong,
  type Ping,
  PING_MAX,
  PING_MIN,
  Pings,
} from "./pings.ts";
import { openRecord } from "./record.ts";
import { Reflexive } from "./reflexive.ts";
import { type Member, whoOf } from "./roster.ts";
import { decodeChain } from "./trust/certificate.ts";
import type { MemberId } from "./trust/identity.ts";
import { openRevocation } from "./trust/revocation.ts";
import type { Arrival } from "./tunnel/types.ts";

/** Milliseconds for the answer to a ping of our own. */
const GREETING_TIME = 5_000;
/** Milliseconds between two notices, or two pings of our own, to one member. */
const PACE = 1_000;
/** Confirmations of one answer, and milliseconds between them. */
const CONFIRMATIONS = 4;
const CONFIRMATION_PACE = 300;

/** A door's cookie, repeated until the door talks to us. */
interface Confirmation {
  readonly cookie: Uint8Array;
  left: number;
  at: number;
}

export class Talk {
  readonly #pings = new Pings();
  readonly #reflexive = new Reflexive();
  /** At most one per seed or introduction that was answered. */
  readonly #confirmations = new Map<MemberId, Confirmation>();
  readonly #introductions = new Introductions();
  #doorman: Member | undefined;
  /** Boot ms of the last notice and the last greeting; never more than the members. */
  readonly #noticed = new Map<MemberId, number>();
  readonly #greeted = new Map<MemberId, number>();
  /** Sealed datagrams that came to nothing, by reason. */
  readonly drops = { malformed: 0, unknown: 0, forged: 0, replayed: 0, stale: 0, early: 0 };

  constructor(
    private readonly crypto: Crypto,
    private readonly random: Random,
    private readonly mesh: Mesh,
  ) {}

  /** The member at whose door we were that talked to us first: from then on we are one, too. */
  get doorman(): Member | undefined {
    return this.#doorman;
  }

  /** Addresses at which two members agree that they see us. */
  get reflexive(): readonly Endpoint[] {
    return this.#reflexive.adopted;
  }

  /** Our network changed. */
  moved(): void {
    this.#reflexive.clear();
  }

  /** A member saw us there. @returns whether our reflexive addresses changed. */
  observe(member: Member, observed: Endpoint): boolean {
    const from = member.observed?.endpoint.address;
    return from !== undefined && this.#reflexive.report(member.id, from, observed);
  }

  deadline(): Deadline | undefined {
    let deadline = this.#pings.deadline();
    for (const { at } of this.#confirmations.values()) {
      if (at < (deadline?.at ?? Infinity)) deadline = { at, why: "confirm a join again" };
    }
    return deadline;
  }

  poll(now: Now, out: Outbox<NodeEvent>): void {
    for (const ping of this.#pings.overdue(now)) this.#lost(ping, out);
    for (const [id, confirmation] of this.#confirmations) {
      if (now.boot >= confirmation.at) this.#confirm(now, id, confirmation, out);
    }
    for (const paced of [this.#noticed, this.#greeted]) {
      for (const id of paced.keys()) if (!this.mesh.roster.get(id)) paced.delete(id);
    }
  }

  /** Proves to a door that answered that we are here. */
  confirm(now: Now, id: MemberId, cookie: Uint8Array, out: Outbox<NodeEvent>): void {
    const confirmation = { cookie, left: CONFIRMATIONS, at: now.boot };
    this.#confirmations.set(id, confirmation);
    this.#confirm(now, id, confirmation, out);
  }

  /** Pings for a person. @returns the nonce that its outcome carries. */
  ping(
    now: Now,
    member: Member,
    options: { readonly timeoutMs: number; readonly size: number },
    out: Outbox<NodeEvent>,
  ): number {
    const size = Math.min(PING_MAX, Math.max(PING_MIN, options.size));
    return this.#ping(now, member, size, options.timeoutMs, true, out);
  }

  /**
   * Makes acquaintance: learns the round trip, the right place, and how the member sees us. One
   * that has not been heard of, or is dead, may not know us: it gets a hello.
   */
  greet(now: Now, member: Member, out: Outbox<NodeEvent>): void {
    if (!isPaced(this.#greeted, now, member.id)) return;
    if (this.mesh.isStranger(member)) this.#introduce(now, member, out);
    else this.#ping(now, member, PING_MIN, GREETING_TIME, false, out);
  }

  #introduce(now: Now, member: Member, out: Outbox<NodeEvent>): void {
    const { record, roster } = this.mesh;
    const challenge = this.random(CHALLENGE_SIZE);
    this.#introductions.add(challenge, member.id);
    const name = this.mesh.membership?.name ?? "member";
    const content = encodeGreeting({ challenge, name, record: record.bytes });
    const bytes = sealHello(this.crypto, this.random, "hello", roster.meshId, content);
    for (const place of roster.places(member, now)) out.send({ bytes, ...place });
  }

  /** The answer to an introduction. @returns whether our reflexive addresses changed. */
  answered(now: Now, arrival: Arrival, out: Outbox<NodeEvent>): boolean {
    const { roster, self } = this.mesh;
    const opened = openAnswer(this.crypto, roster.meshId, self.identity, arrival.bytes);
    const answer = opened.ok ? decodeAnswer(opened.value.content) : opened;
    if (!opened.ok || !answer.ok) return false;
    const { challenge, cookie, observed, verdict } = answer.value;
    const id = opened.value.key.toHex();
    const member = roster.get(id);
    if (!this.#introductions.answered(challenge, id) || !member) return false;
    if (verdict.kind !== "welcome") return false;
    this.#place(now, member, arrival, out);
    this.#record(now, verdict.record, out);
    this.confirm(now, id, cookie, out);
    return this.observe(member, observed);
  }

  /** A sealed datagram. @returns whether our reflexive addresses changed. */
  sealed(now: Now, arrival: Arrival, out: Outbox<NodeEvent>): boolean {
    const result = this.mesh.seal.open(arrival.bytes);
    switch (result.kind) {
      case "dropped":
        this.drops[result.why]++;
        return false;
      case "stale":
        this.drops.stale++;
        this.#correct(now, result.from, result, arrival, out);
        return false;
      case "opened":
        return this.#opened(now, result.value, arrival, out);
    }
  }

  #opened(now: Now, opened: Opened, arrival: Arrival, out: Outbox<NodeEvent>): boolean {
    const { from, kind, payload } = opened;
    if (kind === "confirm") this.#confirmed(now, from, payload, arrival, out);
    const member = this.mesh.roster.get(from);
    if (member === undefined) {
      this.drops.early++; // answered at our door, not confirmed yet
      return false;
    }
    if (this.#confirmations.delete(from)) this.#doorman ??= member;
    this.#place(now, member, arrival, out);
    if (kind === "gossip") this.mesh.gossip(now, from, payload, out);
    else this.mesh.heard(now, from, out);
    switch (kind) {
      case "ping":
        this.#answer(payload, member, arrival, out);
        return false;
      case "pong":
        return this.#ponged(now, member, payload, arrival, out);
      case "record":
        this.#record(now, payload, out);
        return false;
      case "chain":
        this.#chain(now, payload);
        return false;
      case "revocation":
        this.#revocation(now, payload, out);
        return false;
      default:
        return false;
    }
  }

  /** Authenticated and not replayed: the member is where this came from. */
  #place(now: Now, member: Member, arrival: Arrival, out: Outbox<NodeEvent>): void {
    const before = member.observed;
    const { from, source } = arrival;
    member.observed = { endpoint: from, source, at: now.boot };
    if (before && sameEndpoint(before.endpoint, from)) return;
    this.mesh.isDirty = true;
    this.mesh.tunnels.aim(now, member, out);
  }

  #confirmed(
    now: Now,
    from: MemberId,
    payload: Uint8Array,
    arrival: Arrival,
    out: Outbox<NodeEvent>,
  ): void {
    const record = this.mesh.door.confirm(now, from, payload.subarray(0, CHALLENGE_SIZE));
    if (record === undefined) return;
    const isKnown = this.mesh.isKnown(from);
    // Judged again: another may have used the token up between our answer and this.
    const judgement = this.mesh.trust.judgeAtDoor(record, isKnown, Math.floor(now.wall / 1000));
    const acceptance = judgement.kind === "member" ? this.mesh.take(now, record, out) : judgement;
    if (acceptance.kind === "refused") return this.mesh.release(from);
    const { member } = acceptance;
    this.#place(now, member, arrival, out);
    if (acceptance.kind === "old" && member.record.sequence > record.sequence) {
      this.mesh.send(now, from, "record", member.record.bytes, out); // it has lost its state
    }
    this.greet(now, member, out);
  }

  /** Somebody has a wrong idea of our boot number, or we of its: says so, once a second. */
  #correct(
    now: Now,
    id: MemberId,
    stale: { readonly boot: number; readonly isBehind: boolean },
    arrival: Arrival,
    out: Outbox<NodeEvent>,
  ): void {
    const member = this.mesh.roster.get(id);
    const isForgetful = stale.isBehind && member !== undefined;
    const payload = isForgetful ? member.record.bytes : new Uint8Array(0);
    // It may be a replay from anywhere: nothing goes back beyond the bytes that came (T34).
    if (payload.length + DATAGRAM_MAX - PAYLOAD_MAX > arrival.bytes.length) return;
    if (!isPaced(this.#noticed, now, id)) return;
    const kind = isForgetful ? "record" : "notice";
    const bytes = this.mesh.seal.seal(id, kind, payload, stale.boot);
    if (bytes === undefined) return;
    out.send({ bytes, to: arrival.from, ...(arrival.source ? { from: arrival.source } : {}) });
  }

  #confirm(now: Now, id: MemberId, confirmation: Confirmation, out: Outbox<NodeEvent>): void {
    if (confirmation.left-- === 0) return void this.#confirmations.delete(id);
    confirmation.at = now.boot + CONFIRMATION_PACE;
    // Full size, so that a door that knows us better than we do may answer with our record.
    const payload = new Uint8Array(PAYLOAD_MAX);
    payload.set(confirmation.cookie);
    this.mesh.send(now, id, "confirm", payload, out);
  }

  #ping(
    now: Now,
    member: Member,
    size: number,
    timeoutMs: number,
    isAsked: boolean,
    out: Outbox<NodeEvent>,
  ): number {
    let nonce: number;
    do nonce = new Reader(this.random(4)).u32(); while (this.#pings.has(nonce));
    const until = now.boot + timeoutMs;
    const lost = this.#pings.add({ who: whoOf(member), nonce, sentAt: now.boot, until, isAsked });
    if (lost) this.#lost(lost, out);
    this.mesh.send(now, member.id, "ping", encodePing(nonce, size), out);
    return nonce;
  }

  #answer(
    payload: Uint8Array,
    member: Member,
    arrival: Arrival,
    out: Outbox<NodeEvent>,
  ): void {
    const ping = decodePing(payload);
    if (!ping.ok) return;
    const bytes = this.mesh.seal.seal(
      member.id,
      "pong",
      encodePong(ping.value.nonce, arrival.from),
    );
    if (bytes === undefined) return;
    out.send({ bytes, to: arrival.from, ...(arrival.source ? { from: arrival.source } : {}) });
  }

  #ponged(
    now: Now,
    member: Member,
    payload: Uint8Array,
    arrival: Arrival,
    out: Outbox<NodeEvent>,
  ): boolean {
    const pong = decodePong(payload);
    const ping = pong.ok ? this.#pings.answered(member.id, pong.value.nonce) : undefined;
    if (!pong.ok || !ping) return false;
    const rttMs = now.boot - ping.sentAt;
    member.rtt = rttMs;
    if (ping.isAsked) {
      const { nonce } = ping;
      out.event({ kind: "pong", who: whoOf(member), nonce, endpoint: arrival.from, rttMs });
    }
    return this.observe(member, pong.value.observed);
  }

  #record(now: Now, payload: Uint8Array, out: Outbox<NodeEvent>): void {
    const { roster, self } = this.mesh;
    const opened = openRecord(this.crypto, roster.meshId, payload);
    if (!opened.ok) return;
    if (opened.value.id === self.identity.id) this.mesh.recall(now, payload, out);
    else this.mesh.take(now, opened.value, out);
  }

  /** An admin renewed our certificate: taken if it is valid for longer. */
  #chain(now: Now, payload: Uint8Array): void {
    const chain = decodeChain(payload);
    if (chain.ok) this.mesh.adopt(now, chain.value);
  }

  #revocation(now: Now, payload: Uint8Array, out: Outbox<NodeEvent>): void {
    const opened = openRevocation(this.crypto, this.mesh.meshKey, payload);
    if (opened.ok) this.mesh.revoke(now, opened.value, out);
  }

  #lost({ who, nonce, isAsked }: Ping, out: Outbox<NodeEvent>): void {
    if (isAsked) out.event({ kind: "pingLost", who, nonce });
  }
}

/** Whether the last time is long enough ago; if so, now is the last time. */
function isPaced(times: Map<MemberId, number>, now: Now, id: MemberId): boolean {
  if (now.boot - (times.get(id) ?? -Infinity) < PACE) return false;
  times.set(id, now.boot);
  return true;
}
