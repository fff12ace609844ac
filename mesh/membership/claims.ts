/**
 * Who holds what only one member can have: a name, an IPv4 address. Everybody gives it to the same
 * one: admins come first, so that no admin can take it from another by a certificate for somebody else;
 * whom an admin has certified comes before a guest, a guest before whom a token has let in, and all of
 * them before a key that a person trusts on this node alone; then the earlier time that somebody else than the member has
 * signed; then the lower key (invariant 7). So nothing that a member says of itself takes anything
 * from another.
 */
import { Heap } from "../heap.ts";
import type { MemberId } from "./identity.ts";

export interface Claim {
  readonly id: MemberId;
  /** 0: admin, 1: certified, 2: guest, 3: provisional, 4: trusted on this node. */
  readonly rank: number;
  /** Unix seconds. */
  readonly since: number;
  /** What is claimed. */
  readonly wish: string;
}

function hasPrecedence(a: Claim, b: Claim): boolean {
  if (a.rank !== b.rank) return a.rank < b.rank;
  return a.since !== b.since ? a.since < b.since : a.id < b.id;
}

function isSame(a: Claim, b: Claim): boolean {
  return a.rank === b.rank && a.since === b.since && a.wish === b.wish;
}

/** Everybody that claims one thing. */
class Claimants {
  /** How many there are. */
  count = 0;
  readonly #heap = new Heap<Claim>(hasPrecedence);
  /** In the heap, those that were given up among them. */
  #kept = 0;

  constructor(private readonly counts: (claim: Claim) => boolean) {}

  add(claim: Claim): void {
    this.count++;
    this.#push(claim);
    // Whoever claims and gives up again and again leaves nothing behind that grows.
    if (this.#kept > 2 * this.count + 8) this.#compact();
  }

  #push(claim: Claim): void {
    this.#kept++;
    this.#heap.push(claim);
  }

  #compact(): void {
    const all = [...this.#heap].filter(this.counts);
    this.#heap.clear();
    this.#kept = 0;
    for (const claim of all) this.#push(claim);
  }

  /** All of them, in no order. */
  *all(): Generator<Claim> {
    for (const claim of this.#heap) if (this.counts(claim)) yield claim;
  }

  /** Whoever has it: thousands can claim one thing, and leave one after the other. */
  first(): Claim | undefined {
    for (;;) {
      const first = this.#heap.peek();
      if (first === undefined || this.counts(first)) return first;
      this.#heap.pop();
      this.#kept--;
    }
  }
}

/** Something that another has now. */
interface Move {
  readonly wish: string;
  readonly before: MemberId | undefined;
  readonly after: MemberId | undefined;
}

/** One claim a key. As large as what feeds it: the member table, and the certificates that count (statements.ts). */
export class Claims {
  readonly #claims = new Map<MemberId, Claim>();
  readonly #wanted = new Map<string, Claimants>();
  /** Who had what was claimed or given up since somebody asked. */
  readonly #touched = new Map<string, MemberId | undefined>();
  /** How often something was claimed or given up: while it stays the same, everybody has what they had. */
  revision = 0;

  /** @param isFollowed whether somebody asks for {@link moves} after each change */
  constructor(private readonly isFollowed = false) {}

  /** A member's claim, in place of its earlier one. */
  claim(claim: Claim): void {
    const before = this.#claims.get(claim.id);
    if (before && isSame(before, claim)) return;
    this.release(claim.id);
    this.#touch(claim.wish);
    this.revision++;
    this.#claims.set(claim.id, claim);
    const wanting = this.#wanted.get(claim.wish);
    if (wanting) wanting.add(claim);
    else {
      const first = new Claimants(this.#isIts);
      first.add(claim);
      this.#wanted.set(claim.wish, first);
    }
  }

  readonly #isIts = (one: Claim) => this.#claims.get(one.id) === one;

  release(id: MemberId): void {
    const old = this.#claims.get(id);
    if (old === undefined) return;
    this.#touch(old.wish);
    this.#claims.delete(id);
    this.revision++;
    const wanting = this.#wanted.get(old.wish);
    if (wanting && --wanting.count === 0) this.#wanted.delete(old.wish);
  }

  #touch(wish: string): void {
    if (this.isFollowed && !this.#touched.has(wish)) this.#touched.set(wish, this.holder(wish));
  }

  /** What changed hands since this was asked last. */
  moves(): Move[] {
    if (this.#touched.size === 0) return [];
    const moves: Move[] = [];
    for (const [wish, before] of this.#touched) {
      const after = this.holder(wish);
      if (before !== after) moves.push({ wish, before, after });
    }
    this.#touched.clear();
    return moves;
  }

  /** How many things are claimed, each by one member or by several. */
  get wanted(): number {
    return this.#wanted.size;
  }

  get(id: MemberId): Claim | undefined {
    return this.#claims.get(id);
  }

  /** Everybody that claims it, in no order. */
  claimants(wish: string): Iterable<Claim> {
    return this.#wanted.get(wish)?.all() ?? [];
  }

  /** The one member that has it. */
  holder(wish: string): MemberId | undefined {
    return this.#wanted.get(wish)?.first()?.id;
  }

  /** Whether a member has what it claims. */
  holds(id: MemberId): boolean {
    const claim = this.#claims.get(id);
    return claim !== undefined && this.holder(claim.wish) === id;
  }
}
