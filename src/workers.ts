/** How many threads move packets, and how they come to the right one. */
import { counted } from "./words.ts";

export interface Workers {
  readonly workers: number;
  /** Of the interface; 0 without one. */
  readonly queues: number;
  /** Sessions that it takes of one member at once; 1 without lanes. */
  readonly lanes: number;
  /** The kernel puts packets into the queue of whoever has their peer. */
  readonly steered: boolean;
  /** The kernel's name for why it does not; "" where it does, or was not asked. */
  readonly steer_error: string;
  /** Routes that it refused so far. */
  readonly steer_refused: number;
}

/** `1 worker`, or for several how packets are divided among them. */
export function workersText(
  { workers, queues, lanes, steered, steer_error, steer_refused }: Workers,
): string {
  const more = lanes > 1 ? `, up to ${lanes} lanes a member` : "";
  const many = counted(workers, "worker") + more;
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
