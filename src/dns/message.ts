/**
 * DNS messages as bytes (RFC 1035, section 4; EDNS RFC 6891), by npm:dns-packet. Whatever arrives is read without an
 * exception: what is no question at all is undefined, and a question that cannot be answered says by which code.
 */
import { Buffer } from "node:buffer";
// @ts-types="./dns_packet.d.ts"
import * as packet from "npm:dns-packet@5.6.1";

/** RFC 1035, section 4.1.1, and RFC 6891, section 6.1.3. */
export const Rcode = {
  done: 0,
  malformed: 1,
  noSuchName: 3,
  notImplemented: 4,
  refused: 5,
  badVersion: 16,
} as const;

export type RcodeValue = (typeof Rcode)[keyof typeof Rcode];

/** A message over UDP without EDNS (RFC 1035, section 4.2.1), and the largest that never needs a fragment. */
const SIZE_PLAIN = 512;
const SIZE_UDP = 1_232;
/** Over TCP the length is 16 bits. */
const SIZE_TCP = 65_535;
/** A question with the largest name and some EDNS options has less. */
export const QUESTION_MAX = 1_024;

const HEADER = 12;
const AUTHORITATIVE = 1 << 10;
const TRUNCATED = 1 << 9;
const RECURSION_DESIRED = 1 << 8;
const RESPONSE = 1 << 15;

export interface Question {
  /** With the case in which it was asked (0x20); without a dot at its end; "" is the root. */
  readonly name: string;
  /** `A`, `AAAA`, ...; `UNKNOWN_65` for what has no name in dns-packet. */
  readonly type: string;
}

export interface Query extends Question {
  readonly id: number;
  readonly isRecursionDesired: boolean;
  /** Bytes that who asks takes over UDP; undefined: it does not speak EDNS. */
  readonly udpSize: number | undefined;
}

export interface DnsRecord {
  readonly name: string;
  readonly type: "A" | "AAAA" | "PTR" | "NS" | "SOA";
  /** Seconds. */
  readonly ttl: number;
  readonly data: unknown;
}

export interface Answer {
  readonly rcode: RcodeValue;
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
}

/** A question, or what was asked and cannot be answered: then all that is known of it is its number. */
export type Reading =
  | { readonly kind: "query"; readonly query: Query }
  | { readonly kind: "faulty"; readonly id: number; readonly rcode: RcodeValue };

/** @returns undefined: it is no question, and nobody waits for an answer */
export function readQuery(bytes: Uint8Array): Reading | undefined {
  if (bytes.length < HEADER || bytes.length > QUESTION_MAX) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [id, flags] = [view.getUint16(0), view.getUint16(2)];
  if ((flags & RESPONSE) !== 0) return undefined;
  const faulty = (rcode: RcodeValue): Reading => ({ kind: "faulty", id, rcode });
  if (((flags >> 11) & 15) !== 0) return faulty(Rcode.notImplemented); // No QUERY (opcode 0).
  if (view.getUint16(4) !== 1) return faulty(Rcode.malformed);
  let decoded: packet.Packet;
  try {
    decoded = packet.decode(Buffer.from(bytes));
  } catch {
    return faulty(Rcode.malformed);
  }
  const [question] = decoded.questions ?? [];
  if (!question || !isAsAsked(bytes, question)) return faulty(Rcode.malformed);
  const edns = (decoded.additionals ?? []).filter(({ type }) => type === "OPT");
  if (edns.length > 1) return faulty(Rcode.malformed);
  const [option] = edns;
  if (option && option.ednsVersion !== 0) return faulty(Rcode.badVersion);
  if (question.class !== "IN") return faulty(Rcode.refused);
  const { name, type } = question;
  const isRecursionDesired = (flags & RECURSION_DESIRED) !== 0;
  const udpSize = option && Math.min(Math.max(option.udpPayloadSize ?? 0, SIZE_PLAIN), SIZE_UDP);
  const query = { id, name: name === "." ? "" : name, type, isRecursionDesired, udpSize };
  return { kind: "query", query };
}

/**
 * The bytes that answer a question; over UDP, where it does not fit, none of it and the bit that asks for TCP
 * (RFC 2181, section 9).
 */
export function writeAnswer(query: Query, answer: Answer, transport: "udp" | "tcp"): Uint8Array {
  const size = transport === "tcp" ? SIZE_TCP : query.udpSize ?? SIZE_PLAIN;
  const flags = AUTHORITATIVE | (query.isRecursionDesired ? RECURSION_DESIRED : 0);
  const isOurs = answer.rcode !== Rcode.refused;
  const whole = encode(query, isOurs ? flags : flags & ~AUTHORITATIVE, answer);
  if (whole.length <= size) return whole;
  return encode(query, flags | TRUNCATED, { ...answer, answers: [], authorities: [] });
}

/** The answer to what could not be read as a question: a header alone. */
export function writeFault(id: number, rcode: RcodeValue): Uint8Array {
  const isExtended = rcode > 15;
  return Uint8Array.from(packet.encode({
    id,
    type: "response",
    flags: rcode & 15,
    additionals: isExtended ? [edns(rcode >> 4)] : [],
  }));
}

function encode(query: Query, flags: number, { rcode, answers, authorities }: Answer): Uint8Array {
  const { id, name, type, udpSize } = query;
  return Uint8Array.from(packet.encode({
    id,
    type: "response",
    flags: flags | rcode,
    questions: [{ name: name === "" ? "." : name, type, class: "IN" }],
    answers: answers.map(withClass),
    authorities: authorities.map(withClass),
    additionals: udpSize === undefined ? [] : [edns(0)],
  }));
}

function withClass(record: DnsRecord): packet.Answer {
  return { ...record, class: "IN" };
}

function edns(extendedRcode: number): packet.Answer {
  return {
    name: ".",
    type: "OPT",
    udpPayloadSize: SIZE_UDP,
    extendedRcode,
    ednsVersion: 0,
    flags: 0,
    options: [],
  };
}

/**
 * Whether a question that was read is written as it came: a label that is not UTF-8, or has a dot in it, is not what
 * was asked any more.
 */
function isAsAsked(bytes: Uint8Array, question: packet.Question): boolean {
  try {
    const written = packet.encode({ type: "query", id: 0, flags: 0, questions: [question] });
    if (HEADER + written.length - HEADER > bytes.length) return false;
    return written.subarray(HEADER).every((byte, i) => byte === bytes[HEADER + i]);
  } catch {
    return false;
  }
}
