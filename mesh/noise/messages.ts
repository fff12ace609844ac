/**
 * WireGuard's handshake messages on the wire (R20, R21). Sizes are exact, the type is a
 * little-endian u32, so reserved bytes that are not zero make an unknown type.
 *
 *     initiation 148   type sender ephemeral[32] static[32+16] timestamp[12+16] mac1[16] mac2[16]
 *     response    92   type sender receiver ephemeral[32] empty[16] mac1[16] mac2[16]
 *     cookie      64   type receiver nonce[24] cookie[16+16]
 */
import type { InitiationParts, ResponseParts } from "./handshake.ts";

const MESSAGE_INITIATION = 1;
const MESSAGE_RESPONSE = 2;
const MESSAGE_COOKIE_REPLY = 3;

const INITIATION_LENGTH = 148;
const RESPONSE_LENGTH = 92;
const COOKIE_REPLY_LENGTH = 64;

/** The two MACs that end an initiation and a response take this many bytes each. */
export const MAC_LENGTH = 16;

/** A message with its fields; byte fields are views into the datagram. */
export type HandshakeMessage =
  | ({ readonly kind: "initiation"; readonly sender: number } & InitiationParts)
  | (
    & { readonly kind: "response"; readonly sender: number; readonly receiver: number }
    & ResponseParts
  )
  | {
    readonly kind: "cookieReply";
    readonly receiver: number;
    readonly nonce: Uint8Array;
    readonly sealedCookie: Uint8Array;
  };

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Reads types 1 to 3; `undefined` for any other type or a length that is not exact. */
export function decodeHandshakeMessage(bytes: Uint8Array): HandshakeMessage | undefined {
  if (bytes.length < 8) return undefined;
  const fields = view(bytes);
  const type = fields.getUint32(0, true);
  if (type === MESSAGE_INITIATION && bytes.length === INITIATION_LENGTH) {
    return {
      kind: "initiation",
      sender: fields.getUint32(4, true),
      ephemeral: bytes.subarray(8, 40),
      sealedStatic: bytes.subarray(40, 88),
      sealedPayload: bytes.subarray(88, 116),
    };
  }
  if (type === MESSAGE_RESPONSE && bytes.length === RESPONSE_LENGTH) {
    return {
      kind: "response",
      sender: fields.getUint32(4, true),
      receiver: fields.getUint32(8, true),
      ephemeral: bytes.subarray(12, 44),
      sealedPayload: bytes.subarray(44, 60),
    };
  }
  if (type === MESSAGE_COOKIE_REPLY && bytes.length === COOKIE_REPLY_LENGTH) {
    return {
      kind: "cookieReply",
      receiver: fields.getUint32(4, true),
      nonce: bytes.subarray(8, 32),
      sealedCookie: bytes.subarray(32, 64),
    };
  }
  return undefined;
}

/** An initiation whose two MACs are still zero. */
export function encodeInitiation(sender: number, parts: InitiationParts): Uint8Array {
  const bytes = new Uint8Array(INITIATION_LENGTH);
  const fields = view(bytes);
  fields.setUint32(0, MESSAGE_INITIATION, true);
  fields.setUint32(4, sender, true);
  bytes.set(parts.ephemeral, 8);
  bytes.set(parts.sealedStatic, 40);
  bytes.set(parts.sealedPayload, 88);
  return bytes;
}

/** A response whose two MACs are still zero. */
export function encodeResponse(sender: number, receiver: number, parts: ResponseParts): Uint8Array {
  const bytes = new Uint8Array(RESPONSE_LENGTH);
  const fields = view(bytes);
  fields.setUint32(0, MESSAGE_RESPONSE, true);
  fields.setUint32(4, sender, true);
  fields.setUint32(8, receiver, true);
  bytes.set(parts.ephemeral, 12);
  bytes.set(parts.sealedPayload, 44);
  return bytes;
}

/** A cookie reply: 24 random bytes and the sealed cookie (R33). */
export function encodeCookieReply(
  receiver: number,
  nonce: Uint8Array,
  sealedCookie: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(COOKIE_REPLY_LENGTH);
  const fields = view(bytes);
  fields.setUint32(0, MESSAGE_COOKIE_REPLY, true);
  fields.setUint32(4, receiver, true);
  bytes.set(nonce, 8);
  bytes.set(sealedCookie, 32);
  return bytes;
}
