/** What a WireGuard device writes into its log. Events carry no secret (R66). */
import { getLogger, type Logger } from "@logtape/logtape";
import { errnoName } from "../../ffi/errno.ts";
import { formatEndpoint } from "../../mesh/endpoint.ts";
import type { TunnelEvent } from "../../mesh/tunnel/types.ts";
import type { CoreNews } from "../driver.ts";
import type { DeviceEvent } from "./device.ts";
import type { UapiFault } from "./uapi.ts";

export class Journal {
  readonly #log: Logger = getLogger(["shoal", "wg"]);

  constructor(private readonly ifname: string) {}

  started(version: string, dataplane: string): void {
    this.#log.info("{ifname}: shoal {version} serves it ({dataplane})", {
      ifname: this.ifname,
      version,
      dataplane,
    });
  }

  stopped(why: string): void {
    this.#log.info("{ifname}: stopped, {why}", { ifname: this.ifname, why });
  }

  refused({ errno, what }: UapiFault): void {
    this.#log.error("{ifname}: a request was refused with {errno}: {what}", {
      ifname: this.ifname,
      errno,
      what,
    });
  }

  note(event: DeviceEvent): void {
    const { ifname } = this;
    switch (event.kind) {
      case "up":
        return this.#log.info("{ifname}: up, UDP port {port}", { ifname, port: event.port });
      case "down":
        return this.#log.info("{ifname}: down, all sessions zeroed", { ifname });
      case "bindFailed":
        return this.#log.error(
          "{ifname}: up, but UDP port {port} cannot be opened ({reason}): choose another with " +
            "'wg set {ifname} listen-port N', or free it, then set the link down and up",
          { ifname, port: event.port, reason: event.error.message },
        );
      case "core":
        return this.#core(event.news);
      case "tunnel":
        return this.#tunnel(event.event, event.publicKey.toBase64());
    }
  }

  #core(news: CoreNews): void {
    const { ifname } = this;
    switch (news.kind) {
      case "link":
        return this.#log.debug("{ifname}: link {news}, MTU {mtu}", { ifname, ...news });
      case "offloadDemoted":
        return this.#log.warning(
          "{ifname}: {offload} is off now: the kernel refused it ({errno})",
          {
            ifname,
            offload: news.offload,
            errno: errnoName(news.errno),
          },
        );
      case "workerFailed":
        return this.#log.fatal("{ifname}: the data plane stands still ({errno})", {
          ifname,
          errno: errnoName(news.errno),
        });
      case "commandRefused":
        return this.#log.error("{ifname}: core refused {command}: {reason}", {
          ifname,
          command: news.command,
          reason: news.error.message,
        });
    }
  }

  #tunnel(event: TunnelEvent, peer: string): void {
    const { ifname } = this;
    switch (event.kind) {
      case "handshakeDone":
        return this.#log.info("{ifname}: {peer} at {endpoint}: session as {role}", {
          ifname,
          peer,
          endpoint: formatEndpoint(event.endpoint),
          role: event.role,
        });
      case "handshakeGaveUp":
        return this.#log.warning(
          "{ifname}: {peer} did not answer {attempts} handshakes, giving up",
          {
            ifname,
            peer,
            attempts: event.attempts,
          },
        );
      case "endpointMoved":
        return this.#log.info("{ifname}: {peer} moved to {endpoint}", {
          ifname,
          peer,
          endpoint: formatEndpoint(event.endpoint),
        });
      case "futureTimestamp":
        return this.#log.warning(
          "{ifname}: the clock of {peer} is {seconds} s ahead of ours: one of them is wrong",
          { ifname, peer, seconds: Math.round(event.aheadMs / 1000) },
        );
      case "lowOrderKey":
        return this.#log.error("{ifname}: {peer} is no usable public key, nothing is sent to it", {
          ifname,
          peer,
        });
      case "clockWentBack":
        return this.#log.warning(
          "{ifname}: the boot clock went back by {ms} ms: sessions dropped",
          {
            ifname,
            ms: Math.round(event.byMs),
          },
        );
    }
  }
}
