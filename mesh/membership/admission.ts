/**
 * Admissions: what lets the holder of a token in before an admin has certified it. The holder signs
 * with the token's secret that this key may join; the member at whose door it knocks signs that it
 * did, and when. Without the second signature an admission is only a request.
 *
 * ```
 * subject 32 | token 32 | name | signature of the token 64 | 0, or 1 | door 32 | at 6 | signature of the door 64
 * ```
 */
import type { Crypto, SigningKey } from "../crypto.ts";
import { KEY_LENGTH } from "../crypto.ts";
import { type Decoded, Reader, Writer } from "../codec.ts";
import { type MemberId, signatureLabel } from "./identity.ts";
import { isName } from "./statement.ts";

/** A member's word that somebody knocked at its door in time. */
export interface Endorsement {
  readonly door: MemberId;
  /** Unix seconds by the door's clock. */
  readonly at: number;
  readonly signature: Uint8Array;
}

export interface Admission {
  readonly subject: MemberId;
  /** The token's key. */
  readonly token: string;
  /** How the subject wants to be called. */
  readonly name: string;
  readonly signature: Uint8Array;
  readonly endorsement: Endorsement | undefined;
}

/** Bytes of an admission at most. */
export const ADMISSION_MAX = 32 + 32 + 64 + 64 + 1 + 32 + 6 + 64;

const REQUEST = signatureLabel("admission request");
const ENDORSEMENT = signatureLabel("admission");

/** The holder of a token asks for admission. @param token the token's one-time key */
export function requestAdmission(
  crypto: Crypto,
  meshId: Uint8Array,
  token: SigningKey,
  { subject, name }: { readonly subject: MemberId; readonly name: string },
): Admission {
  const wish = { subject, token: token.publicKey.toHex(), name };
  const signature = crypto.ed25519Sign(token, requestPart(meshId, wish));
  return { ...wish, signature, endorsement: undefined };
}

/** A door lets in whom it has seen. @param at unix seconds */
export function endorse(
  crypto: Crypto,
  meshId: Uint8Array,
  admission: Admission,
  door: SigningKey,
  at: number,
): Admission {
  const by = door.publicKey.toHex();
  const signature = crypto.ed25519Sign(door, endorsedPart(meshId, admission, by, at));
  return { ...admission, endorsement: { door: by, at, signature } };
}

/** Whether both signatures, or the one that there is, fit. */
export function isSound(crypto: Crypto, meshId: Uint8Array, admission: Admission): boolean {
  const { token, signature, endorsement } = admission;
  const key = Uint8Array.fromHex(token);
  if (!crypto.ed25519Verify(signature, requestPart(meshId, admission), key)) return false;
  if (endorsement === undefined) return true;
  const { door, at } = endorsement;
  const part = endorsedPart(meshId, admission, door, at);
  return crypto.ed25519Verify(endorsement.signature, part, Uint8Array.fromHex(door));
}

export function encodeAdmission(admission: Admission): Uint8Array {
  const { subject, token, name, signature, endorsement } = admission;
  const writer = new Writer().bytes(Uint8Array.fromHex(subject)).bytes(Uint8Array.fromHex(token))
    .text(name).bytes(signature).u8(endorsement ? 1 : 0);
  if (endorsement) {
    writer.bytes(Uint8Array.fromHex(endorsement.door)).u48(endorsement.at)
      .bytes(endorsement.signature);
  }
  return writer.finish();
}

/** Reads the form only: {@link isSound} looks at the signatures. */
export function decodeAdmission(bytes: Uint8Array): Decoded<Admission> {
  const reader = new Reader(bytes);
  const subject = reader.bytes(KEY_LENGTH).toHex();
  const token = reader.bytes(KEY_LENGTH).toHex();
  const name = reader.text(63);
  if (!isName(name)) reader.fail("a name that is no DNS label");
  const signature = reader.bytes(64);
  const isEndorsed = reader.u8();
  if (isEndorsed > 1) reader.fail("an endorsement is there or not");
  const endorsement = isEndorsed === 1
    ? { door: reader.bytes(KEY_LENGTH).toHex(), at: reader.u48(), signature: reader.bytes(64) }
    : undefined;
  return reader.finish({ subject, token, name, signature, endorsement });
}

function requestPart(
  meshId: Uint8Array,
  { subject, token, name }: Pick<Admission, "subject" | "token" | "name">,
): Uint8Array {
  return new Writer().bytes(REQUEST).bytes(meshId).bytes(Uint8Array.fromHex(subject))
    .bytes(Uint8Array.fromHex(token)).text(name).finish();
}

function endorsedPart(
  meshId: Uint8Array,
  admission: Pick<Admission, "subject" | "token" | "name">,
  door: MemberId,
  at: number,
): Uint8Array {
  return new Writer().bytes(ENDORSEMENT).bytes(requestPart(meshId, admission))
    .bytes(Uint8Array.fromHex(door)).u48(at).finish();
}
