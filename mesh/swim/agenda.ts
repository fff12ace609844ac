/** What a machine means to do later: entries by time, each with its reason. */
import { Heap } from "../heap.ts";
import type { Deadline } from "../machine.ts";

export interface Entry extends Deadline {
  at: number;
  readonly why: string;
  readonly act: () => void;
  cancelled: boolean;
}

export class Agenda {
  readonly #heap = new Heap<Entry>((a, b) => a.at < b.at);

  /** Notes something to do at `at` boot ms. The entry can be cancelled by its flag. */
  add(at: number, why: string, act: () => void): Entry {
    const entry = { at, why, act, cancelled: false };
    this.#heap.push(entry);
    return entry;
  }

  /** The next entry that still stands. */
  next(): Entry | undefined {
    while (this.#heap.peek()?.cancelled) this.#heap.pop();
    return this.#heap.peek();
  }

  /** Takes the next entry if its time has come. */
  due(now: number): Entry | undefined {
    const entry = this.next();
    if (entry === undefined || entry.at > now) return undefined;
    this.#heap.pop();
    return entry;
  }

  /** Moves everything later by so many ms: the order stays. */
  postpone(ms: number): void {
    for (const entry of this.#heap) entry.at += ms;
  }

  clear(): void {
    this.#heap.clear();
  }
}
