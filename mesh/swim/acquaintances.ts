/**
 * The order in which members are probed and drawn, those that have been heard of their own apart from those that have
 * not: whoever may certify, or has an invite of many uses, can make thousands of members that nobody has ever heard.
 * Where all are drawn alike, probes, helpers and news go to them, and a death or a removal takes as many times longer.
 */
import type { Random } from "../machine.ts";
import { hasBeenHeard, type Member } from "./membership.ts";
import { Ring } from "./ring.ts";

export class Acquaintances {
  readonly #heard: Ring;
  readonly #unheard: Ring;

  constructor(random: Random) {
    this.#heard = new Ring(random);
    this.#unheard = new Ring(random);
  }

  /** How many have been heard. */
  get heard(): number {
    return this.#heard.size;
  }

  insert(member: Member): void {
    (hasBeenHeard(member) ? this.#heard : this.#unheard).insert(member);
  }

  /** The first sign of life of a member has come. */
  meet(member: Member): void {
    this.#unheard.remove(member);
    this.#heard.insert(member);
  }

  remove(member: Member): void {
    this.#heard.remove(member);
    this.#unheard.remove(member);
  }

  /** The next to be probed of those that have been heard. */
  next(eligible: (member: Member) => boolean): Member | undefined {
    return this.#heard.next(eligible);
  }

  /** The next to be probed of those that have not. */
  nextUnheard(eligible: (member: Member) => boolean): Member | undefined {
    return this.#unheard.next(eligible);
  }

  /** At most one of each kind, chosen at random. */
  oneOfEach(eligible: (member: Member) => boolean): Member[] {
    return [...this.#heard.some(1, eligible), ...this.#unheard.some(1, eligible)];
  }

  /** Up to `count` different members chosen at random; of those that were never heard only as many as are missing. */
  some(count: number, eligible: (member: Member) => boolean): Member[] {
    const chosen = this.#heard.some(count, eligible);
    return [...chosen, ...this.#unheard.some(count - chosen.length, eligible)];
  }
}
