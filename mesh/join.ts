/**
 * Knocking: how a node gets back into its mesh, or into one for the first time, through seeds. Each
 * seed is tried for ever with a jittered back-off; its host name is resolved anew each time. The
 * machine sends hellos or asks and recognises the answers; what an answer means is judged by the
 * node.
 */
import type { Crypto } from "./crypto.ts";
import { type Endpoint, parseEndpoint } from "./endpoint.ts";
import type { Deadline, Now, Outbox, Random } from "./machine.ts";
import { openAnswer, sealHello } from "./control.ts";
import type { NodeEvent } from "./event.ts";
import { type Answer, CHALLENGE_SIZE, decodeAnswer, encodeGreeting } from "./greeting.ts";
import { readSeed } from "./seed.ts";
import type { Identity } from "./trust/identity.ts";

/** Seeds at most; further ones are refused. */
export const SEEDS_MAX = 32;
/** Addresses of one host name that are tried. */
const ADDRESSES_MAX = 4;
/** Milliseconds before the second try; each further wait doubles up to the longest. */
const FIRST_WAIT = 500;
const LONGEST_WAIT = 60_000;
/** While a request is shown to a person, the answer should follow the approval soon. */
const PENDING_WAIT = 2_000;
/** Silence that is worth a word to a person. */
const REPORT_AFTER = 10_000;

/** What is knocked with. */
export interface Introduction {
  readonly type: "hello" | "ask";
  readonly meshId: Uint8Array;
  readonly name: string;
  readonly record: Uint8Array;
}

/** A seed that is knocked at. */
interface Target {
  readonly text: string;
  /** Boot ms of the next try. */
  at: number;
  wait: number;
  tries: number;
  /** Boot ms of the first try since it last answered; undefined: none. */
  since: number | undefined;
  /** Hexadecimal, of the last two tries: an answer may be late. */
  challenges: string[];
  isReported: boolean;
  isPending: boolean;
  isResolving: boolean;
  /** What is wrong with it, as a person was told. */
  complaint: string | undefined;
}

/** An answer to a knock of ours, from the holder of `key`. */
export interface Answered {
  readonly seed: string;
  readonly key: Uint8Array;
  readonly answer: Answer;
}

export class Joiner {
  readonly #seeds = new Map<string, Target>();
  #introduction: Introduction | undefined;

  constructor(
    private readonly crypto: Crypto,
    private readonly random: Random,
    private readonly self: Identity,
  ) {}

  /** Adds a seed, to be knocked at once when knocking. @returns false at the limit. */
  add(text: string): boolean {
    if (this.#seeds.has(text)) return true;
    if (this.#seeds.size >= SEEDS_MAX) return false;
    this.#seeds.set(text, {
      text,
      at: 0,
      wait: FIRST_WAIT,
      tries: 0,
      since: undefined,
      challenges: [],
      isReported: false,
      isPending: false,
      isResolving: false,
      complaint: undefined,
    });
    return true;
  }

  seeds(): string[] {
    return [...this.#seeds.keys()];
  }

  /** What is wrong with seeds, a sentence each, as long as we knock. */
  complaints(): string[] {
    return [...this.#seeds.values()].flatMap(({ complaint }) => complaint ?? []);
  }

  /** Says what is wrong with a seed, once as long as it stays the same. */
  complain(text: string, why: string, out: Outbox<NodeEvent>): void {
    const seed = this.#seeds.get(text);
    if (seed === undefined || seed.complaint === why) return;
    seed.complaint = why;
    out.event({ kind: "joinFailed", seed: text, why });
  }

  /** Knocks with this from now on; undefined stops. The same kind of introduction keeps the pace. */
  knockWith(now: Now, introduction: Introduction | undefined): void {
    const before = this.#introduction;
    this.#introduction = introduction;
    if (introduction === undefined) {
      for (const seed of this.#seeds.values()) seed.complaint = undefined;
    }
    if (introduction === undefined || before?.type === introduction.type) return;
    for (const seed of this.#seeds.values()) {
      Object.assign(seed, { at: now.boot, wait: FIRST_WAIT, tries: 0, since: undefined });
      Object.assign(seed, { isReported: false, isPending: false, isResolving: false });
    }
  }

  deadline(): Deadline | undefined {
    if (this.#introduction === undefined) return undefined;
    let at = Infinity;
    for (const seed of this.#seeds.values()) at = Math.min(at, seed.at, reportAt(seed));
    return at === Infinity ? undefined : { at, why: "knock at a seed" };
  }

  poll(now: Now, out: Outbox<NodeEvent>): void {
    if (this.#introduction === undefined) return;
    for (const seed of this.#seeds.values()) {
      if (now.boot >= reportAt(seed)) this.#report(now, seed, out);
      if (now.boot >= seed.at) this.#try(now, seed, out);
    }
  }

  /** The addresses of a seed that was asked for by event `resolve`; none: no such host. */
  resolved(text: string, endpoints: readonly Endpoint[], out: Outbox<NodeEvent>): void {
    const seed = this.#seeds.get(text);
    if (!seed?.isResolving || this.#introduction === undefined) return;
    seed.isResolving = false;
    if (endpoints.length > 0) return this.#knock(seed, endpoints, out);
    if (seed.isReported) return;
    seed.isReported = true;
    const why = `seed ${text} has no address: does the name exist, and does DNS answer here?`;
    this.complain(text, why, out);
  }

  /** An answer datagram; undefined when it is not to a knock of ours. */
  answered(now: Now, bytes: Uint8Array): Answered | undefined {
    if (this.#introduction === undefined) return undefined;
    const opened = openAnswer(this.crypto, this.#introduction.meshId, this.self, bytes);
    if (!opened.ok) return undefined;
    const answer = decodeAnswer(opened.value.content);
    if (!answer.ok) return undefined;
    const challenge = answer.value.challenge.toHex();
    for (const seed of this.#seeds.values()) {
      if (!seed.challenges.includes(challenge)) continue;
      // One answer a knock: a second one with this challenge is a replay.
      seed.challenges = seed.challenges.filter((sent) => sent !== challenge);
      seed.since = undefined;
      seed.isPending = answer.value.verdict.kind === "pending";
      if (seed.isPending) seed.at = now.boot + this.#jittered(PENDING_WAIT);
      return { seed: seed.text, key: opened.value.key, answer: answer.value };
    }
    return undefined;
  }

  #try(now: Now, seed: Target, out: Outbox<NodeEvent>): void {
    seed.wait = seed.tries === 0 ? FIRST_WAIT : Math.min(2 * seed.wait, LONGEST_WAIT);
    seed.at = now.boot + this.#jittered(seed.isPending ? PENDING_WAIT : seed.wait);
    seed.tries++;
    seed.since ??= now.boot;
    const endpoint = parseEndpoint(seed.text);
    if (endpoint !== undefined) return this.#knock(seed, [endpoint], out);
    seed.isResolving = true;
    out.event({ kind: "resolve", seed: seed.text });
  }

  #knock(seed: Target, endpoints: readonly Endpoint[], out: Outbox<NodeEvent>): void {
    const introduction = this.#introduction;
    if (introduction === undefined) return;
    const { type, meshId, name, record } = introduction;
    const challenge = this.random(CHALLENGE_SIZE);
    seed.challenges = [challenge.toHex(), ...seed.challenges.slice(0, 1)];
    const content = encodeGreeting({ challenge, name, record });
    const bytes = sealHello(this.crypto, this.random, type, meshId, content);
    for (const to of endpoints.slice(0, ADDRESSES_MAX)) out.send({ bytes, to });
  }

  #report(now: Now, seed: Target, out: Outbox<NodeEvent>): void {
    seed.isReported = true;
    const seconds = Math.round((now.boot - (seed.since ?? now.boot)) / 1000);
    const port = readSeed(seed.text)?.port;
    const why = `seed ${seed.text} did not answer in ${seconds} s (${seed.tries} tries): ` +
      `is UDP port ${port} open there, and is that node of this mesh?`;
    this.complain(seed.text, why, out);
  }

  /** ±25 %, so that nodes that lost the same seed at once do not knock at once. */
  #jittered(ms: number): number {
    const [high = 0, low = 0] = this.random(2);
    return ms * (0.75 + 0.5 * (high * 256 + low) / 65_536);
  }
}

/** When a person should hear that a seed is silent; once. */
function reportAt(seed: Target): number {
  if (seed.isReported || seed.since === undefined) return Infinity;
  return seed.since + REPORT_AFTER;
}
