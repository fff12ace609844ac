import assert from "node:assert/strict";
import { FOUR } from "./four_way.ts";
import { planOf } from "./peers.ts";
import { chosen } from "./peers/contender.ts";

Deno.test("four-way: four WireGuards are measured, all of them known", () => {
  assert.deepEqual(chosen(FOUR).map(({ name }) => name), FOUR);
  const options = { repetitions: 3, seconds: undefined, full: false, only: FOUR };
  const { names, lasts } = planOf(options);
  assert.deepEqual(names, FOUR);
  assert.ok(lasts(names.length) < 15 * 60, `${lasts(names.length)} s`);
});
