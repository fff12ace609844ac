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

Deno.test("result: where the other one has no value there is no ratio, and ours is judged alone", () => {
  assert.match(table(result([2.7], [NaN])), /delay, s \| 2\.7 [^|]*\| – \| – \| ≤ 3 \| yes/);
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

/** Three contenders, of which the first two are set beside the third. */
function many(values: Record<"ours" | "also" | "base", number[]>): Result {
  const series = Object.entries(values).map(([contender, speed]) => ({
    contender,
    version: "1",
    values: { speed, delay: speed.map((value) => value * 10) },
  }));
  const comparison = { ours: ["ours", "also"], baselines: ["base"] };
  return { ...result([1]), series, comparison };
}

Deno.test("result: of many contenders each has a column, and ours a ratio to each baseline", () => {
  const text = table(many({ ours: [2, 4, 6], also: [1, 3, 2], base: [1, 2, 3] }));
  assert.match(text, /^\| figure \| ours \| also \| base \|$/m);
  assert.match(text, /^\| speed, m\/s \| 4 \(2–6\) \| 2 \(1–3\) \| 2 \(1–3\) \|$/m);
  assert.match(text, /^\| ratio \| ours ÷ base \| also ÷ base \|$/m);
  assert.match(text, /^\| speed \| 2 \(2–2\) better \| 1 \(0\.667–1\.5\) no clear difference \|$/m);
});

Deno.test("result: where all repetitions agree that ours are worse is listed", () => {
  const text = table(many({ ours: [2, 4, 6], also: [1, 3, 2], base: [1, 2, 3] }));
  assert.match(text, /\*\*Ours are worse in:\*\*\n\n- ours ÷ base, delay: 2 \(2–2\)$/);
});

Deno.test("result: beside nothing there is no ratio: both numbers are said, with their unit", () => {
  const text = table(many({ ours: [2, 4, 3], also: [0, 0, 0], base: [0, 0, 0] }));
  const both = /30 \(20–40\) against 0 \(0–0\) s/;
  assert.match(text, new RegExp(`^\\| delay \\| ${both.source} worse \\| – \\|$`, "m"));
  assert.match(text, new RegExp(`worse in:\\*\\*\n\n- ours ÷ base, delay: ${both.source}$`));
  assert.doesNotMatch(text, /∞/);
});

Deno.test("result: where the other one has nothing in some repetitions, no ratio tells the range", () => {
  const text = table(many({ ours: [2, 4, 3], also: [1, 1, 1], base: [0, 4, 4] }));
  assert.match(text, /^\| delay \| 30 \(20–40\) against 40 \(0–40\) s no clear difference \|/m);
});

Deno.test("result: two repetitions judge nothing", () => {
  const text = table(many({ ours: [2, 4], also: [1, 3], base: [1, 2] }));
  assert.match(text, /^\| speed \| 2 \(2–2\) \| /m);
  assert.doesNotMatch(text, /better|worse/);
});

Deno.test("result: what is not there is a dash, and who is missing is named with the reason", () => {
  const text = table({
    ...many({ ours: [NaN, 2, NaN], also: [NaN], base: [1, 1, 1] }),
    left_out: [{ contender: "kernel", why: "no module" }],
    failures: [{ contender: "also, repetition 1, ping", why: "it ended" }],
  });
  assert.match(text, /^\| speed, m\/s \| 2 \(2–2\) \| – \| 1 \(1–1\) \|$/m);
  assert.match(text, /\*\*Left out:\*\*\n\n- kernel: no module/);
  assert.match(text, /\*\*Failed:\*\*\n\n- also, repetition 1, ping: it ended$/);
});

Deno.test("result: a picture of many has a panel for each figure of which there is a value", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const some = many({ ours: [2, NaN, 6], also: [NaN], base: [1, 2, 3] });
    const none = { key: "none", title: "never seen", unit: "s", better: "lower" } as const;
    const detail = { ...none, key: "speed", title: "details", detail: true } as const;
    await keep({ ...some, figures: [...some.figures, none, detail] }, folder);
    const svg = await Deno.readTextFile(`${folder}/plot.svg`);
    assert.match(svg, /speed[^]*delay/);
    assert.doesNotMatch(svg, /never seen|details/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
