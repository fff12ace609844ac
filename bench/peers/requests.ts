/** sockperf(3): one request at a time over TCP, each sent when the last was answered. */

import type { Host } from "../../lxc/host.ts";
import { until } from "../../lxc/until.ts";

const PORT = 5300;
/** Bytes of a request and of its answer. */
export const REQUEST_BYTES = 64;

export interface Requests {
  readonly answered: number;
  readonly seconds: number;
}

export async function requests(
  from: Host,
  to: Host,
  address: string,
  seconds: number,
): Promise<Requests> {
  const place = ["-i", address, "-p", String(PORT), "--tcp"];
  const server = to.spawn(["sockperf", "server", ...place], { stdout: "null" });
  try {
    await until("sockperf listens", 5000, async () => {
      return (await to.run(["ss", "-ltnH", `sport = ${PORT}`])).stdout !== "";
    });
    const args = ["-m", String(REQUEST_BYTES), "-t", String(seconds)];
    const timeout = seconds * 1000 + 20_000;
    const client = ["sockperf", "ping-pong", ...place, ...args];
    return readRequests((await from.run(client, { timeout })).stdout);
  } finally {
    await server.stop();
  }
}

/** @throws Error when it counted nothing */
export function readRequests(text: string): Requests {
  const match = /\[Valid Duration\] RunTime=([\d.]+) sec;.* ReceivedMessages=(\d+)/.exec(text);
  if (match === null) throw new Error(`sockperf counted nothing: ${text.trim().slice(-200)}`);
  return { seconds: Number(match[1]), answered: Number(match[2]) };
}
