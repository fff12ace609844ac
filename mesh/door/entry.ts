/**
 * Getting into the mesh, or back into it: knocks at the seeds as long as nobody of the mesh talks
 * to us, and judges the answers. Whom a seed's answer makes us know is handed to the node.
 */
import type { Crypto } from "../crypto.ts";
import type { Endpoint } from "../endpoint.ts";
import type { NodeEvent } from "../event.ts";
import { type Deadline, type Now, type Outbox, type Random, secondsOf } from "../machine.ts";
import type { Genesis } from "../membership/genesis.ts";
import type { Identity, MemberId } from "../membership/identity.ts";
import { CLOCK_SKEW, type Refusal, rfc3339 } from "../membership/judge.ts";
import type { Mesh } from "../membership/mesh.ts";
import { type NodeRecord, openRecord } from "../membership/record.ts";
import { TOKEN_GRACE } from "../membership/statements.ts";
import { isOfClock } from "../membership/untimely.ts";
import type { JoinState } from "../status.ts";
import type { Arrival } from "../tunnel/types.ts";
import type { Reply } from "../wire/ask.ts";
import { decodeGrant, encodeIntroduction } from "./greeting.ts";
import { type Answered, Joiner, type Knocking } from "./joiner.ts";
import type { Place } from "./token.ts";

/** What an answer means for the node. */
export type Outcome =
  /** A member of our mesh knows us: its record is verified and judged. */
  | {
    readonly kind: "welcomed";
    readonly record: NodeRecord;
    readonly cookie: Uint8Array;
    readonly observed: Endpoint;
    /** The answer came from where we had knocked. */
    readonly isThere: boolean;
  }
  /** A person approved us: now there is a mesh. */
  | { readonly kind: "granted"; readonly genesis: Genesis };

export interface EntryOptions {
  readonly crypto: Crypto;
  readonly random: Random;
  readonly identity: Identity;
  readonly name: string;
  readonly version: string;
  readonly seeds: Iterable<Partial<Place> & { readonly seed: string }>;
  /** Keys of a token's doors: whoever is at a seed that a person named is one of them. */
  readonly doors: readonly MemberId[];
  /** The mesh has seen this membership before, or nobody has to. */
  readonly isAdmitted: boolean;
}

/** Members that are taken for the one at a seed whose key is not known. */
const CANDIDATES_MAX = 64;

export class Entry {
  readonly #o: EntryOptions;
  readonly #joiner: Joiner;
  #isPending = false;
  #isPutOut = false;
  #isAdmitted: boolean;

  constructor(options: EntryOptions) {
    const { crypto, random, identity, seeds } = options;
    this.#o = options;
    this.#joiner = new Joiner(crypto, random, identity);
    for (const { seed, key } of seeds) this.#joiner.add(seed, key);
    this.#isAdmitted = options.isAdmitted;
  }

  get isAdmitted(): boolean {
    return this.#isAdmitted;
  }

  get state(): JoinState {
    if (this.#isAdmitted) return "member";
    return this.#isPending ? "pending" : "joining";
  }

  seeds(): ReturnType<Joiner["seeds"]> {
    return this.#joiner.seeds();
  }

  /** A place of a member at which we could knock later. */
  remember({ seed, key }: Place): void {
    this.#joiner.add(seed, key);
  }

  /** A member has said that our key, or the token that let us in, was revoked. */
  get isPutOut(): boolean {
    return this.#isPutOut;
  }

  /** Why nobody has let us in yet, or back in: a sentence for each seed that is to blame. */
  complaints(): string[] {
    return this.#joiner.complaints();
  }

  deadline(): Deadline | undefined {
    return this.#joiner.deadline();
  }

  /** Knocks, or stops knocking, as the state of the mesh wants it now. */
  pursue(now: Now, mesh: Mesh | undefined, out: Outbox<NodeEvent>): void {
    // Who was put out may have heard only those who did that: it asks at the doors that it knew.
    const isOut = mesh === undefined || mesh.membership(now) === undefined;
    const wants = !this.#isAdmitted || isOut || mesh.isAlone();
    this.#joiner.knockWith(now, wants ? this.#knocking(now, mesh) : undefined);
    this.#joiner.poll(now, out);
  }

  /** This machine has got an address. */
  hurry(now: Now): void {
    this.#joiner.hurry(now);
  }

  /** The addresses of a seed that event `resolve` asked for; none: no such host. */
  resolved(now: Now, seed: string, endpoints: readonly Endpoint[], out: Outbox<NodeEvent>): void {
    this.#joiner.resolved(now, seed, endpoints, out);
  }

  /** An answer datagram. @returns undefined when it changes nothing; a person may hear why. */
  answered(
    now: Now,
    arrival: Arrival,
    mesh: Mesh | undefined,
    out: Outbox<NodeEvent>,
  ): Outcome | undefined {
    const answered = this.#joiner.answered(now, arrival, out);
    if (answered === undefined) return undefined;
    if (answered.kind === "reply") {
      return this.#replied(answered.seed, answered.reply, mesh, out);
    }
    if (!mesh) return undefined;
    return this.#greeted(now, answered, mesh, out);
  }

  /** The node has taken the seed in. */
  admitted(): void {
    this.#isAdmitted = true;
    this.#isPending = false;
  }

  #replied(
    seed: string,
    reply: Reply,
    mesh: Mesh | undefined,
    out: Outbox<NodeEvent>,
  ): Outcome | undefined {
    if (this.#isAdmitted) return undefined; // by another door meanwhile
    switch (reply.kind) {
      case "pending":
        if (!this.#isPending) out.event({ kind: "joinPending", seed });
        this.#isPending = true;
        return undefined;
      case "refused":
        this.#fail(seed, "refused us: ask its admin", out);
        return undefined;
      case "granted": {
        // Who knows the mesh already is let in by its next hello there.
        if (mesh) return undefined;
        const grant = decodeGrant(reply.payload);
        if (grant.ok) return { kind: "granted", genesis: grant.value.genesis };
        this.#fail(seed, `sent a grant that is not good (${grant.error})`, out);
        return undefined;
      }
    }
  }

  #greeted(
    now: Now,
    { seed, key, answer, isThere }: Extract<Answered, { kind: "answer" }>,
    mesh: Mesh,
    out: Outbox<NodeEvent>,
  ): Outcome | undefined {
    const { verdict, cookie, observed } = answer;
    const record = judge(this.#o.crypto, now, mesh, key, verdict.record, out);
    if (verdict.kind === "refused") {
      if ("blame" in record) return undefined;
      if (verdict.why === "removed") this.#isPutOut = true;
      this.#fail(seed, `refused us: ${refusalText(verdict.why, this.#o.identity.id)}`, out);
      return undefined;
    }
    const isMember = !("blame" in record);
    const over = tokenOver(mesh, now);
    if (isMember && over === undefined) {
      this.#isPutOut = false;
      return { kind: "welcomed", record, cookie, observed, isThere };
    }
    if (isMember || record.isOfClock) {
      const what = isMember
        ? `takes the token, which is over by the clock of this machine (${over})`
        : `is no member of the mesh by the clock of this machine (${record.blame})`;
      this.#joiner.complain(seed, `seed ${seed} ${what}: set it, and the join goes on`, out, true);
      return undefined;
    }
    if (mesh.membership(now) !== undefined) {
      // We are in, and it is out: an address or a token has nothing to do with that.
      this.#fail(seed, `is no member of this mesh (${record.blame})`, out);
      return undefined;
    }
    const why =
      `is no member of the mesh that we join (${record.blame}): check the address, or ask for ` +
      `a new token`;
    this.#fail(seed, why, out);
    return undefined;
  }

  #fail(seed: string, what: string, out: Outbox<NodeEvent>): void {
    this.#joiner.complain(seed, `seed ${seed} ${what}`, out);
  }

  #knocking(now: Now, mesh: Mesh | undefined): Knocking {
    const { identity: { id: key }, name, version } = this.#o;
    const introduction = encodeIntroduction({ key, name, version });
    if (mesh === undefined) return { type: "ask", introduction };
    // A key that nobody certified and no token brings, as a new one: only a person can admit it.
    const isUnproven = !this.#isAdmitted && mesh.admission === undefined &&
      mesh.membership(now) === undefined;
    const { record, judge: { meshId } } = mesh;
    const members = Iterator.from(mesh.roster.members()).take(CANDIDATES_MAX).map(({ id }) => id);
    const candidates = [...new Set([...this.#o.doors, ...members])];
    const hello = { type: "hello", meshId, record: record.bytes, candidates } as const;
    return isUnproven ? { ...hello, introduction } : hello;
  }
}

/** When the token that we join by ended, if what it lets in does not count by our clock any more. */
function tokenOver(mesh: Mesh, at: Now): string | undefined {
  const { admission } = mesh;
  const now = secondsOf(at);
  // Whoever has a certificate joins by that; the token has done its work.
  if (!admission || mesh.judge.certificate(mesh.id, now)) return undefined;
  const until = [...mesh.statements.about(admission.token)]
    .reduce((last, one) => one.kind === "token" ? Math.max(last, one.until) : last, -Infinity);
  if (until === -Infinity || now <= until + TOKEN_GRACE + CLOCK_SKEW) return undefined;
  return `it ended ${rfc3339(until)} and it is ${rfc3339(now)} here`;
}

/** Why somebody is no member; a clock that is wrong here makes everybody none. */
interface NoMember {
  readonly blame: string;
  readonly isOfClock: boolean;
}

/** The record of the holder of `key` if it is a member of our mesh, or why it is none. */
function judge(
  crypto: Crypto,
  now: Now,
  mesh: Mesh,
  key: Uint8Array,
  bytes: Uint8Array,
  out: Outbox<NodeEvent>,
): NodeRecord | NoMember {
  const opened = openRecord(crypto, mesh.judge.meshId, bytes);
  if (!opened.ok) return { blame: opened.error, isOfClock: false };
  const { id, proof } = opened.value;
  if (id !== key.toHex()) return { blame: "it shows another node's record", isOfClock: false };
  for (const one of [...proof.statements].reverse()) mesh.learn(now, one, out);
  const judgement = mesh.roster.judge(opened.value, now);
  if (judgement.kind !== "refused") return opened.value;
  return { blame: judgement.detail, isOfClock: isOfClock(judgement.why) };
}

/** Why a member does not take us for one. @param key ours, which an admin's command has to name */
export function refusalText(why: Refusal, key: MemberId): string {
  return REFUSED[why]?.(key) ?? "it does not take us for a member";
}

const REFUSED: Partial<Record<Refusal, (key: MemberId) => string>> = {
  stranger: (key) =>
    "no certificate or invite of our key counts there any more: an admin gives it one: " +
    `\`shoal approve ${key}\``,
  notYetValid: () =>
    "our certificate has not begun yet by its clock: compare the clocks of both machines",
  expired: (key) => `our membership has ended: an admin renews it with \`shoal approve ${key}\``,
  removed: () =>
    "our key was revoked: with `shoal identity renew` this machine can come " +
    "back as a new node",
  left: () =>
    "our key has left the mesh: with another state folder and a new token this machine can come " +
    "back as a new node",
  tokenExpired: () => "the token has expired: ask an admin for a new one (`shoal invite`)",
  tokenRevoked: () => "the token was revoked: ask an admin for a new one (`shoal invite`)",
  tokenUsedUp: () => "the token is used up: ask an admin for a new one (`shoal invite`)",
  mirrored: () =>
    "another member has our tunnel key, and was first: with `shoal identity renew` this machine can " +
    "come back as a new node",
  full: () => "one of its tables is full",
};
