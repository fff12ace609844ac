/**
 * Knocking: how a node gets back into its mesh, or into one for the first time, through seeds. Each
 * seed is tried for ever with a jittered back-off; its host name is resolved anew each time. The
 * machine seals hellos for the key of the member that should be there, or asks without a key where it
 * knows no mesh yet; what an answer means is judged by the node.
 */
import type { Crypto } from "../crypto.ts";
import { type Endpoint, parseEndpoint, sameEndpoint } from "../endpoint.ts";
import type { NodeEvent } from "../event.ts";
import type { Deadline, Now, Outbox, Random } from "../machine.ts";
import type { Identity, MemberId } from "../membership/identity.ts";
import { readSeed } from "../seed.ts";
import type { Arrival } from "../tunnel/types.ts";
import {
  type Offer,
  openOffer,
  openReply,
  type Reply,
  sealAsk,
  sealRequest,
  type SentAsk,
  type SentRequest,
} from "../wire/ask.ts";
import { type Answer, decodeAnswer } from "./greeting.ts";
import { Hellos } from "./hellos.ts";
import type { Place } from "./token.ts";

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
/** Milliseconds for which an offer's cookie is good: half of what the door recognises. */
const OFFER_TIME = 90_000;

/** With what is knocked. */
export type Knocking =
  | {
    readonly type: "hello";
    readonly meshId: Uint8Array;
    readonly record: Uint8Array;
    /** Keys of members that may be at a seed whose key is not known, the likely ones first. */
    readonly candidates: readonly MemberId[];
    /**
     * The encoded introduction of somebody that knows the mesh and has nothing to prove its membership with, as after a new
     * key: it asks, too, for a door that does not know its key says nothing to its hello.
     */
    readonly introduction?: Uint8Array;
  }
  /** The encoded introduction of somebody that knows no mesh. */
  | { readonly type: "ask"; readonly introduction: Uint8Array };

/** A seed that is knocked at. */
interface Target {
  readonly text: string;
  /** The member that is there, as far as is known. */
  key: MemberId | undefined;
  /** Boot ms of the next try. */
  at: number;
  wait: number;
  tries: number;
  /** Boot ms of the first try since it last answered; undefined: none. */
  since: number | undefined;
  /** Tries in which something was sent to it since then: none as long as its name has no address. */
  sent: number;
  isReported: boolean;
  isPending: boolean;
  isResolving: boolean;
  /** What is wrong with it, as a person was told. */
  complaint: string | undefined;
  /** That is a clock that is wrong. */
  isOfClock: boolean;
  /** A conversation without a key, as far as it has come. */
  ask: SentAsk | undefined;
  offer: { readonly offer: Offer; readonly from: Endpoint; readonly at: number } | undefined;
  requests: readonly SentRequest[];
}

/** An answer to a knock of ours, from the holder of `key`. */
export type Answered =
  | {
    readonly kind: "answer";
    readonly seed: string;
    readonly key: Uint8Array;
    readonly answer: Answer;
    /** It came from where the hello had gone. */
    readonly isThere: boolean;
  }
  | {
    readonly kind: "reply";
    readonly seed: string;
    readonly key: Uint8Array;
    readonly reply: Reply;
  };

export class Joiner {
  readonly #seeds = new Map<string, Target>();
  #knocking: Knocking | undefined;
  #hellos: Hellos<{ readonly seed: string; readonly place: Endpoint }> | undefined;

  constructor(
    private readonly crypto: Crypto,
    private readonly random: Random,
    private readonly self: Identity,
  ) {}

  /** Adds a seed, to be knocked at once when knocking. @returns false at the limit. */
  add(text: string, key?: MemberId): boolean {
    const known = this.#seeds.get(text);
    if (known) {
      known.key ??= key;
      return true;
    }
    if (this.#seeds.size >= SEEDS_MAX) return false;
    this.#seeds.set(text, {
      text,
      key,
      at: 0,
      wait: FIRST_WAIT,
      tries: 0,
      since: undefined,
      sent: 0,
      isReported: false,
      isPending: false,
      isResolving: false,
      complaint: undefined,
      isOfClock: false,
      ask: undefined,
      offer: undefined,
      requests: [],
    });
    return true;
  }

  seeds(): (Partial<Place> & { readonly seed: string })[] {
    return Array.from(this.#seeds.values(), ({ text: seed, key }) => ({
      seed,
      ...(key ? { key } : {}),
    }));
  }

  /** What is wrong with seeds, a sentence each, as long as we knock. */
  complaints(): string[] {
    return [...this.#seeds.values()].flatMap(({ complaint }) => complaint ?? []);
  }

  /** Says what is wrong with a seed, once as long as it stays the same, or it is a clock. */
  complain(text: string, why: string, out: Outbox<NodeEvent>, isOfClock = false): void {
    const seed = this.#seeds.get(text);
    if (seed === undefined || seed.complaint === why) return;
    const isTold = isOfClock && seed.isOfClock;
    seed.complaint = why;
    seed.isOfClock = isOfClock;
    if (isTold) return;
    out.event({ kind: "joinFailed", seed: text, why, ...(isOfClock ? { isOfClock } : {}) });
  }

  /** Knocks with this from now on; undefined stops. The same kind of knocking keeps the pace. */
  knockWith(now: Now, knocking: Knocking | undefined): void {
    const before = this.#knocking;
    this.#knocking = knocking;
    if (knocking === undefined) {
      for (const seed of this.#seeds.values()) {
        Object.assign(seed, { complaint: undefined, isOfClock: false });
      }
      return;
    }
    if (before?.type === knocking.type) return;
    this.#hellos = knocking.type === "hello"
      ? new Hellos(this.crypto, this.random, knocking.meshId, this.self)
      : undefined;
    for (const seed of this.#seeds.values()) {
      Object.assign(seed, { at: now.boot, wait: FIRST_WAIT, tries: 0, since: undefined });
      Object.assign(seed, { sent: 0, isReported: false, isPending: false, isResolving: false });
    }
  }

  /** This machine has got an address: whom it could not reach before it may reach now, so each seed is tried at once. */
  hurry(now: Now): void {
    for (const seed of this.#seeds.values()) {
      Object.assign(seed, { at: now.boot, wait: FIRST_WAIT / 2 }); // Which the try doubles.
    }
  }

  deadline(): Deadline | undefined {
    if (this.#knocking === undefined) return undefined;
    let at = Infinity;
    for (const seed of this.#seeds.values()) at = Math.min(at, seed.at, reportAt(seed));
    return at === Infinity ? undefined : { at, why: "knock at a seed" };
  }

  poll(now: Now, out: Outbox<NodeEvent>): void {
    if (this.#knocking === undefined) return;
    for (const seed of this.#seeds.values()) {
      if (now.boot >= reportAt(seed)) this.#report(now, seed, out);
      if (now.boot >= seed.at) this.#try(now, seed, out);
    }
  }

  /** The addresses of a seed that was asked for by event `resolve`; none: no such host. */
  resolved(now: Now, text: string, endpoints: readonly Endpoint[], out: Outbox<NodeEvent>): void {
    const seed = this.#seeds.get(text);
    if (!seed?.isResolving || this.#knocking === undefined) return;
    seed.isResolving = false;
    if (endpoints.length === 0) {
      if (!seed.isReported) this.#reportUnfound(seed, out);
      return;
    }
    // Its silence begins with the first datagram that it could answer, and not with the first question to DNS.
    if (seed.sent === 0 && seed.since !== undefined) seed.since = now.boot;
    if (seed.complaint === noAddress(text)) {
      Object.assign(seed, { complaint: undefined, isReported: false });
    }
    this.#knock(now, seed, endpoints, out);
  }

  #reportUnfound(seed: Target, out: Outbox<NodeEvent>): void {
    seed.isReported = true;
    this.complain(seed.text, noAddress(seed.text), out);
  }

  /** An answer datagram; undefined when it is not to a knock of ours, or only part of one. */
  answered(now: Now, arrival: Arrival, out: Outbox<NodeEvent>): Answered | undefined {
    if (this.#knocking === undefined) return undefined;
    const replied = this.#hellos?.reply(arrival.bytes);
    if (replied?.kind === "again") {
      out.send(backTo(arrival, replied.bytes));
      return undefined;
    }
    if (replied?.kind === "answer") {
      const answer = decodeAnswer(replied.content);
      const seed = this.#seeds.get(replied.about.seed);
      if (!answer.ok || !seed) return undefined;
      const { key } = replied;
      Object.assign(seed, { since: undefined, sent: 0 });
      seed.key = key.toHex();
      const isThere = sameEndpoint(replied.about.place, arrival.from);
      return { kind: "answer", seed: seed.text, key, answer: answer.value, isThere };
    }
    for (const seed of this.#seeds.values()) {
      const answered = this.#asked(now, seed, arrival, out);
      if (answered) return answered === "taken" ? undefined : answered;
    }
    return undefined;
  }

  #asked(
    now: Now,
    seed: Target,
    arrival: Arrival,
    out: Outbox<NodeEvent>,
  ): Answered | "taken" | undefined {
    const offer = seed.ask && openOffer(this.crypto, seed.ask, arrival.bytes);
    if (offer) {
      seed.ask = undefined;
      seed.offer = { offer, from: arrival.from, at: now.boot };
      this.#request(seed, arrival.from, out);
      return "taken";
    }
    for (const request of seed.requests) {
      const opened = openReply(this.crypto, this.self, request, arrival.bytes);
      if (!opened) continue;
      seed.requests = seed.requests.filter((one) => one !== request);
      Object.assign(seed, { since: undefined, sent: 0 });
      seed.isPending = opened.reply.kind === "pending";
      seed.key = opened.door.toHex();
      if (seed.isPending) seed.at = now.boot + this.#jittered(PENDING_WAIT);
      return { kind: "reply", seed: seed.text, key: opened.door, reply: opened.reply };
    }
    return undefined;
  }

  #request(seed: Target, to: Endpoint, out: Outbox<NodeEvent>): void {
    const introduction = this.#knocking?.introduction;
    if (introduction === undefined || !seed.offer) return;
    const request = sealRequest(this.crypto, this.random, seed.offer.offer, introduction);
    seed.requests = [request, ...seed.requests.slice(0, 1)];
    out.send({ bytes: request.bytes, to });
  }

  #try(now: Now, seed: Target, out: Outbox<NodeEvent>): void {
    seed.wait = seed.tries === 0 ? FIRST_WAIT : Math.min(2 * seed.wait, LONGEST_WAIT);
    seed.at = now.boot + this.#jittered(seed.isPending ? PENDING_WAIT : seed.wait);
    seed.tries++;
    // That nobody answers a hello to another key than the one that answered last says nothing.
    if (this.#knocking?.type === "ask" || isOwnTurn(seed)) seed.since ??= now.boot;
    const endpoint = parseEndpoint(seed.text);
    if (endpoint !== undefined) return this.#knock(now, seed, [endpoint], out);
    seed.isResolving = true;
    out.event({ kind: "resolve", seed: seed.text });
  }

  #knock(
    now: Now,
    seed: Target,
    endpoints: readonly Endpoint[],
    out: Outbox<NodeEvent>,
  ): void {
    const knocking = this.#knocking;
    const some = endpoints.slice(0, ADDRESSES_MAX);
    seed.sent++;
    const key = knocking?.type === "hello" ? this.#keyAt(seed, knocking.candidates) : undefined;
    if (knocking?.type === "hello" && key !== undefined) {
      // Each is sealed anew: a copy of one that was opened is not looked at.
      for (const to of some) {
        const about = { seed: seed.text, place: to };
        const bytes = this.#hellos?.seal(Uint8Array.fromHex(key), knocking.record, about);
        if (bytes) out.send({ bytes, to });
      }
    }
    if (knocking?.introduction !== undefined) this.#ask(now, seed, some, out);
  }

  #ask(now: Now, seed: Target, places: readonly Endpoint[], out: Outbox<NodeEvent>): void {
    if (seed.offer && now.boot - seed.offer.at < OFFER_TIME) {
      return this.#request(seed, seed.offer.from, out);
    }
    seed.offer = undefined;
    seed.ask = sealAsk(this.crypto, this.random);
    for (const to of places) out.send({ bytes: seed.ask.bytes, to });
  }

  /** Who is knocked at there: who answered last, then whoever else may be there, in turn. */
  #keyAt(seed: Target, candidates: readonly MemberId[]): MemberId | undefined {
    const { key, tries } = seed;
    const others = candidates.filter((one) => one !== key);
    if (key !== undefined && (isOwnTurn(seed) || others.length === 0)) return key;
    const turn = key === undefined ? tries - 1 : Math.floor(tries / 2) - 1;
    return others.length === 0 ? undefined : others[turn % others.length];
  }

  #report(now: Now, seed: Target, out: Outbox<NodeEvent>): void {
    // DNS has not answered, not even that it knows no such name: the seed was asked nothing.
    if (seed.sent === 0) return this.#reportUnfound(seed, out);
    seed.isReported = true;
    const seconds = Math.round((now.boot - (seed.since ?? now.boot)) / 1000);
    const port = readSeed(seed.text)?.port;
    const next = this.#knocking?.type === "ask"
      ? `is UDP port ${port} open there, and has somebody there opened the door (\`shoal door open\`)?`
      : this.#knocking?.introduction !== undefined
      ? `it answers this machine's key once an admin has approved that, or while the door is open there ` +
        `(\`shoal door open\`), if UDP port ${port} is open`
      : `is UDP port ${port} open there, and is that node of this mesh?`;
    const tries = seed.sent === 1 ? "1 try" : `${seed.sent} tries`;
    const why = `seed ${seed.text} did not answer in ${seconds} s (${tries}): ${next}`;
    this.complain(seed.text, why, out);
  }

  /** +-25 %, so that nodes that lost the same seed at once do not knock at once. */
  #jittered(ms: number): number {
    const [high = 0, low = 0] = this.random(2);
    return ms * (0.75 + 0.5 * (high * 256 + low) / 65_536);
  }
}

function noAddress(text: string): string {
  return `seed ${text} has no address: does the name exist, and does DNS answer here?`;
}

/** Whether a hello goes to the key that answered last, if there is one. */
function isOwnTurn({ key, tries }: Target): boolean {
  return key === undefined || tries % 2 === 1;
}

/** When a person should hear that a seed is silent; once. */
function reportAt(seed: Target): number {
  if (seed.isReported || seed.since === undefined) return Infinity;
  return seed.since + REPORT_AFTER;
}

/** A datagram to where another came from, from the address that it came to. */
export function backTo({ from, source }: Pick<Arrival, "from" | "source">, bytes: Uint8Array) {
  return { bytes, to: from, ...(source ? { from: source } : {}) };
}
