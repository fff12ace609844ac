import assert from "node:assert/strict";
import { Farewells } from "./farewells.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const [A, B] = ["aa", "bb"];
const at = (boot: number) => ({ boot, wall: 0 });
const place = (n: number) => ({ address: Uint8Array.of(192, 0, 2, n), port: 51820, scope: 0 });

function answer(run: string, askedAt: number, n = 1) {
  return { id: "member", run, place: place(n), askedAt };
}

function setUp() {
  const farewells = new Farewells();
  farewells.said(at(SECOND), "member", A, place(2));
  return farewells;
}

Deno.test("a run that answers a question put after its farewell has not said that", () => {
  const farewells = setUp();
  assert.ok(farewells.answered(at(1_100), answer(A, SECOND)));
  const { place: from } = farewells.ofMember(at(1_100), "member") ?? {};
  assert.deepEqual(from, place(2));
  assert.equal(farewells.ofMember(at(1_100 + 10 * MINUTE), "member"), undefined, "long ago");
});

Deno.test("a run that answers what was asked before its farewell, and another that answers, show nothing", () => {
  const farewells = setUp();
  assert.equal(farewells.answered(at(1_100), answer(A, SECOND - 1)), false);
  assert.ok(farewells.answered(at(1_200), answer(B, SECOND)), "it is back");
  assert.equal(farewells.ofMember(at(1_200), "member"), undefined);
});

Deno.test("a farewell with the member's own address shows no place", () => {
  const farewells = setUp();
  farewells.answered(at(1_100), answer(A, SECOND, 2));
  assert.deepEqual(farewells.ofMember(at(1_100), "member"), { place: undefined, at: 1_100 });
});

Deno.test("farewells that come faster than answers are shown to be false all the same", () => {
  const farewells = setUp();
  for (let ms = 1_100; ms < 3_000; ms += 100) farewells.said(at(ms), "member", A, place(2));
  farewells.answered(at(3_000), answer(A, 1_050));
  assert.ok(farewells.ofMember(at(3_000), "member"));
});

Deno.test("after a farewell a member is asked once a second, for a minute at most, and not once it has answered", () => {
  const farewells = setUp();
  let asked = 0;
  for (let ms = SECOND; ms < 3 * MINUTE; ms += 100) {
    if (farewells.mustAsk(at(ms), "member")) asked++;
  }
  assert.equal(asked, 60);
  farewells.said(at(4 * MINUTE), "member", A, place(2));
  farewells.answered(at(4 * MINUTE + 50), answer(A, 4 * MINUTE));
  assert.equal(farewells.mustAsk(at(5 * MINUTE), "member"), false);
});
