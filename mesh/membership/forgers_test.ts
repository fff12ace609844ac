import assert from "node:assert/strict";
import { FORGER_REST, Forgers } from "./forgers.ts";

const at = (boot: number) => ({ boot, wall: 0 });

Deno.test("invariant 13: nothing that a forger passes on is looked at for a minute; its own record is", () => {
  const forgers = new Forgers();
  assert.ok(forgers.mayLook(at(0), "a"));
  forgers.blame(at(0), "a", "b");
  for (const boot of [0, FORGER_REST - 1]) {
    assert.ok(!forgers.mayLook(at(boot), "a"));
    assert.ok(!forgers.mayLook(at(boot), "a", "b"));
    assert.ok(forgers.mayLook(at(boot), "a", "a"));
    assert.ok(forgers.mayLook(at(boot), "b", "a"), "others may");
  }
  assert.ok(forgers.mayLook(at(FORGER_REST), "a", "b"));
  assert.deepEqual(forgers.counts, { forged: 1, unlooked: 4 });
});

Deno.test("invariant 13: who forges its own record, too, is not looked at in anything", () => {
  const forgers = new Forgers();
  forgers.blame(at(0), "a");
  forgers.blame(at(10), "a", "a");
  assert.ok(!forgers.mayLook(at(20), "a", "a"));
  forgers.blame(at(20), "a", "b");
  assert.ok(!forgers.mayLook(at(30), "a", "a"), "a later lie makes that no better");
  assert.ok(forgers.mayLook(at(20 + FORGER_REST), "a", "a"));
  forgers.blame(at(20 + FORGER_REST), "a", "b");
  assert.ok(forgers.mayLook(at(21 + FORGER_REST), "a", "a"));
  forgers.forget("a");
  assert.equal(forgers.size, 0);
});
