/** T2: the public IKpsk2 vector, both roles; and R23 to R25, R27 and R65 below the framing. */
import assert from "node:assert/strict";
import { testVectors } from "../../.ci/vectors.ts";
import { fromHex } from "../codec.ts";
import type { Crypto } from "../crypto.ts";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import {
  type Dialect,
  Noise,
  SHOAL_AES,
  SHOAL_AES_LANE,
  SHOAL_LANE,
  type StaticKeys,
  WIREGUARD,
} from "./handshake.ts";

interface Vector {
  readonly init_prologue: string;
  readonly init_psks: readonly [string];
  readonly init_static: string;
  readonly init_ephemeral: string;
  readonly resp_static: string;
  readonly resp_ephemeral: string;
  readonly handshake_hash: string;
  readonly messages: readonly { readonly payload: string; readonly ciphertext: string }[];
}

function bytes(hex: string | undefined): Uint8Array {
  const parsed = fromHex(hex ?? "-");
  assert.ok(parsed, hex);
  return parsed;
}

function keys(secretKey: Uint8Array): StaticKeys {
  return { secretKey, publicKey: crypto.x25519PublicKey(secretKey) };
}

function remote(us: StaticKeys, them: StaticKeys) {
  const staticStatic = crypto.x25519(us.secretKey, them.publicKey);
  assert.ok(staticStatic);
  return { publicKey: them.publicKey, staticStatic };
}

function random(label: number): Uint8Array {
  return crypto.blake2s(Uint8Array.of(label));
}

const alice = keys(random(1));
const bob = keys(random(2));
const noPsk = new Uint8Array(32);
const nothing = new Uint8Array(0);

/** A handshake from alice to bob, up to the step that `stop` looks at. */
function handshake(
  alicePsk: Uint8Array = noPsk,
  bobPsk: Uint8Array = noPsk,
  with_: Crypto = crypto,
) {
  const noise = new Noise(with_, [WIREGUARD]);
  const ephemerals = { alice: random(3), bob: random(4) };
  const first = noise.initiate(alice, remote(alice, bob), ephemerals.alice, Uint8Array.of(7));
  assert.ok(first);
  const read = noise.read(bob, first.parts.ephemeral, first.parts.sealedStatic);
  assert.deepEqual(read?.remoteStatic, alice.publicKey);
  const consumed = read?.open(remote(bob, alice).staticStatic, first.parts.sealedPayload);
  assert.deepEqual(consumed?.payload, Uint8Array.of(7));
  const second = consumed?.respond(bobPsk, ephemerals.bob, nothing);
  assert.ok(second);
  const finished = first.pending.finish(alice, alicePsk, second.parts);
  return { first, second, finished, ephemerals, noise };
}

testVectors<{ readonly vectors: readonly [Vector] }>(
  "noise_ikpsk2_25519_chachapoly_blake2s.json",
  "T2: six messages and the hash of the IKpsk2 vector, byte for byte in both roles",
  ({ vectors: [vector] }) => {
    const noise = new Noise(crypto, [{ ...WIREGUARD, prologue: bytes(vector.init_prologue) }]);
    const psk = bytes(vector.init_psks[0]);
    const initiator = keys(bytes(vector.init_static));
    const responder = keys(bytes(vector.resp_static));
    const [first, second, ...transport] = vector.messages;

    const sent = noise.initiate(
      initiator,
      remote(initiator, responder),
      bytes(vector.init_ephemeral),
      bytes(first?.payload),
    );
    assert.ok(sent);
    const { parts, pending } = sent;
    assert.equal(
      parts.ephemeral.toHex() + parts.sealedStatic.toHex() + parts.sealedPayload.toHex(),
      first?.ciphertext,
    );

    const consumed = noise.read(responder, parts.ephemeral, parts.sealedStatic)
      ?.open(remote(responder, initiator).staticStatic, parts.sealedPayload);
    assert.equal((consumed?.payload ?? nothing).toHex(), first?.payload);
    const answer = consumed?.respond(psk, bytes(vector.resp_ephemeral), bytes(second?.payload));
    assert.ok(answer);
    assert.equal(
      answer.parts.ephemeral.toHex() + answer.parts.sealedPayload.toHex(),
      second?.ciphertext,
    );

    const finished = pending.finish(initiator, psk, answer.parts);
    assert.ok(finished);
    assert.equal(finished.payload.toHex(), second?.payload);
    assert.equal(finished.handshakeHash.toHex(), vector.handshake_hash);
    assert.equal(answer.finished.handshakeHash.toHex(), vector.handshake_hash);
    assert.deepEqual(finished.keys, answer.finished.keys);

    assert.equal(transport.length, 4);
    for (const [i, message] of transport.entries()) {
      // R23: 4 zero bytes and a little-endian counter from 0, no additional data. They take turns.
      const nonce = new Uint8Array(12);
      nonce[4] = i >> 1;
      const { initiatorToResponder, responderToInitiator } = finished.keys;
      const key = i % 2 === 0 ? initiatorToResponder : responderToInitiator;
      const sealed = crypto.chacha20poly1305Seal(key, nonce, nothing, bytes(message.payload));
      assert.equal(sealed.toHex(), message.ciphertext, `message ${i + 3}`);
    }
  },
);

Deno.test("R22: another prologue makes another handshake", () => {
  const { first } = handshake();
  const other = new Noise(crypto, [
    { ...WIREGUARD, prologue: new TextEncoder().encode("WireGuard v2") },
  ]);
  assert.equal(other.read(bob, first.parts.ephemeral, first.parts.sealedStatic), undefined);
});

Deno.test("two dialects have messages of one length and keys of their own, and open nothing of each other", () => {
  const both = new Noise(crypto, [SHOAL_AES, WIREGUARD]);
  const sent = (["aes-256-gcm", "chacha20-poly1305"] as const).map((suite) => {
    const first = both.initiate(alice, remote(alice, bob), random(3), nothing, suite);
    assert.ok(first);
    const { ephemeral, sealedStatic, sealedPayload } = first.parts;
    for (const [name, noise] of Object.entries({ both, old: new Noise(crypto, [WIREGUARD]) })) {
      const read = noise.read(bob, ephemeral, sealedStatic);
      assert.equal(read !== undefined, name === "both" || suite === "chacha20-poly1305", name);
    }
    const second = both.read(bob, ephemeral, sealedStatic)
      ?.open(remote(bob, alice).staticStatic, sealedPayload)
      ?.respond(noPsk, random(4), nothing);
    assert.ok(second);
    const finished = first.pending.finish(alice, noPsk, second.parts);
    assert.equal(finished?.suite, suite);
    assert.deepEqual(second.finished, finished);
    return { first, second, lengths: [sealedStatic.length, sealedPayload.length], finished };
  });
  const [aes, plain] = sent;
  assert.ok(aes && plain);
  assert.deepEqual(aes.lengths, plain.lengths);
  assert.equal(aes.first.pending.finish(alice, noPsk, plain.second.parts), undefined);
  assert.equal(plain.first.pending.finish(alice, noPsk, aes.second.parts), undefined);
  assert.notDeepEqual(aes.finished?.keys, plain.finished?.keys);
});

Deno.test("a handshake of a lane opens nothing else, and the peer itself opens none of a lane", () => {
  const dialects = [SHOAL_AES, WIREGUARD, SHOAL_LANE, SHOAL_AES_LANE];
  const all = new Noise(crypto, dialects);
  const keys = dialects.map(({ suite, isLane = false }) => {
    assert.ok(all.speaks(suite, isLane));
    const first = all.initiate(alice, remote(alice, bob), random(3), nothing, suite, isLane);
    assert.ok(first);
    const { ephemeral, sealedStatic, sealedPayload } = first.parts;
    const others = dialects.filter((one) =>
      one.suite !== suite || one.isLane !== (isLane || undefined)
    );
    assert.equal(others.length, 3);
    assert.equal(new Noise(crypto, others).read(bob, ephemeral, sealedStatic), undefined);
    const consumed = all.read(bob, ephemeral, sealedStatic)
      ?.open(remote(bob, alice).staticStatic, sealedPayload);
    assert.equal(consumed?.isLane, isLane);
    const second = consumed?.respond(noPsk, random(4), nothing);
    assert.equal(second?.finished.suite, suite);
    return second?.finished.keys.initiatorToResponder.toHex();
  });
  assert.equal(new Set(keys).size, 4);
  assert.ok(!new Noise(crypto, [WIREGUARD, SHOAL_AES]).speaks("chacha20-poly1305", true));
});

Deno.test("no suite is asked for that is not spoken", () => {
  const noise = new Noise(crypto, [WIREGUARD]);
  assert.ok(noise.speaks("chacha20-poly1305") && !noise.speaks("aes-256-gcm"));
  assert.throws(
    () => noise.initiate(alice, remote(alice, bob), random(3), nothing, "aes-256-gcm"),
    RangeError,
  );
});

Deno.test("the transport keys of two dialects differ even where their chaining keys are the same", () => {
  const use = (dialect: Dialect) => {
    const noise = new Noise(crypto, [{ ...dialect, prologue: WIREGUARD.prologue }]);
    const first = noise.initiate(alice, remote(alice, bob), random(3), nothing, dialect.suite);
    const second = first && noise.read(bob, first.parts.ephemeral, first.parts.sealedStatic)
      ?.open(remote(bob, alice).staticStatic, first.parts.sealedPayload)
      ?.respond(noPsk, random(4), nothing);
    return second?.finished;
  };
  const [aes, plain] = [use(SHOAL_AES), use(WIREGUARD)];
  assert.deepEqual(aes?.handshakeHash, plain?.handshakeHash);
  assert.notDeepEqual(aes?.keys.initiatorToResponder, plain?.keys.initiatorToResponder);
  assert.notDeepEqual(aes?.keys.responderToInitiator, plain?.keys.responderToInitiator);
});

Deno.test("R24: the preshared key must agree, and counts even when it is all zero", () => {
  const psk = random(9);
  assert.ok(handshake(psk, psk).finished);
  assert.equal(handshake(psk, noPsk).finished, undefined);
  assert.equal(handshake(noPsk, psk).finished, undefined);
  const hash = (value: Uint8Array) => handshake(value, value).finished?.handshakeHash;
  assert.notDeepEqual(hash(psk), hash(noPsk));
});

Deno.test("R25: an all-zero agreement stops each of the four places where one is made", () => {
  const zero = new Uint8Array(32); // a point of low order
  const noise = new Noise(crypto, [WIREGUARD]);
  assert.equal(crypto.x25519(alice.secretKey, zero), undefined, "ss");
  const low = { publicKey: zero, staticStatic: random(5) };
  assert.equal(noise.initiate(alice, low, random(3), nothing), undefined, "es, initiator");
  const { first, second } = handshake();
  assert.equal(noise.read(bob, zero, first.parts.sealedStatic), undefined, "es, responder");
  const forged = { ephemeral: zero, sealedPayload: second.parts.sealedPayload };
  assert.equal(first.pending.finish(alice, noPsk, forged), undefined, "ee and se, initiator");
  assert.ok(first.pending.finish(alice, noPsk, second.parts), "the true one is good still");

  // An authentic initiator may send what it likes as ephemeral: the response is refused too.
  const cheat = new Noise(
    { ...crypto, x25519PublicKey: () => zero },
    [WIREGUARD],
  ).initiate(alice, remote(alice, bob), random(3), nothing);
  assert.ok(cheat);
  const es = crypto.x25519(random(3), bob.publicKey);
  assert.ok(es);
  const reader = new Noise(
    { ...crypto, x25519: (s, p) => s === bob.secretKey ? es : crypto.x25519(s, p) },
    [WIREGUARD],
  );
  const consumed = reader.read(bob, cheat.parts.ephemeral, cheat.parts.sealedStatic)
    ?.open(remote(bob, alice).staticStatic, cheat.parts.sealedPayload);
  assert.ok(consumed);
  assert.equal(consumed.respond(noPsk, random(4), nothing), undefined, "ee, responder");
});

Deno.test("R27: a response that fails leaves the initiation as it was", () => {
  const { first, second } = handshake();
  const forged = { ...second.parts, sealedPayload: new Uint8Array(16) };
  assert.equal(first.pending.finish(alice, noPsk, forged), undefined);
  assert.deepEqual(
    first.pending.finish(alice, noPsk, second.parts)?.keys,
    second.finished.keys,
  );
});

Deno.test("R65: ephemeral, agreements and temporary keys are zero once a session is derived", () => {
  const secrets: Uint8Array[] = [];
  const keep = (bytes: Uint8Array) => (secrets.push(bytes), bytes);
  const spying: Crypto = {
    ...crypto,
    x25519(secret, peer) {
      const shared = crypto.x25519(secret, peer);
      return shared && keep(shared);
    },
    hmacBlake2s: (key, ...parts) => keep(crypto.hmacBlake2s(key, ...parts)),
  };
  const { first, second, finished, ephemerals } = handshake(noPsk, noPsk, spying);
  first.pending.wipe();
  assert.ok(finished);
  const results = [finished.keys, second.finished.keys]
    .flatMap((pair) => [pair.initiatorToResponder, pair.responderToInitiator]);
  const left = secrets.filter((secret) => secret.some((byte) => byte !== 0));
  assert.ok(secrets.length > 40, "the spy saw the handshake");
  assert.equal(left.length, results.length);
  assert.ok(left.every((secret) => results.includes(secret)), "only the session keys are left");
  assert.deepEqual([ephemerals.alice, ephemerals.bob], [noPsk, noPsk]);
});
