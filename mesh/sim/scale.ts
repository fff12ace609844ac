/** What a large mesh costs and how fast it notices things: the figures of T36 and T37 at any size. */
import { CALM } from "./network.ts";
import { SwimMesh } from "./swim_mesh.ts";
import { World } from "./world.ts";

export interface ScaleReport {
  readonly members: number;
  /** Messages that a member sends in a second while nothing happens. */
  readonly messagesPerSecond: number;
  /** Seconds from a crash until somebody suspects, until half and until all hold it dead. */
  readonly suspected: number;
  readonly halfKnow: number;
  readonly allKnow: number;
  /** Seconds after a mass restart over 30 s until all see all alive; undefined: not within 120 s. */
  readonly restarted: number | undefined;
}

/** Plays calm, one crash, and a restart of everybody. */
export function scale(seed: number, members: number): ScaleReport {
  const world = new World(seed);
  const mesh = new SwimMesh(world, {
    size: members,
    conditions: { ...CALM, delay: 10, jitter: 20 },
  });
  world.run(40_000);
  const messages = mesh.members.reduce((sum, { sent }) => sum + sent, 0);
  const [victim] = mesh.members;
  if (victim === undefined) throw new RangeError("sim: a mesh of no members");
  const crashed = world.now;
  const deaths: number[] = [];
  let suspected = Infinity;
  mesh.onEvent = ({ kind, at }) => {
    if (kind === "suspected") suspected = Math.min(suspected, at);
    if (kind === "died") deaths.push(at);
  };
  mesh.crash(victim);
  world.run(120_000, () => deaths.length === members - 1);
  mesh.onEvent = () => {};
  const since = (time = Infinity) => (time - crashed) / 1000;
  mesh.restart(victim);
  world.run(30_000);
  for (const member of mesh.members) {
    world.after(world.random.between(0, 10_000), () => mesh.crash(member));
    world.after(world.random.between(10_000, 30_000), () => mesh.restart(member));
  }
  world.run(30_000);
  const began = world.now;
  const isOver = world.run(120_000, () => world.steps % members === 0 && mesh.isConverged());
  return {
    members,
    messagesPerSecond: messages / members / 40,
    suspected: since(suspected),
    halfKnow: since(deaths[deaths.length >> 1]),
    allKnow: since(deaths[members - 2]),
    restarted: isOver ? (world.now - began) / 1000 : undefined,
  };
}
