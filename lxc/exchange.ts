/** A checked TCP stream between two hosts, in both directions at once; what goes over it: `stream.ts`. */

import type { Host } from "./host.ts";

const STREAM = new URL("stream.ts", import.meta.url).pathname;
const PORT = 5001;

function program(role: "serve" | "connect", address: string, bytes: number): string[] {
  const deno = [Deno.execPath(), "run", "--quiet", "--no-config", "--allow-net", STREAM];
  return [...deno, role, address, String(PORT), String(bytes)];
}

/**
 * `from` connects to `to` at `address`; each sends `bytes` and compares what it gets. Returns the milliseconds that
 * it took. Throws `CommandFailed` when a byte differs, is missing or is too much, or after `timeout` milliseconds.
 */
export async function exchange(
  from: Host,
  to: Host,
  address: string,
  bytes: number,
  timeout = 20_000,
): Promise<number> {
  const server = to.spawn(program("serve", address, bytes), { stdout: "piped" });
  const reader = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const first = await reader.read();
  if (first.done) {
    throw new Error(`${to.name}: the stream's server ended before it listened on ${address}`);
  }
  try {
    const { stdout } = await from.run(program("connect", address, bytes), { timeout });
    const { success } = await server.status;
    if (!success) throw new Error(`${to.name}: the stream's server says above what it missed`);
    return JSON.parse(stdout).ms;
  } finally {
    await reader.cancel();
    if (!server.ended) await server.stop("SIGKILL");
  }
}
