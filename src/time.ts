/** Times as people type them: `90s`, `15m`, `24h`, `30d`, or a moment of RFC 3339. */
import { counted } from "./words.ts";
import { Exit, Failure } from "./exit.ts";

const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/**
 * A span in seconds.
 * @param max seconds
 * @throws {Failure} usage (2)
 */
export function parseSpan(option: string, text: string, max: number): number {
  const value = spanOf(text);
  if (value !== undefined && value >= 1 && value <= max) return value;
  throw new Failure(
    Exit.usage,
    `${option} '${text}' is not a time such as 90s, 15m or 24h, of ${
      counted(max / 86_400, "day")
    } at the most`,
  );
}

/**
 * A moment in unix seconds, named itself or as a time ago.
 * @param now unix milliseconds
 * @throws {Failure} usage (2): it is neither, or lies ahead
 */
export function parseTime(option: string, text: string, now: number): number {
  const span = spanOf(text);
  const moment = span === undefined
    ? Math.floor(Date.parse(text) / 1000)
    : Math.floor(now / 1000) - span;
  const isMoment = span !== undefined ||
    /^\d{4}-\d\d-\d\dT\d\d:\d\d.*(Z|[+-]\d\d:\d\d)$/.test(text);
  if (isMoment && moment > 0 && moment <= now / 1000) return moment;
  throw new Failure(
    Exit.usage,
    `${option} '${text}' is neither a time ago such as 90s, 15m, 2h or 3d nor a moment that has ` +
      "passed such as 2026-11-26T10:00Z",
  );
}

function spanOf(text: string): number | undefined {
  const match = /^(\d{1,6})([smhd])$/.exec(text);
  return match ? Number(match[1]) * (UNIT_SECONDS[match[2] ?? ""] ?? NaN) : undefined;
}
