/** Makes a failing history small: steps are taken out as long as it fails without them. */
import type { HistoryPlan, Step } from "./history_plan.ts";

/**
 * @param fails whether a history fails; it is called at most `tries` times
 * @returns the smallest history found that fails
 */
export function shrunk(
  plan: HistoryPlan,
  fails: (plan: HistoryPlan) => boolean,
  tries: number,
): HistoryPlan {
  let best = plan;
  let left = tries;
  const attempt = (steps: readonly Step[]): boolean => {
    if (left <= 0) return false;
    left--;
    const shorter = { ...best, steps };
    const isOne = fails(shorter);
    if (isOne) best = shorter;
    return isOne;
  };
  for (let size = Math.ceil(best.steps.length / 2); left > 0;) {
    let isShorter = false;
    for (let at = 0; at < best.steps.length && left > 0;) {
      const { steps } = best;
      // What comes after happens when it would have happened.
      const gone = steps.slice(at, at + size).reduce((ms, { after }) => ms + after, 0);
      const rest = steps.slice(at + size).map((step, i) =>
        i === 0 ? { ...step, after: step.after + gone } : step
      );
      if (attempt([...steps.slice(0, at), ...rest])) isShorter = true;
      else at += size;
    }
    if (size > 1) size = Math.ceil(size / 2);
    else if (!isShorter) break;
  }
  return best;
}
