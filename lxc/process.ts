/** A program that runs inside a laboratory, and its end. */

export interface SpawnOptions {
  readonly env?: Record<string, string>;
  /** Default: this program's own working directory. */
  readonly cwd?: string;
  readonly stdin?: "piped" | "null" | "inherit";
  readonly stdout?: "piped" | "null" | "inherit";
  readonly stderr?: "piped" | "null" | "inherit";
}

export interface RunOptions {
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  readonly stdin?: string | Uint8Array;
  /** Milliseconds until the program is killed and `CommandFailed` thrown; default 30,000. */
  readonly timeout?: number;
  /** Whether an exit code other than 0 throws `CommandFailed`; default true. */
  readonly check?: boolean;
}

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command ended with another code than 0, or did not end in time. */
export class CommandFailed extends Error {
  override name = "CommandFailed";
  constructor(where: string, argv: readonly string[], readonly output: Output, why?: string) {
    const said = (output.stderr.trim() || output.stdout.trim()).split("\n").slice(-5).join("\n");
    super(
      `${where}: ${argv.join(" ")}: ${why ?? `exit code ${output.code}`}${said && `: ${said}`}`,
    );
  }
}

/** Owner: the `Host` that spawned it; ends with the laboratory at the latest. */
export class Process {
  readonly status: Promise<Deno.CommandStatus>;
  readonly #child: Deno.ChildProcess;
  readonly #piped: { readonly out: boolean; readonly err: boolean };
  readonly #waiting: number;
  #ended = false;

  /** @param waiting processes between `nsenter`, which is our own child, and the program */
  constructor(argv: readonly string[], options: SpawnOptions, waiting = 0) {
    const [program = "", ...args] = argv;
    const { stdin = "null", stdout = "null", stderr = "inherit" } = options;
    this.#waiting = waiting;
    this.#piped = { out: stdout === "piped", err: stderr === "piped" };
    this.#child = new Deno.Command(program, {
      args,
      stdin,
      stdout,
      stderr,
      ...(options.env && { env: options.env }),
    }).spawn();
    this.status = this.#child.status.finally(() => this.#ended = true);
  }

  get stdin(): WritableStream<Uint8Array> {
    return this.#child.stdin;
  }

  get stdout(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#child.stdout;
  }

  get stderr(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#child.stderr;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /**
   * pid of the program itself as seen from outside, undefined when it has ended. Our own child is the `nsenter`
   * that waits for it, as those behind it do: a signal to one of them would leave the program running.
   */
  async pid(): Promise<number | undefined> {
    while (!this.#ended) {
      let pid = await childOf(this.#child.pid);
      for (let i = 0; i < this.#waiting && pid !== undefined; i++) pid = await childInside(pid);
      if (pid !== undefined) return pid;
      await new Promise((wake) => setTimeout(wake, 2)); // between nsenter's start and its fork
    }
    return undefined;
  }

  /** Sends a signal to the program; a program that has ended is left in peace. */
  async kill(signal: Deno.Signal = "SIGTERM"): Promise<void> {
    const pid = await this.pid();
    if (pid === undefined) return;
    try {
      Deno.kill(pid, signal);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound || error instanceof TypeError)) throw error;
    }
  }

  /** Sends a signal and returns when the program has ended; SIGKILL follows after `grace` milliseconds. */
  async stop(signal: Deno.Signal = "SIGTERM", grace = 2000): Promise<Deno.CommandStatus> {
    await this.kill(signal);
    const timer = setTimeout(() => this.kill("SIGKILL"), grace);
    const status = await this.status;
    clearTimeout(timer);
    return status;
  }

  /** Returns when the program has ended and nothing of it is held any more. */
  async release(): Promise<void> {
    await this.status;
    if (this.#piped.out && !this.stdout.locked) await this.stdout.cancel();
    if (this.#piped.err && !this.stderr.locked) await this.stderr.cancel();
  }
}

/**
 * Runs a command to its end and returns what it said. `where` names the place in errors, `shown` the command, `waiting`
 * as of a {@link Process}.
 */
export async function run(
  where: string,
  argv: readonly string[],
  shown: readonly string[],
  options: RunOptions,
  waiting = 0,
): Promise<Output> {
  const process = new Process(
    argv,
    {
      stdin: options.stdin === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
      ...(options.env && { env: options.env }),
    },
    waiting,
  );
  const timeout = options.timeout ?? 30_000;
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    process.kill("SIGKILL");
  }, timeout);
  const [stdout, stderr, status] = await Promise.all([
    new Response(process.stdout).text(),
    new Response(process.stderr).text(),
    process.status,
    options.stdin === undefined ? undefined : feed(process.stdin, options.stdin),
  ]);
  clearTimeout(timer);
  const output = { code: status.code, stdout, stderr };
  if (late) throw new CommandFailed(where, shown, output, `no end after ${timeout} ms`);
  if (status.code !== 0 && options.check !== false) throw new CommandFailed(where, shown, output);
  return output;
}

/** A program may end without reading all of its input: that is its own affair, and its exit code tells. */
async function feed(stdin: WritableStream<Uint8Array>, input: string | Uint8Array): Promise<void> {
  const bytes = typeof input === "string" ? new TextEncoder().encode(input) : input;
  const writer = stdin.getWriter();
  await writer.write(bytes).then(() => writer.close()).catch(() => {});
}

/** The first child of a process of ours, or undefined when it has none (proc(5), `task/TID/children`). */
export async function childOf(pid: number): Promise<number | undefined> {
  return (await childrenOf(pid))[0];
}

/**
 * The first child of a process of ours that lives in a process namespace further in, or undefined. `lxc-attach` forks a
 * helper that enters the container and forks the program; the helper stays outside, ends, and is the first child of
 * `lxc-attach` until that one waits for it, which may be after the program's first line.
 */
async function childInside(pid: number): Promise<number | undefined> {
  const depth = await namespaceDepth(pid);
  for (const child of await childrenOf(pid)) {
    if (await namespaceDepth(child) > depth) return child;
  }
  return undefined;
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`).catch(() => "");
  return text.split(" ").filter((word) => word.trim() !== "").map(Number);
}

/** In how many nested process namespaces a process has a number; 0 when it is gone (proc(5), `NSpid`). */
async function namespaceDepth(pid: number): Promise<number> {
  const text = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  return /^NSpid:(.*)$/m.exec(text)?.[1]?.trim().split(/\s+/).length ?? 0;
}
