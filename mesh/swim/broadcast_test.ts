import assert from "node:assert/strict";
import { Broadcast, transmissions } from "./broadcast.ts";

const sized = (limit = 100) => new Broadcast<string>((entry) => entry.length, limit);

Deno.test("an entry is sent λ log n times and no more", () => {
  const queue = sized();
  queue.put("a", "news");
  const times = transmissions(1000);
  assert.equal(times, 13);
  let sent = 0;
  while (queue.take(100, 10, times).length > 0) sent++;
  assert.equal(sent, times);
  assert.equal(queue.length, 0);
});

Deno.test("what was sent least goes first", () => {
  const queue = sized();
  queue.put("a", "old");
  queue.take(100, 10, 5);
  queue.put("b", "new");
  assert.deepEqual(queue.take(3, 10, 5), ["new"]);
  assert.deepEqual(queue.take(3, 10, 5), ["old"]);
});

Deno.test("newer news of one key takes the place of older and starts again", () => {
  const queue = sized();
  queue.put("a", "1st");
  queue.take(100, 10, 3);
  queue.take(100, 10, 3);
  queue.put("a", "2nd");
  assert.equal(queue.length, 1);
  for (let i = 0; i < 3; i++) assert.deepEqual(queue.take(100, 10, 3), ["2nd"]);
  assert.deepEqual(queue.take(100, 10, 3), []);
});

Deno.test("a message takes what fits, and no entry twice", () => {
  const queue = sized();
  for (const entry of ["aaaa", "bb", "cccccc", "d"]) queue.put(entry, entry);
  assert.deepEqual(queue.take(7, 10, 9), ["aaaa", "bb", "d"]);
  assert.deepEqual(queue.take(7, 10, 9), ["cccccc", "d"]);
  assert.deepEqual(queue.take(100, 2, 9).length, 2);
});

Deno.test("at the limit the entry sent most is dropped and counted", () => {
  const queue = sized(3);
  for (const key of ["a", "b"]) queue.put(key, key);
  queue.take(1, 1, 9);
  queue.put("c", "c");
  assert.equal(queue.dropped, 0);
  queue.put("d", "d");
  assert.equal(queue.dropped, 1);
  assert.equal(queue.length, 3);
  assert.deepEqual(queue.take(100, 10, 9), ["b", "c", "d"]);
});

Deno.test("the bytes that wait are known after every change", () => {
  const queue = sized(3);
  const bytes = (...entries: string[]) => assert.equal(queue.bytes, entries.join("").length);
  queue.put("a", "aaaa");
  queue.put("b", "bb");
  bytes("aaaa", "bb");
  queue.put("a", "a");
  bytes("a", "bb");
  queue.take(100, 10, 2);
  queue.put("c", "cccccc");
  queue.put("d", "ddd"); // at the limit
  bytes("a", "cccccc", "ddd");
  queue.take(100, 10, 2);
  bytes("cccccc", "ddd");
  queue.drop("c");
  queue.drop("c");
  bytes("ddd");
});

Deno.test("one message looks at a bounded part of a long queue", () => {
  const queue = sized(10_000);
  for (let i = 0; i < 5000; i++) queue.put(`${i}`, "x".repeat(50));
  queue.put("small", "y");
  assert.deepEqual(queue.take(10, 10, 9), []);
});
