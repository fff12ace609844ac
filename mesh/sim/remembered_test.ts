import assert from "node:assert/strict";
import { remembered } from "./remembered.ts";

Deno.test("what was asked before is computed once, and each answer is the caller's own", () => {
  let computed = 0;
  const call = remembered((bytes) => bytes.slice(), (...parts: Uint8Array[]) => {
    computed++;
    return Uint8Array.of(parts.reduce((sum, { length }) => sum + length, 0));
  });
  const first = call(Uint8Array.of(1, 2), Uint8Array.of(3));
  first[0] = 99;
  assert.deepEqual(call(Uint8Array.of(1, 2), Uint8Array.of(3)), Uint8Array.of(3));
  assert.equal(computed, 1);
  // The same bytes, cut elsewhere.
  call(Uint8Array.of(1), Uint8Array.of(2, 3));
  assert.equal(computed, 2);
});

Deno.test("an argument that is changed afterwards changes no answer", () => {
  const call = remembered((bytes) => bytes.slice(), (bytes: Uint8Array) => bytes.slice());
  const asked = Uint8Array.of(1);
  call(asked);
  asked[0] = 2;
  assert.deepEqual(call(asked), Uint8Array.of(2));
  assert.deepEqual(call(Uint8Array.of(1)), Uint8Array.of(1));
});

Deno.test("no answer is an answer, too, and what throws is asked again", () => {
  let computed = 0;
  const nothing = remembered<[Uint8Array], undefined>((answer) => answer, () => void computed++);
  for (let i = 0; i < 2; i++) assert.equal(nothing(Uint8Array.of(1)), undefined);
  assert.equal(computed, 1);
  const refusing = remembered<[Uint8Array], undefined>((answer) => answer, () => {
    computed++;
    throw new RangeError("short");
  });
  for (let i = 0; i < 2; i++) assert.throws(() => refusing(Uint8Array.of(1)), RangeError);
  assert.equal(computed, 3);
});

Deno.test("at the limit the oldest answer makes room", () => {
  const computed: number[] = [];
  const call = remembered((n) => n, (bytes: Uint8Array) => {
    computed.push(bytes[0] ?? 0);
    return bytes[0];
  }, 3);
  for (const n of [1, 2, 3, 1, 4, 2, 1]) assert.equal(call(Uint8Array.of(n)), n);
  assert.deepEqual(computed, [1, 2, 3, 4, 1]);
});
