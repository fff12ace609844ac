/**
 * What members say to each other beside gossip: first acquaintance, pings, notices of boot numbers,
 * records that their subject has forgotten, statements that cannot wait, and the admission of whom a
 * door has let in.
 */
import { Reader } from "./codec.ts";
import type { Crypto } from "./crypto.ts";
import type { Door } from "./door/door.ts";
import { COOKIE_SIZE, decodeAnswer } from "./door/greeting.ts";
import { Hellos } from "./door/hellos.ts";
import { RENEWAL_PACE } from "./door/first_contacts.ts";
import { backTo } from "./door/joiner.ts";
import { Refusals } from "./door/refusals.ts";
import { type Endpoint, formatEndpoint, sameEndpoint, type Source } from "./endpoint.ts";
import type { NodeEvent } from "./event.ts";
import type { Deadline, Now, Outbox, Random } from "./machine.ts";
import { decodeAdmission } from "./membership/admission.ts";
import type { MemberId } from "./membership/identity.ts";
import { bootOf } from "./membership/record.ts";
import type { Mesh } from "./membership/mesh.ts";
import type { Member } from "./membership/roster.ts";
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
import { Reflexive } from "./reflexive.ts";
import type { Arrival } from "./tunnel/types.ts";
import {
  DATAGRAM_MAX,
  encodeTop,
  type OpenResult,
  PAYLOAD_MAX,
  type PayloadKind,
} from "./wire/seal.ts";

/** Milliseconds for the answer to a ping of our own. */
const GREETING_TIME = 5_000;
/** Milliseconds between two notices, or two pings of our own, to one member. */
const PACE = 1_000;
/**
 * Milliseconds after which a member that is asked at a new place is asked there again, as long as it has not answered:
 * the question or its answer may be lost, and whoever mostly receives says nothing more from there for seconds. With
 * the first these are the three that may go there in a minute.
 */
const ASKED_AGAIN = [250, 1_000];
/** New places of one member that are asked at once; a NAT that gives another port to each packet makes no more. */
const ASKED_PLACES = 4;
/** Milliseconds between two greetings of one member after changes of our own addresses, the last of which counts. */
const MOVE_PACE = 250;
/**
 * Milliseconds between introductions to a member that was not heard yet: spread, since only three
 * datagrams may go to a place in the first minute, and what kept the first away may last a while.
 */
const INTRODUCTION_WAITS = [2_000, 10_000, 30_000];
const LONGEST_INTRODUCTION_WAIT = 60_000;
/** Confirmations of one answer, and milliseconds between them. */
const CONFIRMATIONS = 4;
const CONFIRMATION_PACE = 300;

/** A door's cookie, repeated until the door talks to us. */
interface Confirmation {
  readonly cookie: Uint8Array;
  left: number;
  at: number;
}

/** A ping that goes to one place after the other. */
interface Question extends Ping {
  readonly places: Map<number, Endpoint>;
}

/** A place of a member, new or the last that it has proven, while it is asked there. */
interface Asked {
  readonly at: Pick<Arrival, "from" | "source">;
  /** Boot ms of the first question. */
  readonly since: number;
  /** How often it was asked again. */
  again: number;
}

/** Places of one member that are told of a wrong number, each once a second. */
const NOTICED_PLACES = 4;

export class Talk {
  readonly #pings = new Pings();
  readonly #reflexive = new Reflexive();
  /** At most one per seed or introduction that was answered. */
  readonly #confirmations = new Map<MemberId, Confirmation>();
  /** To whom each was sent, and where: its answer proves that place alone. */
  readonly #hellos: Hellos<{ readonly id: MemberId; readonly place: Endpoint }>;
  #doorman: Member | undefined;
  /** Boot ms of the last notice to each, by place: somebody else may speak in a member's name, from elsewhere. */
  readonly #noticed = new Map<MemberId, Map<string, number>>();
  /** Boot ms of the last greeting and proof of membership; never more than the members. */
  readonly #greeted = new Map<MemberId, number>();
  readonly #shown = new Map<MemberId, number>();
  /** Places at which members are asked again and again, the one asked first in front. */
  readonly #asked = new Map<MemberId, Map<string, Asked>>();
  /** Members that were heard at a place that they have not proven: the last that was asked for a proof, and when. */
  readonly #sought = new Map<MemberId, { readonly place: string; readonly at: number }>();
  /** How often members were introduced to us since they were heard last, and when the next may be. */
  readonly #introduced = new Map<MemberId, { readonly tries: number; readonly at: number }>();
  /** Boot ms of the last greeting that said where we are, by whom it went to, and of one that is due. */
  readonly #moveTold = new Map<MemberId, number>();
  readonly #moveDue = new Map<MemberId, number>();
  /** Whom we take for a member and who does not take us for one. */
  readonly refusals = new Refusals();
  /** Sealed datagrams that came to nothing, by reason. */
  readonly drops = {
    malformed: 0,
    unknown: 0,
    forged: 0,
    replayed: 0,
    stale: 0,
    early: 0,
    twin: 0,
  };

  constructor(
    crypto: Crypto,
    private readonly random: Random,
    private readonly mesh: Mesh,
    private readonly door: Door,
  ) {
    const { judge: { meshId }, self: { identity } } = mesh;
    this.#hellos = new Hellos(crypto, random, meshId, identity);
  }

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

  /**
   * Says to a member that hears us where we are now. Changes come in bursts, as where an address goes and then those that
   * hung on it: what was said in the middle of one is wrong, so a greeting that comes too soon is put off and not left out.
   */
  tellMove(now: Now, member: Member, out: Outbox<NodeEvent>): void {
    const { id } = member;
    const next = (this.#moveTold.get(id) ?? -Infinity) + MOVE_PACE;
    if (now.boot < next) return void this.#moveDue.set(id, next);
    this.#moveDue.delete(id);
    this.#moveTold.set(id, now.boot);
    this.#greeted.delete(id);
    this.greet(now, member, out);
  }

  deadline(): Deadline | undefined {
    let deadline = this.#pings.deadline();
    for (const at of this.#moveDue.values()) {
      if (at < (deadline?.at ?? Infinity)) deadline = { at, why: "say where we are" };
    }
    for (const { at } of this.#confirmations.values()) {
      if (at < (deadline?.at ?? Infinity)) deadline = { at, why: "confirm a join again" };
    }
    for (const places of this.#asked.values()) {
      for (const asked of places.values()) {
        const at = askedAgainAt(asked);
        if (at < (deadline?.at ?? Infinity)) deadline = { at, why: "ask at a new place again" };
      }
    }
    return deadline;
  }

  poll(now: Now, out: Outbox<NodeEvent>): void {
    for (const ping of this.#pings.overdue(now)) this.#lost(ping, out);
    for (const [id, confirmation] of this.#confirmations) {
      if (now.boot >= confirmation.at) this.#confirm(now, id, confirmation, out);
    }
    for (const [id, at] of this.#moveDue) {
      if (now.boot < at) continue;
      this.#moveDue.delete(id);
      const member = this.mesh.roster.get(id);
      // What came on its way since the change may have shown the old place as good.
      if (member) this.tellMove(now, this.mesh.roster.doubt(member, now), out);
    }
    for (const [id, places] of this.#asked) {
      const member = this.mesh.roster.get(id);
      for (const [place, asked] of places) {
        if (member && now.boot >= askedAgainAt(asked)) this.#askAgain(now, member, asked, out);
        const isOver = askedAgainAt(asked) === Infinity && now.boot - lastAskedAt(asked) >= PACE;
        if (isOver) places.delete(place);
      }
      if (places.size === 0) this.#asked.delete(id);
    }
    for (
      const paced of [
        this.#moveTold,
        this.#noticed,
        this.#greeted,
        this.#shown,
        this.#asked,
        this.#sought,
        this.#introduced,
      ]
    ) {
      for (const id of paced.keys()) if (!this.mesh.roster.get(id)) paced.delete(id);
    }
    this.refusals.expire(now, (id) => this.mesh.roster.get(id) !== undefined);
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
    if (this.mesh.isStranger(member)) {
      const known = this.#introduced.get(member.id);
      if (known && now.boot < known.at) return;
      if (!this.#introduce(now, member, out)) return void this.mesh.unintroduced.add(member.id);
      this.mesh.unintroduced.delete(member.id);
      const tries = known?.tries ?? 0;
      const wait = INTRODUCTION_WAITS[tries] ?? LONGEST_INTRODUCTION_WAIT;
      return void this.#introduced.set(member.id, { tries: tries + 1, at: now.boot + wait });
    }
    this.#introduced.delete(member.id);
    if (!isPaced(this.#greeted, now, member.id)) return;
    this.#ping(now, member, PING_MIN, GREETING_TIME, false, out);
  }

  /** A member was heard at a place: asks for a new proof that it is there if the last one is old. */
  renew(now: Now, member: Member, place: Endpoint, out: Outbox<NodeEvent>): void {
    if (!this.mesh.contacts.mustRenew(now, place, member.id)) return;
    this.#ping(now, member, PING_MIN, GREETING_TIME, false, out);
  }

  /**
   * A member has moved, as it seems, or is back where it was before it slept. Without a proof of that place it would get
   * next to nothing there, so it would seem to be silent, deny that, and seem to be silent again. Only what was sealed leads
   * here: a handshake could be a copy after our restart, and is answered already. The question counts as an answer: what may
   * go unasked to a place that was silent is always used up, as the dead are probed now and then.
   */
  #seek(now: Now, member: Member, arrival: Arrival, out: Outbox<NodeEvent>): void {
    const { id } = member;
    if (this.mesh.contacts.isProven(now, arrival.from, id)) return;
    const place = formatEndpoint(arrival.from);
    const last = this.#sought.get(id);
    if (last && now.boot - last.at < (last.place === place ? RENEWAL_PACE : PACE)) return;
    const isAsked = this.mesh.contacts.isRemembered(arrival.from, id)
      ? this.#askRepeatedly(now, member, arrival, out)
      : this.#askAt(now, member, arrival, out);
    if (!isAsked) return;
    this.#sought.set(id, { place, at: now.boot });
    // Whoever has its key, or ours, can seal this at any place: if the member has not moved, it says so at once.
    const home = this.mesh.contacts.homeOf(id);
    if (home && !sameEndpoint(home, arrival.from)) {
      this.#askRepeatedly(now, member, { from: home }, out);
    }
  }

  /**
   * Data of a member came from another place than its tunnel leads to: where it has not proven that place, it is asked
   * there, since the tunnel does not follow it before: at once, whatever other place it was asked at a moment ago, and
   * again as ASKED_AGAIN says, and then each second as long as data comes from there.
   */
  heardElsewhere(
    now: Now,
    member: Member,
    from: Endpoint,
    source: Source | undefined,
    out: Outbox<NodeEvent>,
  ): void {
    if (this.mesh.tunnels.heardElsewhere(now, member, from, source, out)) return;
    this.#askRepeatedly(now, member, source ? { from, source } : { from }, out);
  }

  /** Asks a member at a place at once and again, until it was heard there, unless that is done already. */
  #askRepeatedly(now: Now, member: Member, at: Asked["at"], out: Outbox<NodeEvent>): boolean {
    const places = this.#asked.get(member.id) ?? new Map<string, Asked>();
    this.#asked.set(member.id, places);
    const place = formatEndpoint(at.from);
    const last = places.get(place);
    if (last && (askedAgainAt(last) < Infinity || now.boot - lastAskedAt(last) < PACE)) {
      return false;
    }
    places.delete(place);
    const [oldest] = places.keys();
    if (places.size >= ASKED_PLACES && oldest !== undefined) places.delete(oldest);
    // Where nothing may be sent now, nothing is waited for either.
    const isAsked = this.#askAt(now, member, at, out);
    places.set(place, { at, since: now.boot, again: isAsked ? 0 : ASKED_AGAIN.length });
    return isAsked;
  }

  #askAgain(now: Now, member: Member, asked: Asked, out: Outbox<NodeEvent>): void {
    const { from } = asked.at;
    const isThere = member.observed && sameEndpoint(member.observed.endpoint, from) &&
      this.mesh.contacts.isProven(now, from, member.id);
    if (!isThere && this.#askAt(now, member, asked.at, out)) asked.again++;
    else asked.again = ASKED_AGAIN.length;
  }

  /**
   * Asks a member whether the run of its record still lives, where it proved itself last. What another has sealed since
   * says another number of starts than that run reads.
   */
  #askAtHome(now: Now, member: Member, out: Outbox<NodeEvent>): void {
    const home = this.mesh.contacts.homeOf(member.id);
    if (home) this.#askAt(now, member, { from: home }, out, bootOf(member.record.sequence));
    else this.#ping(now, member, PING_MIN, GREETING_TIME, false, out);
  }

  /**
   * Asks a member for a proof that it receives at a place.
   * @param boot number of the member's start that is to read it; the last that it has named when absent
   * @returns whether that may be sent there
   */
  #askAt(
    now: Now,
    member: Member,
    at: Pick<Arrival, "from" | "source">,
    out: Outbox<NodeEvent>,
    boot?: number,
  ): boolean {
    const ping = this.#question(now, member, GREETING_TIME, false);
    const payload = this.#pingTo(at.from, ping, PING_MIN);
    const bytes = this.mesh.seal.seal(member.id, "ping", payload, boot);
    const datagram = bytes && backTo(at, bytes);
    if (!datagram || !this.mesh.contacts.maySend(now, datagram, member.id)) return false;
    this.#wait(ping, out);
    out.send(datagram);
    return true;
  }

  /** @returns whether it went anywhere */
  #introduce(now: Now, member: Member, out: Outbox<NodeEvent>): boolean {
    const { record, roster } = this.mesh;
    let isSent = false;
    // Each is sealed anew: a copy of one that was opened is not looked at.
    for (const place of roster.places(member, now)) {
      if (!this.mesh.contacts.may(now, place.to, member.id)) continue;
      const bytes = this.#hellos.seal(member.record.key, record.bytes, {
        id: member.id,
        place: place.to,
      });
      if (!bytes) continue;
      out.send({ bytes, ...place });
      isSent = true;
    }
    return isSent;
  }

  /** The answer to an introduction. @returns whether our reflexive addresses changed. */
  answered(now: Now, arrival: Arrival, out: Outbox<NodeEvent>): boolean {
    const replied = this.#hellos.reply(arrival.bytes);
    if (replied?.kind === "again") out.send(backTo(arrival, replied.bytes));
    if (replied?.kind !== "answer") return false;
    const answer = decodeAnswer(replied.content);
    const { id, place } = replied.about;
    const member = this.mesh.roster.get(id);
    if (!answer.ok || !member) return false;
    const { cookie, observed, verdict } = answer.value;
    if (verdict.kind === "refused") {
      this.refusals.note(now, id, verdict.why);
      return false;
    }
    this.refusals.clear(id);
    if (sameEndpoint(place, arrival.from)) this.mesh.proven(now, place, id, out);
    this.#place(now, member, arrival, out);
    this.#record(now, id, verdict.record, out);
    this.confirm(now, member.id, cookie, out);
    return this.observe(member, observed);
  }

  /** A sealed datagram. @returns whether our reflexive addresses changed. */
  sealed(now: Now, arrival: Arrival, out: Outbox<NodeEvent>): boolean {
    const result = this.mesh.seal.open(now, arrival.bytes);
    const { contacts } = this.mesh;
    // Only what was opened is no copy, and shows that its sender is still where it proved itself.
    const isAtHome = result.kind === "opened" &&
      contacts.heard(now, arrival.from, result.value.from);
    if (result.kind !== "dropped" && !isAtHome) {
      contacts.owe(now, arrival.from, arrival.bytes.length);
    }
    switch (result.kind) {
      case "dropped":
        this.drops[result.why]++;
        return false;
      case "stale":
        this.drops.stale++;
        if (result.isNewStart) this.mesh.startedAnew(now, result.from, out);
        this.mesh.stale(now, result.value, out);
        this.mesh.catchUp(now, result.from, result.echo);
        this.#correct(now, result.from, result, arrival, out);
        return false;
      case "behind":
        this.drops.replayed++;
        this.#behind(now, result, arrival, out);
        return false;
      case "twin":
        this.drops.twin++;
        if (result.isFresh) this.mesh.copies.twins.otherHeard(now, result.from, arrival.from);
        this.mesh.fromSecond(now, result.value, out);
        // It has the same key, so it can read what its first machine has said of itself.
        this.#correct(now, result.from, { boot: result.boot, isBehind: true }, arrival, out);
        return false;
      case "opened": {
        const changed = this.#opened(now, result, arrival, out);
        // Where it is now was noted first.
        if (result.isNewStart) this.mesh.startedAnew(now, result.value.from, out);
        return changed;
      }
    }
  }

  #opened(
    now: Now,
    { value, run }: Extract<OpenResult, { readonly kind: "opened" }>,
    arrival: Arrival,
    out: Outbox<NodeEvent>,
  ): boolean {
    const { from, kind, payload } = value;
    if (kind === "confirm") this.#confirmed(now, from, payload, arrival, out);
    const member = this.mesh.roster.get(from);
    if (member === undefined) {
      this.drops.early++; // answered at our door, not confirmed yet
      return false;
    }
    this.refusals.clear(from);
    if (this.#confirmations.delete(from)) this.#doorman ??= member;

    const isInDoubt = this.mesh.copies.heard(now, { id: from, place: arrival.from, run });
    if (isInDoubt) this.#askAtHome(now, member, out);
    this.#place(now, member, arrival, out);
    // Before what it asks for: the few datagrams that may go to a silent place may all be used up.
    if (kind !== "pong") this.renew(now, member, arrival.from, out);
    if (kind !== "pong" && kind !== "ping") this.#seek(now, member, arrival, out);
    if (kind === "gossip") {
      this.mesh.gossip(now, from, { payload, run, place: arrival.from }, out);
    } else this.mesh.heard(now, from, out);
    if (this.mesh.copies.farewells.mustAsk(now, from)) this.#askAtHome(now, member, out);
    switch (kind) {
      case "ping":
        this.#answer(now, payload, member, arrival, out);
        // After the answer, which a person may wait for: a question to a new place would use up what it may cost.
        this.#seek(now, member, arrival, out);
        return false;
      case "pong":
        return this.#ponged(now, member, { payload, run }, arrival, out);
      case "record":
        this.#record(now, from, payload, out);
        return false;
      case "statements":
        this.mesh.statementsFrom(now, from, payload, out);
        return false;
      case "admission":
        this.#admission(now, payload, out);
        return false;
      case "notice":
        this.mesh.overtaken(now, from, { top: payload, isNew: true }, out);
        return false;
      default:
        return false;
    }
  }

  /** Authenticated and not replayed: the member is where this came from. */
  #place(now: Now, member: Member, arrival: Arrival, out: Outbox<NodeEvent>): void {
    const before = member.observed;
    const { from, source } = arrival;
    this.mesh.roster.heardAt(member, { endpoint: from, source, at: now.boot }, now);
    if (before && sameEndpoint(before.endpoint, from)) return;
    this.mesh.noteChange();
    this.mesh.tunnels.aim(now, member, out);
  }

  #confirmed(
    now: Now,
    from: MemberId,
    payload: Uint8Array,
    arrival: Arrival,
    out: Outbox<NodeEvent>,
  ): void {
    const cookie = payload.subarray(0, COOKIE_SIZE);
    const record = this.door.confirm(now, from, cookie, arrival.from);
    if (record === undefined) {
      // Repeated: what proves its membership may have been lost.
      if (this.mesh.roster.get(from) && isPaced(this.#shown, now, from)) {
        this.mesh.sendAdmission(now, from, out);
      }
      return;
    }
    // Judged again: another may have used the token up between our answer and this.
    const acceptance = this.mesh.letIn(now, record, out);
    if (acceptance.kind === "refused") return this.mesh.release(from);
    const { member } = acceptance;
    this.mesh.proven(now, arrival.from, from, out);
    this.#place(now, member, arrival, out);
    if (acceptance.kind === "old" && member.record.sequence > record.sequence) {
      this.mesh.send(now, from, "record", member.record.bytes, out); // it has lost its state
    }
    this.mesh.sendAdmission(now, from, out);
    this.greet(now, member, out);
  }

  /** Somebody has a wrong idea of our boot number, or we of its. */
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
    const kind = isForgetful ? "record" : "notice";
    this.#tell(now, id, { boot: stale.boot, kind, payload }, arrival, out);
  }

  /** The counters of a member were led beyond where it is, by somebody with its key or ours, or a datagram came twice. */
  #behind(
    now: Now,
    { from, boot, top, isLeap, value }: Extract<OpenResult, { readonly kind: "behind" }>,
    arrival: Arrival,
    out: Outbox<NodeEvent>,
  ): void {
    // Ours may have been led astray as well: then what it says of them comes no other way.
    if (value.kind === "notice") {
      this.mesh.overtaken(now, from, { top: value.payload, isNew: isLeap }, out);
    }
    this.#tell(now, from, { boot, kind: "notice", payload: encodeTop(top) }, arrival, out);
  }

  /** Says to somebody, once a second, what is wrong with the numbers in what it has sent. */
  #tell(
    now: Now,
    id: MemberId,
    { boot, kind, payload }: {
      readonly boot: number;
      readonly kind: PayloadKind;
      readonly payload: Uint8Array;
    },
    arrival: Arrival,
    out: Outbox<NodeEvent>,
  ): void {
    // It may be a replay from anywhere: nothing goes back beyond the bytes that came (T34), but to
    // a place that has proven itself.
    const isLonger = payload.length + DATAGRAM_MAX - PAYLOAD_MAX > arrival.bytes.length;
    if (isLonger && !this.mesh.contacts.isProven(now, arrival.from, id)) return;
    if (!this.#mayNotice(now, id, arrival.from)) return;
    const bytes = this.mesh.seal.seal(id, kind, payload, boot);
    if (bytes === undefined) return;
    if (this.mesh.contacts.mayAnswer(now, arrival.from, id, bytes.length)) {
      out.send(backTo(arrival, bytes));
    }
  }

  /** Whether nothing was said so to a member at this place for a second. Of its places the last few are remembered. */
  #mayNotice(now: Now, id: MemberId, at: Endpoint): boolean {
    const places = this.#noticed.get(id) ?? new Map<string, number>();
    this.#noticed.set(id, places);
    const place = formatEndpoint(at);
    if (now.boot - (places.get(place) ?? -Infinity) < PACE) return false;
    places.delete(place); // The last one said stands last.
    places.set(place, now.boot);
    const [oldest] = places.keys();
    if (places.size > NOTICED_PLACES && oldest !== undefined) places.delete(oldest);
    return true;
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
    const ping = this.#question(now, member, timeoutMs, isAsked);
    this.#wait(ping, out);
    this.mesh.sendEach(now, member.id, "ping", (place) => this.#pingTo(place, ping, size), out);
    return ping.nonce;
  }

  #question(now: Now, member: Member, timeoutMs: number, isAsked: boolean): Question {
    let nonce: number;
    do nonce = new Reader(this.random(4)).u32(); while (this.#pings.has(nonce));
    const who = this.mesh.roster.who(member.id);
    return {
      who,
      nonce,
      sentAt: now.boot,
      until: now.boot + timeoutMs,
      places: new Map(),
      isAsked,
    };
  }

  /** Its answer is waited for from now on. */
  #wait(ping: Ping, out: Outbox<NodeEvent>): void {
    const lost = this.#pings.add(ping);
    if (lost) this.#lost(lost, out);
  }

  #pingTo(place: Endpoint, { nonce, places }: Question, size: number): Uint8Array {
    const token = new Reader(this.random(4)).u32();
    places.set(token, place);
    return encodePing(nonce, token, size);
  }

  #answer(
    now: Now,
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
      encodePong(ping.value.nonce, ping.value.token, arrival.from),
    );
    if (bytes === undefined) return;
    if (this.mesh.contacts.mayAnswer(now, arrival.from, member.id, bytes.length)) {
      out.send(backTo(arrival, bytes));
    }
  }

  #ponged(
    now: Now,
    member: Member,
    { payload, run }: { readonly payload: Uint8Array; readonly run: string },
    arrival: Arrival,
    out: Outbox<NodeEvent>,
  ): boolean {
    const pong = decodePong(payload);
    const ping = pong.ok ? this.#pings.answered(member.id, pong.value.nonce) : undefined;
    if (!pong.ok || !ping) return false;
    const answer = { id: member.id, run, place: arrival.from, askedAt: ping.sentAt };
    this.mesh.copies.answered(now, answer, out);
    const asked = ping.places.get(pong.value.token);
    if (asked && sameEndpoint(asked, arrival.from)) {
      this.mesh.proven(now, arrival.from, member.id, out);
    }
    const rttMs = now.boot - ping.sentAt;
    member.rtt = rttMs;
    if (ping.isAsked) {
      const { nonce } = ping;
      out.event({
        kind: "pong",
        who: this.mesh.roster.who(member.id),
        nonce,
        endpoint: arrival.from,
        rttMs,
      });
    }
    return this.observe(member, pong.value.observed);
  }

  #record(now: Now, from: MemberId, payload: Uint8Array, out: Outbox<NodeEvent>): void {
    const record = this.mesh.scrutiny.open(now, from, payload, out);
    if (!record) return;
    if (record.id === this.mesh.id) this.mesh.recall(now, payload, out);
    else this.mesh.take(now, record, out, undefined, from);
  }

  /** The door at which we knocked has let us in. */
  #admission(now: Now, payload: Uint8Array, out: Outbox<NodeEvent>): void {
    const admission = decodeAdmission(payload);
    if (admission.ok) this.mesh.admitted(now, admission.value, out);
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

/** Boot ms of the next question at a new place; Infinity: there is none, unless more data comes from there. */
function askedAgainAt({ since, again }: Asked): number {
  return since + (ASKED_AGAIN[again] ?? Infinity);
}

function lastAskedAt({ since, again }: Asked): number {
  return since + (ASKED_AGAIN[again - 1] ?? 0);
}
