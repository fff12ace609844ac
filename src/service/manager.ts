/**
 * What a node tells the service manager that has started it (sd_notify(3)): that it is ready, in one line how it is,
 * that its loop goes round, and that it leaves. Without NOTIFY_SOCKET there is no manager and nothing is told.
 *
 * **Ready** is a node whose mesh addresses are on its interface and whose control socket answers: what is started after
 * it can listen on those addresses. A node that was a member before is ready at once, without any network; one that joins
 * for the first time is not ready before it is let in.
 */
import { getLogger } from "npm:@logtape/logtape@2.4.2";
import { Systemd } from "../../ffi/systemd.ts";
import type { NodeEvent } from "../../mesh/event.ts";
import type { Heartbeat } from "../driver.ts";
import { Exit, Failure } from "../exit.ts";
import { printable } from "../words.ts";

/** Beats in the time after which the manager takes the program for stuck: two turns of the loop may be late. */
const BEATS = 4;
/** Characters of a status line; what others wrote is a part of it. */
const STATUS_MAX = 400;

const log = getLogger(["shoal", "service"]);

export class ServiceManager {
  /** Undefined: the manager does not watch this process. */
  readonly heartbeat: Heartbeat | undefined;

  #hasAddresses = false;
  #isMember = false;
  #isServing = false;
  #isReady = false;

  private constructor(private readonly systemd: Systemd) {
    const ms = systemd.watchdogMs();
    if (ms === undefined) return;
    this.heartbeat = { everyMs: ms / BEATS, beat: () => this.#tell("WATCHDOG=1") };
  }

  /**
   * The manager of this process; undefined: there is none.
   * @throws {Failure} when there is one and it cannot be told anything: it would wait for the node in vain
   */
  static find(env: (name: string) => string | undefined): ServiceManager | undefined {
    if (!env("NOTIFY_SOCKET")) return undefined;
    try {
      return new ServiceManager(Systemd.load());
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const what = `node: a service manager waits to be told (NOTIFY_SOCKET): ${reason}`;
      throw new Failure(Exit.failed, what, { cause: error });
    }
  }

  hear(event: NodeEvent): void {
    switch (event.kind) {
      case "addresses":
        this.#hasAddresses = event.ip4 !== undefined || event.ip6 !== undefined;
        break;
      case "joined":
        this.#isMember = true;
        break;
      case "joinPending":
        return this.status(`${event.seed} shows our request, which an admin has to approve`);
      case "joinFailed":
        return this.status(event.why);
      default:
        return;
    }
    this.#tellIfReady();
  }

  /** The control socket answers. */
  serving(): void {
    this.#isServing = true;
    this.#tellIfReady();
  }

  /** One line for `systemctl status`. */
  status(text: string): void {
    this.#tell(`STATUS=${printable(text).slice(0, STATUS_MAX)}`);
  }

  /** The node ends, as somebody asked it to. */
  stopping(): void {
    this.#tell("STOPPING=1", "STATUS=stopping");
  }

  #tellIfReady(): void {
    if (this.#isReady || !this.#hasAddresses || !this.#isMember || !this.#isServing) return;
    this.#isReady = true;
    this.#tell("READY=1", "STATUS=member of the mesh");
  }

  /** A manager that cannot be told now ends the node by its own time limits: nothing is gained by ending it here. */
  #tell(...assignments: readonly string[]): void {
    try {
      this.systemd.notify(...assignments);
    } catch (error) {
      log.error("the service manager cannot be told {what}: {reason}", {
        what: assignments[0],
        reason: error instanceof Error ? error.message : String(error),
      });
    }
  }
}
