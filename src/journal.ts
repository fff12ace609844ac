/** What a mesh node writes into its log: one line a state change. Events carry no secret. */
import { getLogger } from "@logtape/logtape";
import { formatAddress, formatEndpoint } from "../mesh/endpoint.ts";
import type { NodeEvent } from "../mesh/event.ts";
import { logCore, logTunnel } from "./dataplane_log.ts";
import type { NodeNews } from "./node.ts";
import { duration } from "./words.ts";

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
      return log.info("{seed} shows our request: an admin of the mesh has to approve it", {
        seed: event.seed,
      });
    case "joinFailed":
      return log.warn("{why}", { seed: event.seed, why: event.why });
    case "request":
      return log.warn("{name} at {endpoint} asks to join: `shoal approve --name {name} {key}`", {
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
    case "memberExpired":
      return log.warn("the certificate of {name} is not valid at this machine's time", {
        name: event.who.name,
      });
    case "revoked":
      return log.error(
        "our key, or one that our certificate rests on, was revoked: the mesh does not talk to us",
      );
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
      return logTunnel(log, event.who?.name ?? "this node", event.event);
  }
}

export function noteNews(news: NodeNews): void {
  switch (news.kind) {
    case "stateUnsaved":
      return log.error("the state cannot be written, and is tried again: {reason}", {
        reason: news.reason,
      });
    case "stateSaved":
      return log.info("the state is written again");
    default:
      logCore(log, news);
  }
}
