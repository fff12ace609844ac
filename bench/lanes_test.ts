import assert from "node:assert/strict";
import { distanceOf } from "./lanes.ts";

Deno.test("two processors are near where a train of the other one is read in less than 2 us", () => {
  assert.deepEqual([0.6, 1.2, 1.99].map(distanceOf), ["near", "near", "near"]);
  assert.deepEqual([2, 3.7, 30].map(distanceOf), ["far", "far", "far"]);
});
