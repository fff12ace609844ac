import assert from "node:assert/strict";
import { suspicionOf, suspicionTimeout } from "./suspicion.ts";

Deno.test("a suspicion of one alone lasts six times as long as one that two more confirm", () => {
  const suspicion = suspicionOf(100, 1000);
  assert.equal(suspicionTimeout(suspicion, 0), 48_000);
  assert.equal(suspicionTimeout(suspicion, 2), 8000);
  assert.equal(suspicionTimeout(suspicion, 7), 8000);
});

Deno.test("each confirmation shortens it, the first most", () => {
  const suspicion = suspicionOf(1000, 1000);
  const [none, one, two] = [0, 1, 2].map((count) => suspicionTimeout(suspicion, count));
  assert.ok(none !== undefined && one !== undefined && two !== undefined);
  assert.ok(none > one && one > two);
  assert.ok(none - one > one - two);
});

Deno.test("the floor grows with the logarithm of the mesh, and with the period", () => {
  assert.equal(suspicionOf(10, 1000).shortest, 4000);
  assert.equal(suspicionOf(10_000, 1000).shortest, 16_000);
  assert.equal(suspicionOf(10_000, 100).shortest, 1600);
});

Deno.test("where nobody is left to confirm, nobody is waited for", () => {
  for (const members of [1, 2, 3, 4]) {
    const suspicion = suspicionOf(members, 1000);
    assert.equal(suspicionTimeout(suspicion, 0), 4000);
  }
  assert.equal(suspicionTimeout(suspicionOf(5, 1000), 0), 24_000);
});
