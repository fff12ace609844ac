/**
 * Node records: what a member says about itself, signed by itself, so that anybody may pass it on
 * and nobody can forge it. A record with a higher sequence replaces one with a lower. The sequence
 * is no clock, so a clock set back cannot mute a node and a clock set forward cannot bind it: its
 * high part counts the node's starts, which are on disk before anything is sent, its low part the
 * records of this run. So a crash at any moment never uses a number twice. Two different records with one sequence are proof that the
 * key is used twice (equivocation).
 */
import type { Crypto, SigningKey } from "./crypto.ts";
import { KEY_LENGTH } from "./crypto.ts";
import { type Decoded, Reader, Writer } from "./codec.ts";
import { type Endpoint, whyUnreachable } from "./endpoint.ts";
import type { Prefix } from "./machine.ts";
import { type Chain, CHAIN_MAX, decodeChain } from "./trust/certificate.ts";
import { type MemberId, signatureLabel } from "./trust/identity.ts";

/** What a member can do for others beside being one. */
export interface Capabilities {
  /** Is willing to carry ciphertext of other members. */
  readonly relay: boolean;
  /** Has a network interface; without it only discovery and relaying. */
  readonly tunnel: boolean;
}

export interface RecordBody {
  readonly key: Uint8Array;
  /** {@link sequenceOf} start and record. */
  readonly sequence: number;
  /** Where it believes it can be reached, best first. Claims, not facts. */
  readonly endpoints: readonly Endpoint[];
  /** How often it had to step aside for another holder of its IPv4 address (address.ts). */
  readonly ip4Counter: number;
  readonly capabilities: Capabilities;
  /** Networks behind it. */
  readonly routes: readonly Prefix[];
  /** Version of its software, for people. */
  readonly version: string;
  /** Proof of membership; no links when individual keys are trusted. */
  readonly chain: Chain;
}

export interface NodeRecord extends RecordBody {
  readonly id: MemberId;
  /** The signed bytes as they travel. */
  readonly bytes: Uint8Array;
}

/** Bytes of a record at most: it travels whole in a hello and in one control datagram. */
export const RECORD_MAX = 1024;
const ENDPOINTS_MAX = 8;
const ROUTES_MAX = 16;
const VERSION_MAX = 32;

/** Records of one start at most; a node that reaches it starts counting a new one. */
export const RECORDS_PER_BOOT = 2 ** 20;
/** Starts at most: one a minute for two years. */
export const BOOT_MAX = 2 ** 20 - 1;

/** The sequence number of the `count`-th record (0..) after the `boot`-th start (1..). */
export function sequenceOf(boot: number, count: number): number {
  return boot * RECORDS_PER_BOOT + count;
}

/** The start that a sequence number belongs to. */
export function bootOf(sequence: number): number {
  return Math.floor(sequence / RECORDS_PER_BOOT);
}

const LABEL = signatureLabel("record");

/**
 * Signs a record. Routes, then endpoints, are dropped from the end until it fits.
 * @throws {RangeError} when it cannot fit.
 */
export function signRecord(
  crypto: Crypto,
  meshId: Uint8Array,
  signing: SigningKey,
  body: RecordBody,
): NodeRecord {
  const endpoints = body.endpoints.slice(0, ENDPOINTS_MAX);
  const routes = body.routes.slice(0, ROUTES_MAX);
  let bytes = encodeBody({ ...body, endpoints, routes });
  while (bytes.length + 64 > RECORD_MAX) {
    if (routes.pop() === undefined && endpoints.pop() === undefined) {
      throw new RangeError(`record: ${bytes.length + 64} bytes, over ${RECORD_MAX}`);
    }
    bytes = encodeBody({ ...body, endpoints, routes });
  }
  const signature = crypto.ed25519Sign(signing, signedPart(meshId, bytes));
  return {
    ...body,
    endpoints,
    routes,
    id: body.key.toHex(),
    bytes: new Writer().bytes(bytes).bytes(signature).finish(),
  };
}

/**
 * Reads a record and verifies its subject's signature. What its chain is worth is judged by
 * trust.ts.
 */
export function openRecord(
  crypto: Crypto,
  meshId: Uint8Array,
  bytes: Uint8Array,
): Decoded<NodeRecord> {
  if (bytes.length > RECORD_MAX) {
    return { ok: false, error: `a record of ${bytes.length} bytes, over ${RECORD_MAX}` };
  }
  if (bytes.length <= 64) return { ok: false, error: `a record of ${bytes.length} bytes` };
  const signed = bytes.subarray(0, -64);
  const body = decodeBody(signed);
  if (!body.ok) return body;
  const { key } = body.value;
  if (!crypto.ed25519Verify(bytes.subarray(-64), signedPart(meshId, signed), key)) {
    return { ok: false, error: `the signature of the record of ${key.toHex()} does not fit` };
  }
  return { ok: true, value: { ...body.value, id: key.toHex(), bytes } };
}

function signedPart(meshId: Uint8Array, body: Uint8Array): Uint8Array {
  return new Writer().bytes(LABEL).bytes(meshId).bytes(body).finish();
}

function encodeBody(body: RecordBody): Uint8Array {
  const { capabilities } = body;
  const writer = new Writer().bytes(body.key).u48(body.sequence)
    .u16(body.ip4Counter).u8((capabilities.relay ? 1 : 0) | (capabilities.tunnel ? 2 : 0))
    .text(body.version).u8(body.endpoints.length);
  for (const endpoint of body.endpoints) writeEndpoint(writer, endpoint);
  writer.u8(body.routes.length);
  for (const { address, length } of body.routes) writer.short(address).u8(length);
  return writer.long(body.chain.bytes).finish();
}

function decodeBody(bytes: Uint8Array): Decoded<RecordBody> {
  const reader = new Reader(bytes);
  const key = reader.bytes(KEY_LENGTH);
  const sequence = reader.u48();
  if (bootOf(sequence) > BOOT_MAX) reader.fail(`a sequence of ${sequence}`);
  const ip4Counter = reader.u16();
  const bits = reader.u8();
  if (bits > 3) reader.fail(`unknown capabilities ${bits}`);
  const version = reader.text(VERSION_MAX);
  const endpoints = many(reader, ENDPOINTS_MAX, "endpoints", readPlace);
  const routes = many(reader, ROUTES_MAX, "routes", readPrefix);
  const chain = decodeChain(reader.long(CHAIN_MAX));
  if (!chain.ok) reader.fail(chain.error);
  return reader.finish({
    key,
    sequence,
    ip4Counter,
    capabilities: { relay: (bits & 1) !== 0, tunnel: (bits & 2) !== 0 },
    version,
    endpoints,
    routes,
    chain: chain.ok ? chain.value : { links: [], bytes: new Uint8Array(0) },
  });
}

function many<T>(reader: Reader, limit: number, what: string, read: (reader: Reader) => T): T[] {
  const count = reader.u8();
  if (count > limit) reader.fail(`${count} ${what}, over ${limit}`);
  const items: T[] = [];
  for (let i = 0; i < count && reader.error === undefined; i++) items.push(read(reader));
  return items;
}

/**
 * An endpoint without its scope: the number of an interface means nothing on another machine.
 */
export function writeEndpoint(writer: Writer, endpoint: Endpoint): void {
  writer.short(endpoint.address).u16(endpoint.port);
}

/** What {@link writeEndpoint} wrote, whatever place that is. */
export function readEndpoint(reader: Reader): Endpoint {
  const address = reader.short(16);
  if (address.length !== 4 && address.length !== 16) reader.fail("an address of no family");
  return { address, port: reader.u16(), scope: 0 };
}

/** An endpoint that members will send to because this record says so. */
function readPlace(reader: Reader): Endpoint {
  const endpoint = readEndpoint(reader);
  const why = reader.error === undefined ? whyUnreachable(endpoint) : undefined;
  if (why !== undefined) reader.fail(`an endpoint that is ${why}`);
  return endpoint;
}

function readPrefix(reader: Reader): Prefix {
  const address = reader.short(16);
  const length = reader.u8();
  if (address.length !== 4 && address.length !== 16) reader.fail("a route of no family");
  if (length > 8 * address.length) reader.fail(`a route of /${length}`);
  const isMasked = address.every((byte, i) => (byte & (0xff >> bitsBefore(length, i))) === 0);
  if (!isMasked) reader.fail("a route with host bits");
  return { address, length };
}

/** How many bits of byte `i` belong to a prefix of `length` bits: 0..8. */
function bitsBefore(length: number, i: number): number {
  return Math.min(8, Math.max(0, length - 8 * i));
}
