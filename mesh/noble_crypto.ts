/**
 * {@link Crypto} from the pure @noble packages, for tests and the simulator only: JavaScript gives
 * no constant-time guarantees, and `wipe` cannot reach copies that the engine made. The program
 * itself runs on libsodium (`ffi/`). What is slow is computed once for the same arguments (sim/remembered.ts).
 */
import { chacha20poly1305, xchacha20poly1305 } from "npm:@noble/ciphers@2.4.0/chacha.js";
import { ed25519, x25519 } from "npm:@noble/curves@2.4.0/ed25519.js";
import { blake2s } from "npm:@noble/hashes@2.4.0/blake2.js";
import { hmac } from "npm:@noble/hashes@2.4.0/hmac.js";
import type { Crypto, SigningKey } from "./crypto.ts";
import { KEY_LENGTH, TAG_LENGTH } from "./crypto.ts";
import { remembered } from "./sim/remembered.ts";

function requireLength(name: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) {
    throw new RangeError(`${name}: ${bytes.length} bytes, must be ${length}`);
  }
}

const copied = <T extends Uint8Array | undefined>(bytes: T): T => bytes?.slice() as T;

type Aead = typeof chacha20poly1305 | typeof xchacha20poly1305;

function seal(
  aead: Aead,
  nonceLength: number,
  key: Uint8Array,
  nonce: Uint8Array,
  additionalData: Uint8Array,
  plaintext: Uint8Array,
): Uint8Array {
  requireLength("key", key, KEY_LENGTH);
  requireLength("nonce", nonce, nonceLength);
  return aead(key, nonce, additionalData).encrypt(plaintext);
}

function open(
  aead: Aead,
  nonceLength: number,
  key: Uint8Array,
  nonce: Uint8Array,
  additionalData: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  requireLength("key", key, KEY_LENGTH);
  requireLength("nonce", nonce, nonceLength);
  if (sealed.length < TAG_LENGTH) return undefined;
  try {
    return aead(key, nonce, additionalData).decrypt(sealed);
  } catch {
    return undefined; // the only failure left is a tag that does not fit
  }
}

const sign = remembered(
  copied,
  (seed: Uint8Array, message: Uint8Array) => ed25519.sign(message, seed),
);

/** See the module's note: tests and simulation only. */
export const nobleCrypto: Crypto = {
  x25519: remembered(copied, (secretKey, publicKey) => {
    requireLength("secret key", secretKey, KEY_LENGTH);
    requireLength("public key", publicKey, KEY_LENGTH);
    try {
      return x25519.getSharedSecret(secretKey, publicKey);
    } catch {
      return undefined; // noble refuses an all-zero result, as R25 asks
    }
  }),
  x25519PublicKey: remembered(copied, (secretKey) => {
    requireLength("secret key", secretKey, KEY_LENGTH);
    return x25519.getPublicKey(secretKey);
  }),

  ed25519FromSeed: remembered(
    ({ publicKey, seed }): SigningKey => ({ publicKey: publicKey.slice(), seed: seed.slice() }),
    (seed) => {
      requireLength("seed", seed, KEY_LENGTH);
      return { publicKey: ed25519.getPublicKey(seed), seed: seed.slice() };
    },
  ),
  ed25519Sign: (key, message) => sign(key.seed, message),
  ed25519Verify: remembered((isGenuine) => isGenuine, (signature, message, publicKey) => {
    if (signature.length !== 64 || publicKey.length !== KEY_LENGTH) return false;
    try {
      return ed25519.verify(signature, message, publicKey, { zip215: false });
    } catch {
      return false;
    }
  }),
  ed25519ToX25519Public: remembered(copied, (publicKey) => {
    requireLength("public key", publicKey, KEY_LENGTH);
    try {
      // toMontgomery alone would accept small-order points; libsodium refuses them.
      const point = ed25519.Point.fromBytes(publicKey);
      return point.isSmallOrder() || !point.isTorsionFree()
        ? undefined
        : ed25519.utils.toMontgomery(publicKey);
    } catch {
      return undefined;
    }
  }),
  ed25519ToX25519Secret(seed) {
    requireLength("seed", seed, KEY_LENGTH);
    return ed25519.utils.toMontgomerySecret(seed);
  },

  chacha20poly1305Seal: (key, nonce, ad, plaintext) =>
    seal(chacha20poly1305, 12, key, nonce, ad, plaintext),
  chacha20poly1305Open: (key, nonce, ad, sealed) =>
    open(chacha20poly1305, 12, key, nonce, ad, sealed),
  xchacha20poly1305Seal: (key, nonce, ad, plaintext) =>
    seal(xchacha20poly1305, 24, key, nonce, ad, plaintext),
  xchacha20poly1305Open: (key, nonce, ad, sealed) =>
    open(xchacha20poly1305, 24, key, nonce, ad, sealed),

  blake2s(...parts) {
    const hash = blake2s.create({});
    for (const part of parts) hash.update(part);
    return hash.digest();
  },
  hmacBlake2s(key, ...parts) {
    const mac = hmac.create(blake2s, key);
    for (const part of parts) mac.update(part);
    return mac.digest();
  },
  blake2sMac(key, ...parts) {
    const mac = blake2s.create({ dkLen: TAG_LENGTH, key });
    for (const part of parts) mac.update(part);
    return mac.digest();
  },

  equal(a, b) {
    if (a.length !== b.length) return false;
    let difference = 0;
    for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
    return difference === 0;
  },
  wipe(...secrets) {
    for (const secret of secrets) secret.fill(0);
  },
};
