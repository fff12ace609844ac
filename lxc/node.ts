/** A mesh node in a host of a laboratory, driven by the same commands that a person types. */

import type { StatusDocument } from "../src/status.ts";
import type { Host } from "./host.ts";
import type { Process } from "./process.ts";
import { Tail } from "./tail.ts";
import { until } from "./until.ts";

const RUN = new URL("../run", import.meta.url).pathname;
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
  readonly #said: Tail;

  private constructor(host: Host, process: Process) {
    this.host = host;
    this.#process = process;
    this.#said = new Tail(process.stderr);
  }

  /** Starts `./run node` with these options beside its name and state folder; returns at once. */
  static start(host: Host, ...options: string[]): MeshNode {
    const own = ["--state", STATE, "--name", host.name];
    const process = host.spawn([RUN, "node", ...own, ...options], { stderr: "piped" });
    return new MeshNode(host, process);
  }

  /** What the node logged last. */
  get said(): string {
    return this.#said.text;
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

  /** Runs `./run shoal COMMAND … --json` against this node. Throws `CommandFailed`. */
  async #ask<T>(command: string, ...args: string[]): Promise<T> {
    const argv = [RUN, "shoal", command, "--state", STATE, "--json", ...args];
    return JSON.parse((await this.host.run(argv)).stdout);
  }

  /** Returns the status as soon as it satisfies a condition; throws after `timeout` milliseconds or when the node ends. */
  statusWhen(
    what: string,
    timeout: number,
    condition: (status: StatusDocument) => boolean,
  ): Promise<StatusDocument> {
    return until(`${this.host.name}: ${what}`, timeout, async () => {
      if (this.#process.ended) throw new Error(`${this.host.name} ended:\n${this.said}`);
      const status = await this.status().catch(() => undefined);
      return status !== undefined && condition(status) ? status : undefined;
    });
  }

  /** Kills the node at once, as a power cut would. */
  async kill(): Promise<void> {
    await this.#process.stop("SIGKILL");
  }
}
