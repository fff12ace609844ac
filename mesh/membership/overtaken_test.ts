import assert from "node:assert/strict";
import { Overtaken, SET_BACK_MAX } from "./overtaken.ts";
import { TWIN_TIME } from "./record.ts";

const at = (boot: number) => ({ boot, wall: boot });

Deno.test("item 11: another machine has our key where two members have heard far more than we have sealed", () => {
  const overtaken = new Overtaken();
  assert.equal(overtaken.claim(at(0), "anna", SET_BACK_MAX + 1), false);
  assert.equal(overtaken.claim(at(1), "bert", SET_BACK_MAX + 1), true);
});

Deno.test("one member that says so, however often, is not believed", () => {
  const overtaken = new Overtaken();
  for (let n = 0; n < 100; n++) assert.equal(overtaken.claim(at(n), "liar", 2 ** 40), false);
});

Deno.test("a machine that was set back to a snapshot is overtaken once, and is no second machine", () => {
  const overtaken = new Overtaken();
  for (const id of ["anna", "bert", "carl"]) {
    assert.equal(overtaken.claim(at(0), id, SET_BACK_MAX), false);
  }
  assert.equal(overtaken.claim(at(TWIN_TIME), "anna", 100), false, "the first is forgotten");
  assert.equal(overtaken.claim(at(TWIN_TIME + 1), "anna", 100), false, "only one of them");
  assert.equal(
    overtaken.claim(at(TWIN_TIME + 2), "bert", 100),
    false,
    "its first is forgotten, too",
  );
  assert.equal(overtaken.claim(at(TWIN_TIME + 3), "bert", 100), true);
});

Deno.test("whoever is no member any more is not counted", () => {
  const overtaken = new Overtaken();
  overtaken.claim(at(0), "anna", SET_BACK_MAX + 1);
  overtaken.forget("anna");
  assert.equal(overtaken.claim(at(1), "bert", SET_BACK_MAX + 1), false);
});
