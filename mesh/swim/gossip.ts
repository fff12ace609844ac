/** What is said to others: builds messages, and lets claims and rumours ride along on them. */
import { Broadcast, transmissions } from "./broadcast.ts";
import type { Member, Membership } from "./membership.ts";
import {
  type Body,
  bodySize,
  type Claim,
  claimSize,
  COUNT_MAX,
  type Rumour,
  rumourSize,
  type Tag,
} from "./messages.ts";
import type { Moment } from "./outbox.ts";
import { nameOf } from "./rumours.ts";

export interface GossipOptions {
  /** Most bytes of a message. */
  readonly limit: number;
  /** Most claims and most rumours that wait. */
  readonly queueMax: number;
  /** Whether a message tells its recipient how it is held. */
  readonly lifeguard: boolean;
}

export class Gossip {
  readonly #claims: Broadcast<Claim>;
  readonly #rumours: Broadcast<Rumour>;

  constructor(
    private readonly options: GossipOptions,
    private readonly members: Membership,
    private readonly moment: Moment,
  ) {
    this.#claims = new Broadcast(claimSize, options.queueMax);
    this.#rumours = new Broadcast(rumourSize, options.queueMax);
  }

  /** Whether anything waits to ride along. */
  get isIdle(): boolean {
    return this.#claims.length + this.#rumours.length === 0;
  }

  /** Whether more waits than a few messages carry. */
  get isBehind(): boolean {
    return this.#claims.length > COUNT_MAX || this.#rumours.length > COUNT_MAX / 16;
  }

  /** Claims and rumours that the limit has cost. */
  get dropped(): { readonly claims: number; readonly rumours: number } {
    return { claims: this.#claims.dropped, rumours: this.#rumours.dropped };
  }

  /** Lets a claim ride along; it takes the place of an older one about the same subject. */
  claim(claim: Claim): void {
    this.#claims.put(claim.subject, claim);
  }

  withdrawClaim(subject: Tag): void {
    this.#claims.drop(subject);
  }

  rumour(rumour: Rumour): void {
    this.#rumours.put(nameOf(rumour.key.slice(0, 32), rumour.kind), rumour);
  }

  withdrawRumour(tag: Tag, kind: number): void {
    this.#rumours.drop(nameOf(tag, kind));
  }

  /** Sends a body, and what fits beside it. */
  send(to: Member, body: Body): void {
    const carrier = body.kind !== "digest" && body.kind !== "page" && body.kind !== "want";
    let room = carrier ? this.options.limit - bodySize(body) : 0;
    const times = transmissions(this.members.live);
    // Claims come first, but never leave a waiting rumour without room.
    const share = this.#rumours.length > 0 ? 0.5 * room : room;
    const claims = this.#claims.take(share, COUNT_MAX, times);
    for (const claim of claims) room -= claimSize(claim);
    this.#emit(to, body, claims, this.#rumours.take(room, COUNT_MAX, times));
  }

  /** Sends these to one member, in as many messages as that takes. */
  share(to: Member, claims: readonly Claim[], rumours: readonly Rumour[]): void {
    const body: Body = { kind: "news" };
    const room = this.options.limit - bodySize(body);
    let used = 0;
    let some: Claim[] = [];
    let more: Rumour[] = [];
    const flush = () => {
      if (some.length + more.length > 0) this.#emit(to, body, some, more);
      used = 0;
      some = [];
      more = [];
    };
    const fit = (size: number, count: number) => {
      if (used + size > room || count >= COUNT_MAX) flush();
      used += size;
    };
    for (const claim of claims) {
      fit(claimSize(claim), some.length);
      some.push(claim);
    }
    for (const rumour of rumours) {
      fit(rumourSize(rumour), more.length);
      more.push(rumour);
    }
    flush();
  }

  #emit(to: Member, body: Body, claims: readonly Claim[], rumours: readonly Rumour[]): void {
    const { status, incarnation } = to;
    const view = this.options.lifeguard ? { status, incarnation } : undefined;
    const own = this.members.self.incarnation;
    this.moment.out.message(to.id, { incarnation: own, view, body, claims, rumours });
  }
}
