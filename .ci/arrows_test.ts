import assert from "node:assert/strict";
import { impurities, wrongArrows } from "./arrows.ts";
import { parse, readTree } from "./tree.ts";

const ROOT = new URL("..", import.meta.url).pathname;

/** The complaints about a made-up tree. */
function complaints(tree: Record<string, string>): string[] {
  return wrongArrows(Object.entries(tree).map(([path, text]) => parse(path, text)))
    .map(({ path, line, what }) => `${path}:${line} ${what}`);
}

Deno.test("the import arrows of this repository are the architecture's", () => {
  assert.deepEqual(wrongArrows(readTree(ROOT)), []);
});

Deno.test("mesh/ reaches for nothing in the world", () => {
  assert.deepEqual(impurities(readTree(ROOT)), []);
});

Deno.test("an arrow against the table is found, wherever it points", () => {
  const wrong = (from: string, text: string) =>
    assert.equal(complaints({ [from]: text }).length, 1, `${from}: ${text}`);
  wrong("mesh/node.ts", 'import { Core } from "../ffi/core.ts";');
  wrong("mesh/node.ts", 'import type { Core } from "../ffi/core.ts";');
  wrong("mesh/swim/probe.ts", 'import { now } from "../../src/clock.ts";');
  wrong("mesh/node.ts", 'import { readFileSync } from "node:fs";');
  wrong("mesh/node.ts", 'import fc from "fast-check";');
  wrong("mesh/sim/host.ts", 'import { getLogger } from "@logtape/logtape";');
  wrong("mesh/sim/host.ts", 'import { Core } from "../../ffi/core.ts";');
  wrong("mesh/node.ts", 'import { getLogger } from "@logtape/logtape";');
  wrong("mesh/node.ts", 'const x = await import("../src/driver.ts");');
  wrong("mesh/node_test.ts", 'import { Core } from "../ffi/core.ts";');
  wrong("ffi/core.ts", 'import { Node } from "../mesh/node.ts";');
  wrong("ffi/core.ts", 'import { Driver } from "../src/driver.ts";');
  wrong("ffi/core.ts", 'export { Node } from "../mesh/node.ts";');
  wrong("src/driver.ts", 'import { Lab } from "../lxc/lab.ts";');
  wrong("src/driver.ts", 'import "../bench/main.ts";');
  wrong("src/driver.ts", 'import { parse } from "https://example.org/parse.ts";');
  wrong("src/driver.ts", 'import fc from "npm:fast-check";');
  wrong("src/driver.ts", 'import { getLogger } from "npm:@logtape/logtape@1.0.0";');
  wrong("src/driver.ts", 'import { getLogger } from "@logtape/logtape";');
  wrong("src/driver.ts", 'import leftPad from "npm:left-pad@1.3.0";');
  wrong("mesh/node.ts", 'import { getLogger } from "npm:@logtape/logtape@2.4.2";');
  wrong("src/driver.ts", 'import { wrongArrows } from "../.ci/arrows.ts";');
  wrong("src/driver_test.ts", 'import { wrongArrows } from "../.ci/arrows.ts";');
  wrong("src/driver.ts", 'import { world } from "./world_test.ts";');
  wrong("web/page.ts", 'import { Node } from "../mesh/node.ts";');
  wrong("mod.ts", 'export { Lab } from "./lxc/lab.ts";');
});

Deno.test("an arrow of the table is allowed", () => {
  const right = (from: string, text: string) => assert.deepEqual(complaints({ [from]: text }), []);
  right("mesh/node.ts", 'import { Peers } from "./peers.ts";');
  right("mesh/sim/trust_script.ts", 'import fc from "fast-check";');
  right("mesh/noise/session.ts", 'import { blake2s } from "npm:@noble/hashes@2.4.0/blake2.js";');
  right("src/driver_test.ts", 'import { getLogger } from "@logtape/logtape";');
  right(
    "mesh/node_test.ts",
    'import fc from "fast-check";\nimport assert from "node:assert/strict";',
  );
  right("ffi/core.ts", 'import type { Crypto } from "../mesh/crypto.ts";');
  right("ffi/core.ts", 'import { type Crypto, type Key } from "../mesh/crypto.ts";');
  right(
    "src/driver.ts",
    'import { Node } from "../mesh/node.ts";\nimport { Core } from "../ffi/core.ts";',
  );
  right("src/driver.ts", 'import { Socket } from "node:net";');
  right("src/wg/device_test.ts", 'import { Lab } from "../../lxc/lab.ts";');
  right("src/wg/device_test.ts", 'import { testUnless } from "../../.ci/skip.ts";');
  right("bench/main.ts", 'import { Lab } from "../lxc/lab.ts";');
  right("mod.ts", 'export { Node } from "./src/embed.ts";');
});

Deno.test("a complaint names the file, the line and the target", () => {
  const text = '// a comment\nimport {\n  a,\n} from "./a.ts";\nimport { b } from "../src/b.ts";\n';
  assert.deepEqual(complaints({ "mesh/x.ts": text }), [
    "mesh/x.ts:5 mesh/ may not import src/b.ts",
  ]);
});

Deno.test("an import in a comment or a string is none", () => {
  const text = '/*\nimport { b } from "../src/b.ts";\n*/\nconst s = "// not a comment";\n';
  assert.deepEqual(complaints({ "mesh/x.ts": text }), []);
});

Deno.test("a clock, randomness, a promise or a log line in mesh/ is found, in a test or a string it is not", () => {
  const found = (path: string, text: string) => impurities([parse(path, text)]).length;
  for (
    const line of [
      "const t = Date.now();",
      "const r = Math.random();",
      "setTimeout(f, 1);",
      "export async function f() {}",
      "Deno.readTextFileSync(path);",
      "console.log(x);",
    ]
  ) {
    assert.equal(found("mesh/x.ts", line), 1, line);
    assert.equal(found("mesh/x_test.ts", line), 0, line);
    assert.equal(found("src/x.ts", line), 0, line);
    assert.equal(found("mesh/x.ts", `// ${line}`), 0, line);
    assert.equal(found("mesh/x.ts", `const s = "${line}";`), 0, line);
  }
});
