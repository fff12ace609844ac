import assert from "node:assert/strict";
import { FORGER_REST, Forgers } from "./forgers.ts";

const at = (boot: number) => ({ boot, wall: 0 });

Deno.test("invariant 13: nothing that a forger passes on is looked at for a minute; its own record is", () => {
  const forgers = new Forgers();
  assert.ok(forgers.mayLook(at(0), "a"));
  forgers.blame(at(0), "a");
  for (const boot of [0, FORGER_REST - 1]) {
    assert.ok(!forgers.mayLook(at(boot), "a"));
    assert.ok(!forgers.mayLook(at(boot), "a", "b"));
    assert.ok(forgers.mayLook(at(boot), "a", "a"));
    assert.ok(forgers.mayLook(at(boot), "b", "a"), "others may");
  }
  assert.ok(forgers.mayLook(at(FORGER_REST), "a", "b"));
  assert.deepEqual(forgers.counts, { forged: 1, unlooked: 4 });
});

Deno.test("item 11: who forges its own record is heard about itself all the same: another may have its key", () => {
  const forgers = new Forgers();
  forgers.blame(at(0), "a");
  forgers.blame(at(10), "a");
  assert.ok(forgers.mayLook(at(20), "a", "a"));
  assert.ok(!forgers.mayLook(at(20), "a", "b"));
  forgers.forget("a");
  assert.equal(forgers.size, 0);
});
