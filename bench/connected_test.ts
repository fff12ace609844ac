import assert from "node:assert/strict";
import { parse } from "./connected.ts";

Deno.test("a line of the program says which case it was, and what it cost", () => {
  assert.deepEqual(parse("peers-in 64 3452.3 3644.2 64\n"), {
    name: "peers-in",
    places: "64",
    fill: 3452.3,
    drain: 3644.2,
    opened: 64,
  });
});

Deno.test("whatever else it may write is refused and shown", () => {
  const lines = ["", "peers-out 64 1 1 1", "peers-in 7 1 1 1", "peers-in off 1 0 0"];
  for (const line of [...lines, "peers-in off 1 x 0", "peers-in off 1 1 0 0"]) {
    assert.throws(() => parse(line), (error) => String(error).includes(JSON.stringify(line)));
  }
});
