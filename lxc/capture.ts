/** What crosses an interface, byte for byte, by tcpdump(8). */

import type { Host } from "./host.ts";
import type { Process } from "./process.ts";
import { until } from "./until.ts";

/** A capture keeps at most so many bytes and then says that it was cut off. */
const LIMIT = 64 << 20;
/** Milliseconds without a packet after which a capture is taken to have caught up. */
const QUIET = 200;

/** Owner: whoever opened it; ends with the laboratory at the latest. */
export class Capture {
  readonly #process: Process;
  readonly #pieces: Uint8Array<ArrayBuffer>[] = [];
  readonly #reading: Promise<void>;
  readonly #said: Promise<string>;
  #size = 0;

  private constructor(process: Process) {
    this.#process = process;
    this.#reading = this.#read();
    this.#said = new Response(process.stderr).text();
  }

  /** Begins to capture; returns when the kernel has the capture in place. */
  static async open(host: Host, device: string): Promise<Capture> {
    // -Z root: there is no other user to become inside a user namespace. -B: KiB, so that no burst is lost.
    const ours = ["-Z", "root", "-B", "32768", "--immediate-mode", "-U"];
    const argv = ["tcpdump", ...ours, "-i", device, "-w", "-"];
    const capture = new Capture(host.spawn(argv, { stdout: "piped", stderr: "piped" }));
    // The header of the file comes when the socket is open.
    await until(`tcpdump captures ${device}`, 5000, () => {
      if (capture.#process.ended) throw new Error("tcpdump ended");
      return Promise.resolve(capture.#size > 0);
    });
    return capture;
  }

  /**
   * Waits until nothing has come for a while, ends the capture and returns it, a pcap file. Throws when something was
   * lost or left, since then what it does not show proves nothing.
   */
  async close(): Promise<Uint8Array> {
    for (let before = -1; before !== this.#size;) {
      before = this.#size;
      await new Promise((wake) => setTimeout(wake, QUIET));
    }
    await this.#process.stop("SIGINT");
    await this.#reading;
    const said = await this.#said;
    const count = (what: string) =>
      Number(new RegExp(`^(\\d+) packets? ${what}`, "m").exec(said)?.[1]);
    const left = count("received by filter") - count("captured");
    const lost = count("dropped by kernel");
    if (left !== 0 || lost !== 0) {
      throw new Error(`the capture is not whole: ${left} left, ${lost} lost`);
    }
    if (this.#size > LIMIT) throw new Error(`the capture is not whole: more than ${LIMIT} bytes`);
    return new Uint8Array(await new Blob(this.#pieces).arrayBuffer());
  }

  async #read(): Promise<void> {
    for await (const piece of this.#process.stdout) {
      this.#size += piece.length;
      if (this.#size <= LIMIT) this.#pieces.push(piece);
    }
  }
}

/** Whether a text stands in the bytes. */
export function contains(bytes: Uint8Array, text: string): boolean {
  const wanted = new TextEncoder().encode(text);
  for (
    let at = bytes.indexOf(wanted[0] ?? 0);
    at >= 0;
    at = bytes.indexOf(wanted[0] ?? 0, at + 1)
  ) {
    if (wanted.every((byte, i) => bytes[at + i] === byte)) return true;
  }
  return false;
}
