/**
 * Notices that the wall clock was set: it moved against the boot clock, which nobody sets. A time server does that at
 * a boot, a person, and whatever sets the clock of a virtual machine that was set back to a snapshot.
 */
import type { Now } from "./machine.ts";

/** Milliseconds by which a time server may have moved the clock between two looks without having set it. */
const SLEWED_MAX = 5_000;

export class WallWatch {
  /** Of the wall clock over the boot clock, at the last look. */
  #offset: number | undefined;

  /** @returns by how many ms the wall clock was set since the last look; 0: it was not */
  look({ wall, boot }: Now): number {
    const offset = wall - boot;
    const by = offset - (this.#offset ?? offset);
    this.#offset = offset;
    return Math.abs(by) > SLEWED_MAX ? by : 0;
  }
}
