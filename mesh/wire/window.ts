/**
 * A replay window over the counters of control datagrams (RFC 6479's ring): each counter is
 * accepted once, and none that is more than {@link WINDOW} behind the highest. The data plane has
 * its own in core (R13).
 */

/** Counters behind the highest that may still come late. */
export const WINDOW = 1024;

export class ReplayWindow {
  /** Bit c mod WINDOW: counter c was seen, for the last WINDOW counters up to #top. */
  readonly #seen = new Uint32Array(WINDOW / 32);
  #top = -1;

  /** The highest counter that was accepted; -1: none was. */
  get top(): number {
    return this.#top;
  }

  /** Whether a counter is so far behind the highest that it is not known any more if it was seen. */
  isBehind(counter: number): boolean {
    return counter <= this.#top - WINDOW;
  }

  /** Whether the counter (0..2^48-1) is new; if so it is not new any more. */
  accept(counter: number): boolean {
    if (this.isBehind(counter)) return false;
    for (let c = Math.max(this.#top + 1, counter - WINDOW + 1); c <= counter; c++) {
      this.#set(c, false);
    }
    if (counter <= this.#top && this.#has(counter)) return false;
    this.#top = Math.max(this.#top, counter);
    this.#set(counter, true);
    return true;
  }

  #has(counter: number): boolean {
    const bit = counter % WINDOW;
    return ((this.#seen[bit >> 5] ?? 0) >>> (bit & 31) & 1) === 1;
  }

  #set(counter: number, isSeen: boolean): void {
    const bit = counter % WINDOW;
    const word = this.#seen[bit >> 5] ?? 0;
    const mask = 1 << (bit & 31);
    this.#seen[bit >> 5] = isSeen ? word | mask : word & ~mask;
  }
}
