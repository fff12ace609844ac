import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import { plot } from "./plot.ts";
import type { Result } from "./result.ts";

const has = await new Deno.Command("gnuplot", { args: ["--version"] }).output().then(
  ({ success }) => success,
  () => false,
);
const lack = { thing: has ? undefined : "no gnuplot on PATH: apt install gnuplot-nox" };

/** A result with these values of each figure. */
function resultOf(figures: Readonly<Record<string, readonly number[]>>): Result {
  return {
    v: 1,
    name: "test",
    title: "test",
    method: [],
    command: "./run",
    machine: {
      ...{ cpu: "", cores: 1, memory_mib: 1, cpu_flags: [], kernel: "", system: "", tools: {} },
      ...{ commit: "", date: "" },
    },
    parameters: {},
    figures: Object.keys(figures).map((key) => ({ key, title: key, unit: "ms", better: "lower" })),
    series: [{ contender: "shoal", version: "", values: figures }],
    raw: {},
  };
}

async function drawn(figures: Readonly<Record<string, readonly number[]>>): Promise<string> {
  const path = await Deno.makeTempFile({ suffix: ".svg" });
  try {
    await plot(resultOf(figures), path);
    return await Deno.readTextFile(path);
  } finally {
    await Deno.remove(path);
  }
}

testUnless(lack, "plot: a command in the title of a figure is shown and not run", async () => {
  const svg = await drawn({ "the `echo pwned | tr a-z A-Z` figure": [1, 2] });
  assert.doesNotMatch(svg, /PWNED/);
  assert.match(svg, /echo pwned/);
});

testUnless(lack, "plot: a figure of which no value ever came has an empty panel", async () => {
  const svg = await drawn({ none: [Infinity, Infinity], some: [1, Infinity] });
  assert.match(svg, />none</);
  assert.match(svg, />some</);
});

testUnless(lack, "plot: no group of the picture is empty, and every group ends", async () => {
  const svg = await drawn({ one: [1, 2], two: [3] });
  assert.doesNotMatch(svg, /<g [^>]*>\s*<\/g>/);
  assert.equal(svg.match(/<g[ >]/g)?.length, svg.match(/<\/g>/g)?.length);
  assert.match(svg, />one</);
});

testUnless(lack, "plot: more than six figures stand in rows", async () => {
  const keys = Array.from({ length: 7 }, (_, i) => [`f${i}`, [i]] as const);
  assert.match(await drawn(Object.fromEntries(keys)), /<svg\s+width="1560" height="600"/);
});
