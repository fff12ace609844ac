/**
 * Which initiations of a peer are news by their timestamps (R37).
 *
 * WireGuard takes any later timestamp, and for ever drops what is not after it: a member whose clock was ahead, or of
 * whose key somebody has a copy, could not begin a session for as long as that lies ahead. A member's timestamp that
 * our clock has not reached is therefore compared only with others of that kind, until it has.
 */
import { isAfter, TIMESTAMP_LENGTH, wallOf } from "../noise/tai64n.ts";

/** Milliseconds by which members' clocks may differ: as far as a timestamp counts as one of now. */
export const CLOCKS_DIFFER = 300_000;

const NEVER: Uint8Array = new Uint8Array(TIMESTAMP_LENGTH);

export class Timestamps {
  /** The greatest that was taken: survives key zeroing, down and up, and roaming. */
  #greatest = NEVER;
  /** The same of a member's that lie ahead of our clock. */
  #ahead = NEVER;

  /** @param isMember whether what lies ahead of our clock, `wall` in unix ms, is looked at apart */
  isNews(timestamp: Uint8Array, wall: number, isMember: boolean): boolean {
    if (!isAhead(this.#ahead, wall) && isAfter(this.#ahead, this.#greatest)) {
      this.#greatest = this.#ahead;
    }
    if (!isAfter(timestamp, this.#greatest)) return false;
    return !isMember || !isAhead(timestamp, wall) || isAfter(timestamp, this.#ahead);
  }

  /** It is authentic, and {@link isNews}. */
  take(timestamp: Uint8Array, wall: number, isMember: boolean): void {
    if (isMember && isAhead(timestamp, wall)) this.#ahead = timestamp;
    else this.#greatest = timestamp;
  }
}

function isAhead(timestamp: Uint8Array, wall: number): boolean {
  return wallOf(timestamp) > wall + CLOCKS_DIFFER;
}
