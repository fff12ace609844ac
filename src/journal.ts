/** What a mesh node writes into its log: one line a state change. Events carry no secret. */
import { getLogger } from "@logtape/logtape";
import { errnoName } from "../ffi/errno.ts";
import { formatAddress, formatEndpoint } from "../mesh/endpoint.ts";
import type { NodeEvent } from "../mesh/event.ts";
import type { TunnelEvent } from "../mesh/tunnel/types.ts";
import type { CoreNews } from "./driver.ts";
import { duration } from "./status.ts";

const log = getLogger(["shoal", "node"]);

export function noteEvent(event: NodeEvent): void {
  switch (event.kind) {
    case "persist":
    case "resolve":
    case "pong":
    case "pingLost":
      return;
    case "addresses":
      return log.info("our mesh addresses are {addresses}", {
        addresses: [event.ip4, event.ip6].flatMap((ip) => ip ? [formatAddress(ip)] : []).join(" "),
      });
    case "joined":
      return event.seed
        ? log.info("member of the mesh, let in by {name}", { name: event.seed.name })
        : log.info("member of the mesh");
    case "joinPending":
      return log.info("{seed} shows our request to its admin", { seed: event.seed });
    case "joinFailed":
      return log.warn("{why}", { seed: event.seed, why: event.why });
    case "request":
      return log.warn("{name} ({key}) at {endpoint} asks to join: approve or ignore it", {
        name: event.who.name,
        key: event.who.id,
        endpoint: formatEndpoint(event.endpoint),
      });
    case "memberReturned":
      return log.info("{name} is back after {absence}", {
        name: event.who.name,
        absence: duration(event.absentMs / 1000),
      });
    case "memberJoined":
      return log.info("{name} is a member", { name: event.who.name });
    case "memberSuspected":
      return log.info("{name} does not answer: suspected", { name: event.who.name });
    case "memberRecovered":
      return log.info("{name} answers again", { name: event.who.name });
    case "memberDied":
      return log.warn("{name} is dead", { name: event.who.name });
    case "memberLeft":
      return log.info("{name} left", { name: event.who.name });
    case "memberRevoked":
      return log.warn("{name} ({key}) is revoked", { name: event.who.name, key: event.who.id });
    case "equivocation":
      return log.error("the key of {name} is used twice: {key}", {
        name: event.who.name,
        key: event.who.id,
      });
    case "tokenOverused":
      return log.error("more machines joined with the token {token} than it allowed: {names}", {
        token: event.token,
        names: event.members.map(({ name }) => name).join(", "),
      });
    case "tunnel":
      return noteTunnel(event.who?.name ?? "this node", event.event);
  }
}

function noteTunnel(name: string, event: TunnelEvent): void {
  switch (event.kind) {
    case "handshakeDone":
      return log.debug("session with {name} at {endpoint}", {
        name,
        endpoint: formatEndpoint(event.endpoint),
      });
    case "handshakeGaveUp":
      return log.info("{name} did not answer {attempts} handshakes", {
        name,
        attempts: event.attempts,
      });
    case "endpointMoved":
      return log.info("{name} moved to {endpoint}", {
        name,
        endpoint: formatEndpoint(event.endpoint),
      });
    case "futureTimestamp":
      return log.warn("the clock of {name} is {seconds} s ahead of ours: one of them is wrong", {
        name,
        seconds: Math.round(event.aheadMs / 1000),
      });
    case "lowOrderKey":
      return log.error("the key of {name} is no usable key: nothing is sent to it", { name });
    case "clockWentBack":
      return log.warn("the boot clock went back by {ms} ms: all sessions dropped", {
        ms: Math.round(event.byMs),
      });
  }
}

export function noteNews(news: CoreNews): void {
  switch (news.kind) {
    case "link":
      return log.debug("the interface is {news}, MTU {mtu}", { news: news.news, mtu: news.mtu });
    case "offloadDemoted":
      return log.warn("{offload} is off now: the kernel refused it ({errno})", {
        offload: news.offload,
        errno: errnoName(news.errno),
      });
    case "workerFailed":
      return log.fatal("the data plane stands still ({errno})", { errno: errnoName(news.errno) });
    case "commandRefused":
      return log.error("core refused {command}: {reason}", {
        command: news.command,
        reason: news.error.message,
      });
  }
}
