/** T40: Lifeguard against plain SWIM where a quarter of the members process late. */
import assert from "node:assert/strict";
import { CALM } from "./network.ts";
import { SwimMesh } from "./swim_mesh.ts";
import { World } from "./world.ts";

const SIZE = 40;

interface Outcome {
  /** How often somebody held a healthy member dead, and how often a healthy one did. */
  wrong: number;
  wrongAmongHealthy: number;
  /** For each healthy member, ms from a true crash until it held the crashed one dead. */
  readonly burials: number[];
}

function play(lifeguard: boolean, slowOnes: number, seeds: number): Outcome {
  const outcome: Outcome = { wrong: 0, wrongAmongHealthy: 0, burials: [] };
  for (let seed = 1; seed <= seeds; seed++) {
    const world = new World(seed);
    const { random } = world;
    const mesh = new SwimMesh(world, {
      size: SIZE,
      conditions: { ...CALM, delay: 2, jitter: 5 },
      swim: { lifeguard },
    });
    const slow = mesh.members.slice(0, slowOnes);
    const slowIds = new Set(slow.map(({ id }) => id));
    for (const { host } of slow) {
      const trouble = () => {
        const ms = random.between(1000, 30_000);
        host.slow(ms, random.between(500, 16_000));
        world.after(ms + random.between(0, 20_000), trouble);
      };
      world.at(random.between(0, 20_000), trouble);
    }
    const victim = mesh.members.at(-1);
    assert.ok(victim);
    let crashed = Infinity;
    mesh.onEvent = ({ kind, at, where, ...rest }) => {
      const isHealthy = !slowIds.has(where);
      if (kind !== "died" || !("id" in rest) || slowIds.has(rest.id)) return;
      if (rest.id === victim.id && at >= crashed) {
        if (isHealthy) outcome.burials.push(at - crashed);
        return;
      }
      outcome.wrong++;
      if (isHealthy) outcome.wrongAmongHealthy++;
    };
    world.run(60_000);
    mesh.crash(victim);
    crashed = world.now;
    world.run(45_000);
  }
  return outcome;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN;
}

Deno.test("T40: with a quarter slow, healthy members are held dead 50 times less than by plain SWIM", () => {
  const plain = play(false, SIZE / 4, 10);
  const ours = play(true, SIZE / 4, 10);
  console.log(
    `healthy members held dead: ${plain.wrong} times by plain SWIM (${plain.wrongAmongHealthy} by ` +
      `healthy ones), ${ours.wrong} (${ours.wrongAmongHealthy}) here; a crashed one held dead ` +
      `after ${median(plain.burials).toFixed(0)} and ${median(ours.burials).toFixed(0)} ms`,
  );
  assert.ok(plain.wrongAmongHealthy >= 100, "plain SWIM has no trouble: the test shows nothing");
  assert.ok(ours.wrong * 50 <= plain.wrong);
  assert.ok(ours.wrongAmongHealthy * 50 <= plain.wrongAmongHealthy);
  // Plain SWIM is helped by slow members that suspect everybody all the time.
  assert.ok(median(ours.burials) <= 1.25 * median(plain.burials));
});

Deno.test("T40: a crash is found within 1.1 times what plain SWIM takes", () => {
  const plain = median(play(false, 0, 40).burials);
  const ours = median(play(true, 0, 40).burials);
  console.log(`a crashed member held dead after ${plain.toFixed(0)} and ${ours.toFixed(0)} ms`);
  assert.ok(ours <= 1.1 * plain);
});
