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

/** The share of the machine, 0 to 1, that was busy during so many milliseconds of doing nothing here. */
export async function backgroundLoad(milliseconds: number): Promise<number> {
  const before = await cpuTicks();
  await new Promise((wake) => setTimeout(wake, milliseconds));
  const { busy, stolen, total } = ticksBetween(before, await cpuTicks());
  return total === 0 ? 0 : (busy + stolen) / total;
}
