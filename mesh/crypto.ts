/**
 * The cryptography that mesh needs, as an interface: mesh stays pure, `ffi/` implements it with
 * libsodium, tests and the simulator with `noble_crypto.ts`. All byte strings in are left
 * unchanged and not kept; all byte strings out are fresh. Arguments of a wrong length are misuse
 * and throw a RangeError; bad input from the network gives `undefined` or `false`.
 */

/** An Ed25519 identity: the 32-byte seed is the secret. */
export interface SigningKey {
  readonly publicKey: Uint8Array;
  readonly seed: Uint8Array;
}

/** Bytes of X25519 and Ed25519 keys, ChaCha20-Poly1305 keys and BLAKE2s digests. */
export const KEY_LENGTH = 32;
/** Bytes of a Poly1305 tag and of a BLAKE2s MAC as WireGuard uses it. */
export const TAG_LENGTH = 16;

export interface Crypto {
  /** RFC 7748. `undefined` when the result is all zero: a low-order public key (R25). */
  x25519(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined;
  /** The public key of a 32-byte secret; the secret need not be clamped. */
  x25519PublicKey(secretKey: Uint8Array): Uint8Array;

  /** RFC 8032: the key pair of a 32-byte seed. */
  ed25519FromSeed(seed: Uint8Array): SigningKey;
  /** A 64-byte signature. */
  ed25519Sign(key: SigningKey, message: Uint8Array): Uint8Array;
  /** Strict: non-canonical S and low-order keys are refused. */
  ed25519Verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean;
  /** The X25519 image of an Ed25519 public key; `undefined` when it is no valid point. */
  ed25519ToX25519Public(publicKey: Uint8Array): Uint8Array | undefined;
  /** The X25519 secret that belongs to {@link ed25519ToX25519Public} of the same key. */
  ed25519ToX25519Secret(seed: Uint8Array): Uint8Array;

  /** RFC 8439, 12-byte nonce: ciphertext followed by the 16-byte tag. */
  chacha20poly1305Seal(
    key: Uint8Array,
    nonce: Uint8Array,
    additionalData: Uint8Array,
    plaintext: Uint8Array,
  ): Uint8Array;
  /** `undefined` when the tag does not fit or the input is shorter than a tag. */
  chacha20poly1305Open(
    key: Uint8Array,
    nonce: Uint8Array,
    additionalData: Uint8Array,
    sealed: Uint8Array,
  ): Uint8Array | undefined;
  /** draft-irtf-cfrg-xchacha, 24-byte nonce: ciphertext followed by the 16-byte tag. */
  xchacha20poly1305Seal(
    key: Uint8Array,
    nonce: Uint8Array,
    additionalData: Uint8Array,
    plaintext: Uint8Array,
  ): Uint8Array;
  /** `undefined` when the tag does not fit or the input is shorter than a tag. */
  xchacha20poly1305Open(
    key: Uint8Array,
    nonce: Uint8Array,
    additionalData: Uint8Array,
    sealed: Uint8Array,
  ): Uint8Array | undefined;

  /** RFC 7693 BLAKE2s-256 of the concatenation of the parts: 32 bytes. */
  blake2s(...parts: Uint8Array[]): Uint8Array;
  /** RFC 2104 HMAC with BLAKE2s-256 over the concatenation of the parts: 32 bytes. */
  hmacBlake2s(key: Uint8Array, ...parts: Uint8Array[]): Uint8Array;
  /** Keyed BLAKE2s with a 16-byte digest over the concatenation of the parts (key: 1..32 bytes). */
  blake2sMac(key: Uint8Array, ...parts: Uint8Array[]): Uint8Array;

  /** Constant-time comparison; different lengths are unequal. */
  equal(a: Uint8Array, b: Uint8Array): boolean;
  /** Overwrites with zeros (R65). */
  wipe(...secrets: Uint8Array[]): void;
}
