/** T8, R36: the clock in an initiation. */
import assert from "node:assert/strict";
import { isAfter, laneOf, nextTimestamp, ofLane, TIMESTAMP_LENGTH, wallOf } from "./tai64n.ts";

/** Nothing was sent before. */
function timestampAt(wallMs: number): Uint8Array {
  return nextTimestamp(wallMs, new Uint8Array(TIMESTAMP_LENGTH));
}

const AUGUST_2026 = Date.UTC(2026, 7, 1);

Deno.test("R36: seconds are 2^62 + 10 + unix time, nanoseconds are cut to multiples of 2^24", () => {
  assert.equal(timestampAt(0).toHex(), "400000000000000a" + "00000000");
  assert.equal(timestampAt(1000.5).toHex(), "400000000000000b" + "00000000", "0.5 ms vanish");
  // 999 ms = 0x3b8b87c0 ns, cut to 0x3b000000.
  assert.equal(timestampAt(999).toHex(), "400000000000000a" + "3b000000");
  assert.equal(timestampAt(-1).toHex(), "4000000000000009" + "3b000000", "before 1970");
});

Deno.test("R36: within a grain of 16.78 ms two timestamps are equal, so nothing finer leaks", () => {
  const grain = 2 ** 24 / 1e6;
  assert.deepEqual(timestampAt(AUGUST_2026 + 1), timestampAt(AUGUST_2026 + grain - 1));
  assert.notDeepEqual(timestampAt(AUGUST_2026 + 1), timestampAt(AUGUST_2026 + grain + 1));
});

Deno.test("R37: only strictly later counts; equal and earlier do not", () => {
  const stamp = timestampAt(AUGUST_2026);
  assert.ok(!isAfter(stamp, stamp));
  assert.ok(isAfter(timestampAt(AUGUST_2026 + 17), stamp));
  assert.ok(!isAfter(timestampAt(AUGUST_2026 - 1), stamp));
  assert.ok(isAfter(timestampAt(AUGUST_2026 + 1000), timestampAt(AUGUST_2026 + 999)));
});

Deno.test("R64: the next timestamp is later than the last one even when the clock stepped back", () => {
  let last = timestampAt(AUGUST_2026);
  assert.deepEqual(nextTimestamp(AUGUST_2026 + 1000, last), timestampAt(AUGUST_2026 + 1000));
  for (let i = 0; i < 200; i++) { // more than a second's worth of grains: the carry is met
    const next = nextTimestamp(AUGUST_2026 - 3_600_000, last);
    assert.ok(isAfter(next, last));
    assert.ok(wallOf(next) - wallOf(last) < 70);
    last = next;
  }
});

Deno.test("a timestamp tells which unix time it claims", () => {
  assert.equal(wallOf(timestampAt(AUGUST_2026)), AUGUST_2026);
  assert.ok(Math.abs(wallOf(timestampAt(AUGUST_2026 + 517)) - AUGUST_2026 - 517) < 16.78);
});

Deno.test("the number of a lane stands in bits that are zero otherwise, and later stays later", () => {
  const stamp = timestampAt(AUGUST_2026);
  assert.equal(laneOf(stamp), 0);
  for (const lane of [1, 3, 255]) {
    const marked = ofLane(stamp, lane);
    assert.equal(laneOf(marked), lane);
    assert.ok(isAfter(marked, stamp) && isAfter(timestampAt(AUGUST_2026 + 17), marked));
    assert.ok(isAfter(nextTimestamp(AUGUST_2026, marked), marked));
  }
  assert.equal(laneOf(stamp), 0, "the one that was marked is a copy");
});
