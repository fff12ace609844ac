/** ping(8): round trips through a tunnel that is idle or loaded. */

import type { Host } from "../../lxc/host.ts";
import { quantile } from "../statistics.ts";

/** Seconds between two; an ordinary user may ask for no less. */
const INTERVAL = 0.002;
/** How many samples a tail needs, so that at least ten lie beyond it. */
const NEEDED = { p99: 1_000, p999: 10_000 } as const;

export interface RoundTrips {
  readonly sent: number;
  /** Milliseconds of those that were answered. */
  readonly ms: readonly number[];
}

/** Asks so often a second that a thousand samples take two seconds. */
export async function ping(from: Host, address: string, count: number): Promise<RoundTrips> {
  const argv = ["ping", "-n", "-i", String(INTERVAL), "-c", String(count), "-W", "1", address];
  const timeout = count * INTERVAL * 1000 * 5 + 30_000;
  return readPing((await from.run(argv, { timeout, check: false })).stdout);
}

/** How many take so many seconds. */
export function pingsIn(seconds: number): number {
  return Math.floor(seconds / INTERVAL);
}

/** @throws Error when ping counted nothing */
export function readPing(text: string): RoundTrips {
  const sent = /^(\d+) packets transmitted/m.exec(text)?.[1];
  if (sent === undefined) throw new Error(`ping counted nothing: ${text.trim().slice(-200)}`);
  const ms = [...text.matchAll(/time=([\d.]+) ms/g)].map((match) => Number(match[1]));
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
