/**
 * Whom a node believes: who is a member, by which proof, and until when. The one place that puts
 * chains, individually trusted keys, revocations, redeemed tokens and the clock together.
 *
 * **Where a token's expiry and uses are judged.** A certificate under a token names no moment that
 * an admin vouches for, so its holder could claim to have joined earlier. Therefore the *door* (the
 * member that a stranger knocks at) judges expiry and uses by its own clock and table; everybody
 * else judges the chain alone, because news of a member reaches them only through members. Who was
 * let in is gossiped as the chain itself, which proves the redemption. Until that has gone round
 * (a few gossip periods), another door may let one more in with the same token; such over-use is
 * bounded by the number of doors that are reached in that time, reported by every node, and undone
 * by `revoke`.
 */
import type { Crypto } from "../crypto.ts";
import type { NodeRecord } from "../record.ts";
import { type Chain, type Membership, verifyChain } from "./certificate.ts";
import type { MemberId } from "./identity.ts";
import type { Revocation } from "./revocation.ts";

/** Why somebody is not believed. Numbers stand in answers on the wire. */
export const REFUSALS = [
  "stranger",
  "invalid",
  "notYetValid",
  "expired",
  "revoked",
  "tokenExpired",
  "tokenUsedUp",
  "full",
] as const;
export type Refusal = typeof REFUSALS[number];

export type Judgement =
  | { readonly kind: "member"; readonly membership: Membership }
  | { readonly kind: "refused"; readonly why: Refusal; readonly detail: string };

/** Seconds by which two members' clocks may differ before a certificate looks wrong (T41); a token's end has none. */
export const CLOCK_SKEW = 300;

/** Revocations; at the limit a further one is refused and counted. */
export const REVOCATIONS_MAX = 16_384;
/** Tokens whose uses are counted, and uses in all; what cannot be counted lets nobody in. */
export const TOKENS_MAX = 4_096;
export const REDEMPTIONS_MAX = 32_768;
/** Individually trusted keys; at the limit a further one is refused. */
export const TRUSTED_MAX = 4_096;
/** Identities remembered for one token beyond its uses: enough to name culprits. */
const OVERUSE_REMEMBERED = 16;

/** A token that more identities used than it allowed. */
interface Overuse {
  readonly token: string;
  readonly uses: number;
  readonly by: readonly MemberId[];
}

interface Redemptions {
  readonly uses: number;
  readonly until: number;
  readonly by: Map<MemberId, Chain>;
}

/** A membership that rests on a person's word on this node alone. */
function individually(id: MemberId, name: string): Membership {
  return {
    id,
    name,
    groups: [],
    flags: { relay: false, admin: false },
    notBefore: 0,
    expires: Number.MAX_SAFE_INTEGER,
    // Nobody vouched for a time: in a clash of addresses such a key comes last.
    issuedAt: Number.MAX_SAFE_INTEGER,
    isVouched: false,
    keys: [],
    grants: [],
  };
}

export class Trust {
  readonly #trusted = new Map<MemberId, string>();
  readonly #revoked = new Map<string, Revocation>();
  readonly #tokens = new Map<string, Redemptions>();
  /** Uses in all tokens. */
  #counted = 0;
  /** What the limits have cost. */
  refusedRevocations = 0;
  refusedRedemptions = 0;

  /** @param meshKey the mesh's public key; undefined: individually trusted keys alone. */
  constructor(private readonly crypto: Crypto, readonly meshKey: Uint8Array | undefined) {}

  /**
   * Whether the subject of a record is a member.
   * @param now unix seconds.
   */
  judge(record: NodeRecord, now: number): Judgement {
    const byChain = this.judgeChain(record.id, record.chain, now);
    const name = this.#trusted.get(record.id);
    if (byChain.kind === "member" || name === undefined) return byChain;
    if (this.#revoked.has(record.id)) return byChain;
    return { kind: "member", membership: individually(record.id, name) };
  }

  /** Whether a chain makes `id` a member. */
  judgeChain(id: MemberId, chain: Chain, now: number): Judgement {
    if (this.#revoked.has(id)) return refused("revoked", `the key ${id} is revoked`);
    if (this.meshKey === undefined || chain.links.length === 0) {
      return refused("stranger", `${id} shows no certificate`);
    }
    const verified = verifyChain(this.crypto, this.meshKey, chain);
    if (!verified.ok) return refused("invalid", verified.error);
    const membership = verified.value;
    if (membership.id !== id) return refused("invalid", "the certificate names another key");
    return this.#standing(membership, now);
  }

  /** Whether a membership that was verified once still holds. */
  review(membership: Membership, now: number): Judgement {
    const { id, keys } = membership;
    const byChain = keys.length > 0
      ? this.#standing(membership, now)
      : refused("stranger", `${id} is not trusted any more`);
    const name = this.#trusted.get(id);
    if (byChain.kind === "member" || name === undefined || this.#revoked.has(id)) return byChain;
    return { kind: "member", membership: individually(id, name) };
  }

  #standing(membership: Membership, now: number): Judgement {
    const revoked = membership.keys.find((key) => this.#revoked.has(key));
    if (revoked !== undefined) {
      return refused("revoked", `the certificate rests on the revoked key ${revoked}`);
    }
    const { notBefore, expires } = membership;
    if (notBefore > now + CLOCK_SKEW) {
      return refused(
        "notYetValid",
        `the certificate begins ${rfc3339(notBefore)} and it is ${rfc3339(now)} here: ` +
          `compare the clocks of both machines`,
      );
    }
    if (expires < now - CLOCK_SKEW) {
      return refused("expired", `the certificate expired ${rfc3339(expires)}`);
    }
    return { kind: "member", membership };
  }

  /**
   * The same at the door, for somebody who knocks: tokens must be unexpired and have uses left,
   * unless this very key redeemed them before.
   * @param isKnown the mesh knows it as a member already: it comes back, it does not join.
   */
  judgeAtDoor(record: NodeRecord, isKnown: boolean, now: number): Judgement {
    const judgement = this.judge(record, now);
    if (judgement.kind === "refused" || isKnown) return judgement;
    for (const { key, uses, until, by: redeemer } of judgement.membership.grants) {
      const by = this.#tokens.get(key)?.by;
      if (redeemer !== record.id || by?.has(record.id)) continue;
      // No tolerance: an admin who grants a minute means a minute, and both clocks are members'.
      if (now > until) {
        return refused("tokenExpired", `the token expired ${rfc3339(until)}`);
      }
      if ((by?.size ?? 0) >= uses) {
        return refused("tokenUsedUp", `the token's ${uses} uses are used up`);
      }
      if (!this.#canCount(key)) return refused("full", "no more uses of tokens can be counted");
    }
    return judgement;
  }

  /**
   * Counts a verified membership against the tokens that it redeemed.
   * @returns whether it was not counted before, and the tokens that are over-used by it: key and
   * everybody who used it.
   */
  redeem(membership: Membership, chain: Chain): { isNew: boolean; over: Overuse[] } {
    const over: Overuse[] = [];
    let isNew = false;
    for (const { key, uses, until, by } of membership.grants) {
      const entry = this.#tokens.get(key) ?? { uses, until, by: new Map<MemberId, Chain>() };
      // Whoever holds a token makes narrowings of it at will: they count with it, or not at all.
      if (entry.by.has(by) || entry.by.size >= uses + OVERUSE_REMEMBERED) break;
      if (!this.#canCount(key)) {
        this.refusedRedemptions++;
        break;
      }
      this.#tokens.set(key, entry);
      entry.by.set(by, chain);
      this.#counted++;
      isNew = true;
      if (entry.by.size > uses) over.push({ token: key, uses, by: [...entry.by.keys()] });
    }
    return { isNew, over };
  }

  #canCount(token: string): boolean {
    const hasRoom = this.#tokens.has(token) || this.#tokens.size < TOKENS_MAX;
    return hasRoom && this.#counted < REDEMPTIONS_MAX;
  }

  /** Tokens that more identities used than they allowed. */
  *overused(): Generator<Overuse> {
    for (const [token, { uses, by }] of this.#tokens) {
      if (by.size > uses) yield { token, uses, by: [...by.keys()] };
    }
  }

  /** Chains that redeemed a token, each once. */
  redemptions(): Set<Chain> {
    return new Set([...this.#tokens.values()].flatMap(({ by }) => [...by.values()]));
  }

  /** Takes a person's word for a key. @returns false at the table's limit. */
  trust(id: MemberId, name: string): boolean {
    if (!this.#trusted.has(id) && this.#trusted.size >= TRUSTED_MAX) return false;
    this.#trusted.set(id, name);
    return true;
  }

  isTrusted(id: MemberId): boolean {
    return this.#trusted.has(id);
  }

  distrust(id: MemberId): void {
    this.#trusted.delete(id);
  }

  *trusted(): Generator<{ key: MemberId; name: string }> {
    for (const [key, name] of this.#trusted) yield { key, name };
  }

  /**
   * Takes a revocation in. One that has ended is none, or it would be forgotten and be news again for
   * ever; of two for one key the longer holds.
   * @param now unix seconds.
   * @returns whether it is news; false also at the table's limit, where none makes room: whoever
   * could push one out would let somebody back in.
   */
  revoke(revocation: Revocation, now: number): boolean {
    const { key, until } = revocation;
    const known = this.#revoked.get(key);
    if (hasEnded(until, now) || until <= (known?.until ?? -Infinity)) return false;
    if (known === undefined && this.#revoked.size >= REVOCATIONS_MAX) {
      this.refusedRevocations++;
      return false;
    }
    this.#revoked.set(key, revocation);
    return true;
  }

  revocations(): Iterable<Revocation> {
    return this.#revoked.values();
  }

  isRevoked(key: string): boolean {
    return this.#revoked.has(key);
  }

  /** Forgets what has ended. @param now unix seconds. @returns keys of revocations forgotten. */
  expire(now: number): string[] {
    for (const [key, { until, by }] of this.#tokens) {
      if (!hasEnded(until, now)) continue;
      this.#tokens.delete(key);
      this.#counted -= by.size;
    }
    const gone = [...this.#revoked.values()].filter(({ until }) => hasEnded(until, now));
    for (const { key } of gone) this.#revoked.delete(key);
    return gone.map(({ key }) => key);
  }
}

function hasEnded(until: number, now: number): boolean {
  return until + CLOCK_SKEW < now;
}

/** Unix seconds as people read them. */
export function rfc3339(seconds: number): string {
  const last = 253_402_300_799; // 9999-12-31T23:59:59Z: what four digits of year can say
  return new Date(Math.min(seconds, last) * 1000).toISOString().replace(".000", "");
}

function refused(why: Refusal, detail: string): Judgement {
  return { kind: "refused", why, detail };
}
