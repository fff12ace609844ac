/**
 * Statements: everything that is signed about who belongs to a mesh. What a set of them means is
 * said by statements.ts; here is their form.
 *
 * ```
 * kind 1 | signer 32 | number 2 | at 6 | fields | signature 64
 *
 * successor  by the recovery key                 the next mesh key; its number says which one counts
 * admin      by the mesh key                     an office, and the certificate of its holder
 * demoted    by the mesh key                     the end of an office
 * member     by the mesh key or an admin         a certificate
 * removed    by the mesh key or an admin         the end of a membership
 * token      by the mesh key or an admin         an invite
 * withdrawn  by the mesh key or an admin         the end of an invite or of a guest
 * guest      by the mesh key or an admin         a stock WireGuard device, and the member that serves it
 * left       by the member itself                its own end
 * ```
 *
 * The signature covers the mesh id, so a statement means nothing in another mesh. A signer numbers
 * its statements, which bounds how many it can make: of two with one number one counts, see
 * statements.ts.
 */
import type { Crypto, SigningKey } from "../crypto.ts";
import { KEY_LENGTH } from "../crypto.ts";
import { type Decoded, Reader, Writer } from "../codec.ts";
import { type MemberId, signatureLabel } from "./identity.ts";

/** What a mesh says of one of its members, or of a guest. */
export interface Certificate {
  readonly key: MemberId;
  /** A DNS label. Of two members that are certified for one name, one bears it: see claims.ts. */
  readonly name: string;
  /** Sorted, without repetition. */
  readonly groups: readonly string[];
  /** May carry ciphertext between members. */
  readonly relay: boolean;
  /** Which of the key's possible IPv4 addresses it has: see address.ts. */
  readonly ip4Counter: number;
  /** Unix seconds of the first certificate, kept when it is renewed: the earlier keeps a name. */
  readonly since: number;
}

/** The token by which a member was admitted. */
export interface TokenUse {
  readonly key: string;
  /** How many identities the token admits. */
  readonly uses: number;
}

export type Draft =
  | { readonly kind: "successor"; readonly key: string }
  | { readonly kind: "admin"; readonly certificate: Certificate }
  | { readonly kind: "demoted"; readonly key: MemberId }
  | {
    readonly kind: "member";
    readonly certificate: Certificate;
    /** Unix seconds: the last moment of the membership. */
    readonly until: number;
    /** Present where a node certified on sight, absent where a person did. */
    readonly token: TokenUse | undefined;
  }
  | { readonly kind: "removed"; readonly key: MemberId }
  /** Not `removed`: whoever makes a token, or a guest, could give it the key of a member. */
  | { readonly kind: "withdrawn"; readonly key: string }
  | {
    readonly kind: "token";
    readonly key: string;
    readonly uses: number;
    readonly groups: readonly string[];
    readonly relay: boolean;
    /** Unix seconds: the last moment for joining. */
    readonly until: number;
    /** Unix seconds: the last moment of a membership that it leads to. */
    readonly memberUntil: number;
    /** Members at whose doors it admits: 1 to {@link DOORS_MAX}. */
    readonly doors: readonly MemberId[];
  }
  | {
    readonly kind: "guest";
    /** Its key is the X25519 key of the device: it signs nothing, and makes nobody a member. */
    readonly certificate: Certificate;
    /** Unix seconds: the last moment in which it is served. */
    readonly until: number;
    /** The member at which its tunnel ends. */
    readonly host: MemberId;
  }
  | { readonly kind: "left" };

export type Kind = Draft["kind"];

interface Signed {
  /** The key that signed, hexadecimal. */
  readonly signer: string;
  /** 1..{@link NUMBER_MAX}; of a successor up to {@link SUCCESSOR_MAX}; 0 for `left`. */
  readonly number: number;
  /** Unix seconds by the signer's clock. */
  readonly at: number;
  /** As it travels. */
  readonly bytes: Uint8Array;
  /** BLAKE2s of the bytes, hexadecimal. */
  readonly hash: string;
}

export type Statement = Draft & Signed;
/** A statement of one kind. */
export type StatementOf<K extends Kind> = Extract<Statement, { kind: K }>;

/** Statements that one key may make at most. */
export const NUMBER_MAX = 16_384;
export const SUCCESSOR_MAX = 0xffff;
/** Doors of one token at most. */
export const DOORS_MAX = 3;
/** How many identities one token may admit. */
export const USES_MAX = 0xffff;
/** Groups of one member at most, and bytes of all their names: a record must hold its proof. */
export const GROUPS_MAX = 8;
export const GROUPS_BYTES_MAX = 96;
const GROUP_MAX = 32;
const NAME_MAX = 63;
/** Bytes of a statement at most. */
export const STATEMENT_MAX = 512;

const LABEL = signatureLabel("statement");
const KINDS: readonly Kind[] = [
  "successor",
  "admin",
  "demoted",
  "member",
  "removed",
  "token",
  "left",
  "withdrawn",
  "guest",
];

/**
 * Whether a text can be a member's name: a DNS label in lower case (RFC 1123), and not one that ends
 * like those which roster.ts makes of a key.
 */
export function isName(text: string): boolean {
  return /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(text) && !/-[0-9a-f]{32}$/.test(text);
}

/** Whether a text can be a group's name. */
export function isGroup(text: string): boolean {
  return text.length <= GROUP_MAX && /^[a-z0-9][a-z0-9_-]*$/.test(text);
}

/** The groups in the one order that is signed. */
export function canonicalGroups(groups: readonly string[]): string[] {
  return [...new Set(groups)].sort();
}

/** What is wrong with groups that a person names; undefined when nothing is. */
export function groupsFault(groups: readonly string[]): string | undefined {
  const bad = groups.find((group) => !isGroup(group));
  if (bad !== undefined) return `group "${bad}": use up to 32 of a-z, 0-9, - and _`;
  const distinct = canonicalGroups(groups);
  if (distinct.length > GROUPS_MAX) {
    return `${distinct.length} groups: a member has up to ${GROUPS_MAX}`;
  }
  const bytes = distinct.reduce((sum, group) => sum + 1 + group.length, 0);
  if (bytes <= GROUPS_BYTES_MAX) return undefined;
  return `groups of ${bytes} bytes together: a member has up to ${GROUPS_BYTES_MAX}`;
}

/**
 * Signs a statement.
 * @param number see {@link Signed}; each number of a signer is used once
 * @param at unix seconds
 */
export function signStatement(
  crypto: Crypto,
  meshId: Uint8Array,
  signing: SigningKey,
  draft: Draft,
  { number, at }: { readonly number: number; readonly at: number },
): Statement {
  const head = new Writer().u8(KINDS.indexOf(draft.kind)).bytes(signing.publicKey)
    .u16(number).u48(at);
  writeFields(head, draft);
  const body = head.finish();
  const signature = crypto.ed25519Sign(signing, signedPart(meshId, body));
  const bytes = new Writer().bytes(body).bytes(signature).finish();
  const hash = hashOf(crypto, bytes);
  return { ...draft, signer: signing.publicKey.toHex(), number, at, bytes, hash };
}

export function hashOf(crypto: Crypto, bytes: Uint8Array): string {
  return crypto.blake2s(bytes).toHex();
}

/** Whether the key that a statement names has signed it, for this mesh. */
export function isSigned(crypto: Crypto, meshId: Uint8Array, { bytes }: Statement): boolean {
  return areSigned(crypto, meshId, bytes);
}

/** The same of encoded bytes, whatever else they say: a later version may know more kinds. */
export function areSigned(crypto: Crypto, meshId: Uint8Array, bytes: Uint8Array): boolean {
  if (bytes.length < 1 + KEY_LENGTH + 64) return false;
  const body = signedPart(meshId, bytes.subarray(0, -64));
  return crypto.ed25519Verify(bytes.subarray(-64), body, bytes.subarray(1, 1 + KEY_LENGTH));
}

/**
 * Reads the form of a statement only: {@link isSigned} looks at its signature.
 * @param hash {@link hashOf} the bytes
 */
export function decodeStatement(bytes: Uint8Array, hash: string): Decoded<Statement> {
  if (bytes.length <= 64 || bytes.length > STATEMENT_MAX) {
    return { ok: false, error: `${bytes.length} bytes are no statement` };
  }
  const reader = new Reader(bytes.subarray(0, -64));
  const kind = KINDS[reader.u8()];
  const signer = readKey(reader);
  const number = reader.u16();
  const at = reader.u48();
  if (kind === undefined) reader.fail("a statement of unknown kind");
  const draft = kind === undefined ? undefined : readFields(reader, kind);
  if (kind !== undefined && !isNumberOf(kind, number)) reader.fail(`a ${kind} of number ${number}`);
  return reader.finish({ ...draft ?? { kind: "left" }, signer, number, at, bytes, hash });
}

function isNumberOf(kind: Kind, number: number): boolean {
  if (kind === "left") return number === 0;
  return number >= 1 && number <= (kind === "successor" ? SUCCESSOR_MAX : NUMBER_MAX);
}

/** The key that a statement is about; of `left` its signer. */
export function subjectOf(statement: Statement): string {
  switch (statement.kind) {
    case "admin":
    case "member":
    case "guest":
      return statement.certificate.key;
    case "left":
      return statement.signer;
    default:
      return statement.key;
  }
}

function writeFields(writer: Writer, draft: Draft): void {
  switch (draft.kind) {
    case "successor":
    case "demoted":
    case "removed":
    case "withdrawn":
      writer.bytes(Uint8Array.fromHex(draft.key));
      return;
    case "admin":
      writeCertificate(writer, draft.certificate);
      return;
    case "member":
      writeCertificate(writer, draft.certificate);
      writer.u48(draft.until).u8(draft.token === undefined ? 0 : 1);
      if (draft.token) writer.bytes(Uint8Array.fromHex(draft.token.key)).u16(draft.token.uses);
      return;
    case "guest":
      writeCertificate(writer, draft.certificate);
      writer.u48(draft.until).bytes(Uint8Array.fromHex(draft.host));
      return;
    case "token":
      writer.bytes(Uint8Array.fromHex(draft.key)).u16(draft.uses).u8(draft.relay ? 1 : 0);
      writeGroups(writer, draft.groups);
      writer.u48(draft.until).u48(draft.memberUntil).u8(draft.doors.length);
      for (const door of draft.doors) writer.bytes(Uint8Array.fromHex(door));
      return;
    case "left":
  }
}

function readFields(reader: Reader, kind: Kind): Draft {
  switch (kind) {
    case "successor":
    case "demoted":
    case "removed":
    case "withdrawn":
      return { kind, key: readKey(reader) };
    case "admin":
      return { kind, certificate: readCertificate(reader) };
    case "member": {
      const certificate = readCertificate(reader);
      const until = reader.u48();
      const hasToken = readFlag(reader);
      const token = hasToken ? { key: readKey(reader), uses: readUses(reader) } : undefined;
      return { kind, certificate, until, token };
    }
    case "guest": {
      const certificate = readCertificate(reader);
      if (certificate.relay) reader.fail("a guest that carries the traffic of others");
      return { kind, certificate, until: reader.u48(), host: readKey(reader) };
    }
    case "token": {
      const key = readKey(reader);
      const uses = readUses(reader);
      const relay = readFlag(reader);
      const groups = readGroups(reader);
      const until = reader.u48();
      const memberUntil = reader.u48();
      const count = reader.u8();
      if (count < 1 || count > DOORS_MAX) reader.fail(`a token with ${count} doors`);
      const doors: MemberId[] = [];
      for (let i = 0; i < count && reader.error === undefined; i++) doors.push(readKey(reader));
      return { kind, key, uses, relay, groups, until, memberUntil, doors };
    }
    case "left":
      return { kind };
  }
}

function writeCertificate(writer: Writer, certificate: Certificate): void {
  const { key, name, groups, relay, ip4Counter, since } = certificate;
  writer.bytes(Uint8Array.fromHex(key)).text(name).u8(relay ? 1 : 0).u16(ip4Counter).u48(since);
  writeGroups(writer, groups);
}

function readCertificate(reader: Reader): Certificate {
  const key = readKey(reader);
  const name = reader.text(NAME_MAX);
  if (!isName(name)) reader.fail("a certificate's name is no DNS label");
  const relay = readFlag(reader);
  const ip4Counter = reader.u16();
  const since = reader.u48();
  return { key, name, relay, ip4Counter, since, groups: readGroups(reader) };
}

function writeGroups(writer: Writer, groups: readonly string[]): void {
  writer.u8(groups.length);
  for (const group of groups) writer.text(group);
}

function readGroups(reader: Reader): string[] {
  const count = reader.u8();
  const groups: string[] = [];
  for (let i = 0; i < count && reader.error === undefined; i++) groups.push(reader.text(GROUP_MAX));
  const canonical = canonicalGroups(groups);
  const isOrdered = groups.length === canonical.length &&
    groups.every((g, i) => g === canonical[i]);
  if (!isOrdered || groupsFault(groups) !== undefined) reader.fail("groups are not sorted names");
  return groups;
}

function readFlag(reader: Reader): boolean {
  const value = reader.u8();
  if (value > 1) reader.fail(`${value} where 0 or 1 is meant`);
  return value === 1;
}

function readUses(reader: Reader): number {
  const uses = reader.u16();
  if (uses === 0) reader.fail("a token without uses");
  return uses;
}

function readKey(reader: Reader): string {
  return reader.bytes(KEY_LENGTH).toHex();
}

function signedPart(meshId: Uint8Array, body: Uint8Array): Uint8Array {
  return new Writer().bytes(LABEL).bytes(meshId).bytes(body).finish();
}

/** Statements of one datagram: as many as fit; the rest is left to gossip. */
export function encodeStatements(statements: readonly Statement[], limit: number): Uint8Array {
  const writer = new Writer();
  for (const { bytes } of statements) {
    if (writer.length + 2 + bytes.length <= limit) writer.long(bytes);
  }
  return writer.finish();
}

/** What {@link encodeStatements} wrote, none of it looked at; nothing where the form is wrong. */
export function decodeStatements(payload: Uint8Array): Uint8Array[] {
  const reader = new Reader(payload);
  const statements: Uint8Array[] = [];
  while (reader.left > 0) statements.push(reader.long(STATEMENT_MAX));
  return reader.error === undefined ? statements : [];
}

/** Whose signature encoded bytes claim to have; they may be anything. */
export function signerOf(bytes: Uint8Array): string {
  return bytes.subarray(1, 1 + KEY_LENGTH).toHex();
}

/** Which of its signer's numbers encoded bytes claim to have; they may be anything. */
export function numberIn(bytes: Uint8Array): number {
  const [high = 0, low = 0] = bytes.subarray(1 + KEY_LENGTH);
  return high * 256 + low;
}

/** What kind of statement encoded bytes claim to be; they may be anything. */
export function kindIn(bytes: Uint8Array): Kind | undefined {
  return KINDS[bytes[0] ?? KINDS.length];
}
