import assert from "node:assert/strict";
import fc from "fast-check";
import { headOf, kindOf, otherVersionOf, VERSION } from "./datagram.ts";

const TYPES = ["sealed", "hello", "ask", "answer"] as const;

Deno.test("a control datagram names version 4 in its second byte", () => {
  assert.equal(VERSION, 4);
  for (const [i, type] of TYPES.entries()) {
    assert.deepEqual([...headOf(type)], [0xc1 + i, 4, 0, 0]);
    assert.equal(kindOf(headOf(type)), type);
    assert.equal(otherVersionOf(headOf(type)), undefined);
  }
});

Deno.test("the first format is version 1, and no version but ours has a kind", () => {
  for (const [i] of TYPES.entries()) {
    assert.equal(otherVersionOf(Uint8Array.of(0xc1 + i, 0, 0, 0, 99)), 1);
    for (let second = 0; second < 256; second++) {
      const bytes = Uint8Array.of(0xc1 + i, second, 0, 0);
      assert.equal(kindOf(bytes) === undefined, second !== VERSION);
      if (second > VERSION) assert.equal(otherVersionOf(bytes), second);
    }
  }
});

Deno.test("WireGuard's types have three zero bytes, and neither it nor STUN is a version of ours", () => {
  for (const [type, kind] of [[1, "handshake"], [2, "handshake"], [3, "handshake"], [4, "data"]]) {
    const bytes = Uint8Array.of(Number(type), 0, 0, 0);
    assert.equal(kindOf(bytes), kind);
    assert.equal(otherVersionOf(bytes), undefined);
    assert.equal(kindOf(Uint8Array.of(Number(type), VERSION, 0, 0)), undefined);
  }
  for (const other of [[], [0xc1], [0xc1, 0, 0], [0, 1, 0, 0], [0xc0, 0, 0, 0], [0xc5, 4, 0, 0]]) {
    assert.equal(kindOf(Uint8Array.from(other)), undefined);
    assert.equal(otherVersionOf(Uint8Array.from(other)), undefined);
  }
});

Deno.test("T18: no bytes have both a kind and another version", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 8 }), (bytes) => {
    assert.ok(kindOf(bytes) === undefined || otherVersionOf(bytes) === undefined);
  }));
});
