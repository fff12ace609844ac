/** The status document: what a person is told about a node and its mesh. */
import { formatAddress, formatEndpoint } from "../endpoint.ts";
import { type Now, secondsOf } from "../machine.ts";
import { formatPool } from "../membership/genesis.ts";
import type { Membership } from "../membership/judge.ts";
import { rfc3339 } from "../membership/judge.ts";
import type { Mesh } from "../membership/mesh.ts";
import type { MemberId } from "../membership/identity.ts";
import { isUnheard, type Member } from "../membership/roster.ts";
import type { MemberView } from "../swim/swim.ts";
import type { NodeStatus, PeerStatus, SelfStatus, VoidStatus } from "../status.ts";
import { KEEPALIVE_TIMEOUT } from "../tunnel/constants.ts";
import { NO_FACTS, type PeerFacts, type PeerView } from "../tunnel/types.ts";
import { guestStatuses } from "./guests.ts";
import { health, type ReportSources } from "./health.ts";

/** Milliseconds that an answer may take on its way. */
const ROUND_TRIP_MAX = 1_000;
/** Milliseconds for which somebody who sends counts as sending. */
const HEARD_LATELY = 60_000;
const HEARS_NOTHING =
  "it is heard here and answers nobody: something keeps what is sent to it from arriving";
const SILENT = "what is sent through its tunnel is not answered: another handshake follows";
/** Void statements that are listed. */
const VOID_LISTED = 64;

export function statusOf(now: Now, sources: ReportSources): NodeStatus {
  const { mesh, door, state } = sources;
  const members = mesh ? [...mesh.roster.members()] : [];
  const heard = {
    deafFor: mesh?.deafFor(now),
    isAnybody: members.some((member) => !isUnheard(member)),
  };
  const holders = mesh?.meshKeyHolders() ?? new Set();
  const peers = mesh
    ? members.map((member) => peerStatus(now, sources, mesh, member, heard, holders))
    : [];
  peers.sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : a.key < b.key ? -1 : 1);
  const requests = (door?.list() ?? []).map(({ who, endpoint, at }) => ({
    name: who.name,
    key: who.id,
    endpoint: formatEndpoint(endpoint),
    age_s: seconds(now.boot - at),
  }));
  const until = door?.requests.openUntil(now);
  return {
    v: 1,
    self: selfStatus(now, sources),
    mesh: {
      id: mesh?.judge.meshId.toHex() ?? "",
      name: mesh?.genesis.name ?? "",
      pool: mesh ? formatPool(mesh.genesis.pool) : "",
      key: mesh?.statements.meshKey ?? "",
      state,
      door_open_s: until === undefined ? 0 : seconds(until - now.boot),
    },
    peers,
    guests: mesh ? guestStatuses(now, sources, mesh) : [],
    requests,
    trusted: mesh ? [...mesh.judge.trusted()].filter(({ key }) => !mesh.roster.get(key)) : [],
    void: mesh && !mesh.statements.isRemoved(mesh.id) ? voidMembers(mesh) : [],
    health: health(now, sources),
    control: {
      ...sources.drops,
      ...mesh?.counters(),
      ...Object.fromEntries(
        Object.entries(door?.counters ?? {}).map(([why, count]) => [`door_${why}`, count]),
      ),
    },
  };
}

function selfStatus(now: Now, { identity, name, port, mesh }: ReportSources): SelfStatus {
  const membership = mesh?.membership(now);
  const ip4 = mesh?.roster.ip4Text(identity.id);
  return {
    name: mesh?.name ?? name,
    key: identity.id,
    ip4: ip4 ?? "",
    ip6: mesh?.ownIp6 ? formatAddress(mesh.ownIp6) : "",
    port,
    groups: membership?.groups ?? [],
    admin: membership?.standing === "admin",
    standing: membership?.standing ?? "none",
    mesh_key: mesh?.signer.hasMeshKey ?? false,
    expires: endOf(membership),
  };
}

/** What has come in this run. */
interface Heard {
  /** Milliseconds for which nothing has come from any member; undefined: something has, or it is early. */
  readonly deafFor: number | undefined;
  readonly isAnybody: boolean;
}

function peerStatus(
  now: Now,
  { tunnels, facts }: ReportSources,
  mesh: Mesh,
  member: Member,
  { deafFor, isAnybody }: Heard,
  holders: ReadonlySet<MemberId>,
): PeerStatus {
  const { id, membership, record, observed, peer } = member;
  const view = mesh.swim.member(id);
  const isDeaf = deafFor !== undefined && view?.status !== "left";
  const tunnel = peer === undefined ? undefined : tunnels.peer(peer);
  const traffic = peer === undefined ? undefined : tunnels.facts(peer, facts);
  const state = isDeaf ? "dead" : view?.status ?? "dead";
  const hasSession = (tunnel?.sessionUntil ?? 0) > now.boot;
  const isSilent = hasSession && isUnanswered(now, traffic);
  const endpoint = hasSession ? tunnel?.endpoint : observed?.endpoint ?? record.endpoints[0];
  const isHeard = state === "alive" && (view?.heardAt ?? -Infinity) > -Infinity;
  const ip4 = mesh.roster.ip4Text(id);
  const rtt = view && view.rtt > 0 ? view.rtt : member.rtt; // Smoothed, where it is probed.
  const why = () => {
    if (isDeaf) return "nothing comes from any member";
    if (isSilent && state === "alive") return SILENT;
    // It has sent since it was found silent: what it should answer does not reach it.
    const isHeardSince = observed !== undefined && now.boot - observed.at < HEARD_LATELY &&
      observed.at > (view?.since ?? Infinity);
    if (isHeardSince && (state === "suspect" || state === "dead")) return HEARS_NOTHING;
    return reasonOf(state, endpoint !== undefined, isHeard || hasSession, isAnybody);
  };
  return {
    name: mesh.roster.nameOf(id),
    key: id,
    ip4: ip4 ?? "",
    ip6: mesh.roster.hasLostIp6(id) ? "" : formatAddress(member.ip6),
    state,
    path: (hasSession || isHeard) && !isSilent ? "direct" : "none",
    endpoint: endpoint ? formatEndpoint(endpoint) : "",
    rtt_ms: rtt === undefined ? null : Math.round(rtt * 1000) / 1000,
    tx_bytes: traffic?.txBytes ?? 0,
    rx_bytes: traffic?.rxBytes ?? 0,
    handshake_age_s: tunnel && hasSession ? seconds(now.boot - tunnel.lastHandshakeBoot) : null,
    suite: (hasSession && tunnel?.suite) || "",
    lanes: lanesOf(now, tunnel),
    lanes_max: Math.min(mesh.record.capabilities.lanes, record.capabilities.lanes),
    reason: why(),
    groups: membership.groups,
    admin: membership.standing === "admin",
    standing: membership.standing,
    mesh_key: holders.has(id),
    relay: membership.relay && record.capabilities.relay,
    since_s: seconds(isDeaf ? deafFor : sinceWhen(now, member, view)),
    expires: endOf(membership),
    version: record.version,
  };
}

/** How many of its sessions, its own and those of its lanes, may send now. */
function lanesOf(now: Now, tunnel: PeerView | undefined): number {
  const { sessionUntil = 0, lanesUntil = [] } = tunnel ?? {};
  return sessionUntil > now.boot ? 1 + lanesUntil.filter((until) => until > now.boot).length : 0;
}

/** Milliseconds by which a member was seen alive later than a review that has not come yet would say. */
const REVIEWED_WITHIN = 60_000;

/** For how many ms it has been so. Who was gone as we started has been gone since somebody last saw it. */
function sinceWhen(now: Now, { aliveAt }: Member, view: MemberView | undefined): number {
  const here = now.boot - (view?.since ?? now.boot);
  if (view?.status !== "dead" && view?.status !== "left") return here;
  const seen = 1_000 * (secondsOf(now) - aliveAt);
  return seen > here + REVIEWED_WITHIN ? seen : here;
}

/** Who gets data answers within 10 s, with an empty packet at the latest (R57). */
function isUnanswered(now: Now, traffic: PeerFacts | undefined): boolean {
  const { firstUnansweredData: since } = traffic ?? NO_FACTS;
  return since > 0 && now.boot - since > KEEPALIVE_TIMEOUT + ROUND_TRIP_MAX;
}

function endOf(membership: Membership | undefined): string {
  return membership === undefined ? "" : rfc3339(membership.until);
}

/** Who had a certificate, or an office, that does not count any more: a person has to settle each. */
function voidMembers(mesh: Mesh): VoidStatus[] {
  const listed = new Map<string, VoidStatus>();
  for (const statement of mesh.statements.void()) {
    if (statement.kind === "removed") continue;
    const { key, name } = statement.certificate;
    if (mesh.statements.isSettled(key) || listed.has(key)) continue;
    const by = mesh.statements.certificate(statement.signer)?.certificate.name ?? "";
    listed.set(key, { name, key, by: by || statement.signer.slice(0, 16) });
    if (listed.size >= VOID_LISTED) break;
  }
  return [...listed.values()];
}

function reasonOf(
  state: PeerStatus["state"],
  hasEndpoint: boolean,
  isDirect: boolean,
  isAnybodyHeard: boolean,
): string {
  if (state === "left") return "it said good-bye";
  if (state === "suspect") return "it does not answer: others are asked whether they hear it";
  if (state === "dead") return "it does not answer, and nobody else hears of it";
  if (isDirect) return "";
  if (!hasEndpoint) return "it names no address that can be reached";
  // What the last run knew of it says no more than that it was there then.
  const soFar = "nothing has come from it to us yet";
  return isAnybodyHeard ? `${soFar}: others hear it` : `${soFar}, nor from any member`;
}

function seconds(ms: number): number {
  return Math.max(0, Math.round(ms / 1000));
}
