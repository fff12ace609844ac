/** The status document that scripts parse, and the same as a person reads it. */

import type { GuestStatus, NodeStatus, PeerStatus, SelfStatus } from "../mesh/status.ts";
import { having, isFlag, isNumber, isText, listOf, orNull, tableOf } from "./shape.ts";
import { dropWords, refusalWords } from "./counter_words.ts";
import { duration, size } from "./words.ts";
import { type Receiving, receivingText } from "./receiving.ts";
import { type Workers, workersText } from "./workers.ts";

/** Sizes in bytes, times in the unit of the name. Fields may be added, never renamed. */
export interface StatusDocument extends NodeStatus {
  readonly self: SelfStatus & { readonly interface: string };
  readonly dataplane: DataplaneStatus;
  readonly names: NamesStatus;
  /** What this program was asked for and did not do, since its start, by what it was. */
  readonly refused: Readonly<Record<string, number>>;
}

/** The names of members, as DNS knows them. */
export interface NamesStatus {
  /** Not without an interface, or with --no-dns. */
  readonly enabled: boolean;
  /** Addresses at which they are answered now, port 53. */
  readonly servers: readonly string[];
  /** Questions, since the start. */
  readonly answered: number;
}

export interface DataplaneStatus extends Workers, Receiving {
  /** What computes ChaCha20-Poly1305. */
  readonly aead: string;
  /** What computes AES-256-GCM; "" where that is not spoken. */
  readonly aead_gcm: string;
  readonly offloads: Readonly<Record<string, boolean>>;
  /** Sockets of busy peers that are open now, and as many there may be. */
  readonly connected: number;
  readonly connected_max: number;
  /** The kernel's name for why the last one could not be made; "" where none was refused. */
  readonly connected_error: string;
  readonly drops: Readonly<Record<string, number>>;
}

const MESH_STATE: Readonly<Record<NodeStatus["mesh"]["state"], string>> = {
  member: "",
  joining: "; joining",
  pending: "; waits to be approved",
  left: "; stopping",
};

/** Whether it has what `peersText` reads. */
export const isPeer = having({
  name: isText,
  ip4: isText,
  state: isText,
  path: isText,
  endpoint: isText,
  rtt_ms: orNull(isNumber),
  tx_bytes: isNumber,
  rx_bytes: isNumber,
  handshake_age_s: orNull(isNumber),
  suite: isText,
  lanes: isNumber,
  reason: isText,
  groups: listOf(isText),
  admin: isFlag,
  standing: isText,
  mesh_key: isFlag,
  since_s: isNumber,
});

/** Whether it has what `guestsText` reads. */
export const isGuest = having({
  name: isText,
  key: isText,
  ip4: isText,
  host: isText,
  state: isText,
  endpoint: isText,
  tx_bytes: isNumber,
  rx_bytes: isNumber,
  heard_s: orNull(isNumber),
  groups: listOf(isText),
  expires: isText,
});

/** Whether it has what `statusText` reads. */
export const isStatus = having({
  self: having({
    name: isText,
    ip4: isText,
    port: isNumber,
    groups: listOf(isText),
    admin: isFlag,
    standing: isText,
    mesh_key: isFlag,
    interface: isText,
  }),
  mesh: having({
    id: isText,
    name: isText,
    pool: isText,
    door_open_s: isNumber,
    state: (value) => typeof value === "string" && Object.hasOwn(MESH_STATE, value),
  }),
  peers: listOf(isPeer),
  guests: listOf(isGuest),
  requests: listOf(having({ name: isText, key: isText, endpoint: isText, age_s: isNumber })),
  trusted: listOf(having({ name: isText, key: isText })),
  void: listOf(having({ name: isText, key: isText, by: isText })),
  health: listOf(isText),
  dataplane: having({
    aead: isText,
    aead_gcm: isText,
    io: isText,
    io_error: isText,
    workers: isNumber,
    lanes: isNumber,
    queues: isNumber,
    steered: isFlag,
    steer_error: isText,
    steer_refused: isNumber,
    offloads: tableOf(isFlag),
    connected: isNumber,
    connected_max: isNumber,
    connected_error: isText,
    drops: tableOf(isNumber),
  }),
  refused: tableOf(isNumber),
});

/** The whole page: this node, its peers in aligned columns, health, the data plane. */
export function statusText(status: StatusDocument, color: boolean): string {
  const { self, dataplane } = status;
  const offloads = Object.entries(dataplane.offloads);
  const on = offloads.filter(([, is]) => is).map(([name]) => name);
  const off = offloads.filter(([, is]) => !is).map(([name]) => name);
  const where = self.interface === "" ? "no interface" : self.interface;
  const lines = [
    table([
      HEADER,
      [
        self.ip4 || "-",
        self.name,
        self.groups.join(",") || "-",
        `this node; ${where}, UDP port ${self.port}${mark(self)}${MESH_STATE[status.mesh.state]}`,
      ],
      ...status.peers.map(row),
      ...status.guests.map(guestRow),
    ]),
    "",
    ...status.requests.map(({ name, key, endpoint, age_s }) =>
      `asks to join: ${name} from ${endpoint}, ${duration(age_s)} ago: ` +
      `\`shoal approve --name ${name} ${key}\` admits it${self.admin ? "" : " on an admin node"}`
    ),
    ...status.trusted.map(({ name, key }) => `trusted here, not met yet: ${name} ${key}`),
    ...status.void.map(({ name, key, by }) =>
      `no member any more, since ${by} lost its office: ${name} ${key}`
    ),
    ...(status.mesh.door_open_s > 0
      ? [
        `the door is open for ${
          duration(status.mesh.door_open_s)
        }: who asks without a token is heard`,
      ]
      : []),
    ...status.health.map((line) => `health: ${color ? `\x1b[33m${line}\x1b[0m` : line}`),
    ...meshLine(status.mesh),
    `data plane: ChaCha20-Poly1305 by ${dataplane.aead}; ` +
    (dataplane.aead_gcm === "" ? "" : `AES-256-GCM by ${dataplane.aead_gcm}; `) +
    `${receivingText(dataplane)}, ${workersText(dataplane)}, ` +
    `on: ${on.join(" ") || "nothing"}` + (off.length > 0 ? `; off: ${off.join(" ")}` : ""),
    ...connectedLine(dataplane),
    ...countsLine("packets dropped", dataplane.drops, dropWords),
    ...countsLine("not done", status.refused, refusalWords),
  ];
  return lines.join("\n");
}

/** `mesh: home, 845e2c6c751c3a28, addresses from 100.64.0.0/10`; no line while the node belongs to none. */
function meshLine({ id, name, pool }: NodeStatus["mesh"]): string[] {
  return id === "" ? [] : [`mesh: ${name}, ${shortMeshId(id)}, addresses from ${pool}`];
}

/** As a person compares it: the first 16 of 64 digits. */
export function shortMeshId(id: string): string {
  return id.slice(0, 16);
}

/** `connected sockets: 3 of 64`; no line where they are switched off, or no peer was ever busy. */
function connectedLine(dataplane: DataplaneStatus): string[] {
  const { connected, connected_max: most, connected_error: error } = dataplane;
  if (!dataplane.offloads["connected-sockets"] || (connected === 0 && error === "")) return [];
  const refused = error === "" ? "" : `; the last one could not be made (${error})`;
  return [`connected sockets of busy peers: ${connected} of ${most}${refused}`];
}

/** Those that are above 0, in words; no line when none is. */
function countsLine(
  title: string,
  counts: Readonly<Record<string, number>>,
  wordsOf: (name: string) => string,
): string[] {
  const some = Object.entries(counts).filter(([, count]) => count > 0);
  if (some.length === 0) return [];
  return [`${title}: ${some.map(([name, count]) => `${wordsOf(name)} (${count})`).join("; ")}`];
}

/** What stands over the columns of peers. */
const HEADER = ["ADDRESS", "NAME", "GROUPS", "STATE"];

/** The peers and guests alone, in the same columns. */
export function peersText(
  peers: readonly PeerStatus[],
  guests: readonly GuestStatus[] = [],
): string {
  const rows = [...peers.map(row), ...guests.map(guestRow)];
  return rows.length === 0 ? "no peers yet" : table([HEADER, ...rows]);
}

/** The guests alone. */
export function guestsText(guests: readonly GuestStatus[]): string {
  return guests.length === 0 ? "no guests" : table([HEADER, ...guests.map(guestRow)]);
}

function guestRow(guest: GuestStatus): string[] {
  const groups = guest.groups.join(",") || "-";
  return [guest.ip4 || "-", guest.name, groups, `guest of ${guest.host}${guestState(guest)}`];
}

/** `; active 198.51.100.7:4444, tx 1.2M rx 80K`, `; silent 5m`; at other members than its host little is known. */
function guestState(guest: GuestStatus): string {
  const { heard_s, endpoint, tx_bytes, rx_bytes } = guest;
  switch (guest.state) {
    case "active":
      return `; active ${endpoint}, tx ${size(tx_bytes)} rx ${size(rx_bytes)}`;
    case "silent":
      return heard_s === null
        ? "; not heard since this node was started"
        : `; silent ${duration(heard_s)}`;
    case "offline":
      return ", which is offline";
    case "elsewhere":
      return "";
  }
}

function row(peer: PeerStatus): string[] {
  return [peer.ip4 || "-", peer.name, peer.groups.join(",") || "-", stateText(peer) + mark(peer)];
}

/** Who may invite, approve and revoke, and where the mesh key is: that is where a person has to go. */
function mark(node: Pick<SelfStatus, "admin" | "mesh_key" | "standing">): string {
  const standing = node.standing === "provisional" || node.standing === "individual"
    ? `; ${STANDING[node.standing]}`
    : "";
  return `${node.admin ? "; admin" : ""}${node.mesh_key ? "; mesh key" : ""}${standing}`;
}

const STANDING = { provisional: "provisional", individual: "trusted here alone" } as const;

/**
 * `active; direct 203.0.113.9:51820, 1.2 ms, tx 1.2G rx 800M` | `idle` | `offline 5m`, and `waiting`
 * where a tunnel gets no answers. Who said good-bye is `stopped`: the word "left" is for a membership that ended.
 */
export function stateText(peer: PeerStatus): string {
  const why = peer.reason === "" ? "" : ` (${peer.reason})`;
  switch (peer.state) {
    case "left":
      return `stopped ${duration(peer.since_s)}${why}`;
    case "dead":
      return `offline ${duration(peer.since_s)}${why}`;
    case "suspect":
      return `suspect ${duration(peer.since_s)}${why}`;
    case "alive":
      break;
  }
  const rtt = peer.rtt_ms === null ? "" : `, ${peer.rtt_ms.toFixed(1)} ms`;
  const place = peer.endpoint === "" ? "" : ` ${peer.endpoint}`;
  if (peer.handshake_age_s === null) return `idle; ${peer.path}${place}${rtt}${why}`;
  return `${peer.path === "none" ? "waiting" : "active"}; ${peer.path}${place}${rtt}, ` +
    `tx ${size(peer.tx_bytes)} rx ${size(peer.rx_bytes)}` +
    `${peer.suite === "aes-256-gcm" ? ", AES-256-GCM" : ""}` +
    `${peer.lanes > 1 ? `, ${peer.lanes} lanes` : ""}${why}`;
}

/** Columns wide enough for their longest cell; the last is not padded. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map((cells) => cells[i]?.length ?? 0)));
  return rows.map((cells) =>
    cells.map((cell, i) => i === cells.length - 1 ? cell : cell.padEnd(widths?.[i] ?? 0)).join("  ")
  ).join("\n");
}
