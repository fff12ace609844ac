import assert from "node:assert/strict";
import fc from "fast-check";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { Seeded } from "../sim/random.ts";
import { BOX_OVERHEAD, openBox, pad, readAnswer, sealBox, unpad } from "./box.ts";

const { bytes: random } = new Seeded(1);

Deno.test("content of every length that fits comes out of its padding, and a longer one is misuse", () => {
  for (let length = 0; length <= 98; length++) {
    const content = new Uint8Array(length).fill(7);
    const padded = pad(content, 100);
    assert.equal(padded.length, 100);
    assert.deepEqual(unpad(padded), content);
  }
  assert.throws(() => pad(new Uint8Array(99), 100), /99 bytes, over 98/);
});

Deno.test("T18: padding has one encoding", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
    const content = unpad(bytes);
    if (content !== undefined) assert.deepEqual(pad(content, bytes.length), bytes);
  }));
  assert.equal(unpad(Uint8Array.of(0, 1, 9, 1)), undefined, "padding that is not zero");
  assert.equal(unpad(Uint8Array.of(0, 3, 9, 9)), undefined, "a length beyond the end");
});

Deno.test("a box opens under its key and head only, and two boxes of one content differ", () => {
  const [key, other] = [random(32), random(32)];
  const head = random(4);
  const content = random(20);
  const box = sealBox(crypto, random, key, head, content);
  assert.equal(box.length, content.length + BOX_OVERHEAD);
  assert.deepEqual(openBox(crypto, key, head, box), content);
  assert.equal(openBox(crypto, other, head, box), undefined);
  assert.equal(openBox(crypto, key, random(4), box), undefined);
  assert.notDeepEqual(sealBox(crypto, random, key, head, content), box);
  for (let i = 0; i < BOX_OVERHEAD; i++) {
    assert.equal(openBox(crypto, key, head, box.subarray(0, i)), undefined);
  }
});

Deno.test("an answer has an id, a body, and at most 1,232 bytes", () => {
  const bytes = (length: number) => {
    const all = new Uint8Array(length).fill(3);
    all.set([0xc4, 4, 0, 0]);
    return all;
  };
  assert.equal(readAnswer(bytes(20)), undefined);
  assert.deepEqual(readAnswer(bytes(21))?.id, "03".repeat(16));
  assert.equal(readAnswer(bytes(1232))?.body.length, 1212);
  assert.equal(readAnswer(bytes(1233)), undefined);
  assert.equal(readAnswer(new Uint8Array(100)), undefined);
});
