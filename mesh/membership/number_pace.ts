/**
 * How often a statement may take the number of another that says no less. A signer can make any number
 * of statements with one number and show them in the order of their hashes, the highest first: each
 * would be news to the whole mesh, though numbers are limited (invariant 13). An honest admin does it
 * after its disk was restored, for as many numbers as the old disk had not known.
 *
 * Who is refused for that today may come again at the next comparison with a member: so members who
 * hold different ones of a pair agree as soon as the signer stops.
 */
import { mayTake, take } from "../swim/allowance.ts";

/** Numbers that may change hands at once; afterwards one a second. */
export const NUMBER_BURST = 256;
const COST = 1_000;

export class NumberPace {
  /** Unix ms up to which everything is paid for, by signer; they are the mesh key and admins. */
  readonly #paid = new Map<string, number>();

  /** @param now unix seconds by our clock, which may be set in either direction at any time */
  take(signer: string, now: number): boolean {
    const ms = now * 1_000;
    const burst = (NUMBER_BURST - 1) * COST;
    // A clock that was set back must not refuse for as long as it was ahead.
    const paid = Math.min(this.#paid.get(signer) ?? 0, ms + burst + COST);
    const isFree = mayTake(paid, ms, burst);
    this.#paid.set(signer, isFree ? take(paid, ms, COST) : paid);
    return isFree;
  }

  forget(signer: string): void {
    this.#paid.delete(signer);
  }

  /** Forgets all signers but these. */
  keep(signers: ReadonlySet<string>): void {
    for (const signer of this.#paid.keys()) if (!signers.has(signer)) this.#paid.delete(signer);
  }
}
