/**
 * Handshakes that somebody begins in a member's name and does not finish.
 *
 * A first message takes the member's key, or ours, and nothing that is sent to the member: whoever has a copy of either makes
 * one at any place. A member begins one and confirms its session within a round trip, or, where our response is lost, begins
 * again in 5 s. So where three have begun in a minute and none was finished, an initiation of ours asks the member. Where it
 * answers, what goes to it arrives, and those were not the member's; where that is so twice in a row, people are told.
 */
import type { Endpoint } from "../endpoint.ts";
import { NAMED_FOR } from "./constants.ts";

/** So many begun in a minute, and none of them finished. */
const MANY = 3;
const MINUTE = 60_000;
/** Milliseconds after one question of ours before the next one. */
const ASK_PACE = 60_000;
/** Milliseconds in which the second answer has to follow on the first. */
const IN_A_ROW = 180_000;

export class Unfinished {
  /** Boot ms at which the last ones began; `MANY` at most. */
  #begun: number[] = [];
  #askedAt = -Infinity;
  /** When the member answered ours last though so many had begun, and whether that was the second in a row. */
  #answeredAt = -Infinity;
  #isNamed = false;
  /** Where the last one came from. */
  place: Endpoint | undefined;

  /**
   * A handshake was begun from a place.
   * @returns whether the member has to be asked now
   */
  begin(boot: number, place: Endpoint): boolean {
    this.place = place;
    this.#begun = [...this.#begun, boot].slice(-MANY);
    if (!this.#areMany(boot) || boot - this.#askedAt < ASK_PACE) return false;
    this.#askedAt = boot;
    return true;
  }

  /**
   * The member has answered an initiation of ours.
   * @returns whether people are to hear of it: they did not know it yet
   */
  answered(boot: number): boolean {
    if (!this.#areMany(boot)) return false;
    const wasNamed = this.isNamed(boot);
    this.#isNamed = wasNamed || boot - this.#answeredAt <= IN_A_ROW;
    this.#answeredAt = boot;
    this.#begun = [];
    return this.#isNamed && !wasNamed;
  }

  /** Who began the last one has finished it. */
  finish(): void {
    this.#begun = [];
    if (!this.#isNamed) this.#answeredAt = -Infinity;
  }

  /** Whether somebody has done so of late who is not the member. */
  isNamed(boot: number): boolean {
    return this.#isNamed && boot - this.#answeredAt <= NAMED_FOR;
  }

  /** Whether the last one was begun a moment ago, and not finished. */
  isOpen(boot: number): boolean {
    const last = this.#begun.at(-1);
    return last !== undefined && boot - last < MINUTE;
  }

  #areMany(boot: number): boolean {
    const [first] = this.#begun;
    return this.#begun.length === MANY && first !== undefined && boot - first < MINUTE;
  }
}
