import assert from "node:assert/strict";
import { Seeded } from "../sim/random.ts";
import { bucketOf, Buckets, differing, inMask } from "./buckets.ts";
import { BUCKETS, type Item } from "./messages.ts";

function items(count: number, seed: number): Item[] {
  const random = new Seeded(seed);
  return Array.from({ length: count }, (_, i): Item => {
    const tag = random.bytes(16).toHex();
    return i % 2 === 0
      ? { kind: 0, tag, status: "alive", incarnation: i }
      : { kind: 3, tag, version: 2 ** 40 + i };
  });
}

function fingerprint(of: readonly Item[]): Uint8Array {
  const buckets = new Buckets();
  for (const item of of) buckets.toggle(item);
  return buckets.hashes();
}

Deno.test("the fingerprint does not depend on the order, and an item taken out leaves no trace", () => {
  const all = items(500, 1);
  assert.deepEqual(fingerprint(all), fingerprint(all.toReversed()));
  const [first] = all;
  assert.ok(first);
  assert.deepEqual(fingerprint([...all, first]), fingerprint(all.slice(1)));
});

Deno.test("any difference in one item shows in its bucket and nowhere else", () => {
  const all = items(500, 2);
  const before = fingerprint(all);
  for (const [i, item] of all.entries()) {
    const changed: Item = "version" in item
      ? { ...item, version: item.version + 1 }
      : { ...item, incarnation: item.incarnation + 1 };
    const mask = differing(before, fingerprint(all.with(i, changed)));
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      assert.equal(inMask(mask, bucket), bucket === bucketOf(item.tag));
    }
  }
});

Deno.test("a death changes the fingerprint, a suspicion does not", () => {
  const [item] = items(1, 3);
  assert.ok(item !== undefined && "status" in item);
  const of = (status: "alive" | "suspect" | "dead" | "left") => fingerprint([{ ...item, status }]);
  assert.deepEqual(of("alive"), of("suspect"));
  assert.deepEqual(of("dead"), of("left"));
  assert.notDeepEqual(of("alive"), of("dead"));
});
