import { errnoName } from "./errno.ts";
import { Status, type StatusName } from "./header.ts";

const statusNames = new Map<number, StatusName>(
  (Object.entries(Status) as [StatusName, number][]).map(([name, value]) => [value, name]),
);

const meaning: Readonly<Record<StatusName, string>> = {
  OK: "no error",
  E_INVALID: "an argument is outside its range",
  E_SIZE: "a size is not the library's",
  E_STALE: "it is gone already",
  E_FULL: "a table is at its maximum",
  E_MEMORY: "out of memory",
  E_EXISTS: "already in use",
  E_SYSTEM: "the kernel refused",
  E_STATE: "not possible now",
  E_UNKNOWN: "this build does not know the name",
  E_NO_ROUTE: "no route to that address",
};

/** A call into core that failed. Core has changed nothing. */
export class CoreError extends Error {
  override readonly name = "CoreError";
  readonly status: StatusName;

  constructor(
    /** The call, without its `shoal_` prefix. */
    readonly call: string,
    status: number,
    /** errno of the system call that failed, 0 when none did. */
    readonly errno = 0,
    /** The system call or argument at fault, "" when the status says it all. */
    readonly what = "",
  ) {
    const name = statusNames.get(status) ?? "E_INVALID";
    const cause = [what, errno === 0 ? "" : errnoName(errno)].filter((part) => part !== "");
    super(`${call}: ${meaning[name]}${cause.length > 0 ? ` (${cause.join(": ")})` : ""}`);
    this.status = name;
  }

  /** `EADDRINUSE` and so on, "" when no system call failed. */
  get errnoName(): string {
    return this.errno === 0 ? "" : errnoName(this.errno);
  }
}
