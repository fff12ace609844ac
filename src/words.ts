/** Sizes, times, counts and foreign words as a person reads them. */

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

/** Foreign words for a terminal: what would move its cursor, break the line or turn its direction is shown as an escape. */
export function printable(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
