import assert from "node:assert/strict";
import { undisturbed, unrest } from "./cpu.ts";

Deno.test("cpu: what disturbed a repetition is told, and how much", () => {
  assert.deepEqual(unrest([{ background: 0.01 }, { background: 0.02 }]), []);
  assert.match(unrest([{ background: 0.01 }, { background: 0.5 }])[0] ?? "", /1 of 2 .*up to 50 %/);
});

Deno.test("cpu: a measurement keeps its values and gains what was busy beside it", async () => {
  const measured = await undisturbed(() => Promise.resolve({ speed: 7 }), 0);
  assert.equal(measured.speed, 7);
  assert(measured.background >= 0 && measured.background <= 1, `${measured.background}`);
});
