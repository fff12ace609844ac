/**
 * What is said at first contact: the contents of hello, ask and answer, which control.ts boxes and
 * seals. One round trip makes the joiner know the door, one more datagram (`confirm`, with the
 * cookie) proves to the door that the joiner is live and where it says it is.
 */
import { type Decoded, Reader, Writer } from "./codec.ts";
import { KEY_LENGTH } from "./crypto.ts";
import type { Endpoint } from "./endpoint.ts";
import { readEndpoint, RECORD_MAX, writeEndpoint } from "./record.ts";
import { CHAIN_MAX, isName } from "./trust/certificate.ts";
import { type Refusal, REFUSALS } from "./trust/trust.ts";

/** Bytes of a joiner's challenge and of a door's cookie. */
export const CHALLENGE_SIZE = 16;

export interface Greeting {
  /** Random: the answer repeats it, so it is fresh. */
  readonly challenge: Uint8Array;
  /** How the joiner wants to be called; in a hello its certificate says it. */
  readonly name: string;
  /** The joiner's signed record. In an ask it is signed for "no mesh" and has no chain. */
  readonly record: Uint8Array;
}

export type Verdict =
  /** The joiner is a member; here is the door's own record. */
  | { readonly kind: "welcome"; readonly record: Uint8Array }
  /** An admin approved: the mesh's key and the joiner's chain (empty: trusted individually). */
  | { readonly kind: "granted"; readonly meshKey: Uint8Array; readonly chain: Uint8Array }
  /** The request is shown to people. */
  | { readonly kind: "pending" }
  | { readonly kind: "refused"; readonly why: Refusal; readonly record: Uint8Array };

export interface Answer {
  readonly challenge: Uint8Array;
  /** To be repeated in `confirm`. */
  readonly cookie: Uint8Array;
  /** Where the door saw the greeting come from. */
  readonly observed: Endpoint;
  readonly verdict: Verdict;
}

const VERDICTS = ["welcome", "granted", "pending", "refused"] as const;

export function encodeGreeting(greeting: Greeting): Uint8Array {
  return new Writer().bytes(greeting.challenge).text(greeting.name).long(greeting.record).finish();
}

/** Reads a greeting out of its padded box. */
export function decodeGreeting(padded: Uint8Array): Decoded<Greeting> {
  const reader = new Reader(padded);
  const challenge = reader.bytes(CHALLENGE_SIZE);
  const name = reader.text(63);
  if (!isName(name)) reader.fail("a name that is no DNS label");
  const record = reader.long(RECORD_MAX);
  if (reader.bytes(reader.left).some((byte) => byte !== 0)) reader.fail("padding that is not zero");
  return reader.finish({ challenge, name, record });
}

export function encodeAnswer(answer: Answer): Uint8Array {
  const { verdict } = answer;
  const writer = new Writer().bytes(answer.challenge).bytes(answer.cookie);
  writeEndpoint(writer, answer.observed);
  writer.u8(VERDICTS.indexOf(verdict.kind));
  switch (verdict.kind) {
    case "welcome":
      return writer.long(verdict.record).finish();
    case "granted":
      return writer.bytes(verdict.meshKey).long(verdict.chain).finish();
    case "pending":
      return writer.finish();
    case "refused":
      return writer.u8(REFUSALS.indexOf(verdict.why)).long(verdict.record).finish();
  }
}

export function decodeAnswer(bytes: Uint8Array): Decoded<Answer> {
  const reader = new Reader(bytes);
  const challenge = reader.bytes(CHALLENGE_SIZE);
  const cookie = reader.bytes(CHALLENGE_SIZE);
  const observed = readEndpoint(reader);
  const verdict = readVerdict(reader);
  return reader.finish({ challenge, cookie, observed, verdict });
}

function readVerdict(reader: Reader): Verdict {
  const kind = VERDICTS[reader.u8()];
  switch (kind) {
    case "welcome":
      return { kind, record: reader.long(RECORD_MAX) };
    case "granted":
      return { kind, meshKey: reader.bytes(KEY_LENGTH), chain: reader.long(CHAIN_MAX) };
    case "pending":
      return { kind };
    default: {
      const why = REFUSALS[reader.u8()];
      if (kind === undefined || why === undefined) reader.fail("an unknown verdict");
      return { kind: "refused", why: why ?? "invalid", record: reader.long(RECORD_MAX) };
    }
  }
}
