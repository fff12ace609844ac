/** T38: one authenticated member that says whatever it likes. */
import assert from "node:assert/strict";
import { tagOf } from "../swim/membership.ts";
import { type Claim, INCARNATION_MAX, type Message, type Status } from "../swim/messages.ts";
import { Invariants } from "./invariants.ts";
import { CALM } from "./network.ts";
import { seedsUpTo } from "./seeds.ts";
import { type Member, SwimMesh } from "./swim_mesh.ts";
import { World } from "./world.ts";

const SIZE = 50;
/** Which of the seeds are played. */
const THIRD = Deno.env.get("SHOAL_THIRD");

/** A mesh in which the last member says nothing by itself any more, and speaks only through `lie`. */
function meshWithLiar(seed: number) {
  const world = new World(seed);
  const mesh = new SwimMesh(world, { size: SIZE, conditions: { ...CALM, delay: 5 }, wire: true });
  world.run(5000);
  const liar = mesh.members.at(-1);
  const [victim] = mesh.members;
  assert.ok(liar && victim);
  const honest = mesh.members.slice(0, -1);
  const watches = new Map(honest.map((member) => [member, new Invariants(SIZE, mesh.announced)]));
  mesh.onStep = (member) => watches.get(member)?.check(member, world.now);
  // It goes on answering, so that nobody doubts it.
  const lie = (to: Member, claims: Claim[], more: Partial<Message> = {}) =>
    mesh.forge(liar, to, {
      incarnation: liar.swim.incarnation,
      view: undefined,
      body: { kind: "news" },
      claims,
      rumours: [],
      ...more,
    });
  return { world, mesh, liar, victim, honest, lie };
}

function claim(victim: Member, status: Status, incarnation: number, origin?: Member): Claim {
  const subject = tagOf(victim.id);
  if (status !== "suspect") return { subject, status, incarnation };
  return { subject, status, incarnation, origin: tagOf((origin ?? victim).id) };
}

for (const status of ["suspect", "dead", "left"] as const) {
  Deno.test(`T38: a forged "${status}" told to everybody evicts nobody, and the victim refutes it within 2 periods`, () => {
    for (const seed of seedsUpTo(20, THIRD)) {
      const { world, mesh, liar, victim, honest, lie } = meshWithLiar(seed);
      let refuted = Infinity;
      mesh.onEvent = (event) => {
        assert.notEqual(event.kind, "died");
        assert.notEqual(event.kind, "departed");
        if (event.kind === "refuted") refuted = Math.min(refuted, world.now);
      };
      const began = world.now;
      for (const member of honest) {
        if (member !== victim) lie(member, [claim(victim, status, victim.swim.incarnation, liar)]);
      }
      world.run(60_000);
      assert.ok(refuted - began <= 2000, `refuted after ${refuted - began} ms`);
      for (const { swim } of honest) {
        assert.equal(swim.member(victim.id)?.status ?? "alive", "alive");
      }
    }
  });

  Deno.test(`T38: "${status}" repeated every second for a minute, in the name of others, evicts nobody`, () => {
    const { world, mesh, victim, honest, lie } = meshWithLiar(38);
    mesh.onEvent = (event) => assert.notEqual(event.kind, "died");
    for (let second = 1; second <= 60; second++) {
      world.after(second * 1000, () => {
        for (const member of honest) {
          const held = member.swim.member(victim.id)?.incarnation ?? 0;
          const [origin] = world.random.some(honest, 1);
          lie(member, [claim(victim, status, held + second % 3, origin)]);
        }
      });
    }
    world.run(120_000);
    for (const { swim } of honest) assert.equal(swim.member(victim.id)?.status ?? "alive", "alive");
  });
}

Deno.test("T38: a suspicion told to one member only, in another's name, is refuted within 3 periods", () => {
  const waits: number[] = [];
  for (const seed of seedsUpTo(40, THIRD)) {
    const { world, mesh, victim, honest, lie } = meshWithLiar(seed);
    const [accomplice, scapegoat] = honest.slice(1);
    assert.ok(accomplice && scapegoat);
    let refuted = Infinity;
    mesh.onEvent = ({ kind }) => {
      if (kind === "refuted") refuted = Math.min(refuted, world.now);
    };
    const began = world.now;
    lie(accomplice, [claim(victim, "suspect", victim.swim.incarnation, scapegoat)]);
    world.run(10_000);
    waits.push(refuted - began);
  }
  waits.sort((a, b) => a - b);
  assert.ok((waits.at(-1) ?? Infinity) <= 3000, `the slowest took ${waits.at(-1)} ms`);
});

Deno.test("T38: claims at the greatest incarnation evict nobody, however they come", () => {
  for (const status of ["alive", "suspect", "dead", "left"] as const) {
    let unannounced = 0;
    const { world, mesh, victim, honest, lie } = meshWithLiar(358);
    mesh.onEvent = (event) => {
      if (event.kind === "died") assert.fail(`${event.id.slice(0, 8)} was evicted`);
    };
    for (const member of honest) {
      lie(member, [claim(victim, status, INCARNATION_MAX)]);
      lie(member, [], { view: { status, incarnation: INCARNATION_MAX } });
    }
    world.run(60_000);
    assert.equal(victim.swim.incarnation, 0, "trust.md 8: the victim was pushed");
    for (const { swim } of honest) {
      const seen = swim.member(victim.id);
      assert.deepEqual([seen?.status ?? "alive", seen?.incarnation ?? 0], ["alive", 0]);
      unannounced += swim.counters()["unannounced"] ?? 0;
    }
    // Each heard one claim about the victim, and one view of itself.
    assert.equal(unannounced, 2 * honest.length);
  }
});

/** Claims a second, for how many minutes, and how many in one message. */
const FLOOD = { rate: 3000, minutes: 10, together: 5 };

Deno.test("T38, trust.md 8: ten minutes of 3,000 forged claims a second about one member: its number rises by one a period at most, and all hold it alive", () => {
  const world = new World(3000);
  const size = 5;
  const mesh = new SwimMesh(world, { size, conditions: CALM, wire: true });
  world.run(5000);
  const [victim, ...others] = mesh.members;
  const liar = others.pop();
  assert.ok(victim && liar);
  mesh.onEvent = (event) => {
    const isVictim = "id" in event && event.id === victim.id;
    assert.ok(!isVictim || event.kind !== "died" && event.kind !== "departed");
  };
  const watches = new Map(
    [victim, ...others].map((member) => [member, new Invariants(size, mesh.announced)]),
  );
  mesh.onStep = (member) => watches.get(member)?.check(member, world.now);
  const cpu = performance.now();
  const began = world.now;
  let claims = 0;
  for (let second = 0; second < 60 * FLOOD.minutes; second++) {
    const { incarnation } = victim.swim;
    const statuses = ["suspect", "dead", "left", "alive"] as const;
    let riding: Claim[] = [];
    for (let i = 0; i < FLOOD.rate; i++) {
      const number = [victim.swim.incarnation, incarnation + i % 70, INCARNATION_MAX][i % 7 % 3];
      const made = claim(victim, statuses[i % 4] ?? "dead", number ?? 0, others[i % 2]);
      const forged = i % 5 === 0 ? { ...made, proof: new Uint8Array(64) } : made;
      riding.push(forged);
      claims++;
      if (riding.length < FLOOD.together) continue;
      const turn = Math.floor(i / FLOOD.together);
      const to = turn % 3 === 0 ? victim : others[turn % others.length] ?? victim;
      const about = {
        incarnation: 0,
        view: undefined,
        body: { kind: "news" },
        rumours: [],
      } as const;
      mesh.forge(liar, to, { ...about, claims: riding });
      riding = [];
      if (i % 100 === 99) world.run(1000 / FLOOD.rate * 100);
    }
    const periods = (world.now - began) / 1000;
    assert.ok(victim.swim.incarnation <= periods + 1, `${victim.swim.incarnation} in ${periods} s`);
    for (const { swim } of others) {
      const held = swim.member(victim.id)?.status ?? "dead";
      assert.ok(held === "alive" || held === "suspect", held);
    }
  }
  const share = (performance.now() - cpu) / (60_000 * FLOOD.minutes);
  console.log(
    `${claims} forged claims, the victim at ${victim.swim.incarnation} after ` +
      `${60 * FLOOD.minutes} periods; ${size} members and the codec took ` +
      `${(100 * share).toFixed(1)} % of a core`,
  );
  assert.equal(claims, FLOOD.rate * 60 * FLOOD.minutes);
  world.run(30_000);
  for (const { swim } of others) assert.equal(swim.member(victim.id)?.status, "alive");
});

Deno.test("T38, trust.md 8: a restart from a disk of yesterday, while an insider lies, goes on where the member was", () => {
  const { world, mesh, victim, honest, lie } = meshWithLiar(77);
  for (let second = 1; second <= 20; second++) {
    world.after(second * 1000, () => {
      for (const member of honest) {
        lie(member, [claim(victim, "dead", victim.swim.incarnation)]);
      }
    });
  }
  world.run(25_000);
  const reached = victim.swim.incarnation;
  assert.ok(reached >= 10 && reached <= 21, `${reached}`);
  mesh.crash(victim);
  world.run(60_000);
  for (const { swim, id } of honest) {
    if (id !== victim.id) assert.equal(swim.member(victim.id)?.status, "dead");
  }
  mesh.onStep = () => {};
  mesh.restart(victim, 1);
  for (const member of honest) {
    lie(member, [claim(victim, "dead", INCARNATION_MAX)]);
    lie(member, [], { view: { status: "dead", incarnation: INCARNATION_MAX } });
  }
  world.run(30_000);
  for (const { swim, id } of honest) {
    if (id !== victim.id) assert.equal(swim.member(victim.id)?.status, "alive");
  }
  assert.ok(victim.swim.incarnation > reached && victim.swim.incarnation <= reached + 2);
});

Deno.test("T38: a member that has come to the greatest incarnation cannot be evicted, though it can say nothing higher", () => {
  const { world, mesh, victim, honest, lie } = meshWithLiar(359);
  mesh.crash(victim);
  mesh.restart(victim, INCARNATION_MAX);
  // Its own word reaches all of them.
  world.run(60_000);
  for (const { swim, id } of honest) {
    if (id !== victim.id) assert.equal(swim.member(victim.id)?.incarnation, INCARNATION_MAX);
  }
  mesh.onEvent = (event) => assert.notEqual(event.kind, "died");
  for (let second = 1; second <= 60; second++) {
    world.after(second * 1000, () => {
      for (const member of honest) lie(member, [claim(victim, "dead", INCARNATION_MAX)]);
    });
  }
  world.run(180_000);
  for (const { swim, id } of honest) {
    if (id !== victim.id) assert.equal(swim.member(victim.id)?.status, "alive");
  }
});

Deno.test("T38: a stale alive brings no dead member back", () => {
  const { world, mesh, victim, honest, lie } = meshWithLiar(197);
  mesh.crash(victim);
  world.run(60_000);
  mesh.onEvent = (event) => assert.notEqual(event.kind, "returned");
  for (let second = 1; second <= 30; second++) {
    world.after(second * 1000, () => {
      for (const member of honest) {
        if (member === victim) continue;
        lie(member, [claim(victim, "alive", member.swim.member(victim.id)?.incarnation ?? 0)]);
      }
    });
  }
  world.run(60_000);
  for (const { swim, id } of honest) {
    if (id !== victim.id) assert.equal(swim.member(victim.id)?.status, "dead");
  }
});

Deno.test("T38: a farewell in somebody else's name is none: only the subject's own counts", () => {
  const { world, mesh, victim, honest, lie } = meshWithLiar(200);
  mesh.onEvent = (event) => assert.ok(event.kind !== "departed" || event.id !== victim.id);
  for (const member of honest) lie(member, [claim(victim, "left", 0)], { body: { kind: "leave" } });
  world.run(30_000);
  for (const { swim } of honest) assert.equal(swim.member(victim.id)?.status ?? "alive", "alive");
});

Deno.test("T38: invented acks, nacks, forwards and pages change nobody's view", () => {
  const { world, mesh, victim, honest, lie } = meshWithLiar(5);
  mesh.crash(victim);
  const tag = tagOf(victim.id);
  for (let tenth = 1; tenth <= 300; tenth++) {
    world.after(tenth * 100, () => {
      for (const member of world.random.some(honest, 5)) {
        if (member === victim) continue;
        const seq = world.random.next();
        lie(member, [], { body: { kind: "ack", seq } });
        lie(member, [], { body: { kind: "nack", seq } });
        lie(member, [], { body: { kind: "forward", seq, target: tag, incarnation: 7 } });
        lie(member, [], {
          body: { kind: "page", seq, after: undefined, upto: undefined, items: [] },
        });
      }
    });
  }
  world.run(60_000);
  for (const { swim, id } of honest) {
    if (id !== victim.id) assert.equal(swim.member(victim.id)?.status, "dead");
  }
});

/** A mesh in which a member crashes, and another says of it, whenever it is asked to probe it, that it answers. */
function stillAliveFor(size: number): number {
  const world = new World(38);
  const mesh = new SwimMesh(world, { size, conditions: CALM });
  world.run(5_000);
  const [victim, ...others] = mesh.members;
  const liar = others.pop();
  assert.ok(victim && liar);
  mesh.onMessage = (from, to, { body }) => {
    if (body.kind !== "ask" || to !== liar.id || body.target !== tagOf(victim.id)) return;
    const { seq, target } = body;
    mesh.forge(liar, from, {
      incarnation: liar.swim.incarnation,
      view: undefined,
      body: { kind: "forward", seq, target, incarnation: victim.swim.incarnation },
      claims: [],
      rumours: [],
    });
  };
  mesh.crash(victim);
  world.run(300_000);
  return others.filter(({ swim }) => swim.member(victim.id)?.status !== "dead").length;
}

Deno.test("T38: a helper that lies keeps a dead member alive where it is asked each time: in a mesh of five and less", () => {
  assert.deepEqual([3, 4, 5].map(stillAliveFor), [1, 2, 3]);
});

Deno.test("T38: a helper that lies keeps no dead member alive in a mesh of six and more", () => {
  assert.deepEqual([6, 7, 9, 12, 30].map(stillAliveFor), [0, 0, 0, 0, 0]);
});
