/**
 * What members get because they asked, or because of what they said: pages, rumours, and whatever
 * rides along. A request is small and may be forged in number by a member whose record sends the
 * answers to somebody else, so what leaves for one member is bounded by the second, whatever it
 * asks for, and no rumour is given to it twice in a short while.
 *
 * An honest member that levels a large mesh with us meets the bound too, and loses nothing by it: a
 * page is refused unless all that it makes the other ask for can be given, and the other asks again
 * a second later.
 */
import { mayTake, take } from "./allowance.ts";
import type { Member } from "./membership.ts";
import type { Rumour } from "./messages.ts";
import type { Moment } from "./outbox.ts";
import { nameOf } from "./rumours.ts";

/** Bytes for one member in a ms, in the long run: 64 KB/s. */
const RATE = 64;
/** Milliseconds of that which may go out at once: 256 KB. */
const BURST = 4_000;
/** Milliseconds in which a member gets a rumour once. Less than between two push-pulls. */
const REPEAT = 2_000;

export class Answers {
  /** When each rumour was given to whom, the earliest first. */
  readonly #given = new Map<string, number>();
  readonly counters = { refusedAnswers: 0, repeatedAnswers: 0 };

  /** `givenMax`: rumours given of late that are remembered; more are refused. */
  constructor(private readonly moment: Moment, private readonly givenMax: number) {}

  /** Whether a member may get something now, with room for so many bytes more; counts a refusal. */
  allows(to: Member, bytes = 0): boolean {
    const { now } = this.moment;
    if (mayTake(Math.max(to.answersPaid, now) + bytes / RATE, now, BURST)) return true;
    this.counters.refusedAnswers++;
    return false;
  }

  /** So many bytes go out to a member. */
  spend(to: Member, bytes: number): void {
    to.answersPaid = take(to.answersPaid, this.moment.now, bytes / RATE);
  }

  /** Those of these rumours that a member has not been given of late; from now on it has. */
  fresh(to: Member, rumours: readonly Rumour[]): Rumour[] {
    const { now } = this.moment;
    for (const [name, at] of this.#given) {
      if (now - at < REPEAT) break;
      this.#given.delete(name);
    }
    return rumours.filter(({ kind, key, version }) => {
      const name = `${to.tag}>${nameOf(key.slice(0, 32), kind)}@${version}`;
      if (this.#given.has(name)) this.counters.repeatedAnswers++;
      else if (this.#given.size >= this.givenMax) this.counters.refusedAnswers++;
      else return this.#given.set(name, now) !== undefined;
      return false;
    });
  }
}
