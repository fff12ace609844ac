/** Sizes, times and counts as a person reads them. */

/** `0`, `17`, `1.2K`, `800M`: powers of 1,024, as ls -h and wg have it. */
export function size(bytes: number): string {
  let value = bytes;
  let unit = "";
  for (const next of ["K", "M", "G", "T", "P"]) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return unit === "" || value >= 100 ? `${Math.round(value)}${unit}` : `${value.toFixed(1)}${unit}`;
}

/** `4s`, `5m`, `3h`, `12d`. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.floor(seconds)}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** `1 worker`, `2 workers`. */
export function counted(n: number, noun: string): string {
  return n === 1 ? `1 ${noun}` : `${n} ${noun}s`;
}
