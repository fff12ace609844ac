/** The kernel's ping through a tunnel while something happens, and the longest silence in it. */

import type { Host } from "./host.ts";
import type { Process } from "./process.ts";
import { until } from "./until.ts";

/** Seconds between two questions: what a gap is measured by. */
const PACE = 0.02;

/**
 * Five hundred echo requests a second, by five programs: one that asks more often than every 10 ms looks at the clock all
 * the time in between, and takes a whole processor.
 */
export class PingLoad {
  readonly #processes: readonly Process[];

  private constructor(processes: readonly Process[]) {
    this.#processes = processes;
  }

  /** Begins at once. @param options of ping(8) */
  static start(host: Host, address: string, ...options: string[]): PingLoad {
    const argv = ["ping", "-q", "-i", "0.01", ...options, address];
    return new PingLoad(Array.from({ length: 5 }, () => host.spawn(argv)));
  }

  /** Returns when all have ended by themselves. */
  async ended(): Promise<void> {
    await Promise.all(this.#processes.map(({ status }) => status));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.stop()));
  }
}

/** Owner: whoever opened it; ends with the laboratory at the latest. */
export class Pinger {
  readonly #process: Process;
  /** Milliseconds since the epoch at which answers came. */
  readonly #answers: number[] = [];
  readonly #read: Promise<void>;

  private constructor(process: Process) {
    this.#process = process;
    this.#read = this.#listen();
  }

  /** Begins to ask; returns when the first answer has come. */
  static async open(host: Host, address: string): Promise<Pinger> {
    // -O would report what is outstanding; an answer's own time is all that is needed.
    const argv = ["ping", "-D", "-n", "-i", String(PACE), address];
    const pinger = new Pinger(host.spawn(argv, { stdout: "piped" }));
    await until(
      `${host.name}: ${address} answers`,
      15_000,
      () => Promise.resolve(pinger.#answers.length > 0),
    );
    return pinger;
  }

  /** The longest time in ms without an answer until now, since the first. */
  get silence(): number {
    const times = [...this.#answers, Date.now()];
    return Math.max(...times.map((at, i) => at - (times[i - 1] ?? at)));
  }

  /** How many answers have come. */
  get count(): number {
    return this.#answers.length;
  }

  /** Returns when so many more answers have come, or none for so many milliseconds. */
  async more(answers: number, patience = 20_000): Promise<void> {
    const before = this.count;
    while (this.count < before + answers && this.silence < patience) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Stops asking. @returns the longest time in ms without an answer. */
  async close(): Promise<number> {
    const { silence } = this;
    await this.#process.stop("SIGINT");
    await this.#read;
    return silence;
  }

  async #listen(): Promise<void> {
    let open = "";
    for await (const piece of this.#process.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (open + piece).split("\n");
      open = lines.pop() ?? "";
      for (const line of lines) {
        const at = /^\[(\d+\.\d+)\] \d+ bytes from /.exec(line)?.[1];
        if (at !== undefined) this.#answers.push(Number(at) * 1000);
      }
    }
  }
}
