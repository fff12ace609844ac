import assert from "node:assert/strict";
import { mayRunCore } from "./reach.ts";
import { parse } from "./tree.ts";

const modules = [
  parse("ffi/core.ts", 'export const core = Deno.dlopen("libshoal.so", {});'),
  parse("ffi/device.ts", 'import { core } from "./core.ts";\nexport const open = () => core;'),
  parse("src/types.ts", 'import type { open } from "../ffi/device.ts";\nexport type T = open;'),
  parse("src/driver.ts", 'import { open } from "../ffi/device.ts";\nexport { open };'),
  parse("lxc/process.ts", 'export const start = () => new Deno.Command("ip").spawn();'),
  parse("src/a_test.ts", 'import { open } from "./driver.ts";\nopen();'),
  parse("src/b_test.ts", 'import { start } from "../lxc/process.ts";\nstart();'),
  parse("src/c_test.ts", 'import { T } from "./types.ts";\n// Deno.Command'),
  parse("src/d_test.ts", 'const { open } = await import("./driver.ts");'),
  parse("src/e_test.ts", 'import { spawn } from "node:child_process";\nspawn("true");'),
  parse("src/f_test.ts", 'import { f } from "./f_test.ts";\nexport const f = 1;'),
];

Deno.test("what loads core, starts a program, or imports what does, may run core", () => {
  for (const name of ["a", "b", "d", "e"]) {
    assert.equal(mayRunCore(`src/${name}_test.ts`, modules), true, name);
  }
});

Deno.test("who takes types of it alone, names it in a comment or imports itself may not", () => {
  for (const name of ["c", "f"]) {
    assert.equal(mayRunCore(`src/${name}_test.ts`, modules), false, name);
  }
});
