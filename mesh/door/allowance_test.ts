import assert from "node:assert/strict";
import { Allowance } from "./allowance.ts";

const at = (boot: number) => ({ boot, wall: 0 });

Deno.test("the burst is there at once, the rate afterwards, and never more than the burst", () => {
  const allowance = new Allowance(at(1000), { rate: 2, burst: 3 });
  const taken = (ms: number) => {
    let count = 0;
    while (allowance.take(at(ms))) count++;
    return count;
  };
  assert.ok(allowance.isWhole(at(1000)));
  assert.deepEqual([1000, 1499, 1500, 2500, 60_000].map(taken), [3, 0, 1, 2, 3]);
  assert.ok(!allowance.isWhole(at(61_000)));
  assert.ok(allowance.isWhole(at(61_500)));
});

Deno.test("many small steps of time earn as much as one large one, and going back in time earns nothing", () => {
  const allowance = new Allowance(at(0), { rate: 1 / 15, burst: 1 });
  assert.ok(allowance.take(at(0)));
  for (let ms = 1; ms < 15_000; ms++) assert.ok(!allowance.has(at(ms)));
  assert.ok(allowance.take(at(15_000)));
  assert.ok(!allowance.take(at(0)));
  assert.ok(!allowance.take(at(29_999)));
  assert.ok(allowance.take(at(30_000)));
});
