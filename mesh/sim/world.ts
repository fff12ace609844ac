/** The clock of a simulation and what is to happen when. Nothing else knows the time. */
import { Heap } from "../heap.ts";
import { Trace } from "./trace.ts";
import { Seeded } from "./random.ts";

interface Happening {
  readonly at: number;
  /** Order of arrival, so that simultaneous happenings have one order. */
  readonly order: number;
  readonly act: () => void;
}

export class World {
  readonly random: Seeded;
  readonly trace = new Trace();
  readonly #heap = new Heap(before);
  #now = 0;
  #order = 0;
  #steps = 0;

  constructor(readonly seed: number) {
    this.random = new Seeded(seed);
  }

  /** Virtual milliseconds since the beginning. */
  get now(): number {
    return this.#now;
  }

  /** How many things have happened. */
  get steps(): number {
    return this.#steps;
  }

  /** Lets something happen at a time, now at the earliest. */
  at(time: number, act: () => void): void {
    this.#heap.push({ at: Math.max(this.#now, time), order: this.#order++, act });
  }

  after(ms: number, act: () => void): void {
    this.at(this.#now + ms, act);
  }

  /** Runs for so many virtual milliseconds, or until `done` says so; whether it did. */
  run(ms: number, done?: () => boolean): boolean {
    const end = this.#now + ms;
    for (;;) {
      if (done?.() === true) return true;
      const next = this.#heap.peek();
      if (next === undefined || next.at > end) break;
      this.#heap.pop();
      this.#now = next.at;
      this.#steps++;
      next.act();
    }
    this.#now = end;
    return false;
  }
}

function before(a: Happening, b: Happening): boolean {
  return a.at < b.at || a.at === b.at && a.order < b.order;
}
