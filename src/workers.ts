/** How many threads move packets, and how they come to the right one. */
import { counted } from "./words.ts";

export interface Workers {
  readonly workers: number;
  /** Of the interface; 0 without one. */
  readonly queues: number;
  /** The kernel puts packets into the queue of whoever has their peer. */
  readonly steered: boolean;
  /** The kernel's name for why it does not; "" where it does, or was not asked. */
  readonly steer_error: string;
  /** Routes that it refused so far. */
  readonly steer_refused: number;
}

/** `1 worker`, or for several how packets are divided among them. */
export function workersText(
  { workers, queues, steered, steer_error, steer_refused }: Workers,
): string {
  const many = counted(workers, "worker");
  if (workers === 1 || queues === 0) return many;
  if (queues === 1) {
    return `${many}, of which the first reads the interface for all: it has one queue`;
  }
  if (steered) {
    const but = steer_refused ? `, but for ${counted(steer_refused, "route")} that it refused` : "";
    return `${many}, each with a queue that the kernel fills for its peers${but}`;
  }
  const right = steer_error === "EPERM" ? ", it takes CAP_BPF" : "";
  return `${many}, which hand packets to each other: the kernel does not steer them (${steer_error}${right})`;
}
