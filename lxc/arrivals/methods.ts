import type { Crypto } from "../../mesh/crypto.ts";

/** A plain object with a crypto's methods, to replace some of them. */
export function methodsOf(crypto: Crypto): Crypto {
  return {
    x25519: (...input) => crypto.x25519(...input),
    x25519PublicKey: (secret) => crypto.x25519PublicKey(secret),
    ed25519FromSeed: (seed) => crypto.ed25519FromSeed(seed),
    ed25519Sign: (...input) => crypto.ed25519Sign(...input),
    ed25519Verify: (...input) => crypto.ed25519Verify(...input),
    ed25519ToX25519Public: (key) => crypto.ed25519ToX25519Public(key),
    ed25519ToX25519Secret: (seed) => crypto.ed25519ToX25519Secret(seed),
    chacha20poly1305Seal: (...input) => crypto.chacha20poly1305Seal(...input),
    chacha20poly1305Open: (...input) => crypto.chacha20poly1305Open(...input),
    xchacha20poly1305Seal: (...input) => crypto.xchacha20poly1305Seal(...input),
    xchacha20poly1305Open: (...input) => crypto.xchacha20poly1305Open(...input),
    blake2s: (...parts) => crypto.blake2s(...parts),
    hmacBlake2s: (...input) => crypto.hmacBlake2s(...input),
    blake2sMac: (...input) => crypto.blake2sMac(...input),
    equal: (a, b) => crypto.equal(a, b),
    wipe: (...secrets) => crypto.wipe(...secrets),
  };
}
