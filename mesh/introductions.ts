/** Hellos of ours to members that may not know us, until they are answered. */
import type { MemberId } from "./trust/identity.ts";

/** Introductions that wait at most; at the limit the oldest is forgotten. */
export const INTRODUCTIONS_MAX = 64;

export class Introductions {
  /** By challenge, hexadecimal. */
  readonly #waiting = new Map<string, MemberId>();

  add(challenge: Uint8Array, to: MemberId): void {
    const [oldest] = this.#waiting.keys();
    const isFull = this.#waiting.size >= INTRODUCTIONS_MAX;
    if (isFull && oldest !== undefined) this.#waiting.delete(oldest);
    this.#waiting.set(challenge.toHex(), to);
  }

  /** Whether `from` was sent this challenge and has not answered it before. */
  answered(challenge: Uint8Array, from: MemberId): boolean {
    const name = challenge.toHex();
    return this.#waiting.get(name) === from && this.#waiting.delete(name);
  }
}
