import assert from "node:assert/strict";
import { Window } from "./storm.ts";

Deno.test("storm: no more are under way than may be, and an answer makes room", () => {
  const window = new Window(2, 200);
  window.add(7, 0);
  assert.equal(window.hasRoom(1), true);
  window.add(8, 1);
  assert.equal(window.hasRoom(1), false);
  assert.equal(window.take(7), true);
  assert.equal(window.hasRoom(1), true);
});

Deno.test("storm: what nobody answers gives room in time, and an answer that is late counts for nothing", () => {
  const window = new Window(1, 200);
  window.add(7, 0);
  assert.equal(window.hasRoom(199), false);
  assert.equal(window.hasRoom(200), true);
  assert.equal(window.take(7), false);
  assert.equal(window.isEmpty, true);
});

Deno.test("storm: an answer counts once", () => {
  const window = new Window(1, 200);
  window.add(7, 0);
  assert.equal(window.take(7), true);
  assert.equal(window.take(7), false);
});
