/**
 * What is said at first contact, inside the seals of wire/contact.ts and wire/ask.ts. A hello holds the
 * sender's signed record and nothing else. One round trip makes the sender know the door, one more
 * datagram (`confirm`, with the cookie) proves to the door that the sender is there.
 */
import { type Decoded, Reader, Writer } from "../codec.ts";
import { KEY_LENGTH } from "../crypto.ts";
import type { Endpoint } from "../endpoint.ts";
import { decodeGenesis, encodeGenesis, type Genesis } from "../membership/genesis.ts";
import type { MemberId } from "../membership/identity.ts";
import { type Refusal, REFUSALS } from "../membership/judge.ts";
import { readEndpoint, RECORD_MAX, writeEndpoint } from "../membership/record.ts";
import { isName } from "../membership/statement.ts";

/** Bytes of a door's cookie. */
export const COOKIE_SIZE = 16;
const VERSION_MAX = 32;

export type Verdict =
  /** The sender is a member, or may become one; here is the door's own record. */
  | { readonly kind: "welcome"; readonly record: Uint8Array }
  | { readonly kind: "refused"; readonly why: Refusal; readonly record: Uint8Array };

export interface Answer {
  /** To be repeated in `confirm`. */
  readonly cookie: Uint8Array;
  /** Where the door saw the hello come from. */
  readonly observed: Endpoint;
  readonly verdict: Verdict;
}

/** What somebody without a token says of itself. */
export interface Introduction {
  readonly key: MemberId;
  /** How it wants to be called. */
  readonly name: string;
  /** Of its software, for people. */
  readonly version: string;
}

/** What an approved asker is told: the rest it learns as a member. */
export interface Grant {
  readonly genesis: Genesis;
}

const VERDICTS = ["welcome", "refused"] as const;

export function encodeAnswer({ cookie, observed, verdict }: Answer): Uint8Array {
  const writer = new Writer().bytes(cookie);
  writeEndpoint(writer, observed);
  writer.u8(VERDICTS.indexOf(verdict.kind));
  if (verdict.kind === "refused") writer.u8(REFUSALS.indexOf(verdict.why));
  return writer.long(verdict.record).finish();
}

export function decodeAnswer(bytes: Uint8Array): Decoded<Answer> {
  const reader = new Reader(bytes);
  const cookie = reader.bytes(COOKIE_SIZE);
  const observed = readEndpoint(reader);
  const kind = VERDICTS[reader.u8()];
  const why = kind === "refused" ? REFUSALS[reader.u8()] : undefined;
  if (kind === undefined || kind === "refused" && why === undefined) reader.fail("no verdict");
  const record = reader.long(RECORD_MAX);
  const verdict: Verdict = why === undefined
    ? { kind: "welcome", record }
    : { kind: "refused", why, record };
  return reader.finish({ cookie, observed, verdict });
}

export function encodeIntroduction({ key, name, version }: Introduction): Uint8Array {
  return new Writer().bytes(Uint8Array.fromHex(key)).text(name).text(version).finish();
}

export function decodeIntroduction(bytes: Uint8Array): Decoded<Introduction> {
  const reader = new Reader(bytes);
  const key = reader.bytes(KEY_LENGTH).toHex();
  const name = reader.text(63);
  if (!isName(name)) reader.fail("a name that is no DNS label");
  return reader.finish({ key, name, version: reader.text(VERSION_MAX) });
}

export function encodeGrant({ genesis }: Grant): Uint8Array {
  return encodeGenesis(genesis);
}

export function decodeGrant(bytes: Uint8Array): Decoded<Grant> {
  const genesis = decodeGenesis(bytes);
  return genesis.ok ? { ok: true, value: { genesis: genesis.value } } : genesis;
}
