/**
 * The cross-platform userspace configuration protocol of WireGuard, read and written; pure. A client
 * sends `get=1` or `set=1`, `key=value` lines and an empty line; the answer ends with `errno=N` and
 * an empty line.
 *
 * A `set` is read to its end before anything of it is applied: one bad line, or an end of the stream
 * before the empty line, and nothing happens. The first fault decides the answer.
 */
import {
  type Endpoint,
  formatEndpoint,
  parseAsWritten,
  parseEndpoint,
} from "../../mesh/endpoint.ts";
import { formatAddress } from "../../mesh/endpoint.ts";
import type { Prefix } from "../../mesh/machine.ts";
import { networkOf } from "../../mesh/prefix.ts";
import { MAX_PEERS } from "../../mesh/tunnel/constants.ts";

/** Bytes of a line; the longest that means anything has a hundred. */
export const LINE_MAX = 1024;
/** Prefixes that a device holds: core's default (shoal.h, routes_max). */
export const ROUTES_MAX = 1_048_576;
/** Peers and prefixes that one request may name: what a device can hold (R17). */
const REQUEST_PEERS_MAX = MAX_PEERS;
const REQUEST_PREFIXES_MAX = ROUTES_MAX;

/** Why a request was not carried out: the number that goes over the wire, and a line for the log. */
export interface UapiFault {
  readonly errno: ErrnoName;
  readonly what: string;
}

/** Linux's numbers (asm-generic/errno.h). */
const Errno = {
  EIO: 5,
  E2BIG: 7,
  EBUSY: 16,
  EINVAL: 22,
  ENOSPC: 28,
  EPROTO: 71,
  EADDRINUSE: 98,
  ETIMEDOUT: 110,
} as const;

export type ErrnoName = keyof typeof Errno;

/** One line about allowed networks; the order of the lines counts. */
export type PrefixChange =
  | { readonly kind: "clear" }
  | { readonly kind: "add" | "remove"; readonly prefix: Prefix };

/** What a request says about one peer. What is absent stays as it is. */
export interface PeerChange {
  readonly publicKey: Uint8Array;
  /** The peer is taken away; nothing else that is said of it counts. */
  isRemoved: boolean;
  /** The peer is not made when it does not exist. */
  isUpdateOnly: boolean;
  presharedKey?: Uint8Array;
  endpoint?: Endpoint;
  /** Seconds; 0: off. */
  persistentKeepalive?: number;
  readonly prefixes: PrefixChange[];
}

/** What a request says about the device. What is absent stays as it is. */
export interface DeviceChange {
  /** All zero: the device forgets its key. */
  privateKey?: Uint8Array;
  /** 0: the kernel picks one. */
  listenPort?: number;
  /** 0: off. */
  fwmark?: number;
  /** All peers are taken away before those of the request are made. */
  replacesPeers: boolean;
  readonly peers: PeerChange[];
}

export type UapiRequest =
  | { readonly kind: "get" }
  | { readonly kind: "set"; readonly change: DeviceChange }
  /** `isLost`: where the next request starts is not known; the client is to be hung up on. */
  | { readonly kind: "fault"; readonly fault: UapiFault; readonly isLost: boolean };

class Bad extends Error {
  constructor(readonly fault: UapiFault) {
    super(fault.what);
  }
}

function invalid(what: string): Bad {
  return new Bad({ errno: "EINVAL", what });
}

/** The shortest text of a key is 44 characters of base64. */
const SHOWN_MAX = 43;

/** A piece of a request as a log may show it: nothing that could be a misplaced key (R66). */
function shown(text: string): string {
  if (text.length > SHOWN_MAX) return `text of ${text.length} bytes`;
  return `'${text.replace(/[^\x20-\x7e]/g, "?")}'`;
}

/** Reads requests line by line. Resolves interface names of link-local endpoints by `scopeOf`. */
export class UapiReader {
  #change: DeviceChange | undefined;
  #isGet = false;
  #fault: UapiFault | undefined;
  #prefixes = 0;

  constructor(private readonly scopeOf: (name: string) => number | undefined = () => undefined) {}

  /** Whether a request has begun and its empty line has not come. */
  get isWithin(): boolean {
    return this.#change !== undefined || this.#isGet;
  }

  /**
   * Takes one line without its newline.
   * @returns a request when the line ended one
   */
  line(text: string): UapiRequest | undefined {
    if (!this.isWithin) return this.#begin(text);
    if (text === "") return this.#end();
    if (this.#fault !== undefined) return undefined;
    try {
      if (this.#isGet) throw invalid(`a get has no lines, but one says ${shown(text)}`);
      this.#setLine(text);
    } catch (error) {
      if (!(error instanceof Bad)) throw error;
      this.#fault = error.fault;
    }
    return undefined;
  }

  /** The stream ended, or holds a line that is too long. A request that was begun is void. */
  cut(why: string): UapiRequest | undefined {
    if (!this.isWithin) return undefined;
    this.#reset();
    return lost("EPROTO", why);
  }

  #begin(text: string): UapiRequest | undefined {
    if (text === "set=1") this.#change = { replacesPeers: false, peers: [] };
    else if (text === "get=1") this.#isGet = true;
    else return lost("EPROTO", `${shown(text)} is neither get=1 nor set=1`);
    return undefined;
  }

  #end(): UapiRequest {
    const fault = this.#fault;
    const change = this.#change;
    this.#reset();
    if (fault !== undefined) return { kind: "fault", fault, isLost: false };
    return change === undefined ? { kind: "get" } : { kind: "set", change };
  }

  #reset(): void {
    this.#change = undefined;
    this.#isGet = false;
    this.#fault = undefined;
    this.#prefixes = 0;
  }

  #setLine(text: string): void {
    const at = text.indexOf("=");
    if (at < 0) throw new Bad({ errno: "EPROTO", what: `${shown(text)} is no key=value line` });
    const key = text.slice(0, at);
    const value = text.slice(at + 1);
    const change = this.#change;
    if (change === undefined) return;
    const peer = change.peers.at(-1);
    if (key === "public_key") {
      if (change.peers.length >= REQUEST_PEERS_MAX) {
        throw new Bad({
          errno: "E2BIG",
          what: `a request names at most ${REQUEST_PEERS_MAX} peers`,
        });
      }
      change.peers.push({
        publicKey: readKey(key, value),
        isRemoved: false,
        isUpdateOnly: false,
        prefixes: [],
      });
    } else if (peer === undefined) deviceLine(change, key, value);
    else this.#peerLine(peer, key, value);
  }

  #peerLine(peer: PeerChange, key: string, value: string): void {
    switch (key) {
      case "remove":
        peer.isRemoved = readTrue(key, value);
        break;
      case "update_only":
        peer.isUpdateOnly = readTrue(key, value);
        break;
      case "preshared_key":
        peer.presharedKey = readKey(key, value);
        break;
      case "endpoint":
        this.#endpointLine(peer, value);
        break;
      case "persistent_keepalive_interval":
        peer.persistentKeepalive = readNumber(key, value, 0xffff);
        break;
      case "replace_allowed_ips":
        readTrue(key, value);
        peer.prefixes.push({ kind: "clear" });
        break;
      case "allowed_ip":
        if (++this.#prefixes > REQUEST_PREFIXES_MAX) {
          const what = `a request names at most ${REQUEST_PREFIXES_MAX} allowed IPs`;
          throw new Bad({ errno: "E2BIG", what });
        }
        peer.prefixes.push(readPrefixChange(value));
        break;
      case "protocol_version":
        if (value !== "1") {
          throw invalid(`protocol_version is ${shown(value)}, only 1 is spoken here`);
        }
        break;
      default:
        throw invalid(`${shown(key)} is no key of a peer`);
    }
  }

  /**
   * Linux and wireguard-go take port 0, to which nothing can be sent: one such line must not cost a file its other
   * peers. Here it names no place, so that what is sent to the peer is counted as without an endpoint.
   */
  #endpointLine(peer: PeerChange, value: string): void {
    const endpoint = parseEndpoint(value, this.scopeOf);
    if (endpoint !== undefined) peer.endpoint = endpoint;
    else if (!parseEndpoint(value.replace(/:0{1,5}$/, ":1"), this.scopeOf)) {
      throw invalid(`endpoint ${shown(value)} is no IP:port or [IPv6]:port`);
    }
  }
}

function lost(errno: ErrnoName, what: string): UapiRequest {
  return { kind: "fault", fault: { errno, what }, isLost: true };
}

function deviceLine(change: DeviceChange, key: string, value: string): void {
  switch (key) {
    case "private_key":
      change.privateKey = readKey(key, value);
      break;
    case "listen_port":
      change.listenPort = readNumber(key, value, 0xffff);
      break;
    case "fwmark":
      change.fwmark = value === "" ? 0 : readNumber(key, value, 0xffffffff);
      break;
    case "replace_peers":
      change.replacesPeers = readTrue(key, value);
      break;
    case "protocol_version":
      if (value !== "1") {
        throw invalid(`protocol_version is ${shown(value)}, only 1 is spoken here`);
      }
      break;
    default:
      throw invalid(`${shown(key)} is no key of a device`);
  }
}

/** 32 bytes in hexadecimal. The value is never repeated: it may be a secret (R66). */
function readKey(key: string, value: string): Uint8Array {
  if (!/^[0-9a-fA-F]{64}$/.test(value)) throw invalid(`${key} is not 64 hexadecimal digits`);
  return Uint8Array.fromHex(value);
}

function readNumber(key: string, value: string, max: number): number {
  const number = /^\d{1,10}$/.test(value) ? Number(value) : NaN;
  if (!(number <= max)) throw invalid(`${key} ${shown(value)} is no number from 0 to ${max}`);
  return number;
}

function readTrue(key: string, value: string): true {
  if (value !== "true") throw invalid(`${key} is ${shown(value)}, only true has a meaning`);
  return true;
}

/** `IP/length` adds, so does `+IP/length`; `-IP/length` removes. Bits beyond the length are cut. */
function readPrefixChange(value: string): PrefixChange {
  const match = /^([+-]?)([0-9a-fA-F:.]+)\/(\d{1,3})$/.exec(value);
  const address = parseAsWritten(match?.[2] ?? "");
  const length = Number(match?.[3]);
  if (match === null || address === undefined || length > 8 * address.length) {
    throw invalid(`allowed_ip ${shown(value)} is no IP/length`);
  }
  const prefix = networkOf({ address, length });
  return { kind: match[1] === "-" ? "remove" : "add", prefix };
}

/** One peer as `get` shows it. */
export interface PeerReport {
  readonly publicKey: Uint8Array;
  readonly presharedKey: Uint8Array;
  readonly endpoint: Endpoint | undefined;
  /** Unix milliseconds; 0: never. */
  readonly lastHandshake: number;
  readonly txBytes: number;
  readonly rxBytes: number;
  readonly persistentKeepalive: number;
  readonly prefixes: Iterable<Prefix>;
}

export interface DeviceReport {
  /** Undefined: none set. */
  readonly privateKey: Uint8Array | undefined;
  readonly listenPort: number;
  readonly fwmark: number;
  readonly peers: Iterable<PeerReport>;
}

/** Prefixes of a peer in one piece of a report. */
const PIECE_PREFIXES = 64;

/**
 * The lines of a `get`, without the closing errno; in pieces, since a device may have many peers and
 * a peer many prefixes.
 */
export function* writeReport(report: DeviceReport): Iterable<string> {
  let lines = "";
  if (report.privateKey !== undefined) lines += `private_key=${report.privateKey.toHex()}\n`;
  if (report.listenPort !== 0) lines += `listen_port=${report.listenPort}\n`;
  if (report.fwmark !== 0) lines += `fwmark=${report.fwmark}\n`;
  yield lines;
  for (const peer of report.peers) yield* writePeer(peer);
}

function* writePeer(peer: PeerReport): Iterable<string> {
  const seconds = Math.floor(peer.lastHandshake / 1000);
  const nanoseconds = Math.floor((peer.lastHandshake - 1000 * seconds) * 1e6);
  let lines = [
    `public_key=${peer.publicKey.toHex()}`,
    `preshared_key=${peer.presharedKey.toHex()}`,
    "protocol_version=1",
    ...(peer.endpoint === undefined ? [] : [`endpoint=${formatEndpoint(peer.endpoint)}`]),
    `last_handshake_time_sec=${seconds}`,
    `last_handshake_time_nsec=${nanoseconds}`,
    `tx_bytes=${peer.txBytes}`,
    `rx_bytes=${peer.rxBytes}`,
    `persistent_keepalive_interval=${peer.persistentKeepalive}`,
  ];
  for (const { address, length } of peer.prefixes) {
    lines.push(`allowed_ip=${formatAddress(address)}/${length}`);
    if (lines.length < PIECE_PREFIXES) continue;
    yield `${lines.join("\n")}\n`;
    lines = [];
  }
  if (lines.length > 0) yield `${lines.join("\n")}\n`;
}

/**
 * The end of every answer. Faults are negative, as wireguard-go writes them and `wg` reads them:
 * with the positive number `wg set` would print "Unknown error".
 */
export function writeStatus(errno: ErrnoName | undefined): string {
  return `errno=${errno === undefined ? 0 : -Errno[errno]}\n\n`;
}
