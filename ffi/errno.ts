/** Names of Linux error numbers, for messages: `EADDRINUSE` says more than 98. */
import { constants } from "node:os";

const names = new Map<number, string>(
  Object.entries(constants.errno).map(([name, value]) => [value, name]),
);
names.set(77, "EBADFD"); // A TUN descriptor whose interface is gone; node:os does not list it.

/** `EADDRINUSE` for 98; `errno 4711` for a number without a name. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `errno ${errno}`;
}
