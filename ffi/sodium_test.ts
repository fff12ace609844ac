/** T1: libsodium, and the pure implementation that tests and the simulator use, against vectors. */
import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import { testVectors } from "../.ci/vectors.ts";
import type { Crypto } from "../mesh/crypto.ts";
import { nobleCrypto } from "../mesh/noble_crypto.ts";
import { loadSodium } from "./sodium.ts";

const sodium = loadSodium();
const implementations: Readonly<Record<string, Crypto>> = { sodium, noble: nobleCrypto };

interface Vectors<Case, Group = unknown> {
  readonly numberOfTests: number;
  readonly testGroups: readonly (Group & { readonly tests: readonly Case[] })[];
}

interface XdhCase {
  readonly tcId: number;
  readonly flags: readonly string[];
  readonly public: string;
  readonly private: string;
  readonly shared: string;
}

interface AeadCase {
  readonly tcId: number;
  readonly key: string;
  readonly iv: string;
  readonly aad: string;
  readonly msg: string;
  readonly ct: string;
  readonly tag: string;
  readonly result: "valid" | "invalid";
}

interface SignatureCase {
  readonly tcId: number;
  readonly msg: string;
  readonly sig: string;
  readonly result: "valid" | "invalid";
}

const bytes = (hex: string): Uint8Array => Uint8Array.fromHex(hex);
const hex = (value: Uint8Array | undefined): string | undefined => value?.toHex();
const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));

type Seal = Crypto["chacha20poly1305Seal"];
type Open = Crypto["chacha20poly1305Open"];

function checkAead(vectors: Vectors<AeadCase>, seal: Seal, open: Open, nonceLength: number): void {
  let checked = 0;
  for (const test of vectors.testGroups.flatMap((group) => group.tests)) {
    const [key, nonce, aad, plain] = [test.key, test.iv, test.aad, test.msg].map(bytes);
    assert.ok(key && nonce && aad && plain);
    const sealed = bytes(test.ct + test.tag);
    checked++;
    if (nonce.length !== nonceLength) {
      assert.throws(() => open(key, nonce, aad, sealed), RangeError, `case ${test.tcId}`);
      assert.throws(() => seal(key, nonce, aad, plain), RangeError, `case ${test.tcId}`);
      continue;
    }
    const opened = hex(open(key, nonce, aad, sealed));
    assert.equal(opened, test.result === "valid" ? test.msg : undefined, `case ${test.tcId}`);
    if (test.result === "valid") {
      assert.equal(hex(seal(key, nonce, aad, plain)), test.ct + test.tag, `case ${test.tcId}`);
    }
  }
  assert.equal(checked, vectors.numberOfTests);
}

for (const [name, subject] of Object.entries(implementations)) {
  testVectors<Vectors<XdhCase>>(
    "x25519_test.json",
    `T1: ${name} agrees with 518 X25519 vectors and refuses 31 zero secrets (R25)`,
    (vectors) => {
      let zero = 0;
      const cases = vectors.testGroups.flatMap((group) => group.tests);
      for (const test of cases) {
        const shared = subject.x25519(bytes(test.private), bytes(test.public));
        const isZero = /^0+$/.test(test.shared);
        assert.equal(hex(shared), isZero ? undefined : test.shared, `case ${test.tcId}`);
        if (isZero) zero++;
      }
      assert.deepEqual([cases.length, zero], [518, 31]);
    },
  );

  testVectors<Vectors<AeadCase>>(
    "chacha20_poly1305_test.json",
    `T1: ${name} agrees with 325 ChaCha20-Poly1305 vectors`,
    (vectors) => {
      assert.equal(vectors.numberOfTests, 325);
      checkAead(
        vectors,
        subject.chacha20poly1305Seal.bind(subject),
        subject.chacha20poly1305Open.bind(subject),
        12,
      );
    },
  );

  testVectors<Vectors<AeadCase>>(
    "xchacha20_poly1305_test.json",
    `T1: ${name} agrees with 315 XChaCha20-Poly1305 vectors`,
    (vectors) => {
      assert.equal(vectors.numberOfTests, 315);
      checkAead(
        vectors,
        subject.xchacha20poly1305Seal.bind(subject),
        subject.xchacha20poly1305Open.bind(subject),
        24,
      );
    },
  );

  testVectors<Vectors<SignatureCase, { readonly publicKey: { readonly pk: string } }>>(
    "ed25519_test.json",
    `T1: ${name} agrees with 151 Ed25519 vectors`,
    (vectors) => {
      let checked = 0;
      for (const { publicKey, tests } of vectors.testGroups) {
        for (const test of tests) {
          const isValid = subject.ed25519Verify(
            bytes(test.sig),
            bytes(test.msg),
            bytes(publicKey.pk),
          );
          assert.equal(isValid, test.result === "valid", `case ${test.tcId}`);
          checked++;
        }
      }
      assert.equal(checked, 151);
    },
  );

  Deno.test(`${name}: RFC 7693 appendix B, BLAKE2s of "abc"`, () => {
    assert.equal(
      hex(subject.blake2s(new TextEncoder().encode("abc"))),
      "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982",
    );
  });

  Deno.test(`${name}: lengths of keys are checked at the door`, () => {
    assert.throws(() => subject.x25519(random(31), random(32)), RangeError);
    assert.throws(() => subject.x25519(random(32), random(33)), RangeError);
    assert.throws(() => subject.x25519PublicKey(random(0)), RangeError);
    assert.throws(() => subject.ed25519FromSeed(random(64)), RangeError);
    assert.throws(() => subject.ed25519ToX25519Secret(random(16)), RangeError);
    assert.throws(() => subject.ed25519ToX25519Public(random(31)), RangeError);
    assert.throws(
      () => subject.chacha20poly1305Seal(random(16), random(12), random(0), random(0)),
      RangeError,
    );
    assert.equal(subject.ed25519Verify(random(63), random(1), random(32)), false);
    assert.equal(
      subject.chacha20poly1305Open(random(32), random(12), random(0), random(15)),
      undefined,
    );
  });

  Deno.test(`${name}: equal compares content and length, wipe leaves zeros (R65)`, () => {
    const secret = random(32);
    assert.ok(subject.equal(secret, secret.slice()));
    assert.ok(!subject.equal(secret, secret.subarray(1)));
    assert.ok(subject.equal(new Uint8Array(0), new Uint8Array(0)));
    const other = secret.slice();
    other[31] = (other[31] ?? 0) ^ 1;
    assert.ok(!subject.equal(secret, other));
    subject.wipe(secret, other);
    assert.deepEqual([...secret, ...other], Array(64).fill(0));
  });

  Deno.test(`${name}: a key and its X25519 image agree on both sides`, () => {
    const ours = subject.ed25519FromSeed(random(32));
    const theirs = subject.ed25519FromSeed(random(32));
    const theirPublic = subject.ed25519ToX25519Public(theirs.publicKey);
    const ourPublic = subject.ed25519ToX25519Public(ours.publicKey);
    assert.ok(theirPublic && ourPublic);
    assert.deepEqual(
      subject.x25519PublicKey(subject.ed25519ToX25519Secret(ours.seed)),
      ourPublic,
    );
    assert.deepEqual(
      subject.x25519(subject.ed25519ToX25519Secret(ours.seed), theirPublic),
      subject.x25519(subject.ed25519ToX25519Secret(theirs.seed), ourPublic),
    );
  });
}

/** Points of order 1, 2, 4 and 8, and encodings of them that are not canonical. */
const LOW_ORDER = [
  "0100000000000000000000000000000000000000000000000000000000000000",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "0000000000000000000000000000000000000000000000000000000000000000",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

Deno.test("T1: both implementations give the same answers to the same random input", () => {
  for (let i = 0; i < 50; i++) {
    const [secret, other, seed, key] = [random(32), random(32), random(32), random(32)];
    assert.ok(secret && other && seed && key);
    const message = random(i);
    const nonce = random(24);
    const answers = [sodium, nobleCrypto].map((subject) => {
      const signer = subject.ed25519FromSeed(seed);
      const signature = subject.ed25519Sign(signer, message);
      return [
        subject.x25519PublicKey(secret),
        subject.x25519(secret, other),
        signer.publicKey,
        signature,
        subject.ed25519Verify(signature, message, signer.publicKey),
        subject.ed25519ToX25519Public(signer.publicKey),
        subject.ed25519ToX25519Public(other),
        subject.ed25519ToX25519Secret(seed),
        subject.chacha20poly1305Seal(key, nonce.subarray(12), other, message),
        subject.xchacha20poly1305Seal(key, nonce, other, message),
        subject.blake2s(secret, other),
        subject.hmacBlake2s(key, message, other),
        subject.blake2sMac(key, message, other),
      ];
    });
    assert.deepEqual(answers[0], answers[1]);
  }
  for (const point of LOW_ORDER.map(bytes)) {
    const answers = [sodium, nobleCrypto].map((subject) => [
      subject.ed25519ToX25519Public(point),
      subject.ed25519Verify(new Uint8Array(64), random(8), point),
    ]);
    assert.deepEqual(answers, [[undefined, false], [undefined, false]], point.toHex());
  }
});

Deno.test("a signature is made with the seed's own public key, whatever the pair says", () => {
  const key = sodium.ed25519FromSeed(random(32));
  const forged = { seed: key.seed, publicKey: random(32) };
  const message = random(40);
  assert.deepEqual(sodium.ed25519Sign(forged, message), sodium.ed25519Sign(key, message));
});

const HASHLIB = `
import hashlib, hmac, sys
for line in sys.stdin:
    key, message = (bytes.fromhex(part) for part in line.rstrip("\\n").split(" "))
    print(hashlib.blake2s(message).hexdigest(),
          hmac.new(key, message, hashlib.blake2s).hexdigest(),
          hashlib.blake2s(message, key=key, digest_size=16).hexdigest())
`;

async function hashlib(lines: readonly string[]): Promise<string[]> {
  const process = new Deno.Command("python3", {
    args: ["-c", HASHLIB],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = process.stdin.getWriter();
  const sent = writer.write(new TextEncoder().encode(lines.join("\n") + "\n")).then(() =>
    writer.close()
  );
  const { stdout } = await process.output();
  await sent;
  return new TextDecoder().decode(stdout).trimEnd().split("\n");
}

const python = await new Deno.Command("python3", { args: ["-c", "import hashlib"] }).output()
  .then(({ success }) => success, () => false);

testUnless(
  { thing: python ? undefined : "no python3 with hashlib here" },
  "T1: 10,000 random BLAKE2s, HMAC and keyed MACs agree with Python's hashlib",
  async () => {
    const inputs = Array.from({ length: 10_000 }, (_, i) => [random(1 + i % 32), random(i % 300)]);
    const lines = inputs.map(([key, message]) => `${hex(key)} ${hex(message)}`);
    const theirs = await hashlib(lines);
    for (const subject of [sodium, nobleCrypto]) {
      const ours = inputs.map(([key = random(1), message = random(0)]) =>
        [
          subject.blake2s(message),
          subject.hmacBlake2s(key, message.subarray(0, 7), message.subarray(7)),
          subject.blake2sMac(key, message),
        ].map(hex).join(" ")
      );
      assert.deepEqual(ours, theirs);
    }
  },
);
