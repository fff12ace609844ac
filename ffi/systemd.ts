/**
 * libsystemd, as far as a service needs it (sd_notify(3), sd_watchdog_enabled(3)). It is loaded only where a service
 * manager has set NOTIFY_SOCKET: elsewhere nobody needs it, and it may be absent.
 *
 * Deno itself sends no datagram to a Unix socket without an unstable flag, and to none in the abstract namespace, which
 * `NOTIFY_SOCKET=@...` names; the program systemd-notify is a process of its own, whose word the manager does not take for
 * ours (NotifyAccess=main).
 */
import { SystemError } from "./libc.ts";

const LIBRARY = "libsystemd.so.0";

const symbols = {
  sd_notify: { parameters: ["i32", "buffer"], result: "i32" },
  sd_watchdog_enabled: { parameters: ["i32", "buffer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

const encoder = new TextEncoder();

export class Systemd {
  private constructor(
    private readonly calls: Deno.DynamicLibrary<typeof symbols>["symbols"],
  ) {}

  /** @throws {Error} one line when the library is not there */
  static load(library: string = LIBRARY): Systemd {
    try {
      return new Systemd(Deno.dlopen(library, symbols).symbols);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`cannot load ${library} (${reason}): install libsystemd0`);
    }
  }

  /**
   * Sends assignments such as `READY=1`, one in each line.
   * @returns false where NOTIFY_SOCKET is not set
   * @throws {SystemError} when the manager cannot be told
   */
  notify(...assignments: readonly string[]): boolean {
    const status = this.calls.sd_notify(0, encoder.encode(`${assignments.join("\n")}\0`));
    if (status < 0) throw new SystemError("sd_notify", -status);
    return status > 0;
  }

  /**
   * Milliseconds within which the manager wants to hear from this process; undefined: it does not watch it.
   * @throws {SystemError} when its environment is not valid
   */
  watchdogMs(): number | undefined {
    const usec = new BigUint64Array(1);
    const status = this.calls.sd_watchdog_enabled(0, new Uint8Array(usec.buffer));
    if (status < 0) throw new SystemError("sd_watchdog_enabled", -status);
    return status === 0 ? undefined : Number(usec[0]) / 1000;
  }
}
