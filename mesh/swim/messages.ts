/**
 * What members say to each other, and its bytes. One message is one datagram: a body (probe, answer,
 * part of a push-pull), the sender's own incarnation, how the sender holds the recipient (so that a
 * member learns in one round trip what it has to refute), and gossip that rides along.
 *
 * A message carries no sender and no address: whoever delivers it knows by authentication who sent
 * it. Nothing here is believed for its own sake; membership.ts says what a third party may claim.
 */
import { type Decoded, fromHex, Reader, U48_MAX, Writer } from "../codec.ts";

/** A member's name: its 32-byte identity key as 64 lower-case hexadecimal digits. */
export type MemberId = string;

/**
 * The first 16 bytes of an identity key as 32 digits. Claims name their subject so: nobody can make
 * a second key with the same 128 bits, and twice as many claims fit a datagram.
 */
export type Tag = string;

/** In order of precedence at one incarnation. `left` is death by the subject's own word. */
export type Status = "alive" | "suspect" | "dead" | "left";

/** Incarnations end here, and stay here: see membership.ts for why that evicts nobody. */
export const INCARNATION_MAX = 0xffff_ffff;

/** What one member says of another. */
export interface Claim {
  readonly subject: Tag;
  readonly status: Status;
  readonly incarnation: number;
  /** Who first said so: present exactly when the status is suspect. Confirmations are counted by it. */
  readonly origin?: Tag;
  /** The subject's signature over the incarnation (announcement.ts), for who has not seen it. */
  readonly proof?: Uint8Array;
}

/**
 * News whose meaning is not swim's: node records and statements. Of two rumours with
 * one kind and key the higher version replaces the lower; an equal one is not news.
 */
export interface Rumour {
  /** 1..255, given out by whoever uses them. */
  readonly kind: number;
  /** 16..32 bytes as lower-case digits. Unique in its first 16 bytes within a kind. */
  readonly key: string;
  /** 0..2^48-1 */
  readonly version: number;
  readonly bytes: Uint8Array;
}

/** One line of a push-pull: what is known of a member. */
export interface MemberItem extends View {
  readonly kind: 0;
  readonly tag: Tag;
}

/** One line of a push-pull: all that is known under a key, without a rumour's bytes. */
export type Item =
  | MemberItem
  | { readonly kind: number; readonly tag: Tag; readonly version: number };

/** A place between items in their order by tag, then kind. */
export interface Cursor {
  readonly tag: Tag;
  readonly kind: number;
}

export type Body =
  /** Are you there? */
  | { readonly kind: "ping"; readonly seq: number }
  | { readonly kind: "ack"; readonly seq: number }
  /** Probe the target for me; say so if it has not answered after `patience` ms. */
  | {
    readonly kind: "ask";
    readonly seq: number;
    readonly target: Tag;
    readonly patience: number;
  }
  /** The target's ack, forwarded to the asker by its helper. */
  | {
    readonly kind: "forward";
    readonly seq: number;
    readonly target: Tag;
    readonly incarnation: number;
  }
  /** The helper is well, the target did not answer it in time. */
  | { readonly kind: "nack"; readonly seq: number }
  /** Opens a push-pull: one hash for every bucket of what the sender knows. */
  | { readonly kind: "digest"; readonly seq: number; readonly hashes: Uint8Array }
  /** Which buckets differ: bit b of `mask` for bucket b. */
  | { readonly kind: "differ"; readonly seq: number; readonly mask: Uint8Array }
  /** Asks for the items of these buckets after a cursor. */
  | {
    readonly kind: "pull";
    readonly seq: number;
    readonly mask: Uint8Array;
    readonly after: Cursor | undefined;
  }
  /** All items of these buckets after `after` and up to `upto`; without it, up to the end. */
  | {
    readonly kind: "page";
    readonly seq: number;
    readonly after: Cursor | undefined;
    readonly upto: Cursor | undefined;
    readonly items: readonly Item[];
  }
  /** Send me these rumours in full; of kind 0: what you hold of this member, with its signature. */
  | { readonly kind: "want"; readonly rumours: readonly Cursor[] }
  /** Nothing but what rides along. */
  | { readonly kind: "news" }
  /** I am leaving. */
  | { readonly kind: "leave" };

/** How the sender holds the recipient. */
export interface View {
  readonly status: Status;
  readonly incarnation: number;
}

export interface Message {
  /** The sender's own incarnation: its word about itself. */
  readonly incarnation: number;
  readonly view: View | undefined;
  readonly body: Body;
  readonly claims: readonly Claim[];
  readonly rumours: readonly Rumour[];
}

/** A push-pull compares this many hashes of {@link HASH_BYTES}. */
export const BUCKETS = 64;
export const HASH_BYTES = 8;
const MASK_BYTES = BUCKETS / 8;
const TAG_BYTES = 16;
/** An Ed25519 signature. */
const PROOF_BYTES = 64;
/** What is added to the status of a claim that carries a proof. */
const PROVEN = 4;

const BODIES = [
  "ping",
  "ack",
  "ask",
  "forward",
  "nack",
  "digest",
  "differ",
  "pull",
  "page",
  "want",
  "news",
  "leave",
] as const;
const STATUSES: readonly Status[] = ["alive", "suspect", "dead", "left"];

/** Bytes of a message with an empty body and nothing riding along. */
const HEADER_SIZE = 1 + 4 + 1 + 4 + 1 + 1;
/** Bytes that a claim takes. */
export function claimSize(claim: Claim): number {
  const { origin, proof } = claim;
  return TAG_BYTES + 1 + 4 + (origin === undefined ? 0 : TAG_BYTES) +
    (proof === undefined ? 0 : PROOF_BYTES);
}
/** Bytes that a rumour takes. */
export function rumourSize(rumour: Rumour): number {
  return 1 + 1 + rumour.key.length / 2 + 6 + 2 + rumour.bytes.length;
}
/** Bytes that an item takes. */
export function itemSize(item: Item): number {
  return TAG_BYTES + 1 + (item.kind === 0 ? 5 : 6);
}
/** Bytes of a message whose body is this and that carries nothing else. */
export function bodySize(body: Body): number {
  switch (body.kind) {
    case "ping":
    case "ack":
    case "nack":
      return HEADER_SIZE + 4;
    case "ask":
      return HEADER_SIZE + 4 + TAG_BYTES + 2;
    case "forward":
      return HEADER_SIZE + 4 + TAG_BYTES + 4;
    case "digest":
      return HEADER_SIZE + 4 + BUCKETS * HASH_BYTES;
    case "differ":
      return HEADER_SIZE + 4 + MASK_BYTES;
    case "pull":
      return HEADER_SIZE + 4 + MASK_BYTES + cursorSize(body.after);
    case "page": {
      let size = HEADER_SIZE + 4 + cursorSize(body.after) + cursorSize(body.upto) + 1;
      for (const item of body.items) size += itemSize(item);
      return size;
    }
    case "want":
      return HEADER_SIZE + 1 + body.rumours.length * (TAG_BYTES + 1);
    case "news":
    case "leave":
      return HEADER_SIZE;
  }
}
function cursorSize(cursor: Cursor | undefined): number {
  return cursor === undefined ? 1 : 1 + TAG_BYTES + 1;
}

/** The most claims, rumours or items of one message: their numbers are one byte. */
export const COUNT_MAX = 255;

/** The bytes of a message. Longer than `limit` bytes is misuse: a RangeError. */
export function encode(message: Message, limit: number): Uint8Array {
  const w = new Writer();
  const { body, view } = message;
  w.u8(BODIES.indexOf(body.kind)).u32(message.incarnation);
  w.u8(view === undefined ? 0 : 1 + STATUSES.indexOf(view.status)).u32(view?.incarnation ?? 0);
  encodeBody(w, body);
  w.u8(message.claims.length);
  for (const claim of message.claims) {
    const { subject, status, incarnation, origin = "", proof } = claim;
    const code = STATUSES.indexOf(status) + (proof === undefined ? 0 : PROVEN);
    tag(w, subject).u8(code).u32(incarnation);
    if (status === "suspect") tag(w, origin);
    if (proof !== undefined) w.bytes(proof);
  }
  w.u8(message.rumours.length);
  for (const rumour of message.rumours) {
    w.u8(rumour.kind).u8(rumour.key.length / 2).hex(rumour.key).u48(rumour.version);
    w.long(rumour.bytes);
  }
  if (w.length > limit) {
    throw new RangeError(`swim: a ${body.kind} of ${w.length} bytes is over the limit of ${limit}`);
  }
  return w.finish();
}

function encodeBody(w: Writer, body: Body): void {
  switch (body.kind) {
    case "ping":
    case "ack":
    case "nack":
      w.u32(body.seq);
      return;
    case "ask":
      tag(w.u32(body.seq), body.target).u16(body.patience);
      return;
    case "forward":
      tag(w.u32(body.seq), body.target).u32(body.incarnation);
      return;
    case "digest":
      w.u32(body.seq).bytes(body.hashes);
      return;
    case "differ":
      w.u32(body.seq).bytes(body.mask);
      return;
    case "pull":
      cursor(w.u32(body.seq).bytes(body.mask), body.after);
      return;
    case "page":
      cursor(w.u32(body.seq), body.after);
      cursor(w, body.upto);
      w.u8(body.items.length);
      for (const item of body.items) {
        tag(w, item.tag).u8(item.kind);
        if ("version" in item) w.u48(item.version);
        else w.u8(STATUSES.indexOf(item.status)).u32(item.incarnation);
      }
      return;
    case "want":
      w.u8(body.rumours.length);
      for (const { tag: key, kind } of body.rumours) tag(w, key).u8(kind);
      return;
    case "news":
    case "leave":
      return;
  }
}

function tag(w: Writer, digits: Tag): Writer {
  if (digits.length !== 2 * TAG_BYTES) {
    throw new RangeError(`swim: ${digits} is not a tag of 16 bytes`);
  }
  return w.hex(digits);
}

function cursor(w: Writer, at: Cursor | undefined): void {
  if (at === undefined) w.u8(0);
  else tag(w.u8(1), at.tag).u8(at.kind);
}

/** The message in bytes from outside, at most `limit` of them. */
export function decode(bytes: Uint8Array, limit: number): Decoded<Message> {
  if (bytes.length > limit) {
    return { ok: false, error: `${bytes.length} bytes are over the limit of ${limit}` };
  }
  const r = new Reader(bytes);
  const kind = BODIES[r.u8()];
  const incarnation = r.u32();
  const view = readView(r);
  const body = kind === undefined ? undefined : readBody(r, kind);
  if (body === undefined) r.fail("no such message");
  const claims: Claim[] = [];
  for (let left = r.u8(); left > 0 && r.error === undefined; left--) claims.push(readClaim(r));
  const rumours: Rumour[] = [];
  for (let left = r.u8(); left > 0 && r.error === undefined; left--) rumours.push(readRumour(r));
  return r.finish({ incarnation, view, body: body ?? { kind: "news" }, claims, rumours });
}

function readView(r: Reader): View | undefined {
  const code = r.u8();
  const incarnation = r.u32();
  if (code > 0) return { status: readStatus(r, code - 1), incarnation };
  if (incarnation > 0) r.fail("an incarnation without a status");
  return undefined;
}

function readStatus(r: Reader, code: number): Status {
  const status = STATUSES[code];
  if (status === undefined) r.fail(`no status has the number ${code}`);
  return status ?? "alive";
}

function readTag(r: Reader): Tag {
  return r.bytes(TAG_BYTES).toHex();
}

function readClaim(r: Reader): Claim {
  const subject = readTag(r);
  const code = r.u8();
  const isProven = code >= PROVEN;
  const status = readStatus(r, isProven ? code - PROVEN : code);
  const claim = { subject, status, incarnation: r.u32() };
  return {
    ...claim,
    ...(status === "suspect" ? { origin: readTag(r) } : {}),
    ...(isProven ? { proof: r.bytes(PROOF_BYTES) } : {}),
  };
}

function readRumour(r: Reader): Rumour {
  const kind = r.u8();
  if (kind === 0) r.fail("kind 0 is no rumour");
  const key = r.short(32);
  if (key.length < TAG_BYTES) r.fail(`a rumour's key of ${key.length} bytes is too short`);
  return { kind, key: key.toHex(), version: r.u48(), bytes: r.long(bytesLeft(r)) };
}

function bytesLeft(r: Reader): number {
  return Math.max(0, r.left - 2);
}

function readBody(r: Reader, kind: Body["kind"]): Body {
  switch (kind) {
    case "ping":
    case "ack":
    case "nack":
      return { kind, seq: r.u32() };
    case "ask":
      return { kind, seq: r.u32(), target: readTag(r), patience: r.u16() };
    case "forward":
      return { kind, seq: r.u32(), target: readTag(r), incarnation: r.u32() };
    case "digest":
      return { kind, seq: r.u32(), hashes: r.bytes(BUCKETS * HASH_BYTES) };
    case "differ":
      return { kind, seq: r.u32(), mask: r.bytes(MASK_BYTES) };
    case "pull":
      return { kind, seq: r.u32(), mask: r.bytes(MASK_BYTES), after: readCursor(r) };
    case "page": {
      const seq = r.u32();
      const after = readCursor(r);
      const upto = readCursor(r);
      const items: Item[] = [];
      for (let left = r.u8(); left > 0 && r.error === undefined; left--) items.push(readItem(r));
      return { kind, seq, after, upto, items };
    }
    case "want": {
      const rumours: Cursor[] = [];
      for (let left = r.u8(); left > 0 && r.error === undefined; left--) {
        rumours.push({ tag: readTag(r), kind: r.u8() });
      }
      return { kind, rumours };
    }
    case "news":
    case "leave":
      return { kind };
  }
}

function readItem(r: Reader): Item {
  const key = readTag(r);
  const kind = r.u8();
  if (kind !== 0) return { kind, tag: key, version: r.u48() };
  return { kind: 0, tag: key, status: readStatus(r, r.u8()), incarnation: r.u32() };
}

function readCursor(r: Reader): Cursor | undefined {
  const present = r.u8();
  if (present === 0) return undefined;
  if (present > 1) r.fail("a cursor is there or not");
  return { tag: readTag(r), kind: r.u8() };
}

/** What is wrong with a rumour that our own side wants to spread; undefined if nothing is. */
export function rumourFault(rumour: Rumour, limit: number): string | undefined {
  const bytes = fromHex(rumour.key)?.length ?? 0;
  const size = HEADER_SIZE + rumourSize(rumour);
  if (bytes < TAG_BYTES || bytes > 32) return `a key of ${bytes} bytes: 16 to 32 are needed`;
  if (!(rumour.kind >= 1 && rumour.kind <= 255)) return `no kind ${rumour.kind}: use 1 to 255`;
  if (!(rumour.version >= 0 && rumour.version <= U48_MAX)) return `no version ${rumour.version}`;
  return size > limit ? `${size} bytes in a datagram of ${limit}` : undefined;
}
