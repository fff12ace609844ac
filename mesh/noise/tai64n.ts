/**
 * TAI64N timestamps (R36): 8 bytes big-endian 2^62 + 10 + unix seconds, 4 bytes big-endian
 * nanoseconds. Nanoseconds are cut to a multiple of 2^24 (16.78 ms), so that a timestamp tells
 * nobody how exact our clock runs. As byte strings they sort by time.
 */
const TAI_OFFSET = (1n << 62n) + 10n;
const GRAIN = 1 << 24;
const NANOSECONDS_PER_SECOND = 1_000_000_000;

export const TIMESTAMP_LENGTH = 12;

function encode(seconds: bigint, nanoseconds: number): Uint8Array {
  const bytes = new Uint8Array(TIMESTAMP_LENGTH);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, seconds, false);
  view.setUint32(8, nanoseconds, false);
  return bytes;
}

/** The timestamp of a unix time in milliseconds. */
function timestampAt(wallMs: number): Uint8Array {
  const seconds = Math.floor(wallMs / 1000);
  const nanoseconds = Math.floor((wallMs - seconds * 1000) * 1e6);
  return encode(TAI_OFFSET + BigInt(seconds), nanoseconds - nanoseconds % GRAIN);
}

/**
 * The timestamp to send at a unix time, given the one sent last: always greater, so that a clock
 * that stepped back does not make a peer refuse us (R37, R64).
 */
export function nextTimestamp(wallMs: number, last: Uint8Array): Uint8Array {
  const fresh = timestampAt(wallMs);
  if (isAfter(fresh, last)) return fresh;
  const view = new DataView(last.buffer, last.byteOffset, last.byteLength);
  const seconds = view.getBigUint64(0, false);
  const nanoseconds = view.getUint32(8, false) + GRAIN;
  return nanoseconds < NANOSECONDS_PER_SECOND
    ? encode(seconds, nanoseconds)
    : encode(seconds + 1n, 0);
}

/**
 * The timestamp of an initiation for a lane, 1..255: its number stands in the lowest byte, which is
 * zero in every other (and tells nobody how exact our clock runs).
 */
export function ofLane(timestamp: Uint8Array, lane: number): Uint8Array {
  const bytes = timestamp.slice();
  bytes[TIMESTAMP_LENGTH - 1] = lane;
  return bytes;
}

/** The lane that {@link ofLane} wrote. */
export function laneOf(timestamp: Uint8Array): number {
  return timestamp[TIMESTAMP_LENGTH - 1] ?? 0;
}

/** Whether `a` is strictly later than `b`, compared as 12 bytes (R37). */
export function isAfter(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < TIMESTAMP_LENGTH; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return false;
}

/** The unix time in milliseconds that a timestamp claims; not exact in the far future. */
export function wallOf(timestamp: Uint8Array): number {
  const view = new DataView(timestamp.buffer, timestamp.byteOffset, timestamp.byteLength);
  return Number(view.getBigUint64(0, false) - TAI_OFFSET) * 1000 + view.getUint32(8, false) / 1e6;
}
