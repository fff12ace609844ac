import assert from "node:assert/strict";
import { Seeded } from "../sim/random.ts";
import { Buckets } from "./buckets.ts";
import { type Member, Membership } from "./membership.ts";
import { Ring } from "./ring.ts";

function memberships(count: number): Member[] {
  const id = (i: number) => i.toString(16).padStart(64, "0").split("").reverse().join("");
  const table = new Membership(id(count + 1), 0, 0, new Buckets());
  return Array.from({ length: count }, (_, i) => table.add(id(i), 0, 0));
}

const all = () => true;

Deno.test("T36: round robin over n-1 others probes each within 2n-1 periods, whatever the shuffle", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const others = memberships(2 + seed % 20);
    const n = others.length + 1;
    const ring = new Ring(new Seeded(seed).bytes);
    for (const member of others) ring.insert(member);
    const last = new Map<Member, number>(others.map((member) => [member, 0]));
    for (let period = 1; period <= 6 * n; period++) {
      const member = ring.next(all);
      assert.ok(member);
      assert.ok(period - (last.get(member) ?? 0) <= 2 * n - 1);
      last.set(member, period);
    }
    for (const period of last.values()) assert.ok(6 * n - period < 2 * n - 1);
  }
});

Deno.test("a round probes everybody once, and rounds differ in their order", () => {
  const others = memberships(30);
  const ring = new Ring(new Seeded(1).bytes);
  for (const member of others) ring.insert(member);
  const rounds = [1, 2].map(() => others.map(() => ring.next(all)));
  for (const round of rounds) assert.equal(new Set(round).size, 30);
  assert.notDeepEqual(rounds[0], rounds[1]);
});

Deno.test("a newcomer's place in the round is open, but it has one", () => {
  const places = new Set<number>();
  for (let seed = 1; seed <= 200; seed++) {
    const [newcomer, ...others] = memberships(10);
    const ring = new Ring(new Seeded(seed).bytes);
    for (const member of others) ring.insert(member);
    ring.next(all);
    assert.ok(newcomer);
    ring.insert(newcomer);
    for (let place = 1;; place++) {
      if (ring.next(all) !== newcomer) continue;
      places.add(place);
      break;
    }
  }
  assert.deepEqual([...places].sort((a, b) => a - b), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

Deno.test("T36: a choice at random never misses the only one that fits (memberlist 8c0d992)", () => {
  const others = memberships(50);
  const ring = new Ring(new Seeded(8).bytes);
  for (const member of others) ring.insert(member);
  for (let i = 0; i < 1000; i++) {
    const only = others[i % 50];
    assert.deepEqual(ring.some(3, (member) => member === only), [only]);
  }
  assert.deepEqual(ring.some(3, () => false), []);
  assert.equal(new Set(ring.some(60, all)).size, 50);
});

Deno.test("helpers are chosen evenly", () => {
  const others = memberships(10);
  const ring = new Ring(new Seeded(9).bytes);
  for (const member of others) ring.insert(member);
  const chosen = new Map<Member, number>();
  for (let i = 0; i < 10_000; i++) {
    for (const member of ring.some(3, all)) chosen.set(member, (chosen.get(member) ?? 0) + 1);
  }
  for (const member of others) {
    const share = (chosen.get(member) ?? 0) / 3000;
    assert.ok(Math.abs(share - 1) < 0.1, `${share}`);
  }
});

Deno.test("who was removed is not probed, and costs nobody its turn", () => {
  const others = memberships(5);
  const ring = new Ring(new Seeded(2).bytes);
  for (const member of others) ring.insert(member);
  const first = ring.next(all);
  const second = ring.next(all);
  assert.ok(first && second);
  ring.remove(first);
  const rest = [ring.next(all), ring.next(all), ring.next(all)];
  assert.equal(new Set([second, ...rest]).size, 4);
  assert.ok(!rest.includes(first));
  for (let i = 0; i < 20; i++) assert.notEqual(ring.next(all), first);
});
