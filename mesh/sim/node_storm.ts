/**
 * A storm over whole nodes: one seed decides how many there are, how they join, how bad the network
 * is, and what befalls them: crashes, restarts from disk, farewells, slow and frozen computers,
 * partitions, one-way links, traffic. Then everything heals, and every node must see every other
 * alive, with one and the same IPv4 address of its own, and a packet must cross between any two.
 */
import type { Crypto } from "../crypto.ts";
import { CALM } from "./network.ts";
import { type Computer, NodeLab } from "./node_lab.ts";
import type { Seeded } from "./random.ts";
import { Trace } from "./trace.ts";

const STORM = 60_000;
const HEALING = 90_000;
/**
 * Seconds within which a packet has to cross between any two afterwards. Two that were both restarted while they were
 * apart have forgotten that the other's place was proven, and may wait ten minutes (door/first_contacts.ts).
 */
const TALKING = 660;

export interface NodeStormReport {
  readonly nodes: number;
  readonly steps: number;
  /** Virtual ms from the end of all faults until all agreed. */
  readonly healed: number;
  /** Seconds until a packet had crossed between any two. */
  readonly talked: number;
  /** Fingerprint of every datagram that was sent. */
  readonly trace: string;
}

/** Those of a laboratory's computers that a storm befalls. */
export type Inhabited = Pick<NodeLab, "computers" | "network" | "world">;

/** Plays one storm; what went wrong is thrown. */
export function nodeStorm(crypto: Crypto, seed: number): NodeStormReport {
  const lab = new NodeLab(crypto, seed);
  const { world, network } = lab;
  const { random } = world;
  const trace = new Trace();
  lab.tap = ({ bytes }, from) => {
    const sum = bytes.reduce((hash, byte) => Math.imul(hash ^ byte, 0x01000193), bytes.length);
    trace.note(from.address, world.now, sum);
  };
  const size = 3 + random.below(6);
  const founder = lab.founder({ relay: random.chance(0.5) });
  for (let i = 1; i < size; i++) {
    const seeds = random.chance(0.5) ? { seeds: [founder.address] } : {};
    const computer = lab.computer({ token: founder.token(), ...seeds }, random.between(-60, 60));
    world.at(random.between(0, 10_000), () => start(computer));
  }
  network.conditions = {
    loss: random.chance(0.5) ? random.between(0, 0.2) : 0,
    delay: random.between(0, 80),
    jitter: random.between(0, 80),
    duplicate: random.chance(0.3) ? 0.05 : 0,
    reorder: random.chance(0.3) ? 0.05 : 0,
    late: random.between(0, 1000),
    mtu: CALM.mtu,
  };
  while (world.now < STORM) {
    world.run(random.between(200, 6000));
    befall(lab, random);
  }
  network.heal();
  network.conditions = CALM;
  for (const computer of lab.computers) start(computer);
  const began = world.now;
  const agree = () => world.steps % 20 === 0 && doAllAgree(lab.computers);
  if (!world.run(HEALING, agree)) {
    throw new Error(`sim: ${HEALING} ms after all faults ended: ${disagreement(lab.computers)}`);
  }
  const healed = world.now - began;
  const talked = talk(lab);
  return { nodes: size, steps: world.steps, healed, talked, trace: trace.hash };
}

/** Switches a computer on, if it is not. */
export function start(computer: Computer): void {
  if (computer.host.isUp) return;
  const fault = computer.start();
  if (fault !== undefined) throw new Error(`sim: ${computer.address} does not start: ${fault}`);
}

/** One stroke of fate. */
export function befall({ computers, network }: Inhabited, random: Seeded): void {
  const addresses = computers.map(({ address }) => address);
  const [one, other] = random.some(computers, 2);
  if (one === undefined || other === undefined) return;
  const strokes = [
    () => one.crash(),
    () => {
      one.step((now, out) => one.node.leave(now, out));
      one.crash();
    },
    () => {
      one.crash();
      start(one);
    },
    () => one.host.slow(random.between(1000, 20_000), random.between(500, 8000)),
    () => one.host.freeze(random.between(500, 15_000)),
    () => network.partition(random.some(addresses, random.below(addresses.length))),
    () => network.mute(one.address, other.address),
    () => network.heal(),
    () => one.say(other),
    () => one.say(other),
  ];
  const stroke = strokes[random.below(strokes.length)];
  // What is down can only be started.
  if (one.host.isUp && other.host.isUp) stroke?.();
  else start(one);
}

/** Whether every node sees all others alive, and each at the address that it has itself. */
function doAllAgree(computers: readonly Computer[]): boolean {
  return disagreement(computers) === "";
}

/** The first thing that two nodes do not agree about; empty if there is none. */
export function disagreement(computers: readonly Computer[]): string {
  const all = computers.map((computer) => computer.node.status(computer.now()));
  const held = new Map<string, string>();
  for (const { self } of all) {
    if (self.ip4 === "") return `${self.name} has no IPv4 address`;
    const other = held.get(self.ip4);
    if (other !== undefined) return `${self.name} and ${other} both hold ${self.ip4}`;
    held.set(self.ip4, self.name);
  }
  for (const { self, peers } of all) {
    for (const other of all) {
      if (other.self.key === self.key) continue;
      const peer = peers.find(({ key }) => key === other.self.key);
      const name = `${self.name} sees ${other.self.name}`;
      if (peer === undefined) return `${self.name} does not know ${other.self.name}`;
      if (peer.state !== "alive") return `${name} ${peer.state}`;
      if (peer.ip4 !== other.self.ip4) return `${name} at ${peer.ip4}, not ${other.self.ip4}`;
    }
  }
  return "";
}

/**
 * Packets from everybody to everybody, one a second, until one has crossed in each direction. Those
 * of a session that the other side has lost in a restart are gone: WireGuard notices after 15 s.
 * @returns seconds that it took
 */
export function talk({ computers, world }: Inhabited): number {
  for (const computer of computers) computer.delivered.length = 0;
  const sources = new Map(computers.map((computer) => [computer, computer.ip4.join(".")]));
  const isHeard = (by: Computer, from: Computer) => {
    const source = sources.get(from);
    return by.delivered.some((packet) => packet.subarray(12, 16).join(".") === source);
  };
  for (let second = 0; second < TALKING; second++) {
    let missing = 0;
    for (const from of computers) {
      for (const to of computers) {
        if (from === to || isHeard(to, from)) continue;
        missing++;
        from.say(to);
      }
    }
    if (missing === 0) return second;
    world.run(1000);
  }
  for (const from of computers) {
    for (const to of computers) {
      if (from === to || isHeard(to, from)) continue;
      throw new Error(`sim: in ${TALKING} s no packet came from ${from.address} to ${to.address}`);
    }
  }
  return TALKING;
}
