/**
 * The keys that one token has certified, in the order in which they count: the earliest first, then
 * the lower key. Kept as certificates come, since who has an admin's key can sign thousands by one
 * token: made anew for each, the last would cost as much as all before it.
 */
import type { MemberId } from "./identity.ts";

/** Different numbers of uses that certificates of one token name, as far as they are told apart. */
const USES_MAX = 16;

export class Ranks {
  readonly #since = new Map<MemberId, number>();
  readonly #order: MemberId[] = [];
  readonly #uses = new Set<number>();

  get size(): number {
    return this.#order.length;
  }

  keys(): readonly MemberId[] {
    return this.#order;
  }

  /** How many come before a key; Infinity: it is not among them. */
  of(key: MemberId): number {
    const since = this.#since.get(key);
    return since === undefined ? Infinity : this.#placeOf(key, since);
  }

  /** Puts a key where its earliest certificate says; undefined: there is none any more. */
  set(key: MemberId, since: number | undefined): void {
    const before = this.#since.get(key);
    if (before === since) return;
    if (before !== undefined) this.#order.splice(this.#placeOf(key, before), 1);
    this.#since.delete(key);
    if (since === undefined) return;
    this.#order.splice(this.#placeOf(key, since), 0, key);
    this.#since.set(key, since);
  }

  /** A certificate says that the token admits so many. */
  noteUses(uses: number): void {
    if (this.#uses.size < USES_MAX) this.#uses.add(uses);
  }

  /**
   * The keys on both sides of where the token's uses end. One key more or one less moves each other by
   * one rank, so nobody else gains or loses its use by that.
   */
  *atEnd(): Generator<MemberId> {
    for (const uses of this.#uses) {
      if (uses <= this.size) yield* this.#order.slice(Math.max(0, uses - 1), uses + 1);
    }
  }

  /** The first place whose key does not come before this one. */
  #placeOf(key: MemberId, since: number): number {
    let [low, high] = [0, this.#order.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#order[middle] ?? "";
      const its = this.#since.get(other) ?? Infinity;
      if (its < since || its === since && other < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
