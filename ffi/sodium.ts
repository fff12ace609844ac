/**
 * {@link Crypto} from libsodium, with BLAKE2s from the runtime (libsodium has only BLAKE2b), and keyed from
 * `@noble/hashes` (the runtime has no key for it). What the program runs on; constant time where secrets are involved.
 */
import { createHash } from "node:crypto";
import { blake2s } from "npm:@noble/hashes@2.4.0/blake2.js";
import { hmac } from "npm:@noble/hashes@2.4.0/hmac.js";
import type { Crypto, SigningKey } from "../mesh/crypto.ts";

const KEY = 32;
const TAG = 16;
const SIGNATURE = 64;
const LIBRARY = "libsodium.so.23";

const aead = {
  parameters: [
    "buffer",
    "pointer",
    "buffer",
    "u64",
    "buffer",
    "u64",
    "pointer",
    "buffer",
    "buffer",
  ],
  result: "i32",
} as const;

const aeadOpen = {
  parameters: [
    "buffer",
    "pointer",
    "pointer",
    "buffer",
    "u64",
    "buffer",
    "u64",
    "buffer",
    "buffer",
  ],
  result: "i32",
} as const;

const symbols = {
  sodium_init: { parameters: [], result: "i32" },
  sodium_memcmp: { parameters: ["buffer", "buffer", "usize"], result: "i32" },
  sodium_memzero: { parameters: ["buffer", "usize"], result: "void" },
  crypto_scalarmult_curve25519: { parameters: ["buffer", "buffer", "buffer"], result: "i32" },
  crypto_scalarmult_curve25519_base: { parameters: ["buffer", "buffer"], result: "i32" },
  crypto_sign_ed25519_seed_keypair: { parameters: ["buffer", "buffer", "buffer"], result: "i32" },
  crypto_sign_ed25519_detached: {
    parameters: ["buffer", "pointer", "buffer", "u64", "buffer"],
    result: "i32",
  },
  crypto_sign_ed25519_verify_detached: {
    parameters: ["buffer", "buffer", "u64", "buffer"],
    result: "i32",
  },
  crypto_sign_ed25519_pk_to_curve25519: { parameters: ["buffer", "buffer"], result: "i32" },
  crypto_sign_ed25519_sk_to_curve25519: { parameters: ["buffer", "buffer"], result: "i32" },
  crypto_aead_chacha20poly1305_ietf_encrypt: aead,
  crypto_aead_chacha20poly1305_ietf_decrypt: aeadOpen,
  crypto_aead_xchacha20poly1305_ietf_encrypt: aead,
  crypto_aead_xchacha20poly1305_ietf_decrypt: aeadOpen,
} as const satisfies Deno.ForeignLibraryInterface;

type Calls = Deno.DynamicLibrary<typeof symbols>["symbols"];
/** What FFI takes as a buffer; every byte string of ours is one. */
type Bytes = Uint8Array<ArrayBuffer>;

/**
 * Loads libsodium.
 * @throws {Error} one line when the library is not on this machine
 */
export function loadSodium(): Crypto {
  let calls: Calls;
  try {
    calls = Deno.dlopen(LIBRARY, symbols).symbols;
  } catch (error) {
    throw new Error(
      `crypto: cannot load ${LIBRARY} (${error instanceof Error ? error.message : error}): ` +
        "install Debian's package libsodium23",
    );
  }
  if (calls.sodium_init() < 0) throw new Error(`crypto: ${LIBRARY} refused to start`);
  return new Sodium(calls);
}

class Sodium implements Crypto {
  constructor(private readonly calls: Calls) {}

  x25519(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
    const secret = own("secret key", secretKey, KEY);
    const shared = new Uint8Array(KEY);
    const status = this.calls.crypto_scalarmult_curve25519(
      shared,
      secret,
      own("public key", publicKey, KEY),
    );
    return status === 0 ? shared : undefined; // refuses exactly the all-zero results (R25)
  }

  x25519PublicKey(secretKey: Uint8Array): Uint8Array {
    const publicKey = new Uint8Array(KEY);
    this.calls.crypto_scalarmult_curve25519_base(publicKey, own("secret key", secretKey, KEY));
    return publicKey;
  }

  ed25519FromSeed(seed: Uint8Array): SigningKey {
    const publicKey = new Uint8Array(KEY);
    const secret = new Uint8Array(2 * KEY);
    this.calls.crypto_sign_ed25519_seed_keypair(publicKey, secret, own("seed", seed, KEY));
    this.wipe(secret);
    return { publicKey, seed: seed.slice() };
  }

  ed25519Sign(key: SigningKey, message: Uint8Array): Uint8Array {
    // Signing with a public key that is not the seed's would give the secret away.
    const secret = this.#expanded(key.seed);
    const signature = new Uint8Array(SIGNATURE);
    this.calls.crypto_sign_ed25519_detached(
      signature,
      null,
      message as Bytes,
      BigInt(message.length),
      secret,
    );
    this.wipe(secret);
    return signature;
  }

  ed25519Verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
    if (signature.length !== SIGNATURE || publicKey.length !== KEY) return false;
    return this.calls.crypto_sign_ed25519_verify_detached(
      signature as Bytes,
      message as Bytes,
      BigInt(message.length),
      publicKey as Bytes,
    ) === 0;
  }

  ed25519ToX25519Public(publicKey: Uint8Array): Uint8Array | undefined {
    const image = new Uint8Array(KEY);
    const { crypto_sign_ed25519_pk_to_curve25519 } = this.calls;
    const status = crypto_sign_ed25519_pk_to_curve25519(image, own("public key", publicKey, KEY));
    return status === 0 ? image : undefined;
  }

  ed25519ToX25519Secret(seed: Uint8Array): Uint8Array {
    const secret = this.#expanded(seed);
    const image = new Uint8Array(KEY);
    this.calls.crypto_sign_ed25519_sk_to_curve25519(image, secret);
    this.wipe(secret);
    return image;
  }

  /** The 64 bytes that libsodium calls a secret key: the seed and its public key. */
  #expanded(seed: Uint8Array): Bytes {
    const secret = new Uint8Array(2 * KEY);
    const publicKey = new Uint8Array(KEY);
    this.calls.crypto_sign_ed25519_seed_keypair(publicKey, secret, own("seed", seed, KEY));
    return secret;
  }

  chacha20poly1305Seal(
    key: Uint8Array,
    nonce: Uint8Array,
    additionalData: Uint8Array,
    plaintext: Uint8Array,
  ): Uint8Array {
    own("nonce", nonce, 12);
    const call = this.calls.crypto_aead_chacha20poly1305_ietf_encrypt;
    return seal(call, key, nonce, additionalData, plaintext);
  }

  chacha20poly1305Open(
    key: Uint8Array,
    nonce: Uint8Array,
    additionalData: Uint8Array,
    sealed: Uint8Array,
  ): Uint8Array | undefined {
    own("nonce", nonce, 12);
    const call = this.calls.crypto_aead_chacha20poly1305_ietf_decrypt;
    return open(call, key, nonce, additionalData, sealed);
  }

  xchacha20poly1305Seal(
    key: Uint8Array,
    nonce: Uint8Array,
    additionalData: Uint8Array,
    plaintext: Uint8Array,
  ): Uint8Array {
    own("nonce", nonce, 24);
    const call = this.calls.crypto_aead_xchacha20poly1305_ietf_encrypt;
    return seal(call, key, nonce, additionalData, plaintext);
  }

  xchacha20poly1305Open(
    key: Uint8Array,
    nonce: Uint8Array,
    additionalData: Uint8Array,
    sealed: Uint8Array,
  ): Uint8Array | undefined {
    own("nonce", nonce, 24);
    const call = this.calls.crypto_aead_xchacha20poly1305_ietf_decrypt;
    return open(call, key, nonce, additionalData, sealed);
  }

  blake2s(...parts: Uint8Array[]): Uint8Array {
    const hash = createHash("blake2s256");
    for (const part of parts) hash.update(part);
    return new Uint8Array(hash.digest()); // no Buffer, whose slice() is no copy
  }

  hmacBlake2s(key: Uint8Array, ...parts: Uint8Array[]): Uint8Array {
    const mac = hmac.create(blake2s, key);
    for (const part of parts) mac.update(part);
    return mac.digest();
  }

  blake2sMac(key: Uint8Array, ...parts: Uint8Array[]): Uint8Array {
    const mac = blake2s.create({ dkLen: TAG, key });
    for (const part of parts) mac.update(part);
    return mac.digest();
  }

  equal(a: Uint8Array, b: Uint8Array): boolean {
    if (a.length !== b.length) return false;
    return this.calls.sodium_memcmp(a as Bytes, b as Bytes, BigInt(a.length)) === 0;
  }

  wipe(...secrets: Uint8Array[]): void {
    for (const secret of secrets) {
      this.calls.sodium_memzero(secret as Bytes, BigInt(secret.length));
    }
  }
}

type Seal = Calls["crypto_aead_chacha20poly1305_ietf_encrypt"];
type Open = Calls["crypto_aead_chacha20poly1305_ietf_decrypt"];

function seal(
  call: Seal,
  key: Uint8Array,
  nonce: Uint8Array,
  additionalData: Uint8Array,
  plaintext: Uint8Array,
): Uint8Array {
  const sealed = new Uint8Array(plaintext.length + TAG);
  call(
    sealed,
    null,
    plaintext as Bytes,
    BigInt(plaintext.length),
    additionalData as Bytes,
    BigInt(additionalData.length),
    null,
    nonce as Bytes,
    own("key", key, KEY),
  );
  return sealed;
}

function open(
  call: Open,
  key: Uint8Array,
  nonce: Uint8Array,
  additionalData: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  const secret = own("key", key, KEY);
  if (sealed.length < TAG) return undefined;
  const plaintext = new Uint8Array(sealed.length - TAG);
  const status = call(
    plaintext,
    null,
    null,
    sealed as Bytes,
    BigInt(sealed.length),
    additionalData as Bytes,
    BigInt(additionalData.length),
    nonce as Bytes,
    secret,
  );
  return status === 0 ? plaintext : undefined;
}

/** Checks a length at the door: C reads as many bytes as it expects, not as many as there are. */
function own(name: string, bytes: Uint8Array, length: number): Bytes {
  if (bytes.length !== length) {
    throw new RangeError(`${name}: ${bytes.length} bytes, must be ${length}`);
  }
  return bytes as Bytes;
}
