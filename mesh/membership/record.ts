/**
 * Node records: what a member says about itself, signed by itself, so that anybody may pass it on
 * and nobody can forge it. A record with a higher sequence replaces one with a lower. The sequence
 * is no clock, so a clock set back cannot mute a node and a clock set forward cannot bind it: its
 * high part counts the node's starts, which are on disk before anything is sent, its low part the
 * records of this run. So a crash at any moment never uses a number twice. Two different records with
 * one sequence are proof that the key is used twice (equivocation).
 *
 * A record names its *run*, a random number of each start. Two runs of one key whose records take
 * turns are two machines: see twins.ts. It carries the proof of membership of its subject, as far as
 * that fits, so that whoever knows the mesh's first keys can judge it without asking.
 *
 * It says nothing about the member's name and addresses inside the mesh: those are the certificate's,
 * so that nobody takes them from another by signing for itself (invariant 7).
 */
import type { Crypto, SigningKey } from "../crypto.ts";
import { KEY_LENGTH } from "../crypto.ts";
import { type Decoded, Reader, Writer } from "../codec.ts";
import { type Endpoint, whyUnreachable } from "../endpoint.ts";
import { LANES_MAX, type Now, type Prefix } from "../machine.ts";
import { type Admission, ADMISSION_MAX, decodeAdmission, encodeAdmission } from "./admission.ts";
import { type MemberId, signatureLabel } from "./identity.ts";
import { CLOCK_SKEW } from "./judge.ts";
import { STATEMENT_MAX } from "./statement.ts";

/** What a member can do for others beside being one. */
export interface Capabilities {
  /** Is willing to carry ciphertext of other members. */
  readonly relay: boolean;
  /** Has a network interface; without it only discovery and relaying. */
  readonly tunnel: boolean;
  /** Says that it holds the mesh key, where a person has to go to make an admin: see mesh_key_claims.ts. */
  readonly meshKey: boolean;
  /** Has instructions for AES-256-GCM and speaks it in tunnels: see core/README.md. */
  readonly aesGcm: boolean;
  /** How many sessions of one member it takes at once, 1..`LANES_MAX`: see core/README.md. */
  readonly lanes: number;
}

/** Another machine that uses the same key, by its own records. */
export interface Twin {
  readonly run: string;
  /** Where it says that it is; undefined where it does not say. */
  readonly endpoint: Endpoint | undefined;
  /** Unix seconds of the last sign of it. */
  readonly at: number;
}

/** Milliseconds for which it counts what a record says of another machine. */
export const TWIN_TIME = 10 * 60_000;

/** Whether that was seen lately by our clock, which may be behind by {@link CLOCK_SKEW} seconds. */
export function isRecent(now: Now, { at }: Twin): boolean {
  return now.wall - 1000 * at < TWIN_TIME && 1000 * (at - CLOCK_SKEW) <= now.wall;
}

/** What shows that its subject is a member. Nothing where its key is trusted individually. */
export interface Proof {
  /** Encoded statements, the most telling first: see Statements.proofOf. */
  readonly statements: readonly Uint8Array[];
  /** Of a member that no admin has certified yet. */
  readonly admission: Admission | undefined;
}

export const NO_PROOF: Proof = { statements: [], admission: undefined };

export interface RecordBody {
  readonly key: Uint8Array;
  /** {@link sequenceOf} start and record. */
  readonly sequence: number;
  /** 8 random bytes of this start, hexadecimal. */
  readonly run: string;
  /** Present while another machine uses the same key. */
  readonly twin: Twin | undefined;
  /** Where it believes it can be reached, best first. Claims, not facts. */
  readonly endpoints: readonly Endpoint[];
  readonly capabilities: Capabilities;
  /** 64 bytes by which it proves that it holds the mesh key, where it says so. */
  readonly meshKeyClaim?: Uint8Array | undefined;
  /** Networks behind it. */
  readonly routes: readonly Prefix[];
  /** Version of its software, for people. */
  readonly version: string;
  readonly proof: Proof;
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
const STATEMENTS_MAX = 3;
export const RUN_SIZE = 8;

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
 * Signs a record. What does not fit is dropped from the end: routes, endpoints beyond two, what
 * others know of the proof anyway, that it holds the mesh key, then the last endpoints.
 * @throws {RangeError} when it cannot fit.
 */
export function signRecord(
  crypto: Crypto,
  meshId: Uint8Array,
  signing: SigningKey,
  wish: RecordBody,
): NodeRecord {
  const endpoints = wish.endpoints.slice(0, ENDPOINTS_MAX);
  const routes = wish.routes.slice(0, ROUTES_MAX);
  const statements = wish.proof.statements.slice(0, STATEMENTS_MAX);
  let { capabilities } = wish;
  let meshKeyClaim = capabilities.meshKey ? wish.meshKeyClaim ?? UNPROVEN : undefined;
  const dropClaim = () => {
    if (!capabilities.meshKey) return false;
    capabilities = { ...capabilities, meshKey: false };
    meshKeyClaim = undefined;
    return true;
  };
  const drops = [
    () => routes.pop(),
    () => endpoints.length > 2 && endpoints.pop(),
    () => statements.length > 1 && statements.pop(),
    dropClaim,
    () => endpoints.pop(),
  ];
  const made = () => ({
    ...wish,
    capabilities,
    meshKeyClaim,
    endpoints,
    routes,
    proof: { ...wish.proof, statements },
  });
  let body = made();
  let bytes = encodeBody(body);
  while (bytes.length + 64 > RECORD_MAX) {
    if (!drops.some((drop) => drop())) {
      throw new RangeError(`record: ${bytes.length + 64} bytes, over ${RECORD_MAX}`);
    }
    body = made();
    bytes = encodeBody(body);
  }
  const signature = crypto.ed25519Sign(signing, signedPart(meshId, bytes));
  return {
    ...body,
    id: body.key.toHex(),
    bytes: new Writer().bytes(bytes).bytes(signature).finish(),
  };
}

/** Whose record this says it is; the signature is not looked at. */
export function subjectIn(bytes: Uint8Array): MemberId {
  return bytes.subarray(0, KEY_LENGTH).toHex();
}

/** What it says; the signature is not looked at. */
export function peekRecord(bytes: Uint8Array): RecordBody | undefined {
  if (bytes.length > RECORD_MAX || bytes.length <= 64) return undefined;
  const body = decodeBody(bytes.subarray(0, -64));
  return body.ok ? body.value : undefined;
}

/** Whether it says by what its subject is a member; the signature is not looked at. */
export function hasProof(bytes: Uint8Array): boolean {
  const proof = peekRecord(bytes)?.proof;
  return proof !== undefined && (proof.statements.length > 0 || proof.admission !== undefined);
}

/**
 * Reads a record and verifies its subject's signature. What its proof is worth is the judge's.
 * @returns `isForged` where it is the signature that does not fit
 */
export function openRecord(
  crypto: Crypto,
  meshId: Uint8Array,
  bytes: Uint8Array,
): Decoded<NodeRecord> & { readonly isForged?: true } {
  if (bytes.length > RECORD_MAX) {
    return { ok: false, error: `a record of ${bytes.length} bytes, over ${RECORD_MAX}` };
  }
  if (bytes.length <= 64) return { ok: false, error: `a record of ${bytes.length} bytes` };
  const signed = bytes.subarray(0, -64);
  const body = decodeBody(signed);
  if (!body.ok) return body;
  const { key } = body.value;
  if (!crypto.ed25519Verify(bytes.subarray(-64), signedPart(meshId, signed), key)) {
    const error = `the signature of the record of ${key.toHex()} does not fit`;
    return { ok: false, error, isForged: true };
  }
  return { ok: true, value: { ...body.value, id: key.toHex(), bytes } };
}

function signedPart(meshId: Uint8Array, body: Uint8Array): Uint8Array {
  return new Writer().bytes(LABEL).bytes(meshId).bytes(body).finish();
}

const BITS = ["relay", "tunnel", "meshKey", "aesGcm"] as const;
/** Above them, one less than how many lanes there are. */
const LANES_SHIFT = BITS.length;

function encodeBody(body: RecordBody): Uint8Array {
  const { capabilities, twin, proof } = body;
  const flags = BITS.reduce((sum, name, i) => sum | (capabilities[name] ? 1 << i : 0), 0);
  const bits = flags | (capabilities.lanes - 1) << LANES_SHIFT;
  const writer = new Writer().bytes(body.key).u48(body.sequence).bytes(Uint8Array.fromHex(body.run))
    .u8(bits).text(body.version).u8(body.endpoints.length);
  for (const endpoint of body.endpoints) writeEndpoint(writer, endpoint);
  writer.u8(body.routes.length);
  for (const { address, length } of body.routes) writer.short(address).u8(length);
  writer.u8(twin === undefined ? 0 : twin.endpoint === undefined ? 1 : 2);
  if (twin) writer.bytes(Uint8Array.fromHex(twin.run)).u48(twin.at);
  if (twin?.endpoint) writeEndpoint(writer, twin.endpoint);
  writer.u8(proof.statements.length);
  for (const statement of proof.statements) writer.long(statement);
  writer.long(proof.admission ? encodeAdmission(proof.admission) : NO_BYTES);
  if (capabilities.meshKey) writer.bytes(body.meshKeyClaim ?? UNPROVEN);
  return writer.finish();
}

const NO_BYTES = new Uint8Array(0);
/** A claim that proves nothing. */
const UNPROVEN = new Uint8Array(64);

function decodeBody(bytes: Uint8Array): Decoded<RecordBody> {
  const reader = new Reader(bytes);
  const key = reader.bytes(KEY_LENGTH);
  const sequence = reader.u48();
  if (bootOf(sequence) > BOOT_MAX) reader.fail(`a sequence of ${sequence}`);
  const run = reader.bytes(RUN_SIZE).toHex();
  const bits = reader.u8();
  const lanes = 1 + (bits >> LANES_SHIFT);
  if (lanes > LANES_MAX) reader.fail(`unknown capabilities ${bits}`);
  const has = (name: typeof BITS[number]) => (bits >> BITS.indexOf(name) & 1) === 1;
  const version = reader.text(VERSION_MAX);
  const endpoints = many(reader, ENDPOINTS_MAX, "endpoints", readPlace);
  const routes = many(reader, ROUTES_MAX, "routes", readPrefix);
  const twin = readTwin(reader);
  const statements = many(reader, STATEMENTS_MAX, "statements", (r) => r.long(STATEMENT_MAX));
  const admission = readAdmission(reader);
  const meshKeyClaim = has("meshKey") ? reader.bytes(64) : undefined;
  return reader.finish({
    key,
    sequence,
    run,
    twin,
    capabilities: {
      relay: has("relay"),
      tunnel: has("tunnel"),
      meshKey: has("meshKey"),
      aesGcm: has("aesGcm"),
      lanes,
    },
    meshKeyClaim,
    version,
    endpoints,
    routes,
    proof: { statements, admission },
  });
}

function readTwin(reader: Reader): Twin | undefined {
  const form = reader.u8();
  if (form > 2) reader.fail("a twin is there or not");
  if (form === 0) return undefined;
  const run = reader.bytes(RUN_SIZE).toHex();
  const at = reader.u48();
  return { run, endpoint: form === 2 ? readPlace(reader) : undefined, at };
}

function readAdmission(reader: Reader): Admission | undefined {
  const bytes = reader.long(ADMISSION_MAX);
  if (bytes.length === 0) return undefined;
  const admission = decodeAdmission(bytes);
  if (admission.ok) return admission.value;
  reader.fail(admission.error);
  return undefined;
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
