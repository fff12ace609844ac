import assert from "node:assert/strict";
import { refusalOf } from "./profile.ts";

Deno.test("profile: a perf that may not record says why and what to do", () => {
  assert.equal(refusalOf(true, ""), undefined);
  const said =
    "\n  Error:\nAccess to performance monitoring and observability operations is limited.";
  const why = refusalOf(false, said) ?? "";
  assert.match(
    why,
    /^perf may not record other programs here \(Access to performance .*\): run this as root/,
  );
  assert.match(why, /kernel\.perf_event_paranoid=-1/);
});
