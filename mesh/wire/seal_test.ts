import assert from "node:assert/strict";
import {
  ANSWER_MAX,
  DATAGRAM_MAX,
  HELLO_SIZE,
  openAnswer,
  openHello,
  PAYLOAD_MAX,
  Seal,
  sealAnswer,
  sealHello,
} from "./control.ts";
import { kindOf } from "./datagram.ts";
import { nobleCrypto as crypto } from "./noble_crypto.ts";
import { Seeded } from "./sim/random.ts";
import { identityFromSeed, meshIdOf } from "./trust/identity.ts";

const seeded = new Seeded(1);
const random = (length: number) => Uint8Array.from({ length }, () => seeded.below(256));
const [anna, bert, carl] = [1, 2, 3].map((n) =>
  identityFromSeed(crypto, new Uint8Array(32).fill(n))
);
assert.ok(anna && bert && carl);
const meshId = meshIdOf(crypto, carl.signing.publicKey);
const TEXT = new TextEncoder().encode("are you there?");

/** Two members that know each other, started `boot` times. */
function pair(bootA = 1, bootB = 1, knownA = bootA, knownB = bootB) {
  assert.ok(anna && bert);
  const a = new Seal(crypto, random, meshId, anna, bootA);
  const b = new Seal(crypto, random, meshId, bert, bootB);
  a.know(bert.id, bert.signing.publicKey, knownB);
  b.know(anna.id, anna.signing.publicKey, knownA);
  return { a, b };
}

function sealed(seal: Seal, to: string, payload = TEXT): Uint8Array {
  const bytes = seal.seal(to, "ping", payload);
  assert.ok(bytes);
  return bytes;
}

Deno.test("what one member seals, the other opens and knows who sealed it", () => {
  const { a, b } = pair();
  const opened = b.open(sealed(a, bert.id));
  assert.deepEqual(opened, {
    kind: "opened",
    value: { from: anna.id, kind: "ping", payload: TEXT },
  });
  assert.equal(a.open(sealed(b, anna.id)).kind, "opened");
});

Deno.test("no type can be taken for WireGuard or STUN", () => {
  const { a } = pair();
  const all = [
    sealed(a, bert.id),
    sealHello(crypto, random, "hello", meshId, TEXT),
    sealHello(crypto, random, "ask", meshId, TEXT),
    sealAnswer(crypto, random, meshId, anna, bert.signing.publicKey, TEXT),
  ];
  const types = all.map((bytes) => {
    assert.ok(bytes);
    const [first = 0] = bytes;
    assert.equal(first & 0xc0, 0xc0, "STUN begins with two zero bits (RFC 8489 section 5)");
    assert.ok(new DataView(bytes.buffer).getUint32(0, true) > 4, "R21");
    return kindOf(bytes);
  });
  assert.deepEqual(types, ["sealed", "hello", "ask", "answer"]);
  for (const type of [1, 2, 3]) assert.equal(kindOf(Uint8Array.of(type, 0, 0, 0)), "handshake");
  assert.equal(kindOf(Uint8Array.of(4, 0, 0, 0, 9)), "data");
  const foreign = [[], [1, 0, 0], [0, 0, 0, 0], [5, 0, 0, 0], [0xc1, 0, 0, 1], [1, 0, 1, 0]];
  for (const bytes of foreign) assert.equal(kindOf(Uint8Array.from(bytes)), undefined);
});

Deno.test("a datagram is never longer than 1,232 bytes", () => {
  const { a } = pair();
  assert.equal(sealed(a, bert.id, new Uint8Array(PAYLOAD_MAX)).length, DATAGRAM_MAX);
  assert.throws(() => sealed(a, bert.id, new Uint8Array(PAYLOAD_MAX + 1)), RangeError);
  const content = new Uint8Array(ANSWER_MAX);
  const answer = sealAnswer(crypto, random, meshId, anna, bert.signing.publicKey, content);
  assert.equal(answer?.length, DATAGRAM_MAX);
  assert.throws(() => sealHello(crypto, random, "ask", meshId, new Uint8Array(HELLO_SIZE + 1)));
});

Deno.test("an altered, foreign or cut datagram opens nowhere", () => {
  const { a, b } = pair();
  const bytes = sealed(a, bert.id);
  for (let at = 0; at < bytes.length; at++) {
    const altered = bytes.slice();
    altered[at] = (altered[at] ?? 0) ^ 1;
    assert.equal(b.open(altered).kind, "dropped", `byte ${at}`);
  }
  assert.equal(b.open(bytes.subarray(0, 60)).kind, "dropped");
  assert.equal(b.open(bytes).kind, "opened", "none of that has used the true one up");
  const elsewhere = new Seal(crypto, random, meshIdOf(crypto, undefined), bert, 1);
  elsewhere.know(anna.id, anna.signing.publicKey, 1);
  assert.deepEqual(elsewhere.open(sealed(a, bert.id)), { kind: "dropped", why: "unknown" });
});

Deno.test("a datagram of our own that comes back is no other's word", () => {
  const { a } = pair();
  assert.deepEqual(a.open(sealed(a, bert.id)), { kind: "dropped", why: "unknown" });
});

Deno.test("T41: a replayed datagram is dropped, a late one is not", () => {
  const { a, b } = pair();
  const [first, second] = [sealed(a, bert.id), sealed(a, bert.id)];
  assert.equal(b.open(second).kind, "opened");
  assert.equal(b.open(first).kind, "opened");
  for (const bytes of [first, second]) {
    assert.deepEqual(b.open(bytes), { kind: "dropped", why: "replayed" });
  }
});

Deno.test("a restart of the receiver opens no gap for what was sent before it", () => {
  const { a, b } = pair();
  const recorded = sealed(a, bert.id);
  assert.equal(b.open(recorded).kind, "opened");
  const { a: a2, b: restarted } = pair(1, 2, 1, 1);
  const stale = { kind: "stale", from: anna.id, boot: 1, isBehind: false };
  assert.deepEqual(restarted.open(recorded), stale);
  assert.deepEqual(restarted.open(sealed(a2, bert.id)), stale, "a does not know of the restart");
  const notice = restarted.seal(anna.id, "notice", new Uint8Array(0), 1);
  assert.ok(notice);
  assert.equal(a2.open(notice).kind, "opened");
  assert.equal(restarted.open(sealed(a2, bert.id)).kind, "opened", "now it does");
});

Deno.test("a restart of the sender begins a new count, and the old one ends", () => {
  const { a, b } = pair(1, 1);
  const old = sealed(a, bert.id);
  const restarted = new Seal(crypto, random, meshId, anna, 2);
  restarted.know(bert.id, bert.signing.publicKey, 1);
  assert.equal(b.open(sealed(restarted, bert.id)).kind, "opened");
  const stale = { kind: "stale", from: anna.id, boot: 1, isBehind: true };
  assert.deepEqual(b.open(old), stale);
});

Deno.test("a sender that lost its state is told so by being behind", () => {
  const { a, b } = pair(1, 1, 9);
  const result = b.open(sealed(a, bert.id));
  assert.deepEqual(result, { kind: "stale", from: anna.id, boot: 1, isBehind: true });
  a.restart(10);
  assert.equal(b.open(sealed(a, bert.id)).kind, "opened");
  assert.throws(() => a.restart(10), RangeError);
});

Deno.test("the hint is another for every pair and direction, and tells no key", () => {
  const { a, b } = pair();
  a.know(carl.id, carl.signing.publicKey, 1);
  const hints = [sealed(a, bert.id), sealed(a, carl.id), sealed(b, anna.id)]
    .map((bytes) => bytes.slice(4, 12).toHex());
  assert.equal(new Set(hints).size, 3);
  assert.equal(sealed(a, bert.id).slice(4, 12).toHex(), hints[0]);
});

Deno.test("nothing can be sealed for or opened from somebody who is forgotten", () => {
  const { a, b } = pair();
  const bytes = sealed(a, bert.id);
  b.forget(anna.id);
  assert.deepEqual(b.open(bytes), { kind: "dropped", why: "unknown" });
  assert.equal(b.seal(anna.id, "ping", TEXT), undefined);
});

Deno.test("a key of low order gets nothing sealed (R25)", () => {
  const { a } = pair();
  const low = new Uint8Array(32);
  a.know("low", low, 1);
  assert.equal(a.seal("low", "ping", TEXT), undefined);
});

Deno.test("a hello is always of full size and opens only under its mesh id and type", () => {
  const bytes = sealHello(crypto, random, "hello", meshId, TEXT);
  assert.equal(bytes.length, DATAGRAM_MAX);
  assert.deepEqual(openHello(crypto, "hello", meshId, bytes)?.slice(0, TEXT.length), TEXT);
  assert.equal(openHello(crypto, "hello", meshIdOf(crypto, undefined), bytes), undefined);
  assert.equal(openHello(crypto, "ask", meshId, bytes), undefined);
  assert.equal(openHello(crypto, "hello", meshId, bytes.subarray(1)), undefined);
});

Deno.test("an answer opens only for whom it was made, and proves who made it", () => {
  const bytes = sealAnswer(crypto, random, meshId, anna, bert.signing.publicKey, TEXT);
  assert.ok(bytes);
  const opened = openAnswer(crypto, meshId, bert, bytes);
  assert.deepEqual(opened, { ok: true, value: { key: anna.signing.publicKey, content: TEXT } });
  assert.ok(!openAnswer(crypto, meshId, carl, bytes).ok);
  assert.ok(!openAnswer(crypto, meshIdOf(crypto, undefined), bert, bytes).ok);
  assert.ok(!openAnswer(crypto, meshId, bert, bytes.subarray(0, 20)).ok);
});
