/** What is said to others: builds messages, and lets claims and rumours ride along on them. */
import type { Answers } from "./answers.ts";
import { Broadcast, transmissions } from "./broadcast.ts";
import { claimOf, hasBeenHeard, type Member, type Membership } from "./membership.ts";
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

/** Messages that everything which waits would fill: with more we are behind. */
const BEHIND = 5;

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
    private readonly answers: Answers,
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
    return this.#claims.bytes + this.#rumours.bytes > BEHIND * this.options.limit;
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

  /** Sends a body, and what fits beside it. @returns false: it could not be sent */
  send(to: Member, body: Body): boolean {
    const carrier = body.kind !== "digest" && body.kind !== "page" && body.kind !== "want";
    if (!carrier || !this.answers.allows(to)) {
      return this.#emit(to, body, body.kind === "leave" ? this.#owed(to) : [], []);
    }
    const room = this.options.limit - bodySize(body);
    const times = transmissions(this.members.live);
    const first = this.#owed(to);
    let left = room;
    for (const claim of first) left -= claimSize(claim);
    // Claims come first, but never leave a waiting rumour without room.
    const share = this.#rumours.length > 0 ? 0.5 * left : left;
    // Whom we have never heard may not be there: what goes to it does not count as sent.
    const counts = hasBeenHeard(to);
    const most = COUNT_MAX - first.length;
    const claims = counts ? this.#claims.take(share, most, times) : this.#claims.peek(share, most);
    for (const claim of claims) left -= claimSize(claim);
    const rumours = counts
      ? this.#rumours.take(left, COUNT_MAX, times)
      : this.#rumours.peek(left, COUNT_MAX);
    for (const rumour of rumours) left -= rumourSize(rumour);
    this.answers.spend(to, room - left);
    const others = claims.filter(({ subject }) => first.every((one) => one.subject !== subject));
    return this.#emit(to, body, [...first, ...others], rumours);
  }

  /** Sends nothing but how we hold a member. */
  tell(to: Member): void {
    this.#emit(to, { kind: "news" }, [], []);
  }

  /** What a member has to know of the two of us, as its last message shows, with the signatures. */
  #owed(to: Member): Claim[] {
    const { self } = this.members;
    const owed: Claim[] = [];
    if (to.holdsUs < self.incarnation) owed.push(claimOf(self, self, true));
    if (to.used < to.incarnation && to.proof !== undefined) owed.push(claimOf(to, self, true));
    return owed;
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

  #emit(to: Member, body: Body, claims: readonly Claim[], rumours: readonly Rumour[]): boolean {
    const { status, incarnation } = to;
    const view = this.options.lifeguard ? { status, incarnation } : undefined;
    const own = this.members.self.incarnation;
    const places = this.moment.out
      .message(to.id, { incarnation: own, view, body, claims, rumours });
    // What goes to one place was paid for, if it is an answer. What leaves beside it counts as well.
    if (places > 1) this.answers.spend(to, (places - 1) * sizeOf(body, claims, rumours));
    return places > 0;
  }
}

function sizeOf(body: Body, claims: readonly Claim[], rumours: readonly Rumour[]): number {
  let size = bodySize(body);
  for (const claim of claims) size += claimSize(claim);
  for (const rumour of rumours) size += rumourSize(rumour);
  return size;
}
