/**
 * The Ed25519 keys A and -A have one X25519 image, and so one tunnel key. Who has a copy of the folder of A can sign as -A,
 * and asks to be let in as another member (item 11). With real curves.
 */
import assert from "node:assert/strict";
import { ed25519 } from "npm:@noble/curves@2.4.0/ed25519.js";
import { sha512 } from "npm:@noble/hashes@2.4.0/sha2.js";
import type { Crypto } from "./crypto.ts";
import { mirrorOf } from "./membership/identity.ts";
import { nobleCrypto } from "./noble_crypto.ts";
import type { Computer } from "./sim/node_lab.ts";
import { healthOf, refusalOf, revoke, village } from "./sim/people.ts";

const MONTH = 31 * 86_400_000;
const { ORDER } = ed25519.Point.Fn;
const SEED = new Uint8Array(32).fill(99);

/** Real cryptography, in which the identity of {@link SEED} is the mirror of another's. */
class Mirrored {
  /** The seed of the one that is mirrored. */
  of: Uint8Array | undefined;
  readonly crypto: Crypto = {
    ...nobleCrypto,
    ed25519FromSeed: (seed) => {
      const { publicKey } = nobleCrypto.ed25519FromSeed(this.#seedOf(seed));
      const isMirror = this.#seedOf(seed) !== seed;
      return {
        publicKey: isMirror ? Uint8Array.fromHex(mirrorOf(publicKey.toHex())) : publicKey,
        seed: seed.slice(),
      };
    },
    ed25519Sign: (key, message) => {
      const seed = this.#seedOf(key.seed);
      return seed === key.seed
        ? nobleCrypto.ed25519Sign(key, message)
        : negated(seed, key.publicKey, message);
    },
    ed25519ToX25519Secret: (seed) => nobleCrypto.ed25519ToX25519Secret(this.#seedOf(seed)),
  };

  #seedOf(seed: Uint8Array): Uint8Array {
    return this.of && seed.toHex() === SEED.toHex() ? this.of : seed;
  }
}

/** RFC 8032 with the negated scalar. */
function negated(seed: Uint8Array, publicKey: Uint8Array, message: Uint8Array): Uint8Array {
  const { scalar, prefix } = ed25519.utils.getExtendedPublicKey(seed);
  const nonce = numberOf(sha512(Uint8Array.of(...prefix, ...message)));
  const point = ed25519.Point.BASE.multiply(nonce).toBytes();
  const challenge = numberOf(sha512(Uint8Array.of(...point, ...publicKey, ...message)));
  const answer = (nonce + challenge * (ORDER - scalar)) % ORDER;
  return Uint8Array.of(
    ...point,
    ...Uint8Array.fromHex(answer.toString(16).padStart(64, "0")).reverse(),
  );
}

function numberOf(bytes: Uint8Array): bigint {
  return BigInt(`0x${bytes.slice().reverse().toHex()}`) % ORDER;
}

function setUp() {
  const mirrored = new Mirrored();
  const { lab, founder, others } = village(mirrored.crypto, ["victim", "third"], 102);
  const [victim, third] = others;
  assert.ok(victim && third);
  lab.run(60_000);
  mirrored.of = victim.identitySeed;
  return { lab, crypto: mirrored.crypto, founder, victim, all: [founder, third] };
}

function statesOf(of: Computer, at: readonly Computer[]): (string | undefined)[] {
  return at.map((one) => one.sees(of)?.state);
}

Deno.test("the mirror of a key is another key with the same tunnel key, whose signatures are good", () => {
  const { crypto, victim } = setUp();
  const [own, mirror] = [victim.identitySeed, SEED].map((seed) => crypto.ed25519FromSeed(seed));
  assert.ok(own && mirror);
  assert.notDeepEqual(own.publicKey, mirror.publicKey);
  assert.deepEqual(
    crypto.ed25519ToX25519Public(own.publicKey),
    crypto.ed25519ToX25519Public(mirror.publicKey),
  );
  assert.ok(crypto.ed25519Verify(crypto.ed25519Sign(mirror, SEED), SEED, mirror.publicKey));
  assert.equal(mirrorOf(mirrorOf(victim.id)), victim.id);
});

Deno.test("item 11: who has a copy of a folder is not let in as another member, by an invite or by hand, and is told why", () => {
  const { lab, founder, victim, all } = setUp();
  const copy = lab.computer({ name: "copy", token: founder.token(), identitySeed: SEED });
  assert.equal(copy.start(), undefined);
  lab.run(60_000);
  assert.deepEqual(statesOf(copy, all), [undefined, undefined]);
  assert.deepEqual(statesOf(victim, all), ["alive", "alive"]);
  assert.ok(healthOf(copy).some((line) => line.includes("another member has our tunnel key")));
  const byHand = [
    founder.step((now, out) => founder.node.approve(now, copy.id, out)),
    founder.step((now, out) => founder.node.trust(now, copy.id, "copy", out)),
  ];
  for (const one of byHand) {
    assert.match(refusalOf(one), /has the tunnel key of victim, which was first/);
  }
});

Deno.test("item 11: nor after the first machine was off for a month, which comes back at once", () => {
  const { lab, founder, victim, all } = setUp();
  victim.crash();
  lab.run(60_000);
  for (const one of [...all, victim]) {
    one.host.skew = MONTH;
    one.host.arrange();
  }
  lab.run(120_000);
  const copy = lab.computer({ name: "copy", token: founder.token(), identitySeed: SEED }, MONTH);
  assert.equal(copy.start(), undefined);
  lab.run(30_000);
  assert.deepEqual(statesOf(copy, all), [undefined, undefined]);
  assert.equal(victim.start(), undefined);
  lab.run(30_000);
  assert.deepEqual(statesOf(victim, all), ["alive", "alive"]);
});

Deno.test("item 3, item 11: a key that was revoked does not come back by its mirror", () => {
  const { lab, founder, victim, all } = setUp();
  revoke(founder, victim);
  victim.crash();
  lab.run(60_000);
  const copy = lab.computer({ name: "copy", token: founder.token(), identitySeed: SEED });
  assert.equal(copy.start(), undefined);
  lab.run(60_000);
  assert.deepEqual(statesOf(copy, all), [undefined, undefined]);
});
