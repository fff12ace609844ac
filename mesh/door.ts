/**
 * The door: how a member meets somebody that it does not know. It answers hellos (who brings proof
 * of membership) and asks (who brings none and waits for a person). Answering changes nothing but
 * a small table of half-open acquaintances; a stranger becomes a member's acquaintance only when it
 * repeats the answer's cookie in a datagram sealed with its own key. So a replayed hello, a forged
 * source address or a token copied by a rogue seed leads nowhere, and two hellos with one one-time
 * token at the same moment let in exactly one (T41).
 */
import type { Crypto } from "./crypto.ts";
import type { Endpoint, Source } from "./endpoint.ts";
import type { Now, Outbox, Random } from "./machine.ts";
import { nonceOf, openHello, sealAnswer } from "./control.ts";
import type { NodeEvent, Who } from "./event.ts";
import { CHALLENGE_SIZE, decodeGreeting, encodeAnswer, type Verdict } from "./greeting.ts";
import { type NodeRecord, openRecord } from "./record.ts";
import { type Chain, EMPTY_CHAIN } from "./trust/certificate.ts";
import { type Identity, type MemberId, meshIdOf } from "./trust/identity.ts";
import type { Refusal, Trust } from "./trust/trust.ts";

/** Strangers that were answered and have not confirmed; at the limit the oldest makes room. */
export const HALF_OPEN_MAX = 256;
/** Milliseconds for a confirmation. */
const HALF_OPEN_TIME = 10_000;
/** Requests without a token; at the limit further ones are not answered. */
export const REQUESTS_MAX = 64;
/** Of them from one IPv4 address or IPv6 /64. */
const REQUESTS_PER_SOURCE = 4;
/** Milliseconds after which a request that is not repeated is forgotten. */
const REQUEST_TIME = 600_000;
/** Greetings a second and at once whose signatures are looked at: about 1 % of a core. */
const GREETINGS_RATE = 50;
const GREETINGS_BURST = 100;

/** Greetings whose copies are known; at the limit the oldest is forgotten. */
export const GREETINGS_KNOWN = 4096;
/** Copies of one greeting that are answered: a joiner sends it to all addresses of a seed. */
const COPIES = 4;

/** Refusals that are not answered. */
const SILENT: readonly Refusal[] = ["stranger", "invalid"];

export interface Request {
  readonly who: Who;
  readonly endpoint: Endpoint;
  /** Boot ms of its last knock. */
  readonly at: number;
}

interface HalfOpen {
  readonly record: NodeRecord;
  readonly cookie: Uint8Array;
  readonly since: number;
}

interface Reply {
  /** Whose greeting it answers. */
  readonly to: NodeRecord;
  readonly challenge: Uint8Array;
  readonly cookie: Uint8Array;
  readonly verdict: Verdict;
}

/** Where nothing is to be confirmed. */
const NO_COOKIE = new Uint8Array(CHALLENGE_SIZE);

/** What the door needs to know about its house at this moment. */
export interface House {
  readonly record: NodeRecord;
  /** Whether the mesh knows this identity as a member. */
  readonly isKnown: (id: MemberId) => boolean;
  /** Whether there is room for one more member. */
  readonly hasRoom: () => boolean;
}

export interface Knock {
  readonly bytes: Uint8Array;
  readonly from: Endpoint;
  readonly source?: Source;
}

export class Door {
  readonly #halfOpen = new Map<MemberId, HalfOpen>();
  readonly #requests = new Map<MemberId, Request>();
  readonly #approved = new Map<MemberId, Chain>();
  readonly #meshId: Uint8Array;
  readonly #noMesh: Uint8Array;
  // Anybody can ask, only who knows the mesh's key can greet: a flood of one must not stop the other.
  readonly #budgets = { hello: new Budget(), ask: new Budget() };
  /** Nonces of greetings that were opened, and how often they came. */
  readonly #known = new Map<string, number>();
  /** Greetings that were not looked at, by reason. */
  readonly drops = { copy: 0, rate: 0, foreign: 0, invalid: 0, stranger: 0, full: 0 };

  constructor(
    private readonly crypto: Crypto,
    private readonly random: Random,
    private readonly self: Identity,
    private readonly trust: Trust,
  ) {
    this.#meshId = meshIdOf(crypto, trust.meshKey);
    this.#noMesh = meshIdOf(crypto, undefined);
  }

  /**
   * Answers a hello.
   * @returns the stranger whose sealed `confirm` may follow, and whoever had to make room for it.
   */
  hello(
    now: Now,
    knock: Knock,
    house: House,
    out: Outbox<NodeEvent>,
  ): { expected?: NodeRecord; dropped?: MemberId } {
    const content = this.#look(now, "hello", knock);
    if (content === undefined) return {};
    const greeting = decodeGreeting(content);
    if (!greeting.ok) return this.#drop("invalid");
    const opened = openRecord(this.crypto, this.#meshId, greeting.value.record);
    if (!opened.ok || opened.value.id === this.self.id) return this.#drop("invalid");
    const record = opened.value;
    const { challenge } = greeting.value;
    const isKnown = house.isKnown(record.id);
    const judgement = this.trust.judgeAtDoor(record, isKnown, Math.floor(now.wall / 1000));
    const ours = house.record.bytes;
    // Who never had a valid proof learns nothing, not even that we are here.
    const isStranger = judgement.kind === "refused" && SILENT.includes(judgement.why);
    if (isStranger) return this.#drop("stranger");
    if (judgement.kind === "refused" || (!isKnown && !house.hasRoom())) {
      const why = judgement.kind === "refused" ? judgement.why : "full";
      const verdict = { kind: "refused", why, record: ours } as const;
      this.#answer(knock, { to: record, challenge, cookie: NO_COOKIE, verdict }, out);
      return {};
    }
    const { cookie, dropped } = this.#open(now, record);
    const verdict = { kind: "welcome", record: ours } as const;
    this.#answer(knock, { to: record, challenge, cookie, verdict }, out);
    return { expected: record, ...dropped };
  }

  /** A sealed datagram repeated a cookie: whoever sent it is there. Once only. */
  confirm(now: Now, id: MemberId, cookie: Uint8Array): NodeRecord | undefined {
    const half = this.#halfOpen.get(id);
    if (!half || now.boot - half.since > HALF_OPEN_TIME) return undefined;
    if (!this.crypto.equal(half.cookie, cookie)) return undefined;
    this.#halfOpen.delete(id);
    return half.record;
  }

  isHalfOpen(id: MemberId): boolean {
    return this.#halfOpen.has(id);
  }

  /** Answers an ask, showing the request to people unless it is decided already. */
  ask(now: Now, knock: Knock, out: Outbox<NodeEvent>): void {
    const { meshKey } = this.trust;
    if (meshKey === undefined) return void this.#drop("foreign");
    const content = this.#look(now, "ask", knock);
    if (content === undefined) return;
    const greeting = decodeGreeting(content);
    if (!greeting.ok) return void this.#drop("invalid");
    const opened = openRecord(this.crypto, this.#noMesh, greeting.value.record);
    if (!opened.ok || opened.value.id === this.self.id) return void this.#drop("invalid");
    const record = opened.value;
    const chain = this.#decided(record.id);
    if (chain === undefined) {
      const who = { id: record.id, name: greeting.value.name };
      if (!this.#request(now, who, knock.from, out)) return void this.#drop("full");
    }
    const verdict: Verdict = chain === undefined
      ? { kind: "pending" }
      : { kind: "granted", meshKey, chain: chain.bytes };
    const { challenge } = greeting.value;
    this.#answer(knock, { to: record, challenge, cookie: NO_COOKIE, verdict }, out);
  }

  /** A person admitted this identity: its next ask is granted. */
  approve(id: MemberId, chain: Chain): void {
    this.#requests.delete(id);
    this.#approved.delete(id);
    const oldest = this.#approved.keys().next().value;
    if (this.#approved.size >= REQUESTS_MAX && oldest) this.#approved.delete(oldest);
    this.#approved.set(id, chain);
  }

  /** Withdraws what was decided for an identity. */
  withdraw(id: MemberId): void {
    this.#requests.delete(id);
    this.#approved.delete(id);
    this.#halfOpen.delete(id);
  }

  get requestCount(): number {
    return this.#requests.size;
  }

  requests(): Iterable<Request> {
    return this.#requests.values();
  }

  /** Forgets what nobody repeated. @returns identities whose half-open acquaintance ended. */
  expire(now: Now): MemberId[] {
    for (const [id, { at }] of this.#requests) {
      if (now.boot - at > REQUEST_TIME) this.#requests.delete(id);
    }
    const gone = [...this.#halfOpen].filter(([, { since }]) => now.boot - since > HALF_OPEN_TIME);
    for (const [id] of gone) this.#halfOpen.delete(id);
    return gone.map(([id]) => id);
  }

  /**
   * What is in a greeting. One that somebody has copied costs nothing, from wherever its copies come:
   * replayed, they must not use up what is left for others.
   */
  #look(now: Now, type: "hello" | "ask", { bytes }: Knock): Uint8Array | undefined {
    const nonce = nonceOf(bytes).toHex();
    const copies = this.#known.get(nonce) ?? 0;
    if (copies >= COPIES) return void this.#drop("copy");
    const meshId = type === "hello" ? this.#meshId : this.#noMesh;
    const content = openHello(this.crypto, type, meshId, bytes);
    if (content === undefined) return void this.#drop("foreign");
    const oldest = this.#known.keys().next().value;
    const isFull = this.#known.size >= GREETINGS_KNOWN && copies === 0;
    if (isFull && oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(nonce, copies + 1);
    if (!this.#budgets[type].take(now)) return void this.#drop("rate");
    return content;
  }

  #decided(id: MemberId): Chain | undefined {
    const chain = this.#approved.get(id);
    if (chain !== undefined) return chain;
    for (const { key } of this.trust.trusted()) if (key === id) return EMPTY_CHAIN;
    return undefined;
  }

  #open(now: Now, record: NodeRecord): {
    cookie: Uint8Array;
    dropped: { dropped?: MemberId };
  } {
    // The cookie of a repeated hello stays: the confirmation of the first may be under way.
    const known = this.#halfOpen.get(record.id);
    const cookie = known?.cookie ?? this.random(CHALLENGE_SIZE);
    this.#halfOpen.delete(record.id);
    const oldest = this.#halfOpen.keys().next().value;
    const isFull = this.#halfOpen.size >= HALF_OPEN_MAX && oldest !== undefined;
    if (isFull) this.#halfOpen.delete(oldest);
    this.#halfOpen.set(record.id, { record, cookie, since: now.boot });
    return { cookie, dropped: isFull ? { dropped: oldest } : {} };
  }

  #request(now: Now, who: Who, endpoint: Endpoint, out: Outbox<NodeEvent>): boolean {
    const isNew = !this.#requests.has(who.id);
    if (isNew && this.#requests.size >= REQUESTS_MAX) return false;
    const source = sourceOf(endpoint);
    const others = [...this.#requests.values()].filter((request) =>
      request.who.id !== who.id && sourceOf(request.endpoint) === source
    );
    if (isNew && others.length >= REQUESTS_PER_SOURCE) return false;
    this.#requests.set(who.id, { who, endpoint, at: now.boot });
    if (isNew) out.event({ kind: "request", who, endpoint });
    return true;
  }

  #answer(knock: Knock, { to, challenge, cookie, verdict }: Reply, out: Outbox<NodeEvent>): void {
    // Who asks does not know the mesh yet.
    const isAsked = verdict.kind === "pending" || verdict.kind === "granted";
    const meshId = isAsked ? this.#noMesh : this.#meshId;
    const content = encodeAnswer({ challenge, cookie, observed: knock.from, verdict });
    const bytes = sealAnswer(this.crypto, this.random, meshId, this.self, to.key, content);
    if (bytes === undefined) return void this.#drop("invalid");
    out.send({ bytes, to: knock.from, ...(knock.source ? { from: knock.source } : {}) });
  }

  #drop(why: keyof Door["drops"]): Record<never, never> {
    this.drops[why]++;
    return {};
  }
}

/** The unit that one stranger controls: an IPv4 address, an IPv6 /64. */
function sourceOf({ address }: Endpoint): string {
  return address.subarray(0, 8).toHex();
}

/** A token bucket over all sources: signatures are what a greeting costs. */
class Budget {
  #left = GREETINGS_BURST;
  #filledAt = 0;

  take(now: Now): boolean {
    const earned = Math.max(0, now.boot - this.#filledAt) * GREETINGS_RATE / 1000;
    this.#left = Math.min(GREETINGS_BURST, this.#left + earned);
    this.#filledAt = now.boot;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
