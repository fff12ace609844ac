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
import { Insider } from "./sim/insider.ts";
import { healthOf, promote, refusalOf, revoke, secondsAt, village } from "./sim/people.ts";

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

/** `third` is an admin since before `victim` came; a thief has its machine, and certifies the mirror of `victim` from the year 1970 on. */
function setUpThief() {
  const mirrored = new Mirrored();
  const { lab, founder, others: [third] } = village(mirrored.crypto, ["third"], 103);
  assert.ok(third);
  promote(founder, third);
  lab.run(10_000);
  const victim = lab.joiner(founder, { name: "victim" });
  const fourth = lab.joiner(founder, { name: "fourth" });
  lab.run(60_000);
  mirrored.of = victim.identitySeed;
  const since = secondsAt(founder);
  lab.run(2_000);
  const thief = new Insider(third);
  const key = mirrorOf(victim.id);
  const certificate = { key, name: "x", groups: [], relay: false, ip4Counter: 0, since: 0 };
  const until = secondsAt(founder) + 1e7;
  const said = thief.sign({ kind: "member", certificate, until, token: undefined });
  return { lab, founder, third, victim, fourth, honest: [founder, fourth], since, thief, said };
}

Deno.test("item 3, item 11: whom a node holds as a member stays one, though a stolen admin certifies its mirror for an earlier time", () => {
  const { lab, founder, third, victim, fourth, honest, since, thief, said } = setUpThief();
  for (const one of [...honest, victim]) thief.tell(one, said);
  lab.run(60_000);
  assert.deepEqual(statesOf(victim, honest), ["alive", "alive"]);
  assert.ok(victim.node.isMember);
  for (const one of [...honest, victim]) {
    assert.match(
      healthOf(one).join("\n"),
      /third has certified another key with the tunnel key of victim, .*`shoal revoke third --since TIME`/,
    );
  }
  for (const one of [...honest, victim]) {
    one.crash();
    one.start();
  }
  lab.run(60_000);
  assert.deepEqual(statesOf(victim, honest), ["alive", "alive"]);
  assert.ok(victim.node.isMember);
  revoke(founder, third, since);
  lab.run(60_000);
  assert.deepEqual(statesOf(victim, honest), ["alive", "alive"]);
  assert.doesNotMatch(healthOf(fourth).join("\n"), /tunnel key/);
});

Deno.test("item 3, item 11: who hears of both at once holds the one that is there, in either order", () => {
  for (const isFirst of [true, false]) {
    const { lab, founder, victim, honest, thief, said } = setUpThief();
    if (isFirst) { for (const one of honest) thief.tell(one, said); }
    victim.crash();
    lab.run(10_000);
    const late = lab.joiner(founder, { name: "late" });
    if (!isFirst) { for (const one of [late, ...honest]) thief.tell(one, said); }
    lab.run(30_000);
    victim.start();
    lab.run(60_000);
    const all = [...honest, late];
    assert.deepEqual(statesOf(victim, all), ["alive", "alive", "alive"], `first: ${isFirst}`);
    assert.ok(victim.node.isMember);
  }
});

Deno.test("item 3, item 11: who has a folder and a stolen admin's key, too, does not take the other's place", () => {
  const { lab, founder, victim, honest, thief, said } = setUpThief();
  for (const one of [...honest, victim]) thief.tell(one, said);
  const copy = lab.computer({ name: "copy", token: founder.token(), identitySeed: SEED });
  assert.equal(copy.start(), undefined);
  lab.run(60_000);
  assert.deepEqual(statesOf(copy, honest), [undefined, undefined]);
  assert.deepEqual(statesOf(victim, honest), ["alive", "alive"]);
});
