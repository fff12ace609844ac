import assert from "node:assert/strict";
import { RecordPace, RECORDS_BURST } from "./record_pace.ts";

const at = (boot: number) => ({ boot, wall: 0 });

Deno.test("invariant 13: of the records of one member so many are looked at, in four shares", () => {
  const pace = new RecordPace();
  const taken = (ms: number, subject: string, isNote: boolean, isDirect: boolean) => {
    let count = 0;
    while (pace.take(at(ms), subject, { isNote, isDirect })) count++;
    return count;
  };
  for (const isNote of [false, true]) {
    for (const isDirect of [false, true]) {
      assert.equal(taken(0, "a", isNote, isDirect), RECORDS_BURST, "each has its own");
    }
  }
  assert.equal(taken(0, "b", false, true), RECORDS_BURST);
  assert.equal(taken(10_000, "a", true, true), RECORDS_BURST, "and no more after any time");
  assert.equal(taken(11_000, "a", true, true), 4);
  assert.equal(pace.refused, 7);
  pace.forget("a");
  assert.equal(taken(11_000, "a", true, true), RECORDS_BURST);
});
