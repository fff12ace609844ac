/** R26: receiver indices. */
import assert from "node:assert/strict";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { IndexTable } from "./indices.ts";

function numbers(...values: number[]) {
  return (length: number) => {
    const bytes = new Uint8Array(length);
    new DataView(bytes.buffer).setUint32(0, values.shift() ?? 0, true);
    return bytes;
  };
}

Deno.test("R26: an index that lives is not given out again, a freed one may be", () => {
  const table = new IndexTable<string>(numbers(5, 5, 6, 5));
  assert.equal(table.allocate("a"), 5);
  assert.equal(table.allocate("b"), 6, "5 lives, so the next random number is taken");
  assert.deepEqual([table.get(5), table.get(6), table.get(7)], ["a", "b", undefined]);
  table.free(5);
  assert.equal(table.get(5), undefined);
  assert.equal(table.allocate("c"), 5);
  assert.equal(table.size, 2);
});

Deno.test("R26: all 32 bits are random; 10,000 indices pass a chi-square test per byte", () => {
  let counter = 0;
  const random = (length: number) =>
    crypto.blake2s(Uint8Array.of(counter, counter++ >> 8)).subarray(0, length);
  const table = new IndexTable<number>(random);
  const counts = Array.from({ length: 4 }, () => new Uint32Array(256));
  for (let i = 0; i < 10_000; i++) {
    const index = table.allocate(i);
    assert.ok(Number.isInteger(index) && index >= 0 && index <= 0xffffffff);
    counts.forEach((count, byte) => {
      const value = index >>> (8 * byte) & 0xff;
      count[value] = (count[value] ?? 0) + 1;
    });
  }
  const expected = 10_000 / 256;
  for (const count of counts) {
    const chiSquare = count.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
    assert.ok(chiSquare < 331, `${chiSquare}: p < 0.001 at 255 degrees of freedom`);
  }
});

Deno.test("with several workers of core the lowest byte of an index names the owner's", () => {
  const random = (length: number) =>
    crypto.blake2s(Uint8Array.of(drawn++, drawn >> 8)).subarray(0, length);
  let drawn = 0;
  for (const workers of [2, 3, 64]) {
    const table = new IndexTable<number>(random, workers);
    for (let i = 0; i < 300; i++) {
      assert.equal((table.allocate(i, i % workers) & 0xff) % workers, i % workers);
    }
    assert.equal(table.size, 300);
  }
});
