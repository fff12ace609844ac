/** Somebody with a copy of a member's key says again and again that the member leaves, while that goes on (item 11). */
import assert from "node:assert/strict";
import { headOf } from "./datagram.ts";
import { formatEndpoint } from "./endpoint.ts";
import { CopiedKey } from "./sim/copied_key.ts";
import { healthOf, told, village } from "./sim/people.ts";
import { toyCrypto } from "./sim/toy_crypto.ts";
import { encode } from "./swim/messages.ts";
import { PAYLOAD_MAX } from "./wire/seal.ts";

const SECOND = 1_000;
const PLACE = "198.51.100.7:4000";
const SEALED = headOf("sealed").toHex();

/** A farewell as swim has it. */
function farewell(incarnation: number): Uint8Array {
  const body = { kind: "leave" } as const;
  const message = { incarnation, view: undefined, body, claims: [], rumours: [] };
  return encode(message, PAYLOAD_MAX);
}

function setUp(seed: number) {
  const { lab, founder, others: [victim, ...rest] } = village(
    toyCrypto,
    ["victim", "a", "b", "c"],
    seed,
  );
  assert.ok(victim);
  const honest = [founder, ...rest];
  const key = new CopiedKey(victim, honest);
  let top = 0;
  lab.tap = ({ bytes, to }, from) => {
    if (from !== victim || bytes.subarray(0, 4).toHex() !== SEALED) return;
    const one = honest.find(({ address }) => address === formatEndpoint(to));
    top = Math.max(top, one && key.counterIn(one, bytes) || 0);
  };
  lab.run(30 * SECOND);
  /** Says good-bye to all, with numbers that the victim may have. */
  const leave = (
    how: { readonly run?: string; readonly place?: string; readonly ahead: number },
  ) => {
    const { ahead, ...rest } = how;
    const payload = farewell((victim.disk?.incarnation ?? 1) + ahead);
    key.strike("asOwner", { counter: top + 7, kind: "gossip", payload, ...rest });
  };
  return { lab, victim, honest, leave };
}

for (const isOwnRun of [true, false]) {
  for (const period of [1, 5]) {
    for (const place of [PLACE, undefined]) {
      const how = isOwnRun ? "in its owner's run" : "in other runs";
      const where = place ? "a place of its own" : "its owner's place";
      Deno.test(`item 11: a copy that says good-bye ${how} each ${period} s from ${where} is named by all, and its owner is shown as there`, () => {
        const { lab, victim, honest, leave } = setUp(51);
        let [left, lost] = [0, 0];
        for (let second = 0; second < 300; second++) {
          const run = isOwnRun ? {} : { run: lab.random(4).toHex() };
          if (second % period === 0) leave({ ...run, ahead: second, ...(place ? { place } : {}) });
          victim.delivered.length = 0;
          for (const one of honest) one.delivered.length = 0;
          for (const one of honest) {
            one.say(victim);
            victim.say(one);
          }
          lab.run(SECOND);
          lost += honest.filter(({ delivered }) => delivered.length === 0).length;
          left += honest.filter((one) => one.sees(victim)?.state === "left").length;
          if (second < 10) continue;
          for (const one of honest) {
            const line = healthOf(one).find((text) => text.startsWith("key: somebody"));
            assert.ok(line, `${one.wish.name} at ${second} s`);
            if (place) assert.ok(line.includes(PLACE), line);
          }
        }
        assert.ok(left <= 12, `shown as left in ${left} of ${300 * honest.length} looks`);
        assert.ok(lost <= 24, `${lost} packets of ${300 * honest.length}`);
        for (const one of honest) assert.equal(told(one, "twin"), 1);
      });
    }
  }
}

Deno.test("a member that leaves and comes back again and again is no copy, and is shown as left in between", () => {
  const { lab, victim, honest } = setUp(51);
  for (let round = 0; round < 10; round++) {
    victim.step((now, out) => victim.node.leave(now, out));
    victim.crash();
    lab.run(5 * SECOND);
    for (const one of honest) assert.equal(one.sees(victim)?.state, "left", `round ${round}`);
    assert.equal(victim.start(), undefined);
    lab.run(5 * SECOND);
    for (const one of honest) assert.equal(one.sees(victim)?.state, "alive", `round ${round}`);
  }
  for (const one of honest) {
    assert.equal(told(one, "twin"), 0);
    assert.deepEqual(healthOf(one), []);
  }
});
