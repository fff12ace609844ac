import assert from "node:assert/strict";
import { Forwarded } from "./forwarded.ts";

const at = (boot: number) => ({ boot, wall: 0 });

Deno.test("packets that this machine forwards into the mesh are named until a minute after the last one", () => {
  const forwarded = new Forwarded();
  assert.deepEqual(forwarded.health(at(0), "shoal0", 0), []);
  assert.match(forwarded.health(at(1_000), "shoal0", 3).join(), /into shoal0, and 3 were dropped/);
  assert.equal(forwarded.health(at(61_000), "shoal0", 3).length, 1);
  assert.deepEqual(forwarded.health(at(61_001), "shoal0", 3), []);
});
