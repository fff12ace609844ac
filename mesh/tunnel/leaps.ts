/**
 * When sessions are renewed because the wall clock was set (wall_watch.ts): at the first leap at once, and at the
 * next ones {@link RENEWAL_PACE} after the last renewal, once for all that came meanwhile. Two programs that set one clock
 * by turns, each second and for ever, would else end each session before it has carried anything.
 *
 * The last leap is always followed up, so a virtual machine that was set back to a snapshot goes on with its old sessions
 * for no longer than that pace, and only if another leap came just before.
 */

/**
 * Milliseconds between two renewals. Three times what R38 leaves between two handshakes with one peer, so that a lost
 * one is repeated within it; and so little that hardly anybody takes a snapshot, goes on and is set back to it meanwhile.
 */
export const RENEWAL_PACE = 15_000;
/** Leaps, none more than {@link CALM} ms after the one before, that are no accident any more. */
const REPEATED = 4;
const CALM = 60_000;
/** Milliseconds between two lines on a clock that is set again and again. */
const TOLD_PACE = 600_000;

/** Leaps that are followed up now. */
export interface FollowUp {
  /** Milliseconds by which the clock was set in all. */
  readonly byMs: number;
  /** Leaps in a row, these included. */
  readonly times: number;
  /** Whether people hear of it. */
  readonly isTold: boolean;
}

export class Leaps {
  #renewedAt = -Infinity;
  /** By how many ms the clock was set since then; undefined: it was not. */
  #byMs: number | undefined;
  #times = 0;
  #lastAt = -Infinity;
  #toldAt = -Infinity;

  /** @param byMs by which the clock was set just now, 0: it was not @returns undefined: sessions stay */
  look(boot: number, byMs: number): FollowUp | undefined {
    if (byMs !== 0) {
      this.#times = boot - this.#lastAt > CALM ? 1 : this.#times + 1;
      this.#lastAt = boot;
      this.#byMs = (this.#byMs ?? 0) + byMs;
    }
    const due = this.due;
    if (due === undefined || boot < due) return undefined;
    this.#renewedAt = boot;
    const isRepeated = this.#times >= REPEATED;
    const isTold = !isRepeated || boot - this.#toldAt >= TOLD_PACE;
    if (isRepeated && isTold) this.#toldAt = boot;
    const followUp = { byMs: this.#byMs ?? 0, times: this.#times, isTold };
    this.#byMs = undefined;
    return followUp;
  }

  /** Boot ms at which leaps are to be followed up; undefined: there is none. */
  get due(): number | undefined {
    return this.#byMs === undefined ? undefined : this.#renewedAt + RENEWAL_PACE;
  }

  /** How often the clock was set in a row, where that goes on and is no accident; else 0. */
  repeated(boot: number): number {
    return this.#times >= REPEATED && boot - this.#lastAt <= CALM ? this.#times : 0;
  }

  /** The boot clock went back, and all sessions have ended for that. */
  forget(): void {
    this.#renewedAt = this.#lastAt = this.#toldAt = -Infinity;
    this.#byMs = undefined;
    this.#times = 0;
  }
}
