/**
 * A host of a laboratory: a network namespace with its own loopback, interfaces, routes and `/run`, by itself or as that
 * of an LXC container.
 */

import type { Keeper } from "./keeper.ts";
import { type Output, Process, run, type RunOptions, type SpawnOptions } from "./process.ts";

const NAME = /^[a-z][a-z0-9-]{0,11}$/;

// `ip netns exec` has made a mount namespace, so that this binding is seen by nobody else. It gives every host a /run of
// its own: two of them can have a wg0, and socket files do not meet. Who stays in there holds it open: making one for each
// command would take four programs more.
const HOLD = 'mount --bind "/run/lab/$0" /run && echo held && exec sleep infinity';

/** How a program gets into a host. */
export interface Entrance {
  /** argv to put before a command. */
  readonly argv: readonly string[];
  /** The host's own `/run`, as a program outside reads it. */
  readonly run: string;
  /** Processes that `argv` leaves between `nsenter`, which is our own child, and the command, which wait for it. */
  readonly waiting: number;
}

/** Owner: its `Lab`. */
export class Host {
  readonly name: string;
  readonly #keeper: Keeper;
  readonly #entrance: Entrance;
  readonly #processes = new Set<Process>();
  #devices = 0;

  /**
   * @param name that of a network namespace (ip-netns(8)) of the keeper's, too
   * @param holder what keeps its namespaces open
   */
  constructor(keeper: Keeper, name: string, entrance: Entrance, holder: Process) {
    this.#keeper = keeper;
    this.#entrance = entrance;
    this.name = name;
    this.#processes.add(holder);
  }

  /** Makes the namespace. Throws on a name that is no host name or is taken. */
  static async make(keeper: Keeper, name: string): Promise<Host> {
    checkName(name);
    const script = 'mkdir "/run/lab/$0" && ip netns add "$0" && ip -n "$0" link set lo up';
    await keeper.run(["sh", "-c", script, name]);
    const hold = ["ip", "netns", "exec", name, "sh", "-c", HOLD, name];
    const holder = new Process([...keeper.enter, ...hold], { stdout: "piped" });
    const reader = holder.stdout.getReader();
    const isHeld = !(await reader.read()).done;
    await reader.cancel();
    const pid = isHeld ? await holder.pid() : undefined;
    if (pid === undefined) throw new Error(`host ${name} ended at once; the message is above`);
    const run = `/proc/${keeper.pid}/root/run/lab/${name}`;
    return new Host(keeper, name, { argv: keeper.beside(pid), run, waiting: 0 }, holder);
  }

  /** Starts a program and returns at once; it ends with the laboratory at the latest. */
  spawn(argv: readonly string[], options: SpawnOptions = {}): Process {
    const process = new Process(this.#inside(argv, options.cwd), options, this.#entrance.waiting);
    this.#processes.add(process);
    process.status.then(() => this.#processes.delete(process));
    return process;
  }

  /** Runs a program to its end. Throws `CommandFailed` on another exit code than 0, unless `check` is false. */
  run(argv: readonly string[], options: RunOptions = {}): Promise<Output> {
    const { waiting } = this.#entrance;
    return run(this.name, this.#inside(argv, options.cwd), argv, options, waiting);
  }

  /** Runs a program on this program's own terminal and returns its exit code. */
  async interact(argv: readonly string[]): Promise<number> {
    const options = { stdin: "inherit", stdout: "inherit", stderr: "inherit" } as const;
    return (await this.spawn(argv, options).status).code;
  }

  /** Runs lines of ip(8) as one batch, which stops at the first that fails. */
  async ip(...lines: string[]): Promise<void> {
    await this.run(["ip", "-batch", "-"], { stdin: lines.join("\n") + "\n" });
  }

  /** Sets kernel variables of this namespace, as sysctl(8) names them. */
  async sysctl(values: Record<string, string | number>): Promise<void> {
    const script = Object.entries(values).map(([name, value]) =>
      `echo ${value} > /proc/sys/${name.replaceAll(".", "/")}`
    );
    await this.run(["sh", "-ec", script.join("\n")]);
  }

  /** Lets this host forward packets between its interfaces. */
  async forward(): Promise<void> {
    await this.sysctl({ "net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1 });
  }

  /** Moves an interface of this host to another, addresses and state lost as the kernel does it. */
  async moveDevice(device: string, to: Host): Promise<void> {
    await this.#keeper.run(["ip", "-n", this.name, "link", "set", "dev", device, "netns", to.name]);
  }

  /** The path by which a program outside reaches a file that this host has below `/run`. */
  outside(path: string): string {
    if (!path.startsWith("/run/")) throw new TypeError(`path '${path}': only /run is a host's own`);
    return `${this.#entrance.run}/${path.slice("/run/".length)}`;
  }

  /** A name for the next interface: eth0, eth1 and so on. */
  nextDevice(): string {
    return `eth${this.#devices++}`;
  }

  /** Returns when every program of this host has ended. */
  async ended(): Promise<void> {
    await Promise.all([...this.#processes].map((process) => process.release()));
  }

  #inside(argv: readonly string[], cwd = Deno.cwd()): string[] {
    return [...this.#entrance.argv, "env", "-C", cwd, ...argv];
  }
}

/** @throws TypeError when it is no host name */
export function checkName(name: string): void {
  if (NAME.test(name)) return;
  throw new TypeError(`host name '${name}': use a lower-case letter, then at most 11 of a-z 0-9 -`);
}
