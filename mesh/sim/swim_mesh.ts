/**
 * A mesh of swim machines alone, without keys or sockets: fast enough for thousands of members and
 * thousands of seeds. What swim asks of a node is answered here as an honest node would, every
 * rumour of kind {@link RECORD} being the record of the member that its key names.
 */
import type { Now } from "../machine.ts";
import { decode, encode, type MemberId, type Message, type Rumour } from "../swim/messages.ts";
import type { SwimEvent, SwimOutbox } from "../swim/outbox.ts";
import { Swim, type SwimOptions } from "../swim/swim.ts";
import { Host } from "./host.ts";
import { type Conditions, Network } from "./network.ts";
import { Seeded } from "./random.ts";
import { toyAnnouncements } from "./toy_announcements.ts";
import type { World } from "./world.ts";

/** The kind of the rumours that stand for node records. */
const RECORD = 1;
/** Bytes of a message, as real nodes have them to spend. */
const LIMIT = 1150;

export interface Member {
  readonly id: MemberId;
  readonly host: Host<Message>;
  swim: Swim;
  /** Messages sent, and their bytes if they are encoded. */
  sent: number;
  bytes: number;
  /** The version of each rumour that it holds, by key. */
  readonly versions: Map<string, number>;
}

export interface SwimMeshOptions {
  readonly size: number;
  readonly conditions: Conditions;
  /** Whether all know each other from the beginning. */
  readonly acquainted?: boolean;
  /** Whether messages are encoded and decoded on their way. */
  readonly wire?: boolean;
  readonly swim?: Partial<SwimOptions>;
}

/** What happened, where, and when in virtual ms. */
export type Occurrence = SwimEvent & { readonly at: number; readonly where: MemberId };

export class SwimMesh {
  readonly members: Member[] = [];
  readonly network: Network<Message>;
  /** Called for every event of every member. */
  onEvent: (occurrence: Occurrence) => void = () => {};
  /** Called for every message that a member sends. */
  onMessage: (from: Member, to: MemberId, message: Message) => void = () => {};
  /** Called after every step of a member. */
  onStep: (member: Member) => void = () => {};
  /** The highest incarnation that each member has ever used. */
  readonly announced = new Map<MemberId, number>();
  readonly #byId = new Map<MemberId, Member>();
  readonly #index = new Map<MemberId, number>();

  constructor(readonly world: World, private readonly options: SwimMeshOptions) {
    this.network = new Network(world, options.conditions, (to, from, message) => {
      world.trace.note(message.body.kind, world.now, this.#number(from), this.#number(to));
      this.#byId.get(to)?.host.deliver(from, message);
    });
    const names = new Seeded(world.seed, 1);
    for (let i = 0; i < options.size; i++) {
      let id = "";
      while (id.length < 64) id += names.next().toString(16).padStart(8, "0");
      const host = new Host<Message>(world, id, -Math.floor(names.between(0, 1e9)));
      const swim = this.#make(id, host.now(), i, 0);
      const member = { id, host, swim, sent: 0, bytes: 0, versions: new Map<string, number>() };
      this.members.push(member);
      this.#byId.set(id, member);
      this.#index.set(id, i);
    }
    for (const member of this.members) this.#switchOn(member, options.acquainted !== false);
  }

  get(id: MemberId): Member {
    const member = this.#byId.get(id);
    if (member === undefined) throw new RangeError(`sim: no member ${id}`);
    return member;
  }

  /** Calls a machine as its node would, and carries out what it wants. */
  act<T>(member: Member, call: (swim: Swim, now: Now, out: SwimOutbox) => T): T {
    const messages: [MemberId, Message][] = [];
    const rumours: Rumour[] = [];
    const events: SwimEvent[] = [];
    const out: SwimOutbox = {
      message: (to, message) => Math.min(1, messages.push([to, message])),
      rumour: (_from, rumour) => rumours.push(rumour),
      event: (event) => events.push(event),
    };
    const now = member.host.now();
    const result = call(member.swim, now, out);
    const { incarnation } = member.swim;
    this.announced.set(member.id, Math.max(incarnation, this.announced.get(member.id) ?? 0));
    for (const rumour of rumours) this.#believe(member, now, rumour, out);
    for (const [to, message] of messages) this.#send(member, to, message);
    for (const event of events) {
      this.onEvent({ ...event, at: this.world.now, where: member.id });
    }
    member.host.arrange();
    this.onStep(member);
    return result;
  }

  crash(member: Member): void {
    member.host.crash();
  }

  /** Says good-bye and stops. */
  leave(member: Member): void {
    this.act(member, (swim, now, out) => swim.leave(now, out));
    member.host.crash();
  }

  /** Gives a member's record a new version and lets it gossip that. */
  publish(member: Member): void {
    const version = (member.versions.get(member.id) ?? 0) + 1;
    this.act(
      member,
      (_, now, out) => this.#believe(member, now, recordOf(member.id, version), out),
    );
  }

  /** Sends a message that the member's machine has not made. */
  forge(from: Member, to: Member, message: Message): void {
    this.#send(from, to.id, message);
  }

  /** Starts a member again. It remembers who is in the mesh, and how far its incarnation was. */
  restart(member: Member, incarnation = member.swim.incarnation + 1): void {
    const number = this.#number(member.id);
    const known = [...member.swim.members()];
    member.swim = this.#make(member.id, member.host.now(), number, incarnation);
    this.#switchOn(member, false);
    this.act(member, (swim, now, out) => {
      for (const { id } of known) swim.admit(now, id, out);
      for (const [key, version] of member.versions) swim.spread(now, recordOf(key, version), out);
    });
  }

  /** A newcomer and its seed learn of each other; the rest is gossip. */
  introduce(newcomer: Member, seed: Member): void {
    const record = recordOf(newcomer.id, 1);
    for (const member of [newcomer, seed]) {
      this.act(member, (_, now, out) => this.#believe(member, now, record, out));
    }
    this.act(newcomer, (swim, now, out) => {
      swim.admit(now, seed.id, out);
      swim.pushPull(now, seed.id, out);
    });
  }

  /** Whether every running member sees exactly the running members as alive. */
  isConverged(): boolean {
    const up = this.members.filter((member) => member.host.isUp);
    return up.every(({ swim }) => {
      let alive = 1;
      for (const { id, status } of swim.members()) {
        if (status === "suspect") return false;
        if (status !== "alive") continue;
        if (!this.get(id).host.isUp) return false;
        alive++;
      }
      return alive === up.length;
    });
  }

  /** Whether all running members hold the same rumours. */
  isLevel(): boolean {
    const up = this.members.filter((member) => member.host.isUp);
    const newest = new Map<string, number>();
    for (const { versions } of up) {
      for (const [key, version] of versions) {
        newest.set(key, Math.max(version, newest.get(key) ?? 0));
      }
    }
    return up.every(({ versions }) =>
      versions.size === newest.size &&
      [...newest].every(([key, version]) => versions.get(key) === version)
    );
  }

  /** Answers a rumour as a node that found it true. */
  #believe(member: Member, now: Now, rumour: Rumour, out: SwimOutbox): void {
    if (rumour.kind === RECORD && rumour.key !== member.id) {
      member.swim.admit(now, rumour.key, out);
    }
    if (member.swim.spread(now, rumour, out)) member.versions.set(rumour.key, rumour.version);
  }

  #make(self: MemberId, now: Now, number: number, incarnation: number): Swim {
    const random = new Seeded(this.world.seed, 1000 + number).bytes;
    const announcements = toyAnnouncements(self);
    const swim = { self, random, announcements, limit: LIMIT, incarnation };
    return new Swim({ ...swim, ...this.options.swim }, now);
  }

  #switchOn(member: Member, acquainted: boolean): void {
    if (acquainted) {
      const now = member.host.now();
      for (const { id } of this.members) {
        if (id !== member.id) member.swim.admit(now, id, NOBODY);
      }
    }
    member.host.start({
      deadline: () => member.swim.deadline(),
      tick: (now) => this.act(member, (swim, _, out) => swim.tick(now, out)),
      receive: (now, from, message) =>
        this.act(member, (swim, _, out) => swim.receive(now, from, message, out)),
    });
  }

  #send(from: Member, to: MemberId, message: Message): void {
    from.sent++;
    this.onMessage(from, to, message);
    if (this.options.wire !== true) {
      this.network.send(from.id, to, message, 0);
      return;
    }
    const bytes = encode(message, LIMIT);
    const read = decode(bytes, LIMIT);
    if (!read.ok) throw new Error(`sim: a ${message.body.kind} cannot be read: ${read.error}`);
    from.bytes += bytes.length;
    this.network.send(from.id, to, read.value, bytes.length);
  }

  #number(id: MemberId): number {
    return this.#index.get(id) ?? -1;
  }
}

/** A rumour that stands for a member's node record. */
function recordOf(id: MemberId, version: number): Rumour {
  return { kind: RECORD, key: id, version, bytes: new Uint8Array(300) };
}

const NOBODY: SwimOutbox = { message: () => 0, rumour: () => {}, event: () => {} };
