/**
 * {@link Crypto} without any security, for simulations of honest nodes only: a hundred times as fast
 * as the real thing, and with the same algebra, so that whoever has the right keys understands each
 * other and everybody else does not. Anybody could forge what it signs. Hostile nodes are simulated
 * with noble_crypto.ts.
 */
import type { Crypto } from "../crypto.ts";

const label = (text: string): Uint8Array => new TextEncoder().encode(text);
const HASH = label("hash");
const MAC = label("mac");
const SHARED = label("shared");
const SIGN = label("sign");
const VERIFY = label("verify");
const IMAGE = label("image");

/** A digest of so many bytes over all parts and their lengths. */
function digest(length: number, ...parts: readonly Uint8Array[]): Uint8Array {
  // Written out three times: as a function that changes two variables around it, it took twice as long.
  let a = 0x9e3779b9;
  let b = 0x85ebca6b;
  for (const part of parts) {
    a = Math.imul(a ^ part.length, 0x01000193) ^ b >>> 15;
    b = Math.imul(b ^ a, 0xc2b2ae35) ^ a >>> 13;
    for (let i = 0; i < part.length; i++) {
      a = Math.imul(a ^ (part[i] ?? 0), 0x01000193) ^ b >>> 15;
      b = Math.imul(b ^ a, 0xc2b2ae35) ^ a >>> 13;
    }
  }
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    a = Math.imul(a ^ i, 0x01000193) ^ b >>> 15;
    b = Math.imul(b ^ a, 0xc2b2ae35) ^ a >>> 13;
    bytes[i] = b >>> 16;
  }
  return bytes;
}

/**
 * Sixteen bytes over all parts and their lengths, four bytes at a time: of what a simulation computes most goes over
 * whole datagrams, and nothing but equality is asked of these.
 */
function tagOver(...parts: readonly Uint8Array[]): Uint8Array {
  let a = 0x9e3779b9;
  let b = 0x85ebca6b;
  for (const part of parts) {
    const { length } = part;
    a = Math.imul(a ^ length, 0x01000193) ^ b >>> 15;
    b = Math.imul(b ^ a, 0xc2b2ae35) ^ a >>> 13;
    let i = 0;
    for (; i + 4 <= length; i += 4) {
      const low = (part[i] ?? 0) | (part[i + 1] ?? 0) << 8;
      const high = (part[i + 2] ?? 0) | (part[i + 3] ?? 0) << 8;
      a = Math.imul(a ^ low ^ high << 16, 0x01000193) ^ b >>> 15;
      b = Math.imul(b ^ a, 0xc2b2ae35) ^ a >>> 13;
    }
    for (; i < length; i++) {
      a = Math.imul(a ^ (part[i] ?? 0), 0x01000193) ^ b >>> 15;
      b = Math.imul(b ^ a, 0xc2b2ae35) ^ a >>> 13;
    }
  }
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 16; i++) {
    a = Math.imul(a ^ i, 0x01000193) ^ b >>> 15;
    b = Math.imul(b ^ a, 0xc2b2ae35) ^ a >>> 13;
    bytes[i] = b >>> 16;
  }
  return bytes;
}

/** The public key of a secret, and the other way round: what makes it a toy. */
function mirrored(key: Uint8Array): Uint8Array {
  const other = new Uint8Array(key.length);
  for (let i = 0; i < key.length; i++) other[i] = (key[i] ?? 0) ^ 0xa5;
  return other;
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

function seal(key: Uint8Array, nonce: Uint8Array, data: Uint8Array, plain: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(plain.length + 16);
  sealed.set(plain);
  sealed.set(tagOver(key, nonce, data, plain), plain.length);
  return sealed;
}

function open(key: Uint8Array, nonce: Uint8Array, data: Uint8Array, sealed: Uint8Array) {
  if (sealed.length < 16) return undefined;
  const plain = sealed.slice(0, -16);
  const tag = tagOver(key, nonce, data, plain);
  return equal(tag, sealed.subarray(-16)) ? plain : undefined;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** See the module's note: simulations of honest nodes only. */
export const toyCrypto: Crypto = {
  x25519(secretKey, publicKey) {
    if (isZero(publicKey)) return undefined;
    const own = mirrored(secretKey);
    const isFirst = own.toHex() < publicKey.toHex();
    return isFirst ? digest(32, SHARED, own, publicKey) : digest(32, SHARED, publicKey, own);
  },
  x25519PublicKey: mirrored,

  ed25519FromSeed: (seed) => ({ publicKey: digest(32, VERIFY, seed), seed: seed.slice() }),
  ed25519Sign: ({ publicKey }, message) => digest(64, SIGN, publicKey, message),
  ed25519Verify: (signature, message, publicKey) =>
    equal(signature, digest(64, SIGN, publicKey, message)),
  ed25519ToX25519Public: (publicKey) => digest(32, IMAGE, publicKey),
  ed25519ToX25519Secret: (seed) => mirrored(digest(32, IMAGE, digest(32, VERIFY, seed))),

  chacha20poly1305Seal: seal,
  chacha20poly1305Open: open,
  xchacha20poly1305Seal: seal,
  xchacha20poly1305Open: open,

  blake2s: (...parts) => digest(32, HASH, joined(parts)),
  hmacBlake2s: (key, ...parts) => digest(32, MAC, key, joined(parts)),
  blake2sMac: (key, ...parts) => digest(16, MAC, key, joined(parts)),

  equal,
  wipe(...secrets) {
    for (const secret of secrets) secret.fill(0);
  },
};

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
