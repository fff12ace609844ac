/**
 * So much in a while, and so much more at once, kept as one number: the time up to which everything
 * taken so far is paid for (the virtual scheduling of ITU-T I.371, known as GCRA).
 */

/** Whether something may be taken at `now`, when up to `burst` ms may be paid for in advance. */
export function mayTake(paidUntil: number, now: number, burst: number): boolean {
  return paidUntil <= now + burst;
}

/** The new time up to which all is paid for, when something is taken that costs so many ms. */
export function take(paidUntil: number, now: number, cost: number): number {
  return Math.max(paidUntil, now) + cost;
}
