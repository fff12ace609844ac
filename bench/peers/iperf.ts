/** iperf3(1): a TCP stream or a flood of UDP datagrams from one host to another, and its account in JSON. */

import type { Host } from "../../lxc/host.ts";
import { until } from "../../lxc/until.ts";

const PORT = 5201;
/** The kernel doubles it. */
const FLOOD_SOCKET = 4 << 20;
/** Milliseconds after the traffic for the two ends to compare their accounts. */
const GRACE_MS = 20_000;

export interface StreamOptions {
  readonly streams: number;
  readonly seconds: number;
}

export interface Stream {
  /** That the receiver counted. */
  readonly bytes: number;
  readonly seconds: number;
  readonly retransmits: number;
}

export interface FloodOptions {
  /** Bytes of a datagram's payload. */
  readonly size: number;
  /** Packets a second; undefined: as many as it can. */
  readonly rate: number | undefined;
  readonly seconds: number;
}

export interface Flood {
  readonly sent: number;
  readonly received: number;
  readonly seconds: number;
}

/** TCP with the congestion control named, since its default differs from machine to machine. */
export async function stream(
  from: Host,
  to: Host,
  address: string,
  { streams, seconds }: StreamOptions,
): Promise<Stream> {
  const args = ["-C", "cubic", "-P", String(streams)];
  return readStream(await run(from, to, address, seconds, args));
}

/** UDP with sockets of 4 MB, so that iperf3's own socket is not what overflows. */
export async function flood(
  from: Host,
  to: Host,
  address: string,
  { size, rate, seconds }: FloodOptions,
): Promise<Flood> {
  const bits = rate === undefined ? "0" : String(Math.round(rate * size * 8));
  const args = ["-u", "-b", bits, "-l", String(size), "-w", String(FLOOD_SOCKET)];
  return readFlood(await run(from, to, address, seconds, args), size);
}

/** Why floods cannot be measured here, undefined when they can: a socket larger than allowed is refused by iperf3. */
export function floodRefusal(rmemMax: number, wmemMax: number): string | undefined {
  if (Math.min(rmemMax, wmemMax) >= FLOOD_SOCKET) return undefined;
  return `UDP floods need sockets of ${FLOOD_SOCKET} bytes, and this machine allows ${
    Math.min(rmemMax, wmemMax)
  }: sysctl -w net.core.rmem_max=${FLOOD_SOCKET} net.core.wmem_max=${FLOOD_SOCKET}`;
}

async function run(
  from: Host,
  to: Host,
  address: string,
  seconds: number,
  args: readonly string[],
): Promise<string> {
  const quiet = { stdout: "null", stderr: "null" } as const;
  const server = to.spawn(["iperf3", "-s", "-1", "-B", address], quiet);
  try {
    await until("iperf3 listens", 5000, async () => {
      return (await to.run(["ss", "-ltnH", `sport = ${PORT}`])).stdout !== "";
    });
    const argv = ["iperf3", "-c", address, "-t", String(seconds), "-i", "0", "-J", ...args];
    const options = { timeout: seconds * 1000 + GRACE_MS, check: false };
    return (await from.run(argv, options)).stdout;
  } finally {
    await server.stop();
  }
}

/** @throws Error with iperf3's own words when it says that it failed */
export function readStream(text: string): Stream {
  const { sum_sent: sent, sum_received: received } = read(text);
  return {
    bytes: number(received, "bytes"),
    seconds: number(received, "seconds"),
    retransmits: number(sent, "retransmits"),
  };
}

/**
 * What arrived is told by its bytes: "lost_packets" counts gaps and not what is missing at the end.
 * @throws Error with iperf3's own words when it says that it failed
 */
export function readFlood(text: string, size: number): Flood {
  const { sum_sent: sent, sum_received: received } = read(text);
  return {
    sent: number(sent, "packets"),
    received: number(received, "bytes") / size,
    seconds: number(sent, "seconds"),
  };
}

type Sum = Readonly<Record<string, unknown>>;

function read(text: string): { readonly sum_sent?: Sum; readonly sum_received?: Sum } {
  let account;
  try {
    account = JSON.parse(text);
  } catch {
    throw new Error(`iperf3 gave no account: ${JSON.stringify(text.slice(0, 200))}`);
  }
  if (typeof account.error === "string") throw new Error(`iperf3: ${account.error}`);
  return account.end ?? {};
}

function number(sum: Sum | undefined, key: string): number {
  const value = sum?.[key];
  if (typeof value !== "number") throw new Error(`iperf3's account has no ${key}`);
  return value;
}
