/**
 * Push-pull: two members compare everything they know and level it, which repairs whatever gossip
 * has lost. The one that begins sends the hashes of its buckets; the other says which differ; then
 * the first pulls page after page of the other's items in a fixed order, and for the stretch of that
 * order which a page covers it pushes what the other lacks and asks for the rumours it lacks itself,
 * and for the signatures of incarnations that it has not seen.
 *
 * The other side keeps no state (inventory.ts). The first has one page under way at a time and moves
 * at most {@link PUSH_DATAGRAMS} a page, so that a push-pull never bursts, however much there is to
 * level.
 *
 * It has an end, whatever the partner does: a page that is not the last brings many items, and all of
 * it lasts no longer than {@link longest}. What is not level by then, the next one goes on with.
 */
import type { Answers } from "./answers.ts";
import type { Buckets } from "./buckets.ts";
import { compare, type Inventory, type InventoryLink, WANTS_MAX } from "./inventory.ts";
import { claimOf, type Member, type Membership } from "./membership.ts";
import {
  type Body,
  type Claim,
  claimSize,
  type Cursor,
  type Item,
  type MemberItem,
  type Rumour,
  rumourSize,
} from "./messages.ts";
import type { Moment } from "./outbox.ts";
import { nameOf, type Rumours } from "./rumours.ts";

/** How many full datagrams may answer one page. */
const PUSH_DATAGRAMS = 8;
/** How often one step is sent before the push-pull is given up. */
const TRIES = 3;
/**
 * Items that every page but the last brings at least. A full datagram has three times as many; with
 * fewer, a partner that invents items could make us turn pages for ever.
 */
const PAGE_LEAST = 16;

/** Milliseconds that a push-pull lasts at most, for so many items known here. */
function longest(items: number): number {
  return 30_000 + 2 * items;
}

export interface PushPullLink extends InventoryLink {
  /** One of ours has ended: whatever the partner knows has been asked for. */
  /** @param wanted kinds of what we lacked: it is on its way */
  readonly levelled: (partner: Member, wanted: ReadonlySet<number>) => void;
  /** A claim that the other side makes in a page. */
  readonly hear: (from: Member, claim: Claim) => void;
}

interface Session {
  readonly partner: Member;
  readonly seq: number;
  readonly began: number;
  mask: Uint8Array | undefined;
  after: Cursor | undefined;
  tries: number;
  /** Kinds of the rumours that were asked for: they may be on their way as the session ends. */
  readonly wanted: Set<number>;
}

/** Those that we begin, one at a time. */
export class PushPull {
  #session: Session | undefined;
  /** Push-pulls that were ended because they lasted too long or broke the order. */
  broken = 0;

  constructor(
    private readonly link: PushPullLink,
    private readonly membership: Membership,
    private readonly rumours: Rumours,
    private readonly fingerprint: Buckets,
    private readonly inventory: Inventory,
    private readonly answers: Answers,
    private readonly limit: number,
    private readonly moment: Moment,
  ) {}

  /** With whom one is under way. */
  get partner(): Member | undefined {
    return this.#session?.partner;
  }

  /** Begins one, unless one is under way. */
  begin(partner: Member, seq: number): void {
    if (this.#session !== undefined) return;
    const began = this.moment.now;
    this.#session = {
      partner,
      seq,
      began,
      mask: undefined,
      after: undefined,
      tries: 0,
      wanted: new Set(),
    };
    this.retry();
  }

  /** Sends the current step again; gives up after {@link TRIES}, or when time is over. */
  retry(): void {
    const session = this.#session;
    if (session === undefined) return;
    if (this.#isOver(session)) return this.#break();
    if (++session.tries > TRIES) {
      this.#session = undefined;
      return;
    }
    const { partner, seq, mask, after } = session;
    const hashes = this.fingerprint.hashes();
    if (mask === undefined) this.link.send(partner, { kind: "digest", seq, hashes });
    else this.link.send(partner, { kind: "pull", seq, mask, after });
  }

  /** Takes a partner's answer; says whether the push-pull has moved on or ended. */
  receive(from: Member, body: Body): boolean {
    const session = this.#session;
    if (session?.partner !== from) return false;
    if (body.kind === "differ") return this.#begun(session, body);
    return body.kind === "page" && this.#level(session, body);
  }

  /** Ends what is under way with a member that is no more. */
  forget(member: Member): void {
    if (this.#session?.partner === member) this.#session = undefined;
  }

  #isOver({ began }: Session): boolean {
    return this.moment.now - began > longest(this.inventory.size);
  }

  #break(): void {
    this.broken++;
    this.#session = undefined;
  }

  #begun(session: Session, { seq, mask }: Body & { kind: "differ" }): boolean {
    if (session.seq !== seq || session.mask !== undefined) return false;
    if (mask.every((byte) => byte === 0)) {
      this.#session = undefined;
      this.link.levelled(session.partner, session.wanted);
    } else {
      session.mask = mask;
      session.tries = 0;
      this.retry();
    }
    return true;
  }

  #level(session: Session, page: Body & { kind: "page" }): boolean {
    const { partner, mask } = session;
    if (session.seq !== page.seq || mask === undefined) return false;
    if (!isSame(session.after, page.after)) return false;
    if (!isInOrder(page) || this.#isOver(session)) {
      this.#break();
      return true;
    }
    // Nothing is lost: the page is pulled again when the step is sent again.
    if (!this.answers.allows(partner, PUSH_DATAGRAMS * this.limit)) return false;
    const wanted = this.#take(partner, page);
    for (const { kind } of wanted.list) session.wanted.add(kind);
    const end = this.#push(partner, page, mask, wanted.upto);
    if (wanted.list.length > 0) this.link.send(partner, { kind: "want", rumours: wanted.list });
    if (end === undefined) {
      this.#session = undefined;
      this.link.levelled(partner, session.wanted);
    } else {
      session.after = end;
      session.tries = 0;
      this.retry();
    }
    return true;
  }

  /** Hears the claims of a page and finds what to ask for; ends early at WANTS_MAX. */
  #take(from: Member, page: Body & { kind: "page" }): { list: Cursor[]; upto: Cursor | undefined } {
    const list: Cursor[] = [];
    for (const item of page.items) {
      const { tag, kind } = item;
      if ("version" in item ? !isNewer(item, this.#ours(item)) : this.#isHeard(from, item)) {
        continue;
      }
      list.push({ tag, kind });
      if (list.length >= WANTS_MAX) return { list, upto: item };
    }
    return { list, upto: page.upto };
  }

  /** Hears what a page says of a member; false: its subject's signature is needed first. */
  #isHeard(from: Member, { tag: subject, status, incarnation }: MemberItem): boolean {
    const member = this.membership.get(subject);
    if (member !== undefined && incarnation > member.incarnation) return false;
    const claim = { subject, status, incarnation };
    this.link.hear(from, status === "suspect" ? { ...claim, origin: from.tag } : claim);
    return true;
  }

  /** Pushes what the page lacks up to a cursor; returns how far that went, undefined: to the end. */
  #push(to: Member, page: Body & { kind: "page" }, mask: Uint8Array, upto: Cursor | undefined) {
    const theirs = new Map(page.items.map((item) => [nameOf(item.tag, item.kind), item]));
    const claims: Claim[] = [];
    const rumours: Rumour[] = [];
    let room = PUSH_DATAGRAMS * this.limit;
    let end = upto;
    for (const item of this.inventory.ordered(mask, page.after)) {
      if (upto !== undefined && compare(item, upto) > 0) break;
      const their = theirs.get(nameOf(item.tag, item.kind));
      if (!isNewer(item, their)) continue;
      const rumour = this.rumours.get(item.tag, item.kind);
      const member = item.kind === 0 ? this.membership.get(item.tag) : undefined;
      if (rumour !== undefined) {
        rumours.push(rumour);
        room -= rumourSize(rumour);
      } else if (member !== undefined) {
        const isHigher = their === undefined || isHigherIn(member, their);
        const claim = claimOf(member, this.membership.self, isHigher);
        claims.push(claim);
        room -= claimSize(claim);
      }
      if (room <= 0) {
        end = { tag: item.tag, kind: item.kind };
        break;
      }
    }
    this.inventory.share(to, claims, rumours);
    return end;
  }

  #ours(item: Item): Item | undefined {
    const rumour = this.rumours.get(item.tag, item.kind);
    return rumour && { kind: rumour.kind, tag: item.tag, version: rumour.version };
  }
}

function isSame(a: Cursor | undefined, b: Cursor | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return compare(a, b) === 0;
}

/**
 * Whether a page's items ascend from `after` to `upto`, and are many unless it is the last, so that a
 * push-pull always gets on.
 */
function isInOrder({ after, upto, items }: Body & { kind: "page" }): boolean {
  let last = after;
  for (const item of items) {
    if (last !== undefined && compare(item, last) <= 0) return false;
    last = item;
  }
  if (upto === undefined) return true;
  return items.length >= PAGE_LEAST && last !== undefined && compare(last, upto) <= 0;
}

/** Whether an item says more than another of the same name. */
function isNewer(item: Item, than: Item | undefined): boolean {
  if (than === undefined) return true;
  if ("version" in item) return "version" in than && item.version > than.version;
  if ("version" in than) return true;
  if (item.incarnation !== than.incarnation) return item.incarnation > than.incarnation;
  return isGone(item.status) && !isGone(than.status);
}

/** Whether a member is held at a higher incarnation here than an item says. */
function isHigherIn({ incarnation }: Member, item: Item): boolean {
  return "version" in item || incarnation > item.incarnation;
}

function isGone(status: Member["status"]): boolean {
  return status === "dead" || status === "left";
}
