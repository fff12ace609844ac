/**
 * Values of mesh written into, and read from, the structs of core. All views are little-endian: the
 * platforms that Shoal runs on are.
 */
import type { Endpoint, Source } from "../mesh/endpoint.ts";
import type { Prefix, Session } from "../mesh/machine.ts";
import type { PeerFacts } from "../mesh/tunnel/types.ts";
import {
  AddressStruct,
  EndpointStruct,
  Family,
  PeerFactsStruct,
  PrefixStruct,
  Role,
  SessionStruct,
  Suite,
} from "./header.ts";

/** A piece of memory, as the two views that reading and writing structs need. */
export interface Memory {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
}

export function memory(size: number): Memory {
  const bytes = new Uint8Array(size);
  return { bytes, view: new DataView(bytes.buffer) };
}

const NS_PER_MS = 1e6;
const HIGH = 2 ** 32;

/** A counter or a size; exact up to 2^53. */
export function readU64({ view }: Memory, at: number): number {
  return view.getUint32(at + 4, true) * HIGH + view.getUint32(at, true);
}

/** Nanoseconds in C, milliseconds here. */
export function readTime(from: Memory, at: number): number {
  return readU64(from, at) / NS_PER_MS;
}

/** @throws {RangeError} when no 64 bits of nanoseconds say it */
function writeTime({ view }: Memory, at: number, ms: number): void {
  if (!(ms >= 0 && ms * NS_PER_MS < HIGH * HIGH)) throw new RangeError(`${ms} is no time in ms`);
  view.setBigUint64(at, BigInt(Math.round(ms * NS_PER_MS)), true);
}

/** Whether a value fits; a DataView cuts off what does not, and means another value then. */
function isUnsigned(value: number, bits: 16 | 32): boolean {
  return Number.isInteger(value) && value >= 0 && value < 2 ** bits;
}

/** @throws {RangeError} when the value does not fit */
function writeUnsigned({ view }: Memory, at: number, value: number, bits: 16 | 32): void {
  if (!isUnsigned(value, bits)) throw new RangeError(`${value} does not fit into ${bits} bits`);
  if (bits === 16) view.setUint16(at, value, true);
  else view.setUint32(at, value, true);
}

/** A NUL-terminated text of at most `size` bytes. */
export function readText({ bytes }: Memory, at: number, size: number): string {
  const field = bytes.subarray(at, at + size);
  const end = field.indexOf(0);
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
}

/** @throws {RangeError} when the text and its NUL do not fit: nothing is cut silently. */
export function writeText({ bytes }: Memory, at: number, size: number, text: string): void {
  const encoded = new TextEncoder().encode(text);
  if (encoded.length >= size || encoded.includes(0)) {
    throw new RangeError(`'${text}' does not fit in ${size - 1} bytes`);
  }
  bytes.set(encoded, at);
}

function familyOf(address: Uint8Array): number {
  if (address.length === 4) return Family.INET;
  if (address.length === 16) return Family.INET6;
  throw new RangeError(`an address has 4 or 16 bytes, not ${address.length}`);
}

function writeAddress(to: Memory, at: number, from: Endpoint): void {
  const { offset } = AddressStruct;
  to.view.setUint16(at + offset.family, familyOf(from.address), true);
  writeUnsigned(to, at + offset.port, from.port, 16);
  writeUnsigned(to, at + offset.scope, from.scope, 32);
  to.bytes.set(from.address, at + offset.ip);
}

/** Whether {@link writeEndpoint} can write it. */
export function isWritable(remote: Endpoint, source?: Source): boolean {
  const local = source?.address.length ?? 0;
  return [4, 16].includes(remote.address.length) && [0, 4, 16].includes(local) &&
    isUnsigned(remote.port, 16) && isUnsigned(remote.scope, 32) &&
    isUnsigned(source?.ifindex ?? 0, 32);
}

/** @throws {RangeError} when a value does not fit into its field */
export function writeEndpoint(to: Memory, remote: Endpoint, source?: Source): void {
  const { offset, size } = EndpointStruct;
  to.bytes.fill(0, 0, size);
  writeAddress(to, offset.remote, remote);
  if (source === undefined) return;
  if (source.address.length > 0) {
    writeAddress(to, offset.local, { address: source.address, port: 0, scope: 0 });
  }
  writeUnsigned(to, offset.ifindex, source.ifindex, 32);
}

function readIp({ view, bytes }: Memory, at: number): Uint8Array {
  const start = at + AddressStruct.offset.ip;
  switch (view.getUint16(at + AddressStruct.offset.family, true)) {
    case Family.INET:
      return bytes.slice(start, start + 4);
    case Family.INET6:
      return bytes.slice(start, start + 16);
    default:
      return new Uint8Array(0);
  }
}

export function readRemote(from: Memory, at: number): Endpoint {
  const start = at + EndpointStruct.offset.remote;
  return {
    address: readIp(from, start),
    port: from.view.getUint16(start + AddressStruct.offset.port, true),
    scope: from.view.getUint32(start + AddressStruct.offset.scope, true),
  };
}

export function readSource(from: Memory, at: number): Source {
  return {
    address: readIp(from, at + EndpointStruct.offset.local),
    ifindex: from.view.getUint32(at + EndpointStruct.offset.ifindex, true),
  };
}

export function writePrefix(to: Memory, prefix: Prefix): void {
  const { offset, size } = PrefixStruct;
  to.bytes.fill(0, 0, size);
  to.view.setUint16(offset.family, familyOf(prefix.address), true);
  writeUnsigned(to, offset.length, prefix.length, 16);
  to.bytes.set(prefix.address, offset.ip);
}

/** @throws {RangeError} when a value does not fit into its field */
export function writeSession(to: Memory, session: Session): void {
  const { offset, fields } = SessionStruct;
  const role = session.role === "initiator" ? Role.INITIATOR : Role.RESPONDER;
  to.view.setUint32(offset.role, role, true);
  writeUnsigned(to, offset.local_index, session.localIndex, 32);
  writeUnsigned(to, offset.remote_index, session.remoteIndex, 32);
  to.view.setUint32(offset.suite, Suite.CHACHA20_POLY1305, true); // the mesh has no other yet
  writeTime(to, offset.birth, session.birth);
  writeTime(to, offset.rekey_after_time, session.rekeyAfterTime);
  writeTime(to, offset.rekey_on_receive, session.rekeyOnReceive);
  const { rekeyAfterMessages: limit } = session;
  if (limit !== BigInt.asUintN(64, limit)) throw new RangeError(`${limit} is no counter`);
  to.view.setBigUint64(offset.rekey_after_messages, limit, true);
  for (
    const [key, at, { size }] of [
      [session.sendKey, offset.send_key, fields.send_key],
      [session.receiveKey, offset.receive_key, fields.receive_key],
    ] as const
  ) {
    if (key.length !== size) throw new RangeError(`a key has ${size} bytes, not ${key.length}`);
    to.bytes.set(key, at);
  }
}

export function readFacts(from: Memory): PeerFacts {
  const { offset } = PeerFactsStruct;
  return {
    txBytes: readU64(from, offset.tx_bytes),
    rxBytes: readU64(from, offset.rx_bytes),
    txPackets: readU64(from, offset.tx_packets),
    rxPackets: readU64(from, offset.rx_packets),
    lastAuthenticatedReceive: readTime(from, offset.last_authenticated_receive),
    lastDataReceive: readTime(from, offset.last_data_receive),
    lastAuthenticatedSend: readTime(from, offset.last_authenticated_send),
    lastDataSend: readTime(from, offset.last_data_send),
    firstUnansweredData: readTime(from, offset.first_unanswered_data),
    firstUnsentReply: readTime(from, offset.first_unsent_reply),
    staged: from.view.getUint32(offset.staged, true),
  };
}
