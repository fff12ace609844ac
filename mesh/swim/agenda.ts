/** What a machine means to do later: a heap of entries by time, each with its reason. */
import type { Deadline } from "../machine.ts";

export interface Entry extends Deadline {
  at: number;
  readonly why: string;
  readonly act: () => void;
  cancelled: boolean;
}

export class Agenda {
  readonly #heap: Entry[] = [];

  /** Notes something to do at `at` boot ms. The entry can be cancelled by its flag. */
  add(at: number, why: string, act: () => void): Entry {
    const entry = { at, why, act, cancelled: false };
    const heap = this.#heap;
    let i = heap.push(entry) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || above.at <= at) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = entry;
    return entry;
  }

  /** The next entry that still stands. */
  next(): Entry | undefined {
    while (this.#heap[0]?.cancelled) this.#pop();
    return this.#heap[0];
  }

  /** Takes the next entry if its time has come. */
  due(now: number): Entry | undefined {
    const entry = this.next();
    if (entry === undefined || entry.at > now) return undefined;
    this.#pop();
    return entry;
  }

  /** Moves everything later by so many ms: the order stays. */
  postpone(ms: number): void {
    for (const entry of this.#heap) entry.at += ms;
  }

  clear(): void {
    this.#heap.length = 0;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      const left = heap[child];
      if (left === undefined) break;
      const right = heap[child + 1];
      if (right !== undefined && right.at < left.at) child++;
      const least = right !== undefined && right.at < left.at ? right : left;
      if (least.at >= last.at) break;
      heap[i] = least;
      i = child;
    }
    heap[i] = last;
  }
}
