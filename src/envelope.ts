/**
 * What every file of the state folder is written in: its kind, the version of its format and a
 * checksum, around any JSON text.
 *
 * ```
 * {"shoal":"identity","format":2,"sha256":"64 hex digits","content":"..."}
 * ```
 *
 * and a line end. The whole is JSON, so that a person can look into it. It is read by its bytes: the
 * envelope that this content would get must be what stands there, byte for byte. So no flipped bit
 * and no cut end goes unseen, in the content or around it, and no file passes for one of another kind.
 * The checksum is against accidents: somebody who may write the file can write another checksum.
 */
import { createHash } from "node:crypto";

/** Raised when an older shoal could misread what a newer one writes. Format 1 had no envelope. */
const FORMAT = 2;

const utf8 = new TextEncoder();
const TAIL = utf8.encode("}\n");
/** How every envelope begins. */
const BEGINNING = `{"shoal":`;

/** Bytes of an envelope beside its kind and its content at most. */
export const ENVELOPE_SIZE = 128;

/** SHA-256 over the kind and the content, in hexadecimal. */
export function checksumOf(kind: string, json: string | Uint8Array): string {
  return createHash("sha256").update(`${kind}\n`).update(json).digest("hex");
}

export function wrap(kind: string, json: string): Uint8Array<ArrayBuffer> {
  return utf8.encode(`${headOf(kind, checksumOf(kind, json))}${json}}\n`);
}

/** The content of an envelope of this kind; undefined when it is damaged, or none of this version. */
export function unwrap(kind: string, bytes: Uint8Array): string | undefined {
  const length = headOf(kind, checksumOf(kind, "")).length;
  const content = bytes.subarray(length, -TAIL.length);
  const head = utf8.encode(headOf(kind, checksumOf(kind, content)));
  const isWhole = bytes.length >= length + TAIL.length && startsWith(bytes, head) &&
    startsWith(bytes.subarray(-TAIL.length), TAIL);
  return isWhole ? new TextDecoder().decode(content) : undefined;
}

/** Whether bytes were written as an envelope, whatever has become of them since. */
export function isEnvelope(bytes: Uint8Array): boolean {
  return startsWith(bytes, utf8.encode(BEGINNING).subarray(0, bytes.length));
}

function headOf(kind: string, checksum: string): string {
  return `${BEGINNING}"${kind}","format":${FORMAT},"sha256":"${checksum}","content":`;
}

function startsWith(bytes: Uint8Array, beginning: Uint8Array): boolean {
  return beginning.every((byte, i) => bytes[i] === byte);
}
