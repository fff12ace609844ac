/**
 * The symmetric state of a Noise handshake (Noise specification revision 34, section 5.2) with
 * ChaCha20-Poly1305 and BLAKE2s: a chaining key, from which keys are drawn, and a hash of
 * everything both sides have seen, which authenticates each message as additional data.
 *
 * WireGuard uses every handshake key for exactly one message, so the nonce is always 0 (R23).
 */
import type { Crypto } from "../crypto.ts";

const NONCE_ZERO = new Uint8Array(12);
const EMPTY = new Uint8Array(0);
const COUNTER = [1, 2, 3].map((n) => Uint8Array.of(n));

/** HKDF with an HMAC (R22): `count` keys of 32 bytes from a chaining key and an input. */
function expand(
  crypto: Crypto,
  chainingKey: Uint8Array,
  input: Uint8Array,
  count: 1 | 2 | 3,
): [Uint8Array, Uint8Array, Uint8Array] {
  const secret = crypto.hmacBlake2s(chainingKey, input);
  const keys: [Uint8Array, Uint8Array, Uint8Array] = [EMPTY, EMPTY, EMPTY];
  let last: Uint8Array = EMPTY;
  for (let i = 0; i < count; i++) {
    last = crypto.hmacBlake2s(secret, last, COUNTER[i] ?? EMPTY);
    keys[i] = last;
  }
  crypto.wipe(secret);
  return keys;
}

/** Both directions of a finished handshake, named from the initiator's side. */
export interface SplitKeys {
  readonly initiatorToResponder: Uint8Array;
  readonly responderToInitiator: Uint8Array;
}

export class SymmetricState {
  readonly #crypto: Crypto;
  #chainingKey: Uint8Array;
  #hash: Uint8Array;
  /** The key of the next message; it is used once and wiped. */
  #key: Uint8Array = EMPTY;

  private constructor(crypto: Crypto, chainingKey: Uint8Array, hash: Uint8Array) {
    this.#crypto = crypto;
    this.#chainingKey = chainingKey;
    this.#hash = hash;
  }

  /** The state before any message: the protocol's name (longer than 32 bytes) and the prologue. */
  static start(crypto: Crypto, protocolName: Uint8Array, prologue: Uint8Array): SymmetricState {
    const chainingKey = crypto.blake2s(protocolName);
    return new SymmetricState(crypto, chainingKey, crypto.blake2s(chainingKey, prologue));
  }

  /** A copy that goes its own way: a message that fails must leave the original as it was. */
  clone(): SymmetricState {
    return new SymmetricState(this.#crypto, this.#chainingKey.slice(), this.#hash.slice());
  }

  /** The transcript so far. After the last message: the handshake hash. */
  get hash(): Uint8Array {
    return this.#hash;
  }

  mixHash(data: Uint8Array): void {
    this.#hash = this.#crypto.blake2s(this.#hash, data);
  }

  /** Mixes an input without drawing a message key: WireGuard's KDF1 on an ephemeral. */
  mixChain(input: Uint8Array): void {
    const [chainingKey] = expand(this.#crypto, this.#chainingKey, input, 1);
    this.#replaceChainingKey(chainingKey);
  }

  /** Mixes a secret and draws the key of the next message (KDF2). Wipes the secret. */
  mixKey(secret: Uint8Array): void {
    const [chainingKey, key] = expand(this.#crypto, this.#chainingKey, secret, 2);
    this.#crypto.wipe(secret, this.#key);
    this.#replaceChainingKey(chainingKey);
    this.#key = key;
  }

  /** Mixes a preshared key, all-zero or not, into key and transcript (KDF3, R24). */
  mixKeyAndHash(presharedKey: Uint8Array): void {
    const [chainingKey, hash, key] = expand(this.#crypto, this.#chainingKey, presharedKey, 3);
    this.#crypto.wipe(this.#key);
    this.#replaceChainingKey(chainingKey);
    this.mixHash(hash);
    this.#crypto.wipe(hash);
    this.#key = key;
  }

  /** Seals under the drawn key and adds the ciphertext to the transcript. */
  encryptAndHash(plaintext: Uint8Array): Uint8Array {
    const sealed = this.#crypto.chacha20poly1305Seal(this.#key, NONCE_ZERO, this.#hash, plaintext);
    this.#crypto.wipe(this.#key);
    this.mixHash(sealed);
    return sealed;
  }

  /** Opens under the drawn key; `undefined` when it is not authentic. */
  decryptAndHash(sealed: Uint8Array): Uint8Array | undefined {
    const plaintext = this.#crypto.chacha20poly1305Open(this.#key, NONCE_ZERO, this.#hash, sealed);
    this.#crypto.wipe(this.#key);
    if (plaintext) this.mixHash(sealed);
    return plaintext;
  }

  /**
   * Takes over what was mixed into another state and drawn from it, but not its transcript: two states
   * that differ in their prologue only differ in nothing else.
   */
  adoptKeys(from: SymmetricState): void {
    this.#replaceChainingKey(from.#chainingKey.slice());
    this.#crypto.wipe(this.#key);
    this.#key = from.#key.slice();
  }

  /** The two transport keys. @param use what they are for; empty: WireGuard's */
  split(use: Uint8Array): SplitKeys {
    const [first, second] = expand(this.#crypto, this.#chainingKey, use, 2);
    return { initiatorToResponder: first, responderToInitiator: second };
  }

  /** R65: nothing of the handshake stays. */
  wipe(): void {
    this.#crypto.wipe(this.#chainingKey, this.#hash, this.#key);
  }

  #replaceChainingKey(chainingKey: Uint8Array): void {
    this.#crypto.wipe(this.#chainingKey);
    this.#chainingKey = chainingKey;
  }
}
