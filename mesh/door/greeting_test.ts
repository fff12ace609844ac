import assert from "node:assert/strict";
import { DEFAULT_POOL } from "../membership/genesis.ts";
import fc from "fast-check";
import { REFUSALS } from "../membership/judge.ts";
import { GRANT_MAX, REQUEST_CONTENT_MAX } from "../wire/ask.ts";
import { ANSWER_CONTENT_MAX, HELLO_CONTENT_MAX } from "../wire/contact.ts";
import { RECORD_MAX } from "../membership/record.ts";
import {
  type Answer,
  COOKIE_SIZE,
  decodeAnswer,
  decodeGrant,
  decodeIntroduction,
  encodeAnswer,
  encodeGrant,
  encodeIntroduction,
  type Verdict,
} from "./greeting.ts";

const cookie = new Uint8Array(COOKIE_SIZE).fill(2);
const observed = { address: new Uint8Array(16).fill(0x20), port: 7, scope: 0 };
const record = new Uint8Array(RECORD_MAX).fill(3);
const introduction = { key: "ab".repeat(32), name: "lyon", version: "0.1.0" };
const genesis = {
  meshKey: new Uint8Array(32).fill(1),
  recoveryKey: new Uint8Array(32).fill(2),
  name: "lab",
  pool: DEFAULT_POOL,
};

Deno.test("the longest record fits a hello, and every verdict with it an answer", () => {
  assert.ok(RECORD_MAX <= HELLO_CONTENT_MAX);
  const verdicts: Verdict[] = [
    { kind: "welcome", record },
    ...REFUSALS.map((why) => ({ kind: "refused", why, record }) as const),
  ];
  for (const verdict of verdicts) {
    const answer: Answer = { cookie, observed, verdict };
    const bytes = encodeAnswer(answer);
    assert.ok(bytes.length <= ANSWER_CONTENT_MAX, `${verdict.kind}: ${bytes.length}`);
    assert.deepEqual(decodeAnswer(bytes), { ok: true, value: answer });
    assert.ok(!decodeAnswer(bytes.subarray(0, -1)).ok);
    assert.ok(!decodeAnswer(Uint8Array.of(...bytes, 0)).ok);
  }
});

Deno.test("an answer with a longer record than any is refused", () => {
  const verdict = { kind: "welcome", record: new Uint8Array(RECORD_MAX + 1) } as const;
  assert.ok(!decodeAnswer(encodeAnswer({ cookie, observed, verdict })).ok);
});

Deno.test("a verdict or a reason that this version does not know is none", () => {
  const bytes = encodeAnswer({ cookie, observed, verdict: { kind: "welcome", record } });
  const at = COOKIE_SIZE + 1 + 16 + 2;
  assert.equal(bytes[at], 0);
  bytes[at] = 2;
  assert.deepEqual(decodeAnswer(bytes), { ok: false, error: "no verdict" });
  const why = "stranger";
  const refused = encodeAnswer({ cookie, observed, verdict: { kind: "refused", why, record } });
  refused[at + 1] = REFUSALS.length;
  assert.deepEqual(decodeAnswer(refused), { ok: false, error: "no verdict" });
});

Deno.test("who asks without a token says its key, name and version, of limited length", () => {
  const longest = { ...introduction, name: "a".repeat(63), version: "v".repeat(32) };
  for (const one of [introduction, longest]) {
    const bytes = encodeIntroduction(one);
    assert.ok(bytes.length <= REQUEST_CONTENT_MAX);
    assert.deepEqual(decodeIntroduction(bytes), { ok: true, value: one });
  }
  const wrong = [
    { ...introduction, name: "Not a label" },
    { ...introduction, name: "a".repeat(64) },
    { ...introduction, name: `lyon-${introduction.key.slice(0, 32)}` },
    { ...introduction, version: "v".repeat(33) },
  ];
  for (const one of wrong) assert.ok(!decodeIntroduction(encodeIntroduction(one)).ok);
});

Deno.test("an approved asker is told what the mesh was founded with and nothing else", () => {
  const bytes = encodeGrant({ genesis });
  assert.ok(bytes.length <= GRANT_MAX);
  assert.equal(bytes.length, 32 + 32 + 1 + genesis.name.length + 5);
  assert.deepEqual(decodeGrant(bytes), { ok: true, value: { genesis } });
  for (const bad of [bytes.subarray(1), Uint8Array.of(...bytes, 0)]) {
    assert.ok(!decodeGrant(bad).ok);
  }
});

Deno.test("T18: no bytes make the decoders throw, and what they read has one encoding", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 1300 }), (input) => {
    const bytes = Uint8Array.from(input);
    const answer = decodeAnswer(bytes);
    if (answer.ok) assert.deepEqual(encodeAnswer(answer.value), bytes);
    const read = decodeIntroduction(bytes);
    if (read.ok) assert.deepEqual(encodeIntroduction(read.value), bytes);
    const grant = decodeGrant(bytes);
    if (grant.ok) assert.deepEqual(encodeGrant(grant.value), bytes);
  }));
});
