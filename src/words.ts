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

/**
 * Foreign words for a terminal: what would move its cursor, break the line, turn its direction or be
 * seen by nobody is shown as an escape. Of a text in JSON the meaning stays.
 */
export function printable(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu,
    (sign) =>
      sign.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join(
        "",
      ),
  );
}

/** {@link printable} of a text whose line ends are ours. */
export function printableLines(text: string): string {
  return text.split("\n").map(printable).join("\n");
}

/** {@link printable} of every text in what came as JSON. */
export function printableIn<T>(value: T): T {
  if (typeof value === "string") return printable(value) as T;
  if (Array.isArray(value)) return value.map(printableIn) as T;
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([name, item]) => [printable(name), printableIn(item)]);
  return Object.fromEntries(entries) as T;
}
