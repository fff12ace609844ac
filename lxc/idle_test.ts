import assert from "node:assert/strict";
import { misses } from "./idle.ts";

const cheap = {
  name: "lyon",
  sent: 200,
  received: 900,
  core: 0.003,
  anonymous: 30e6,
  resident: 90e6,
};

Deno.test("a node that costs what is asked and no more is no miss", () => {
  assert.deepEqual(misses([cheap]), []);
});

Deno.test("each figure of an idle node that is above what is asked is named with both", () => {
  assert.deepEqual(
    misses([cheap, { ...cheap, name: "oslo", sent: 201, core: 0.0051, anonymous: 31_260_000 }]),
    [
      "oslo sends 201 bytes a second: asked 200",
      "oslo takes 0.51 % of a core: asked 0.30 %",
      "oslo holds 31.3 MB of its own: asked 30.0 MB",
    ],
  );
});
