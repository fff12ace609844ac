import assert from "node:assert/strict";
import { Reflexive, REPORTERS_MAX } from "./reflexive.ts";

/** The n-th network. */
const ip = (n: number, host = 1) => Uint8Array.of(10, 0, n, host);
const seen = (n: number) => ({ address: Uint8Array.of(203, 0, 113, n), port: 7, scope: 0 });
const adopted = (of: Reflexive) => of.adopted.map(({ address }) => address[3]);

Deno.test("T42: one member's word is not enough; two in different networks are", () => {
  const reflexive = new Reflexive();
  assert.equal(reflexive.report("a", ip(1), seen(9)), false);
  assert.equal(reflexive.report("a", ip(1), seen(9)), false, "the same again");
  assert.equal(reflexive.report("b", ip(1, 2), seen(9)), false, "two keys in one /24");
  const site = (n: number) => Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 1, 0, n, ...Array(8).fill(n));
  assert.equal(reflexive.report("d", site(1), seen(7)), false);
  assert.equal(reflexive.report("e", site(2), seen(7)), false, "two keys in one /48");
  assert.deepEqual(adopted(reflexive), []);
  assert.equal(reflexive.report("c", ip(2), seen(9)), true);
  assert.deepEqual(adopted(reflexive), [9]);
});

Deno.test("T42: members that disagree adopt nothing, and a changed mind takes back", () => {
  const reflexive = new Reflexive();
  reflexive.report("a", ip(1), seen(8));
  reflexive.report("b", ip(2), seen(9));
  assert.deepEqual(adopted(reflexive), []);
  assert.equal(reflexive.report("a", ip(1), seen(9)), true);
  assert.equal(reflexive.report("a", ip(1), seen(8)), true);
  assert.deepEqual(adopted(reflexive), []);
});

Deno.test("64 reporters are remembered; the one that reported longest ago is forgotten", () => {
  const reflexive = new Reflexive();
  reflexive.report("first", ip(1), seen(9));
  for (let i = 2; i <= REPORTERS_MAX; i++) {
    reflexive.report(`m${i}`, ip(i), { ...seen(8), port: i });
  }
  reflexive.report("late", ip(200), { ...seen(8), port: 1 });
  assert.equal(reflexive.report("two", ip(201), seen(9)), false, "the first is forgotten");
});

Deno.test("a change of network forgets what was seen", () => {
  const reflexive = new Reflexive();
  reflexive.report("a", ip(1), seen(9));
  reflexive.report("b", ip(2), seen(9));
  reflexive.clear();
  assert.deepEqual(adopted(reflexive), []);
});

Deno.test("T42: an address that means nothing to others is adopted from nobody", () => {
  const reflexive = new Reflexive();
  const loopback = { address: Uint8Array.of(127, 0, 0, 1), port: 7, scope: 0 };
  for (const n of [1, 2, 3]) assert.equal(reflexive.report(`m${n}`, ip(n), loopback), false);
  assert.deepEqual(adopted(reflexive), []);
});
