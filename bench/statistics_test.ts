import assert from "node:assert/strict";
import { median, quantile, ratio } from "./statistics.ts";

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

Deno.test("statistics: a ratio is of medians, and its range of those measured in the same turn", () => {
  assert.deepEqual(ratio([2, 4, 9], [1, 2, 3]), { middle: 2, low: 2, high: 3, turns: 3 });
});

Deno.test("statistics: a turn in which one has no value is in no ratio", () => {
  assert.deepEqual(ratio([2, NaN, 6, 8], [1, 2, 2, NaN]), {
    middle: 4 / 1.5,
    low: 2,
    high: 3,
    turns: 2,
  });
  assert.deepEqual(ratio([1], []), { middle: NaN, low: NaN, high: NaN, turns: 0 });
});

Deno.test("statistics: two that are 0 have no ratio, and to one that is 0 it is infinite", () => {
  assert.deepEqual(ratio([0, 4, 6], [0, 0, 2]), {
    middle: 5,
    low: 3,
    high: Infinity,
    turns: 2,
  });
});
