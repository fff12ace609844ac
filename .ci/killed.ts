/** For tests: a process that is killed between two calls to the disk, or in the middle of a write. */
import fs from "node:fs";

/** Every call by which store.ts changes something. */
export const CALLS = [
  "mkdirSync",
  "openSync",
  "fchmodSync",
  "writeSync",
  "fsyncSync",
  "renameSync",
  "rmSync",
  "closeSync",
] as const;

class Killed extends Error {}

/**
 * Runs a body whose call number `last` is the last one that is carried out; of a write only the
 * first half. All later ones fail: the process is dead.
 * @returns whether the body got so far
 */
export function killedAfter(last: number, body: () => void): boolean {
  const calls = fs as unknown as Record<string, (...args: unknown[]) => unknown>;
  const whole = CALLS.map((name) => [name, calls[name]] as const);
  let count = 0;
  for (const [name, call] of whole) {
    if (call === undefined) throw new Error(`node:fs has no ${name}`);
    calls[name] = (...args) => {
      count++;
      if (count > last) throw new Killed();
      if (count < last || name !== "writeSync") return call(...args);
      const [fd, bytes, at, length] = args as [number, Uint8Array, number, number];
      call(fd, bytes, at, Math.floor(length / 2), ...args.slice(4));
      throw new Killed();
    };
  }
  try {
    body();
  } catch {
    // Whatever a dead process would have said.
  } finally {
    for (const [name, call] of whole) if (call) calls[name] = call;
  }
  return count > last;
}
