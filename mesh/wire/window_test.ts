import assert from "node:assert/strict";
import fc from "fast-check";
import { ReplayWindow, WINDOW } from "./window.ts";

Deno.test("T5: a counter is accepted once, in any order, and not when far behind", () => {
  fc.assert(fc.property(
    fc.array(fc.oneof(fc.nat(3 * WINDOW), fc.nat(40)), { maxLength: 200 }),
    (counters) => {
      const window = new ReplayWindow();
      const seen = new Set<number>(); // the stupid model: remembers everything
      let top = -1;
      for (const counter of counters) {
        const expected = !seen.has(counter) && counter > top - WINDOW;
        assert.equal(window.accept(counter), expected, `counter ${counter}, highest ${top}`);
        if (expected) seen.add(counter);
        top = Math.max(top, counter);
      }
    },
  ));
});

Deno.test("T5: a leap of 2^40 costs one window, not a loop over the gap", () => {
  const window = new ReplayWindow();
  assert.ok(window.accept(0));
  assert.ok(window.accept(2 ** 40));
  assert.ok(!window.accept(0));
  assert.ok(window.accept(2 ** 40 - WINDOW + 1));
  assert.ok(!window.accept(2 ** 40 - WINDOW));
});
