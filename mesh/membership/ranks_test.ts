import assert from "node:assert/strict";
import fc from "fast-check";
import { Ranks } from "./ranks.ts";

const KEYS = ["a", "b", "c", "d", "e", "f", "g", "h"];
const change = fc.tuple(
  fc.constantFrom(...KEYS),
  fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined }),
);

Deno.test("whatever comes and goes, the earliest is first, then the lower key", () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
      const ranks = new Ranks();
      const since = new Map<string, number>();
      for (const [key, at] of changes) {
        ranks.set(key, at);
        if (at === undefined) since.delete(key);
        else since.set(key, at);
        const order = [...since].sort(([a, x], [b, y]) => x - y || (a < b ? -1 : 1))
          .map(([one]) => one);
        assert.deepEqual(ranks.keys(), order);
        for (const one of KEYS) {
          const rank = order.indexOf(one);
          assert.equal(ranks.of(one), rank < 0 ? Infinity : rank);
        }
      }
    }),
  );
});

Deno.test("whoever one change puts out or lets in is the key itself or at the end of the uses", () => {
  fc.assert(
    fc.property(
      fc.array(change, { maxLength: 60 }),
      fc.integer({ min: 1, max: 5 }),
      (changes, uses) => {
        const ranks = new Ranks();
        ranks.noteUses(uses);
        const within = () => new Set(KEYS.filter((key) => ranks.of(key) < uses));
        for (const [key, at] of changes) {
          const before = within();
          ranks.set(key, at);
          const moved = before.symmetricDifference(within());
          const looked = new Set([key, ...ranks.atEnd()]);
          assert.ok(moved.isSubsetOf(looked), `${[...moved]} of ${[...looked]}`);
          assert.ok(looked.size <= 3);
        }
      },
    ),
  );
});
