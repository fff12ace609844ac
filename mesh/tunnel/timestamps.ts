/**
 * Which initiations of a peer are news by their timestamps (R37).
 *
 * WireGuard takes any later timestamp, and for ever drops what is not after it: a member whose clock was ahead, or of
 * whose key somebody has a copy, could not begin a session for as long as that lies ahead. A member's timestamp that
 * our clock has not reached is therefore compared only with those that were as far ahead when they came, until it has. Who
 * has a copied key (the member's, or ours, which is enough for a first message in the member's name) keeps the member out for
 * as long as one such kind lasts, a minute at most, and not for as long as it says.
 */
import { isAfter, TIMESTAMP_LENGTH, wallOf } from "../noise/tai64n.ts";

/** Milliseconds by which members' clocks may differ, at which a copied key still keeps none out for longer than a minute. */
export const CLOCKS_DIFFER = 300_000;

/** Milliseconds ahead of our clock at which each kind ends; of the last kind is what lies further ahead. */
const KINDS = [30_000, 60_000, 120_000, 180_000, 240_000, CLOCKS_DIFFER];

/**
 * Of a member's timestamps that our clock has not reached, so many are known one by one: more than it sends in 5 minutes, at
 * one in 5 s. Of more, the first that was taken is forgotten.
 */
export const AHEAD_MAX = 128;

const NEVER: Uint8Array = new Uint8Array(TIMESTAMP_LENGTH);

export class Timestamps {
  /** The greatest of each kind that was taken: survives key zeroing, down and up, and roaming. */
  readonly #greatest: Uint8Array[] = [NEVER];
  /** A member's that our clock has not reached, as they were taken: each of them comes to be of nearer kinds. */
  #ahead: Uint8Array[] = [];

  /** @param isMember whether what lies ahead of our clock, `wall` in unix ms, is looked at apart */
  isNews(timestamp: Uint8Array, wall: number, isMember: boolean): boolean {
    this.#settle(wall);
    const kind = isMember ? kindOf(timestamp, wall) : 0;
    if (!isAfter(timestamp, this.#of(0)) || !isAfter(timestamp, this.#of(kind))) return false;
    // A copy of what was ahead comes as another kind when our clock has come nearer.
    return !isMember || !this.#ahead.some((one) => isSame(one, timestamp));
  }

  /** It is authentic, and {@link isNews}. */
  take(timestamp: Uint8Array, wall: number, isMember: boolean): void {
    const kind = isMember ? kindOf(timestamp, wall) : 0;
    while (this.#greatest.length <= kind) this.#greatest.push(NEVER);
    this.#greatest[kind] = timestamp;
    if (!isMember || wallOf(timestamp) <= wall) return;
    this.#ahead.push(timestamp);
    if (this.#ahead.length > AHEAD_MAX) this.#ahead.shift();
  }

  /** What our clock has reached stands for all that came before it. */
  #settle(wall: number): void {
    const isReached = (one: Uint8Array) => wallOf(one) <= wall;
    for (const one of [...this.#greatest, ...this.#ahead]) {
      if (isReached(one) && isAfter(one, this.#of(0))) this.#greatest[0] = one;
    }
    this.#ahead = this.#ahead.filter((one) => !isReached(one));
  }

  #of(kind: number): Uint8Array {
    return this.#greatest[kind] ?? NEVER;
  }
}

function kindOf(timestamp: Uint8Array, wall: number): number {
  const ahead = wallOf(timestamp) - wall;
  const kind = KINDS.findIndex((end) => ahead <= end);
  return kind < 0 ? KINDS.length : kind;
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return !isAfter(a, b) && !isAfter(b, a);
}
