import assert from "node:assert/strict";
import type { Endpoint } from "../endpoint.ts";
import { Seeded } from "../sim/random.ts";
import { FairBudget, HOLDERS_MAX, type Shares } from "./fair_budget.ts";

const at = (boot: number) => ({ boot, wall: 0 });
const place = (...address: number[]): Endpoint => ({
  address: Uint8Array.from(address),
  port: 1,
  scope: 0,
});
const { bytes: random } = new Seeded(1);
const SHARES: Shares = {
  origin: { rate: 1, burst: 2 },
  network: { rate: 4, burst: 5 },
  all: { rate: 100, burst: 12 },
};

function taken(budget: FairBudget, ms: number, from: Endpoint, tries: number): number {
  let count = 0;
  for (let i = 0; i < tries; i++) if (budget.take(at(ms), from) === undefined) count++;
  return count;
}

Deno.test("an origin has its burst at once and its rate afterwards, whatever its port", () => {
  const budget = new FairBudget(random, SHARES);
  const one = place(192, 0, 2, 1);
  assert.equal(taken(budget, 0, one, 5), 2);
  assert.equal(budget.take(at(0), { ...one, port: 2 }), "origin");
  assert.equal(taken(budget, 1000, one, 5), 1);
  assert.equal(taken(budget, 60_000, one, 5), 2);
});

Deno.test("an IPv6 /64 is one origin, a /48 one network, and an IPv4 /24 too", () => {
  for (const make of [(n: number) => place(192, 0, 2, n), (n: number) => six(0, n)]) {
    const budget = new FairBudget(random, SHARES);
    assert.equal([1, 2, 3, 4].reduce((sum, n) => sum + taken(budget, 0, make(n), 2), 0), 5);
    assert.equal(budget.take(at(0), make(9)), "network");
  }
  const budget = new FairBudget(random, SHARES);
  assert.equal(taken(budget, 0, six(0, 1), 1), 1);
  assert.equal(taken(budget, 0, { ...six(0, 1), address: six(0, 1).address.with(15, 7) }, 5), 1);
});

/** An address of the /48 `network` in its /64 `n`. */
function six(network: number, n: number): Endpoint {
  return place(0x20, 1, 0xd, 0xb8, 0, network, 0, n, 0, 0, 0, 0, 0, 0, 0, 1);
}

Deno.test("what all share is not touched by who has used up its own", () => {
  const budget = new FairBudget(random, SHARES);
  assert.equal(taken(budget, 0, place(192, 0, 2, 1), 1000), 2);
  const rest = Array.from({ length: 10 }, (_, n) => taken(budget, 0, place(10, 0, n, 1), 2));
  assert.equal(rest.reduce((sum, count) => sum + count), 10);
  assert.equal(budget.take(at(0), place(10, 9, 9, 1)), "all");
});

Deno.test("4,096 origins are remembered: a new one is refused while none of them is idle", () => {
  const budget = new FairBudget(random, { ...SHARES, all: { rate: 1e6, burst: 1e6 } });
  const nth = (n: number) => place(10, n >> 8, n & 255, 1);
  for (let n = 0; n < HOLDERS_MAX; n++) assert.equal(budget.take(at(0), nth(n)), undefined);
  assert.equal(budget.take(at(0), nth(HOLDERS_MAX)), "holders");
  assert.equal(taken(budget, 0, nth(0), 5), 1, "nobody's share was renewed by the flood");
  assert.equal(budget.take(at(1000), nth(HOLDERS_MAX)), undefined, "the second is idle by now");
  assert.deepEqual(budget.holders, { origins: HOLDERS_MAX, networks: HOLDERS_MAX });
});

Deno.test("a flood from many networks leaves everybody the same chance, not the moments that it leaves over", () => {
  const shares = {
    origin: { rate: 10, burst: 10 },
    network: { rate: 10, burst: 10 },
    all: { rate: 100, burst: 100 },
  };
  const budget = new FairBudget(random, shares);
  let [flood, true_, tries] = [0, 0, 0];
  for (let ms = 0; ms < 120_000; ms++) {
    // 1,000 tries a second, the one at the same moment as the true one before it.
    if (budget.take(at(ms), place(10, ms % 200, 0, 1)) === undefined) flood++;
    if (ms % 500 !== 0) continue;
    tries++;
    if (budget.take(at(ms), place(203, 0, 113, 7)) === undefined) true_++;
  }
  console.log(`${true_} of ${tries} tries, beside ${flood} of 120000`);
  assert.ok(true_ >= tries / 20 && true_ <= tries / 5);
  assert.ok(flood <= 120 * shares.all.rate + shares.all.burst);
  assert.ok(flood >= 100 * shares.all.rate, "the budget is used");
});
