import assert from "node:assert/strict";
import fc from "fast-check";
import { type Claim, Claims } from "./claims.ts";

const claim = (id: string, rank: number, since: number, wish = "lyon"): Claim => ({
  id,
  rank,
  since,
  wish,
});

Deno.test("invariant 7: admins before certified before provisional before individual, however early", () => {
  const claims = new Claims();
  const inOrder = [claim("d", 0, 40), claim("c", 1, 30), claim("b", 2, 20), claim("a", 3, 10)];
  for (const one of inOrder.toReversed()) {
    claims.claim(one);
    assert.equal(claims.holder("lyon"), one.id);
  }
  for (const one of inOrder) {
    assert.ok(claims.holds(one.id));
    claims.release(one.id);
  }
  assert.equal(claims.holder("lyon"), undefined);
});

Deno.test("invariant 7: of one standing the earlier signed time keeps it, then the lower key", () => {
  const claims = new Claims();
  claims.claim(claim("bb", 1, 20));
  claims.claim(claim("cc", 1, 10));
  assert.equal(claims.holder("lyon"), "cc");
  claims.claim(claim("aa", 1, 10));
  assert.equal(claims.holder("lyon"), "aa");
  assert.deepEqual(["aa", "bb", "cc"].map((id) => claims.holds(id)), [true, false, false]);
});

Deno.test("who claims something else has given up what it claimed, and the next inherits", () => {
  const claims = new Claims();
  claims.claim(claim("aa", 1, 1));
  claims.claim(claim("bb", 1, 2));
  claims.claim(claim("aa", 1, 1, "nice"));
  assert.equal(claims.holder("lyon"), "bb");
  assert.equal(claims.holder("nice"), "aa");
  claims.release("bb");
  assert.equal(claims.holder("lyon"), undefined);
  assert.equal(claims.get("bb"), undefined);
  assert.equal(claims.holds("bb"), false);
});

Deno.test("invariant 2: everybody gives everything to the same one, whatever the order of news", () => {
  const claimed = fc.uniqueArray(
    fc.record({
      id: fc.stringMatching(/^[0-9a-f]{4}$/),
      rank: fc.nat(3),
      since: fc.nat(3),
      wish: fc.constantFrom("a", "b", "c"),
    }),
    { selector: ({ id }) => id, maxLength: 12 },
  );
  fc.assert(fc.property(claimed, fc.infiniteStream(fc.nat()), (all, shuffle) => {
    const places = new Map(all.map((one) => [one.id, shuffle.next().value]));
    const other = all.toSorted((a, b) => (places.get(a.id) ?? 0) - (places.get(b.id) ?? 0));
    const [one, two] = [all, other].map((order) => {
      const claims = new Claims();
      for (const one of order) claims.claim(one);
      return all.map(({ id }) => claims.holds(id));
    });
    assert.deepEqual(one, two);
    const wishes = new Set(all.map(({ wish }) => wish));
    assert.equal(one?.filter((holds) => holds).length, wishes.size, "one holder each");
  }));
});

Deno.test("what changed hands is told once, and nothing that came back meanwhile", () => {
  const claims = new Claims(true);
  claims.claim(claim("bb", 1, 2));
  claims.claim(claim("cc", 1, 3)); // In vain.
  assert.deepEqual(claims.moves(), [{ wish: "lyon", before: undefined, after: "bb" }]);
  assert.deepEqual(claims.moves(), []);
  claims.claim(claim("aa", 1, 1));
  claims.release("aa");
  assert.deepEqual(claims.moves(), []);
  claims.claim(claim("bb", 1, 2, "oslo"));
  assert.deepEqual(claims.moves(), [
    { wish: "lyon", before: "bb", after: "cc" },
    { wish: "oslo", before: undefined, after: "bb" },
  ]);
  claims.release("cc");
  assert.deepEqual(claims.moves(), [{ wish: "lyon", before: "cc", after: undefined }]);
});

Deno.test("invariant 2: moves follow what a naive look at all claims finds, whoever comes and goes", () => {
  const step = fc.record({
    id: fc.constantFrom("a", "b", "c", "d", "e"),
    rank: fc.nat(2),
    since: fc.nat(2),
    wish: fc.constantFrom("x", "y", ""), // "": gives up
    isAsked: fc.boolean(),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const claims = new Claims(true);
    const model = new Map<string, Claim>();
    const told = new Map<string, string | undefined>();
    const first = (wish: string) =>
      [...model.values()].filter((one) => one.wish === wish)
        .sort((a, b) => a.rank - b.rank || a.since - b.since || (a.id < b.id ? -1 : 1))[0]?.id;
    for (const { isAsked, ...one } of steps) {
      if (one.wish === "") claims.release(one.id);
      else claims.claim(one);
      if (one.wish === "") model.delete(one.id);
      else model.set(one.id, one);
      if (!isAsked) continue;
      for (const { wish, before, after } of claims.moves()) {
        assert.equal(told.get(wish), before);
        told.set(wish, after);
      }
      for (const wish of ["x", "y"]) {
        assert.equal(told.get(wish), first(wish));
        assert.equal(claims.holder(wish), first(wish));
      }
    }
  }));
});

Deno.test("thousands that claim one thing come and go at a cost that does not grow with them", () => {
  const count = 16_384;
  let compared = 0;
  const at = (n: number): Claim => ({
    id: String(n).padStart(5, "0"),
    wish: "lyon",
    since: 1,
    get rank() {
      compared++;
      return 1;
    },
  });
  const claims = new Claims(true);
  for (let n = 0; n < count; n++) claims.claim(at(n));
  // In the order in which each that goes is the one that had it, the worst for who looks for the next.
  for (let n = 0; n < count; n++) {
    claims.release(at(n).id);
    claims.moves();
  }
  assert.equal(claims.holder("lyon"), undefined);
  assert.ok(compared < 200 * count, `${compared / count} for each`);
});
