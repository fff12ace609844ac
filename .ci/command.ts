/** Running other programs: their exit code and everything they said. */

/** How a program ended. */
export interface Outcome {
  /** Exit code; 128 + signal number when a signal ended it. */
  readonly code: number;
  /** stdout and stderr as they came. */
  readonly output: string;
  /** Processor seconds of it and of its children, user and system; 0 when it was killed at its timeout. */
  readonly cpu: number;
}

/** Settings of one run. */
export interface Settings {
  readonly cwd: string;
  readonly env?: Record<string, string>;
  /** After so many seconds the program and all its children are killed (exit code 124 or 137). */
  readonly timeout: number;
  /** Whether it yields the processor to everything else: what only computes disturbs nobody who keeps an eye on a clock. */
  readonly yields?: boolean;
}

const running = new Set<Deno.ChildProcess>();

/** Makes Ctrl-C and SIGTERM end what runs below, too: `timeout` gives its child a process group of its own. */
export function endChildrenOnSignals(): void {
  for (const [signal, number] of [["SIGINT", 2], ["SIGTERM", 15]] as const) {
    Deno.addSignalListener(signal, () => {
      for (const child of running) child.kill("SIGTERM");
      console.error(`\nended by ${signal}: not everything was run`);
      Deno.exit(128 + number);
    });
  }
}

/** Runs `argv` to its end. */
export async function run(argv: readonly string[], settings: Settings): Promise<Outcome> {
  // Both streams into one pipe, in their order; what the shell itself says is how much processor time that took.
  const merged = [
    "timeout",
    "--kill-after=10",
    String(settings.timeout),
    "sh",
    "-c",
    '"$@" 2>&1; code=$?; times >&2; exit $code',
    "sh",
  ];
  const priority = settings.yields === true ? ["nice", "-n", "10"] : [];
  const [program = "", ...args] = [...priority, ...merged, ...argv];
  const child = new Deno.Command(program, {
    args,
    cwd: settings.cwd,
    env: { NO_COLOR: "1", ...settings.env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  running.add(child);
  const { code, stdout, stderr } = await child.output();
  running.delete(child);
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trimEnd();
  return { code, output: text(stdout), cpu: childrensTime(text(stderr)) };
}

/** Seconds in the last line of what a shell's `times` prints, that of its children: `0m1.250000s 0m0.500000s`. */
function childrensTime(times: string): number {
  const last = times.split("\n").at(-1) ?? "";
  const [user = 0, system = 0] = [...last.matchAll(/(\d+)m([\d.]+)s/g)]
    .map(([, minutes, seconds]) => Number(minutes) * 60 + Number(seconds));
  return user + system;
}

/** On a terminal, names what is running now, in a line that the next line of the report replaces. */
export function announce(what: string): void {
  if (!Deno.stdout.isTerminal()) return;
  Deno.stdout.writeSync(new TextEncoder().encode(`\x1b[2K… ${what}\r`));
}
