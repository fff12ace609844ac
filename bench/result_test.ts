import assert from "node:assert/strict";
import { keep } from "./archive.ts";
import { type Result, table } from "./result.ts";

function result(ours: number[], theirs?: number[]): Result {
  const series = [{ contender: "shoal", version: "1", values: { speed: ours, delay: ours } }];
  if (theirs !== undefined) {
    series.push({ contender: "other", version: "2", values: { speed: theirs, delay: theirs } });
  }
  return {
    v: 1,
    name: "trial",
    title: "A trial",
    method: ["By hand."],
    command: "./run bench trial",
    machine: {
      cpu: "a cpu",
      cores: 2,
      memory_mib: 1,
      cpu_flags: [],
      kernel: "6",
      system: "Debian",
      tools: {},
      commit: "abc",
      date: "2026-01-01T00:00:00Z",
    },
    parameters: {},
    figures: [
      {
        key: "speed",
        title: "speed",
        unit: "m/s",
        better: "higher",
        goal: { of: "ratio", bound: 1.4 },
      },
      { key: "delay", title: "delay", unit: "s", better: "lower", goal: { of: "value", bound: 3 } },
    ],
    series,
    raw: [],
  };
}

Deno.test("result: the table shows medians with their ranges, the ratio of the medians and whether it suffices", () => {
  assert.equal(
    table(result([1, 4, 3], [2, 2, 2])),
    `| figure | shoal | other | shoal ÷ other | asked | reached |
| --- | --- | --- | --- | --- | --- |
| speed, m/s | 3 (1–4) | 2 (2–2) | 1.50 | ratio ≥ 1.4 | yes |
| delay, s | 3 (1–4) | 2 (2–2) | 1.50 | ≤ 3 | yes |`,
  );
});

Deno.test("result: what was asked and not reached says so", () => {
  assert.match(table(result([2.7], [2])), /speed.*1\.35 \| ratio ≥ 1\.4 \| \*\*no\*\*/);
  assert.match(table(result([3.1], [2])), /delay.*≤ 3 \| \*\*no\*\*/);
});

Deno.test("result: of ours alone there is no ratio to reach", () => {
  assert.match(table(result([3])), /^\| figure \| shoal \| asked \| reached \|/);
});

Deno.test("result: data, plot and table are kept together", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const kept = result([1, 2, 3], [2, 2, 2]);
    await keep(kept, `${folder}/new`);
    assert.deepEqual(JSON.parse(await Deno.readTextFile(`${folder}/new/data.json`)), kept);
    assert.match(
      await Deno.readTextFile(`${folder}/new/README.md`),
      /Reproduce with `\.\/run bench trial`/,
    );
    assert.match(await Deno.readTextFile(`${folder}/new/plot.svg`), /<svg[^]*speed[^]*<\/svg>/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
