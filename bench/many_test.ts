import assert from "node:assert/strict";
import { parseMemory } from "./many.ts";

Deno.test("the line of the memory of peers is one measurement", () => {
  assert.deepEqual(parseMemory("10000 590 1243\n"), {
    peers: 10_000,
    configured: 590,
    session: 1243,
  });
});

Deno.test("a line that tells no memory is an error that shows it", () => {
  for (const line of ["", "10000 590", "0 1 1", "10000 x 1", "1 1 1 1"]) {
    assert.throws(() => parseMemory(line), new RegExp(`no measurement: "${line}"`));
  }
});
