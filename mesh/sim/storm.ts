/**
 * A storm: one seed decides how many members there are, how bad the network is, and what befalls
 * them: crashes, restarts with and without memory, farewells, newcomers, slow and frozen computers,
 * partitions, links that carry one way only, new records; and in every other storm one of them is an
 * insider that lies until it ends. First safety: no invariant may break at any step. Then everything
 * heals, and all must come to agree.
 */
import { Invariants } from "./invariants.ts";
import { Liar } from "./liar.ts";
import { CALM, type Conditions, ROUGH } from "./network.ts";
import type { Seeded } from "./random.ts";
import { type Member, SwimMesh } from "./swim_mesh.ts";
import { World } from "./world.ts";

/** How long a storm lasts, and how long its members may take to agree afterwards, in virtual ms. */
const STORM = 90_000;
const HEALING = 60_000;
/** Milliseconds between two lies at most. */
const LIES = 400;

export interface StormReport {
  readonly members: number;
  readonly steps: number;
  /** Virtual ms from the end of all faults until all agreed. */
  readonly healed: number;
  /** Fingerprint of everything that happened. */
  readonly trace: string;
}

/** Plays one storm. A breach of an invariant, or members that do not agree, is thrown. */
export function storm(seed: number): StormReport {
  const world = new World(seed);
  const { random } = world;
  const size = 3 + random.below(12);
  const mesh = new SwimMesh(world, {
    size,
    conditions: weather(random),
    acquainted: random.chance(0.5),
    // Real bytes take half of the time; every fourth storm has them.
    wire: seed % 4 === 0,
  });
  const watches = new Map<Member, Invariants>();
  const watch = (member: Member) => watches.set(member, new Invariants(size, mesh.announced));
  mesh.members.forEach(watch);
  mesh.onStep = (member) => watches.get(member)?.check(member, world.now);
  const [first] = mesh.members;
  for (const [i, member] of mesh.members.entries()) {
    mesh.publish(member);
    if (i > 0 && first !== undefined) {
      world.at(random.between(0, 5000), () => {
        if (first.host.isUp && member.host.isUp) mesh.introduce(member, first);
      });
    }
  }
  const restart = (member: Member) => {
    watch(member);
    mesh.restart(member, random.chance(0.3) ? 0 : member.swim.incarnation + 1);
  };
  const [last] = mesh.members.slice(-1);
  if (seed % 2 === 0 && last !== undefined) deceive(mesh, new Liar(mesh, last), random);
  while (world.now < STORM) {
    world.run(random.between(200, 8000));
    befall(mesh, random, restart);
  }
  mesh.network.heal();
  mesh.network.conditions = CALM;
  for (const member of mesh.members) if (!member.host.isUp) restart(member);
  // Whoever was cut off before it knew anybody has only its seed to turn to.
  for (const member of mesh.members) {
    if (first !== undefined && member !== first) mesh.introduce(member, first);
  }
  const began = world.now;
  const agree = () => world.steps % size === 0 && mesh.isConverged() && mesh.isLevel();
  if (!world.run(HEALING, agree)) {
    throw new Error(`sim: ${HEALING} ms after all faults ended the members do not agree`);
  }
  return {
    members: size,
    steps: world.steps,
    healed: world.now - began,
    trace: world.trace.hash,
  };
}

/** Lets an insider lie, whenever it is up, to whoever is. */
function deceive(mesh: SwimMesh, liar: Liar, random: Seeded): void {
  if (mesh.world.now >= STORM) return;
  const up = mesh.members.filter(({ host }) => host.isUp && host !== liar.member.host);
  const [victim] = random.some(up, 1);
  if (liar.member.host.isUp && victim !== undefined) liar.lie(victim);
  mesh.world.after(random.between(1, LIES), () => deceive(mesh, liar, random));
}

function weather(random: Seeded): Conditions {
  return {
    loss: random.chance(0.5) ? random.between(0, 0.3) : 0,
    delay: random.between(0, 100),
    jitter: random.between(0, 100),
    duplicate: random.chance(0.5) ? ROUGH.duplicate : 0,
    reorder: random.chance(0.5) ? ROUGH.reorder : 0,
    late: random.between(0, 3000),
    mtu: CALM.mtu,
  };
}

/** One stroke of fate. */
function befall(mesh: SwimMesh, random: Seeded, restart: (member: Member) => void): void {
  const { members, network } = mesh;
  const ids = members.map(({ id }) => id);
  const [member, other] = random.some(members, 2);
  if (member === undefined || other === undefined) return;
  const strokes = [
    () => mesh.crash(member),
    () => mesh.leave(member),
    () => restart(member),
    () => restart(member),
    () => member.host.slow(random.between(1000, 30_000), random.between(500, 16_000)),
    () => member.host.freeze(random.between(500, 20_000)),
    () => network.partition(random.some(ids, random.below(ids.length))),
    () => network.mute(member.id, other.id),
    () => network.heal(),
    () => mesh.publish(member),
    () => mesh.introduce(member, other),
  ];
  const stroke = strokes[random.below(strokes.length)];
  // What is down can only be started.
  if (member.host.isUp && other.host.isUp) stroke?.();
  else if (!member.host.isUp && random.chance(0.5)) restart(member);
}
