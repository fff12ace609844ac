/**
 * What the datagrams of first contact share: how a key is drawn from a secret, how content is padded
 * and sealed, and the frame of everything that is answered:
 *
 * ```
 * answer  c4 03 00 00 | id 16 | body       the id says which datagram it answers, see contact.ts, ask.ts
 * box     nonce 24 | XChaCha20-Poly1305( ... )
 * padded  length 2 | content | zeros
 * ```
 */
import type { Crypto } from "../crypto.ts";
import { TAG_LENGTH } from "../crypto.ts";
import { DATAGRAM_MAX } from "./seal.ts";
import { HEAD_SIZE, headOf, kindOf } from "../datagram.ts";
import type { Random } from "../machine.ts";

/** Bytes that say what an answer answers. */
export const ID_SIZE = 16;
export const NONCE_SIZE = 24;

/** Bytes that a box is longer than its content. */
export const BOX_OVERHEAD = NONCE_SIZE + TAG_LENGTH;
/** Bytes of the length before padded content. */
export const LENGTH_SIZE = 2;
/** Bytes of an answer's body at most. */
export const BODY_MAX = DATAGRAM_MAX - HEAD_SIZE - ID_SIZE;

const NOTHING = new Uint8Array(0);
const utf8 = new TextEncoder();

/** A label that tells one use of a key from all others; every label of first contact has a version. */
export function labelOf(text: string): Uint8Array {
  return utf8.encode(`shoal ${text} 3\0`);
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** HKDF's first half (RFC 5869): a uniform key from a shared secret, bound to what is public. */
export function extract(
  crypto: Crypto,
  secret: Uint8Array,
  label: Uint8Array,
  ...context: readonly Uint8Array[]
): Uint8Array {
  return crypto.hmacBlake2s(crypto.blake2s(label, ...context), secret);
}

/**
 * Seals under a random nonce: a key of first contact may seal more than one datagram, for example
 * when a door that has forgotten a hello over a restart answers its copy.
 */
export function sealBox(
  crypto: Crypto,
  random: Random,
  key: Uint8Array,
  head: Uint8Array,
  content: Uint8Array,
): Uint8Array {
  const nonce = random(NONCE_SIZE);
  return concat(nonce, crypto.xchacha20poly1305Seal(key, nonce, head, content));
}

/** Undefined: too short, or sealed under another key or for another head. */
export function openBox(
  crypto: Crypto,
  key: Uint8Array,
  head: Uint8Array,
  box: Uint8Array,
): Uint8Array | undefined {
  if (box.length < BOX_OVERHEAD) return undefined;
  const nonce = box.subarray(0, NONCE_SIZE);
  return crypto.xchacha20poly1305Open(key, nonce, head, box.subarray(NONCE_SIZE));
}

/**
 * A message authentication code: the tag of XChaCha20-Poly1305 over nothing but additional data. On
 * 1.2 KB it takes a twentieth of the time of keyed BLAKE2s, which libsodium does not have.
 * @param nonce never the same for two messages of an honest sender under one key.
 */
export function tagOf(
  crypto: Crypto,
  key: Uint8Array,
  nonce: Uint8Array,
  ...parts: readonly Uint8Array[]
): Uint8Array {
  return crypto.xchacha20poly1305Seal(key, nonce, concat(...parts), NOTHING);
}

/** @throws {RangeError} when the content does not fit. */
export function pad(content: Uint8Array, size: number): Uint8Array {
  const room = size - LENGTH_SIZE;
  if (content.length > room) {
    throw new RangeError(`box: ${content.length} bytes, over ${room}`);
  }
  const padded = new Uint8Array(size);
  padded[0] = content.length >> 8;
  padded[1] = content.length & 0xff;
  padded.set(content, LENGTH_SIZE);
  return padded;
}

/** Undefined: a length beyond the end, or padding that is not zero. */
export function unpad(padded: Uint8Array): Uint8Array | undefined {
  const [high, low] = padded;
  if (high === undefined || low === undefined) return undefined;
  const end = LENGTH_SIZE + high * 256 + low;
  if (end > padded.length) return undefined;
  let rest = 0;
  for (let i = end; i < padded.length; i++) rest |= padded[i] ?? 0;
  return rest === 0 ? padded.slice(LENGTH_SIZE, end) : undefined;
}

export interface AnswerFrame {
  /** Hexadecimal: what the pending contacts of a node are looked up by. */
  readonly id: string;
  /** Type, version and id: what an answer's box is sealed for. */
  readonly head: Uint8Array;
  readonly body: Uint8Array;
}

export function answerHead(id: Uint8Array): Uint8Array {
  return concat(headOf("answer"), id);
}

/** Undefined: no answer of this version, or too long for one. */
export function readAnswer(bytes: Uint8Array): AnswerFrame | undefined {
  const headSize = HEAD_SIZE + ID_SIZE;
  if (kindOf(bytes) !== "answer") return undefined;
  if (bytes.length <= headSize || bytes.length > DATAGRAM_MAX) return undefined;
  const head = bytes.subarray(0, headSize);
  return { id: head.subarray(HEAD_SIZE).toHex(), head, body: bytes.subarray(headSize) };
}
