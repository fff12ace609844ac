import assert from "node:assert/strict";
import { median, quantile } from "./statistics.ts";

Deno.test("statistics: the median is the middle value, or between the two in the middle", () => {
  assert.equal(median([5, 1, 3]), 3);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(median([7]), 7);
  assert.ok(Number.isNaN(median([])));
});

Deno.test("statistics: a quantile is a value that occurs, by nearest rank", () => {
  const values = [10, 9, 8, 7, 6, 5, 4, 3, 2, 1];
  assert.equal(quantile(values, 0.5), 5);
  assert.equal(quantile(values, 0.99), 10);
  assert.equal(quantile(values, 0), 1);
  assert.equal(quantile(values, 1), 10);
});
