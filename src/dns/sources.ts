/** Who asks how much: so many questions at once for each source, and so many a second. */
import { Allowance } from "../../mesh/door/allowance.ts";
import type { Now } from "../../mesh/machine.ts";

/** A browser that opens a page asks some tens of questions; a program that asks without end is slowed down. */
const QUESTIONS = { rate: 100, burst: 200 };
/** Of this machine itself, whose programs and users are one source together. */
const OWN_QUESTIONS = { rate: 2_000, burst: 4_000 };

/**
 * Sources that are remembered. At the limit the one that has asked nothing for the longest time is forgotten, and
 * begins with a whole share: a member has two addresses, and cannot fill the table with others.
 */
export const SOURCES_MAX = 1_024;

export class Sources {
  /** The one that asked last at the end. */
  readonly #shares = new Map<string, Allowance>();

  /**
   * Whether a source may ask one more question now.
   * @param isOwn whether it is an address of this machine
   */
  take(source: string, now: Now, isOwn: boolean): boolean {
    const share = this.#shares.get(source) ?? new Allowance(now, isOwn ? OWN_QUESTIONS : QUESTIONS);
    if (!this.#shares.delete(source) && this.#shares.size >= SOURCES_MAX) {
      const [oldest] = this.#shares.keys();
      if (oldest !== undefined) this.#shares.delete(oldest);
    }
    this.#shares.set(source, share);
    return share.take(now);
  }

  get size(): number {
    return this.#shares.size;
  }
}
