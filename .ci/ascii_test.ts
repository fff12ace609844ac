import assert from "node:assert/strict";
import { notAscii } from "./ascii.ts";

Deno.test("each character outside ASCII is named with its line and its escape", () => {
  assert.deepEqual(notAscii("a.ts", "const a = 1;\n// one \u2026\nconst b = '\u{1f40b}';\n"), [
    {
      path: "a.ts",
      line: 2,
      what:
        "'\u2026' is outside ASCII, which doubles this file in a node's memory: write \\u{2026}, or other words",
    },
    {
      path: "a.ts",
      line: 3,
      what:
        "'\u{1f40b}' is outside ASCII, which doubles this file in a node's memory: write \\u{1f40b}, or other words",
    },
  ]);
});

Deno.test("a text in ASCII has nothing to be named", () => {
  assert.deepEqual(notAscii("a.ts", "/** \\u2026 */\n"), []);
});
