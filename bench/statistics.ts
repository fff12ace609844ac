/** The value at a share of the way through the sorted values (nearest rank); NaN of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = Math.max(0, Math.ceil(share * sorted.length) - 1);
  return sorted[rank] ?? NaN;
}

/** A ratio of medians, and the smallest and the largest ratio of two values that belong together. */
export interface Ratio {
  readonly middle: number;
  readonly low: number;
  readonly high: number;
  /** How many turns had both. */
  readonly turns: number;
}

/**
 * Of values measured in the same turns; a turn in which one of the two has none, or both are 0, is left out. NaN of
 * none; to something that is 0 the ratio is infinite, and says nothing of how much ours is.
 */
export function ratio(ours: readonly number[], theirs: readonly number[]): Ratio {
  const pairs = ours.map((value, i) => [value, theirs[i] ?? NaN] as const)
    .filter(([a, b]) => Number.isFinite(a) && Number.isFinite(b) && (a !== 0 || b !== 0));
  if (pairs.length === 0) return { middle: NaN, low: NaN, high: NaN, turns: 0 };
  const quotients = pairs.map(([a, b]) => a / b);
  return {
    middle: median(pairs.map(([a]) => a)) / median(pairs.map(([, b]) => b)),
    low: Math.min(...quotients),
    high: Math.max(...quotients),
    turns: pairs.length,
  };
}

/** The middle value, or the mean of the two in the middle; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  const upper = sorted[Math.floor(half)] ?? NaN;
  return Number.isInteger(half) ? ((sorted[half - 1] ?? NaN) + upper) / 2 : upper;
}
