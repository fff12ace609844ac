/** `./run lab gaps`: what its table says of the runs, and one kind of them over real nodes. */
import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import { gaps } from "./gaps.ts";
import type { Kind } from "./gaps/kind.ts";
import { misses, type Outcome, resultOf, type Run, table } from "./gaps/outcome.ts";
import { missingRight } from "./right.ts";

const right = await missingRight();

const KIND: Kind = {
  key: "route-wg",
  title: "the route moves",
  unit: "ms",
  most: 1_000,
  method: "by a ping",
  measure: () => Promise.resolve({ value: 0 }),
};

function outcome(key: string, values: readonly (number | string)[]): Outcome {
  const runs = values.map((value): Run =>
    typeof value === "string" ? { failed: value } : { value }
  );
  return { kind: { ...KIND, key }, runs };
}

Deno.test("gaps: the table has each run, the median, what is asked and whether it was reached", () => {
  const rows = table([
    outcome("route-wg", [20, 40.4, 5_000]),
    outcome("mtu", [20, 1_001, 5_000]),
  ]);
  assert.equal(
    rows,
    [
      "kind      each run      median  asked       reached",
      "route-wg  20 40 5000    40      <= 1000 ms  yes",
      "mtu       20 1001 5000  1001    <= 1000 ms  NO",
    ].join("\n"),
  );
});

Deno.test("gaps: a run in which nothing came back is worse than any time, and its reason is told", () => {
  const one = outcome("mtu", [20, "not within 20000 ms", 30]);
  assert.match(table([one]), /mtu {3}20 never 30 +30 .* yes\nmtu: not within 20000 ms$/);
  assert.deepEqual(misses([one]), []);
  const two = outcome("mtu", [20, "not within 20000 ms", "no"]);
  assert.match(table([two]), / never {3}<= 1000 ms {2}NO\n/);
  assert.deepEqual(misses([two]), ["mtu: a median of never ms, asked at most 1000"]);
});

Deno.test("gaps: a restart after SIGTERM that takes longer than one after SIGKILL is a miss, however short", () => {
  const hard = outcome("restart-kill", [100]);
  assert.deepEqual(misses([hard, outcome("restart-term", [190])]), []);
  assert.deepEqual(misses([hard, outcome("restart-term", [300])]), [
    "restart-term: a median of 300 ms, and only 100 ms after SIGKILL",
  ]);
});

Deno.test("gaps: what is kept has every run, with what a failed one said", () => {
  const machine = {
    ...{ cpu: "", cores: 2, memory_mib: 1, cpu_flags: [], kernel: "", system: "", tools: {} },
    ...{ commit: "abc", date: "" },
  };
  const one = outcome("mtu", [20, "gone"]);
  const { figures, series, raw } = resultOf([one], machine, "./run lab gaps", 2);
  assert.deepEqual(figures.map(({ key, goal }) => [key, goal?.bound]), [["mtu", 1_000]]);
  assert.deepEqual(series.map(({ values }) => values), [{ mtu: [20, Infinity] }]);
  assert.deepEqual(raw, { mtu: [{ value: 20 }, { failed: "gone" }] });
});

for (
  const [args, what] of [
    [["--only", "weather"], /--only 'weather' is no kind: choose one of route-wg, /],
    [["--count", "0"], /--count '0' is not a whole number from 1 to 100/],
    [["--colour"], /--colour/],
  ] as const
) {
  Deno.test(`gaps: ${args.join(" ")} is refused, with what may be said instead`, async () => {
    const said: string[] = [];
    const { error } = console;
    console.error = (line: string) => said.push(line);
    try {
      assert.equal(await gaps([...args]), 2);
    } finally {
      console.error = error;
    }
    assert.match(said.join("\n"), what);
    assert.match(said.join("\n"), /\n\nusage: /);
  });
}

testUnless(
  { right },
  "gaps: one run of one kind over real nodes is told and kept",
  async () => {
    const folder = await Deno.makeTempDir();
    try {
      assert.equal(await gaps(["--only", "mesh-route", "--count", "1", "--out", folder]), 0);
      const { raw, parameters } = JSON.parse(await Deno.readTextFile(`${folder}/data.json`));
      assert.deepEqual(parameters, { count: 1 });
      assert.equal(raw["mesh-route"].length, 1);
      const [{ value, note }] = raw["mesh-route"];
      assert.ok(value > 0, `${value} ms`);
      assert.equal(note, "put back");
      assert.match(await Deno.readTextFile(`${folder}/README.md`), /deletes the mesh route, ms/);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);
