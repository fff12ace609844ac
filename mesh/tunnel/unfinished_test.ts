import assert from "node:assert/strict";
import { NAMED_FOR } from "./constants.ts";
import { Unfinished } from "./unfinished.ts";

const PLACE = { address: Uint8Array.of(203, 0, 113, 9), port: 1, scope: 0 };
const SECOND = 1_000;

/** One begins each so many seconds, and the member answers each question of ours after a second. */
function begin(unfinished: Unfinished, from: number, to: number, each: number): number[] {
  const told: number[] = [];
  for (let second = from; second < to; second += each) {
    if (!unfinished.begin(second * SECOND, PLACE)) continue;
    if (unfinished.answered((second + 1) * SECOND)) told.push(second);
  }
  return told;
}

Deno.test("three that were begun in a minute and not finished ask the member, once in a minute", () => {
  const unfinished = new Unfinished();
  const asked: number[] = [];
  for (let second = 0; second < 150; second += 5) {
    if (unfinished.begin(second * SECOND, PLACE)) asked.push(second);
  }
  assert.deepEqual(asked, [10, 70, 130]);
  const slow = new Unfinished();
  for (let second = 0; second < 600; second += 31) {
    assert.ok(!slow.begin(second * SECOND, PLACE), "no three in a minute");
  }
});

Deno.test("people hear of them where the member has answered twice in a row, once, and until 10 minutes after the last answer", () => {
  for (const each of [0.1, 3, 28]) {
    const unfinished = new Unfinished();
    const told = begin(unfinished, 0, 900, each);
    assert.equal(told.length, 1, `each ${each} s`);
    assert.ok((told[0] ?? Infinity) < 180, `each ${each} s: ${told}`);
    assert.ok(unfinished.isNamed(900 * SECOND));
    assert.equal(unfinished.place, PLACE);
    assert.ok(unfinished.isNamed(800 * SECOND + NAMED_FOR));
    assert.ok(!unfinished.isNamed(902 * SECOND + NAMED_FOR));
  }
});

Deno.test("a member to which nothing came for a while, and that answers or begins well then, is none of them", () => {
  const unfinished = new Unfinished();
  for (let outage = 0; outage < 3; outage++) {
    assert.deepEqual(begin(unfinished, 1_000 * outage, 1_000 * outage + 20, 5), []);
  }
  assert.ok(!unfinished.isNamed(2_020 * SECOND), "each outage was answered once");
  assert.deepEqual(begin(unfinished, 3_000, 3_020, 5), []);
  unfinished.finish();
  assert.deepEqual(begin(unfinished, 3_100, 3_120, 5), []);
  assert.ok(!unfinished.isNamed(3_120 * SECOND));
});
