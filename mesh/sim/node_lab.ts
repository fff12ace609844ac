/**
 * Whole nodes on a virtual wire: the real {@link Node} over the model of core, each on a host with
 * its own clocks and its own disk, of which a crash leaves exactly what was persisted.
 */
import type { Crypto } from "../crypto.ts";
import { type Endpoint, formatEndpoint, parseEndpoint } from "../endpoint.ts";
import { type Command, type Datagram, Effects, type Now, type Outbox } from "../machine.ts";
import type { NodeEvent } from "../event.ts";
import { Node, type NodeOptions } from "../node.ts";
import type { NodeSnapshot } from "../snapshot.ts";
import type { Arrival } from "../tunnel/types.ts";
import { DataPlane } from "./dataplane.ts";
import { Host } from "./host.ts";
import { CALM, type Conditions, Network } from "./network.ts";
import { PEERS_MAX, ROUTES_MAX } from "./refusal.ts";
import { World } from "./world.ts";

/** Bits of an IPv6 address that its network takes. */
const IP6_LENGTH = 64;

/** What a test says about a node; the rest has defaults. */
export type NodeWish = Partial<Omit<NodeOptions, "crypto" | "random" | "facts" | "snapshot">>;

export class NodeLab {
  readonly world: World;
  readonly network: Network<Uint8Array>;
  readonly computers: Computer[] = [];
  readonly #byAddress = new Map<string, Computer>();
  readonly #attached = new Map<string, (bytes: Uint8Array, from: Endpoint) => void>();
  /** Each text of a place that datagrams came from, read once: every datagram has one. */
  readonly #places = new Map<string, Endpoint | undefined>();
  /** Whose step it is now, if it is anybody's. */
  current: Computer | undefined;
  /** Everything that was sent, for those who listen in. */
  tap: (datagram: Datagram, from: Computer) => void = () => {};
  #drawn = 0;

  constructor(readonly crypto: Crypto, seed = 1, conditions: Conditions = CALM) {
    this.world = new World(seed);
    this.network = new Network(this.world, conditions, (to, from, bytes) => {
      const origin = this.place(from);
      if (!origin) return;
      this.#byAddress.get(to)?.host.deliver(from, bytes);
      this.#attached.get(to)?.(bytes, origin);
    });
  }

  /** The place that a text names; undefined: none. */
  place(text: string): Endpoint | undefined {
    const known = this.#places.get(text);
    if (known !== undefined) return known;
    const place = parseEndpoint(text);
    this.#places.set(text, place);
    return place;
  }

  /** Bytes that follow from the seed. */
  readonly random = (length: number): Uint8Array => {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at += 32) {
      const count = new Uint32Array([this.world.seed, this.#drawn++]);
      const block = this.crypto.blake2s(new Uint8Array(count.buffer));
      bytes.set(block.subarray(0, Math.min(32, length - at)), at);
    }
    return bytes;
  };

  /** A computer at 192.0.2.N:51820 that is switched off. `skew`: error of its wall clock in ms. */
  computer(wish: NodeWish = {}, skew = 0): Computer {
    const number = this.computers.length + 1;
    const address = Uint8Array.of(192, 0, 2 + (number >> 8), number & 0xff);
    const computer = new Computer(this, { address, port: 51820, scope: 0 }, number, wish, skew);
    this.computers.push(computer);
    this.#byAddress.set(computer.address, computer);
    return computer;
  }

  /** Lets something that is no computer of the laboratory hear what is sent to a place. */
  attach(place: Endpoint, receive: (bytes: Uint8Array, from: Endpoint) => void): void {
    this.#attached.set(formatEndpoint(place), receive);
  }

  /** Gives a running computer another address, as a changed network does: its old one is nobody's. */
  move(computer: Computer, address: Uint8Array): void {
    this.#byAddress.delete(computer.address);
    computer.endpoint = { ...computer.endpoint, address };
    computer.address = formatEndpoint(computer.endpoint);
    this.#byAddress.set(computer.address, computer);
    computer.step((now, out) => computer.node.interfaces(now, [computer.endpoint], out));
  }

  /** A node that has founded a mesh and runs. */
  founder(wish: NodeWish = {}): Computer {
    const recovery = this.crypto.ed25519FromSeed(this.random(32));
    const founder = this.computer({
      name: "founder",
      meshSeed: this.random(32),
      recoveryKey: recovery.publicKey,
      ...wish,
    });
    founder.start();
    return founder;
  }

  /** A node that joins with a fresh token of this admin, and runs. */
  joiner(admin: Computer, wish: NodeWish = {}): Computer {
    const joiner = this.computer({ token: admin.token(), ...wish });
    joiner.start();
    return joiner;
  }

  /** Lets virtual time pass until it is true; false if it is not within so many ms. */
  until(ms: number, isTrue: () => boolean): boolean {
    return this.world.run(ms, isTrue);
  }

  run(ms: number): void {
    this.world.run(ms);
  }
}

/** A host with a disk, which keeps its identity over crashes. */
export class Computer {
  readonly host: Host<Uint8Array>;
  address: string;
  readonly events: NodeEvent[] = [];
  readonly commands: Command[] = [];
  /** Inner packets that came out of the tunnels. */
  readonly delivered: Uint8Array[] = [];
  /** What was written last, and the same as it is read from text; most of what is written nobody ever reads. */
  #disk: NodeSnapshot | undefined;
  #read: NodeSnapshot | undefined;
  /**
   * The power fails at the next write: before it, so that the disk stays as it is, or after it. In both cases nothing of
   * that step leaves the machine.
   */
  failsAtWrite: "before" | "after" | undefined;
  wish: NodeWish;
  identitySeed: Uint8Array;
  #node: Node | undefined;
  #plane: DataPlane | undefined;

  constructor(
    readonly lab: NodeLab,
    public endpoint: Endpoint,
    number: number,
    wish: NodeWish,
    skew: number,
  ) {
    this.address = formatEndpoint(endpoint);
    this.host = new Host(lab.world, this.address, 0, skew);
    this.wish = { name: `node-${number}`, ...wish };
    this.identitySeed = wish.identitySeed ?? lab.random(32);
  }

  get disk(): NodeSnapshot | undefined {
    if (this.#disk !== undefined) this.#read ??= JSON.parse(JSON.stringify(this.#disk));
    return this.#read;
  }

  set disk(snapshot: NodeSnapshot | undefined) {
    this.#disk = snapshot;
    this.#read = undefined;
  }

  get node(): Node {
    if (!this.#node) throw new Error(`${this.address} is switched off`);
    return this.#node;
  }

  get id(): string {
    return this.lab.crypto.ed25519FromSeed(this.identitySeed).publicKey.toHex();
  }

  now(): Now {
    return this.host.now();
  }

  /** Starts from what is on disk. @returns why it could not. */
  start(): string | undefined {
    const { crypto, random } = this.lab;
    const snapshot = this.disk;
    const plane = new DataPlane(crypto, random, {
      datagram: (datagram) => this.#send(datagram),
      mail: (arrival) => this.step((now, out) => this.node.datagram(now, arrival, out)),
      stray: (from) => this.step((now, out) => this.node.stray(now, from, out)),
      edge: (edge) =>
        this.lab.world.after(0, () => {
          if (this.#plane === plane) this.step((now, out) => this.node.edge(now, edge, out));
        }),
      deliver: (_, packet) => void this.delivered.push(packet),
    }, { peers: PEERS_MAX, routes: ROUTES_MAX, workers: this.wish.workers ?? 1 });
    const created = Node.create(this.now(), {
      name: "node",
      port: this.endpoint.port,
      version: "0.0.0",
      tunnel: true,
      relay: true,
      ...this.wish,
      identitySeed: this.identitySeed,
      crypto,
      random,
      ...(snapshot ? { snapshot } : {}),
      facts: plane.facts,
    });
    if (!created.ok) return created.error;
    this.#node = created.value;
    this.#plane = plane;
    this.disk = created.value.snapshot();
    this.step((now, out) => this.node.interfaces(now, [this.endpoint], out));
    if (this.#node) this.step((now, out) => this.node.start(now, out));
    if (!this.#node) return undefined; // The power failed at a write.
    this.host.start({
      deadline: () => this.node.deadline() ?? { at: Infinity, why: "nothing" },
      tick: (now) => this.step((_, out) => this.node.poll(now, out)),
      receive: (now, from, bytes) => {
        const origin = this.lab.place(from);
        if (origin) plane.receive(now.boot, bytes, origin, this.#source());
      },
    });
    return undefined;
  }

  /** Stops without a word. */
  crash(): void {
    this.host.crash();
    this.#node = undefined;
    this.#plane = undefined;
  }

  /** One step of the node with its effects carried out in the order that machine.ts says. */
  step<T>(ask: (now: Now, out: Outbox<NodeEvent>) => T): T {
    const effects = new Effects<NodeEvent>();
    const before = this.lab.current;
    this.lab.current = this;
    const answer = ask(this.now(), effects);
    this.lab.current = before;
    if (effects.events.some(({ kind }) => kind === "persist") && this.#write() === "failed") {
      return answer;
    }
    this.commands.push(...effects.commands);
    for (const command of effects.commands) {
      const refusal = this.#plane?.execute(this.now().boot, command);
      if (refusal) throw new Error(`core refuses ${command.kind}: ${refusal}`);
    }
    for (const datagram of effects.datagrams) {
      const refusal = this.#plane?.send(datagram);
      if (refusal) throw new Error(`core refuses a datagram: ${refusal}`);
    }
    for (const event of effects.events) {
      this.events.push(event);
      if (event.kind === "addresses") {
        const { ip4, ip6, pool } = event;
        if (ip4) this.#plane?.setInner({ address: ip4, length: pool.length });
        if (ip6) this.#plane?.setInner({ address: ip6, length: IP6_LENGTH });
      }
    }
    this.host.arrange();
    return answer;
  }

  /** As the program does it: within the step, before anything of it leaves. */
  #write(): "written" | "failed" {
    const fails = this.failsAtWrite;
    this.failsAtWrite = undefined;
    if (fails !== "before") this.disk = this.node.snapshot();
    if (fails === undefined) return "written";
    this.crash();
    return "failed";
  }

  /** Packets that its core did not deliver, by reason. */
  get drops(): ReadonlyMap<string, number> {
    return this.#plane?.drops ?? new Map();
  }

  /** {@link DataPlane.counters} of its data plane. */
  counters(): () => void {
    return this.#plane?.counters() ?? (() => {});
  }

  /** A datagram out of nowhere. */
  inject(bytes: Uint8Array, from: Endpoint): void {
    this.#plane?.receive(this.now().boot, bytes, from, this.#source());
    this.host.arrange();
  }

  /** A fresh token; it says why not by throwing. */
  token(options: Parameters<Node["invite"]>[1] = {}): string {
    const invitation = this.step((now, out) => this.node.invite(now, options, out));
    if (!invitation.ok) throw new Error(invitation.error);
    return invitation.value.token;
  }

  /** Sends an inner IPv4 packet to another node's address: of 20 bytes, or of UDP with the ports of a flow. */
  say(other: { readonly ip4: readonly number[] }, flow?: number): void {
    const packet = packetOf(this.ip4, other.ip4);
    if (flow === undefined) return this.sendPacket(packet);
    packet.set([28, 0, 0, 0, 0, 64, 17], 3);
    this.sendPacket(Uint8Array.of(...packet, 0, 0, 0, flow, 0, 8, 0, 0));
  }

  /** An inner packet comes out of its TUN. */
  sendPacket(packet: Uint8Array): void {
    this.#plane?.sendPacket(this.now().boot, packet);
    this.host.arrange();
  }

  get ip4(): number[] {
    return this.node.status(this.now()).self.ip4.split(".").map(Number);
  }

  /** The peer that status shows under a name. */
  sees(other: Computer): ReturnType<Node["status"]>["peers"][number] | undefined {
    const { id } = other;
    return this.node.status(this.now()).peers.find((peer) => peer.key === id);
  }

  #source(): NonNullable<Arrival["source"]> {
    return { address: this.endpoint.address, ifindex: 1 };
  }

  #send(datagram: Datagram): void {
    this.lab.tap(datagram, this);
    const { bytes, to } = datagram;
    this.lab.network.send(this.address, formatEndpoint(to), bytes, bytes.length);
  }
}

/** An IPv4 packet of 20 bytes. */
export function packetOf(from: readonly number[], to: readonly number[]): Uint8Array {
  const packet = new Uint8Array(20);
  packet[0] = 0x45;
  packet[3] = packet.length;
  packet[8] = 64;
  packet.set(from, 12);
  packet.set(to, 16);
  return packet;
}
