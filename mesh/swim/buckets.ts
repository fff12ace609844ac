/**
 * A fingerprint of everything a member knows, kept up to date with each change: the items fall into
 * buckets by the first bits of their tag, and a bucket's hash is the exclusive or of its items'
 * hashes. Two members whose hashes agree have nothing to tell each other, and say so in two small
 * datagrams however large the mesh is.
 *
 * The hash is fast, not strong: an insider that forges a collision hides news from a push-pull, which
 * it can do as well by not passing it on.
 */
import { BUCKETS, HASH_BYTES, type Item, type Tag } from "./messages.ts";

/** The bucket of a tag: its first six bits. */
export function bucketOf(tag: Tag): number {
  return parseInt(tag.slice(0, 2), 16) >> 2;
}

/** Whether a bucket is in a mask of one bit each. */
export function inMask(mask: Uint8Array, bucket: number): boolean {
  return ((mask[bucket >> 3] ?? 0) >> (bucket & 7) & 1) === 1;
}

export class Buckets {
  readonly #words = new Uint32Array(BUCKETS * HASH_BYTES / 4);

  /** Adds an item, or takes it out again. */
  toggle(item: Item): void {
    const first = parseInt(item.tag.slice(0, 8), 16);
    const second = parseInt(item.tag.slice(8, 16), 16);
    // A suspicion is a passing doubt, and a death is one whether announced or not.
    const value = "version" in item
      ? item.version
      : 2 * item.incarnation + (item.status === "alive" || item.status === "suspect" ? 0 : 1);
    const low = mix(mix(first ^ (value >>> 0)) ^ Math.floor(value / 2 ** 32) ^ item.kind);
    const high = mix(mix(second + low) ^ (value >>> 0));
    const word = 2 * bucketOf(item.tag);
    this.#words[word] = (this.#words[word] ?? 0) ^ low;
    this.#words[word + 1] = (this.#words[word + 1] ?? 0) ^ high;
  }

  /** All hashes, big-endian. */
  hashes(): Uint8Array {
    const bytes = new Uint8Array(BUCKETS * HASH_BYTES);
    const view = new DataView(bytes.buffer);
    for (const [i, word] of this.#words.entries()) view.setUint32(4 * i, word);
    return bytes;
  }
}

/** The buckets in which two lists of hashes differ. */
export function differing(a: Uint8Array, b: Uint8Array): Uint8Array {
  const mask = new Uint8Array(BUCKETS / 8);
  for (let i = 0; i < BUCKETS * HASH_BYTES; i++) {
    const bucket = Math.floor(i / HASH_BYTES);
    if (a[i] !== b[i]) mask[bucket >> 3] = (mask[bucket >> 3] ?? 0) | 1 << (bucket & 7);
  }
  return mask;
}

/** The finalizer of MurmurHash3: every input bit moves every output bit. */
function mix(word: number): number {
  let h = word >>> 0;
  h = Math.imul(h ^ h >>> 16, 0x85ebca6b);
  h = Math.imul(h ^ h >>> 13, 0xc2b2ae35);
  return (h ^ h >>> 16) >>> 0;
}
