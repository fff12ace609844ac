/**
 * What an admin's node signs without being asked: the certificate of somebody whom a token has let
 * in. The token is an admin's word that so many may come; nobody has to be there when they do.
 */
import type { Judge, Membership } from "./judge.ts";
import type { Roster } from "./roster.ts";
import type { Draft } from "./statement.ts";
import { TOKEN_GRACE } from "./statements.ts";

/**
 * Numbers of this admin that only people use. Another admin whose machine is stolen can make this node
 * sign on sight, as it can invite any number of keys; what ends that admin must still be signed.
 */
export const RESERVE = 4_096;
/** Statements on sight that may come at once; afterwards one a second. */
export const BURST = 64;

/** How fast an admin's node signs on sight. Whoever is not certified yet waits for a later review. */
export class SightPace {
  #saved = BURST;
  #at = -Infinity;

  /** Whether one more may be signed now. @param now boot milliseconds */
  take(now: number): boolean {
    this.#saved = Math.min(BURST, this.#saved + (now - this.#at) / 1_000);
    this.#at = now;
    if (this.#saved < 1) return false;
    this.#saved--;
    return true;
  }
}

/**
 * The certificate of a provisional member, with a name and an address that are free.
 * @param now unix seconds
 * @returns undefined where no certificate is due, or the token admits no more
 */
export function certifyOnSight(
  judge: Judge,
  roster: Roster,
  { id, standing, token: use, name }: Membership,
  now: number,
): Draft | undefined {
  const token = use && standing === "provisional" ? judge.statements.token(use.key) : undefined;
  if (token === undefined || now > token.until + TOKEN_GRACE) return undefined;
  if (judge.statements.certifiedBy(token.key).length >= token.uses) return undefined;
  return {
    kind: "member",
    certificate: {
      key: id,
      name: roster.freeName(name, id),
      groups: token.groups,
      relay: token.relay,
      ip4Counter: roster.freeCounter(id),
      since: now,
    },
    until: token.memberUntil,
    token: { key: token.key, uses: token.uses },
  };
}
