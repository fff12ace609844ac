/** The only clock: machines get what it says as an argument. */
import { bootTime } from "../ffi/libc.ts";
import type { Now } from "../mesh/machine.ts";

export function readClock(): Now {
  return { boot: bootTime(), wall: Date.now() };
}
