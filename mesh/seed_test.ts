import assert from "node:assert/strict";
import { formatSeed, readSeed } from "./seed.ts";

Deno.test("a seed is a host name or an address with a port, and reads as it was written", () => {
  for (
    const [text, host, port] of [
      ["lyon.example:4500", "lyon.example", 4500],
      ["lyon:51820", "lyon", 51820],
      ["9lives.example.:1", "9lives.example.", 1],
      ["203.0.113.9:65535", "203.0.113.9", 65_535],
      ["[2001:db8::1]:51821", "2001:db8::1", 51_821],
      ["[fe80::1%3]:51820", "fe80::1%3", 51_820],
    ] as const
  ) {
    const seed = readSeed(text);
    assert.deepEqual(seed, { host, port });
    assert.equal(formatSeed({ host, port }), text);
  }
});

Deno.test("what is no seed is told apart from a name: nobody's typing error is asked of a resolver", () => {
  for (
    const text of [
      "",
      "lyon",
      ":51820",
      "lyon:",
      "lyon:0",
      "lyon:65536",
      "lyon:51820x",
      "203.0.113:51820",
      "203.0.113.256:51820",
      "2001:db8::1:51820",
      "[lyon]:51820",
      "[203.0.113.9]:51820",
      "[2001:db8::g]:51820",
      "ly on:51820",
      "-lyon:51820",
      "lyon-:51820",
      "https://lyon:51820",
      `${"l".repeat(300)}:51820`,
    ]
  ) {
    assert.equal(readSeed(text), undefined, text);
  }
});
