import assert from "node:assert/strict";
import { sealHello } from "./control.ts";
import { Door, GREETINGS_KNOWN, HALF_OPEN_MAX, REQUESTS_MAX } from "./door.ts";
import type { Endpoint } from "./endpoint.ts";
import type { NodeEvent } from "./event.ts";
import { CHALLENGE_SIZE, encodeGreeting } from "./greeting.ts";
import { Effects, type Now } from "./machine.ts";
import { nobleCrypto } from "./noble_crypto.ts";
import { type NodeRecord, sequenceOf, signRecord } from "./record.ts";
import { Seeded } from "./sim/random.ts";
import { EMPTY_CHAIN } from "./trust/certificate.ts";
import { identityFromSeed, meshIdOf } from "./trust/identity.ts";
import { Trust } from "./trust/trust.ts";

// Signatures are not what is tested here, and 256 strangers make many of them.
const crypto = {
  ...nobleCrypto,
  ed25519Verify: () => true,
  ed25519Sign: () => new Uint8Array(64),
};
const seeded = new Seeded(1);
const random = (length: number) => Uint8Array.from({ length }, () => seeded.below(256));
const meshKey = random(32);
const self = identityFromSeed(crypto, random(32));
const meshId = meshIdOf(crypto, meshKey);
const from: Endpoint = { address: Uint8Array.of(192, 0, 2, 1), port: 1, scope: 0 };

function at(boot: number): Now {
  return { boot, wall: 1_800_000_000_000 };
}

function recordOf(id: Uint8Array, under: Uint8Array): NodeRecord {
  return signRecord(crypto, under, self.signing, {
    key: id,
    sequence: sequenceOf(1, 0),
    endpoints: [],
    ip4Counter: 0,
    capabilities: { relay: false, tunnel: false },
    routes: [],
    version: "",
    chain: EMPTY_CHAIN,
  });
}

/** Somebody whom the door's node trusts individually. */
function stranger(trust: Trust): NodeRecord {
  const { publicKey } = crypto.ed25519FromSeed(random(32));
  trust.trust(publicKey.toHex(), "stranger");
  return recordOf(publicKey, meshId);
}

function greet(type: "hello" | "ask", record: NodeRecord): Uint8Array {
  const challenge = random(CHALLENGE_SIZE);
  const content = encodeGreeting({ challenge, name: "stranger", record: record.bytes });
  const under = type === "hello" ? meshId : meshIdOf(crypto, undefined);
  return sealHello(crypto, random, type, under, content);
}

function setUp() {
  const trust = new Trust(crypto, meshKey);
  const door = new Door(crypto, random, self, trust);
  const house = {
    record: recordOf(self.signing.publicKey, meshId),
    isKnown: () => false,
    hasRoom: () => true,
  };
  const out = new Effects<NodeEvent>();
  const hello = (now: Now, record: NodeRecord) =>
    door.hello(now, { bytes: greet("hello", record), from }, house, out);
  return { trust, door, house, out, hello };
}

Deno.test("256 strangers can be half-open; the next one takes the place of the oldest", () => {
  const { trust, door, hello } = setUp();
  const all = Array.from({ length: HALF_OPEN_MAX + 1 }, () => stranger(trust));
  const [first, second] = all;
  assert.ok(first && second);
  for (const [i, record] of all.slice(0, -1).entries()) {
    assert.equal(hello(at(i * 20), record).dropped, undefined);
  }
  const last = all.at(-1);
  assert.ok(last);
  assert.equal(hello(at(HALF_OPEN_MAX * 20), last).dropped, first.id);
  assert.ok(!door.isHalfOpen(first.id));
  assert.ok(door.isHalfOpen(second.id));
});

Deno.test("a half-open acquaintance ends after ten seconds", () => {
  const { trust, door, hello } = setUp();
  const one = stranger(trust);
  hello(at(0), one);
  assert.deepEqual(door.expire(at(10_000)), []);
  assert.deepEqual(door.expire(at(10_001)), [one.id]);
});

Deno.test("only the cookie of the answer confirms, and once", () => {
  const { trust, door, hello } = setUp();
  const one = stranger(trust);
  hello(at(0), one);
  for (const wrong of [new Uint8Array(16), random(16), new Uint8Array(0)]) {
    assert.equal(door.confirm(at(1), one.id, wrong), undefined);
  }
  assert.equal(door.confirm(at(1), self.id, random(16)), undefined);
  assert.ok(door.isHalfOpen(one.id), "wrong cookies have not ended it");
});

Deno.test("100 greetings at once and 50 a second are looked at, and a flood of asks stops no hello", () => {
  const { trust, door, out, hello } = setUp();
  const one = stranger(trust);
  const record = recordOf(one.key, meshIdOf(crypto, undefined));
  const ask = (now: Now) => door.ask(now, { bytes: greet("ask", record), from }, out);
  for (let i = 0; i < 150; i++) ask(at(0));
  assert.equal(out.datagrams.length, 100);
  assert.equal(door.drops.rate, 50);
  for (let i = 0; i < 100; i++) ask(at(1000));
  assert.equal(out.datagrams.length, 150);
  const { expected } = hello(at(1000), one);
  assert.equal(expected?.id, one.id);
});

Deno.test("T34, T41: a captured greeting, replayed from anywhere, is answered four times and stops nobody", () => {
  const { trust, door, house, out, hello } = setUp();
  const bytes = greet("hello", stranger(trust));
  for (let i = 0; i < 2000; i++) {
    const source = { ...from, address: Uint8Array.of(198, 51, 100, i % 256) };
    door.hello(at(i / 2), { bytes, from: source }, house, out);
  }
  assert.equal(out.datagrams.length, 4);
  assert.equal(door.drops.copy, 1996);
  assert.equal(door.drops.rate, 0);
  const one = stranger(trust);
  assert.equal(hello(at(1000), one).expected?.id, one.id);
});

Deno.test("4,096 greetings are known by their copies; the oldest is forgotten", () => {
  const { trust, door, house, out } = setUp();
  const bytes = greet("hello", stranger(trust));
  const again = (ms: number) => door.hello(at(ms), { bytes, from }, house, out);
  for (let i = 0; i < 5; i++) again(i);
  assert.equal(door.drops.copy, 1);
  const other = stranger(trust);
  for (let i = 0; i < GREETINGS_KNOWN; i++) {
    door.hello(at(1000 + i * 20), { bytes: greet("hello", other), from }, house, out);
  }
  again(1_000_000);
  assert.equal(door.drops.copy, 1, "it is a new one again");
});

Deno.test("a full house refuses newcomers and welcomes whom it knows", () => {
  const { trust, door, house, out } = setUp();
  const one = stranger(trust);
  const full = { ...house, hasRoom: () => false };
  const knock = { bytes: greet("hello", one), from };
  assert.equal(door.hello(at(0), knock, full, out).expected, undefined);
  assert.equal(out.datagrams.length, 1, "the refusal is answered");
  const known = { ...full, isKnown: (id: string) => id === one.id };
  assert.equal(door.hello(at(0), knock, known, out).expected?.id, one.id);
});

Deno.test("64 approvals wait to be picked up; the oldest makes room", () => {
  const { door, out } = setUp();
  const keys = Array.from({ length: REQUESTS_MAX + 1 }, () => random(32));
  for (const key of keys) door.approve(key.toHex(), EMPTY_CHAIN);
  const [first, second] = keys;
  assert.ok(first && second);
  const ask = (key: Uint8Array) =>
    door.ask(at(0), { bytes: greet("ask", recordOf(key, meshIdOf(crypto, undefined))), from }, out);
  ask(second);
  assert.equal([...door.requests()].length, 0, "granted");
  ask(first);
  assert.equal([...door.requests()].length, 1, "has to ask again");
});

Deno.test("T34: who shows no proof of membership gets no answer at all", () => {
  const { door, house, out } = setUp();
  const nobody = recordOf(crypto.ed25519FromSeed(random(32)).publicKey, meshId);
  assert.deepEqual(door.hello(at(0), { bytes: greet("hello", nobody), from }, house, out), {});
  assert.equal(out.datagrams.length, 0);
  assert.equal(door.drops.stranger, 1);
});
