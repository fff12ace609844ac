/**
 * core/shoal.h as a table: the one place on this side that knows its constants, layouts and calls.
 * `header_test.ts` compares every line of it with what the C compiler makes of the header.
 */
import { bytes, i32, struct, u16, u32, u64 } from "./layout.ts";

/** Raised with SHOAL_ABI_VERSION; a library of another version is refused. */
export const ABI_VERSION = 8;

export const Status = {
  OK: 0,
  E_INVALID: 1,
  E_SIZE: 2,
  E_STALE: 3,
  E_FULL: 4,
  E_MEMORY: 5,
  E_EXISTS: 6,
  E_SYSTEM: 7,
  E_STATE: 8,
  E_UNKNOWN: 9,
  E_NO_ROUTE: 10,
} as const;

export type StatusName = keyof typeof Status;

export const Family = { NONE: 0, INET: 4, INET6: 6 } as const;
export const Offload = {
  TUN_TSO: 1,
  TUN_USO: 2,
  UDP_GSO: 4,
  UDP_GRO: 8,
  QUEUE_CONTROL: 16,
  CONNECTED: 32,
  LANES: 64,
} as const;
export const DeviceFlag = { NO_TUN: 1, TUN_FD: 2, TUN_FD_VNET: 4, WIREGUARD_ONLY: 8 } as const;
export const EdgeBit = { SESSION_NEEDED: 1, UNANSWERED_DATA: 2, UNSENT_REPLY: 4 } as const;
export const KeepaliveFlag = { UNLESS_SENT: 1 } as const;
export const Suite = { CHACHA20_POLY1305: 0, AES_256_GCM: 1 } as const;
export const Role = { INITIATOR: 1, RESPONDER: 2 } as const;
export const MailKind = {
  DATAGRAM: 1,
  SESSION_NEEDED: 2,
  UNANSWERED_DATA: 3,
  UNSENT_REPLY: 4,
  SESSION_CONFIRMED: 5,
  REKEY_DUE: 6,
  ENDPOINT_MOVED: 7,
  LINK: 8,
  OFFLOAD_DEMOTED: 9,
  WORKER_FAILED: 10,
  ROUTES: 11,
  STRAY: 12,
  LOOP: 13,
  REFUSED: 14,
  IO_REFUSED: 15,
} as const;
export const RekeyWhy = { AGE: 1, RECEIVE: 2, MESSAGES: 3 } as const;
export const LinkNews = { UP: 1, DOWN: 2, MTU: 3, GONE: 4 } as const;

export const Limit = {
  OFFLOAD_ALL: 127,
  IFNAME_SIZE: 16,
  NAME_SIZE: 32,
  WORDS_SIZE: 192,
  MTU_MIN: 576,
  MTU_MAX: 65475,
  WORKERS_MAX: 64,
  LANES_MAX: 4,
  GUARDED_MAX: 2,
  EDGE_ALL: 7,
  DATAGRAM_MAX: 1500,
} as const;

/** Smallest buffer that shoal_mailbox_drain takes. */
export const DRAIN_MIN = 2048;

export const ErrorStruct = struct({ status: i32, sys_errno: i32, what: bytes(56) });

export const AddressStruct = struct({ family: u16, port: u16, scope: u32, ip: bytes(16) });

export const EndpointStruct = struct({
  remote: AddressStruct,
  local: AddressStruct,
  ifindex: u32,
  reserved: u32,
});

export const PrefixStruct = struct({ family: u16, length: u16, ip: bytes(16) });

export const DeviceConfigStruct = struct({
  abi_version: u32,
  flags: u32,
  ifname: bytes(Limit.IFNAME_SIZE),
  tun_fd: i32,
  mtu: u32,
  workers: u32,
  offloads_off: u32,
  peers_max: u32,
  routes_max: u32,
  staged_bytes_max: u32,
  receive_buffer: u32,
  aead: bytes(Limit.NAME_SIZE),
  io: bytes(Limit.NAME_SIZE),
  seed: bytes(32),
});

export const DeviceInfoStruct = struct({
  ifname: bytes(Limit.IFNAME_SIZE),
  aead: bytes(Limit.WORDS_SIZE),
  aead_gcm: bytes(Limit.WORDS_SIZE),
  io: bytes(Limit.NAME_SIZE),
  doorbell_fd: i32,
  ifindex: u32,
  mtu: u32,
  workers: u32,
  queues: u32,
  steered: u32,
  steer_error: i32,
  offloads_available: u32,
  offloads_on: u32,
  port: u32,
  fwmark: u32,
  families: u32,
  link_up: u32,
  connected: u32,
  connected_max: u32,
  connected_error: i32,
  io_error: i32,
});

export const SessionStruct = struct({
  role: u32,
  local_index: u32,
  remote_index: u32,
  suite: u32,
  birth: u64,
  rekey_after_time: u64,
  rekey_on_receive: u64,
  rekey_after_messages: u64,
  send_key: bytes(32),
  receive_key: bytes(32),
});

export const PeerFactsStruct = struct({
  tx_bytes: u64,
  rx_bytes: u64,
  tx_packets: u64,
  rx_packets: u64,
  last_authenticated_receive: u64,
  last_data_receive: u64,
  last_authenticated_send: u64,
  last_data_send: u64,
  first_unanswered_data: u64,
  first_unsent_reply: u64,
  dropped: u64,
  staged: u32,
  sessions: u32,
  endpoint: EndpointStruct,
});

export const MailStruct = struct({
  size: u32,
  kind: u16,
  length: u16,
  tag: u32,
  index: u32,
  value: u32,
  reserved: u32,
  time: u64,
  endpoint: EndpointStruct,
});

/** Every call of the header. A pointer to memory of ours is a "buffer"; handles are u64. */
export const symbols = {
  shoal_abi_version: { parameters: [], result: "u32" },
  shoal_device_open: { parameters: ["buffer", "u32", "buffer", "buffer", "u32"], result: "i32" },
  shoal_device_close: { parameters: ["u64"], result: "i32" },
  shoal_device_info: { parameters: ["u64", "buffer", "u32"], result: "i32" },
  shoal_device_set_identity: { parameters: ["u64", "buffer", "u32"], result: "i32" },
  shoal_device_bind: {
    parameters: ["u64", "u16", "u32", "buffer", "buffer", "u32"],
    result: "i32",
  },
  shoal_device_unbind: { parameters: ["u64"], result: "i32" },
  shoal_device_set_fwmark: { parameters: ["u64", "u32"], result: "i32" },
  shoal_device_set_offloads: { parameters: ["u64", "u32", "u32"], result: "i32" },
  shoal_device_set_inner: { parameters: ["u64", "buffer", "u32"], result: "i32" },
  shoal_offload_name: { parameters: ["u32"], result: "pointer" },
  shoal_aead_name: { parameters: ["u32"], result: "pointer" },
  shoal_link_set: { parameters: ["u64", "u32", "u32", "buffer", "u32"], result: "i32" },
  shoal_link_address: {
    parameters: ["u64", "buffer", "u32", "u32", "buffer", "u32"],
    result: "i32",
  },
  shoal_link_route: { parameters: ["u64", "buffer", "u32", "buffer", "u32"], result: "i32" },
  shoal_link_way: {
    parameters: ["u64", "buffer", "u32", "buffer", "u32", "buffer", "u32"],
    result: "i32",
  },
  shoal_link_around: {
    parameters: ["u64", "buffer", "u32", "buffer", "u32", "buffer", "buffer", "u32"],
    result: "i32",
  },
  shoal_link_guard: {
    parameters: ["u64", "buffer", "u32", "u32", "buffer", "u32"],
    result: "i32",
  },
  shoal_peer_add: { parameters: ["u64", "u32", "buffer"], result: "i32" },
  shoal_peer_remove: { parameters: ["u64", "u64"], result: "i32" },
  shoal_peer_set_endpoint: { parameters: ["u64", "u64", "buffer", "u32"], result: "i32" },
  shoal_peer_clear_source: { parameters: ["u64", "u64"], result: "i32" },
  shoal_peer_arm: { parameters: ["u64", "u64", "u32"], result: "i32" },
  shoal_peer_keepalive: { parameters: ["u64", "u64", "u32"], result: "i32" },
  shoal_peer_set_offline: { parameters: ["u64", "u64", "u32"], result: "i32" },
  shoal_peer_set_guest: { parameters: ["u64", "u64", "u32"], result: "i32" },
  shoal_peer_set_staying: { parameters: ["u64", "u64", "u32"], result: "i32" },
  shoal_peer_add_lane: { parameters: ["u64", "u64", "u32", "buffer"], result: "i32" },
  shoal_peer_spread: { parameters: ["u64", "u64", "u32"], result: "i32" },
  shoal_peer_drop_staged: { parameters: ["u64", "u64"], result: "i32" },
  shoal_peer_clear_sessions: { parameters: ["u64", "u64"], result: "i32" },
  shoal_session_install: { parameters: ["u64", "u64", "buffer", "u32"], result: "i32" },
  shoal_route_add: { parameters: ["u64", "u64", "buffer", "u32"], result: "i32" },
  shoal_route_remove: { parameters: ["u64", "u64", "buffer", "u32"], result: "i32" },
  shoal_peer_facts: { parameters: ["u64", "u64", "buffer", "u32"], result: "i32" },
  shoal_device_counters: { parameters: ["u64", "buffer", "u32", "buffer"], result: "i32" },
  shoal_counter_name: { parameters: ["u32"], result: "pointer" },
  shoal_mailbox_drain: { parameters: ["u64", "buffer", "u32", "buffer"], result: "i32" },
  shoal_datagram_send: {
    parameters: ["u64", "buffer", "u32", "u32", "buffer", "u32"],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;
