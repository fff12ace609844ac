/** What the counters of `status` are called for a person; `--json` keeps the names, for scripts. */

/** Why core did not deliver a packet: its `drop_` counters (core/stats.h, which says more about each). */
const DROPS: Readonly<Record<string, string>> = {
  tx_malformed: "sent as no IP packet",
  tx_offload: "sent with a contradictory offload header",
  tx_segments: "sent in a super-packet of more than 512",
  tx_source: "packets of others, which this machine forwarded into the mesh",
  tx_loop: "datagrams of this node itself, which a route led into the tunnel",
  tx_offline: "to a peer that is offline",
  tx_no_route: "to an address that nobody has",
  tx_no_endpoint: "to a peer without a known place",
  tx_no_socket: "to a place of an address family without a socket",
  tx_staging_peer: "oldest of too many that waited for one peer's handshake",
  tx_staging_total: "oldest of too many that waited for handshakes",
  tx_staging_discarded: "waited for a handshake that did not come",
  tx_memory: "no memory to wait for a handshake",
  tx_standing: "of a stream that kept others waiting, so that it slows down",
  tx_seal: "could not be encrypted",
  tx_too_big: "larger than a datagram can be",
  tx_buffer: "the socket's send buffer was full",
  tx_unreachable: "the network had no way to the peer",
  tx_denied: "a filter of this machine forbade it",
  tx_error: "the socket refused it",
  guard: "sent past the tunnel in a member's name",
  rx_queue: "the socket's receive buffer was full",
  rx_standing: "of a stream that filled the socket, so that it slows down",
  rx_truncated: "received cut off",
  rx_unanswerable: "from a place that cannot be answered",
  rx_inside: "from inside the mesh, where no member's place is",
  rx_short: "too short for a message",
  rx_oversized: "too long for a message",
  rx_unknown_type: "of an unknown type",
  rx_mailbox: "control messages beyond what could wait",
  rx_mailbox_share: "control messages beyond one source's share",
  rx_index: "of a session that is not known",
  rx_expired: "of a session that is too old",
  rx_counter_limit: "of a session that is used up",
  rx_replay: "received before, or too late",
  rx_authentication: "not encrypted by the peer",
  rx_malformed: "no IP packet inside",
  rx_source: "from an address that is not the peer's",
  rx_destination: "for an address that is neither ours nor a guest's",
  rx_ecn: "a congestion mark on what cannot carry one",
  rx_no_tun: "no interface to deliver to",
  rx_link_down: "the interface was down",
  rx_tun: "the interface refused it",
  handoff_full: "for another worker, which could not keep up",
  handoff_gone: "for a peer that was removed meanwhile",
  forward_hops: "a guest's, or for one, whose hop limit ran out",
  forward_too_big: "a guest's, or for one, larger than the MTU",
  forward_back: "a guest's for its own address",
  forward_no_route: "a guest's for an address that nobody has",
  forward_buffer: "a guest's, or for one, while the socket's send buffer was full",
  handshake_length: "handshakes of a wrong length",
  handshake_type: "handshakes with reserved bits set",
  handshake_mac1: "handshakes for another key",
  handshake_cookie: "handshakes that had to prove their place first",
  handshake_rate: "handshakes beyond one source's rate",
  handshake_full: "handshakes beyond the table of sources",
};

/** What this program was asked for and did not do: `refused` of the status document. */
const REFUSALS: Readonly<Record<string, string>> = {
  core_commands: "commands that the core library refused",
  core_datagrams: "datagrams that the core library refused",
  caught_exceptions: "defects of this program that were caught (its log has them)",
  state_writes: "writes of the state that failed",
  own_addresses: "times this machine's addresses could not be read",
  seed_names: "times a seed's name had no address",
  names_strangers: "questions of names from outside the mesh",
  names_rate: "questions of names beyond one source's rate",
  names_nonsense: "questions of names that were none",
  names_connections: "connections for names beyond 4 of one source, or 32",
  names_unread: "clients that did not read the names that they asked for",
  names_faults: "questions of names that raised a defect of this program (its log has them)",
  control_clients: "clients of the control socket beyond 64",
  control_line: "request lines that were too long",
  control_unread: "clients that did not read their answers",
  control_idle: "clients that asked nothing for 30 s",
  control_silent: "silent clients that made room for others",
  control_socket: "times the control socket had to be opened anew",
};

export function dropWords(name: string): string {
  return wordsIn(DROPS, name);
}

export function refusalWords(name: string): string {
  return wordsIn(REFUSALS, name);
}

/** A newer node may count what this command does not know. */
function wordsIn(table: Readonly<Record<string, string>>, name: string): string {
  return Object.hasOwn(table, name) ? table[name] ?? name : name.replaceAll("_", " ");
}
