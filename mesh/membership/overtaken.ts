/**
 * What others say of the counters in our name (wire/seal.ts). A member that has had counters of this start which we have
 * not used has heard something that was sealed with our key, or with its own, by somebody else. Its word alone says
 * nothing: whoever has its key can make it believe that, and it may lie. So another machine has our key where two members
 * say so.
 *
 * A virtual machine that was set back to a snapshot of its memory is overtaken by itself, once and not by more than it can
 * have sent since: of that nobody is told.
 */
import type { Now } from "../machine.ts";
import type { MemberId } from "./identity.ts";
import { TWIN_TIME } from "./record.ts";

/** More than a machine that was set back has sent since the snapshot. */
export const SET_BACK_MAX = 2 ** 24;

interface Claim {
  readonly at: number;
  /** It is not explained by a snapshot. */
  readonly isSure: boolean;
}

export class Overtaken {
  /** The last of each member; never more than the members. */
  readonly #claims = new Map<MemberId, Claim>();

  /**
   * @param by counters beyond all that was sealed for this member
   * @returns whether another machine has our key
   */
  claim(now: Now, id: MemberId, by: number): boolean {
    const isSure = by > SET_BACK_MAX || this.#isNew(now, this.#claims.get(id));
    this.#claims.set(id, { at: now.boot, isSure });
    if (!isSure) return false;
    let count = 0;
    for (const one of this.#claims.values()) if (one.isSure && this.#isNew(now, one)) count++;
    return count > 1;
  }

  forget(id: MemberId): void {
    this.#claims.delete(id);
  }

  #isNew(now: Now, claim: Claim | undefined): boolean {
    return claim !== undefined && now.boot - claim.at < TWIN_TIME;
  }
}
