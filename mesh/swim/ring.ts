/**
 * The order in which members are probed: round robin over a list that is shuffled anew for every
 * round (SWIM, section 4.3), so that each is probed at least once in 2n - 1 periods and nobody can
 * tell when. A new member takes a random place among those still to come in this round.
 */
import type { Random } from "../machine.ts";
import { below } from "./chance.ts";
import type { Member } from "./membership.ts";

export class Ring {
  readonly #list: Member[] = [];
  #position = 0;

  constructor(private readonly random: Random) {}

  insert(member: Member): void {
    this.#list.push(member);
    const ahead = this.#list.length - this.#position;
    this.#swap(this.#list.length - 1, this.#position + below(this.random, ahead));
  }

  remove(member: Member): void {
    const at = this.#list.indexOf(member);
    if (at < 0) return;
    this.#list.splice(at, 1);
    if (at < this.#position) this.#position--;
  }

  /** The next member that may be probed; none if a whole list holds none. */
  next(eligible: (member: Member) => boolean): Member | undefined {
    for (let tried = 0; tried < this.#list.length; tried++) {
      if (this.#position >= this.#list.length) this.#shuffle();
      const member = this.#list[this.#position++];
      if (member !== undefined && eligible(member)) return member;
    }
    return undefined;
  }

  /** Up to `count` different members chosen at random: all that there are if fewer are eligible. */
  some(count: number, eligible: (member: Member) => boolean): Member[] {
    const length = this.#list.length;
    const chosen: Member[] = [];
    if (length === 0) return chosen;
    // Independent draws where they hit at once; a walk from a random place never misses the last one.
    for (let draws = 0; draws < 2 * count && chosen.length < count; draws++) {
      this.#choose(below(this.random, length), chosen, eligible);
    }
    const start = below(this.random, length);
    for (let i = 0; i < length && chosen.length < count; i++) {
      this.#choose((start + i) % length, chosen, eligible);
    }
    return chosen;
  }

  #choose(at: number, chosen: Member[], eligible: (member: Member) => boolean): void {
    const member = this.#list[at];
    if (member !== undefined && eligible(member) && !chosen.includes(member)) chosen.push(member);
  }

  #shuffle(): void {
    this.#position = 0;
    for (let i = this.#list.length - 1; i > 0; i--) this.#swap(i, below(this.random, i + 1));
  }

  #swap(i: number, j: number): void {
    const a = this.#list[i];
    const b = this.#list[j];
    if (a === undefined || b === undefined) return;
    this.#list[i] = b;
    this.#list[j] = a;
  }
}
