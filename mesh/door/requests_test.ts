import assert from "node:assert/strict";
import type { Endpoint } from "../endpoint.ts";
import { Seeded } from "../sim/random.ts";
import { FairBudget } from "./fair_budget.ts";
import { REQUESTS } from "./knocks.ts";
import { REQUEST_TIME, Requests, REQUESTS_MAX, REQUESTS_PER_ORIGIN, TOLD } from "./requests.ts";

const at = (boot: number) => ({ boot, wall: 0 });
const place = (...address: number[]): Endpoint => ({
  address: Uint8Array.from(address),
  port: 1,
  scope: 0,
});
const ASKER = { id: "asker", name: "anna" };
const HOME = place(203, 0, 113, 7);
const who = (n: number) => ({ id: `attacker ${n}`, name: "anna" });

function setUp() {
  const requests = new Requests(at(0));
  const ids = () => requests.list().map(({ who }) => who.id);
  return { requests, ids };
}

Deno.test("asks are answered while a person has opened the door, or while an approval waits", () => {
  const { requests } = setUp();
  assert.ok(!requests.isOpen(at(0), false));
  assert.ok(requests.isOpen(at(0), true));
  requests.open(at(0), 60_000);
  assert.ok(requests.isOpen(at(59_999), false));
  assert.equal(requests.openUntil(at(59_999)), 60_000);
  assert.ok(!requests.isOpen(at(60_000), false));
  assert.equal(requests.openUntil(at(60_000)), undefined);
  requests.open(at(70_000), 60_000);
  requests.open(at(70_000), 1000);
  assert.ok(!requests.isOpen(at(71_000), false), "what was said last counts");
  requests.open(at(80_000), 1000);
  requests.close();
  assert.ok(!requests.isOpen(at(80_000), false));
});

Deno.test("a request is new once, moves with its sender, and is gone when it is decided", () => {
  const { requests } = setUp();
  assert.equal(requests.place(at(0), ASKER, HOME), true);
  const there = place(198, 51, 100, 1);
  assert.equal(requests.place(at(9), ASKER, there), false);
  assert.deepEqual(requests.get(ASKER.id), { who: ASKER, endpoint: there, since: 0, at: 9 });
  requests.forget(ASKER.id);
  assert.deepEqual(requests.list(), []);
});

Deno.test("a request that is not repeated for ten minutes is forgotten", () => {
  const { requests, ids } = setUp();
  requests.place(at(0), who(1), HOME);
  requests.place(at(0), ASKER, HOME);
  requests.place(at(1000), ASKER, HOME);
  requests.expire(at(REQUEST_TIME));
  assert.deepEqual(ids(), [who(1).id, ASKER.id]);
  requests.expire(at(REQUEST_TIME + 1));
  assert.deepEqual(ids(), [ASKER.id]);
  assert.equal(requests.counts.expired, 1);
});

Deno.test("4 requests come from one address or /64; its own least repeated one makes room", () => {
  for (const host of [() => HOME, (n: number) => place(0x20, 1, 0, 0, 0, 0, 0, 0, n, ...rest)]) {
    const { requests, ids } = setUp();
    for (let n = 0; n < REQUESTS_PER_ORIGIN; n++) requests.place(at(n), who(n), host(n));
    requests.place(at(10), who(0), host(9));
    requests.place(at(11), ASKER, host(10));
    assert.deepEqual(ids(), [who(2).id, who(3).id, who(0).id, ASKER.id]);
    assert.equal(requests.counts.crowded, 1);
  }
});
const rest = [0, 0, 0, 0, 0, 0, 0];

Deno.test("64 requests wait; the next one takes the place of one of the most crowded network", () => {
  const { requests, ids } = setUp();
  requests.place(at(0), ASKER, HOME);
  for (let n = 1; n < REQUESTS_MAX - 2; n++) requests.place(at(n), who(n), place(10, n, 0, 1));
  requests.place(at(100), who(100), place(10, 200, 0, 1));
  requests.place(at(101), who(101), place(10, 200, 0, 2));
  assert.equal(requests.list().length, REQUESTS_MAX);
  requests.place(at(102), who(102), place(10, 201, 0, 1));
  assert.equal(requests.list().length, REQUESTS_MAX);
  assert.equal(requests.counts.displaced, 1);
  assert.ok(!ids().includes(who(100).id), "the first of the two that share a network");
  requests.place(at(103), who(103), place(10, 5, 0, 2));
  assert.ok(!ids().includes(who(5).id), "the newcomer's network is the most crowded one now");
});

Deno.test("people are told of 64 new requests at once and one in two seconds; all are listed", () => {
  const { requests } = setUp();
  let news = 0;
  for (let n = 0; n < 100; n++) {
    news += requests.place(at(0), who(n), place(10, n, 0, 1)) ? 1 : 0;
  }
  assert.equal(news, TOLD.burst);
  assert.equal(requests.counts.untold, 100 - TOLD.burst);
  assert.ok(requests.place(at(2000), who(200), HOME));
});

Deno.test("T39: who holds one network, or one provider's /16, never displaces the true asker", () => {
  for (const attacker of [(n: number) => place(192, 0, 2, n % 256), provider]) {
    const { requests } = setUp();
    requests.place(at(0), ASKER, HOME);
    for (let n = 0; n < 3000; n++) {
      requests.place(at(n), who(n), attacker(n));
      assert.ok(requests.get(ASKER.id), `after ${n} requests`);
    }
  }
});

function provider(n: number): Endpoint {
  return place(192, 1, n & 255, n >> 8 & 255);
}

Deno.test("T39: who has 200 addresses in 100 regions keeps the true asker out for seconds at a time", () => {
  // Both go through the door's budget. The attacker shows new keys as fast as its addresses may.
  const { requests } = setUp();
  const budget = new FairBudget(new Seeded(1).bytes, REQUESTS);
  const minutes = 3;
  let [taken, listed, absent, longest, tries] = [0, 0, 0, 0, 0];
  for (let ms = 0; ms < minutes * 60_000; ms += 2) {
    const from = place(10, ms / 2 % 100, ms / 2 % 200, 1);
    if (budget.take(at(ms), from) === undefined) requests.place(at(ms), who(taken++), from);
    if (ms % 2000 === 0 && budget.take(at(ms), HOME) === undefined) {
      requests.place(at(ms), ASKER, HOME);
      tries++;
    }
    absent = requests.get(ASKER.id) ? 0 : absent + 2;
    listed += absent === 0 ? 2 : 0;
    longest = Math.max(longest, absent);
  }
  console.log(
    `${taken} requests of the attacker, ${tries} of ${minutes * 30} tries of the asker; it is ` +
      `listed ${(listed / 600 / minutes).toFixed(0)} % of the time, away ${longest} ms at most`,
  );
  assert.ok(tries >= 10);
  assert.ok(longest <= 60_000);
});
