/** The status document: what a person is told about a node and its mesh, and what to do about it. */
import { formatAddress, formatEndpoint } from "./endpoint.ts";
import type { Now } from "./machine.ts";
import { EXPIRY_WARNING } from "./credentials.ts";
import type { Mesh } from "./mesh.ts";
import { type Member, whoOf } from "./roster.ts";
import type { JoinState, NodeStatus, PeerStatus, SelfStatus } from "./status.ts";
import type { Identity } from "./trust/identity.ts";
import { CLOCK_SKEW, rfc3339 } from "./trust/trust.ts";
import type { Tunnels } from "./tunnel/tunnels.ts";
import type { FactReader } from "./tunnel/types.ts";

/** How many a line of health names, and over-used tokens that have a line each. */
const ADMINS_NAMED = 3;
const CULPRITS_NAMED = 5;
const TOKENS_NAMED = 5;

export interface ReportSources {
  readonly identity: Identity;
  readonly name: string;
  readonly port: number;
  readonly isOpen: boolean;
  readonly state: JoinState;
  /** What keeps us from talking to anybody of the mesh. */
  readonly complaints: readonly string[];
  readonly mesh: Mesh | undefined;
  readonly tunnels: Tunnels;
  readonly facts: FactReader;
  readonly drops: Readonly<Record<string, number>>;
}

export function statusOf(now: Now, sources: ReportSources): NodeStatus {
  const { mesh, state } = sources;
  const members = mesh ? [...mesh.roster.members()] : [];
  const peers = mesh ? members.map((member) => peerStatus(now, sources, mesh, member)) : [];
  peers.sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : a.key < b.key ? -1 : 1);
  const requests = mesh
    ? Array.from(mesh.door.requests(), ({ who, endpoint, at }) => ({
      name: who.name,
      key: who.id,
      endpoint: formatEndpoint(endpoint),
      age_s: seconds(now.boot - at),
    }))
    : [];
  return {
    v: 1,
    self: selfStatus(sources),
    mesh: { key: mesh?.meshKey.toHex() ?? "", state },
    peers,
    requests,
    trusted: mesh ? [...mesh.trust.trusted()].filter(({ key }) => !mesh.roster.get(key)) : [],
    health: health(now, sources),
    control: { ...sources.drops, ...mesh?.counters() },
  };
}

function selfStatus({ identity, name, port, mesh }: ReportSources): SelfStatus {
  const membership = mesh?.membership;
  const ip4 = mesh?.roster.ip4(identity.id);
  return {
    name: membership?.name ?? name,
    key: identity.id,
    ip4: ip4 ? formatAddress(ip4) : "",
    ip6: mesh ? formatAddress(mesh.ip6) : "",
    port,
    groups: membership?.groups ?? [],
    admin: membership?.flags.admin ?? false,
    expires: membership ? rfc3339(membership.expires) : "",
  };
}

function peerStatus(
  now: Now,
  { tunnels, facts }: ReportSources,
  mesh: Mesh,
  member: Member,
): PeerStatus {
  const { id, membership, record, observed, peer } = member;
  const view = mesh.swim.member(id);
  const tunnel = peer === undefined ? undefined : tunnels.peer(peer);
  const traffic = peer === undefined ? undefined : facts(peer);
  const state = view?.status ?? "dead";
  const hasSession = (tunnel?.sessionUntil ?? 0) > now.boot;
  const endpoint = hasSession ? tunnel?.endpoint : observed?.endpoint ?? record.endpoints[0];
  const isHeard = state === "alive" && (view?.heardAt ?? -Infinity) > -Infinity;
  const ip4 = mesh.roster.ip4(id);
  const rtt = view && view.rtt > 0 ? view.rtt : member.rtt; // Smoothed, where it is probed.
  return {
    name: membership.name,
    key: id,
    ip4: ip4 ? formatAddress(ip4) : "",
    ip6: formatAddress(member.ip6),
    state,
    path: hasSession || isHeard ? "direct" : "none",
    endpoint: endpoint ? formatEndpoint(endpoint) : "",
    rtt_ms: rtt === undefined ? null : Math.round(rtt * 1000) / 1000,
    tx_bytes: traffic?.txBytes ?? 0,
    rx_bytes: traffic?.rxBytes ?? 0,
    handshake_age_s: tunnel && tunnel.lastHandshakeBoot > 0
      ? seconds(now.boot - tunnel.lastHandshakeBoot)
      : null,
    reason: reasonOf(state, endpoint !== undefined, isHeard || hasSession),
    groups: membership.groups,
    admin: membership.flags.admin,
    relay: membership.flags.relay && record.capabilities.relay,
    since_s: seconds(now.boot - (view?.since ?? now.boot)),
    expires: membership.expires === Number.MAX_SAFE_INTEGER ? "" : rfc3339(membership.expires),
    version: record.version,
  };
}

function reasonOf(state: PeerStatus["state"], hasEndpoint: boolean, isDirect: boolean): string {
  if (state === "left") return "it said good-bye";
  if (state === "suspect") return "it does not answer: others are asked whether they hear it";
  if (state === "dead") return "it does not answer, and nobody else hears of it";
  if (isDirect) return "";
  return hasEndpoint
    ? "nothing has come from it to us yet: others hear it"
    : "it names no address that can be reached";
}

function health(now: Now, { mesh, isOpen, state, complaints }: ReportSources): string[] {
  const lines: string[] = [];
  if (isOpen) {
    const isAdmin = mesh?.membership?.flags.admin ?? false;
    lines.push(
      isAdmin
        ? "OPEN: everybody who asks is admitted: for laboratories only, start without --open"
        : "--open does nothing: this node is no admin, and only admins can admit",
    );
  }
  lines.push(...complaints);
  if (state === "joining") lines.push("joining: no seed has let us in yet; trying again for ever");
  if (state === "pending") {
    lines.push("pending: a seed shows our request: an admin admits us with `shoal approve`");
  }
  if (!mesh) return lines;
  if (mesh.door.requestCount > 0) lines.push(admission(mesh, mesh.door.requestCount));
  const { membership, trust } = mesh;
  const { id } = mesh.self.identity;
  const left = (membership?.expires ?? Infinity) - now.wall / 1000;
  const when = membership ? rfc3339(membership.expires) : "";
  if (mesh.isRevoked) {
    const what = trust.isRevoked(id)
      ? "this node's key was revoked: it can come back only as a new node, with another state folder"
      : "a key that this node's certificate rests on was revoked: it can come back with a new token";
    lines.push(`revoked: ${what}`);
  } else if (left <= 0) {
    lines.push(
      `expired: the certificate ended ${when}: an admin renews it with \`shoal approve ${id}\``,
    );
  } else if (left < EXPIRY_WARNING) {
    lines.push(
      `the certificate ends ${when}, in ${Math.ceil(left / 86_400)} days: ` +
        `an admin renews it with \`shoal approve ${id}\``,
    );
  }
  const overused = [...trust.overused()];
  for (const { uses, by } of overused.slice(0, TOKENS_NAMED)) {
    const names = by.slice(0, CULPRITS_NAMED)
      .map((key) => mesh.roster.get(key)?.membership.name ?? key.slice(0, 16));
    if (by.length > CULPRITS_NAMED) names.push("…");
    lines.push(
      `a token for ${uses} was used by ${by.length} (${names.join(", ")}): ` +
        `\`shoal revoke\` those that you do not know`,
    );
  }
  if (overused.length > TOKENS_NAMED) {
    lines.push(`${overused.length - TOKENS_NAMED} more tokens were used by more than they allowed`);
  }
  if (membership && membership.notBefore > now.wall / 1000 + CLOCK_SKEW) {
    lines.push(
      `clock: it is ${
        rfc3339(Math.floor(now.wall / 1000))
      } here, and this node's certificate begins ` +
        `${rfc3339(membership.notBefore)}: set the clock`,
    );
  }
  const { size } = mesh.untimely;
  if (size > 0) {
    const whose = size === 1
      ? "the certificate of a member is"
      : `the certificates of ${size} members are`;
    const here = rfc3339(Math.floor(now.wall / 1000));
    lines.push(`clock: ${whose} not valid at this machine's time, ${here}: compare the clocks`);
  }
  const states = new Set(Array.from(mesh.swim.members(), ({ status }) => status));
  if (states.has("dead") && !states.has("alive")) {
    lines.push("alone: no member answers: is the network up, and their UDP ports open?");
  }
  // Once is a state that was restored from a copy; again and again is another machine.
  if (mesh.recalls > 1) {
    lines.push(
      "key: another machine uses this node's key, too: remove the copied state folder there, and " +
        "let it join as a node of its own",
    );
  }
  for (const [name, keys] of namesakes(mesh)) {
    lines.push(`${keys.length} members are called ${name}: say which by key: ${keys.join(", ")}`);
  }
  if (mesh.roster.ip4(id) === undefined) {
    lines.push("another member holds our IPv4 address: taking the next one");
  }
  return lines;
}

/** Names are chosen by whoever joins: those that several bear, with the beginnings of their keys. */
function namesakes(mesh: Mesh): [name: string, keys: string[]][] {
  const keys = new Map<string, string[]>();
  const own = { id: mesh.self.identity.id, name: mesh.membership?.name ?? "" };
  for (const { id, name } of [own, ...Array.from(mesh.roster.members(), (one) => whoOf(one))]) {
    const state = mesh.swim.member(id)?.status;
    if (state === "dead" || state === "left") continue;
    keys.set(name, [...keys.get(name) ?? [], id.slice(0, 16)]);
  }
  return [...keys].filter(([, all]) => all.length > 1);
}

/** Who asks is shown by the member that was asked, admin or not; only an admin can let it in. */
function admission({ membership, roster }: Mesh, requests: number): string {
  const asks = requests === 1 ? "1 machine asks" : `${requests} machines ask`;
  if (membership?.flags.admin) {
    return `${asks} for admission: \`shoal approve NAME\` admits one that you know`;
  }
  const admins = Array.from(roster.members(), (member) => member.membership)
    .filter(({ flags }) => flags.admin).map(({ name }) => name).sort();
  const where = admins.length === 0 ? "an admin" : admins.slice(0, ADMINS_NAMED).join(" or ");
  return `${asks} for admission, and this node is no admin: on ${where}, ` +
    `\`shoal approve KEY --name NAME\` admits one that you know`;
}

function seconds(ms: number): number {
  return Math.max(0, Math.round(ms / 1000));
}
