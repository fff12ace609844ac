import assert from "node:assert/strict";
import { Overtaken, SET_BACK_MAX } from "./overtaken.ts";
import { TWIN_TIME } from "./record.ts";

const HOUR = 3_600_000;

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

Deno.test("a machine that was set back three times within a day, to one snapshot, is no second machine", () => {
  for (let times = 0; times < 3; times++) {
    const remembered = new Overtaken();
    for (const id of ["anna", "bert"]) {
      assert.equal(remembered.claim(at(times * HOUR), id, 2 ** 30), false);
    }
  }
});

Deno.test("item 11: a copy that leads numbers away every seven hours is named at the third time, though it takes one member after the other", () => {
  const overtaken = new Overtaken();
  const named = [];
  for (let time = 0; time < 4 * 24 * HOUR; time += 7 * HOUR) {
    overtaken.claim(at(time), "anna", 2 ** 20);
    if (overtaken.claim(at(time + HOUR), "bert", 2 ** 20)) named.push(time / HOUR);
  }
  assert.deepEqual(named.slice(0, 3), [14, 21, 28]);
});

Deno.test("numbers that are led away once a day are no second machine", () => {
  const overtaken = new Overtaken();
  for (let time = 0; time < 30 * 24 * HOUR; time += 24 * HOUR) {
    for (const id of ["anna", "bert"]) assert.equal(overtaken.claim(at(time), id, 2 ** 20), false);
  }
});

Deno.test("whoever is no member any more is not counted", () => {
  const overtaken = new Overtaken();
  overtaken.claim(at(0), "anna", SET_BACK_MAX + 1);
  overtaken.forget("anna");
  assert.equal(overtaken.claim(at(1), "bert", SET_BACK_MAX + 1), false);
});
