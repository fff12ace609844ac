/** What members sent, of every kind some. */
import type { Mutator } from "./mutator.ts";

/** Samples of each kind that are kept for altering. */
export const SAMPLES = 64;

/** The newest of each kind; what was first goes first. */
export class Samples<T> {
  readonly #byKind = new Map<string, T[]>();

  add(kind: string, sample: T): void {
    const samples = this.#byKind.get(kind) ?? [];
    this.#byKind.set(kind, samples);
    samples.push(sample);
    if (samples.length > SAMPLES) samples.shift();
  }

  /** Any kind as often as any other, however rare its samples are. */
  pick(mutator: Mutator): T | undefined {
    const kind = mutator.pick([...this.#byKind.keys()]);
    return kind === undefined ? undefined : mutator.pick(this.#byKind.get(kind) ?? []);
  }
}
