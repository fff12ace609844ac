/**
 * mesh/README.md says what a stranger, a thief, a member and others can and cannot do, and after each claim which test
 * shows it: `(door/door_test.ts: "the beginning of its name…")`. Here each of those tests is looked for.
 */
import assert from "node:assert/strict";

const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");
const README = "mesh/README.md";

/** One test that a text names. */
interface Citation {
  /** Below mesh/, or below the root when it begins with src/ or lxc/. */
  readonly file: string;
  /** The name, or its beginning followed by an ellipsis. */
  readonly name: string;
}

/** Every test that a text names, as `FILE_test.ts: "NAME", "NAME"`; a name may go on in the next line. */
function citations(text: string): Citation[] {
  const lists = text.replace(/\s+/g, " ").matchAll(/([\w./-]+_test\.ts): ("[^"]+"(?:, "[^"]+")*)/g);
  return [...lists].flatMap(([, file = "", names = ""]) =>
    [...names.matchAll(/"([^"]+)"/g)].map(([, name = ""]) => ({ file, name }))
  );
}

/** The names of the tests and of their steps in a test file's text, as they are written there. */
function testNames(text: string): string[] {
  const call = /(?:\bDeno\.test|\bt\.step|\btestUnless)\(\s*(?:(?:\w+|\{[^{}]*\}),\s*)?/.source;
  const literal = /("(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\[^])*`)/.source;
  return [...text.matchAll(new RegExp(call + literal, "g"))]
    .map(([, name = ""]) => name.slice(1, -1).replace(/\\(.)/g, "$1"));
}

/** What is wrong with a citation; undefined: there is one such test. */
function complaint({ file, name }: Citation, read: (path: string) => string): string | undefined {
  const path = /^(?:src|lxc)\//.test(file) ? file : `mesh/${file}`;
  let text;
  try {
    text = read(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return `there is no ${path}`;
    throw error;
  }
  const beginning = name.replace(/…$/, "");
  const found = testNames(text).filter((one) =>
    name === beginning ? one === name : one.startsWith(beginning)
  );
  if (found.length === 1) return undefined;
  return `${path} has ${found.length === 0 ? "no" : found.length} tests "${name}"`;
}

/** The items of the lists below a line that ends in `can:` or `cannot:`, each as one line. */
function claims(text: string): string[] {
  const lists = text.matchAll(/^.*\bcan(?:not)?:\n+((?:- .*\n(?: {2}.*\n)*)+)/gm);
  return [...lists].flatMap(([, list = ""]) => list.split(/^- /m).slice(1))
    .map((item) => item.replace(/\s+/g, " ").trim());
}

function readme(): string {
  return Deno.readTextFileSync(`${ROOT}/${README}`);
}

Deno.test("each test that mesh/README.md names exists, and is one", () => {
  const named = citations(readme());
  assert.ok(named.length >= 50, `${named.length} tests are named`);
  const read = (path: string) => Deno.readTextFileSync(`${ROOT}/${path}`);
  const wrong = named.map((one) => complaint(one, read)).filter((one) => one !== undefined);
  assert.deepEqual(wrong, []);
});

Deno.test("each claim of mesh/README.md about what somebody can or cannot do names a test", () => {
  const all = claims(readme());
  assert.ok(all.length >= 40, `${all.length} claims`);
  assert.deepEqual(all.filter((claim) => citations(claim).length === 0), []);
});

Deno.test("a citation is found over the end of a line, a renamed test and a lost file are told", () => {
  const text =
    'It cannot:\n- fly (a_test.ts: "no member\n  flies…",\n  "nor…"; lxc/b_test.ts: "all").\n- sing.\n\n- x\n';
  assert.deepEqual(claims(text).map((claim) => citations(claim).length), [3, 0]);
  const files: Record<string, string> = {
    "mesh/a_test.ts":
      'Deno.test("no member flies, or sings", () => {});\nDeno.test("no man", () => {});',
    "lxc/b_test.ts": 'testUnless(\n  { right },\n  "all of them",\n  async (t) => {});',
  };
  const read = (path: string) => {
    const file = files[path];
    if (file === undefined) throw new Deno.errors.NotFound(path);
    return file;
  };
  assert.deepEqual(citations(text).map((one) => complaint(one, read)), [
    undefined,
    'mesh/a_test.ts has no tests "nor…"',
    'lxc/b_test.ts has no tests "all"', // it is not the whole name
  ]);
  const of = (file: string, name: string) => complaint({ file, name }, read);
  assert.equal(of("lxc/b_test.ts", "all of…"), undefined);
  assert.equal(of("a_test.ts", "no m…"), 'mesh/a_test.ts has 2 tests "no m…"', "which is meant?");
  assert.equal(of("c_test.ts", "no m…"), "there is no mesh/c_test.ts");
});

Deno.test("names are those of tests and steps, whatever a test is made with", () => {
  const text = `
    Deno.test("plain", () => assert.equal("a", "b"));
    Deno.test(\`with \${x}\`, () => {});
    testUnless(lack, "with a lack", () => {});
    testUnless({ right, thing: undefined }, "with a right", async (t) => {
      await t.step(
        "a step, \\"quoted\\"",
        () => {},
      );
    });`;
  assert.deepEqual(testNames(text), [
    "plain",
    "with ${x}",
    "with a lack",
    "with a right",
    'a step, "quoted"',
  ]);
});
