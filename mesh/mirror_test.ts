/**
 * The Ed25519 keys A and -A have one X25519 image, and so one tunnel key. Who has a copy of the folder of A can sign as -A,
 * and asks to be let in as another member (item 11). With real curves.
 */
import assert from "node:assert/strict";
import { ed25519 } from "npm:@noble/curves@2.4.0/ed25519.js";
import { sha512 } from "npm:@noble/hashes@2.4.0/sha2.js";
import type { Crypto } from "./crypto.ts";
import { parseToken } from "./door/token.ts";
import { identityFromSeed, mirrorOf } from "./membership/identity.ts";
import { nobleCrypto } from "./noble_crypto.ts";
import type { Statement } from "./membership/statement.ts";
import type { Computer } from "./sim/node_lab.ts";
import { Insider } from "./sim/insider.ts";
import { done, healthOf, promote, refusalOf, revoke, secondsAt, village } from "./sim/people.ts";

const DAY = 86_400_000;
const MONTH = 31 * DAY;
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
  const tell = (one: Statement) => {
    for (const to of [founder, fourth, victim]) thief.tell(to, one);
  };
  const removed = (at?: number) => thief.sign({ kind: "removed", key }, undefined, undefined, at);
  const honest = [founder, fourth];
  return { lab, founder, third, victim, fourth, honest, since, thief, said, tell, removed, key };
}

/** A person does what `approve` says until it is done. */
function leadOut(founder: Computer, victim: Computer, mirror: string): void {
  const approve = (yes: boolean) =>
    founder.step((now, out) => founder.node.approve(now, victim.id, out, { yes }));
  assert.match(refusalOf(approve(false)), new RegExp(`shoal revoke ${mirror}\` first`));
  assert.match(refusalOf(approve(true)), new RegExp(`shoal revoke ${mirror}\` first`));
  const planned = done(founder.step((now, out) => founder.node.revoke(now, mirror, {}, out)));
  assert.ok(planned.isDone);
  assert.match(refusalOf(approve(false)), /which was revoked.*insist with --yes/);
  done(approve(true));
}

function revokeMirror({ founder, key }: ReturnType<typeof setUpThief>): void {
  const planned = done(founder.step((now, out) => founder.node.revoke(now, key, {}, out)));
  assert.ok(planned.isDone);
}

/** What ends the mirror of `victim`, by whom and how it may be. */
const ENDS: Record<string, (set: ReturnType<typeof setUpThief>) => void> = {
  "a stolen admin removes it, from the year 1970 on": ({ tell, removed }) => tell(removed(0)),
  "a stolen admin certifies it and removes it": ({ tell, said, removed }) => {
    tell(said);
    tell(removed());
  },
  "a stolen admin certifies it, and a person revokes it": (set) => {
    set.tell(set.said);
    set.lab.run(30_000);
    revokeMirror(set);
  },
};

for (const [what, end] of Object.entries(ENDS)) {
  Deno.test(`item 3: a removal of the mirror takes nobody out, nor keeps it out: ${what}`, () => {
    const set = setUpThief();
    const { lab, founder, victim, honest } = set;
    end(set);
    lab.run(60_000);
    assert.deepEqual(statesOf(victim, honest), ["alive", "alive"]);
    victim.crash();
    lab.run(10_000);
    const late = lab.joiner(founder, { name: "late" });
    lab.run(10_000);
    for (const one of honest) {
      one.crash();
      one.start();
    }
    victim.start();
    lab.run(60_000);
    assert.deepEqual(statesOf(victim, [...honest, late]), ["alive", "alive", "alive"]);
    assert.ok(victim.node.isMember);
    const all = [...honest, late, victim];
    for (const one of all) assert.doesNotMatch(healthOf(one).join("\n"), /tunnel key/);
  });
}

Deno.test("item 3, item 11: revoke says that the other key with the tunnel key is a member then, and how that ends, too", () => {
  const { lab, founder, victim, honest, tell, said, key } = setUpThief();
  tell(said);
  lab.run(30_000);
  const planned = revoke(founder, victim, undefined, false);
  assert.ok(!planned.isDone);
  assert.match(planned.warnings.join("\n"), new RegExp(`certified by third.*shoal revoke ${key}`));
  revoke(founder, victim);
  lab.run(30_000);
  assert.deepEqual(statesOf(victim, honest), [undefined, undefined]);
});

Deno.test("item 3, item 11: whom an invite let in stays, though a stolen admin certifies its mirror, and approve certifies it", () => {
  const mirrored = new Mirrored();
  const { lab, founder, others: [third, fourth] } = village(
    mirrored.crypto,
    ["third", "fourth"],
    103,
  );
  assert.ok(third && fourth);
  promote(founder, third);
  lab.run(10_000);
  const token = founder.token();
  lab.run(2_000);
  founder.crash();
  const thief = new Insider(third);
  lab.run(1_000);
  const victim = lab.computer({ name: "victim", token });
  victim.start();
  lab.run(60_000);
  assert.equal(victim.node.status(victim.now()).self.standing, "provisional");
  mirrored.of = victim.identitySeed;
  const key = mirrorOf(victim.id);
  const certificate = { key, name: "x", groups: [], relay: false, ip4Counter: 0, since: 0 };
  const until = secondsAt(fourth) + 1e7;
  const said = thief.sign({ kind: "member", certificate, until, token: undefined });
  for (const one of [fourth, victim]) thief.tell(one, said);
  lab.run(60_000);
  assert.deepEqual(statesOf(victim, [fourth]), ["alive"]);
  assert.ok(victim.node.isMember);
  const line =
    /third has certified another key with the tunnel key of victim.*`shoal revoke .*`shoal approve --yes/;
  for (const one of [fourth, victim]) assert.match(healthOf(one).join("\n"), line);
  founder.start();
  lab.run(60_000);
  assert.deepEqual(statesOf(victim, [fourth]), ["alive"]);
  done(founder.step((now, out) => founder.node.approve(now, victim.id, out)));
  lab.run(60_000);
  assert.deepEqual(statesOf(victim, [founder, fourth]), ["alive", "alive"]);
  assert.equal(victim.node.status(victim.now()).self.standing, "certified");
});

Deno.test("item 3, item 11: of two with one tunnel key that one invite let in each node keeps the one that it met, and none is certified unasked", () => {
  const mirrored = new Mirrored();
  const names = ["third", "fourth", "fifth"];
  const { lab, founder, others } = village(mirrored.crypto, names, 104);
  const token = founder.token({ uses: 4 });
  const parsed = parseToken(mirrored.crypto, token);
  assert.ok(parsed.ok);
  lab.run(5_000);
  founder.crash();
  lab.run(1_000);
  const victim = lab.computer({ name: "victim", token });
  victim.start();
  lab.run(30_000);
  const lying = others.find(({ id }) => parsed.value.statement.doors.includes(id));
  assert.ok(lying);
  const honest = others.filter((one) => one !== lying);
  assert.deepEqual(statesOf(victim, honest), ["alive", "alive"]);
  mirrored.of = victim.identitySeed;
  const insider = new Insider(lying);
  const self = identityFromSeed(mirrored.crypto, SEED);
  const admission = insider.admit(self, parsed.value.secret, "copy");
  const proof = { statements: [parsed.value.statement.bytes], admission };
  const isKnown = (by: Computer) =>
    by.node.status(by.now()).peers.some(({ key }) => key === self.id);
  for (const _ of [1, 2, 3]) {
    for (const one of [...honest, victim]) insider.spread(one, insider.describe({ proof }, self));
    lab.run(1_000);
  }
  assert.deepEqual(honest.map(isKnown), [false, false]);
  victim.crash();
  lab.run(1_000);
  founder.start();
  insider.know(founder);
  for (const _ of [1, 2, 3, 4, 5]) {
    insider.spread(founder, insider.describe({ proof }, self));
    lab.run(3_000);
  }
  victim.start();
  lab.run(90_000);
  assert.deepEqual(statesOf(victim, honest), ["alive", "alive"]);
  // Where an admin's node met the copy first and certified that, it has done so honestly: nobody is accused.
  for (const one of [founder, ...honest]) {
    assert.doesNotMatch(healthOf(one).join("\n"), /stolen|--since/);
  }
  leadOut(founder, victim, self.id);
  lab.run(60_000);
  assert.deepEqual(statesOf(victim, [founder, ...honest]), ["alive", "alive", "alive"]);
});

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

Deno.test("item 3: where neither of two with one tunnel key was met, status accuses nobody, and says what to do for either", () => {
  const mirrored = new Mirrored();
  const { lab, founder, others: [third, fourth] } = village(
    mirrored.crypto,
    ["third", "fourth"],
    103,
  );
  assert.ok(third && fourth);
  promote(founder, third);
  lab.run(10_000);
  const victim = lab.computer({ name: "victim" });
  const options = { name: "victim" };
  done(founder.step((now, out) => founder.node.approve(now, victim.id, out, options)));
  lab.run(10_000);
  mirrored.of = victim.identitySeed;
  const thief = new Insider(third);
  const key = mirrorOf(victim.id);
  const certificate = { key, name: "x", groups: [], relay: false, ip4Counter: 0, since: 0 };
  const until = secondsAt(founder) + 1e7;
  const said = thief.sign({ kind: "member", certificate, until, token: undefined });
  for (const one of [founder, fourth]) thief.tell(one, said);
  lab.run(60_000);
  for (const one of [founder, fourth]) {
    const text = healthOf(one).join("\n");
    assert.match(text, new RegExp(`x \\(${key}\\) by third`));
    assert.match(text, new RegExp(`victim \\(${victim.id}\\) by founder`));
    for (const name of [key, victim.id, "third --since TIME", "founder --since TIME"]) {
      assert.ok(text.includes(`\`shoal revoke ${name}\``), name);
    }
    assert.doesNotMatch(text, /has certified another key/);
  }
});

Deno.test("item 3: whose certificate has ended while its mirror was certified is approved again as approve says", () => {
  const mirrored = new Mirrored();
  const { lab, founder, others: [third] } = village(mirrored.crypto, ["third"], 103);
  assert.ok(third);
  promote(founder, third);
  lab.run(10_000);
  const victim = lab.joiner(founder, { name: "victim", token: founder.token({ memberDays: 1 }) });
  const fourth = lab.joiner(founder, { name: "fourth" });
  lab.run(60_000);
  mirrored.of = victim.identitySeed;
  for (const one of [founder, third, victim, fourth]) {
    one.host.skew = 2 * DAY;
    one.host.arrange();
  }
  lab.run(120_000);
  const thief = new Insider(third);
  const key = mirrorOf(victim.id);
  const certificate = { key, name: "x", groups: [], relay: false, ip4Counter: 0, since: 0 };
  const until = secondsAt(founder) + 1e7;
  const said = thief.sign({ kind: "member", certificate, until, token: undefined });
  for (const one of [founder, fourth]) thief.tell(one, said);
  lab.run(60_000);
  const approve = () => founder.step((now, out) => founder.node.approve(now, victim.id, out));
  const refused = refusalOf(approve());
  assert.match(refused, new RegExp(`shoal revoke ${key}\` first`));
  assert.match(refused, /`shoal revoke third --since TIME`/);
  const planned = done(founder.step((now, out) => founder.node.revoke(now, key, {}, out)));
  assert.ok(planned.isDone);
  done(approve());
  lab.run(60_000);
  assert.deepEqual(statesOf(victim, [founder, fourth]), ["alive", "alive"]);
});
