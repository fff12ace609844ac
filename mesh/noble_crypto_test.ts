/** T1 for the pure implementation; libsodium's has the same test beside it. */
import assert from "node:assert/strict";
import { testVectors } from "../.ci/vectors.ts";
import { fromHex } from "./codec.ts";
import { nobleCrypto as crypto } from "./noble_crypto.ts";

interface Wycheproof<Group> {
  readonly numberOfTests: number;
  readonly testGroups: readonly Group[];
}

interface AeadGroup {
  readonly tests: readonly {
    readonly tcId: number;
    readonly key: string;
    readonly iv: string;
    readonly aad: string;
    readonly msg: string;
    readonly ct: string;
    readonly tag: string;
    readonly result: "valid" | "invalid";
  }[];
}

function bytes(hex: string): Uint8Array {
  const parsed = fromHex(hex);
  assert.ok(parsed, hex);
  return parsed;
}

testVectors<
  Wycheproof<{
    readonly tests: readonly {
      readonly tcId: number;
      readonly public: string;
      readonly private: string;
      readonly shared: string;
    }[];
  }>
>(
  "x25519_test.json",
  "T1: X25519 gives 518 known results, and refuses the 31 that are zero",
  (file) => {
    let tried = 0;
    let refused = 0;
    for (const group of file.testGroups) {
      for (const test of group.tests) {
        const shared = crypto.x25519(bytes(test.private), bytes(test.public));
        if (/^0+$/.test(test.shared)) {
          assert.equal(shared, undefined, `case ${test.tcId}`);
          refused++;
        } else {
          assert.ok(shared, `case ${test.tcId}`);
          assert.equal(shared.toHex(), test.shared, `case ${test.tcId}`);
        }
        tried++;
      }
    }
    assert.deepEqual([tried, refused], [518, 31]);
  },
);

for (
  const [file, count, nonceLength, seal, open] of [
    [
      "chacha20_poly1305_test.json",
      325,
      12,
      crypto.chacha20poly1305Seal,
      crypto.chacha20poly1305Open,
    ],
    [
      "xchacha20_poly1305_test.json",
      315,
      24,
      crypto.xchacha20poly1305Seal,
      crypto.xchacha20poly1305Open,
    ],
  ] as const
) {
  testVectors<Wycheproof<AeadGroup>>(file, `T1: ${file} agrees in both directions`, (vectors) => {
    let tried = 0;
    for (const { tests } of vectors.testGroups) {
      for (const test of tests) {
        tried++;
        const [key, nonce, aad] = [bytes(test.key), bytes(test.iv), bytes(test.aad)];
        const sealed = bytes(test.ct + test.tag);
        if (nonce.length !== nonceLength) {
          assert.equal(test.result, "invalid");
          assert.throws(() => open(key, nonce, aad, sealed), RangeError);
        } else if (test.result === "valid") {
          assert.equal(seal(key, nonce, aad, bytes(test.msg)).toHex(), test.ct + test.tag);
          assert.equal((open(key, nonce, aad, sealed) ?? new Uint8Array()).toHex(), test.msg);
        } else {
          assert.equal(open(key, nonce, aad, sealed), undefined, `case ${test.tcId}`);
        }
      }
    }
    assert.equal(tried, count);
  });
}

testVectors<
  Wycheproof<{
    readonly publicKey: { readonly pk: string };
    readonly tests: readonly {
      readonly tcId: number;
      readonly msg: string;
      readonly sig: string;
      readonly result: "valid" | "invalid";
    }[];
  }>
>("ed25519_test.json", "T1: Ed25519 accepts and refuses as Wycheproof says", (file) => {
  let tried = 0;
  for (const group of file.testGroups) {
    for (const test of group.tests) {
      tried++;
      const isValid = crypto.ed25519Verify(
        bytes(test.sig),
        bytes(test.msg),
        bytes(group.publicKey.pk),
      );
      assert.equal(isValid, test.result === "valid", `case ${test.tcId}`);
    }
  }
  assert.equal(tried, 151);
});

Deno.test("T1: BLAKE2s of 'abc' is that of RFC 7693, appendix B; parts are joined", () => {
  const abc = new TextEncoder().encode("abc");
  const digest = "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982";
  assert.equal(crypto.blake2s(abc).toHex(), digest);
  assert.equal(crypto.blake2s(abc.subarray(0, 1), abc.subarray(1)).toHex(), digest);
});

Deno.test("T1: a chain of 10,000 BLAKE2s digests ends where Python's hashlib ends", () => {
  // last = blake2s((last * 9)[:32 + i % 257]), from 32 zero bytes
  let last: Uint8Array = new Uint8Array(32);
  for (let i = 0; i < 10_000; i++) {
    const message = new Uint8Array(9 * 32);
    for (let copy = 0; copy < 9; copy++) message.set(last, copy * 32);
    last = crypto.blake2s(message.subarray(0, 32 + i % 257));
  }
  assert.equal(last.toHex(), "91d7ca6924b249e45c1193ad84c2d7e021f9e98d86f3182a5627f96858aa6510");
});

Deno.test("T1: keyed BLAKE2s with 16 bytes and HMAC-BLAKE2s agree with Python's hashlib", () => {
  const key = Uint8Array.from({ length: 32 }, (_, i) => i);
  const data = new TextEncoder().encode("shoal");
  // hashlib.blake2s(b"shoal", key=bytes(range(32)), digest_size=16)
  assert.equal(crypto.blake2sMac(key, data).toHex(), "c53ec283d55bf6aea53285f40b3e033d");
  // hmac.new(bytes(range(32)), b"shoal", "blake2s")
  assert.equal(
    crypto.hmacBlake2s(key, data).toHex(),
    "6b66922d41a50c7e47bd032b51b63e437f37756f2835ade2ad6ad3f539d8269c",
  );
});

Deno.test("the X25519 image of an Ed25519 key pair is a key pair", () => {
  for (let i = 0; i < 10; i++) {
    const key = crypto.ed25519FromSeed(crypto.blake2s(Uint8Array.of(i)));
    const image = crypto.ed25519ToX25519Public(key.publicKey);
    const secret = crypto.ed25519ToX25519Secret(key.seed);
    assert.deepEqual(image, crypto.x25519PublicKey(secret));
  }
  const identityPoint = Uint8Array.from({ length: 32 }, (_, i) => i === 0 ? 1 : 0);
  assert.equal(crypto.ed25519ToX25519Public(identityPoint), undefined);
});

Deno.test("a signature is good for its message and key only", () => {
  const key = crypto.ed25519FromSeed(new Uint8Array(32));
  const message = Uint8Array.of(1, 2, 3);
  const signature = crypto.ed25519Sign(key, message);
  assert.ok(crypto.ed25519Verify(signature, message, key.publicKey));
  assert.ok(!crypto.ed25519Verify(signature, Uint8Array.of(1, 2, 4), key.publicKey));
  assert.ok(!crypto.ed25519Verify(signature.subarray(1), message, key.publicKey));
});

Deno.test("bytes compare equal only when all of them and their number agree", () => {
  assert.ok(crypto.equal(Uint8Array.of(1, 2), Uint8Array.of(1, 2)));
  assert.ok(!crypto.equal(Uint8Array.of(1, 2), Uint8Array.of(1, 3)));
  assert.ok(!crypto.equal(Uint8Array.of(1, 2), Uint8Array.of(1)));
});
