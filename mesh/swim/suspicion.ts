/**
 * How long a suspicion lasts, as a pure function of how many members there are and how many of them
 * suspect independently (Lifeguard, "LHA-Suspicion"): one accuser alone has to wait long, each
 * further one shortens the rest logarithmically, down to a floor that grows with log n, the time
 * gossip takes to reach everybody and come back.
 */

/** Periods of the floor per power of ten of members: Lifeguard's alpha. */
const ALPHA = 4;
/** Longest over shortest timeout: Lifeguard's beta. */
const BETA = 6;
/** Independent accusers beside the first that bring the timeout down to the floor. */
const CONFIRMATIONS = 2;

export interface Suspicion {
  /** Milliseconds with all confirmations, and with none. */
  readonly shortest: number;
  readonly longest: number;
  /** How many further accusers shorten it. */
  readonly confirmations: number;
}

/** The bounds for a mesh of `members` living members, ourselves included; `period` in ms. */
export function suspicionOf(members: number, period: number): Suspicion {
  const shortest = ALPHA * Math.max(1, Math.log10(Math.max(1, members))) * period;
  // Nobody else can confirm where only we, the suspect and too few others are left.
  const confirmations = members - 2 > CONFIRMATIONS ? CONFIRMATIONS : 0;
  return { shortest, longest: confirmations === 0 ? shortest : BETA * shortest, confirmations };
}

/** Milliseconds from the beginning of a suspicion to its end with this many confirmations. */
export function suspicionTimeout(suspicion: Suspicion, confirmations: number): number {
  const { shortest, longest } = suspicion;
  if (confirmations >= suspicion.confirmations) return shortest;
  const share = Math.log(confirmations + 1) / Math.log(suspicion.confirmations + 1);
  return longest - (longest - shortest) * share;
}
