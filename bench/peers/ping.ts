/**
 * fping(8): round trips through a tunnel that is idle or loaded. It sleeps between two; ping(8) polls where less than
 * 10 ms pass between them, and has most of a core.
 */

import type { Host } from "../../lxc/host.ts";
import { quantile } from "../statistics.ts";

/** Milliseconds between two. */
const INTERVAL = 2;
/** Milliseconds after which one without an answer is lost. */
const PATIENCE = 1_000;
/** How many samples a tail needs, so that at least ten lie beyond it. */
const NEEDED = { p99: 1_000, p999: 10_000 } as const;

export interface RoundTrips {
  readonly sent: number;
  /** Milliseconds of those that were answered. */
  readonly ms: readonly number[];
}

/** Asks so often a second that a thousand samples take two seconds. */
export async function ping(from: Host, address: string, count: number): Promise<RoundTrips> {
  const often = ["-i", "1", "-p", String(INTERVAL), "-t", String(PATIENCE)];
  const timeout = count * INTERVAL * 5 + 30_000;
  const argv = ["fping", ...often, "-c", String(count), address];
  const { stdout, stderr } = await from.run(argv, { timeout, check: false });
  return readPing(stdout + stderr);
}

/** How many take so many seconds. */
export function pingsIn(seconds: number): number {
  return Math.floor(seconds * 1000 / INTERVAL);
}

/** @throws Error when fping counted nothing */
export function readPing(text: string): RoundTrips {
  const sent = /xmt\/rcv\/%loss = (\d+)\//.exec(text)?.[1];
  if (sent === undefined) throw new Error(`fping counted nothing: ${text.trim().slice(-200)}`);
  const ms = [...text.matchAll(/ bytes, ([\d.]+) ms/g)].map((match) => Number(match[1]));
  return { sent: Number(sent), ms };
}

/** The middle and, of enough samples, the tails; NaN of too few. */
export function tails(ms: readonly number[]): { p50: number; p99: number; p999: number } {
  const tail = (share: number, needed: number) => ms.length >= needed ? quantile(ms, share) : NaN;
  return {
    p50: quantile(ms, 0.5),
    p99: tail(0.99, NEEDED.p99),
    p999: tail(0.999, NEEDED.p999),
  };
}
