/** Questions to members whose answer is measured: `shoal ping`, and first acquaintance. */
import { type Decoded, Reader, Writer } from "./codec.ts";
import { PAYLOAD_MAX } from "./wire/seal.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Deadline, Now } from "./machine.ts";
import { readEndpoint, writeEndpoint } from "./membership/record.ts";
import type { Who } from "./event.ts";
import type { MemberId } from "./membership/identity.ts";

/** Unanswered pings at most; at the limit the oldest counts as lost. */
export const PINGS_MAX = 1024;

export interface Ping {
  readonly who: Who;
  readonly nonce: number;
  /** Boot ms. */
  readonly sentAt: number;
  readonly until: number;
  /** Where it went: each place was told a number of its own, which only its reader can repeat. */
  readonly places: ReadonlyMap<number, Endpoint>;
  /** Whether a person waits for the outcome. */
  readonly isAsked: boolean;
}

export class Pings {
  readonly #waiting = new Map<number, Ping>();

  /** Remembers a ping that is being sent. @returns the one that made room. */
  add(ping: Ping): Ping | undefined {
    const [oldest] = this.#waiting.values();
    const lost = this.#waiting.size >= PINGS_MAX ? oldest : undefined;
    if (lost) this.#waiting.delete(lost.nonce);
    this.#waiting.set(ping.nonce, ping);
    return lost;
  }

  has(nonce: number): boolean {
    return this.#waiting.has(nonce);
  }

  /** The ping that this member answers; once. */
  answered(from: MemberId, nonce: number): Ping | undefined {
    const ping = this.#waiting.get(nonce);
    if (ping?.who.id !== from) return undefined;
    this.#waiting.delete(nonce);
    return ping;
  }

  /** The pings whose time is over. */
  overdue(now: Now): Ping[] {
    const lost = [...this.#waiting.values()].filter(({ until }) => now.boot >= until);
    for (const { nonce } of lost) this.#waiting.delete(nonce);
    return lost;
  }

  deadline(): Deadline | undefined {
    let at = Infinity;
    for (const { until } of this.#waiting.values()) at = Math.min(at, until);
    return at === Infinity ? undefined : { at, why: "a ping is lost" };
  }
}

/** Bytes of a ping's payload at least: the answer is never longer. */
export const PING_MIN = 32;
export const PING_MAX = PAYLOAD_MAX;

/** @param token of the place that it goes to @param size bytes of payload, {@link PING_MIN} to {@link PING_MAX}. */
export function encodePing(nonce: number, token: number, size: number): Uint8Array {
  return new Writer().u32(nonce).u32(token).bytes(new Uint8Array(size - 8)).finish();
}

export function decodePing(payload: Uint8Array): Decoded<{ nonce: number; token: number }> {
  const reader = new Reader(payload);
  const nonce = reader.u32();
  const token = reader.u32();
  if (payload.length < PING_MIN) reader.fail("a ping shorter than its answer");
  reader.bytes(reader.left);
  return reader.finish({ nonce, token });
}

/** @param observed where the ping came from, as the answerer sees it. */
export function encodePong(nonce: number, token: number, observed: Endpoint): Uint8Array {
  const writer = new Writer().u32(nonce).u32(token);
  writeEndpoint(writer, observed);
  return writer.finish();
}

export function decodePong(
  payload: Uint8Array,
): Decoded<{ nonce: number; token: number; observed: Endpoint }> {
  const reader = new Reader(payload);
  const nonce = reader.u32();
  const token = reader.u32();
  const observed = readEndpoint(reader);
  return reader.finish({ nonce, token, observed });
}
