/** A limit that lets so much through at once and so much a second in the long run: a token bucket. */
import type { Now } from "../machine.ts";

export interface Share {
  /** A second. */
  readonly rate: number;
  /** At once, after silence. */
  readonly burst: number;
}

export class Allowance {
  #left: number;
  /** Boot ms. */
  #filledAt: number;

  constructor(now: Now, private readonly share: Share) {
    this.#left = share.burst;
    this.#filledAt = now.boot;
  }

  /** Whether there is one to take now. */
  has(now: Now): boolean {
    this.#fill(now);
    // A thirtieth of a second, summed up thirty times, is a little less than a second.
    return this.#left >= 1 - 1e-9;
  }

  /** Takes one, if there is one. */
  take(now: Now): boolean {
    if (!this.has(now)) return false;
    this.#left = Math.max(0, this.#left - 1);
    return true;
  }

  /** Whether it is as if nothing had ever been taken. */
  isWhole(now: Now): boolean {
    this.#fill(now);
    return this.#left >= this.share.burst;
  }

  #fill(now: Now): void {
    const earned = (now.boot - this.#filledAt) * this.share.rate / 1000;
    this.#left = Math.min(this.share.burst, this.#left + earned);
    this.#filledAt = now.boot;
  }
}
