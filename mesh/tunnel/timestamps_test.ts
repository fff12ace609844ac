import assert from "node:assert/strict";
import { nextTimestamp, TIMESTAMP_LENGTH } from "../noise/tai64n.ts";
import { AHEAD_MAX, CLOCKS_DIFFER, Timestamps } from "./timestamps.ts";

const NOW = Date.UTC(2026, 0, 1);
const HOUR = 3_600_000;

function at(wall: number): Uint8Array {
  return nextTimestamp(wall, new Uint8Array(TIMESTAMP_LENGTH));
}

/** Takes what is news. @returns whether it was */
function take(timestamps: Timestamps, of: number, now: number, isMember = true): boolean {
  const isNews = timestamps.isNews(at(of), now, isMember);
  if (isNews) timestamps.take(at(of), now, isMember);
  return isNews;
}

Deno.test("R37: of a device any later timestamp is taken, and nothing after it that is not later", () => {
  const timestamps = new Timestamps();
  assert.ok(take(timestamps, Date.UTC(2200, 0), NOW, false));
  assert.ok(!take(timestamps, NOW, NOW, false));
});

Deno.test("R37: a member's timestamp of a far future stops none of now", () => {
  const timestamps = new Timestamps();
  assert.ok(take(timestamps, NOW, NOW));
  assert.ok(take(timestamps, Date.UTC(2200, 0), NOW));
  assert.ok(take(timestamps, NOW + 1_000, NOW + 1_000));
  assert.ok(!take(timestamps, NOW + 1_000, NOW + 2_000), "a copy");
  assert.ok(!take(timestamps, Date.UTC(2200, 0), NOW + 2_000), "a copy of the one ahead");
  assert.ok(!take(timestamps, Date.UTC(2199, 0), NOW + 2_000), "an older one ahead");
});

Deno.test("R37: what our clock has reached stands for all that came before it", () => {
  const timestamps = new Timestamps();
  for (const minutes of [60, 61]) assert.ok(take(timestamps, NOW + minutes * 60_000, NOW));
  const later = NOW + 2 * HOUR; // The clock was behind, and was put right.
  assert.ok(!take(timestamps, NOW + 30 * 60_000, later));
  assert.ok(!take(timestamps, NOW + 61 * 60_000, later));
  assert.ok(take(timestamps, NOW + 62 * 60_000, later));
});

Deno.test("R37: what is up to half a minute ahead stays in order with all of now", () => {
  const timestamps = new Timestamps();
  assert.ok(take(timestamps, NOW + 29_000, NOW));
  assert.ok(!take(timestamps, NOW, NOW));
  assert.ok(take(timestamps, NOW + 30_000, NOW));
});

Deno.test("R37: no timestamps, however many and however far ahead, keep out a member whose clock is right, or up to five minutes ahead, for longer than a minute", () => {
  for (let ahead = 0; ahead < CLOCKS_DIFFER; ahead += 7_000) {
    const timestamps = new Timestamps();
    for (let of = 1_000; of < 2 * CLOCKS_DIFFER; of += 1_000) take(timestamps, NOW + of, NOW);
    take(timestamps, Date.UTC(2200, 0), NOW);
    const minute = NOW + 60_500; // between the timestamps that were taken
    assert.ok(take(timestamps, minute + ahead, minute), `its clock is ${ahead} ms ahead`);
  }
});

Deno.test("R37: a copy of what was ahead is none of now while our clock comes nearer to it", () => {
  for (const  of of[45_000, 290_000, HOUR]) {
    const timestamps = new Timestamps();
    assert.ok(take(timestamps, NOW + of, NOW));
    for (let now = NOW; now < NOW + of + 60_000; now += 5_000) {
      assert.ok(!take(timestamps, NOW + of, now), `${of} ms ahead, ${now - NOW} ms later`);
    }
  }
});

Deno.test("R37: each timestamp of a member is taken once, however far ahead its clock is, and in whatever order copies come", () => {
  for (const ahead of [10_000, 45_000, 100_000, 235_000, 290_000, HOUR]) {
    const timestamps = new Timestamps();
    const taken: number[] = [];
    for (let ms = 0; ms < 60_000; ms += 5_000) {
      assert.ok(take(timestamps, NOW + ms + ahead, NOW + ms), `its clock is ${ahead} ms ahead`);
      taken.push(NOW + ms + ahead);
    }
    for (let ms = 60_000; ms < ahead + 120_000; ms += 5_000) {
      for (const of of taken) assert.ok(!take(timestamps, of, NOW + ms), `a copy ${ms} ms later`);
    }
  }
});

Deno.test("R37: of timestamps ahead only the last 128 are known one by one, and those of a member that sends all it may for 5 minutes are", () => {
  assert.ok(AHEAD_MAX * 5_000 >= 2 * CLOCKS_DIFFER);
  const timestamps = new Timestamps();
  const far = (n: number) => NOW + HOUR + n * 1_000;
  for (let n = 0; n <= AHEAD_MAX; n++) assert.ok(take(timestamps, far(n), NOW));
  const near = NOW + HOUR - 20_000; // Our clock has come nearer, and all are of nearer kinds.
  assert.ok(!take(timestamps, far(1), near));
  assert.ok(take(timestamps, far(0), near), "the first one is forgotten");
});
