/** What a person is told about guests. */
import { formatAddress, formatEndpoint } from "../endpoint.ts";
import type { Now } from "../machine.ts";
import { GUEST_SILENT_AFTER } from "../guest_tunnels.ts";
import type { Guest } from "../membership/guests.ts";
import { rfc3339 } from "../membership/judge.ts";
import type { Mesh } from "../membership/mesh.ts";
import type { GuestStatus } from "../status.ts";
import { NO_FACTS } from "../tunnel/types.ts";
import type { ReportSources } from "./health.ts";

export function guestStatuses(now: Now, sources: ReportSources, mesh: Mesh): GuestStatus[] {
  const all = Array.from(mesh.guests.guests.all(), (guest) => status(now, sources, mesh, guest));
  return all.sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : a.key < b.key ? -1 : 1);
}

function status(
  now: Now,
  { tunnels, facts }: ReportSources,
  mesh: Mesh,
  guest: Guest,
): GuestStatus {
  const { guests } = mesh.guests;
  const ip4 = guests.ip4(guest);
  const isOurs = guest.host === mesh.id;
  const peer = mesh.guests.peerOf(guest.key);
  const tunnel = peer === undefined ? undefined : tunnels.peer(peer);
  const { txBytes, rxBytes } = (peer === undefined ? undefined : facts(peer)) ?? NO_FACTS;
  const heardAt = mesh.guests.heardAt(guest.key);
  const heard = heardAt === undefined ? null : Math.max(0, now.boot - heardAt);
  const hasSession = (tunnel?.sessionUntil ?? 0) > now.boot;
  const isHeard = heard !== null && heard <= GUEST_SILENT_AFTER;
  return {
    name: guests.nameOf(guest),
    key: Uint8Array.fromHex(guest.key).toBase64(),
    ip4: ip4 ? formatAddress(ip4) : "",
    ip6: formatAddress(guest.ip6),
    host: isOurs ? mesh.name : mesh.roster.nameOf(guest.host),
    host_key: guest.host,
    state: !isOurs ? stateOf(mesh, guest.host) : isHeard ? "active" : "silent",
    endpoint: tunnel?.endpoint ? formatEndpoint(tunnel.endpoint) : "",
    tx_bytes: txBytes,
    rx_bytes: rxBytes,
    heard_s: heard === null ? null : Math.round(heard / 1000),
    handshake_age_s: tunnel && hasSession
      ? Math.max(0, Math.round((now.boot - tunnel.lastHandshakeBoot) / 1000))
      : null,
    groups: guest.certificate.groups,
    expires: rfc3339(guest.until),
  };
}

/** Only its host knows whether a guest is there. */
function stateOf(mesh: Mesh, host: string): GuestStatus["state"] {
  const status = mesh.swim.member(host)?.status;
  return status === "alive" || status === "suspect" ? "elsewhere" : "offline";
}
