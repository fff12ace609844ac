import assert from "node:assert/strict";
import { judge } from "./skip.ts";

Deno.test("a test that lacks nothing runs", () => {
  assert.deepEqual(judge({}, false, false), { kind: "run" });
  assert.deepEqual(judge({ right: undefined, thing: undefined }, true, true), { kind: "run" });
});

Deno.test("a skip says why", () => {
  assert.deepEqual(judge({ right: "no TUN" }, false, true), { kind: "skip", why: "no TUN" });
  assert.deepEqual(judge({ thing: "no Go" }, false, true), { kind: "skip", why: "no Go" });
});

Deno.test("with CI=true a missing thing is a failure", () => {
  assert.deepEqual(judge({ thing: "no Go" }, true, false), { kind: "fail", why: "no Go" });
});

Deno.test("with CI=true a missing right is a failure only where the machine has the right", () => {
  assert.deepEqual(judge({ right: "no TUN" }, true, true), { kind: "fail", why: "no TUN" });
  assert.deepEqual(judge({ right: "no TUN" }, true, false), { kind: "skip", why: "no TUN" });
});
