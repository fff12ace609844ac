/** The part of npm:dns-packet that message.ts uses; the package brings no types. */
import type { Buffer } from "node:buffer";

export interface Question {
  readonly name: string;
  readonly type: string;
  readonly class?: string;
}

export interface Answer {
  readonly name: string;
  readonly type: string;
  readonly class?: string;
  readonly ttl?: number;
  readonly data?: unknown;
  /** Of OPT. */
  readonly udpPayloadSize?: number;
  readonly extendedRcode?: number;
  readonly ednsVersion?: number;
  readonly flags?: number;
  readonly options?: readonly unknown[];
}

export interface Packet {
  readonly id?: number;
  readonly type?: "query" | "response";
  readonly flags?: number;
  readonly questions?: readonly Question[];
  readonly answers?: readonly Answer[];
  readonly authorities?: readonly Answer[];
  readonly additionals?: readonly Answer[];
}

/** @throws {Error} when the bytes are no message */
export function decode(bytes: Buffer): Packet;
/** @throws {Error} when something in it has no form on the wire */
export function encode(packet: Packet): Buffer;
