import assert from "node:assert/strict";
import fc from "fast-check";
import type { Crypto } from "../crypto.ts";
import { DATAGRAM_MAX } from "./seal.ts";
import { nobleCrypto } from "../noble_crypto.ts";
import { Seeded } from "../sim/random.ts";
import { toyCrypto } from "../sim/toy_crypto.ts";
import { identityFromSeed } from "../membership/identity.ts";
import {
  ANSWER_CONTENT_MAX,
  claimsPass,
  doorKeyOf,
  hasPass,
  HELLO_CONTENT_MAX,
  isForDoor,
  openAnswer,
  openHello,
  openRetry,
  readHello,
  sealAnswer,
  sealHello,
  sealRetry,
} from "./contact.ts";

const utf8 = new TextEncoder();

/** A door and somebody who knows its key. */
function setUp(crypto: Crypto = nobleCrypto, seed = 1) {
  const { bytes: random } = new Seeded(seed);
  const meshId = random(32);
  const [door, joiner, other] = [1, 2, 3].map(() => identityFromSeed(crypto, random(32)));
  assert.ok(door && joiner && other);
  const key = doorKeyOf(crypto, meshId, door.signing.publicKey);
  assert.ok(key);
  const hello = (content?: Uint8Array, cookie?: Uint8Array) => {
    const sent = sealHello(crypto, random, key, content ?? utf8.encode("content"), cookie);
    assert.ok(sent);
    return sent;
  };
  /** All that a door does with a datagram. */
  const opened = (bytes: Uint8Array) => {
    const read = readHello(bytes);
    return read && isForDoor(crypto, key, read) ? openHello(crypto, key, door, read) : undefined;
  };
  const answer = (bytes: Uint8Array, to = joiner, content = utf8.encode("welcome")) => {
    const got = opened(bytes);
    assert.ok(got);
    const made = sealAnswer(crypto, random, door, got, to.signing.publicKey, content);
    assert.ok(made);
    return made;
  };
  const retry = (bytes: Uint8Array, cookie: Uint8Array) => {
    const read = readHello(bytes);
    assert.ok(read);
    return sealRetry(crypto, random, key, read, cookie);
  };
  return { crypto, random, meshId, door, joiner, other, key, hello, opened, answer, retry };
}

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice();
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ 1 << (bit & 7);
  return copy;
}

/** Whether some bytes stand anywhere in others, as they are or as hexadecimal text. */
function contains(bytes: Uint8Array, part: Uint8Array): boolean {
  const wanted = part.toHex();
  return bytes.toHex().includes(wanted) || bytes.toHex().includes(utf8.encode(wanted).toHex());
}

for (const [name, crypto] of [["noble", nobleCrypto], ["toy", toyCrypto]] as const) {
  Deno.test(`a hello, a retry and an answer of any content arrive (${name})`, () => {
    const { random, joiner, door, key, hello, opened, answer, retry } = setUp(crypto);
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: HELLO_CONTENT_MAX }),
        fc.uint8Array({ maxLength: ANSWER_CONTENT_MAX }),
        (content, reply) => {
          const first = hello(content);
          assert.deepEqual(opened(first.bytes)?.content, content);
          const cookie = openRetry(crypto, first, retry(first.bytes, random(16)));
          assert.ok(cookie);
          const second = hello(content, cookie);
          const read = readHello(second.bytes);
          assert.ok(read && claimsPass(read) && hasPass(crypto, cookie, read));
          assert.deepEqual(opened(second.bytes)?.content, content);
          const bytes = answer(second.bytes, joiner, reply);
          assert.deepEqual(openAnswer(crypto, joiner, second, bytes), reply);
          assert.equal(openAnswer(crypto, joiner, first, bytes), undefined, "of another hello");
        },
      ),
      { numRuns: crypto === toyCrypto ? 200 : 20 },
    );
    const longest = new Uint8Array(HELLO_CONTENT_MAX + 1);
    assert.throws(() => sealHello(crypto, random, key, longest), RangeError);
    const got = opened(hello().bytes);
    assert.ok(got);
    const tooLong = new Uint8Array(ANSWER_CONTENT_MAX + 1);
    const to = joiner.signing.publicKey;
    assert.throws(() => sealAnswer(crypto, random, door, got, to, tooLong), RangeError);
  });
}

Deno.test("the longest record and the longest name fit a hello", () => {
  assert.ok(HELLO_CONTENT_MAX >= 1024 + 2 + 64, `${HELLO_CONTENT_MAX}`);
});

Deno.test("T34: every hello has 1,232 bytes, and no answer to it has more, a retry a sixteenth", () => {
  const { hello, answer, joiner, retry, random } = setUp();
  for (const size of [0, 1, 500, HELLO_CONTENT_MAX]) {
    const { bytes } = hello(new Uint8Array(size));
    assert.equal(bytes.length, DATAGRAM_MAX);
    const longest = answer(bytes, joiner, new Uint8Array(ANSWER_CONTENT_MAX));
    assert.equal(longest.length, DATAGRAM_MAX);
    assert.equal(retry(bytes, random(16)).length, 76);
  }
});

Deno.test("T18: a hello with any bit flipped is refused by its mac", () => {
  const { hello, opened } = setUp();
  const { bytes } = hello(utf8.encode("content"));
  assert.ok(opened(bytes));
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    assert.equal(opened(flipped(bytes, bit)), undefined, `bit ${bit}`);
  }
});

Deno.test("T18: a hello whose mac was made anew after a flip is refused by its seal", () => {
  // A former member knows the mac key and may alter a hello that it captured.
  const { crypto, key, door, hello } = setUp();
  const { bytes } = hello(utf8.encode("content"));
  for (let bit = 8 * 36; bit < 8 * bytes.length; bit += bit < 8 * 68 ? 1 : 41) {
    const read = readHello(flipped(bytes, bit));
    assert.ok(read);
    assert.equal(openHello(crypto, key, door, read), undefined, `bit ${bit}`);
  }
});

Deno.test("T18: an answer and a retry with any bit flipped are refused", () => {
  const { crypto, random, joiner, hello, answer, retry } = setUp();
  const sent = hello();
  const made = { answer: answer(sent.bytes), retry: retry(sent.bytes, random(16)) };
  assert.ok(openAnswer(crypto, joiner, sent, made.answer));
  assert.ok(openRetry(crypto, sent, made.retry));
  for (let bit = 0; bit < 8 * made.answer.length; bit++) {
    const bytes = flipped(made.answer, bit);
    assert.equal(openAnswer(crypto, joiner, sent, bytes), undefined, `answer, bit ${bit}`);
  }
  for (let bit = 0; bit < 8 * made.retry.length; bit++) {
    const bytes = flipped(made.retry, bit);
    assert.equal(openRetry(crypto, sent, bytes), undefined, `retry, bit ${bit}`);
  }
});

Deno.test("T18: no truncation and no other bytes are taken for any of them, and nothing throws", () => {
  const { crypto, random, joiner, hello, opened, answer, retry } = setUp();
  const sent = hello();
  const all = [sent.bytes, answer(sent.bytes), retry(sent.bytes, random(16))];
  const isRefused = (bytes: Uint8Array) => {
    if (bytes.length !== DATAGRAM_MAX) assert.equal(readHello(bytes), undefined);
    assert.equal(opened(bytes), undefined);
    assert.equal(openAnswer(crypto, joiner, sent, bytes), undefined);
    assert.equal(openRetry(crypto, sent, bytes), undefined);
  };
  for (const bytes of all) {
    for (let length = 0; length < bytes.length; length++) isRefused(bytes.subarray(0, length));
    isRefused(Uint8Array.of(...bytes, 0));
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 1300 }), isRefused));
  const heads = fc.constantFrom(...all.map((bytes) => bytes.subarray(0, 20)));
  fc.assert(
    fc.property(heads, fc.uint8Array({ minLength: 1212, maxLength: 1212 }), (head, rest) => {
      isRefused(Uint8Array.of(...head, ...rest));
    }),
  );
});

Deno.test("a hello is for one door of one mesh", () => {
  const { crypto, meshId, random, door, other, hello } = setUp();
  const read = readHello(hello().bytes);
  assert.ok(read);
  for (
    const { mesh, holder } of [{ mesh: meshId, holder: other }, { mesh: random(32), holder: door }]
  ) {
    const key = doorKeyOf(crypto, mesh, holder.signing.publicKey);
    assert.ok(key);
    assert.ok(!isForDoor(crypto, key, read));
    assert.equal(openHello(crypto, key, holder, read), undefined, "even without the mac");
  }
});

Deno.test("only whom the hello named opens the answer, not whoever sent the hello", () => {
  const { crypto, door, joiner, other, hello, answer } = setUp();
  const sent = hello();
  const bytes = answer(sent.bytes, joiner);
  // The last one sent a hello with the joiner's record in it: it knows all but the joiner's secret.
  const thief = { signing: joiner.signing, tunnelSecret: other.tunnelSecret };
  for (const holder of [door, other, thief]) {
    assert.equal(openAnswer(crypto, holder, sent, bytes), undefined);
  }
});

Deno.test("T41: a key and its negative, which share an X25519 image, are two keys", () => {
  const { crypto, random, meshId, door, joiner, key, hello, opened } = setUp();
  const negative = (publicKey: Uint8Array) => publicKey.with(31, (publicKey[31] ?? 0) ^ 0x80);
  const twin = doorKeyOf(crypto, meshId, negative(key.key));
  const sent = hello();
  const [read, got] = [readHello(sent.bytes), opened(sent.bytes)];
  assert.ok(twin && read && got);
  assert.deepEqual(twin.image, key.image);
  assert.ok(!isForDoor(crypto, twin, read));
  assert.equal(openHello(crypto, twin, door, read), undefined);
  const to = negative(joiner.signing.publicKey);
  const bytes = sealAnswer(crypto, random, door, got, to, utf8.encode("hi"));
  assert.ok(bytes);
  assert.equal(openAnswer(crypto, joiner, sent, bytes), undefined);
});

Deno.test("T33: an answer to another hello, or a forged retry, costs no multiplication of a point", () => {
  const { crypto, random, joiner, hello, answer, retry } = setUp();
  let work = 0;
  const counting = {
    ...crypto,
    x25519: () => void work++,
    xchacha20poly1305Open: () => void work++,
  };
  const [sent, another] = [hello(), hello()];
  assert.equal(openAnswer(counting, joiner, sent, answer(another.bytes)), undefined);
  assert.equal(openRetry(counting, sent, retry(another.bytes, random(16))), undefined);
  assert.equal(work, 0);
});

Deno.test("only the door answers: the secret of another key does not do", () => {
  const { crypto, random, joiner, other, key, hello } = setUp();
  const sent = hello();
  const read = readHello(sent.bytes);
  assert.ok(read);
  // Another member that is handed the hello, and knows everything but the door's secret.
  const forged = openHello(crypto, key, other, read);
  assert.equal(forged, undefined);
  const own = { content: new Uint8Array(0), chain: random(32) };
  const bytes = sealAnswer(crypto, random, other, own, joiner.signing.publicKey, utf8.encode("hi"));
  assert.ok(bytes);
  bytes.set(Uint8Array.fromHex(sent.id), 4);
  assert.equal(openAnswer(crypto, joiner, sent, bytes), undefined);
});

Deno.test("a door that answers a hello twice never uses a key with one nonce twice", () => {
  const { hello, answer, joiner, crypto } = setUp();
  const sent = hello();
  const [first, second] = [1, 2].map(() => answer(sent.bytes, joiner, utf8.encode("the same")));
  assert.ok(first && second);
  assert.notDeepEqual(first, second);
  for (const bytes of [first, second]) assert.ok(openAnswer(crypto, joiner, sent, bytes));
});

Deno.test("a pass belongs to one hello and one cookie", () => {
  const { crypto, random, hello } = setUp();
  const cookie = random(16);
  const [first, second] = [hello(undefined, cookie), hello(undefined, cookie)].map(({ bytes }) =>
    readHello(bytes)
  );
  assert.ok(first && second);
  assert.ok(hasPass(crypto, cookie, first));
  assert.ok(!hasPass(crypto, random(16), first));
  assert.ok(!hasPass(crypto, cookie, { ...first, pass: second.pass }));
  assert.ok(!hasPass(crypto, cookie, { ...first, sealed: second.sealed }));
  const without = readHello(hello().bytes);
  assert.ok(without && !claimsPass(without));
});

Deno.test("T41: ephemeral keys of low order open nothing, and keys that are no points have no door", () => {
  const { crypto, random, meshId, door, key, hello, opened } = setUp();
  const read = readHello(hello().bytes);
  assert.ok(read);
  const one = Uint8Array.from({ length: 32 }, (_, i) => i === 0 ? 1 : 0);
  for (const ephemeral of [new Uint8Array(32), one]) {
    assert.equal(openHello(crypto, key, door, { ...read, ephemeral }), undefined);
  }
  assert.equal(doorKeyOf(crypto, meshId, one), undefined, "of small order");
  assert.equal(doorKeyOf(crypto, meshId, new Uint8Array(31)), undefined);
  const got = opened(hello().bytes);
  assert.ok(got);
  assert.equal(sealAnswer(crypto, random, door, got, one, new Uint8Array(1)), undefined);
  assert.equal(sealAnswer(crypto, random, door, got, new Uint8Array(5), one), undefined);
  assert.equal(sealHello(crypto, random, { ...key, image: new Uint8Array(32) }, one), undefined);
});

Deno.test("nothing of name, key, version or mesh can be read in a datagram, and no two are alike", () => {
  const { random, meshId, door, joiner, hello, answer, retry } = setUp();
  const secrets = [
    utf8.encode("laptop-of-anna"),
    utf8.encode("0.1.0-rc7"),
    joiner.signing.publicKey,
  ];
  const content = new Uint8Array(secrets.flatMap((secret) => [...secret]));
  const cookie = random(16);
  const sent = [hello(content), hello(content)];
  const all = sent.flatMap(({ bytes }) => [
    bytes,
    retry(bytes, cookie),
    answer(bytes, joiner, content),
  ]);
  for (const bytes of all) {
    const open = [...secrets, meshId, door.signing.publicKey, door.tunnelPublic, cookie];
    for (const part of open) assert.ok(!contains(bytes, part.subarray(0, 8)));
  }
  // No four bytes after the head stand at the same place in two datagrams of one kind.
  for (let kind = 0; kind < 3; kind++) {
    const [a, b] = [all[kind], all[kind + 3]];
    assert.ok(a && b);
    for (let i = kind === 0 ? 36 : 4; i + 4 <= a.length; i++) {
      assert.notEqual(a.subarray(i, i + 4).toHex(), b.subarray(i, i + 4).toHex(), `at ${i}`);
    }
  }
});
