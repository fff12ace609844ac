/** The clock of a simulation and what is to happen when. Nothing else knows the time. */
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
  readonly #heap: Happening[] = [];
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
    const one = { at: Math.max(this.#now, time), order: this.#order++, act };
    const heap = this.#heap;
    let i = heap.push(one) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !before(one, above)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = one;
  }

  after(ms: number, act: () => void): void {
    this.at(this.#now + ms, act);
  }

  /** Runs for so many virtual milliseconds, or until `done` says so; whether it did. */
  run(ms: number, done?: () => boolean): boolean {
    const end = this.#now + ms;
    for (;;) {
      if (done?.() === true) return true;
      const next = this.#heap[0];
      if (next === undefined || next.at > end) break;
      this.#pop();
      this.#now = next.at;
      this.#steps++;
      next.act();
    }
    this.#now = end;
    return false;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      let least = heap[child];
      if (least === undefined) break;
      const right = heap[child + 1];
      if (right !== undefined && before(right, least)) {
        child++;
        least = right;
      }
      if (!before(least, last)) break;
      heap[i] = least;
      i = child;
    }
    heap[i] = last;
  }
}

function before(a: Happening, b: Happening): boolean {
  return a.at < b.at || a.at === b.at && a.order < b.order;
}
