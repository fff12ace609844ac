import assert from "node:assert/strict";
import { parse } from "./workers.ts";

Deno.test("the line of the program is one measurement", () => {
  assert.deepEqual(parse("send aes-gcm 4 2 32.265\n"), {
    direction: "send",
    suite: "aes-gcm",
    peers: 4,
    workers: 2,
    gigabits: 32.265,
  });
});

Deno.test("a line that is no measurement is an error that shows it", () => {
  for (
    const line of [
      "",
      "turn aes-gcm 4 2 1",
      "send rot13 4 2 1",
      "send aes-gcm 4 2 0",
      "send aes-gcm 4 2 1 1",
    ]
  ) assert.throws(() => parse(line), new RegExp(`no measurement: "${line}"`));
});
