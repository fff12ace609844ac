/** Randomness from a seed: the same seed gives the same numbers on every machine. */
import type { Random } from "../machine.ts";

/** Chris Doty-Humphrey's sfc32: 128 bits of state, fast, and good enough to drive a simulation. */
export class Seeded {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** Seeds are whole numbers; `stream` tells apart the sources of one run. */
  constructor(readonly seed: number, stream = 0) {
    this.#a = seed >>> 0;
    this.#b = Math.floor(seed / 2 ** 32) >>> 0;
    this.#c = stream >>> 0;
    for (let i = 0; i < 15; i++) this.next();
  }

  /** 0 .. 2^32-1 */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter++) | 0;
    this.#a = this.#b ^ this.#b >>> 9;
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21 | this.#c >>> 11) + sum | 0;
    return sum >>> 0;
  }

  /** 0 <= x < 1 */
  fraction(): number {
    return this.next() / 2 ** 32;
  }

  /** least <= x < most */
  between(least: number, most: number): number {
    return least + (most - least) * this.fraction();
  }

  /** A whole number 0 .. n-1. */
  below(n: number): number {
    return Math.floor(this.fraction() * n);
  }

  chance(probability: number): boolean {
    return probability > 0 && this.fraction() < probability;
  }

  /** Some of a list, each once, in random order. */
  some<T>(list: readonly T[], count: number): T[] {
    const rest = [...list];
    const chosen: T[] = [];
    while (chosen.length < count && rest.length > 0) {
      chosen.push(...rest.splice(this.below(rest.length), 1));
    }
    return chosen;
  }

  /** As a source of bytes for machines. */
  readonly bytes: Random = (length) => {
    const bytes = new Uint8Array(length);
    for (let i = 0, word = 0; i < length; i++) {
      word = i % 4 === 0 ? this.next() : word >>> 8;
      bytes[i] = word;
    }
    return bytes;
  };
}
