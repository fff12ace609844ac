import assert from "node:assert/strict";
import { Introductions, INTRODUCTIONS_MAX } from "./introductions.ts";

Deno.test("T41: an introduction is answered once, by whom it was sent to", () => {
  const introductions = new Introductions();
  introductions.add(Uint8Array.of(1), "anna");
  assert.ok(!introductions.answered(Uint8Array.of(1), "bert"));
  assert.ok(!introductions.answered(Uint8Array.of(2), "anna"));
  assert.ok(introductions.answered(Uint8Array.of(1), "anna"));
  assert.ok(!introductions.answered(Uint8Array.of(1), "anna"));
});

Deno.test("64 introductions can wait; the next one makes the oldest be forgotten", () => {
  const introductions = new Introductions();
  for (let n = 0; n <= INTRODUCTIONS_MAX; n++) introductions.add(Uint8Array.of(n), "anna");
  assert.ok(!introductions.answered(Uint8Array.of(0), "anna"));
  assert.ok(introductions.answered(Uint8Array.of(1), "anna"));
});
