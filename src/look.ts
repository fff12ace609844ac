/**
 * Looks at what nobody tells this process of. All of them happen at the same moments, so that a program that is idle
 * wakes once for them: each wake costs the run time more than the look itself.
 */

/** Milliseconds between two such moments. */
const LOOK_EVERY_MS = 2_000;

/**
 * Milliseconds from now until the next look.
 * @param now milliseconds of a clock that all who look share, as `performance.now()`
 * @param each how many of the moments pass for one look; the first is left out when it is less than half of one away
 */
export function untilLook(now: number, each = 1): number {
  const period = LOOK_EVERY_MS * each;
  const left = period - (now % period);
  return left < LOOK_EVERY_MS / 2 ? left + period : left;
}
