import assert from "node:assert/strict";
import { Leaps, RENEWAL_PACE } from "./leaps.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

Deno.test("a leap is followed up at once, and so is one that comes after the pace", () => {
  const leaps = new Leaps();
  assert.equal(leaps.look(0, 0), undefined);
  assert.deepEqual(leaps.look(1, 7_000), { byMs: 7_000, times: 1, isTold: true });
  assert.equal(leaps.due, undefined);
  const next = 1 + RENEWAL_PACE;
  assert.deepEqual(leaps.look(next, -7_000), { byMs: -7_000, times: 2, isTold: true });
});

Deno.test("leaps within the pace are followed up once when it is over, though no other comes", () => {
  const leaps = new Leaps();
  leaps.look(0, 7_000);
  assert.equal(leaps.look(SECOND, 7_000), undefined);
  assert.equal(leaps.look(2 * SECOND, -9_000), undefined);
  assert.equal(leaps.due, RENEWAL_PACE);
  assert.equal(leaps.look(RENEWAL_PACE - 1, 0), undefined);
  assert.deepEqual(leaps.look(RENEWAL_PACE, 0), { byMs: -2_000, times: 3, isTold: true });
  assert.equal(leaps.look(RENEWAL_PACE + MINUTE, 0), undefined);
});

Deno.test("leaps each second cost a renewal in each pace, and people hear of them once in ten minutes", () => {
  const leaps = new Leaps();
  let [renewed, told] = [0, 0];
  for (let ms = 0; ms < 20 * MINUTE; ms += SECOND) {
    const followUp = leaps.look(ms, ms % 2_000 === 0 ? 6_000 : -6_000);
    if (followUp) renewed++;
    if (followUp?.isTold) told++;
  }
  assert.equal(renewed, 20 * MINUTE / RENEWAL_PACE);
  assert.equal(told, 3, "the first leap, and then two lines");
  const end = 20 * MINUTE - SECOND;
  assert.equal(leaps.repeated(end), 20 * 60);
  assert.equal(leaps.repeated(end + MINUTE + 1), 0, "it is over");
});

Deno.test("three leaps in a row, or one each two minutes, are an accident", () => {
  const leaps = new Leaps();
  for (const at of [0, SECOND, 2 * SECOND]) leaps.look(at, 6_000);
  assert.equal(leaps.repeated(2 * SECOND), 0);
  for (let at = 10 * MINUTE; at < 60 * MINUTE; at += 2 * MINUTE) {
    assert.ok(leaps.look(at, 6_000)?.isTold);
    assert.equal(leaps.repeated(at), 0);
  }
});

Deno.test("a boot clock that went back leaves no leap to follow up", () => {
  const leaps = new Leaps();
  leaps.look(MINUTE, 6_000);
  leaps.look(MINUTE + SECOND, 6_000);
  leaps.forget();
  assert.equal(leaps.due, undefined);
  assert.ok(leaps.look(SECOND, 6_000), "and the next is followed up at once");
});
