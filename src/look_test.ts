import assert from "node:assert/strict";
import { untilLook } from "./look.ts";

Deno.test("whoever looks does so at the same moments, one to three seconds from now", () => {
  const moments = new Set<number>();
  for (let now = 10_000; now < 12_000; now += 7) {
    const left = untilLook(now);
    assert(left >= 1_000 && left <= 3_000, `${now}: ${left}`);
    moments.add(now + left);
  }
  assert.deepEqual([...moments].sort(), [12_000, 14_000]);
});
