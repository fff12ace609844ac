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
  assert.deepEqual(claims.rivals("bb").sort(), ["aa", "cc"]);
});

Deno.test("who claims something else has given up what it claimed, and the next inherits", () => {
  const claims = new Claims();
  claims.claim(claim("aa", 1, 1));
  claims.claim(claim("bb", 1, 2));
  claims.claim(claim("aa", 1, 1, "nice"));
  assert.equal(claims.holder("lyon"), "bb");
  assert.equal(claims.holder("nice"), "aa");
  assert.deepEqual(claims.rivals("bb"), []);
  claims.release("bb");
  assert.equal(claims.holder("lyon"), undefined);
  assert.equal(claims.get("bb"), undefined);
  assert.equal(claims.holds("bb"), false);
  assert.deepEqual(claims.rivals("bb"), []);
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
