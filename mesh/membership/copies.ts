/**
 * What follows from it that two machines use one key (twins.ts): its datagrams, its record and its tunnel stay with the
 * machine that was first, and every member hears of it.
 */
import { type Endpoint, sameEndpoint } from "../endpoint.ts";
import type { NodeEvent } from "../event.ts";
import type { GuestTunnels } from "../guest_tunnels.ts";
import type { Now, Outbox, PeerId } from "../machine.ts";
import type { MemberTunnels } from "../member_tunnels.ts";
import type { Swim } from "../swim/swim.ts";
import type { Seal } from "../wire/seal.ts";
import type { MemberId } from "./identity.ts";
import { Farewells } from "./farewells.ts";
import { KIND, recordRumour, twinRumour } from "./news.ts";
import { bootOf, type NodeRecord } from "./record.ts";
import type { Member, Roster } from "./roster.ts";
import type { Sending } from "./spreading.ts";
import { type Alarm, Twins } from "./twins.ts";

/** Milliseconds between two records of another machine that its first one is shown. */
const PACE = 1_000;

interface Links extends Sending {
  readonly roster: Roster;
  readonly seal: Seal;
  readonly swim: Swim;
  readonly tunnels: MemberTunnels;
  readonly guests: GuestTunnels;
}

export class Copies {
  readonly twins = new Twins();
  readonly farewells = new Farewells();
  /** Never more than the members. */
  readonly #notes = new Map<MemberId, NodeRecord>();
  /** Boot ms at which each was last shown what another machine with its key has signed; never more than the members. */
  readonly #warned = new Map<MemberId, number>();

  constructor(private readonly links: Links) {}

  forget(id: MemberId): void {
    this.#end(id);
    this.twins.forget(id);
    this.farewells.forget(id);
    this.#warned.delete(id);
  }

  /** Whether a newer record may stand for its subject: two machines may use its key. */
  isFirst(now: Now, record: NodeRecord, out: Outbox<NodeEvent>): boolean {
    const member = this.links.roster.get(record.id);
    let isFirst = true;
    this.#watch(now, record.id, out, () => {
      isFirst = this.twins.record(now, record);
    });
    if (!isFirst && member) {
      this.#holdRecord(now, member, out);
      this.#warn(now, record, out);
    }
    return isFirst;
  }

  /** Shows the first of two machines with one key what the second has signed: the proof that it lives. */
  #warn(now: Now, { id, bytes }: NodeRecord, out: Outbox<NodeEvent>): void {
    if (now.boot - (this.#warned.get(id) ?? -Infinity) < PACE) return;
    this.#warned.set(id, now.boot);
    this.links.send(now, id, "record", bytes, out);
  }

  /**
   * A member's record names another machine with its key, whatever its sequence. @returns whether it is believed, and passed
   * on
   */
  declared(now: Now, record: NodeRecord, out: Outbox<NodeEvent>): boolean {
    const { id, twin } = record;
    const { roster, swim, swimOut } = this.links;
    const member = roster.get(id);
    if (!member || !twin) return false;
    this.#watch(now, id, out, () => this.twins.declared(now, record));
    if (!this.twins.alarm(id)) return false;
    this.#notes.set(id, record);
    this.#holdRecord(now, member, out);
    swim.spread(now, twinRumour(record), swimOut(now, out));
    return true;
  }

  /** The last record that named another machine, while there is an alarm. */
  note(id: MemberId): NodeRecord | undefined {
    return this.#notes.get(id);
  }

  /**
   * A sealed datagram that is no copy has come from a member. @param run as it stands in that
   * @returns whether the member is to be asked where it was before: what it answers goes to {@link answered}
   */
  heard(
    now: Now,
    { id, place, run }: {
      readonly id: MemberId;
      readonly place: Endpoint;
      readonly run: string;
    },
  ): boolean {
    return this.twins.heard(now, id, place, run);
  }

  /** A member has answered a question of ours. @param askedAt boot ms of that */
  answered(
    now: Now,
    answer: {
      readonly id: MemberId;
      readonly run: string;
      readonly place: Endpoint;
      readonly askedAt: number;
    },
    out: Outbox<NodeEvent>,
  ): void {
    const { id, run, askedAt } = answer;
    if (this.twins.answered(now, id, run, askedAt)) {
      this.#watch(now, id, out, () => this.twins.tookTurns(id));
    }
    if (this.farewells.answered(now, answer)) this.#goesOn(now, id, out);
  }

  /**
   * A member says good-bye. @param run as it stands in the datagram
   * @returns whether that is believed: not where somebody else has said it in its name lately, so that its silence has to
   * show it
   */
  isFarewell(now: Now, id: MemberId, run: string, place: Endpoint): boolean {
    this.farewells.said(now, id, run, place);
    return this.farewells.ofMember(now, id) === undefined;
  }

  /** A member lives in whose name a farewell was said. One that has been started anew since says so itself. */
  #goesOn(now: Now, id: MemberId, out: Outbox<NodeEvent>): void {
    const { roster, swim, swimOut } = this.links;
    const known = this.farewells.ofMember(now, id);
    if (known || this.twins.alarm(id)) swim.goesOn(now, id, swimOut(now, out));
    if (known?.at !== now.boot || !this.twins.isWorthTelling(now, id)) return;
    const { place: endpoint } = known;
    const who = roster.who(id);
    out.event({ kind: "twin", who, ...(endpoint ? { endpoint } : {}), mayBeOurs: true });
  }

  /** More is sent in a member's name about another machine than anybody can look at. */
  drowned(now: Now, id: MemberId, out: Outbox<NodeEvent>): void {
    const member = this.links.roster.get(id);
    this.#watch(now, id, out, () => this.twins.drowned(now, id));
    if (member) this.#holdRecord(now, member, out);
  }

  /** Whether a record is of the second of two machines that use its key. */
  isOfSecond({ id, run }: NodeRecord): boolean {
    const alarm = this.twins.alarm(id);
    return alarm !== undefined && alarm.first !== run;
  }

  /**
   * Whether a peer's handshake from here is of the second machine that uses its key. What a member
   * says of its own key refuses nobody else who is at that place.
   */
  isAtSecond(peer: PeerId, from: Endpoint): boolean {
    const member = this.links.roster.byPeer(peer);
    const alarm = member && this.twins.alarm(member.id);
    return alarm?.places.some((place) => sameEndpoint(place, from)) ?? false;
  }

  tick(now: Now, out: Outbox<NodeEvent>): void {
    const { swim, swimOut } = this.links;
    for (const id of this.twins.endVacant(now)) this.#end(id);
    for (const id of this.twins.takeSilent()) swim.ask(now, id, swimOut(now, out));
    for (const record of this.twins.takeSuccessors(now)) this.#succeed(now, record, out);
  }

  /** The first machine has not answered: another takes its place, with the numbers that that one has. */
  #succeed(now: Now, record: NodeRecord, out: Outbox<NodeEvent>): void {
    const { id } = record;
    const { roster, seal, tunnels } = this.links;
    const member = roster.get(id);
    let isTaken = false;
    this.#watch(now, id, out, () => {
      isTaken = this.twins.record(now, record);
    });
    if (!isTaken || !member || member.record.run === record.run) return;
    seal.rebase(id, bootOf(record.sequence));
    this.#hold(now, member, record, out);
    tunnels.startedAnew(now, member, out);
  }

  review(now: Now): void {
    for (const id of this.twins.expire(now)) this.#end(id);
  }

  #end(id: MemberId): void {
    this.links.seal.unpin(id);
    this.links.swim.retract(KIND.twin, id);
    this.#notes.delete(id);
  }

  /** Does what may begin or end an alarm, and what follows from that. */
  #watch(now: Now, id: MemberId, out: Outbox<NodeEvent>, step: () => void): void {
    const had = this.twins.alarm(id);
    step();
    const alarm = this.twins.alarm(id);
    if (!alarm) {
      if (had) this.#end(id);
      return;
    }
    this.links.seal.pin(id, alarm.first, bootOf(alarm.record.sequence), alarm.second);
    if (!had) this.#sound(now, alarm, out);
  }

  #sound(now: Now, alarm: Alarm, out: Outbox<NodeEvent>): void {
    const { id, otherPlace: endpoint, mayBeOurs } = alarm;
    // Two that are of one mind can begin and end it as often as they like; status shows it each time.
    if (this.twins.isWorthTelling(now, id)) {
      const who = this.links.roster.who(id);
      out.event({
        kind: "twin",
        who,
        ...(endpoint ? { endpoint } : {}),
        ...(mayBeOurs ? { mayBeOurs } : {}),
      });
    }
    const member = this.links.roster.get(id);
    if (member) this.#holdTunnel(now, member, alarm, out);
  }

  /** The record that stands for a member is of its first machine. */
  #holdRecord(now: Now, member: Member, out: Outbox<NodeEvent>): void {
    const alarm = this.twins.alarm(member.id);
    if (!alarm || member.record.run === alarm.first) return;
    this.#hold(now, member, alarm.record, out);
  }

  #hold(now: Now, member: Member, record: NodeRecord, out: Outbox<NodeEvent>): void {
    const { roster, swim, swimOut, tunnels } = this.links;
    roster.holdTo(member, record, now);
    member.observed = undefined;
    swim.retract(KIND.record, member.id);
    swim.spread(now, recordRumour(record), swimOut(now, out));
    tunnels.aim(now, member, out);
  }

  /** A tunnel that leads to the second machine is made anew: it stays with the first. */
  #holdTunnel(now: Now, member: Member, { places }: Alarm, out: Outbox<NodeEvent>): void {
    const { tunnels, guests } = this.links;
    const at = tunnels.endpoint(member);
    if (!places.some((place) => at && sameEndpoint(place, at))) return;
    member.observed = undefined;
    tunnels.remove(now, member, out);
    tunnels.add(now, member, out);
    tunnels.route(now, member, out);
    guests.touch();
  }
}
