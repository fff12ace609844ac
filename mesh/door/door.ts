/**
 * The door: how a member meets somebody that it does not know. It answers hellos (whoever knows its key
 * and brings proof of membership, or a token) and, while a person has opened it, requests of those who
 * bring neither. Answering a hello changes nothing but a small table of half-open acquaintances; a
 * stranger becomes a member's acquaintance only when it repeats the answer's cookie in a datagram sealed
 * with its own key. So a replayed hello, a forged source address or a token copied by a rogue seed leads
 * nowhere, and two hellos with one one-time token at the same moment let in exactly one (T41).
 */
import { type Crypto, KEY_LENGTH } from "../crypto.ts";
import type { Endpoint } from "../endpoint.ts";
import type { NodeEvent } from "../event.ts";
import type { Now, Outbox, Random } from "../machine.ts";
import type { Genesis } from "../membership/genesis.ts";
import type { Identity, MemberId } from "../membership/identity.ts";
import type { Judgement, Refusal } from "../membership/judge.ts";
import { type NodeRecord, openRecord } from "../membership/record.ts";
import type { Arrival } from "../tunnel/types.ts";
import { type OpenedRequest, type Reply, sealReply } from "../wire/ask.ts";
import { doorKeyOf, type OpenedHello, sealAnswer } from "../wire/contact.ts";
import {
  COOKIE_SIZE,
  decodeIntroduction,
  encodeAnswer,
  encodeGrant,
  type Verdict,
} from "./greeting.ts";
import { backTo } from "./joiner.ts";
import { Knocks } from "./knocks.ts";
import { type Request, Requests } from "./requests.ts";

/** Strangers that were answered and have not confirmed; at the limit the oldest makes room. */
export const HALF_OPEN_MAX = 256;
/** Milliseconds for a confirmation. */
const HALF_OPEN_TIME = 10_000;

/** Refusals that are answered only to who was a member once: whoever never had a proof learns nothing. */
const SILENT: readonly Refusal[] = ["stranger", "invalid"];

interface HalfOpen {
  readonly record: NodeRecord;
  /** A secret from which the cookie for each place follows: only its reader can repeat it. */
  readonly secret: Uint8Array;
  readonly since: number;
}

/** Where nothing is to be confirmed. */
const NO_COOKIE = new Uint8Array(COOKIE_SIZE);

/** What the door needs to know about the mesh behind it at this moment. */
export interface MeshBehind {
  readonly record: NodeRecord;
  /** Whether the mesh knows this identity as a member. */
  readonly isKnown: (id: MemberId) => boolean;
  /** Whether somebody with a right to it has ever certified this identity, or its token has let it in. */
  readonly wasMember: (id: MemberId) => boolean;
  /** Whether there is room for one more member. */
  readonly hasRoom: () => boolean;
  /** Whether the subject of a record is a member, or its token lets it become one here. */
  readonly judge: (record: NodeRecord) => Judgement | undefined;
  /** Whether somebody was approved, or is trusted, that was not met yet. */
  readonly isAwaiting: boolean;
  /** Whether this key was approved or is trusted here. */
  readonly isDecided: (id: MemberId) => boolean;
  readonly genesis: Genesis;
}

export class Door {
  readonly #halfOpen = new Map<MemberId, HalfOpen>();
  readonly #knocks: Knocks;
  readonly requests: Requests;
  /** Greetings that were opened and came to nothing, by reason. */
  readonly drops = { invalid: 0, stranger: 0 };

  constructor(
    now: Now,
    private readonly crypto: Crypto,
    private readonly random: Random,
    private readonly meshId: Uint8Array,
    private readonly self: Identity,
  ) {
    const key = doorKeyOf(crypto, meshId, self.signing.publicKey);
    if (key === undefined) throw new RangeError("door: our own key is no valid point");
    this.#knocks = new Knocks(now, crypto, random, key, self);
    this.requests = new Requests(now);
  }

  /** What was not opened, and what was, by reason. */
  get counters(): Readonly<Record<string, number>> {
    return { ...this.#knocks.counts, ...this.drops, ...this.requests.counts };
  }

  /**
   * Answers a hello.
   * @returns the stranger whose sealed `confirm` may follow, and whoever had to make room for it.
   */
  hello(
    now: Now,
    arrival: Arrival,
    behind: MeshBehind,
    out: Outbox<NodeEvent>,
  ): { expected?: NodeRecord; dropped?: MemberId } {
    const heard = this.#knocks.hello(now, arrival);
    if (heard?.kind === "reply") out.send(backTo(arrival, heard.bytes));
    if (heard?.kind !== "hello") return {};
    const { hello } = heard;
    const opened = openRecord(this.crypto, this.meshId, hello.content);
    if (!opened.ok || opened.value.id === this.self.id) return this.#drop("invalid");
    const record = opened.value;
    const judgement = behind.judge(record);
    const isSilent = judgement?.kind === "refused" && SILENT.includes(judgement.why);
    if (isSilent && !(judgement.why === "stranger" && behind.wasMember(record.id))) {
      return this.#drop("stranger");
    }
    const ours = behind.record.bytes;
    const isFull = !behind.isKnown(record.id) && !behind.hasRoom();
    if (judgement?.kind === "refused" || isFull) {
      const why = judgement?.kind === "refused" ? judgement.why : "full";
      const verdict = { kind: "refused", why, record: ours } as const;
      this.#answer(arrival, hello, record, NO_COOKIE, verdict, out);
      return {};
    }
    const { half, dropped } = this.#open(now, record);
    const cookie = this.#cookieFor(half, arrival.from);
    this.#answer(arrival, hello, record, cookie, { kind: "welcome", record: ours }, out);
    return { expected: record, ...dropped };
  }

  /** A sealed datagram repeated the cookie of its place: whoever sent it is there. Once only. */
  confirm(now: Now, id: MemberId, cookie: Uint8Array, from: Endpoint): NodeRecord | undefined {
    const half = this.#halfOpen.get(id);
    if (!half || now.boot - half.since > HALF_OPEN_TIME) return undefined;
    if (!this.crypto.equal(this.#cookieFor(half, from), cookie)) return undefined;
    this.#halfOpen.delete(id);
    return half.record;
  }

  /** Answers an ask, and shows a request to people unless it is decided already. */
  ask(now: Now, arrival: Arrival, behind: MeshBehind, out: Outbox<NodeEvent>): void {
    const isOpen = this.requests.isOpen(now, behind.isAwaiting);
    const heard = this.#knocks.ask(now, arrival, isOpen);
    if (heard?.kind === "reply") out.send(backTo(arrival, heard.bytes));
    if (heard?.kind !== "request") return;
    const introduction = decodeIntroduction(heard.request.content);
    if (!introduction.ok || introduction.value.key === this.self.id) {
      return void this.#drop("invalid");
    }
    const { key, name } = introduction.value;
    if (behind.isDecided(key)) {
      this.requests.forget(key);
      const payload = encodeGrant({ genesis: behind.genesis });
      return this.#reply(arrival, heard.request, key, { kind: "granted", payload }, out);
    }
    // Where the door is open for somebody who is awaited, nobody else is heard.
    if (this.requests.openUntil(now) === undefined) return void this.#drop("stranger");
    const who = { id: key, name };
    const isNews = this.requests.place(now, who, arrival.from);
    if (isNews) out.event({ kind: "request", who, endpoint: arrival.from });
    this.#reply(arrival, heard.request, key, { kind: "pending" }, out);
  }

  list(): Request[] {
    return this.requests.list();
  }

  /**
   * Forgets what nobody repeated, and requests of those who became members by another's word.
   * @returns identities whose half-open acquaintance ended
   */
  expire(now: Now, isMember: (id: MemberId) => boolean): MemberId[] {
    this.requests.expire(now);
    for (const { who } of this.requests.list()) if (isMember(who.id)) this.requests.forget(who.id);
    const gone = [...this.#halfOpen].filter(([, { since }]) => now.boot - since > HALF_OPEN_TIME);
    for (const [id] of gone) this.#halfOpen.delete(id);
    return gone.map(([id]) => id);
  }

  #cookieFor({ secret }: HalfOpen, { address, port }: Endpoint): Uint8Array {
    return this.crypto.blake2sMac(secret, address, Uint8Array.of(port >> 8, port & 0xff));
  }

  #open(now: Now, record: NodeRecord): { half: HalfOpen; dropped: { dropped?: MemberId } } {
    // The secret of a repeated hello stays: the confirmation of the first may be under way.
    const known = this.#halfOpen.get(record.id);
    const secret = known?.secret ?? this.random(KEY_LENGTH);
    this.#halfOpen.delete(record.id);
    const oldest = this.#halfOpen.keys().next().value;
    const isFull = this.#halfOpen.size >= HALF_OPEN_MAX && oldest !== undefined;
    if (isFull) this.#halfOpen.delete(oldest);
    const half = { record, secret, since: now.boot };
    this.#halfOpen.set(record.id, half);
    return { half, dropped: isFull ? { dropped: oldest } : {} };
  }

  #answer(
    arrival: Arrival,
    hello: OpenedHello,
    to: NodeRecord,
    cookie: Uint8Array,
    verdict: Verdict,
    out: Outbox<NodeEvent>,
  ): void {
    const content = encodeAnswer({ cookie, observed: arrival.from, verdict });
    const bytes = sealAnswer(this.crypto, this.random, this.self, hello, to.key, content);
    if (bytes === undefined) return void this.#drop("invalid");
    out.send(backTo(arrival, bytes));
  }

  #reply(
    arrival: Arrival,
    request: OpenedRequest,
    to: MemberId,
    reply: Reply,
    out: Outbox<NodeEvent>,
  ): void {
    const key = Uint8Array.fromHex(to);
    const bytes = sealReply(this.crypto, this.random, this.self, request, key, reply);
    if (bytes === undefined) return void this.#drop("invalid");
    out.send(backTo(arrival, bytes));
  }

  #drop(why: keyof Door["drops"]): Record<never, never> {
    this.drops[why]++;
    return {};
  }
}
