/**
 * All that is known here, in one order by tag and kind, and what others get of it on request. It
 * keeps no state of a push-pull: whoever began one says each time how far it has come.
 */
import type { Answers } from "./answers.ts";
import { bucketOf, type Buckets, differing, inMask } from "./buckets.ts";
import { claimOf, type Member, type Membership } from "./membership.ts";
import {
  type Body,
  bodySize,
  BUCKETS,
  type Claim,
  claimSize,
  COUNT_MAX,
  type Cursor,
  type Item,
  itemSize,
  type Rumour,
  rumourSize,
} from "./messages.ts";
import type { Rumours } from "./rumours.ts";

/** What one request is answered with at most, in rumours and claims together. */
export const WANTS_MAX = 24;

export interface InventoryLink {
  readonly send: (to: Member, body: Body) => void;
  /** Sends these, in as many messages as that takes. */
  readonly share: (to: Member, claims: readonly Claim[], rumours: readonly Rumour[]) => void;
}

export class Inventory {
  constructor(
    private readonly link: InventoryLink,
    private readonly membership: Membership,
    private readonly rumours: Rumours,
    private readonly fingerprint: Buckets,
    private readonly answers: Answers,
    private readonly limit: number,
  ) {}

  /** How many items there are. */
  get size(): number {
    return this.membership.size + this.rumours.size;
  }

  /** Answers what a member asks for in a push-pull that it has begun. */
  answer(to: Member, body: Body): void {
    switch (body.kind) {
      case "digest": {
        const mask = differing(this.fingerprint.hashes(), body.hashes);
        return this.link.send(to, { kind: "differ", seq: body.seq, mask });
      }
      case "pull": {
        // What it will want because of the page has to fit as well, or it would miss that.
        if (!this.answers.allows(to, (1 + WANTS_MAX) * this.limit)) return;
        const page = this.#page(body.seq, body.mask, body.after);
        this.answers.spend(to, bodySize(page));
        return this.link.send(to, page);
      }
      case "want":
        return this.#give(to, body.rumours);
    }
  }

  /** Sends a member these, but for what it was given of late. */
  share(to: Member, claims: readonly Claim[], rumours: readonly Rumour[]): void {
    const fresh = this.answers.fresh(to, rumours);
    for (const claim of claims) this.answers.spend(to, claimSize(claim));
    for (const rumour of fresh) this.answers.spend(to, rumourSize(rumour));
    this.link.share(to, claims, fresh);
  }

  /** All our items of these buckets after a cursor, in order. */
  *ordered(mask: Uint8Array, after: Cursor | undefined): Iterable<Item> {
    const first = after === undefined ? 0 : bucketOf(after.tag);
    for (let bucket = first; bucket < BUCKETS; bucket++) {
      if (!inMask(mask, bucket)) continue;
      const items = [
        ...this.membership.items(bucket, after),
        ...this.rumours.items(bucket, after),
      ];
      yield* items.sort(compare);
    }
  }

  #page(seq: number, mask: Uint8Array, after: Cursor | undefined): Body {
    const items: Item[] = [];
    const room = this.limit - bodySize({ kind: "page", seq, after, upto: FULL_CURSOR, items });
    let used = 0;
    for (const item of this.ordered(mask, after)) {
      used += itemSize(item);
      if (used > room || items.length >= COUNT_MAX) {
        return { kind: "page", seq, after, upto: items.at(-1), items };
      }
      items.push(item);
    }
    return { kind: "page", seq, after, upto: undefined, items };
  }

  #give(to: Member, wanted: readonly Cursor[]): void {
    if (!this.answers.allows(to)) return;
    const claims: Claim[] = [];
    const rumours: Rumour[] = [];
    for (const { tag, kind } of wanted.slice(0, WANTS_MAX)) {
      const member = kind === 0 ? this.membership.get(tag) : undefined;
      // Without its subject's signature it would not count.
      if (member?.proof !== undefined) claims.push(claimOf(member, this.membership.self, true));
      const rumour = this.rumours.get(tag, kind);
      if (rumour !== undefined) rumours.push(rumour);
    }
    this.share(to, claims, rumours);
  }
}

/** Any cursor, where only its size counts. */
const FULL_CURSOR: Cursor = { tag: "0".repeat(32), kind: 0 };

/** The order of items. */
export function compare(a: Cursor, b: Cursor): number {
  if (a.tag !== b.tag) return a.tag < b.tag ? -1 : 1;
  return a.kind - b.kind;
}
