/**
 * What rides along on messages: each entry is sent a bounded number of times (lambda * log n), those sent
 * least first, so that fresh news is never starved by old. One entry a key: newer replaces older and
 * starts again. At the limit the entry that was sent most is dropped, which push-pull makes good.
 */

/** Entries that one message passes over because they do not fit, before it looks no further. */
const MISSES = 8;

/** Transmissions per power of ten of members. */
const LAMBDA = 4;

/** How often each entry is sent in a mesh of `members` living members. */
export function transmissions(members: number): number {
  return Math.max(1, Math.ceil(LAMBDA * Math.log10(members + 1)));
}

export class Broadcast<T> {
  /** Entries by how often they were sent, each in order of arrival. */
  readonly #sent: Map<string, T>[] = [new Map()];
  readonly #level = new Map<string, number>();
  #bytes = 0;
  #dropped = 0;

  constructor(private readonly size: (entry: T) => number, private readonly limit: number) {}

  get length(): number {
    return this.#level.size;
  }

  /** Bytes of all that waits, each entry once. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Entries that the limit has cost. */
  get dropped(): number {
    return this.#dropped;
  }

  put(key: string, entry: T): void {
    this.drop(key);
    if (this.#level.size >= this.limit) this.#dropMostSent();
    this.#level.set(key, 0);
    this.#at(0).set(key, entry);
    this.#bytes += this.size(entry);
  }

  drop(key: string): void {
    const level = this.#level.get(key);
    const entry = level === undefined ? undefined : this.#at(level).get(key);
    if (level === undefined || entry === undefined) return;
    this.#bytes -= this.size(entry);
    this.#level.delete(key);
    this.#at(level).delete(key);
  }

  /** Up to `count` entries that fit into `bytes`, for one message; each may be sent `times` times. */
  take(bytes: number, count: number, times: number): T[] {
    const taken = this.#first(bytes, count);
    for (const { key, entry, level } of taken) {
      this.#at(level).delete(key);
      if (level + 1 >= times) {
        this.#level.delete(key);
        this.#bytes -= this.size(entry);
      } else {
        this.#level.set(key, level + 1);
        this.#at(level + 1).set(key, entry);
      }
    }
    return taken.map((one) => one.entry);
  }

  /** The same for somebody who may not be there: none of them counts as sent. */
  peek(bytes: number, count: number): T[] {
    return this.#first(bytes, count).map((one) => one.entry);
  }

  #first(bytes: number, count: number): { key: string; entry: T; level: number }[] {
    const taken: { key: string; entry: T; level: number }[] = [];
    let left = bytes;
    let misses = 0;
    for (const [level, entries] of this.#sent.entries()) {
      for (const [key, entry] of entries) {
        if (taken.length >= count || misses >= MISSES) break;
        const size = this.size(entry);
        if (size > left) {
          misses++;
          continue;
        }
        left -= size;
        taken.push({ key, entry, level });
      }
    }
    return taken;
  }

  #dropMostSent(): void {
    const fullest = this.#sent.findLast((entries) => entries.size > 0);
    for (const key of fullest?.keys() ?? []) {
      this.drop(key);
      this.#dropped++;
      return;
    }
  }

  #at(level: number): Map<string, T> {
    while (this.#sent.length <= level) this.#sent.push(new Map());
    return this.#sent[level] ?? new Map<string, T>();
  }
}
