import assert from "node:assert/strict";
import { CALM } from "./network.ts";
import { encode } from "../swim/messages.ts";
import { Seeded } from "./random.ts";
import { SwimMesh } from "./swim_mesh.ts";
import { World } from "./world.ts";

/** Runs until nobody holds a wrong view, asking once in so many steps; how many ms that took. */
function untilConverged(world: World, mesh: SwimMesh, most: number): number {
  const began = world.now;
  const every = mesh.members.length;
  assert.ok(
    world.run(most, () => world.steps % every === 0 && mesh.isConverged()),
    `no equal views ${most / 1000} s later`,
  );
  return world.now - began;
}

Deno.test("T37: halves that were apart for ten minutes see each other within 60 s and 3 log2 n periods", () => {
  for (
    const { size, seed } of [{ size: 6, seed: 1 }, { size: 50, seed: 2 }, { size: 128, seed: 3 }]
  ) {
    const world = new World(seed);
    const mesh = new SwimMesh(world, {
      size,
      conditions: { ...CALM, delay: 10, jitter: 20 },
      // Real bytes take half of the time, and are the same in a mesh of any size.
      wire: size < 100,
    });
    const ids = mesh.members.map(({ id }) => id);
    world.run(10_000);
    let deaths = 0;
    mesh.onEvent = ({ kind }) => void (kind === "died" && deaths++);
    mesh.network.partition(ids.slice(0, size / 2), ids.slice(size / 2));
    world.run(600_000);
    assert.equal(deaths, size * size / 2, "each half has given up the whole other half");
    let back = 0;
    mesh.onEvent = ({ kind }) => void (kind === "returned" && back++);
    mesh.network.heal();
    const took = untilConverged(world, mesh, 60_000);
    console.log(`${size} members: equal views after ${(took / 1000).toFixed(1)} s`);
    assert.ok(took <= 3 * Math.log2(size) * 1000);
    assert.ok(back >= size * size / 2, "healing is an event for whoever had given up");
  }
});

Deno.test("T37: after a mass restart with the same keys no living member is held dead", () => {
  const size = 200;
  for (const remembers of [true, false]) {
    const world = new World(4500);
    const mesh = new SwimMesh(world, { size, conditions: { ...CALM, delay: 10, jitter: 20 } });
    world.run(5000);
    // All go down within 10 s and come back half a minute later, while many suspicions are under way.
    for (const member of mesh.members) {
      world.after(world.random.between(0, 10_000), () => mesh.crash(member));
      world.after(world.random.between(15_000, 40_000), () => {
        mesh.restart(member, remembers ? undefined : 0);
      });
    }
    world.run(40_000);
    const took = untilConverged(world, mesh, 120_000);
    console.log(
      `${remembers ? "with" : "without"} memory: all alive ${(took / 1000).toFixed(1)} s later`,
    );
  }
});

Deno.test("T37: rolling restarts of everybody bury nobody", () => {
  const size = 60;
  const world = new World(37);
  const mesh = new SwimMesh(world, { size, conditions: CALM });
  for (const [i, member] of mesh.members.entries()) {
    world.at(5000 + i * 1000, () => mesh.crash(member));
    world.at(7000 + i * 1000, () => mesh.restart(member));
  }
  mesh.onEvent = ({ kind }) => assert.notEqual(kind, "died");
  world.run(5000 + size * 1000 + 20_000);
  assert.ok(mesh.isConverged());
});

Deno.test("T37: a fifth that crashes at once is held dead by all others, who stay alive", () => {
  const size = 100;
  const world = new World(20);
  const mesh = new SwimMesh(world, { size, conditions: CALM });
  world.run(5000);
  const gone = mesh.members.slice(0, size / 5);
  const names = new Set(gone.map(({ id }) => id));
  mesh.onEvent = (event) => {
    if (event.kind === "died") assert.ok(names.has(event.id), "a living member was buried");
  };
  for (const member of gone) mesh.crash(member);
  const took = untilConverged(world, mesh, 120_000);
  console.log(`20 of 100 gone: equal views after ${(took / 1000).toFixed(1)} s`);
});

Deno.test("T37: members that flap do not pull others down, and are alive when they stay", () => {
  const size = 100;
  const world = new World(1);
  const mesh = new SwimMesh(world, { size, conditions: CALM });
  const [flapper] = mesh.members;
  assert.ok(flapper);
  for (let time = 3000; time < 120_000; time += 15_000) {
    world.at(time, () => mesh.crash(flapper));
    world.at(time + 12_000, () => mesh.restart(flapper));
  }
  mesh.onEvent = (event) => {
    if (event.kind === "died") assert.equal(event.id, flapper.id);
  };
  world.run(120_000);
  untilConverged(world, mesh, 30_000);
});

Deno.test("a member that leaves is told apart from a dead one, and comes back with its next life", () => {
  const world = new World(3);
  const mesh = new SwimMesh(world, { size: 20, conditions: CALM });
  world.run(3000);
  const [leaver, ...others] = mesh.members;
  assert.ok(leaver);
  mesh.leave(leaver);
  world.run(100);
  for (const { swim } of others) assert.equal(swim.member(leaver.id)?.status, "left");
  world.run(60_000);
  for (const { swim } of others) assert.equal(swim.member(leaver.id)?.status, "left");
  mesh.restart(leaver);
  untilConverged(world, mesh, 15_000);
});

Deno.test("trust.md 10: a newcomer to a mesh of 2,500 members levels within a minute, though each gives it 64 KB a second at most", () => {
  const world = new World(2500);
  const swim = { queueMax: 1 }; // what the mesh knows is old news to it
  const conditions = { ...CALM, delay: 15, jitter: 5 };
  const mesh = new SwimMesh(world, { size: 20, conditions, acquainted: false, wire: true, swim });
  const names = new Seeded(2500);
  for (let n = 0; n < 2500; n++) {
    const rumour = {
      kind: 2,
      key: names.bytes(32).toHex(),
      version: 1,
      bytes: new Uint8Array(660),
    };
    for (const member of mesh.members.slice(1)) {
      mesh.act(member, (swim, now, out) => swim.spread(now, rumour, out));
      member.versions.set(rumour.key, 1);
    }
  }
  const [newcomer, seed, ...rest] = mesh.members;
  assert.ok(newcomer && seed);
  for (const member of rest) mesh.introduce(member, seed);
  world.run(30_000);
  mesh.crash(newcomer);
  swim.queueMax = 16_384;
  mesh.restart(newcomer, 0);
  const from = new Map<string, number>();
  mesh.onMessage = (member, to, message) => {
    if (to !== newcomer.id) return;
    from.set(member.id, (from.get(member.id) ?? 0) + encode(message, 1150).length);
  };
  const began = world.now;
  mesh.introduce(newcomer, seed);
  const isLevel = () => newcomer.versions.size >= 2500 + 1;
  assert.ok(world.run(60_000, isLevel), `${newcomer.versions.size} of 2,500 after a minute`);
  const seconds = (world.now - began) / 1000;
  const most = Math.max(...from.values());
  console.log(
    `level after ${seconds.toFixed(1)} s; ${most} bytes from one of the ${from.size} that gave`,
  );
  assert.ok(most <= 256_000 + 64_000 * (seconds + 1));
});
