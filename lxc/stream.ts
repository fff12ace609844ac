/**
 * A TCP stream of checked data in both directions at once. Runs as a program in a host:
 *
 *     stream.ts serve ADDRESS PORT BYTES     prints "listening", takes one connection
 *     stream.ts connect ADDRESS PORT BYTES
 *
 * Each side sends BYTES that the other can foretell, compares every byte it gets, and prints one line of JSON:
 * `{"bytes":…,"ms":…}`. Exit code 1 and a line on stderr when a byte differs, is missing or is too much.
 */

const CHUNK = 64 * 1024;

/** The bytes of one direction, from `offset` on: xorshift32 over 4-byte words, started by the side's own seed. */
class Pattern {
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

async function exchange(
  connection: Deno.TcpConn,
  bytes: number,
  ours: number,
  theirs: number,
): Promise<void> {
  const begin = performance.now();
  await Promise.all([
    send(connection, bytes, new Pattern(ours)),
    receive(connection, bytes, new Pattern(theirs)),
  ]);
  connection.close();
  console.log(JSON.stringify({ bytes, ms: Math.round(performance.now() - begin) }));
}

async function main([role, hostname = "", port, bytes]: string[]): Promise<void> {
  const address = { hostname, port: Number(port) };
  if (role === "serve") {
    const listener = Deno.listen(address);
    console.log("listening");
    const connection = await listener.accept();
    listener.close();
    await exchange(connection, Number(bytes), 0x5e, 0xc0);
  } else if (role === "connect") {
    await exchange(await Deno.connect(address), Number(bytes), 0xc0, 0x5e);
  } else {
    throw new Error("usage: stream.ts serve|connect ADDRESS PORT BYTES");
  }
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
