/** T4, R28 to R34: MACs and cookies, both sides against each other. */
import assert from "node:assert/strict";
import type { Endpoint } from "../endpoint.ts";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { CookieChecker, CookieJar } from "./cookie.ts";
import { decodeHandshakeMessage, encodeInitiation, encodeResponse } from "./messages.ts";

let drawn = 0;
const random = (length: number) =>
  crypto.blake2s(Uint8Array.of(drawn, drawn++ >> 8)).subarray(0, length);

const publicKey = crypto.x25519PublicKey(random(32));
const here: Endpoint = { address: Uint8Array.of(192, 0, 2, 1), port: 1000, scope: 0 };

function initiation(): Uint8Array {
  return encodeInitiation(77, {
    ephemeral: random(32),
    sealedStatic: new Uint8Array(48),
    sealedPayload: new Uint8Array(28),
  });
}

/** A jar and a checker that talked once under load; gives the jar its cookie. */
function challenged(atMs = 0) {
  const jar = new CookieJar(crypto, publicKey);
  const checker = new CookieChecker(crypto, random, publicKey);
  const message = initiation();
  jar.stamp(atMs, message);
  const admission = checker.admit(atMs, message, here, true);
  assert.ok(admission.kind === "challenge");
  const reply = decodeHandshakeMessage(admission.reply);
  assert.ok(reply?.kind === "cookieReply");
  return { jar, checker, reply, bytes: admission.reply };
}

function stamped(jar: CookieJar, atMs: number): Uint8Array {
  const message = initiation();
  jar.stamp(atMs, message);
  return message;
}

function mac2(message: Uint8Array): Uint8Array {
  return message.subarray(message.length - 16);
}

Deno.test("R28: MAC1 by the receiver's public key passes, any other drops", () => {
  const checker = new CookieChecker(crypto, random, publicKey);
  const good = stamped(new CookieJar(crypto, publicKey), 0);
  assert.deepEqual(checker.admit(0, good, here, false), { kind: "pass", hasCookie: false });
  const foreign = stamped(new CookieJar(crypto, random(32)), 0);
  assert.deepEqual(checker.admit(0, foreign, here, true), { kind: "drop", why: "mac1" });
  assert.deepEqual(checker.admit(0, initiation(), here, true), { kind: "drop", why: "mac1" });
  assert.deepEqual(checker.admit(0, good.subarray(1), here, true), { kind: "drop", why: "form" });
});

Deno.test("R29: MAC2 is zero without a cookie, and not looked at when there is no load", () => {
  const { jar, checker, reply } = challenged();
  assert.deepEqual(mac2(stamped(jar, 0)), new Uint8Array(16));
  const message = stamped(jar, 0);
  mac2(message).fill(0xff);
  assert.equal(checker.admit(0, message, here, false).kind, "pass");
  jar.stamp(0, message);
  assert.equal(
    jar.accept(0, reply.nonce, reply.sealedCookie),
    false,
    "it answers an older message",
  );
});

Deno.test("R30: under load a good MAC1 without cookie is challenged, with types 1 and 2", () => {
  const checker = new CookieChecker(crypto, random, publicKey);
  const response = encodeResponse(78, 1, {
    ephemeral: random(32),
    sealedPayload: new Uint8Array(16),
  });
  for (const [message, sender] of [[initiation(), 77], [response, 78]] as const) {
    const jar = new CookieJar(crypto, publicKey);
    jar.stamp(0, message);
    const admission = checker.admit(0, message, here, true);
    assert.ok(admission.kind === "challenge");
    assert.equal(admission.reply.length, 64);
    assert.ok(admission.reply.length <= message.length, "R35");
    const reply = decodeHandshakeMessage(admission.reply);
    assert.ok(reply?.kind === "cookieReply");
    assert.equal(reply.receiver, sender);
    assert.ok(jar.accept(0, reply.nonce, reply.sealedCookie));
  }
});

Deno.test("R31: with the cookie the next message passes under load", () => {
  const { jar, checker, reply } = challenged();
  assert.ok(jar.accept(0, reply.nonce, reply.sealedCookie));
  assert.deepEqual(checker.admit(0, stamped(jar, 1), here, true), {
    kind: "pass",
    hasCookie: true,
  });
});

Deno.test("R32: a cookie is good for one address and one port", () => {
  const { jar, checker, reply } = challenged();
  jar.accept(0, reply.nonce, reply.sealedCookie);
  const message = stamped(jar, 1);
  const otherPort = { ...here, port: 1001 };
  const otherAddress = { ...here, address: Uint8Array.of(192, 0, 2, 2) };
  assert.equal(checker.admit(1, message, otherPort, true).kind, "challenge");
  assert.equal(checker.admit(1, message, otherAddress, true).kind, "challenge");
  assert.equal(checker.admit(1, message, here, true).kind, "pass");
});

Deno.test("R8, R32: the checker's secret serves 120 s, the jar stops at 115 s", () => {
  const { jar, checker, reply } = challenged();
  jar.accept(0, reply.nonce, reply.sealedCookie);
  const message = stamped(jar, 114_999);
  assert.equal(checker.admit(114_999, message, here, true).kind, "pass");
  assert.equal(checker.admit(119_999, message, here, true).kind, "pass");
  assert.equal(checker.admit(120_000, message, here, true).kind, "challenge");
  assert.deepEqual(mac2(stamped(jar, 115_000)), new Uint8Array(16));
});

Deno.test("R33: the cookie is sealed to the offending MAC1 and to our key", () => {
  const { jar, reply } = challenged();
  const stranger = new CookieJar(crypto, random(32));
  stamped(stranger, 0);
  assert.equal(stranger.accept(0, reply.nonce, reply.sealedCookie), false);
  for (const at of [0, 8, 31]) {
    const altered = reply.sealedCookie.slice();
    altered[at] = (altered[at] ?? 0) ^ 1;
    assert.equal(jar.accept(0, reply.nonce, altered), false);
  }
  assert.ok(jar.accept(0, reply.nonce, reply.sealedCookie), "and still good after false ones");
});

Deno.test("R34: one reply is accepted for each message, and none before the first", () => {
  const { jar, reply } = challenged();
  assert.ok(jar.accept(0, reply.nonce, reply.sealedCookie));
  assert.equal(jar.accept(0, reply.nonce, reply.sealedCookie), false, "the second");
  const silent = new CookieJar(crypto, publicKey);
  assert.equal(silent.accept(0, reply.nonce, reply.sealedCookie), false);
});
