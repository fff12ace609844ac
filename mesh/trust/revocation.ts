/**
 * Revocations: "this key is out", signed by an admin or the mesh key. They name a key, never a
 * signed blob: whoever re-signs or re-encodes a certificate does not get around one (T41). A
 * revoked key voids every chain that rests on it, so revoking an admin's key or a token's voids
 * what was made with it. A revocation holds even if its signer is revoked later: the order in which
 * two of them arrive must not matter.
 */
import type { Crypto, SigningKey } from "../crypto.ts";
import { KEY_LENGTH } from "../crypto.ts";
import { type Decoded, Reader, Writer } from "../codec.ts";
import { type Chain, CHAIN_MAX, decodeChain, verifyChain } from "./certificate.ts";
import { signatureLabel } from "./identity.ts";

export interface Revocation {
  /** The key that is out: a member's identity or a token's one-time key, hexadecimal. */
  readonly key: string;
  /** Unix seconds at which it was signed. */
  readonly at: number;
  /** Unix seconds after which what it voids has expired anyway. */
  readonly until: number;
  /** Who says so, hexadecimal. */
  readonly by: string;
  /** As it travels. */
  readonly bytes: Uint8Array;
}

const LABEL = signatureLabel("revocation");
/** Bytes of a revocation at most. */
const REVOCATION_MAX = KEY_LENGTH + 6 + 6 + 2 + CHAIN_MAX + 64;

/** Signs a revocation: with an admin's chain, or with the mesh key and an empty one. */
export function signRevocation(
  crypto: Crypto,
  meshKey: Uint8Array,
  issuer: { readonly chain: Chain; readonly signing: SigningKey },
  revoked: { readonly key: Uint8Array; readonly at: number; readonly until: number },
): Revocation {
  const body = new Writer().bytes(revoked.key).u48(revoked.at).u48(revoked.until)
    .long(issuer.chain.bytes).finish();
  const signature = crypto.ed25519Sign(issuer.signing, signedPart(meshKey, body));
  return {
    key: revoked.key.toHex(),
    at: revoked.at,
    until: revoked.until,
    by: issuer.signing.publicKey.toHex(),
    bytes: new Writer().bytes(body).bytes(signature).finish(),
  };
}

/** Reads a revocation and verifies that an admin of this mesh signed it. */
export function openRevocation(
  crypto: Crypto,
  meshKey: Uint8Array,
  bytes: Uint8Array,
): Decoded<Revocation> {
  if (bytes.length > REVOCATION_MAX || bytes.length <= 64) {
    return refused(`${bytes.length} bytes are no revocation`);
  }
  const body = bytes.subarray(0, -64);
  const reader = new Reader(body);
  const key = reader.bytes(KEY_LENGTH).toHex();
  const at = reader.u48();
  const until = reader.u48();
  const read = reader.finish(reader.long(CHAIN_MAX));
  if (!read.ok) return read;
  const chain = decodeChain(read.value);
  if (!chain.ok) return chain;
  const by = signerOf(crypto, meshKey, chain.value);
  if (!by.ok) return by;
  if (!crypto.ed25519Verify(bytes.subarray(-64), signedPart(meshKey, body), by.value)) {
    return refused("its signature does not fit its signer's key");
  }
  return { ok: true, value: { key, at, until, by: by.value.toHex(), bytes } };
}

function signerOf(crypto: Crypto, meshKey: Uint8Array, chain: Chain): Decoded<Uint8Array> {
  if (chain.links.length === 0) return { ok: true, value: meshKey };
  const membership = verifyChain(crypto, meshKey, chain);
  if (!membership.ok) return membership;
  if (!membership.value.flags.admin) return refused(`${membership.value.name} is no admin`);
  return { ok: true, value: Uint8Array.fromHex(membership.value.id) };
}

function signedPart(meshKey: Uint8Array, body: Uint8Array): Uint8Array {
  return new Writer().bytes(LABEL).bytes(meshKey).bytes(body).finish();
}

function refused(error: string): { readonly ok: false; readonly error: string } {
  return { ok: false, error: `revocation: ${error}` };
}
