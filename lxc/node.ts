/** A mesh node in a host of a laboratory, driven by the same commands that a person types. */

import { ask } from "../src/control.ts";
import type { StatusDocument } from "../src/status.ts";
import type { Host } from "./host.ts";
import { RUN } from "./peers.ts";
import type { Output, Process, RunOptions } from "./process.ts";
import { Tail } from "./tail.ts";
import { until } from "./until.ts";

const ROOT = new URL("..", import.meta.url).pathname;
/** Between two looks at a status that is awaited. */
const ASK_EVERY_MS = 50;
/** Below the host's own /run, so that it goes with the laboratory. */
const STATE = "/run/shoal-state";

/** The documents of `--json`, as far as laboratories read them. */
interface InviteDocument {
  readonly token: string;
  readonly seeds: readonly string[];
}

interface PingDocument {
  readonly peer: string;
  readonly sent: number;
  readonly received: number;
  readonly rtt_ms: { readonly p50: number };
  readonly path: string;
}

/** Owner: whoever started it; ends with the laboratory at the latest. */
export class MeshNode {
  readonly host: Host;
  readonly #process: Process;
  readonly #printed: Tail;
  readonly #said: Tail;

  private constructor(host: Host, process: Process) {
    this.host = host;
    this.#process = process;
    this.#printed = new Tail(process.stdout);
    this.#said = new Tail(process.stderr);
  }

  /** Starts `./run node` with these options beside its name and state folder; returns at once. */
  static start(host: Host, ...options: string[]): MeshNode {
    const own = ["--state", STATE, "--name", host.name];
    const process = host.spawn([RUN, "node", ...own, ...options], {
      stdout: "piped",
      stderr: "piped",
    });
    return new MeshNode(host, process);
  }

  /** Runs a line that another node printed, as a person pastes it; the state folder and the name are in the environment. */
  static paste(host: Host, line: string): MeshNode {
    const process = host.spawn(["sh", "-c", `exec ${line}`], {
      cwd: ROOT,
      env: { SHOAL_STATE: STATE, SHOAL_NAME: host.name },
      stdout: "piped",
      stderr: "piped",
    });
    return new MeshNode(host, process);
  }

  /** What the node printed for the person who started it. */
  get printed(): string {
    return this.#printed.text;
  }

  /** What the node logged last. */
  get said(): string {
    return this.#said.text;
  }

  /** Whether the program has ended by itself or was ended. */
  get ended(): boolean {
    return this.#process.ended;
  }

  /** How the program ended. */
  get end(): Promise<Deno.CommandStatus> {
    return this.#process.status;
  }

  /** Its process as seen from outside, undefined when it has ended. */
  pid(): Promise<number | undefined> {
    return this.#process.pid();
  }

  /** What `--state` of the other commands has to be, on this node's own host. */
  get state(): string {
    return STATE;
  }

  /** An invite for so many joiners. */
  invite(uses = 1): Promise<InviteDocument> {
    return this.#ask("invite", "--uses", String(uses));
  }

  /** Asks a peer three times through the mesh. */
  ping(peer: string): Promise<PingDocument> {
    return this.#ask("ping", "-c", "3", peer);
  }

  status(): Promise<StatusDocument> {
    return this.#ask("status");
  }

  /** Runs `./run shoal ARGUMENT …` against this node, as a person types it. Throws `CommandFailed`. */
  shoal(args: readonly string[], options: RunOptions = {}): Promise<Output> {
    return this.host.run([RUN, "shoal", ...args, "--state", STATE], options);
  }

  /** Runs `./run shoal COMMAND … --json` against this node. Throws `CommandFailed`. */
  async #ask<T>(command: string, ...args: string[]): Promise<T> {
    const argv = [RUN, "shoal", command, "--state", STATE, "--json", ...args];
    return JSON.parse((await this.host.run(argv)).stdout);
  }

  /**
   * Returns the status as soon as it satisfies a condition; throws after `timeout` milliseconds or when the node ends.
   * Asks the control socket as `status` does, without a program for each time that it asks.
   */
  statusWhen(
    what: string,
    timeout: number,
    condition: (status: StatusDocument) => boolean,
  ): Promise<StatusDocument> {
    return until(`${this.host.name}: ${what}`, timeout, async () => {
      if (this.#process.ended) throw new Error(`${this.host.name} ended:\n${this.said}`);
      const status = await ask(this.#socket, { command: "status" }).catch(() => undefined);
      if (status === undefined) return undefined;
      const document = status as unknown as StatusDocument;
      return condition(document) ? document : undefined;
    }, ASK_EVERY_MS);
  }

  get #socket(): string {
    return this.host.outside(`${STATE}/control.sock`);
  }

  /** Kills the node at once, as a power cut would; or asks it to leave, by SIGTERM. */
  async kill(signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<void> {
    await this.#process.stop(signal);
  }
}
