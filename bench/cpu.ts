/** CPU time of the whole machine, out of `/proc/stat` (proc(5)). */

/** Sums over all CPUs, in clock ticks of 10 ms (USER_HZ is 100 on every Linux that Deno runs on). */
export interface CpuTicks {
  /** user + nice + system + irq + softirq: everything but idle, waiting and what a hypervisor took. */
  readonly busy: number;
  /** What the hypervisor gave to others while this machine wanted to run. */
  readonly stolen: number;
  readonly total: number;
}

export const TICK_NS = 1e7;

/** The ticks since the machine started. */
export async function cpuTicks(): Promise<CpuTicks> {
  const text = await Deno.readTextFile("/proc/stat");
  const fields = text.slice(0, text.indexOf("\n")).split(/\s+/).slice(1).map(Number);
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] =
    fields;
  const busy = user + nice + system + irq + softirq;
  return { busy, stolen: steal, total: busy + idle + iowait + steal };
}

/** What passed between two readings. */
export function ticksBetween(before: CpuTicks, after: CpuTicks): CpuTicks {
  return {
    busy: after.busy - before.busy,
    stolen: after.stolen - before.stolen,
    total: after.total - before.total,
  };
}

/** A machine is quiet when less than this share of it is busy. */
const QUIET = 0.05;
/** Milliseconds that a measurement waits for a quiet machine before it is made all the same. */
const PATIENCE = 60_000;
const TRIES = 3;
/** pid of kthreadd, the parent of them all; within another process namespace, a process of no account. */
const KERNEL_THREADS = 2;

/** A measurement and the greatest share of the machine, 0 to 1, that others kept busy before, during or after it. */
export type Undisturbed<T> = T & { readonly background: number };

/**
 * Measures while the machine is quiet, so that the work of others is not measured: waits for quiet, and measures again,
 * three times in all, when something else was running before, meanwhile or after.
 */
export async function undisturbed<T extends object>(
  measure: () => Promise<T>,
  patience = PATIENCE,
): Promise<Undisturbed<T>> {
  for (let attempt = 1;; attempt++) {
    const before = await settle(patience);
    const [measured, { foreign, total }] = await spending(measure);
    const meanwhile = Math.min(1, foreign / Math.max(1, total));
    const background = Math.max(before, meanwhile, await busyShare());
    if (background < QUIET || attempt === TRIES) return { ...measured, background };
  }
}

/** A paragraph about repetitions that something else disturbed; none when nothing did. */
export function unrest(repetitions: readonly Undisturbed<object>[]): string[] {
  const loud = repetitions.map(({ background }) => background).filter((share) => share >= QUIET);
  if (loud.length === 0) return [];
  const worst = Math.round(Math.max(...loud) * 100);
  const text =
    `**Something else was running:** before, during or after ${loud.length} of ${repetitions.length} repetitions ` +
    `more than ${
      QUIET * 100
    } % of the machine was busy (up to ${worst} %), so take these figures with care.`;
  return [text];
}

/** What one process has had: its ticks with those of its children that ended and were waited for. */
export interface ProcessTicks {
  readonly parent: number;
  readonly ticks: number;
}

/** A line of `/proc/PID/stat` (proc(5)). */
export function processTicks(line: string): ProcessTicks {
  // The program's name, in brackets, may hold anything; the fields after it are fixed.
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ").map(Number);
  const [, parent = 0] = fields;
  return { parent, ticks: fields.slice(11, 15).reduce((sum, each) => sum + each, 0) };
}

/**
 * The sum over every process that descends from none of the spared. What a child had moves to its parent when it ends,
 * so that of two sums the difference is what was used between them; only of a child that nobody waited for it is lost.
 */
export function ticksOfOthers(
  processes: ReadonlyMap<number, ProcessTicks>,
  spared: ReadonlySet<number>,
): number {
  let sum = 0;
  for (const [pid, { ticks }] of processes) {
    let at: number | undefined = pid;
    while (at !== undefined && at > 0 && !spared.has(at)) at = processes.get(at)?.parent;
    if (at === undefined || at <= 0) sum += ticks;
  }
  return sum;
}

/** The ticks of all that is not ours. Ours are this program and what descends from it; the kernel's threads are for all. */
async function foreignTicks(): Promise<number> {
  const processes = new Map<number, ProcessTicks>();
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const text = await Deno.readTextFile(`/proc/${name}/stat`).catch(() => "");
    if (text !== "") processes.set(Number(name), processTicks(text));
  }
  return ticksOfOthers(processes, new Set([Deno.pid, KERNEL_THREADS]));
}

/** CPU time between a beginning and an end, in ticks. */
export interface Spent {
  readonly busy: number;
  readonly stolen: number;
  readonly total: number;
  /** The part of `busy` that programs had which have nothing to do with the measurement. */
  readonly foreign: number;
}

/** Measures, and says what CPU time passed meanwhile. */
export async function spending<T>(measure: () => Promise<T>): Promise<[T, Spent]> {
  const [foreign, before] = [await foreignTicks(), await cpuTicks()];
  const measured = await measure();
  const passed = ticksBetween(before, await cpuTicks());
  return [measured, { ...passed, foreign: Math.max(0, await foreignTicks() - foreign) }];
}

/** Returns when the machine is quiet or patience is over, and the share that was busy last. */
async function settle(patience: number): Promise<number> {
  const deadline = performance.now() + patience;
  for (;;) {
    const share = await busyShare();
    if (share < QUIET || performance.now() >= deadline) return share;
  }
}

/** The share of the machine that is busy while we do nothing for half a second. */
async function busyShare(): Promise<number> {
  const before = await cpuTicks();
  await new Promise((wake) => setTimeout(wake, 500));
  const { busy, stolen, total } = ticksBetween(before, await cpuTicks());
  return total === 0 ? 0 : (busy + stolen) / total;
}
