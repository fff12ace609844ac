/**
 * How many records of one member are looked at. Each costs a signature and those of its proof, and a member, or somebody who
 * has its key, can sign as many as it likes. What names another machine with the key has a share of its own: it must be heard
 * whatever else is signed with that key.
 *
 * As large as twice the member table.
 */
import type { Now } from "../machine.ts";
import { mayTake, take } from "../swim/allowance.ts";
import type { MemberId } from "./identity.ts";

/** Records at once, and then one in so many ms; an honest member signs one a second at most. */
export const RECORDS_BURST = 16;
const COST = 250;

export class RecordPace {
  /** Boot ms up to which everything is paid for. */
  readonly #paid = new Map<string, number>();
  /** Records that were not looked at. */
  refused = 0;

  take(now: Now, subject: MemberId, kind: number): boolean {
    const name = nameOf(subject, kind);
    const paid = this.#paid.get(name) ?? -Infinity;
    if (!mayTake(paid, now.boot, (RECORDS_BURST - 1) * COST)) {
      this.refused++;
      return false;
    }
    this.#paid.set(name, take(paid, now.boot, COST));
    return true;
  }

  forget(subject: MemberId, kinds: readonly number[]): void {
    for (const kind of kinds) this.#paid.delete(nameOf(subject, kind));
  }
}

function nameOf(subject: MemberId, kind: number): string {
  return `${kind} ${subject}`;
}
