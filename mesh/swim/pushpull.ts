/**
 * Push–pull: two members compare everything they know and level it, which repairs whatever gossip
 * has lost. The one that begins sends the hashes of its buckets; the other says which differ; then
 * the first pulls page after page of the other's items in a fixed order, and for the stretch of that
 * order which a page covers it pushes what the other lacks and asks for the rumours it lacks itself.
 *
 * The other side keeps no state. The first has one page under way at a time and moves at most
 * {@link PUSH_DATAGRAMS} a page, so that a push–pull never bursts, however much there is to level.
 */
import { bucketOf, type Buckets, differing, inMask } from "./buckets.ts";
import type { Member, Membership } from "./membership.ts";
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
  type MemberItem,
  type Rumour,
  rumourSize,
} from "./messages.ts";
import { nameOf, type Rumours } from "./rumours.ts";

/** How many full datagrams may answer one page. */
const PUSH_DATAGRAMS = 8;
/** Rumours that one page may make us ask for, and that one request is answered with. */
const WANTS_MAX = 24;
/** How often one step is sent before the push–pull is given up. */
const TRIES = 3;
/** Pages after which a push–pull ends, so that a partner that invents items cannot hold us. */
const PAGES_MAX = 4096;

export interface PushPullLink {
  readonly send: (to: Member, body: Body) => void;
  /** Sends these, in as many messages as that takes. */
  readonly share: (to: Member, claims: readonly Claim[], rumours: readonly Rumour[]) => void;
  /** One of ours has ended: whatever the partner knows has been asked for. */
  readonly levelled: (partner: Member) => void;
  /** A claim that the other side makes in a page. */
  readonly hear: (from: Member, claim: Claim) => void;
}

interface Session {
  readonly partner: Member;
  readonly seq: number;
  mask: Uint8Array | undefined;
  after: Cursor | undefined;
  tries: number;
  pages: number;
}

export class PushPull {
  #session: Session | undefined;

  constructor(
    private readonly link: PushPullLink,
    private readonly membership: Membership,
    private readonly rumours: Rumours,
    private readonly fingerprint: Buckets,
    private readonly limit: number,
  ) {}

  /** With whom one of ours is under way. */
  get partner(): Member | undefined {
    return this.#session?.partner;
  }

  /** Begins one, unless one is under way. */
  begin(partner: Member, seq: number): void {
    if (this.#session !== undefined) return;
    this.#session = { partner, seq, mask: undefined, after: undefined, tries: 0, pages: 0 };
    this.retry();
  }

  /** Sends the current step again; gives up after {@link TRIES}. */
  retry(): void {
    const session = this.#session;
    if (session === undefined) return;
    if (++session.tries > TRIES) {
      this.#session = undefined;
      return;
    }
    const { partner, seq, mask, after } = session;
    const hashes = this.fingerprint.hashes();
    if (mask === undefined) this.link.send(partner, { kind: "digest", seq, hashes });
    else this.link.send(partner, { kind: "pull", seq, mask, after });
  }

  /** Takes what a partner sends; says whether a push–pull of ours has moved on or ended. */
  receive(from: Member, body: Body): boolean {
    switch (body.kind) {
      case "digest": {
        const mask = differing(this.fingerprint.hashes(), body.hashes);
        this.link.send(from, { kind: "differ", seq: body.seq, mask });
        return false;
      }
      case "pull":
        this.link.send(from, this.#page(body.seq, body.mask, body.after));
        return false;
      case "want":
        this.#give(from, body.rumours);
        return false;
      case "differ":
        return this.#begun(from, body);
      case "page":
        return this.#level(from, body);
      default:
        return false;
    }
  }

  #begun(from: Member, { seq, mask }: Body & { kind: "differ" }): boolean {
    const session = this.#session;
    if (session?.partner !== from || session.seq !== seq || session.mask !== undefined) {
      return false;
    }
    if (mask.every((byte) => byte === 0)) {
      this.#session = undefined;
      this.link.levelled(from);
    } else {
      session.mask = mask;
      session.tries = 0;
      this.retry();
    }
    return true;
  }

  #page(seq: number, mask: Uint8Array, after: Cursor | undefined): Body {
    const items: Item[] = [];
    const room = this.limit - bodySize({ kind: "page", seq, after, upto: FULL_CURSOR, items });
    let used = 0;
    for (const item of this.#ordered(mask, after)) {
      used += itemSize(item);
      if (used > room || items.length >= COUNT_MAX) {
        return { kind: "page", seq, after, upto: items.at(-1), items };
      }
      items.push(item);
    }
    return { kind: "page", seq, after, upto: undefined, items };
  }

  #give(to: Member, wanted: readonly Cursor[]): void {
    const rumours: Rumour[] = [];
    for (const { tag, kind } of wanted.slice(0, WANTS_MAX)) {
      const rumour = this.rumours.get(tag, kind);
      if (rumour !== undefined) rumours.push(rumour);
    }
    this.link.share(to, [], rumours);
  }

  #level(from: Member, page: Body & { kind: "page" }): boolean {
    const session = this.#session;
    const mask = session?.mask;
    if (session?.partner !== from || session.seq !== page.seq || mask === undefined) return false;
    if (!isSame(session.after, page.after)) return false;
    if (!isInOrder(page) || ++session.pages > PAGES_MAX) {
      this.#session = undefined;
      return true;
    }
    const wanted = this.#take(from, page);
    const end = this.#push(from, page, mask, wanted.upto);
    if (wanted.list.length > 0) this.link.send(from, { kind: "want", rumours: wanted.list });
    if (end === undefined) {
      this.#session = undefined;
      this.link.levelled(from);
    } else {
      session.after = end;
      session.tries = 0;
      this.retry();
    }
    return true;
  }

  /** Hears the claims of a page and finds the rumours to ask for; ends early at WANTS_MAX. */
  #take(from: Member, page: Body & { kind: "page" }): { list: Cursor[]; upto: Cursor | undefined } {
    const list: Cursor[] = [];
    for (const item of page.items) {
      if (!("version" in item)) {
        const { tag: subject, status, incarnation } = item;
        const claim = { subject, status, incarnation };
        this.link.hear(from, status === "suspect" ? { ...claim, origin: from.tag } : claim);
      } else if (isNewer(item, this.#ours(item))) {
        list.push({ tag: item.tag, kind: item.kind });
        if (list.length >= WANTS_MAX) return { list, upto: item };
      }
    }
    return { list, upto: page.upto };
  }

  /** Pushes what the page lacks up to a cursor; returns how far that went, undefined: to the end. */
  #push(to: Member, page: Body & { kind: "page" }, mask: Uint8Array, upto: Cursor | undefined) {
    const theirs = new Map(page.items.map((item) => [nameOf(item.tag, item.kind), item]));
    const claims: Claim[] = [];
    const rumours: Rumour[] = [];
    let room = PUSH_DATAGRAMS * this.limit;
    let end = upto;
    for (const item of this.#ordered(mask, page.after)) {
      if (upto !== undefined && compare(item, upto) > 0) break;
      if (!isNewer(item, theirs.get(nameOf(item.tag, item.kind)))) continue;
      if ("version" in item) {
        const rumour = this.rumours.get(item.tag, item.kind);
        if (rumour === undefined) continue;
        rumours.push(rumour);
        room -= rumourSize(rumour);
      } else {
        const claim = this.#claim(item);
        claims.push(claim);
        room -= claimSize(claim);
      }
      if (room <= 0) {
        end = { tag: item.tag, kind: item.kind };
        break;
      }
    }
    this.link.share(to, claims, rumours);
    return end;
  }

  #claim({ tag: subject, status, incarnation }: MemberItem): Claim {
    if (status !== "suspect") return { subject, status, incarnation };
    const [origin = this.membership.self.tag] = this.membership.get(subject)?.accusation?.origins ??
      [];
    return { subject, status, incarnation, origin };
  }

  #ours(item: Item): Item | undefined {
    const rumour = this.rumours.get(item.tag, item.kind);
    return rumour && { kind: rumour.kind, tag: item.tag, version: rumour.version };
  }

  /** All our items of these buckets after a cursor, in order. */
  *#ordered(mask: Uint8Array, after: Cursor | undefined): Iterable<Item> {
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
}

/** Any cursor, where only its size counts. */
const FULL_CURSOR: Cursor = { tag: "0".repeat(32), kind: 0 };

function compare(a: Cursor, b: Cursor): number {
  if (a.tag !== b.tag) return a.tag < b.tag ? -1 : 1;
  return a.kind - b.kind;
}

function isSame(a: Cursor | undefined, b: Cursor | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return compare(a, b) === 0;
}

/** Whether a page's items ascend from `after` to `upto`, so that a push–pull always gets on. */
function isInOrder({ after, upto, items }: Body & { kind: "page" }): boolean {
  let last = after;
  for (const item of items) {
    if (last !== undefined && compare(item, last) <= 0) return false;
    last = item;
  }
  if (upto === undefined) return true;
  return last !== after && last !== undefined && compare(last, upto) <= 0;
}

/** Whether an item says more than another of the same name. */
function isNewer(item: Item, than: Item | undefined): boolean {
  if (than === undefined) return true;
  if ("version" in item) return "version" in than && item.version > than.version;
  if ("version" in than) return true;
  if (item.incarnation !== than.incarnation) return item.incarnation > than.incarnation;
  return isGone(item.status) && !isGone(than.status);
}

function isGone(status: Member["status"]): boolean {
  return status === "dead" || status === "left";
}
