import assert from "node:assert/strict";
import fc from "fast-check";
import { type TimerName, Timers } from "./timers.ts";

const TIMER_NAMES: readonly TimerName[] = ["no answer", "zero keys", "handshake retry"];

Deno.test("timers: the earliest is at hand, whatever is set, moved and cleared (model: a sorted list)", () => {
  const step = fc.record({
    peer: fc.integer({ min: 1, max: 8 }),
    timer: fc.constantFrom(...TIMER_NAMES),
    at: fc.option(fc.integer({ min: 0, max: 50 }), { nil: undefined }),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
    const timers = new Timers();
    const model = new Map<string, number>();
    for (const { peer, timer, at } of steps) {
      if (at === undefined) {
        timers.clear(peer, timer);
        model.delete(`${peer} ${timer}`);
      } else {
        timers.set(peer, timer, at);
        model.set(`${peer} ${timer}`, at);
      }
      const next = timers.peek();
      assert.equal(next?.at ?? Infinity, Math.min(...model.values()));
      if (next) assert.equal(model.get(`${next.peer} ${next.timer}`), next.at);
      assert.equal(timers.has(peer, timer), at !== undefined);
      assert.equal(timers.size, model.size);
    }
  }));
});

Deno.test("timers: all of a peer go together, others stay", () => {
  const timers = new Timers();
  for (const [i, name] of TIMER_NAMES.entries()) {
    timers.set(1, name, i);
    timers.set(2, name, 10 + i);
  }
  timers.clearAll(1);
  assert.equal(timers.size, TIMER_NAMES.length);
  assert.deepEqual([timers.peek()?.peer, timers.peek()?.at], [2, 10]);
});

Deno.test("timers: ten thousand peers come out in order", () => {
  const timers = new Timers();
  for (let i = 0; i < 10_000; i++) timers.set(i + 1, "zero keys", (i * 7919) % 10_007);
  let last = -1;
  for (let next = timers.peek(); next; next = timers.peek()) {
    assert.ok(next.at >= last);
    last = next.at;
    timers.clear(next.peer, next.timer);
  }
});
