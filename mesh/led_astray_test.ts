/**
 * Who has a copy of a member's folder seals single datagrams whose counters are far ahead, in that member's name or, to it,
 * in the names of all others, so that what these say themselves is behind that (item 11).
 */
import assert from "node:assert/strict";
import { CopiedKey, type Direction } from "./sim/copied_key.ts";
import type { Computer } from "./sim/node_lab.ts";
import { healthOf, told, village } from "./sim/people.ts";
import { toyCrypto as crypto } from "./sim/toy_crypto.ts";
import { encodeTop, FIRST_MAX, LEAP } from "./wire/seal.ts";

const SECOND = 1_000;
const BOTH = ["asOwner", "toOwner"] as const;

interface Numbers {
  readonly counter: number;
  /** Starts beyond the owner's present one. */
  readonly later?: number;
  /** Of the receiver's counters, as if its own had been led away. */
  readonly top?: number;
}

function setUp() {
  const { lab, founder, others } = village(crypto, ["victim", "a", "b", "c"], 4);
  const [victim, ...rest] = others;
  assert.ok(victim);
  lab.run(80 * SECOND);
  const honest = [founder, ...rest];
  const key = new CopiedKey(victim, honest);
  const strike = (direction: Direction, { top, ...numbers }: Numbers) => {
    key.strike(direction, {
      ...numbers,
      ...(top === undefined ? {} : { payload: encodeTop(top) }),
    });
  };
  return { lab, victim, honest, strike };
}

/** Looks at the members each second. @returns in how many of a hundred looks the victim was alive to one */
function aliveness(
  { lab, victim, honest }: ReturnType<typeof setUp>,
  seconds: number,
  each: (second: number) => void = () => {},
): number {
  let alive = 0;
  for (let second = 0; second < seconds; second++) {
    each(second);
    lab.run(SECOND);
    alive += honest.filter((one) => one.sees(victim)?.state === "alive").length;
  }
  return 100 * alive / (seconds * honest.length);
}

function isNamed(by: Computer): boolean {
  return healthOf(by).some((line) =>
    line.includes("the key of victim is used by two machines") ||
    line.includes("another machine uses this node's key")
  );
}

for (const counter of [LEAP, 2 ** 40, 2 ** 48 - 1]) {
  for (const directions of [["asOwner"], ["toOwner"], BOTH] as const) {
    Deno.test(`item 11: one datagram with counter ${counter}, ${directions.join(" and ")}, mutes a member nowhere`, () => {
      const world = setUp();
      for (const direction of directions) world.strike(direction, { counter });
      const percent = aliveness(world, 300);
      assert.ok(percent > 98, `alive in ${percent} % of the looks`);
      assert.ok(!world.honest.some(isNamed), "of what may be a set-back machine nobody is told");
    });
  }
}

for (const top of [LEAP, 2 ** 40, 2 ** 47, 2 ** 48 - 1]) {
  for (const directions of [["asOwner"], ["toOwner"], BOTH] as const) {
    Deno.test(`item 11: one notice that names counter ${top}, ${directions.join(" and ")}, mutes a member nowhere`, () => {
      const world = setUp();
      for (const direction of directions) world.strike(direction, { counter: LEAP / 2, top });
      const percent = aliveness(world, 300);
      assert.ok(percent > 98, `alive in ${percent} % of the looks`);
      const { victim, honest } = world;
      for (const one of honest) assert.equal(victim.sees(one)?.state, "alive", one.address);
    });
  }
}

Deno.test("item 11: one datagram with the number of a member's next start does not mute that start", () => {
  for (const counter of [LEAP, FIRST_MAX, 2 ** 48 - 1]) {
    const world = setUp();
    world.strike("asOwner", { counter, later: 1 });
    world.lab.run(60 * SECOND);
    world.victim.crash();
    world.victim.start();
    world.lab.run(10 * SECOND);
    const percent = aliveness(world, 300);
    assert.ok(percent > 98, `counter ${counter}: alive in ${percent} % of the looks`);
  }
});

Deno.test("item 11: a copy that seals such a datagram every 30 s, in its owner's run, is named by all, its owner too", () => {
  for (const directions of [["asOwner"], BOTH] as const) {
    const world = setUp();
    const percent = aliveness(world, 300, (second) => {
      if (second % 30 !== 0) return;
      const counter = LEAP + second / 30 * LEAP / 2;
      for (const direction of directions) world.strike(direction, { counter });
    });
    assert.ok(percent > 98, `alive in ${percent} % of the looks`);
    for (const one of [world.victim, ...world.honest]) {
      assert.ok(isNamed(one), one.address);
      assert.ok(told(one, "twin") > 0, one.address);
    }
  }
});

Deno.test("item 11: who is told such numbers in others' names only is no copy's owner to them", () => {
  const world = setUp();
  aliveness(world, 300, (second) => {
    if (second % 30 === 0) world.strike("toOwner", { counter: LEAP + second / 30 * LEAP / 2 });
  });
  for (const one of [world.victim, ...world.honest]) assert.ok(!isNamed(one), one.address);
});
