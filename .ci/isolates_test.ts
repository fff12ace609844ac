import assert from "node:assert/strict";
import { groupsOf, isEndedEarly, type Ran, runIsolates } from "./isolates.ts";

const GOOD = `Deno.test("good", () => {});\nDeno.test("better", () => {});\n`;
const BAD = `\nDeno.test("bad", () => {\n  throw new Error("bad as it is");\n});\n`;

/** Runs these files in one isolate. */
async function runGroup(files: Record<string, string>, ...options: string[]): Promise<Ran> {
  const root = await Deno.makeTempDir({ prefix: "shoal-isolates-" });
  try {
    for (const [name, text] of Object.entries({ "deno.json": "{}", ...files })) {
      await Deno.writeTextFile(`${root}/${name}`, text);
    }
    return await runIsolates({
      root,
      groups: [Object.keys(files)],
      options,
      env: {},
      timeout: 60,
      yields: false,
      junit: `${root}/report.xml`,
    });
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

/** Names of those that went so. */
function named({ found }: Ran, wanted: "passed" | "failed"): string[] {
  return found.filter(({ result }) => result === wanted).map(({ name }) => name).sort();
}

Deno.test("each file is in one group, long ones dealt out before the short ones", () => {
  const files = Array.from({ length: 100 }, (_, i) => `${i % 10 === 0 ? "long" : "short"}/${i}`);
  const isLong = (file: string) => file.startsWith("long");
  const groups = groupsOf(files, isLong);
  assert.deepEqual(groups.flat().sort(), files.toSorted());
  assert.deepEqual(groups.map(({ length }) => length), [3, 3, 2, 2, 30, 30, 30]);
  assert(groups.slice(0, 4).flat().every(isLong));
});

Deno.test("no group is empty: few files, one kind, none", () => {
  for (const count of [0, 1, 3, 31]) {
    const files = Array.from({ length: count }, (_, i) => `file${i}`);
    for (const isLong of [true, false]) {
      const groups = groupsOf(files, () => isLong);
      assert.deepEqual(groups.flat().sort(), files.toSorted());
      assert(groups.every(({ length }) => length > 0));
    }
  }
});

Deno.test("a failure in a file that shares an isolate is told with that file and line", async () => {
  const ran = await runGroup({ "a_test.ts": GOOD, "b_test.ts": BAD });
  assert.equal(ran.code, 1);
  assert.deepEqual(named(ran, "passed"), ["better", "good"]);
  assert.deepEqual(named(ran, "failed"), ["bad"]);
  assert.match(ran.output, /^bad => \S*b_test\.ts:2:6$[^]*bad as it is[^]*b_test\.ts:3:\d+$/m);
});

Deno.test("files that share an isolate do so indeed, and a filter chooses among their tests", async () => {
  const shared = {
    "a_test.ts": `globalThis.met = 1;\n${GOOD}`,
    "b_test.ts": `const { met } = globalThis;\nDeno.test("good too", () => {\n` +
      `  if (met !== 1) throw new Error("alone");\n});\n`,
  };
  const ran = await runGroup(shared, "--filter=good");
  assert.equal(ran.code, 0, ran.output);
  assert.deepEqual(named(ran, "passed"), ["good", "good too"]);
});

Deno.test("an error at import is told with its file, and the tests of all others run", async () => {
  const files = { "a_test.ts": `throw new Error("at import");\n`, "b_test.ts": GOOD };
  const ran = await runGroup(files);
  assert.equal(ran.code, 1);
  assert.match(ran.output, /^\S*a_test\.ts \(uncaught error\)$/m);
  assert.match(ran.output, /at import/);
  assert.deepEqual(named(ran, "passed"), ["better", "good"]);
});

Deno.test("an exception outside a test is told with its file, and the tests of all others run", async () => {
  // It waits until it is ended, so that the error always comes while it runs.
  const a = `Deno.test("starts", () => {});\nDeno.test("waits", async () => {\n` +
    `  setTimeout(() => {\n    throw new Error("outside");\n  });\n` +
    `  await new Promise((done) => setTimeout(done, 30_000));\n});\n`;
  const ran = await runGroup({ "a_test.ts": a, "b_test.ts": GOOD });
  assert.equal(ran.code, 1);
  assert.match(ran.output, /^\S*a_test\.ts \(uncaught error\)$/m);
  assert.deepEqual(named(ran, "failed"), ["waits"]);
  assert.deepEqual(named(ran, "passed"), ["better", "good", "starts"]);
});

Deno.test("a file that ends its isolate at import is told, and the tests of all others run", async () => {
  const ran = await runGroup({ "a_test.ts": "Deno.exit(3);\n", "b_test.ts": GOOD });
  assert.equal(ran.code, 1);
  assert.match(ran.output, /a_test\.ts called `Deno\.exit\(3\)`/);
  assert.deepEqual(named(ran, "passed"), ["better", "good"]);
});

Deno.test("an exception outside a test that a file alone does not throw is a failure", async () => {
  const files = {
    "a_test.ts": `globalThis.met = 1;\n${GOOD}`,
    "b_test.ts": `if (globalThis.met === 1) throw new Error("only together");\n`,
  };
  const ran = await runGroup(files);
  assert.equal(ran.code, 1);
  assert.match(ran.output, /only together/);
  assert.match(named(ran, "failed").join(), /an error outside a test, only where/);
});

Deno.test("a module that is not there leaves no report, and its importer is named", async () => {
  const files = { "a_test.ts": `import "./nothing.ts";\n`, "b_test.ts": GOOD };
  const ran = await runGroup(files);
  assert.notEqual(ran.code, 0);
  assert.deepEqual(ran.found, []);
  assert.match(ran.output, /nothing\.ts[^]*at \S*a_test\.ts:1:8$/m);
});

Deno.test("a test that fails is no reason to run all files again, one isolate each", () => {
  const said = (first: string) =>
    `${first}\n../../tmp/shoal-test-1/1.ts => bad ... FAILED (1ms)\n ERRORS \n`;
  const failed = { name: "bad", result: "failed" as const, why: "" };
  const ran = { code: 1, cpu: 0, output: "", found: [failed] };
  const early = (first: string) => isEndedEarly({ ...ran, said: said(first) }, "/tmp/shoal-test-1");
  assert.equal(early("running 69 tests from ../../tmp/shoal-test-1/1.ts"), false);
  assert.equal(early("../../tmp/shoal-test-1/1.ts (uncaught error)"), true);
});

Deno.test("one file alone needs no module, and runs once whatever it does", async () => {
  const failing = await runGroup({ "a_test.ts": BAD });
  assert.match(failing.output, /^bad => \S*a_test\.ts:2:6$/m);
  assert.deepEqual(named(failing, "failed"), ["bad"]);
  const times = await Deno.makeTempFile({ prefix: "shoal-isolates-" });
  try {
    const mark = `Deno.writeTextFileSync(${JSON.stringify(times)}, "x", { append: true });\n`;
    const ending = await runGroup({ "a_test.ts": `${mark}Deno.exit(3);\n` }, "--allow-all");
    assert.notEqual(ending.code, 0);
    assert.match(ending.output, /a_test\.ts called `Deno\.exit\(3\)`/);
    assert.equal(await Deno.readTextFile(times), "x");
  } finally {
    await Deno.remove(times);
  }
});
