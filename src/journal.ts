/** What a mesh node writes into its log: one line a state change. Events carry no secret. */
import { getLogger } from "npm:@logtape/logtape@2.4.2";
import { formatAddress, formatEndpoint } from "../mesh/endpoint.ts";
import type { NodeEvent } from "../mesh/event.ts";
import type { Refusal } from "../mesh/membership/judge.ts";
import { logCore, logTunnel } from "./dataplane_log.ts";
import type { NodeNews } from "./node.ts";
import { duration } from "./words.ts";

const log = getLogger(["shoal", "node"]);

const WHY_OUT: Partial<Record<Refusal, string>> = {
  removed: "it was revoked",
  left: "it has left the mesh for good",
  stranger: "whoever certified it has lost its office",
  tokenUsedUp: "its invite was used by others before",
  tokenRevoked: "its invite was revoked",
  mirrored: "another key with its tunnel key was first",
  expired: "nobody certified it in time",
};

export function noteEvent(event: NodeEvent): void {
  switch (event.kind) {
    case "persist":
    case "compared":
    case "resolve":
    case "pong":
    case "pingLost":
      return;
    case "addresses":
      // A member gets its IPv4 address a moment after the other, and one line is enough; health says of one without.
      if (!event.ip4) return;
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
      return log.info(
        "{name} is suspect: it does not answer, and others are asked whether they hear it",
        {
          name: event.who.name,
        },
      );
    case "memberRecovered":
      return log.info("{name} answers again", { name: event.who.name });
    case "memberDied":
      return log.warn("{name} is offline: it does not answer, and nobody else hears of it", {
        name: event.who.name,
      });
    case "memberLeft":
      return log.info("{name} is stopped: it said good-bye, and is a member still", {
        name: event.who.name,
      });
    case "memberOut":
      return log.warn("{name} ({key}) is no member any more: {why}", {
        name: event.who.name,
        key: event.who.id,
        why: WHY_OUT[event.why] ?? event.why,
      });
    case "memberExpired":
      return log.warn("the certificate of {name} is not valid at this machine's time", {
        name: event.who.name,
      });
    case "memberGone":
      return log.info("{name} has left the mesh for good", { name: event.who.name });
    case "renamed":
      return log.warn("{before} is called {name} now ({key})", {
        before: event.before,
        name: event.who.name,
        key: event.who.id,
      });
    case "guestAdded":
      return log.info("{name} is a guest of {host} ({key})", {
        name: event.who.name,
        host: event.host.name || "this node",
        key: keyText(event.who.id),
      });
    case "guestGone":
      return log.info("{name} is no guest any more ({key})", {
        name: event.who.name,
        key: keyText(event.who.id),
      });
    case "promoted":
      return news(event)("{name} is an admin ({key})", {
        name: event.who.name || "a key",
        key: event.who.id,
      });
    case "demoted":
      return news(event)("{name} is no admin any more ({key})", {
        name: event.who.name || "a key",
        key: event.who.id,
      });
    case "removed":
      return news(event)("{by} has revoked {name} ({key})", {
        by: event.by.name || event.by.id.slice(0, 16),
        name: event.who.name || "a key",
        key: event.who.id,
      });
    case "meshKeyReplaced":
      return news(event)("the recovery key has named another mesh key: {key}", { key: event.key });
    case "revoked":
      return log.error("our key was revoked: the mesh does not talk to us");
    case "twin":
      return log.error(
        "the key of {name}{ours} is used by two machines, the second at {place}: {key}",
        {
          name: event.who.name,
          ours: event.mayBeOurs ? ", or this node's own," : "",
          place: event.endpoint ? formatEndpoint(event.endpoint) : "an unknown place",
          key: event.who.id,
        },
      );
    case "equivocation":
      return log.error("the key of {name} is used twice: {key}", {
        name: event.who.name,
        key: event.who.id,
      });
    case "inviteOverused":
      return log.error("the invite {invite} is used up, and {key} wanted to join with it", {
        invite: event.invite,
        key: event.key,
      });
    case "tunnel":
      return logTunnel(log, event.who?.name ?? "this node", event.event);
  }
}

/** What a person has to look at when it happens, and not when this node joins and hears that it once did. */
function news({ isHistory }: { readonly isHistory: boolean }) {
  return (text: string, values: Record<string, unknown>) =>
    isHistory ? log.info(text, values) : log.warn(text, values);
}

/** The key of a guest as WireGuard writes it. */
function keyText(key: string): string {
  return Uint8Array.fromHex(key).toBase64();
}

export function noteNews(news: NodeNews): void {
  switch (news.kind) {
    case "stateUnsaved":
      return log.error("the state cannot be written, and is tried again: {reason}", {
        reason: news.reason,
      });
    case "stateSaved":
      return log.info("the state is written again");
    case "stateRemoved":
      return log.warn(
        "the state folder {dir} was removed while this node ran: it is made and written again " +
          "(to begin anew, stop the node first: `shoal down`)",
        { dir: news.dir },
      );
    case "controlRemoved":
      return log.warn("the control socket {path} was removed: it is there again", {
        path: news.path,
      });
    case "controlLost":
      return log.error(
        "the control socket {path} was removed and cannot be made again, so no command reaches this " +
          "node (a signal still ends it); it is tried again: {reason}",
        { path: news.path, reason: news.reason },
      );
    case "namesAnswered":
      return log.info(
        "this node answers the names of members, NAME.{zone}, at {address}, port 53: `shoal dns` says how this " +
          "machine asks there",
        { zone: news.zone, address: news.address },
      );
    case "namesFault":
      return log.error("a fault of shoal: please report: a question of a name raised {cause}", {
        cause: news.cause,
      });
    case "unguarded":
      return log.warn(
        "this kernel does not keep apart what comes by the tunnel and what others send in a member's name ({reason}): " +
          "`shoal status` has the line for your firewall",
        { reason: news.reason },
      );
    case "portRegained":
      return log.info("UDP port {port} is free again, and this node listens on it", {
        port: news.port,
      });
    case "nameIgnored":
      return log.warn(
        "--name {wanted} has no effect: this node is a member as {name}, and only an admin names " +
          "members anew (`shoal approve --name {wanted} {name}` there)",
        { wanted: news.wanted, name: news.name },
      );
    case "portTaken":
      return log.warn(
        "UDP port {usual} is another program's: this node listens on {port} until that one is free, which it tries " +
          "every half a minute; --listen chooses another",
        { usual: news.usual, port: news.port },
      );
    case "portOfAnother":
      return log.info(
        "UDP port {usual} is that of the node of {by}, also while it does not run: this one listens on {port} and keeps " +
          "to it; --listen chooses another",
        { usual: news.usual, port: news.port, by: news.by },
      );
    case "joinIgnored":
      return log.warn(
        "--join has no effect: this machine has the mesh key of {mesh}, of which it knows no other " +
          "member: with another --state it joins another mesh",
        { mesh: news.mesh },
      );
    case "poolInside":
      return log.warn("{why}", { why: news.why });
    case "nameNotFound":
      return log.warn(
        "no machine finds this node by the name {name}, which means something else everywhere: an admin renames it by " +
          "`shoal approve --name NEW {name}`; a new node takes another by --name",
        { name: news.name },
      );
    case "foundingIgnored":
      return log.warn(
        "{option} {wanted} has no effect: the mesh was founded with {founded}, which never changes",
        { option: news.option, wanted: news.wanted, founded: news.founded },
      );
    default:
      logCore(log, news);
  }
}
