/**
 * WireGuard hosts on a virtual wire and a virtual clock: the real tunnel machine over the model of
 * core. A datagram takes `delayMs`, or is lost when a filter says so. Times are exact: the clock
 * jumps from one thing that happens to the next.
 */
import type { Crypto } from "../crypto.ts";
import { type Endpoint, formatEndpoint, type Source } from "../endpoint.ts";
import {
  type Command,
  type Datagram,
  Effects,
  type Now,
  type Outbox,
  type PeerId,
} from "../machine.ts";
import { nobleCrypto } from "../noble_crypto.ts";
import { Tunnels, type TunnelsOptions } from "../tunnel/tunnels.ts";
import type { Edge, TunnelEvent } from "../tunnel/types.ts";
import { DataPlane } from "./dataplane.ts";
import { PEERS_MAX, ROUTES_MAX } from "./refusal.ts";

/** Something that happened, with the boot time at which it did. */
type At<T> = T & { readonly at: number };

interface Sent extends Datagram {
  readonly host: TunnelHost;
}

/** What a host needs to know of a peer. */
type Neighbour = Pick<TunnelHost, "number" | "publicKey" | "endpoint">;

interface Planned {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export type LabOptions = Pick<TunnelsOptions, "workers" | "dialects" | "maxPeers">;

/** 2026-01-01. */
const EPOCH = Date.UTC(2026, 0, 1);

export class TunnelLab {
  now = 1_000;
  /** Boot and wall clock may be bent: added to what hosts read. */
  readonly bend = { boot: 0, wall: 0 };
  delayMs = 10;
  /** Says which datagrams are lost. */
  isLost: (datagram: Sent) => boolean = () => false;
  readonly #hosts: TunnelHost[] = [];
  readonly #planned: Planned[] = [];
  #order = 0;
  #drawn = 0;

  constructor(
    readonly seed = 1,
    readonly crypto: Crypto = nobleCrypto,
    readonly options: LabOptions = {},
  ) {}

  /** Bytes that follow from the seed. */
  readonly random = (length: number): Uint8Array => {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at += 32) {
      const count = new Uint32Array([this.seed, this.#drawn++]);
      const block = this.crypto.blake2s(new Uint8Array(count.buffer));
      bytes.set(block.subarray(0, Math.min(32, length - at)), at);
    }
    return bytes;
  };

  /** A host at 192.0.2.N:51820, up, with a key, that allows itself 10.0.0.N. */
  host(number: number): TunnelHost {
    const host = new TunnelHost(this, number);
    this.#hosts.push(host);
    return host;
  }

  /** Two hosts; alice knows where bob is, and bob learns where alice is. */
  pair(): { alice: TunnelHost; bob: TunnelHost; bobAtAlice: PeerId; aliceAtBob: PeerId } {
    const alice = this.host(1);
    const bob = this.host(2);
    return { alice, bob, bobAtAlice: alice.meet(bob), aliceAtBob: bob.meet(alice, "unknown") };
  }

  clock(): Now {
    return {
      boot: this.now + this.bend.boot,
      wall: EPOCH + this.now + this.bend.wall,
    };
  }

  /** Runs everything that happens in the next `ms`. */
  run(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const next = this.#next(end);
      if (!next) break;
      this.now = Math.max(this.now, next.at);
      next.run();
    }
    this.now = end;
  }

  /** Puts a datagram on the wire. */
  carry(sent: Sent): void {
    if (this.isLost(sent)) return;
    const to = formatEndpoint(sent.to);
    const receiver = this.#hosts.find((host) => formatEndpoint(host.endpoint) === to);
    const from = sent.host.endpoint;
    if (receiver) this.plan(this.delayMs, () => receiver.arrive(sent.bytes, from));
  }

  plan(inMs: number, run: () => void): void {
    this.#planned.push({ at: this.now + inMs, order: this.#order++, run });
    this.#planned.sort((a, b) => a.at - b.at || a.order - b.order);
  }

  #next(end: number): { at: number; run: () => void } | undefined {
    const [planned] = this.#planned;
    let earliest = planned && planned.at <= end
      ? { at: planned.at, run: () => this.#planned.shift()?.run() }
      : undefined;
    for (const host of this.#hosts) {
      const at = (host.tunnels.deadline?.at ?? Infinity) - this.bend.boot;
      if (at <= end && at < (earliest?.at ?? Infinity)) {
        earliest = { at, run: () => host.tick() };
      }
    }
    return earliest as { at: number; run: () => void } | undefined;
  }
}

/** A machine, its model of core, and a record of everything they did. */
export class TunnelHost {
  readonly tunnels: Tunnels;
  readonly plane: DataPlane;
  readonly secretKey: Uint8Array;
  readonly publicKey: Uint8Array;
  endpoint: Endpoint;
  /** What the other end of an arriving datagram wrote to. */
  readonly source: Source;
  readonly sent: At<Datagram>[] = [];
  readonly events: At<TunnelEvent>[] = [];
  readonly commands: At<Command>[] = [];
  readonly edges: At<Edge>[] = [];
  readonly delivered: At<{ peer: PeerId; packet: Uint8Array }>[] = [];
  /** How often the machine was called because of its deadline. */
  ticks = 0;

  constructor(readonly lab: TunnelLab, readonly number: number) {
    this.tunnels = new Tunnels({ crypto: lab.crypto, random: lab.random, ...lab.options });
    this.plane = new DataPlane(lab.crypto, lab.random, {
      datagram: (datagram) => this.#send(datagram),
      mail: (arrival) => this.step((now, out) => this.tunnels.receive(now, arrival, out)),
      edge: (edge) => {
        this.edges.push({ ...edge, at: lab.now });
        // Mail is read after what caused it is over, as from the mailbox.
        lab.plan(0, () => this.step((now, out) => this.tunnels.edge(now, edge, out)));
      },
      deliver: (peer, packet) => this.delivered.push({ peer, packet, at: lab.now }),
    }, { peers: PEERS_MAX, routes: ROUTES_MAX, workers: lab.options.workers ?? 1 });
    this.secretKey = lab.random(32);
    this.publicKey = lab.crypto.x25519PublicKey(this.secretKey);
    this.source = { address: Uint8Array.of(192, 0, 2, number), ifindex: 1 };
    this.endpoint = { address: this.source.address, port: 51820, scope: 0 };
    this.step((now, out) => this.tunnels.setPrivateKey(now, this.secretKey, out));
    this.step((now, out) => this.tunnels.up(now, out));
  }

  /** One step of the machine, with its effects carried out. */
  step<T>(ask: (now: Now, out: Outbox<TunnelEvent>) => T): T {
    const effects = new Effects<TunnelEvent>();
    const now = this.lab.clock();
    const answer = ask(now, effects);
    const at = this.lab.now;
    for (const command of effects.commands) {
      this.commands.push({ ...command, at });
      const refusal = this.plane.execute(now.boot, command);
      if (refusal) throw new Error(`core refuses ${command.kind}: ${refusal}`);
    }
    for (const datagram of effects.datagrams) {
      const refusal = this.plane.send(datagram);
      if (refusal) throw new Error(`core refuses a datagram: ${refusal}`);
    }
    for (const event of effects.events) this.events.push({ ...event, at });
    return answer;
  }

  tick(): void {
    this.ticks++;
    this.step((now, out) => this.tunnels.due(now, this.plane.facts, out));
  }

  /** Makes another host a peer that may use 10.0.0.N. */
  meet(other: Neighbour, endpoint: Endpoint | "unknown" = other.endpoint): PeerId {
    const added = this.step((now, out) => this.tunnels.addPeer(now, other.publicKey, out));
    if (added.kind !== "added") throw new Error(added.kind);
    const { peer } = added;
    const address = Uint8Array.of(10, 0, 0, other.number);
    this.step((_, out) => this.tunnels.addRoute(peer, { address, length: 32 }, out));
    if (endpoint !== "unknown") {
      this.step((now, out) => this.tunnels.setEndpoint(now, peer, endpoint, out));
    }
    return peer;
  }

  /** Sends an inner IPv4 packet to another host. @param flow  in the ports of UDP; without any, it has none */
  say(other: Pick<Neighbour, "number">, flow?: number): void {
    const packet = new Uint8Array(flow === undefined ? 20 : 28);
    packet[0] = 0x45;
    packet[3] = packet.length;
    if (flow !== undefined) {
      packet[9] = 17;
      packet[23] = flow;
    }
    packet.set([10, 0, 0, this.number], 12);
    packet.set([10, 0, 0, other.number], 16);
    this.plane.sendPacket(this.lab.clock().boot, packet);
  }

  /** A datagram came. */
  arrive(bytes: Uint8Array, from: Endpoint): void {
    this.plane.receive(this.lab.clock().boot, bytes, from, this.source);
  }

  /** The first datagram of a type that was sent: 1 initiation, 2 response, 3 cookie reply, 4 data. */
  first(type: 1 | 2 | 3 | 4): Uint8Array {
    const sent = this.sent.find(({ bytes }) => bytes[0] === type);
    if (!sent) throw new Error(`host ${this.number} sent no message of type ${type}`);
    return sent.bytes;
  }

  /** All that it shows or would do next, but for what it dropped: as before means untouched. */
  state(): string {
    const { dropMalformed: _, dropUnauthentic: __, dropUnexpected: ___, ...counters } =
      this.tunnels.counters;
    return JSON.stringify([
      this.tunnels.peers(),
      this.tunnels.deadline,
      this.plane.indices,
      this.sent.length,
      this.commands.length,
      this.events.length,
      counters,
    ]);
  }

  /** When datagrams of a type were sent. */
  sentAt(type: 1 | 2 | 3 | 4): number[] {
    return this.sent.filter(({ bytes }) => bytes[0] === type).map(({ at }) => at);
  }

  /** When empty data messages were sent. */
  keepalivesAt(): number[] {
    return this.sent.filter(({ bytes }) => bytes[0] === 4 && bytes.length === 32)
      .map(({ at }) => at);
  }

  #send(datagram: Datagram): void {
    this.sent.push({ ...datagram, bytes: datagram.bytes.slice(), at: this.lab.now });
    this.lab.carry({ ...datagram, host: this });
  }
}
