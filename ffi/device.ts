/**
 * One device of core: its TUN, its UDP port, its peers and their sessions, as typed methods. Every
 * method but `send` throws a {@link CoreError} when core refuses, and then nothing has changed. Peers are named
 * by handles (bigint); a handle that is gone gives `E_STALE` for ever.
 */
import type { Endpoint, Source } from "../mesh/endpoint.ts";
import type { Datagram, EdgeName, PeerId, Prefix, Session } from "../mesh/machine.ts";
import type { PeerFacts } from "../mesh/tunnel/types.ts";
import type { Core } from "./core.ts";
import { CoreError } from "./core_error.ts";
import { errnoName } from "./errno.ts";
import {
  ABI_VERSION,
  DeviceConfigStruct,
  DeviceFlag,
  DeviceInfoStruct,
  DRAIN_MIN,
  EdgeBit,
  EndpointStruct,
  ErrorStruct,
  KeepaliveFlag,
  PeerFactsStruct,
  PrefixStruct,
  SessionStruct,
  Status,
} from "./header.ts";
import { type Mail, readMails } from "./mail.ts";
import {
  isWritable,
  type Memory,
  memory,
  readFacts,
  readText,
  readU64,
  writeEndpoint,
  writePrefix,
  writeSession,
  writeText,
} from "./structs.ts";

export interface DeviceOptions {
  /** Where packets come from: a TUN to make by name, a descriptor to adopt, or none. */
  readonly tun:
    | { readonly kind: "create"; readonly name: string }
    /** core owns the descriptor once the device is open. */
    | { readonly kind: "adopt"; readonly fd: number }
    /** A test's socketpair that carries a virtio_net_hdr before each packet. */
    | { readonly kind: "socketpair"; readonly fd: number }
    | { readonly kind: "none" };
  /** Datagrams of unknown type are dropped by core instead of being mailed. */
  readonly isWireGuardOnly: boolean;
  /** 32 random bytes: keys of core's hash tables. */
  readonly seed: Uint8Array;
  /** Inner MTU in bytes; 1420 when absent. */
  readonly mtu?: number;
  readonly workers?: number;
  /** Offload names that must stay off. */
  readonly without?: readonly string[];
  /** AEAD back-end by name; calibrated when absent. */
  readonly aead?: string;
  /** IO back-end by name. */
  readonly io?: string;
  readonly peersMax?: number;
  /** SO_RCVBUF of a UDP socket in bytes. */
  readonly receiveBuffer?: number;
}

export interface DeviceInfo {
  /** As the kernel named it; "" without TUN. */
  readonly ifname: string;
  /** What seals and opens ChaCha20-Poly1305, in words: by size of packet where that differs. */
  readonly aead: string;
  /** The same of AES-256-GCM; "" where the CPU has no instructions for it. */
  readonly aeadGcm: string;
  /** By what is received now: "poll" or "uring". */
  readonly io: string;
  /** Why "uring" was asked for and is not used; "" where it is, or was not. */
  readonly ioError: string;
  /** Ours to read and to close. */
  readonly doorbellFd: number;
  readonly ifindex: number;
  readonly mtu: number;
  readonly workers: number;
  /** Of the TUN; 1 with several workers: worker 0 reads it for all. */
  readonly queues: number;
  /** The kernel knows whose queue a packet is for. */
  readonly isSteered: boolean;
  /** The kernel's name for why not, such as `EPERM`; "": it does, or has nothing to know. */
  readonly steerError: string;
  /** Every offload that the kernel granted, and whether it is on now. */
  readonly offloads: Readonly<Record<string, boolean>>;
  /** 0: not bound. */
  readonly port: number;
  readonly fwmark: number;
  readonly isLinkUp: boolean;
  /** Sockets of busy peers that are open now, and as many there may be. */
  readonly connected: number;
  readonly connectedMax: number;
  /** The kernel's name for why the last of them could not be made; "": none was refused. */
  readonly connectedError: string;
}

export type PeerHandle = bigint;

const MAILBOX_BUFFER = 64 * 1024;
const COUNTERS_MAX = 256;

const edgeBits: Readonly<Record<EdgeName, number>> = {
  sessionNeeded: EdgeBit.SESSION_NEEDED,
  unansweredData: EdgeBit.UNANSWERED_DATA,
  unsentReply: EdgeBit.UNSENT_REPLY,
};

/** What became of a datagram. */
export type SendOutcome =
  | "sent"
  /** No route, no socket of that family, a full buffer, a firewall. */
  | "unsent"
  /** Nothing that could ever be sent: port 0, no address, too many bytes or none. */
  | "refused";

const unsent: ReadonlySet<number> = new Set([Status.E_NO_ROUTE, Status.E_STATE, Status.E_SYSTEM]);

export class Device {
  /** Reused by every call: core copies what it is given, we copy what it gives. */
  readonly #error = memory(ErrorStruct.size);
  readonly #endpoint = memory(EndpointStruct.size);
  readonly #prefix = memory(PrefixStruct.size);
  readonly #session = memory(SessionStruct.size);
  readonly #facts = memory(PeerFactsStruct.size);
  readonly #info = memory(DeviceInfoStruct.size);
  readonly #box = memory(Math.max(MAILBOX_BUFFER, DRAIN_MIN));
  readonly #counters = memory(8 * COUNTERS_MAX);
  readonly #result = memory(8);

  private constructor(private readonly core: Core, private readonly handle: bigint) {}

  /**
   * Creates or adopts the interface and starts the workers; no UDP socket is open yet.
   * @throws {CoreError} `E_EXISTS` for an interface name in use, `E_UNKNOWN` for a name that this
   * build lacks, `E_SYSTEM` for what the kernel refused.
   */
  static open(core: Core, options: DeviceOptions): Device {
    const config = deviceConfig(core, options);
    const handle = memory(8);
    const error = memory(ErrorStruct.size);
    const status = core.calls.shoal_device_open(
      config.bytes,
      config.bytes.length,
      handle.bytes,
      error.bytes,
      error.bytes.length,
    );
    if (status !== Status.OK) throw detailed("device_open", status, error);
    return new Device(core, handle.view.getBigUint64(0, true));
  }

  /** Joins the workers, wipes every key, closes everything but the doorbell. */
  close(): void {
    ensure("device_close", this.core.calls.shoal_device_close(this.handle));
  }

  info(): DeviceInfo {
    const info = this.#info;
    const { offset, fields, size } = DeviceInfoStruct;
    ensure("device_info", this.core.calls.shoal_device_info(this.handle, info.bytes, size));
    const u32 = (name: keyof typeof offset) => info.view.getUint32(offset[name], true);
    const text = (name: "ifname" | "aead" | "aead_gcm" | "io") =>
      readText(info, offset[name], fields[name].size);
    const error = (name: "steer_error" | "connected_error" | "io_error") => {
      const errno = info.view.getInt32(offset[name], true);
      return errno === 0 ? "" : errnoName(errno);
    };
    const offloads: Record<string, boolean> = {};
    for (const [bit, name] of this.core.offloads) {
      if (u32("offloads_available") & bit) offloads[name] = (u32("offloads_on") & bit) !== 0;
    }
    return {
      ifname: text("ifname"),
      aead: text("aead"),
      aeadGcm: text("aead_gcm"),
      io: text("io"),
      ioError: error("io_error"),
      doorbellFd: info.view.getInt32(offset.doorbell_fd, true),
      ifindex: u32("ifindex"),
      mtu: u32("mtu"),
      workers: u32("workers"),
      queues: u32("queues"),
      isSteered: u32("steered") !== 0,
      steerError: error("steer_error"),
      offloads,
      port: u32("port"),
      fwmark: u32("fwmark"),
      isLinkUp: u32("link_up") !== 0,
      connected: u32("connected"),
      connectedMax: u32("connected_max"),
      connectedError: error("connected_error"),
    };
  }

  /** Our static public key: the gate checks MAC1 with it (R28). Undefined: nobody passes. */
  setIdentity(publicKey: Uint8Array | undefined): void {
    const key = Uint8Array.from(publicKey ?? new Uint8Array(32));
    const { shoal_device_set_identity } = this.core.calls;
    ensure("device_set_identity", shoal_device_set_identity(this.handle, key, key.length));
  }

  /**
   * Opens the UDP sockets; when bound already, moves them.
   * @param port 0: the kernel picks one
   * @returns the port
   */
  bind(port: number, fwmark: number): number {
    const bound = this.#result;
    this.#explain(
      "device_bind",
      this.core.calls.shoal_device_bind(
        this.handle,
        port,
        fwmark,
        bound.bytes,
        this.#error.bytes,
        ErrorStruct.size,
      ),
    );
    return bound.view.getUint16(0, true);
  }

  unbind(): void {
    ensure("device_unbind", this.core.calls.shoal_device_unbind(this.handle));
  }

  setFwmark(fwmark: number): void {
    const status = this.core.calls.shoal_device_set_fwmark(this.handle, fwmark);
    ensure("device_set_fwmark", status);
  }

  /** Switches offloads by name; on only where the kernel granted them. */
  setOffloads(names: readonly string[], isOn: boolean): void {
    const mask = offloadMask(this.core, names);
    const { shoal_device_set_offloads } = this.core.calls;
    ensure("device_set_offloads", shoal_device_set_offloads(this.handle, mask, isOn ? mask : 0));
  }

  /** Name of an offload bit, as it stands in a mail. */
  offloadName(bit: number): string {
    return this.core.offloads.get(bit) ?? `offload ${bit}`;
  }

  /** @param link what is absent stays as it is */
  setLink(link: { readonly mtu?: number; readonly isUp?: boolean }): void {
    const up = link.isUp === undefined ? 2 : link.isUp ? 1 : 0;
    const { shoal_link_set } = this.core.calls;
    const error = this.#error.bytes;
    this.#explain(
      "link_set",
      shoal_link_set(this.handle, link.mtu ?? 0, up, error, ErrorStruct.size),
    );
  }

  /** Our own inner address of one family, host bits included, with the length of the mesh's network. */
  setInner(address: Prefix): void {
    writePrefix(this.#prefix, address);
    const { bytes } = this.#prefix;
    const { shoal_device_set_inner } = this.core.calls;
    ensure("device_set_inner", shoal_device_set_inner(this.handle, bytes, bytes.length));
  }

  /** The address keeps its host bits; the length is that of the on-link prefix. */
  setLinkAddress(address: Prefix, isAdded: boolean): void {
    writePrefix(this.#prefix, address);
    const { bytes } = this.#prefix;
    const { shoal_link_address } = this.core.calls;
    const added = isAdded ? 1 : 0;
    const error = this.#error.bytes;
    this.#explain(
      "link_address",
      shoal_link_address(this.handle, bytes, bytes.length, added, error, error.length),
    );
  }

  /**
   * Puts back the route of an address of ours that somebody took away.
   * @returns whether it was missing
   */
  restoreLinkRoute(address: Prefix): boolean {
    writePrefix(this.#prefix, address);
    const { bytes } = this.#prefix;
    const { shoal_link_route } = this.core.calls;
    const error = this.#error.bytes;
    try {
      this.#explain(
        "link_route",
        shoal_link_route(this.handle, bytes, bytes.length, error, error.length),
      );
      return true;
    } catch (error) {
      if (error instanceof CoreError && error.errnoName === "EEXIST") return false;
      throw error;
    }
  }

  /**
   * The interface by which the kernel sends to an address now.
   * @throws {CoreError} ENETUNREACH: by none; EHOSTUNREACH, EACCES, EINVAL: a route refuses it
   */
  wayTo(address: Uint8Array): string {
    writePrefix(this.#prefix, { address, length: 8 * address.length });
    const { bytes } = this.#prefix;
    const name = memory(DeviceInfoStruct.fields.ifname.size);
    const error = this.#error.bytes;
    const { shoal_link_way } = this.core.calls;
    this.#explain(
      "link_way",
      shoal_link_way(
        this.handle,
        bytes,
        bytes.length,
        name.bytes,
        name.bytes.length,
        error,
        error.length,
      ),
    );
    return readText(name, 0, name.bytes.length);
  }

  /**
   * The interface that our own datagrams to an address of the mesh's network name, past our own; "": none is named.
   * `isDeaf`: the kernel drops what comes back by it.
   * @throws {CoreError} ENETUNREACH: nothing but our own interface leads there
   */
  wayAround(address: Uint8Array): { readonly ifname: string; readonly isDeaf: boolean } {
    writePrefix(this.#prefix, { address, length: 8 * address.length });
    const { bytes } = this.#prefix;
    const name = memory(DeviceInfoStruct.fields.ifname.size);
    const deaf = memory(4);
    const error = this.#error.bytes;
    const { shoal_link_around } = this.core.calls;
    this.#explain(
      "link_around",
      shoal_link_around(
        this.handle,
        bytes,
        bytes.length,
        name.bytes,
        name.bytes.length,
        deaf.bytes,
        error,
        error.length,
      ),
    );
    const isDeaf = deaf.view.getUint32(0, true) === 1;
    return { ifname: readText(name, 0, name.bytes.length), isDeaf };
  }

  /**
   * Has the kernel drop what comes for these addresses of ours past the tunnel, in the name of somebody of the mesh.
   * @param addresses at most two, host bits included, with the length of the mesh's network; none: nothing is guarded
   * @throws {CoreError} EPERM: no right to it; EOPNOTSUPP, EPROTONOSUPPORT, EINVAL: this kernel cannot
   */
  setGuard(addresses: readonly Prefix[]): void {
    const { size } = PrefixStruct;
    const all = memory(size * addresses.length);
    for (const [i, address] of addresses.entries()) {
      writePrefix(this.#prefix, address);
      all.bytes.set(this.#prefix.bytes, i * size);
    }
    const { bytes } = all;
    const error = this.#error.bytes;
    const { shoal_link_guard } = this.core.calls;
    this.#explain(
      "link_guard",
      shoal_link_guard(this.handle, bytes, bytes.length, addresses.length, error, error.length),
    );
  }

  /** @param tag comes back in the peer's mail */
  addPeer(tag: PeerId): PeerHandle {
    const peer = this.#result;
    ensure("peer_add", this.core.calls.shoal_peer_add(this.handle, tag, peer.bytes));
    return peer.view.getBigUint64(0, true);
  }

  /** Adds the next lane of a peer. @param tag comes back in the lane's mail, and names its worker */
  addLane(peer: PeerHandle, tag: PeerId): PeerHandle {
    const lane = this.#result;
    const { shoal_peer_add_lane } = this.core.calls;
    ensure("peer_add_lane", shoal_peer_add_lane(this.handle, peer, tag, lane.bytes));
    return lane.view.getBigUint64(0, true);
  }

  /** Over how many of its lanes, with itself, the kernel spreads the flows of a peer. */
  spreadLanes(peer: PeerHandle, lanes: number): void {
    ensure("peer_spread", this.core.calls.shoal_peer_spread(this.handle, peer, lanes));
  }

  removePeer(peer: PeerHandle): void {
    ensure("peer_remove", this.core.calls.shoal_peer_remove(this.handle, peer));
  }

  setEndpoint(peer: PeerHandle, endpoint: Endpoint, source?: Source): void {
    writeEndpoint(this.#endpoint, endpoint, source);
    const { shoal_peer_set_endpoint } = this.core.calls;
    const { bytes } = this.#endpoint;
    ensure(
      "peer_set_endpoint",
      shoal_peer_set_endpoint(this.handle, peer, bytes, bytes.length),
    );
  }

  clearSource(peer: PeerHandle): void {
    ensure("peer_clear_source", this.core.calls.shoal_peer_clear_source(this.handle, peer));
  }

  arm(peer: PeerHandle, edges: readonly EdgeName[]): void {
    let mask = 0;
    for (const edge of edges) mask |= edgeBits[edge];
    ensure("peer_arm", this.core.calls.shoal_peer_arm(this.handle, peer, mask));
  }

  /**
   * Sends one empty data message on the current session.
   * @returns false when there is no session that may send
   */
  keepalive(peer: PeerHandle, unlessSent: boolean): boolean {
    const flags = unlessSent ? KeepaliveFlag.UNLESS_SENT : 0;
    const status = this.core.calls.shoal_peer_keepalive(this.handle, peer, flags);
    if (status === Status.E_STATE) return false;
    ensure("peer_keepalive", status);
    return true;
  }

  /** Whether what is sent to a peer without a session is answered "unreachable". */
  setOffline(peer: PeerHandle, isOffline: boolean): void {
    const { calls } = this.core;
    ensure("peer_set_offline", calls.shoal_peer_set_offline(this.handle, peer, isOffline ? 1 : 0));
  }

  /** The peer is a guest: what it and other peers send each other goes through us. */
  setGuest(peer: PeerHandle): void {
    ensure("peer_set_guest", this.core.calls.shoal_peer_set_guest(this.handle, peer, 1));
  }

  /** The peer's endpoint moves by {@link setEndpoint} alone. */
  setStaying(peer: PeerHandle): void {
    ensure("peer_set_staying", this.core.calls.shoal_peer_set_staying(this.handle, peer, 1));
  }

  dropStaged(peer: PeerHandle): void {
    ensure("peer_drop_staged", this.core.calls.shoal_peer_drop_staged(this.handle, peer));
  }

  clearSessions(peer: PeerHandle): void {
    ensure("peer_clear_sessions", this.core.calls.shoal_peer_clear_sessions(this.handle, peer));
  }

  /** Installs the session and wipes both its keys, here and in the session given (R65). */
  installSession(peer: PeerHandle, session: Session): void {
    const { bytes } = this.#session;
    try {
      writeSession(this.#session, session);
      const { shoal_session_install } = this.core.calls;
      const status = shoal_session_install(this.handle, peer, bytes, bytes.length);
      ensure("session_install", status);
    } finally {
      bytes.fill(0);
      session.sendKey.fill(0);
      session.receiveKey.fill(0);
    }
  }

  addRoute(peer: PeerHandle, prefix: Prefix): void {
    writePrefix(this.#prefix, prefix);
    const { bytes } = this.#prefix;
    const { shoal_route_add } = this.core.calls;
    ensure("route_add", shoal_route_add(this.handle, peer, bytes, bytes.length));
  }

  removeRoute(peer: PeerHandle, prefix: Prefix): void {
    writePrefix(this.#prefix, prefix);
    const { bytes } = this.#prefix;
    const { shoal_route_remove } = this.core.calls;
    ensure("route_remove", shoal_route_remove(this.handle, peer, bytes, bytes.length));
  }

  facts(peer: PeerHandle): PeerFacts {
    const { bytes } = this.#facts;
    const { shoal_peer_facts } = this.core.calls;
    ensure("peer_facts", shoal_peer_facts(this.handle, peer, bytes, bytes.length));
    return readFacts(this.#facts);
  }

  /** Every counter of the device by name; those that start with `drop_` are reasons. */
  counters(): Record<string, number> {
    const written = this.#result;
    const { shoal_device_counters } = this.core.calls;
    const status = shoal_device_counters(
      this.handle,
      this.#counters.bytes,
      COUNTERS_MAX,
      written.bytes,
    );
    ensure("device_counters", status);
    const count = Math.min(written.view.getUint32(0, true), this.core.counters.length);
    const named: Record<string, number> = {};
    for (const [i, name] of this.core.counters.entries()) {
      if (i < count) named[name] = readU64(this.#counters, 8 * i);
    }
    return named;
  }

  /**
   * Hands out at most one buffer of mail.
   * @returns false when the box was empty: the bell rings at the next mail
   */
  drain(visit: (mail: Mail) => void): boolean {
    const used = this.#result;
    const { bytes } = this.#box;
    const { shoal_mailbox_drain } = this.core.calls;
    const status = shoal_mailbox_drain(this.handle, bytes, bytes.length, used.bytes);
    ensure("mailbox_drain", status);
    const length = used.view.getUint32(0, true);
    readMails(this.#box, length, visit);
    return length > 0;
  }

  /**
   * Sends one datagram. Where to, and how many bytes, may follow from what others sent us, so no
   * refusal is thrown: whoever sent it has a timer, and what is lost is lost.
   */
  send(datagram: Datagram): SendOutcome {
    if (!isWritable(datagram.to, datagram.from)) return "refused";
    writeEndpoint(this.#endpoint, datagram.to, datagram.from);
    const { shoal_datagram_send } = this.core.calls;
    const status = shoal_datagram_send(
      this.handle,
      this.#endpoint.bytes,
      EndpointStruct.size,
      datagram.tos ?? 0,
      datagram.bytes as Uint8Array<ArrayBuffer>,
      datagram.bytes.length,
    );
    if (status === Status.OK) return "sent";
    return unsent.has(status) ? "unsent" : "refused";
  }

  #explain(call: string, status: number): void {
    if (status !== Status.OK) throw detailed(call, status, this.#error);
  }
}

function ensure(call: string, status: number): void {
  if (status !== Status.OK) throw new CoreError(call, status);
}

function detailed(call: string, status: number, error: Memory): CoreError {
  const { offset, fields } = ErrorStruct;
  return new CoreError(
    call,
    status,
    error.view.getInt32(offset.sys_errno, true),
    readText(error, offset.what, fields.what.size),
  );
}

/** @throws {CoreError} `E_UNKNOWN` for a name that this build does not have */
function offloadMask(core: Core, names: readonly string[]): number {
  const bits = new Map([...core.offloads].map(([bit, name]) => [name, bit]));
  let mask = 0;
  for (const name of names) {
    const bit = bits.get(name);
    if (bit === undefined) throw new CoreError("offloads", Status.E_UNKNOWN, 0, name);
    mask |= bit;
  }
  return mask;
}

function deviceConfig(core: Core, options: DeviceOptions): Memory {
  const { offset, fields, size } = DeviceConfigStruct;
  const config = memory(size);
  const u32 = (name: keyof typeof offset, value: number) =>
    config.view.setUint32(offset[name], value, true);
  const text = (name: "ifname" | "aead" | "io", value: string) =>
    writeText(config, offset[name], fields[name].size, value);
  u32("abi_version", ABI_VERSION);
  u32("flags", flagsOf(options));
  if (options.tun.kind === "create") text("ifname", options.tun.name);
  const fd = "fd" in options.tun ? options.tun.fd : -1;
  config.view.setInt32(offset.tun_fd, fd, true);
  u32("mtu", options.mtu ?? 0);
  u32("workers", options.workers ?? 0);
  u32("offloads_off", offloadMask(core, options.without ?? []));
  u32("peers_max", options.peersMax ?? 0);
  u32("receive_buffer", options.receiveBuffer ?? 0);
  text("aead", options.aead ?? "");
  text("io", options.io ?? "");
  config.bytes.set(options.seed.subarray(0, fields.seed.size), offset.seed);
  return config;
}

function flagsOf({ tun, isWireGuardOnly }: DeviceOptions): number {
  const source = {
    create: 0,
    adopt: DeviceFlag.TUN_FD,
    socketpair: DeviceFlag.TUN_FD | DeviceFlag.TUN_FD_VNET,
    none: DeviceFlag.NO_TUN,
  }[tun.kind];
  return source | (isWireGuardOnly ? DeviceFlag.WIREGUARD_ONLY : 0);
}
