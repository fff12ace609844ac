import assert from "node:assert/strict";
import fc from "fast-check";
import type { Crypto } from "../crypto.ts";
import { DATAGRAM_MAX } from "./seal.ts";
import type { Endpoint } from "../endpoint.ts";
import { nobleCrypto } from "../noble_crypto.ts";
import { Seeded } from "../sim/random.ts";
import { toyCrypto } from "../sim/toy_crypto.ts";
import { identityFromSeed } from "../membership/identity.ts";
import {
  GRANT_MAX,
  openOffer,
  openReply,
  openRequest,
  readAsk,
  type Reply,
  REQUEST_CONTENT_MAX,
  sealAsk,
  sealOffer,
  sealReply,
  sealRequest,
  secretOf,
} from "./ask.ts";
import { DoorSecrets, SECRET_TIME } from "./door_secrets.ts";

const utf8 = new TextEncoder();
const here: Endpoint = { address: Uint8Array.of(192, 0, 2, 1), port: 5000, scope: 0 };
const at = (boot: number) => ({ boot, wall: 0 });

/** An open door and somebody who knows its address. */
function setUp(crypto: Crypto = nobleCrypto) {
  const { bytes: random } = new Seeded(1);
  const [door, asker, other] = [1, 2, 3].map(() => identityFromSeed(crypto, random(32)));
  assert.ok(door && asker && other);
  const secrets = new DoorSecrets(crypto, random);
  /** What the door makes of an ask. */
  const offered = (bytes: Uint8Array, from = here, ms = 0) => {
    const read = readAsk(bytes);
    return read?.step === "ask"
      ? sealOffer(crypto, secrets.current(at(ms)), read, from)
      : undefined;
  };
  /** What the door makes of a request. */
  const opened = (bytes: Uint8Array, from = here, ms = 0) => {
    const read = readAsk(bytes);
    if (read?.step !== "request") return undefined;
    const secret = secretOf(crypto, secrets.valid(at(ms)), read, from);
    return secret && openRequest(crypto, secret, read);
  };
  /** Ask and offer. */
  const begin = (ms = 0) => {
    const ask = sealAsk(crypto, random);
    const bytes = offered(ask.bytes, here, ms);
    const offer = bytes && openOffer(crypto, ask, bytes);
    assert.ok(bytes && offer);
    return { ask, bytes, offer };
  };
  const request = (content = utf8.encode("content"), ms = 0) =>
    sealRequest(crypto, random, begin(ms).offer, content);
  const reply = (bytes: Uint8Array, what: Reply = { kind: "pending" }, to = asker) => {
    const got = opened(bytes);
    const made = got && sealReply(crypto, random, door, got, to.signing.publicKey, what);
    assert.ok(made);
    return made;
  };
  return { crypto, random, door, asker, other, secrets, offered, opened, begin, request, reply };
}

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice();
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ 1 << (bit & 7);
  return copy;
}

for (const [name, crypto] of [["noble", nobleCrypto], ["toy", toyCrypto]] as const) {
  Deno.test(`an asker and a door that know nothing of each other come to a reply (${name})`, () => {
    const { door, asker, request, opened, reply } = setUp(crypto);
    const replies = fc.oneof(
      fc.constantFrom<Reply>({ kind: "pending" }, { kind: "refused" }),
      fc.uint8Array({ maxLength: GRANT_MAX }).map((payload): Reply => ({
        kind: "granted",
        payload,
      })),
    );
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: REQUEST_CONTENT_MAX }),
        replies,
        (content, what) => {
          const sent = request(content);
          assert.deepEqual(opened(sent.bytes)?.content, content);
          const got = openReply(crypto, asker, sent, reply(sent.bytes, what));
          assert.deepEqual(got, { door: door.signing.publicKey, reply: what });
        },
      ),
      { numRuns: crypto === toyCrypto ? 200 : 15 },
    );
  });
}

Deno.test("content and grants that are too long are misuse", () => {
  const { crypto, random, begin, request, reply } = setUp();
  const long = new Uint8Array(REQUEST_CONTENT_MAX + 1);
  assert.throws(() => sealRequest(crypto, random, begin().offer, long), RangeError);
  const payload = new Uint8Array(GRANT_MAX + 1);
  assert.throws(() => reply(request().bytes, { kind: "granted", payload }), RangeError);
  assert.ok(REQUEST_CONTENT_MAX >= 1024 + 2 + 64, "the longest record and name fit");
});

Deno.test("T34: asks and requests have 1,232 bytes; an offer has 84, a reply at most as many as came", () => {
  const { begin, request, reply } = setUp();
  const { ask, bytes } = begin();
  assert.equal(ask.bytes.length, DATAGRAM_MAX);
  assert.equal(bytes.length, 84);
  for (const size of [0, 700, REQUEST_CONTENT_MAX]) {
    const sent = request(new Uint8Array(size));
    assert.equal(sent.bytes.length, DATAGRAM_MAX);
    const payload = new Uint8Array(GRANT_MAX);
    assert.equal(reply(sent.bytes, { kind: "granted", payload }).length, DATAGRAM_MAX);
    assert.ok(reply(sent.bytes).length < 200);
  }
});

Deno.test("T18: an ask with any bit flipped is refused, or its offer is", () => {
  const { crypto, begin, offered } = setUp();
  const { ask } = begin();
  let keys = 0;
  for (let bit = 0; bit < 8 * ask.bytes.length; bit++) {
    const offer = offered(flipped(ask.bytes, bit));
    if (offer === undefined) continue;
    keys++;
    assert.equal(openOffer(crypto, ask, offer), undefined, `bit ${bit}`);
  }
  assert.equal(keys, 256, "the ephemeral key alone carries nothing that could be wrong");
});

Deno.test("T18: an offer, a request and a reply with any bit flipped are refused", () => {
  const { crypto, asker, begin, request, opened, reply } = setUp();
  const { ask, bytes: offer } = begin();
  const sent = request();
  const made = reply(sent.bytes);
  assert.ok(opened(sent.bytes) && openReply(crypto, asker, sent, made));
  for (let bit = 0; bit < 8 * offer.length; bit++) {
    assert.equal(openOffer(crypto, ask, flipped(offer, bit)), undefined, `offer, bit ${bit}`);
  }
  for (let bit = 0; bit < 8 * sent.bytes.length; bit++) {
    assert.equal(opened(flipped(sent.bytes, bit)), undefined, `request, bit ${bit}`);
  }
  for (let bit = 0; bit < 8 * made.length; bit++) {
    const bytes = flipped(made, bit);
    assert.equal(openReply(crypto, asker, sent, bytes), undefined, `reply, bit ${bit}`);
  }
});

Deno.test("T18: no truncation and no other bytes are taken for any of them, and nothing throws", () => {
  const { crypto, asker, begin, request, offered, opened, reply } = setUp();
  const { ask, bytes: offer } = begin();
  const sent = request();
  const all = [ask.bytes, offer, sent.bytes, reply(sent.bytes)];
  const isRefused = (bytes: Uint8Array) => {
    assert.equal(offered(bytes), undefined);
    assert.equal(openOffer(crypto, ask, bytes), undefined);
    assert.equal(opened(bytes), undefined);
    assert.equal(openReply(crypto, asker, sent, bytes), undefined);
  };
  for (const bytes of all) {
    for (let length = 0; length < bytes.length; length++) isRefused(bytes.subarray(0, length));
    isRefused(Uint8Array.of(...bytes, 0));
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 1300 }), isRefused));
  const heads = fc.constantFrom(...all.map((bytes) => bytes.subarray(0, 20)));
  fc.assert(
    fc.property(heads, fc.uint8Array({ minLength: 1212, maxLength: 1212 }), (head, rest) => {
      isRefused(Uint8Array.of(...head, 1, ...rest.subarray(1)));
    }),
  );
});

Deno.test("T34: a request is opened from the place that its ask came from, for two minutes at least", () => {
  const { begin, request, opened } = setUp();
  begin(0); // the secret of these two minutes is drawn
  const { bytes } = request(undefined, SECRET_TIME - 1);
  const elsewhere = [
    { ...here, port: here.port + 1 },
    { ...here, address: Uint8Array.of(192, 0, 2, 2) },
    { ...here, address: new Uint8Array(16) },
  ];
  for (const from of elsewhere) assert.equal(opened(bytes, from, SECRET_TIME), undefined);
  assert.ok(opened(bytes, here, SECRET_TIME));
  assert.ok(opened(bytes, here, 2 * SECRET_TIME - 1), "the worst case of its two minutes");
  assert.equal(opened(bytes, here, 2 * SECRET_TIME), undefined);
});

Deno.test("T34: a request that has not proven its address costs no multiplication of a point", () => {
  const { crypto, secrets, request } = setUp();
  const read = readAsk(request().bytes);
  assert.ok(read?.step === "request");
  let multiplied = 0;
  const counting = { ...crypto, x25519: () => void multiplied++ };
  const valid = secrets.valid(at(0));
  assert.equal(secretOf(counting, valid, read, { ...here, port: 1 }), undefined);
  assert.ok(secretOf(counting, valid, read, here));
  assert.equal(multiplied, 0);
});

Deno.test("a replayed ask earns an offer that its sender alone can use", () => {
  const { crypto, random, begin, offered } = setUp();
  const { ask } = begin();
  const there = { ...here, port: 9 };
  const bytes = offered(ask.bytes, there);
  assert.ok(bytes);
  const thief = { ...sealAsk(crypto, random), id: ask.id, ephemeral: ask.ephemeral };
  const offer = openOffer(crypto, thief, bytes);
  assert.ok(offer, "it can read what is no secret");
  const { secrets } = setUp();
  const read = readAsk(sealRequest(crypto, random, offer, utf8.encode("let me in")).bytes);
  assert.ok(read?.step === "request");
  assert.equal(openRequest(crypto, secrets.current(at(0)), read), undefined);
});

Deno.test("only the asker that the request names opens the reply, not whoever sent the request", () => {
  const { crypto, asker, other, door, request, reply } = setUp();
  const sent = request();
  const bytes = reply(sent.bytes, { kind: "pending" }, asker);
  // The last one passed the asker's record on as its own: it knows all but the asker's secret.
  const thief = { signing: asker.signing, tunnelSecret: other.tunnelSecret };
  for (const holder of [other, door, thief]) {
    assert.equal(openReply(crypto, holder, sent, bytes), undefined);
  }
  assert.ok(openReply(crypto, asker, sent, bytes));
});

Deno.test("T41: a door cannot pass for another key: the reply proves the secret of the key in it", () => {
  const { crypto, random, asker, door, other, request, opened } = setUp();
  const sent = request();
  const got = opened(sent.bytes);
  assert.ok(got);
  const liar = { signing: door.signing, tunnelSecret: other.tunnelSecret };
  const to = asker.signing.publicKey;
  const bytes = sealReply(crypto, random, liar, got, to, { kind: "pending" });
  assert.ok(bytes);
  assert.equal(openReply(crypto, asker, sent, bytes), undefined);
});

Deno.test("a reply belongs to one request: an earlier one, replayed, is not taken", () => {
  const { crypto, random, asker, begin, reply } = setUp();
  const { offer } = begin();
  const [first, second] = [1, 2].map(() => sealRequest(crypto, random, offer, utf8.encode("x")));
  assert.ok(first && second);
  assert.notEqual(first.id, second.id);
  const pending = reply(first.bytes);
  assert.ok(openReply(crypto, asker, first, pending));
  assert.equal(openReply(crypto, asker, second, pending), undefined);
});

Deno.test("T18: an offer that is too long and a pending reply with something behind it are refused", () => {
  const { crypto, random, door, asker, secrets, begin, request, opened } = setUp();
  const { ask } = begin();
  const secret = { ...secrets.current(at(0)), ephemeral: random(33) };
  assert.equal(openOffer(crypto, ask, sealOffer(crypto, secret, ask, here)), undefined);
  const sent = request();
  const got = opened(sent.bytes);
  assert.ok(got);
  const altering = {
    ...crypto,
    xchacha20poly1305Seal: (
      key: Uint8Array,
      nonce: Uint8Array,
      ad: Uint8Array,
      plain: Uint8Array,
    ) =>
      crypto.xchacha20poly1305Seal(key, nonce, ad, plain.length === 2 ? plain.with(0, 0) : plain),
  };
  const granted: Reply = { kind: "granted", payload: Uint8Array.of(9) };
  const to = asker.signing.publicKey;
  const [good, bad] = [crypto, altering].map((by) => sealReply(by, random, door, got, to, granted));
  assert.ok(good && bad);
  assert.ok(openReply(crypto, asker, sent, good));
  assert.equal(openReply(crypto, asker, sent, bad), undefined);
});

Deno.test("T33: a reply to another request costs no multiplication of a point", () => {
  const { crypto, asker, request, reply } = setUp();
  let work = 0;
  const counting = {
    ...crypto,
    x25519: () => void work++,
    xchacha20poly1305Open: () => void work++,
  };
  const other = reply(request().bytes);
  assert.equal(openReply(counting, asker, request(), other), undefined);
  assert.equal(work, 0);
});

Deno.test("T41: keys of low order are refused by both sides", () => {
  const { crypto, random, door, begin, opened, request, secrets } = setUp();
  const one = Uint8Array.from({ length: 32 }, (_, i) => i === 0 ? 1 : 0);
  const { ask } = begin();
  for (const ephemeral of [new Uint8Array(32), one]) {
    const secret = { ...secrets.current(at(0)), ephemeral };
    const offer = sealOffer(crypto, secret, ask, here);
    assert.equal(openOffer(crypto, ask, offer), undefined, "the door's");
    const read = readAsk(request().bytes);
    assert.ok(read?.step === "request");
    const bad = { ...read, ephemeral };
    assert.equal(openRequest(crypto, secrets.current(at(0)), bad), undefined, "the asker's");
  }
  const got = opened(request().bytes);
  assert.ok(got);
  for (const to of [one, new Uint8Array(3)]) {
    assert.equal(sealReply(crypto, random, door, got, to, { kind: "refused" }), undefined);
  }
});

Deno.test("nothing of name, keys, mesh or grant can be read in any of the four datagrams", () => {
  const { door, asker, random, begin, request, reply } = setUp();
  const secrets = [
    utf8.encode("laptop-of-anna"),
    utf8.encode("0.1.0-rc7"),
    asker.signing.publicKey,
    asker.tunnelPublic,
    door.signing.publicKey,
    door.tunnelPublic,
    random(32), // a mesh id
  ];
  const content = new Uint8Array(secrets.flatMap((secret) => [...secret]));
  const { ask, bytes: offer } = begin();
  const sent = request(content);
  const granted = reply(sent.bytes, { kind: "granted", payload: content });
  for (const bytes of [ask.bytes, offer, sent.bytes, granted]) {
    for (const secret of secrets) {
      const part = secret.subarray(0, 8).toHex();
      assert.ok(!bytes.toHex().includes(part));
      assert.ok(!bytes.toHex().includes(utf8.encode(part).toHex()));
    }
  }
  const again = begin();
  assert.notDeepEqual(again.ask.ephemeral, ask.ephemeral, "each conversation has its own key");
  assert.notEqual(again.ask.id, ask.id);
});
