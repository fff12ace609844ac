import assert from "node:assert/strict";
import { readSymbols, unusedSymbols } from "./symbols.ts";

const NM = `/x/.build/core/release/a.o:0000000000000010 T a_used
/x/.build/core/release/a.o:0000000000000080 T a_unused
/x/.build/core/release/a.o:0000000000000000 D a_table
/x/.build/core/release/a.o:                 U memcpy
/x/.build/core/release/b.o:                 U a_used
/x/.build/core/release/b.o:0000000000000000 T shoal_open
/x/.build/core/release/b.o:0000000000000040 T shoal_forgotten
`;

/** `core/a.c: 'name'` of everything unused in a made-up library. */
function unused(tests: string): string[] {
  return unusedSymbols(readSymbols(NM), "SHOAL_API int32_t shoal_open(void);", tests)
    .map((line) => line.split(" is ")[0] ?? "");
}

Deno.test("a symbol that no other file needs is found, a function of the header is none", () => {
  assert.deepEqual(unused(""), [
    "core/a.c: 'a_unused'",
    "core/a.c: 'a_table'",
    "core/b.c: 'shoal_forgotten'",
  ]);
});

Deno.test("a symbol that a test uses is used", () => {
  assert.deepEqual(unused("assert_true(a_table[0]); a_unused();"), ["core/b.c: 'shoal_forgotten'"]);
});

Deno.test("nm's lines are read with and without an address", () => {
  assert.deepEqual(readSymbols(NM)[0], {
    name: "a.o",
    defined: ["a_used", "a_unused", "a_table"],
    needed: ["memcpy"],
  });
});
