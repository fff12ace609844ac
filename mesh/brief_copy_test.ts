/** A copy of a member's folder that seals single datagrams from another place, and is silent after that (item 11). */
import assert from "node:assert/strict";
import { headOf } from "./datagram.ts";
import { formatEndpoint } from "./endpoint.ts";
import { CopiedKey, type Direction } from "./sim/copied_key.ts";
import type { Computer } from "./sim/node_lab.ts";
import { healthOf, told, village } from "./sim/people.ts";
import { toyCrypto } from "./sim/toy_crypto.ts";

const SECOND = 1_000;
const PLACE = "198.51.100.7:4000";
/** Beyond what a village has sealed in a minute or two, and no leap. */
const COUNTER = 5_000;

function setUp(names: readonly string[], seed: number) {
  const { lab, founder, others, all } = village(toyCrypto, ["victim", ...names], seed);
  const [victim, ...rest] = others;
  assert.ok(victim);
  lab.run(80 * SECOND);
  const honest = [founder, ...rest];
  return { lab, all, victim, honest, key: new CopiedKey(victim, honest) };
}

/** Pairs of which the first takes the second to be elsewhere. */
function astray({ victim, honest }: ReturnType<typeof setUp>): number {
  const isAstray = (by: Computer, of: Computer) => by.sees(of)?.endpoint !== of.address;
  return honest.filter((one) => isAstray(one, victim) || isAstray(victim, one)).length;
}

const BOTH = ["asOwner", "toOwner"] as const;
const WAYS: readonly (readonly [string, readonly Direction[]])[] = [
  ["to each in its owner's name", ["asOwner"]],
  ["to its owner in the name of each", ["toOwner"]],
  ["both ways", BOTH],
];

for (const names of [[], ["a"], ["a", "b", "c"]]) {
  for (const [how, directions] of WAYS) {
    Deno.test(`item 11: a datagram of a copy ${how} in a mesh of ${names.length + 2} leads nobody astray for longer than a second`, () => {
      for (let seed = 1; seed <= 3; seed++) {
        const world = setUp(names, seed);
        const { lab, all, key } = world;
        let isTaken = false;
        lab.tap = ({ to }) => void (isTaken ||= formatEndpoint(to) === PLACE);
        for (const direction of directions) {
          key.strike(direction, { counter: COUNTER, place: PLACE });
        }
        lab.run(SECOND);
        assert.ok(isTaken, "somebody was led there");
        for (let second = 1; second < 60; second++) {
          assert.equal(astray(world), 0, `seed ${seed}, after ${second} s`);
          lab.run(SECOND);
        }
        for (const one of all) assert.equal(told(one, "memberDied"), 0, `seed ${seed}`);
      }
    });
  }
}

Deno.test("item 11: a copy that seals a datagram each second, both ways, and answers nothing, silences its owner nowhere", () => {
  for (let seed = 1; seed <= 3; seed++) {
    const { lab, all, victim, honest, key } = setUp(["a", "b", "c"], seed);
    for (let second = 0; second < 120; second++) {
      const counter = COUNTER + 10 * second;
      for (const direction of BOTH) key.strike(direction, { counter, place: PLACE });
      lab.run(SECOND);
    }
    for (const one of all) assert.equal(told(one, "memberDied"), 0, `seed ${seed}: ${one.address}`);
    for (const one of honest) {
      one.say(victim);
      victim.say(one);
    }
    lab.run(2 * SECOND);
    assert.equal(victim.delivered.length, honest.length, `seed ${seed}`);
    assert.ok(honest.every(({ delivered }) => delivered.length === 1), `seed ${seed}`);
  }
});

Deno.test("item 11: a copy that seals one datagram for each in a start of its own is named by all within 15 s, as that of a member or of themselves", () => {
  for (let seed = 1; seed <= 3; seed++) {
    const { lab, all, victim, honest, key } = setUp(["a", "b", "c"], seed);
    key.strike("asOwner", { counter: 1, later: 1, run: "ab".repeat(4), place: PLACE });
    lab.run(15 * SECOND);
    const line =
      `key: somebody at ${PLACE} speaks for victim (${victim.address}) with a copy of its key`;
    for (const one of honest) {
      assert.ok(healthOf(one).join().startsWith(line), `seed ${seed}: ${healthOf(one)}`);
      assert.equal(told(one, "twin"), 1);
    }
    lab.run(600 * SECOND);
    for (const one of all) assert.deepEqual(healthOf(one), [], "the copy is silent");
  }
});

Deno.test("item 11: a member that starts again and again is no copy to anybody", () => {
  const { lab, all, victim } = setUp(["a", "b", "c"], 1);
  for (let round = 0; round < 20; round++) {
    victim.crash();
    lab.run(round * 200);
    assert.equal(victim.start(), undefined);
    lab.run(1_000 * (1 + round % 4) ** 2);
  }
  lab.run(60 * SECOND);
  for (const one of all) assert.equal(told(one, "twin"), 0);
});

const SEALED = headOf("sealed").toHex();

for (const doesMove of [false, true]) {
  Deno.test(`a neighbour without a key that keeps back what a member sent before its restart${doesMove ? " and its move" : ""} makes no copy of it`, () => {
    for (const limit of [140, 170, 200, 260]) {
      const { lab, founder, others: [victim] } = village(toyCrypto, ["victim", "other"], 41);
      assert.ok(victim);
      const send = lab.network.send.bind(lab.network);
      const kept: Uint8Array[] = [];
      let isRestarted = false;
      lab.network.send = (from, to, bytes, length) => {
        const isSealed = bytes.subarray(0, 4).toHex() === SEALED;
        const isToFounder = to === founder.address;
        if (from === victim.address && !isRestarted && isToFounder && isSealed) {
          return void kept.push(bytes);
        }
        // No record comes through, to nobody, and no handshake.
        const isKeptBack = !isSealed || !isToFounder || bytes.length > limit;
        if (from === victim.address && isRestarted && isKeptBack) return;
        send(from, to, bytes, length);
      };
      const before = victim.address;
      lab.run(3 * SECOND);
      victim.crash();
      isRestarted = true;
      assert.equal(victim.start(), undefined);
      if (doesMove) lab.move(victim, Uint8Array.of(192, 0, 2, 99));
      lab.run(14 * SECOND);
      assert.ok(kept.length > 0);
      for (const bytes of kept) send(before, founder.address, bytes, bytes.length);
      lab.run(1_500);
      lab.network.send = send;
      let silent = 0;
      for (let second = 0; second < 180; second++) {
        assert.equal(told(founder, "twin"), 0, `up to ${limit} bytes, after ${second} s`);
        assert.deepEqual(healthOf(founder).filter((line) => line.startsWith("key:")), []);
        founder.delivered.length = victim.delivered.length = 0;
        victim.say(founder);
        founder.say(victim);
        lab.run(SECOND);
        if (founder.delivered.length === 0 || victim.delivered.length === 0) silent++;
      }
      assert.ok(silent <= 15, `up to ${limit} bytes: ${silent} s without traffic`);
    }
  });
}

const NUMBERS = [
  ["the next start", () => 1],
  ["later and later starts", (n: number) => 1 + n],
  ["the present start", () => 0],
] as const;

for (const [which, later] of NUMBERS) {
  Deno.test(`a copy that seals in another run each second, of ${which}, is named by all within 10 s, and silences its owner nowhere`, () => {
    const { lab, victim, honest, key } = setUp(["a", "b", "c"], 51);
    let lost = 0;
    for (let second = 0; second < 180; second++) {
      const run = lab.random(4).toHex();
      const counter = COUNTER + 40 * second;
      key.strike("asOwner", { counter, later: later(second), run, place: PLACE });
      victim.delivered.length = 0;
      for (const one of honest) one.delivered.length = 0;
      for (const one of honest) {
        one.say(victim);
        victim.say(one);
      }
      lab.run(SECOND);
      lost += honest.filter(({ delivered }) => delivered.length === 0).length;
      lost += honest.length - victim.delivered.length;
      if (second < 10) continue;
      for (const one of honest) {
        assert.ok(
          healthOf(one).some((line) => line.includes("speaks for victim")),
          `${one.wish.name} at ${second} s`,
        );
      }
    }
    assert.ok(lost <= 8, `${lost} packets of ${180 * 2 * honest.length}`);
  });
}
