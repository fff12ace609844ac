import assert from "node:assert/strict";
import { processTicks, ticksOfOthers, undisturbed, unrest } from "./cpu.ts";

Deno.test("cpu: what disturbed a repetition is told, and how much", () => {
  assert.deepEqual(unrest([{ background: 0.01 }, { background: 0.02 }]), []);
  assert.match(unrest([{ background: 0.01 }, { background: 0.5 }])[0] ?? "", /1 of 2 .*up to 50 %/);
});

Deno.test("cpu: a measurement keeps its values and gains what was busy beside it", async () => {
  const measured = await undisturbed(() => Promise.resolve({ speed: 7 }), 0);
  assert.equal(measured.speed, 7);
  assert(measured.background >= 0 && measured.background <= 1, `${measured.background}`);
});

const STAT = "4242 (a ) b) S 17 4242 4242 0 -1 4194560 1 2 3 4 10 20 300 4000 20 0 1 0 99 1 1";

Deno.test("cpu: a process has its own ticks and those of its ended children, whatever it is called", () => {
  assert.deepEqual(processTicks(STAT), { parent: 17, ticks: 4330 });
});

Deno.test("cpu: what descends from us or from the kernel's threads is not of others", () => {
  const of = (parent: number, ticks: number) => ({ parent, ticks });
  const all = new Map([
    [1, of(0, 1)],
    [2, of(0, 10)],
    [3, of(2, 100)],
    [50, of(1, 1_000)],
    [60, of(50, 10_000)],
    [70, of(60, 100_000)],
    [80, of(99, 1_000_000)], // whose parent ended while we looked
  ]);
  assert.equal(ticksOfOthers(all, new Set([60, 2])), 1_001_001);
});
