/**
 * Local health (Lifeguard, "LHA-Probe"): a member that misses answers, or has to refute, first
 * doubts itself. Each doubt makes it wait longer for answers and probe less often.
 */

/** Worst health; timeouts are then nine times as long. */
const WORST = 8;

export class Awareness {
  #score = 0;

  /** 0 is healthy, 8 is worst. */
  get score(): number {
    return this.#score;
  }

  /** Adds evidence against (positive) or for (negative) our own health. */
  note(evidence: number): void {
    this.#score = Math.min(WORST, Math.max(0, this.#score + evidence));
  }

  /** A timeout or interval in ms, stretched by our doubt. */
  stretch(ms: number): number {
    return ms * (this.#score + 1);
  }
}
