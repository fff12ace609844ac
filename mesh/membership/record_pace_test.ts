import assert from "node:assert/strict";
import { RecordPace, RECORDS_BURST } from "./record_pace.ts";

const at = (boot: number) => ({ boot, wall: 0 });

Deno.test("invariant 13: of the records of one member so many are looked at, in two shares", () => {
  const pace = new RecordPace();
  const taken = (ms: number, subject: string, kind: number) => {
    let count = 0;
    while (pace.take(at(ms), subject, kind)) count++;
    return count;
  };
  assert.equal(taken(0, "a", 1), RECORDS_BURST);
  assert.equal(taken(0, "a", 3), RECORDS_BURST, "what names another machine has its own");
  assert.equal(taken(0, "b", 1), RECORDS_BURST);
  assert.equal(taken(10_000, "a", 1), RECORDS_BURST, "and no more after any time");
  assert.equal(taken(11_000, "a", 1), 4);
  assert.equal(pace.refused, 5);
  pace.forget("a", [1, 3]);
  assert.equal(taken(11_000, "a", 3), RECORDS_BURST);
});
