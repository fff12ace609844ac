/**
 * What tunnels and core do, as log lines: the same words for a mesh node and a WireGuard device.
 * Events carry no secret (R66).
 */
import type { Logger } from "npm:@logtape/logtape@2.4.2";
import { errnoName } from "../ffi/errno.ts";
import { formatEndpoint } from "../mesh/endpoint.ts";
import type { TunnelEvent } from "../mesh/tunnel/types.ts";
import type { CoreNews } from "./driver.ts";
import { refusedText } from "./receiving.ts";

/** @param peer what a person calls it: the name of a member, else its public key */
export function logTunnel(log: Logger, peer: string, event: TunnelEvent): void {
  switch (event.kind) {
    case "handshakeSent":
      return log.debug("handshake with {peer} at {endpoint}, attempt {attempt}", {
        peer,
        endpoint: formatEndpoint(event.endpoint),
        attempt: event.attempt,
      });
    case "handshakeDone":
      return log.debug("session with {peer} at {endpoint}, as {role}", {
        peer,
        endpoint: formatEndpoint(event.endpoint),
        role: event.role,
      });
    case "handshakeGaveUp":
      return log.info("{peer} did not answer {attempts} handshakes, giving up", {
        peer,
        attempts: event.attempts,
      });
    case "endpointMoved":
      return log.info("{peer} moved to {endpoint}", {
        peer,
        endpoint: formatEndpoint(event.endpoint),
      });
    case "futureTimestamp":
      return log.warn("the clock of {peer} is {seconds} s ahead of ours: one of them is wrong", {
        peer,
        seconds: Math.round(event.aheadMs / 1000),
      });
    case "handshakesUnfinished":
      return log.warn(
        "somebody begins handshakes with a copy of {peer}'s key, or of this node's, from {endpoint}, and does " +
          "not finish them: look who can read the disks and backups of both",
        { peer, endpoint: formatEndpoint(event.endpoint) },
      );
    case "lowOrderKey":
      return log.error("the key of {peer} is no usable public key: nothing is sent to it", {
        peer,
      });
    case "clockWentBack":
      return log.warn("the boot clock went back by {ms} ms: all sessions dropped", {
        ms: Math.round(event.byMs),
      });
    case "clockWasSet":
      if (event.times > 1) {
        return log.warn(
          "the wall clock was set {times} times in a row: all sessions begin anew, and every 15 s while " +
            "that goes on: let one program alone set it",
          { times: event.times },
        );
      }
      return log.info("the wall clock was set by {seconds} s: all sessions begin anew", {
        seconds: Math.round(event.byMs / 1000),
      });
  }
}

export function logCore(log: Logger, news: CoreNews): void {
  switch (news.kind) {
    case "link":
      return log.debug("the interface is {news}, MTU {mtu}", { news: news.news, mtu: news.mtu });
    case "offloadDemoted":
      return log.warn("{offload} is off now: the kernel refused it ({errno})", {
        offload: news.offload,
        errno: errnoName(news.errno),
      });
    case "ioRefused":
      return log.warn(refusedText("{errno}"), {
        errno: errnoName(news.errno),
      });
    case "loop":
      return log.warn(
        "routes of this machine lead the tunnel's own datagrams to {to} into the tunnel: they are " +
          "dropped: give that address a route of its own, outside the tunnel",
        { to: formatEndpoint(news.to) },
      );
    case "routes":
      return log.debug("addresses, routes, rules or links of this machine changed");
    case "workerFailed":
      return log.fatal("the data plane stands still ({errno})", { errno: errnoName(news.errno) });
    case "commandRefused":
      return log.error("core refused {command}: {reason}", {
        command: news.command,
        reason: news.error.message,
      });
    case "datagramRefused":
      return log.error("core refused a datagram of {size} bytes to {endpoint}", {
        size: news.size,
        endpoint: formatEndpoint(news.to),
      });
    case "faultCaught":
      return log.error(
        "a fault of shoal, please report this line: {cause} (SHA-256 {hash}) was dropped: {stack}",
        { ...news.fault },
      );
  }
}
