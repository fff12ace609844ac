/** What crosses an interface, byte for byte; how it is caught: `sniff.ts`. */

import type { Host } from "./host.ts";
import type { Process } from "./process.ts";

const SNIFF = new URL("sniff.ts", import.meta.url).pathname;

/** Owner: whoever opened it; ends with the laboratory at the latest. */
export class Capture {
  readonly #process: Process;
  readonly #lines: ReadableStreamDefaultReader<string>;

  private constructor(process: Process, lines: ReadableStreamDefaultReader<string>) {
    this.#process = process;
    this.#lines = lines;
  }

  /** Begins to capture; returns when the kernel has the capture in place. */
  static async open(host: Host, device: string): Promise<Capture> {
    const rights = ["--allow-ffi", "--no-prompt"];
    const argv = [Deno.execPath(), "run", "--quiet", "--no-config", ...rights, SNIFF, device];
    const process = host.spawn(argv, { stdin: "piped", stdout: "piped", stderr: "piped" });
    const lines = process.stderr.pipeThrough(new TextDecoderStream()).getReader();
    const first = (await lines.read()).value ?? "";
    if (first.trim() !== "ready") {
      throw new Error(`${host.name}: no capture of ${device}: ${first.trim()}`);
    }
    return new Capture(process, lines);
  }

  /**
   * Ends the capture and returns the packets, one after another. Throws when one of them was lost, since then what the
   * capture does not show proves nothing.
   */
  async close(): Promise<Uint8Array> {
    await this.#process.stdin.close();
    const seen = new Uint8Array(await new Response(this.#process.stdout).arrayBuffer());
    let said = "";
    for (let part = await this.#lines.read(); !part.done; part = await this.#lines.read()) {
      said += part.value;
    }
    await this.#process.status;
    const match = /\{"packets":\d+,"lost":(\d+)\}/.exec(said);
    if (match?.[1] !== "0") throw new Error(`the capture is not whole: ${said.trim()}`);
    return seen;
  }
}

/** Whether a text stands in the bytes. */
export function contains(bytes: Uint8Array, text: string): boolean {
  const wanted = new TextEncoder().encode(text);
  const first = wanted[0] ?? 0;
  for (let at = bytes.indexOf(first); at >= 0; at = bytes.indexOf(first, at + 1)) {
    if (wanted.every((byte, i) => bytes[at + i] === byte)) return true;
  }
  return false;
}
