import assert from "node:assert/strict";
import type { Crypto } from "../crypto.ts";
import { headOf } from "../datagram.ts";
import type { Endpoint } from "../endpoint.ts";
import { nobleCrypto } from "../noble_crypto.ts";
import { Seeded } from "../sim/random.ts";
import { toyCrypto } from "../sim/toy_crypto.ts";
import { identityFromSeed } from "../membership/identity.ts";
import { openOffer, sealAsk, sealRequest } from "../wire/ask.ts";
import { tagOf } from "../wire/box.ts";
import { doorKeyOf, openRetry, sealHello, type SentHello } from "../wire/contact.ts";
import { CHEAP, COPIES_KNOWN, Knocks, PROVEN, REQUESTS, UNPROVEN } from "./knocks.ts";

const at = (boot: number) => ({ boot, wall: 0 });
const place = (...address: number[]): Endpoint => ({
  address: Uint8Array.from(address),
  port: 1000,
  scope: 0,
});
const JOINER = place(203, 0, 113, 7);

/** An address of its own network and origin for each number. */
function invented(n: number): Endpoint {
  return place(10 + (n >> 16 & 63), n >> 8 & 255, n & 255, 1);
}

/** A door, and how much of each kind of work it has done. */
function setUp(under: Crypto = toyCrypto) {
  const { bytes: random } = new Seeded(1);
  const work = { points: 0, tags: 0, hashes: 0 };
  const crypto: Crypto = {
    ...under,
    x25519: (secret, key) => (work.points++, under.x25519(secret, key)),
    xchacha20poly1305Seal: (key, nonce, ad, plain) => (
      work.tags++, under.xchacha20poly1305Seal(key, nonce, ad, plain)
    ),
    blake2sMac: (key, ...parts) => (work.hashes++, under.blake2sMac(key, ...parts)),
    blake2s: (...parts) => (work.hashes++, under.blake2s(...parts)),
  };
  const self = identityFromSeed(under, random(32));
  const door = doorKeyOf(under, random(32), self.signing.publicKey);
  assert.ok(door);
  const knocks = new Knocks(at(0), crypto, random, door, self);
  // Nothing that the senders do counts as work of the door.
  const sealed = (cookie?: Uint8Array): SentHello => {
    const sent = sealHello(under, random, door, Uint8Array.of(1, 2, 3), cookie);
    assert.ok(sent);
    return sent;
  };
  const send = (ms: number, from: Endpoint, cookie?: Uint8Array) =>
    knocks.hello(at(ms), { bytes: sealed(cookie).bytes, from });
  /** Knocks as a joiner does: again with the cookie of a retry. */
  const join = (ms: number, from: Endpoint): boolean => {
    const first = sealed();
    const heard = knocks.hello(at(ms), { bytes: first.bytes, from });
    if (heard?.kind !== "reply") return heard?.kind === "hello";
    const cookie = openRetry(under, first, heard.bytes);
    return cookie !== undefined && send(ms + 50, from, cookie)?.kind === "hello";
  };
  /** Asks as somebody without a token does: for an offer, then with a request. */
  const ask = (ms: number, from: Endpoint) => {
    const sent = sealAsk(under, random);
    const heard = knocks.ask(at(ms), { bytes: sent.bytes, from }, true);
    const offer = heard?.kind === "reply" ? openOffer(under, sent, heard.bytes) : undefined;
    return offer && sealRequest(under, random, offer, Uint8Array.of(4, 5, 6));
  };
  return { under, crypto, random, door, self, knocks, work, sealed, send, join, ask };
}

for (const [name, crypto] of [["noble", nobleCrypto], ["toy", toyCrypto]] as const) {
  Deno.test(`a hello and a request are opened (${name})`, () => {
    const { knocks, send, ask } = setUp(crypto);
    const heard = send(0, JOINER);
    assert.ok(heard?.kind === "hello");
    assert.deepEqual([...heard.hello.content], [1, 2, 3]);
    const request = ask(0, JOINER);
    assert.ok(request);
    const got = knocks.ask(at(9), { bytes: request.bytes, from: JOINER }, true);
    assert.ok(got?.kind === "request");
    assert.deepEqual([...got.request.content], [4, 5, 6]);
  });
}

Deno.test("T33: garbage without the mac costs one tag each, no point, no memory, no answer", () => {
  const { knocks, random, work, join } = setUp();
  for (let n = 0; n < 5000; n++) {
    const bytes = random(1232);
    bytes.set(headOf("hello"));
    assert.equal(knocks.hello(at(n / 10), { bytes, from: invented(n) }), undefined);
  }
  assert.deepEqual(work, { points: 0, tags: 5000, hashes: 0 });
  assert.equal(knocks.counts.foreign, 5000);
  assert.equal(knocks.remembered, 0);
  assert.ok(join(500, JOINER), "nobody's share was used");
  assert.equal(knocks.counts.retries, 0);
});

Deno.test("T33: what has no form of a hello costs nothing", () => {
  const { knocks, work } = setUp();
  for (const bytes of [new Uint8Array(0), new Uint8Array(1232), Uint8Array.of(0xc2, 2, 0, 0)]) {
    assert.equal(knocks.hello(at(0), { bytes, from: JOINER }), undefined);
    assert.equal(knocks.ask(at(0), { bytes, from: JOINER }, true), undefined);
  }
  assert.equal(knocks.counts.malformed, 6);
  assert.deepEqual(work, { points: 0, tags: 0, hashes: 0 });
});

Deno.test("T34, T41: a captured hello, replayed from 2,000 addresses, costs a look-up each and stops nobody", () => {
  const { knocks, work, sealed, join } = setUp();
  const { bytes } = sealed();
  assert.ok(knocks.hello(at(0), { bytes, from: JOINER }));
  const before = { ...work };
  for (let n = 0; n < 2000; n++) {
    assert.equal(knocks.hello(at(n), { bytes, from: invented(n) }), undefined);
  }
  assert.deepEqual(work, before);
  assert.equal(knocks.counts.copy, 2000);
  assert.ok(join(2000, JOINER));
  assert.equal(knocks.counts.retries, 0);
});

Deno.test("4,096 opened hellos are known by their copies; the oldest is forgotten", () => {
  const { knocks, sealed, send } = setUp();
  const { bytes } = sealed();
  const again = (ms: number) => knocks.hello(at(ms), { bytes, from: JOINER });
  assert.ok(again(0));
  let ms = 1000;
  for (let n = 1; n < COPIES_KNOWN; n++) assert.ok(send(ms += 100, invented(n))?.kind === "hello");
  assert.equal(again(ms), undefined);
  assert.ok(send(ms += 100, invented(COPIES_KNOWN))?.kind === "hello");
  assert.equal(knocks.remembered, COPIES_KNOWN);
  assert.ok(again(ms + 100), "it is a new one again");
});

Deno.test("T39: one machine that knows the door's key has its own share and takes nobody else's", () => {
  const { knocks, work, send, join } = setUp();
  const flooder = place(192, 0, 2, 1);
  for (let ms = 0; ms < 10_000; ms += 1) send(ms, flooder);
  const { burst, rate } = UNPROVEN.origin;
  assert.equal(knocks.counts.opened, burst + 9 * rate + rate - 1);
  assert.equal(work.points, knocks.counts.opened);
  assert.ok(join(10_000, JOINER));
  assert.ok(join(10_000, place(192, 0, 2, 2)), "its neighbour neither");
});

Deno.test("T39: hellos from 30,000 invented addresses delay a joiner by one round trip", () => {
  const { work, send, join } = setUp();
  const seconds = 30;
  let joined = 0;
  for (let n = 0; n < seconds * 1000; n++) {
    send(n, invented(n));
    if (n % 1000 === 500) joined += join(n, place(203, 0, n / 1000 | 0, 1)) ? 1 : 0;
  }
  console.log(`${joined} of ${seconds} joiners came in at once; ${work.points} points`);
  assert.ok(joined >= seconds * 0.9, `${joined} of ${seconds}`);
  const { burst, rate } = UNPROVEN.all;
  assert.ok(work.points <= burst + seconds * rate + seconds, "the flood is bounded");
});

Deno.test("T34: a cookie is good at its own address and port only", () => {
  const { knocks, under, sealed, send } = setUp();
  for (let n = 0; n < UNPROVEN.all.burst; n++) assert.ok(send(0, invented(n)));
  const first = sealed();
  const heard = knocks.hello(at(0), { bytes: first.bytes, from: JOINER });
  assert.ok(heard?.kind === "reply");
  const cookie = openRetry(under, first, heard.bytes);
  assert.ok(cookie);
  for (const from of [{ ...JOINER, port: 1 }, place(203, 0, 113, 8)]) {
    assert.equal(send(0, from, cookie)?.kind, "reply", "asked for a pass again");
  }
  assert.equal(send(0, JOINER, cookie)?.kind, "hello");
  assert.equal(send(239_999, JOINER, cookie)?.kind, "hello");
});

Deno.test("1,000 retries and 1,000 offers a second are sent, and no more", () => {
  const { knocks, send, under, random } = setUp();
  for (let n = 0; n < 3000; n++) send(0, invented(n));
  assert.equal(knocks.counts.opened, UNPROVEN.all.burst);
  assert.equal(knocks.counts.retries, CHEAP.burst);
  assert.equal(knocks.counts.busy, 3000 - UNPROVEN.all.burst - CHEAP.burst);
  const { bytes } = sealAsk(under, random);
  for (let n = 0; n < 3000; n++) knocks.ask(at(0), { bytes, from: invented(n) }, true);
  assert.equal(knocks.counts.offers, CHEAP.burst);
  knocks.ask(at(100), { bytes, from: JOINER }, true);
  assert.equal(knocks.counts.offers, CHEAP.burst + 1);
});

Deno.test("T39: 256 true addresses of one network, with cookies, leave two thirds to others", () => {
  const { knocks, under, sealed, send, join } = setUp();
  for (let n = 0; n < UNPROVEN.all.burst; n++) send(0, invented(n));
  const cookies = Array.from({ length: 256 }, (_, host) => {
    const from = place(192, 0, 2, host);
    const first = sealed();
    const heard = knocks.hello(at(0), { bytes: first.bytes, from });
    const cookie = heard?.kind === "reply" ? openRetry(under, first, heard.bytes) : undefined;
    assert.ok(cookie);
    return { from, cookie };
  });
  const before = knocks.counts.opened;
  for (let ms = 0; ms < 10_000; ms += 250) {
    for (const { from, cookie } of cookies) send(ms, from, cookie);
  }
  const taken = knocks.counts.opened - before;
  assert.ok(taken <= PROVEN.network.burst + 10 * PROVEN.network.rate, `${taken}`);
  assert.ok(PROVEN.network.rate * 3 <= PROVEN.all.rate);
  for (let n = 0; n < 50; n++) assert.ok(join(10_000, place(203, 0, n, 1)), `joiner ${n}`);
});

Deno.test("a hello whose mac fits and whose seal does not is forged, and is not remembered", () => {
  const { knocks, under, door, sealed } = setUp();
  const { bytes } = sealed();
  const altered = bytes.slice();
  altered[100] = (altered[100] ?? 0) ^ 1;
  const covered = [altered.subarray(0, 4), altered.subarray(20)];
  altered.set(tagOf(under, door.macKey, bytes.subarray(36, 60), ...covered), 4);
  assert.equal(knocks.hello(at(0), { bytes: altered, from: JOINER }), undefined);
  assert.equal(knocks.counts.forged, 1);
  assert.ok(knocks.hello(at(0), { bytes, from: JOINER }), "the true one is no copy");
});

Deno.test("a closed door answers neither asks nor requests, and does no work for them", () => {
  const { knocks, under, random, work, ask } = setUp();
  const request = ask(0, JOINER);
  assert.ok(request);
  const before = { ...work };
  for (const { bytes } of [sealAsk(under, random), request]) {
    assert.equal(knocks.ask(at(1), { bytes, from: JOINER }, false), undefined);
  }
  assert.equal(knocks.counts.closed, 2);
  assert.deepEqual(work, before);
});

Deno.test("T33: asks and requests from invented addresses cost no point and stop no asker", () => {
  const { knocks, under, random, work, ask } = setUp();
  const captured = ask(0, place(192, 0, 2, 1));
  assert.ok(captured);
  for (let n = 0; n < 5000; n++) {
    knocks.ask(at(1000 + n * 2), { bytes: sealAsk(under, random).bytes, from: invented(n) }, true);
    knocks.ask(at(1000 + n * 2), { bytes: captured.bytes, from: invented(n) }, true);
  }
  assert.equal(work.points, 0);
  assert.equal(knocks.counts.foreign, 5000);
  assert.equal(knocks.remembered, 0);
  const request = ask(11_000, JOINER);
  assert.ok(request);
  const heard = knocks.ask(at(11_000), { bytes: request.bytes, from: JOINER }, true);
  assert.equal(heard?.kind, "request");
});

Deno.test("T41: a captured request is a copy, wherever it comes from", () => {
  const { knocks, ask } = setUp();
  const request = ask(0, JOINER);
  assert.ok(request);
  const send = (from: Endpoint) => knocks.ask(at(1), { bytes: request.bytes, from }, true);
  assert.equal(send(JOINER)?.kind, "request");
  assert.equal(send(JOINER), undefined);
  assert.equal(send({ ...JOINER, port: 1 }), undefined);
  assert.deepEqual([knocks.counts.copy, knocks.counts.foreign], [2, 0]);
});

Deno.test("one asker has its own share of requests", () => {
  const { knocks, ask } = setUp();
  let opened = 0;
  for (let n = 0; n < 100; n++) {
    const request = ask(0, JOINER);
    const heard = request && knocks.ask(at(0), { bytes: request.bytes, from: JOINER }, true);
    opened += heard?.kind === "request" ? 1 : 0;
  }
  assert.equal(opened, REQUESTS.origin.burst);
  assert.equal(knocks.counts.busy, 100 - REQUESTS.origin.burst);
});

Deno.test("T34: nothing that a door sends by itself is longer than a tenth of what came", () => {
  const { knocks, under, random, sealed } = setUp();
  let [bytesIn, bytesOut] = [0, 0];
  for (let n = 0; n < 600; n++) {
    const from = invented(n);
    const { bytes: hello } = sealed();
    const { bytes: ask } = sealAsk(under, random);
    const answers = [
      knocks.hello(at(0), { bytes: hello, from }),
      knocks.ask(at(0), { bytes: ask, from }, true),
    ];
    bytesIn += hello.length + ask.length;
    for (const heard of answers) bytesOut += heard?.kind === "reply" ? heard.bytes.length : 0;
  }
  assert.ok(bytesOut > 0 && bytesOut <= bytesIn / 10, `${bytesOut} for ${bytesIn}`);
});
