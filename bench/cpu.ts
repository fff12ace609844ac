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
/** How long a repetition waits for that. */
export const PATIENCE_MS = 60_000;

/**
 * Waits until the machine is quiet, `patience` milliseconds at most, so that the work of others is not measured.
 * Returns the share of it, 0 to 1, that was busy during the last half second.
 */
export async function settle(patience: number): Promise<number> {
  const deadline = performance.now() + patience;
  for (;;) {
    const before = await cpuTicks();
    await new Promise((wake) => setTimeout(wake, 500));
    const { busy, stolen, total } = ticksBetween(before, await cpuTicks());
    const share = total === 0 ? 0 : (busy + stolen) / total;
    if (share < QUIET || performance.now() >= deadline) return share;
  }
}

/** A paragraph about repetitions that began while something else was busy; none when none did. */
export function unrest(backgrounds: readonly number[]): string[] {
  const loud = backgrounds.filter((share) => share >= QUIET);
  if (loud.length === 0) return [];
  const worst = Math.round(Math.max(...loud) * 100);
  const text =
    `**Something else was running:** ${loud.length} of ${backgrounds.length} repetitions began with more than ` +
    `${QUIET * 100} % of the machine busy (up to ${worst} %), so take these figures with care.`;
  return [text];
}
