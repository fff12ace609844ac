/**
 * How many records of one member are looked at. Each costs a signature and those of its proof, and a member, or somebody who
 * has its key, can sign as many as it likes. There are four shares: what names another machine with the key has one of its
 * own, since it must be heard whatever else is signed with that key; and so has what others pass on, since they are to blame
 * for what is false in that.
 *
 * As large as four times the member table.
 */
import type { Now } from "../machine.ts";
import { mayTake, take } from "../swim/allowance.ts";
import type { MemberId } from "./identity.ts";

/** Records at once, and then one in so many ms; an honest member signs one a second at most. */
export const RECORDS_BURST = 16;
const COST = 250;

/** Which of the shares of a member a record falls into. */
export interface RecordShare {
  /** It names another machine with its key. */
  readonly isNote: boolean;
  /** Its subject has sent it. */
  readonly isDirect: boolean;
}

export class RecordPace {
  /** Boot ms up to which everything is paid for, by subject and share. */
  readonly #paid = new Map<MemberId, number[]>();
  /** Records that were not looked at. */
  refused = 0;

  take(now: Now, subject: MemberId, { isNote, isDirect }: RecordShare): boolean {
    const paid = this.#paid.get(subject) ?? [-Infinity, -Infinity, -Infinity, -Infinity];
    this.#paid.set(subject, paid);
    const share = 2 * Number(isNote) + Number(isDirect);
    const until = paid[share] ?? -Infinity;
    if (!mayTake(until, now.boot, (RECORDS_BURST - 1) * COST)) {
      this.refused++;
      return false;
    }
    paid[share] = take(until, now.boot, COST);
    return true;
  }

  forget(subject: MemberId): void {
    this.#paid.delete(subject);
  }
}
