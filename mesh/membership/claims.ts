/**
 * Who holds what only one member can have: a name, an IPv4 address. Everybody gives it to the same
 * one: admins come first, so that no admin can take it from another by a certificate for somebody else;
 * whom an admin has certified comes before a guest, a guest before whom a token has let in, and all of
 * them before a key that a person trusts on this node alone; then the earlier time that somebody else than the member has
 * signed; then the lower key (invariant 7). So nothing that a member says of itself takes anything
 * from another.
 */
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

/** One claim a member. As large as the member table that feeds it. */
export class Claims {
  readonly #claims = new Map<MemberId, Claim>();
  readonly #wanted = new Map<string, Set<MemberId>>();
  /** Who has what, as far as it was asked for: thousands can claim one name. */
  readonly #holders = new Map<string, Claim>();
  /** How often something was claimed or given up: while it stays the same, everybody has what they had. */
  revision = 0;

  /** A member's claim, in place of its earlier one. */
  claim(claim: Claim): void {
    const before = this.#claims.get(claim.id);
    if (before && isSame(before, claim)) return;
    this.release(claim.id);
    this.revision++;
    this.#claims.set(claim.id, claim);
    const wanting = this.#wanted.get(claim.wish) ?? new Set();
    this.#wanted.set(claim.wish, wanting.add(claim.id));
    const holder = this.#holders.get(claim.wish);
    if (holder && hasPrecedence(claim, holder)) this.#holders.set(claim.wish, claim);
  }

  release(id: MemberId): void {
    const old = this.#claims.get(id);
    if (old === undefined) return;
    this.#claims.delete(id);
    this.revision++;
    if (this.#holders.get(old.wish) === old) this.#holders.delete(old.wish);
    const wanting = this.#wanted.get(old.wish);
    wanting?.delete(id);
    if (wanting?.size === 0) this.#wanted.delete(old.wish);
  }

  /** How many things are claimed, each by one member or by several. */
  get wanted(): number {
    return this.#wanted.size;
  }

  get(id: MemberId): Claim | undefined {
    return this.#claims.get(id);
  }

  /** Who else claims what this member does. */
  rivals(id: MemberId): MemberId[] {
    const wish = this.#claims.get(id)?.wish;
    if (wish === undefined) return [];
    return [...this.#wanted.get(wish) ?? []].filter((other) => other !== id);
  }

  /** The one member that has it. */
  holder(wish: string): MemberId | undefined {
    let best = this.#holders.get(wish);
    if (best) return best.id;
    for (const id of this.#wanted.get(wish) ?? []) {
      const claim = this.#claims.get(id);
      if (claim && (best === undefined || hasPrecedence(claim, best))) best = claim;
    }
    if (best) this.#holders.set(wish, best);
    return best?.id;
  }

  /** Whether a member has what it claims. */
  holds(id: MemberId): boolean {
    const claim = this.#claims.get(id);
    return claim !== undefined && this.holder(claim.wish) === id;
  }
}
