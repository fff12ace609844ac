/**
 * Who a node is: one Ed25519 key. Its X25519 image is the node's WireGuard key, so trust in the
 * identity is trust in the tunnel, and no second key has to be vouched for.
 */
import type { Crypto, SigningKey } from "../crypto.ts";
import { KEY_LENGTH } from "../crypto.ts";

/** A member's name inside mesh: its 32-byte Ed25519 key as 64 lower-case hexadecimal digits. */
export type MemberId = string;

export interface Identity {
  readonly id: MemberId;
  /** Signs records, statements and admissions. */
  readonly signing: SigningKey;
  /** The WireGuard key pair: the X25519 image of {@link signing}. */
  readonly tunnelPublic: Uint8Array;
  readonly tunnelSecret: Uint8Array;
}

/**
 * The identity of a 32-byte seed.
 * @throws {RangeError} when the seed has another length.
 */
export function identityFromSeed(crypto: Crypto, seed: Uint8Array): Identity {
  if (seed.length !== KEY_LENGTH) {
    throw new RangeError(`identity: a seed has ${KEY_LENGTH} bytes, this one ${seed.length}`);
  }
  const signing = crypto.ed25519FromSeed(seed);
  const tunnelSecret = crypto.ed25519ToX25519Secret(seed);
  return {
    id: signing.publicKey.toHex(),
    signing,
    tunnelSecret,
    tunnelPublic: crypto.x25519PublicKey(tunnelSecret),
  };
}

/**
 * The other Ed25519 key with the same tunnel key: the two differ in a sign, the highest bit, which the X25519 image does not
 * have. Who has the secret of one has that of the other.
 */
export function mirrorOf(id: MemberId): MemberId {
  const sign = 2 * (id.length / 2 - 1);
  const digit = Number.parseInt(id.charAt(sign), 16) ^ 8;
  return id.slice(0, sign) + digit.toString(16) + id.slice(sign + 1);
}

const utf8 = new TextEncoder();

/**
 * Bytes of the label of a signature: nothing that is signed can be taken for a thing of another kind.
 * The number is the version of the protocol, so it stands inside every signature.
 */
export function signatureLabel(text: string): Uint8Array {
  return utf8.encode(`shoal ${text} 3\0`);
}
