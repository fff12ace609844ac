import assert from "node:assert/strict";
import { Comparison } from "./comparison.ts";

const at = (boot: number) => ({ boot, wall: 0 });

Deno.test("invariant 14: a start has compared with the three that came first, as far as they are there", () => {
  const comparison = new Comparison();
  comparison.review(at(0), ["a", "b", "c", "d"]);
  assert.ok(!comparison.isDone, "nobody has answered");
  comparison.levelled(at(1), "d");
  comparison.levelled(at(2), "a");
  comparison.review(at(3), ["a", "b", "c", "d"]);
  assert.ok(!comparison.isDone);
  comparison.levelled(at(4), "c");
  comparison.review(at(5), ["a", "b", "c", "d"]);
  assert.ok(!comparison.isDone, "b is there");
  comparison.review(at(6), ["a", "c", "d"]);
  assert.ok(comparison.isDone, "b is dead");
});

Deno.test("who is there and never answers keeps nobody from signing for longer than five seconds", () => {
  const comparison = new Comparison();
  comparison.levelled(at(1_000), "a");
  comparison.review(at(5_999), ["a", "b"]);
  assert.ok(!comparison.isDone);
  comparison.review(at(6_000), ["a", "b"]);
  assert.ok(comparison.isDone);
});

Deno.test("where nobody else is certified there is nobody to compare with", () => {
  const comparison = new Comparison();
  comparison.settle();
  assert.ok(comparison.isDone);
});

Deno.test("invariant 14: who has statements that are still on their way is compared with once more, and not for ever", () => {
  const comparison = new Comparison();
  comparison.levelled(at(1), "a", true);
  comparison.review(at(2), ["a"]);
  assert.ok(!comparison.isDone, "they have not come");
  assert.ok(!comparison.has("a"));
  comparison.levelled(at(3), "a", true);
  comparison.review(at(4), ["a"]);
  assert.ok(comparison.isDone, "what is missing still is refused here");
});
