/** A binary heap: the first by an order of the caller's is at hand, taking and adding cost the logarithm. */
export class Heap<T> implements Iterable<T> {
  readonly #items: T[] = [];

  constructor(private readonly isBefore: (a: T, b: T) => boolean) {}

  /** The first one, which stays. */
  peek(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    const items = this.#items;
    let i = items.push(item) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = items[parent];
      if (above === undefined || !this.isBefore(item, above)) break;
      items[i] = above;
      i = parent;
    }
    items[i] = item;
  }

  /** Takes the first one out. */
  pop(): T | undefined {
    const items = this.#items;
    const first = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return first;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      let least = items[child];
      if (least === undefined) break;
      const right = items[child + 1];
      if (right !== undefined && this.isBefore(right, least)) {
        child++;
        least = right;
      }
      if (!this.isBefore(least, last)) break;
      items[i] = least;
      i = child;
    }
    items[i] = last;
    return first;
  }

  clear(): void {
    this.#items.length = 0;
  }

  /** All of them, in no order. */
  [Symbol.iterator](): Iterator<T> {
    return this.#items.values();
  }
}
