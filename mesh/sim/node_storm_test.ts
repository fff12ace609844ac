import assert from "node:assert/strict";
import { nobleCrypto } from "../noble_crypto.ts";
import { CALM } from "./network.ts";
import { NodeLab } from "./node_lab.ts";
import { nodeStorm } from "./node_storm.ts";
import { seedsUpTo } from "./seeds.ts";
import { toyCrypto } from "./toy_crypto.ts";

/** SHOAL_SEEDS=N plays that many of the storms of swim, and this share here. */
const COUNT = Number(Deno.env.get("SHOAL_SEEDS") ?? 1000) / 40;
const SEEDS = seedsUpTo(COUNT, Deno.env.get("SHOAL_THIRD"));

Deno.test("whole nodes: after any storm all see each other, at one address each, and packets cross", () => {
  const healed: number[] = [];
  const talked: number[] = [];
  for (const seed of SEEDS) {
    try {
      const report = nodeStorm(toyCrypto, seed);
      healed.push(report.healed);
      talked.push(report.talked);
    } catch (error) {
      throw new Error(`replay it: ./run lab sim nodes --seed ${seed}`, { cause: error });
    }
  }
  // Where two were restarted while they were apart; of 120 storms one to four.
  const late = talked.filter((seconds) => seconds > 40).length;
  assert.ok(
    late <= Math.ceil(SEEDS.length / 8),
    `${late} of ${SEEDS.length} storms had two that waited for minutes`,
  );
  console.log(
    `${SEEDS.length} storms; all agree after ${(Math.max(...healed) / 1000).toFixed(1)} s at most`,
  );
});

Deno.test("whole nodes: one seed gives one trace, another seed another, and real keys do as toys", () => {
  const once = nodeStorm(toyCrypto, 3);
  assert.equal(nodeStorm(toyCrypto, 3).trace, once.trace);
  assert.notEqual(nodeStorm(toyCrypto, 4).trace, once.trace);
  assert.doesNotThrow(() => nodeStorm(nobleCrypto, 3));
});

/** `count` nodes that have joined with a token each; every one sees all others. */
function meshOf(count: number, seed: number): NodeLab {
  const lab = new NodeLab(toyCrypto, seed, { ...CALM, delay: 5, jitter: 10 });
  const founder = lab.founder();
  for (let i = 1; i < count; i++) lab.joiner(founder);
  assert.ok(
    lab.until(60_000, () => lab.world.steps % count === 0 && isWhole(lab)),
    "no whole mesh",
  );
  return lab;
}

function isWhole({ computers }: NodeLab): boolean {
  return computers.every((computer) => {
    const { peers } = computer.node.status(computer.now());
    return peers.length === computers.length - 1 && peers.every(({ state }) => state === "alive");
  });
}

Deno.test("thirty nodes that join at once through one seed are a whole mesh, at thirty addresses", () => {
  const lab = meshOf(30, 30);
  const addresses = new Set(lab.computers.map(({ ip4 }) => ip4.join(".")));
  assert.equal(addresses.size, 30);
  for (const computer of lab.computers) {
    for (const peer of computer.node.status(computer.now()).peers) {
      assert.ok(addresses.has(peer.ip4));
    }
  }
  assert.ok(lab.world.now < 30_000, `it took ${lab.world.now} ms`);
});

Deno.test("T37: whole nodes that were apart for ten minutes see each other within 60 s, and packets cross", () => {
  const size = 12;
  const lab = meshOf(size, 37);
  const { computers, network } = lab;
  network.partition(computers.slice(0, size / 2).map(({ address }) => address));
  lab.run(600_000);
  for (const computer of computers) {
    const dead = computer.node.status(computer.now()).peers.filter(({ state }) => state === "dead");
    assert.equal(dead.length, size / 2);
  }
  network.heal();
  const healed = lab.world.now;
  assert.ok(lab.until(60_000, () => isWhole(lab)), "not within 60 s");
  console.log(`equal views after ${((lab.world.now - healed) / 1000).toFixed(1)} s`);
  const [one, other] = [computers[0], computers[size - 1]];
  assert.ok(one && other);
  one.say(other);
  assert.ok(lab.until(10_000, () => other.delivered.length > 0));
});

Deno.test("T37: all nodes restart from disk at once, and no living one is held dead", () => {
  const lab = meshOf(20, 20);
  for (const computer of lab.computers) {
    lab.world.after(lab.world.random.between(0, 2000), () => computer.crash());
    lab.world.after(lab.world.random.between(8000, 20_000), () => assert.ok(!computer.start()));
  }
  lab.run(20_000);
  assert.ok(lab.until(60_000, () => isWhole(lab)), "not within 60 s");
});
