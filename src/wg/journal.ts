/** What a WireGuard device writes into its log. Events carry no secret (R66). */
import { getLogger, type Logger } from "npm:@logtape/logtape@2.4.2";
import { logCore, logTunnel } from "../dataplane_log.ts";
import type { DeviceEvent } from "./device.ts";
import type { UapiFault } from "./uapi.ts";

export class Journal {
  readonly #log: Logger;

  constructor(ifname: string) {
    this.#log = getLogger(["shoal", "wg"]).with({ ifname });
  }

  started(version: string, dataplane: string): void {
    this.#log.info("shoal {version} serves it ({dataplane})", { version, dataplane });
  }

  stopped(why: string): void {
    this.#log.info("stopped, {why}", { why });
  }

  refused({ errno, what }: UapiFault): void {
    this.#log.error("a request was refused with {errno}: {what}", { errno, what });
  }

  crowded(path: string): void {
    this.#log.warn(
      "more clients are at {path} than are served: those that ask for nothing make room, " +
        "others are told EBUSY",
      { path },
    );
  }

  note(event: DeviceEvent): void {
    switch (event.kind) {
      case "up":
        return this.#log.info("up, UDP port {port}", { port: event.port });
      case "down":
        return this.#log.info("down, all sessions zeroed");
      case "bindFailed":
        return this.#log.error(
          "up, but UDP port {port} cannot be opened ({reason}), and nothing flows until it is: free it, or " +
            "choose another with 'wg set {ifname} listen-port N'",
          { port: event.port, reason: event.error.message },
        );
      case "core":
        return logCore(this.#log, event.news);
      case "tunnel":
        return logTunnel(this.#log, event.publicKey.toBase64(), event.event);
    }
  }
}
