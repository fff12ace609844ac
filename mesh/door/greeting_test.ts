import assert from "node:assert/strict";
import fc from "fast-check";
import { ANSWER_MAX, HELLO_SIZE } from "./control.ts";
import {
  type Answer,
  decodeAnswer,
  decodeGreeting,
  encodeAnswer,
  encodeGreeting,
  type Verdict,
} from "./greeting.ts";

const challenge = new Uint8Array(16).fill(1);
const cookie = new Uint8Array(16).fill(2);
const observed = { address: new Uint8Array(16).fill(0x20), port: 7, scope: 0 };
const record = new Uint8Array(1024).fill(3);

Deno.test("the longest record and name fit a hello, and padding must be zero", () => {
  const greeting = { challenge, name: "a".repeat(63), record };
  const content = encodeGreeting(greeting);
  assert.ok(content.length <= HELLO_SIZE);
  const padded = new Uint8Array(HELLO_SIZE);
  padded.set(content);
  assert.deepEqual(decodeGreeting(padded), { ok: true, value: greeting });
  padded[HELLO_SIZE - 1] = 1;
  assert.deepEqual(decodeGreeting(padded), { ok: false, error: "padding that is not zero" });
});

Deno.test("every verdict is read as it was written, and the longest fits an answer", () => {
  const verdicts: Verdict[] = [
    { kind: "welcome", record },
    { kind: "granted", meshKey: new Uint8Array(32), chain: new Uint8Array(760) },
    { kind: "pending" },
    { kind: "refused", why: "tokenUsedUp", record },
  ];
  for (const verdict of verdicts) {
    const answer: Answer = { challenge, cookie, observed, verdict };
    const bytes = encodeAnswer(answer);
    assert.ok(bytes.length <= ANSWER_MAX, `${verdict.kind}: ${bytes.length}`);
    assert.deepEqual(decodeAnswer(bytes), { ok: true, value: answer });
    assert.ok(!decodeAnswer(bytes.subarray(0, -1)).ok);
    assert.ok(!decodeAnswer(Uint8Array.of(...bytes, 0)).ok);
  }
});

Deno.test("T18: no bytes make the decoders throw, and what an answer says has one encoding", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 1300 }), (input) => {
    const bytes = Uint8Array.from(input);
    decodeGreeting(bytes);
    const answer = decodeAnswer(bytes);
    if (answer.ok) assert.deepEqual(encodeAnswer(answer.value), bytes);
  }));
});
