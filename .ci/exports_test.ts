import assert from "node:assert/strict";
import { unusedExports } from "./exports.ts";
import { parse } from "./tree.ts";

/** `path name` of everything unused in a made-up tree. */
function unused(tree: Record<string, string>): string[] {
  return unusedExports(Object.entries(tree).map(([path, text]) => parse(path, text)))
    .map(({ path, line, what }) => `${path}:${line} ${/'(.*)'/.exec(what)?.[1]}`);
}

Deno.test("an export that nobody imports is found, whatever kind it is", () => {
  for (
    const [text, name] of [
      ["export const x = 1;", "x"],
      ["export function f() {}", "f"],
      ["export async function f() {}", "f"],
      ["export function* f() {}", "f"],
      ["export class C {}", "C"],
      ["export abstract class C {}", "C"],
      ["export interface I {}", "I"],
      ["export type T = 1;", "T"],
      ["export default f;", "default"],
      ["const a = 1;\nexport { a as b };", "b"],
      ['export { q } from "./z.ts";', "q"],
    ] as const
  ) {
    assert.deepEqual(unused({ "src/a.ts": text }).map((line) => line.split(" ")[1]), [name], text);
  }
});

Deno.test("an import by a file, by a namespace or by mod.ts is a use", () => {
  const a = "export const x = 1;\nexport const y = 2;\n";
  assert.deepEqual(
    unused({ "src/a.ts": a, "src/b.ts": 'import { x, y as z } from "./a.ts";' }),
    [],
  );
  assert.deepEqual(unused({ "src/a.ts": a, "mod.ts": 'export { x, y } from "./src/a.ts";' }), []);
  assert.deepEqual(unused({ "src/a.ts": a, "mod.ts": 'export * from "./src/a.ts";' }), []);
  assert.deepEqual(unused({ "src/a.ts": a, "src/b.ts": 'await import("./a.ts");' }), []);
  assert.deepEqual(
    unused({ "src/a.ts": a, "src/b.ts": 'import * as a from "./a.ts";\nf(a.x);\n' }),
    ["src/a.ts:2 y"],
  );
  assert.deepEqual(
    unused({ "src/a.ts": a, "src/b.ts": 'import * as a from "./a.ts";\nf(a);\n' }),
    [],
  );
  assert.deepEqual(
    unused({ "src/a.ts": a, "src/b.ts": 'import {\n  type x,\n  y,\n} from "./a.ts";' }),
    [],
  );
});

Deno.test("an import by a test is no use of production code, and a use of what is made for tests", () => {
  const tree = (folder: string) => ({
    [`${folder}/a.ts`]: "export const x = 1;",
    [`${folder}/a_test.ts`]: 'import { x } from "./a.ts";',
  });
  assert.deepEqual(unused(tree("src")), ["src/a.ts:1 x"]);
  assert.deepEqual(unused(tree("mesh")), ["mesh/a.ts:1 x"]);
  assert.deepEqual(unused(tree("mesh/sim")), []);
  assert.deepEqual(unused(tree("lxc")), []);
});

Deno.test("a test may name what its subject itself uses, such as a limit; nothing else may stay for it", () => {
  const test = 'import { LIMIT } from "./a.ts";';
  const inUse = "export const LIMIT = 1;\nconst full = n >= LIMIT;\n";
  assert.deepEqual(unused({ "src/a.ts": inUse, "src/a_test.ts": test }), []);
  assert.deepEqual(unused({ "src/a.ts": inUse }), ["src/a.ts:1 LIMIT"]);
  assert.deepEqual(
    unused({ "src/a.ts": "export const LIMIT = 1;", "src/a_test.ts": test }),
    ["src/a.ts:1 LIMIT"],
  );
});

Deno.test("a type that another declaration of its file names is part of the surface, a value is not", () => {
  const named = "export interface I {}\nexport const f = (i: I) => i;\n";
  assert.deepEqual(unused({ "src/a.ts": named, "src/b.ts": 'import { f } from "./a.ts";' }), []);
  const value = "export const x = 1;\nexport const f = () => x;\n";
  assert.deepEqual(
    unused({ "src/a.ts": value, "src/b.ts": 'import { f } from "./a.ts";' }),
    ["src/a.ts:1 x"],
  );
});
