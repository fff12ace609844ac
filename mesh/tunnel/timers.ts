/**
 * Deadlines of all peers in one binary heap: the earliest is at hand, setting and clearing cost
 * the logarithm of how many are set, and nothing is ever scanned. Bounded by nine a peer.
 */
import type { PeerId } from "../machine.ts";

/** What a deadline is for; the text that a person reads as its reason. */
const TIMER_NAMES = [
  "handshake retry",
  "handshake wanted",
  "no answer",
  "passive keepalive",
  "persistent keepalive",
  "zero keys",
  "elsewhere",
  "refused",
  "lanes in use",
] as const;

export type TimerName = typeof TIMER_NAMES[number];

interface Entry {
  readonly peer: PeerId;
  readonly timer: TimerName;
  at: number;
  position: number;
}

export class Timers {
  readonly #heap: Entry[] = [];
  readonly #entries = new Map<string, Entry>();

  get size(): number {
    return this.#heap.length;
  }

  /** The earliest one. */
  peek(): { readonly peer: PeerId; readonly timer: TimerName; readonly at: number } | undefined {
    return this.#heap[0];
  }

  has(peer: PeerId, timer: TimerName): boolean {
    return this.#entries.has(key(peer, timer));
  }

  /** Sets or moves a timer to a boot time. */
  set(peer: PeerId, timer: TimerName, at: number): void {
    let entry = this.#entries.get(key(peer, timer));
    if (!entry) {
      entry = { peer, timer, at, position: this.#heap.length };
      this.#entries.set(key(peer, timer), entry);
      this.#heap.push(entry);
    }
    entry.at = at;
    this.#settle(entry);
  }

  clear(peer: PeerId, timer: TimerName): void {
    const entry = this.#entries.get(key(peer, timer));
    if (!entry) return;
    this.#entries.delete(key(peer, timer));
    const last = this.#heap.pop();
    if (!last || last === entry) return;
    this.#place(last, entry.position);
    this.#settle(last);
  }

  clearAll(peer: PeerId): void {
    for (const timer of TIMER_NAMES) this.clear(peer, timer);
  }

  #place(entry: Entry, position: number): void {
    this.#heap[position] = entry;
    entry.position = position;
  }

  #swap(a: Entry, b: Entry): void {
    const position = a.position;
    this.#place(a, b.position);
    this.#place(b, position);
  }

  /** Moves an entry up or down until every parent is no later than its children. */
  #settle(entry: Entry): void {
    for (;;) {
      const parent = this.#heap[(entry.position - 1) >> 1];
      if (entry.position === 0 || !parent || parent.at <= entry.at) break;
      this.#swap(entry, parent);
    }
    for (;;) {
      const left = this.#heap[2 * entry.position + 1];
      const right = this.#heap[2 * entry.position + 2];
      const child = right && left && right.at < left.at ? right : left;
      if (!child || child.at >= entry.at) break;
      this.#swap(entry, child);
    }
  }
}

function key(peer: PeerId, timer: TimerName): string {
  return `${peer} ${timer}`;
}
