/**
 * What others say of the counters in our name (wire/seal.ts). A member that has had counters of this start which we have
 * not used has heard something that was sealed with our key, or with its own, by somebody else. Its word alone says
 * nothing: whoever has its key can make it believe that, and it may lie. So another machine has our key where two members
 * say so.
 *
 * A virtual machine that was set back to a snapshot of its memory is overtaken by itself, once and not by more than it can
 * have sent since: of that nobody is told. It has forgotten what members said after the snapshot, so it can be set back to
 * that as often as it likes. Whoever has a copy of a key and leads its numbers away seldom cannot hide among such machines:
 * the third time in a day is no snapshot, nor is the second in ten minutes. A single number proves nothing, however busy the
 * machine is: what may come at once is bounded by time where it arrives (LEAP_RATE in wire/seal.ts).
 */
import type { Now } from "../machine.ts";
import type { MemberId } from "./identity.ts";
import { TWIN_TIME } from "./record.ts";

/** More than a machine that was set back has sealed since the snapshot: 136 datagrams a second for a year. */
export const SET_BACK_MAX = 2 ** 32;
/** Milliseconds within which a third claim of one member is no snapshot. */
const DAY = 86_400_000;

interface Claim {
  /** Boot ms of the last claim, and of the one before it. */
  readonly at: number;
  readonly before: number;
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
    const { at, before } = this.#claims.get(id) ?? { at: -Infinity, before: -Infinity };
    const isSure = by > SET_BACK_MAX || now.boot - at < TWIN_TIME || now.boot - before < DAY;
    this.#claims.set(id, { at: now.boot, before: at, isSure });
    if (!isSure) return false;
    let count = 0;
    for (const one of this.#claims.values()) if (one.isSure && now.boot - one.at < DAY) count++;
    return count > 1;
  }

  forget(id: MemberId): void {
    this.#claims.delete(id);
  }
}
