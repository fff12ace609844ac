/**
 * What this node keeps spread in the mesh besides its members' records, and until when: chains that
 * redeemed a token, and approvals.
 */
import type { Crypto } from "./crypto.ts";
import type { Now } from "./machine.ts";
import {
  approvalRumour,
  kindNumber,
  recordRumour,
  redemptionRumour,
  revocationRumour,
} from "./news.ts";
import type { NodeRecord } from "./record.ts";
import type { Rumour } from "./swim/messages.ts";
import type { SwimOutbox } from "./swim/outbox.ts";
import type { Swim } from "./swim/swim.ts";
import type { Chain, Membership } from "./trust/certificate.ts";
import type { MemberId } from "./trust/identity.ts";
import type { Revocation } from "./trust/revocation.ts";
import { CLOCK_SKEW } from "./trust/trust.ts";

/** Redemptions at most, and approvals; at the limit a further one is not spread, and counted. */
export const NEWS_MAX = 8_192;

export class Bulletin {
  /** By rumour key: until when (unix seconds) the token can be redeemed. */
  readonly #redemptions = new Map<string, number>();
  /** Until when (unix seconds) the approved certificate is valid. */
  readonly #approvals = new Map<MemberId, number>();
  /** News that the limit has cost. */
  refused = 0;

  constructor(private readonly crypto: Crypto, private readonly swim: Swim) {}

  record(now: Now, record: NodeRecord, out: SwimOutbox): void {
    this.#spread(now, recordRumour(this.crypto, record), out);
  }

  /** A member is out: its record is nobody's news any more. */
  retractRecord(id: MemberId): void {
    this.swim.retract(kindNumber("record"), id);
  }

  revocation(now: Now, revocation: Revocation, out: SwimOutbox): void {
    this.#spread(now, revocationRumour(revocation), out);
  }

  /**
   * A member's record proves which token it redeemed, until it is taken out: then its chain goes on
   * being spread, so that newcomers do not let the same token in again.
   */
  redemption(now: Now, membership: Membership, chain: Chain, out: SwimOutbox): void {
    const own = membership.grants.filter(({ by }) => by === membership.id);
    const until = Math.max(0, ...own.map((grant) => grant.until)) + CLOCK_SKEW;
    if (until < now.wall / 1000) return;
    const rumour = redemptionRumour(this.crypto, chain);
    if (this.#redemptions.size >= NEWS_MAX && !this.#redemptions.has(rumour.key)) {
      this.refused++;
      return;
    }
    this.#redemptions.set(rumour.key, until);
    this.#spread(now, rumour, out);
  }

  approval(now: Now, { id, expires }: Membership, chain: Chain, out: SwimOutbox): void {
    if (this.#approvals.size >= NEWS_MAX && !this.#approvals.has(id)) {
      this.refused++;
      return;
    }
    this.#approvals.set(id, expires);
    this.#spread(now, approvalRumour(id, chain), out);
  }

  /** A member shows a certificate. @returns whether an approval is picked up by it. */
  isPickedUp({ id, expires }: Membership): boolean {
    return expires >= (this.#approvals.get(id) ?? Infinity) && this.#retractApproval(id);
  }

  /** Retracts what has ended. @returns the keys whose approvals did. */
  expire(seconds: number, revocations: readonly string[]): MemberId[] {
    for (const key of revocations) this.swim.retract(kindNumber("revocation"), key);
    for (const [key, until] of this.#redemptions) {
      if (until >= seconds) continue;
      this.#redemptions.delete(key);
      this.swim.retract(kindNumber("redemption"), key);
    }
    const ended = [...this.#approvals].filter(([, until]) => until < seconds);
    return ended.map(([id]) => id).filter((id) => this.#retractApproval(id));
  }

  #retractApproval(id: MemberId): boolean {
    this.swim.retract(kindNumber("approval"), id);
    return this.#approvals.delete(id);
  }

  #spread(now: Now, rumour: Rumour, out: SwimOutbox): void {
    this.swim.spread(now, rumour, out);
  }
}
