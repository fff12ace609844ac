/** A checked TCP stream between two hosts, in both directions at once; what goes over it: `stream.ts`. */

import type { Host } from "./host.ts";

const STREAM = new URL("stream.ts", import.meta.url).pathname;
const PORT = 5001;

export interface ExchangeOptions {
  /** What is sent over and over; without one, a sequence that does not repeat. */
  readonly marker?: string;
  /** Milliseconds until it has failed; default 20,000. */
  readonly timeout?: number;
  /** Where it listens: those that run at once need one each. */
  readonly port?: number;
}

/**
 * `from` connects to `to` at `address`; each sends `bytes` and compares what it gets. Returns the milliseconds that
 * it took. Throws when a byte differs, is missing or is too much, or when it takes too long.
 */
export async function exchange(
  from: Host,
  to: Host,
  address: string,
  bytes: number,
  options: ExchangeOptions = {},
): Promise<number> {
  const program = (role: string) => {
    const deno = [Deno.execPath(), "run", "--quiet", "--no-config", "--allow-net", STREAM];
    const marker = options.marker === undefined ? [] : [options.marker];
    return [...deno, role, address, String(options.port ?? PORT), String(bytes), ...marker];
  };
  const server = to.spawn(program("serve"), { stdout: "piped" });
  const reader = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
  try {
    if ((await reader.read()).done) {
      throw new Error(`${to.name}: the stream's server ended before it listened on ${address}`);
    }
    const { stdout } = await from.run(program("connect"), { timeout: options.timeout ?? 20_000 });
    const { success } = await server.status;
    if (!success) throw new Error(`${to.name}: the stream's server says above what it missed`);
    return JSON.parse(stdout).ms;
  } finally {
    await reader.cancel();
    if (!server.ended) await server.stop("SIGKILL");
  }
}
