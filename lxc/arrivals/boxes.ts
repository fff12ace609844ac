/**
 * Datagrams as their sender built them: which bytes it sealed, with what key, and what stands around
 * the seal. From that a mutant is built that opens as well as the original did, whatever is in it:
 * the innermost plaintext is altered, and everything around it is sealed anew with fresh nonces.
 */
import type { Crypto } from "../../mesh/crypto.ts";
import { joined } from "./mutator.ts";

const NONCE = 24;
/** Seals among which that of a datagram is looked for: it was made last. */
const RECENT = 8;

interface Sealed {
  readonly key: Uint8Array;
  readonly nonce: Uint8Array;
  readonly associated: Uint8Array;
  readonly plaintext: Uint8Array;
  readonly sealed: Uint8Array;
}

/** One datagram, taken apart. */
export interface Box {
  /** What was sealed, and what the innermost seal covers if there is one within. */
  readonly layers: readonly Layer[];
}

interface Layer {
  readonly key: Uint8Array;
  readonly associated: Uint8Array;
  /** What stands before the seal in the datagram, or in the plaintext around it. */
  readonly before: Uint8Array;
  /** Where in it the nonce stands. */
  readonly nonceAt: number;
  readonly plaintext: Uint8Array;
}

export class Boxes {
  readonly #recent: Sealed[] = [];

  remember(
    key: Uint8Array,
    nonce: Uint8Array,
    associated: Uint8Array,
    plaintext: Uint8Array,
    sealed: Uint8Array,
  ): void {
    const all = [key, nonce, associated, plaintext, sealed].map((bytes) => bytes.slice());
    const [k, n, a, p, s] = all as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    this.#recent.unshift({ key: k, nonce: n, associated: a, plaintext: p, sealed: s });
    this.#recent.length = Math.min(this.#recent.length, RECENT);
  }

  /** Takes a datagram apart that was just made. Undefined when nothing in it was sealed here. */
  open(datagram: Uint8Array): Box | undefined {
    const layers: Layer[] = [];
    for (let outer = datagram;;) {
      const inner = this.#recent.find(({ sealed }) => endsWith(outer, sealed));
      if (!inner) break;
      const before = outer.slice(0, outer.length - inner.sealed.length);
      const nonceAt = find(before, inner.nonce);
      if (nonceAt < 0) break;
      const { key, associated, plaintext } = inner;
      layers.push({ key, associated, before, nonceAt, plaintext });
      outer = plaintext;
    }
    return layers.length === 0 ? undefined : { layers };
  }
}

/** The innermost plaintext of a box. */
export function contentOf({ layers }: Box): Uint8Array {
  return layers.at(-1)?.plaintext ?? new Uint8Array(0);
}

/** The same datagram with other content, and nonces of its own. */
export function rebuild(
  crypto: Crypto,
  random: (length: number) => Uint8Array,
  { layers }: Box,
  content: Uint8Array,
): Uint8Array {
  let inside = content;
  for (const { key, associated, before, nonceAt } of layers.toReversed()) {
    const nonce = random(NONCE);
    const head = before.slice();
    head.set(nonce, nonceAt);
    inside = joined(head, crypto.xchacha20poly1305Seal(key, nonce, associated, inside));
  }
  return inside;
}

function endsWith(bytes: Uint8Array, end: Uint8Array): boolean {
  const from = bytes.length - end.length;
  return from > 0 && end.every((byte, i) => byte === bytes[from + i]);
}

function find(bytes: Uint8Array, part: Uint8Array): number {
  for (let at = 0; at + part.length <= bytes.length; at++) {
    if (part.every((byte, i) => byte === bytes[at + i])) return at;
  }
  return -1;
}
