/**
 * The receiver indices that we gave out (R26): 32 random bits each, unique among live handshakes
 * and sessions, not sequential. An index means one peer at a time, first its handshake and then,
 * with the same number, the session that came of it; it is freed with the slot (R40).
 */
import type { Random } from "../machine.ts";

export class IndexTable<T> {
  readonly #owners = new Map<number, T>();

  /** @param workers of core: the lowest byte of an index, modulo their number, names the one that gets its data */
  constructor(readonly random: Random, readonly workers = 1) {}

  get size(): number {
    return this.#owners.size;
  }

  /**
   * A fresh index for an owner. The table must stay far from full: owners are limited elsewhere.
   * @param worker that the owner belongs to
   */
  allocate(owner: T, worker = 0): number {
    for (;;) {
      const bytes = this.random(4);
      const index = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
      if ((index & 0xff) % this.workers !== worker || this.#owners.has(index)) continue;
      this.#owners.set(index, owner);
      return index;
    }
  }

  /** Takes an index into use that was allocated before: also one that was freed a moment ago. */
  hold(index: number, owner: T): void {
    this.#owners.set(index, owner);
  }

  get(index: number): T | undefined {
    return this.#owners.get(index);
  }

  free(index: number): void {
    this.#owners.delete(index);
  }
}
