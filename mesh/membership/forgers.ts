/**
 * Members that have passed on what is false. Everybody verifies what it passes on, so whoever brings
 * a signature that does not fit has made it up, and could make others check such signatures as fast
 * as it sends. For a while nothing more that it passes on is looked at: the others bring the same
 * news. Its own records still count: somebody else may have its key and forge in its name, so that what
 * it says about that is not heard; how many are looked at bounds record_pace.ts. (Of proofs that are part
 * of its own messages swim keeps count by itself.)
 *
 * Only members are remembered, so the members table bounds this one.
 */
import type { MemberId } from "./identity.ts";
import type { Now } from "../machine.ts";

/** Milliseconds for which nothing is taken from whoever has passed on something false. */
export const FORGER_REST = 60_000;

export class Forgers {
  readonly #rests = new Map<MemberId, number>();
  /** Signatures and versions that were false, and what was not looked at for that. */
  readonly counts = { forged: 0, unlooked: 0 };

  get size(): number {
    return this.#rests.size;
  }

  /**
   * Whether something is worth a look.
   * @param subject whose record it is, or belongs to
   */
  mayLook(now: Now, from: MemberId, subject?: MemberId): boolean {
    if (this.#isWorthIt(now, from, subject)) return true;
    this.counts.unlooked++;
    return false;
  }

  #isWorthIt(now: Now, from: MemberId, subject: MemberId | undefined): boolean {
    return subject === from || now.boot >= (this.#rests.get(from) ?? -Infinity);
  }

  /** A member has passed on something false. */
  blame(now: Now, from: MemberId): void {
    this.counts.forged++;
    this.#rests.set(from, now.boot + FORGER_REST);
  }

  /** It is no member any more. */
  forget(id: MemberId): void {
    this.#rests.delete(id);
  }
}
