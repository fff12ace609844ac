import assert from "node:assert/strict";
import { parseMemory, parseShares } from "./many.ts";

Deno.test("the line of the memory of peers is one measurement", () => {
  assert.deepEqual(parseMemory("10000 590 1243\n"), {
    peers: 10_000,
    configured: 590,
    session: 1243,
  });
});

Deno.test("the line of what each peer had is Jain's index and the share of all", () => {
  assert.deepEqual(parseShares("send chacha20 1000 1 0.9970 0.437\n"), {
    direction: "send",
    jain: 0.997,
    moved: 0.437,
  });
});

Deno.test("a line that tells no shares is an error that shows it", () => {
  for (
    const line of [
      "",
      "turn chacha20 1000 1 0.9 0.5",
      "send chacha20 1000 1 0.9",
      "send chacha20 1000 1 1.1 0.5",
      "send chacha20 1000 1 0.9 0",
      "send chacha20 1000 1 0.9 0.5 1",
    ]
  ) assert.throws(() => parseShares(line), new RegExp(`no measurement: "${line}"`));
});

Deno.test("a line that tells no memory is an error that shows it", () => {
  for (const line of ["", "10000 590", "0 1 1", "10000 x 1", "1 1 1 1"]) {
    assert.throws(() => parseMemory(line), new RegExp(`no measurement: "${line}"`));
  }
});
