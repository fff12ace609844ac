import assert from "node:assert/strict";
import { REFUSAL_TIME, Refusals } from "./refusals.ts";

const at = (boot: number) => ({ boot, wall: 0 });
const everybody = () => true;

Deno.test("refusals are shown by their reason until their member talks with us, is none any more, or has said it long ago", () => {
  const refusals = new Refusals();
  refusals.note(at(0), "a", "expired");
  refusals.note(at(1), "b", "removed");
  refusals.note(at(2), "c", "removed");
  refusals.note(at(3), "a", "removed");
  assert.deepEqual(
    [...refusals.byReason()],
    [["removed", ["a", "b", "c"]]],
    "the last word of each",
  );
  refusals.clear("b");
  refusals.expire(at(4), (id) => id !== "c");
  assert.deepEqual([...refusals.byReason()], [["removed", ["a"]]]);
  refusals.expire(at(3 + REFUSAL_TIME), everybody);
  assert.equal(refusals.byReason().size, 1);
  refusals.expire(at(4 + REFUSAL_TIME), everybody);
  assert.equal(refusals.byReason().size, 0);
});
