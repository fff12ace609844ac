/**
 * Looks at what nobody tells this process of. All of them happen at the same moments, so that a program that is idle
 * wakes once for them: each wake costs the run time more than the look itself.
 */

/** Milliseconds between two such moments. */
const LOOK_EVERY_MS = 2_000;

/**
 * Milliseconds from now until the next look; the moment after it when that is less than half of the way between two away.
 * @param now milliseconds of a clock that all who look share, as `performance.now()`
 */
export function untilLook(now: number): number {
  const left = LOOK_EVERY_MS - (now % LOOK_EVERY_MS);
  return left < LOOK_EVERY_MS / 2 ? left + LOOK_EVERY_MS : left;
}
