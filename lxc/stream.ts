/**
 * A TCP stream of checked data in both directions at once. Runs as a program in a host:
 *
 *     stream.ts serve ADDRESS PORT BYTES [MARKER]     prints "listening", takes one connection
 *     stream.ts connect ADDRESS PORT BYTES [MARKER]
 *
 * Each side sends BYTES that the other can foretell (the MARKER over and over, or without one a sequence that does not
 * repeat), compares every byte it gets, and prints one line of JSON: `{"bytes":…,"ms":…}`. Exit code 1 and a line on
 * stderr when a byte differs, is missing or is too much.
 */

const CHUNK = 64 * 1024;
const SEEDS = { serve: 0x5e, connect: 0xc0 } as const;

/** The bytes of one direction in order. */
interface Pattern {
  fill(bytes: Uint8Array): void;
}

/** The top bytes of xorshift32, begun with the side's own seed. */
class Sequence implements Pattern {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  fill(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) {
      let x = this.#state;
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      this.#state = x;
      bytes[i] = x >>> 24;
    }
  }
}

class Repetition implements Pattern {
  readonly #marker: Uint8Array;
  #at = 0;

  constructor(marker: string) {
    this.#marker = new TextEncoder().encode(marker);
  }

  fill(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) {
      bytes[i] = this.#marker[this.#at] ?? 0;
      this.#at = (this.#at + 1) % this.#marker.length;
    }
  }
}

async function send(connection: Deno.TcpConn, bytes: number, pattern: Pattern): Promise<void> {
  for (let left = bytes; left > 0;) {
    const chunk = new Uint8Array(Math.min(left, CHUNK));
    pattern.fill(chunk);
    for (let at = 0; at < chunk.length;) at += await connection.write(chunk.subarray(at));
    left -= chunk.length;
  }
  await connection.closeWrite();
}

async function receive(connection: Deno.TcpConn, bytes: number, pattern: Pattern): Promise<void> {
  const buffer = new Uint8Array(CHUNK);
  const expected = new Uint8Array(CHUNK);
  let at = 0;
  for (let n = await connection.read(buffer); n !== null; n = await connection.read(buffer)) {
    pattern.fill(expected.subarray(0, n));
    for (let i = 0; i < n; i++) {
      if (buffer[i] !== expected[i]) throw new Error(`byte ${at + i} differs from what was sent`);
    }
    at += n;
  }
  if (at !== bytes) throw new Error(`${at} bytes arrived of ${bytes}`);
}

async function open(
  role: "serve" | "connect",
  address: { readonly hostname: string; readonly port: number },
): Promise<Deno.TcpConn> {
  if (role === "connect") return await Deno.connect(address);
  const listener = Deno.listen(address);
  console.log("listening");
  const connection = await listener.accept();
  listener.close();
  return connection;
}

async function main([role, hostname = "", port, size, marker]: string[]): Promise<void> {
  if (role !== "serve" && role !== "connect") {
    throw new Error("usage: stream.ts serve|connect ADDRESS PORT BYTES [MARKER]");
  }
  const bytes = Number(size);
  const pattern = (side: "serve" | "connect") =>
    marker === undefined ? new Sequence(SEEDS[side]) : new Repetition(marker);
  const connection = await open(role, { hostname, port: Number(port) });
  const begin = performance.now();
  await Promise.all([
    send(connection, bytes, pattern(role)),
    receive(connection, bytes, pattern(role === "serve" ? "connect" : "serve")),
  ]);
  connection.close();
  console.log(JSON.stringify({ bytes, ms: Math.round(performance.now() - begin) }));
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
