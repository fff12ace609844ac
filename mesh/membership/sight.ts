/**
 * What an admin's node signs without being asked: the certificate of somebody whom a token has let
 * in, and another name or address for whoever lost its own. The token is an admin's word that so many
 * may come; nobody has to be there when they do.
 */
import { type MemberId, mirrorOf } from "./identity.ts";
import { CLOCK_SKEW, type Judge, type Membership } from "./judge.ts";
import type { Roster } from "./roster.ts";
import type { Draft } from "./statement.ts";
import { type Statements, TOKEN_GRACE } from "./statements.ts";

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
  // What has ended as it is signed would be signed again and again, each time under another number.
  if (token.memberUntil < now) return undefined;
  // Of two with one tunnel key a copy may be the one that came first: a person says which of them is meant.
  if (judge.admission(mirrorOf(id), now) || judge.mirrorBefore(id)) return undefined;
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

/**
 * A member that we have certified lost its name or address to another that was certified meanwhile:
 * it gets the next free one. Only its certifier does that, so that two do not do it twice. Where the
 * other is dated back a person decides: what a thief signs must change nothing that outlives it.
 * @param self our key
 * @param now unix seconds
 * @returns undefined where nothing is to be corrected
 */
export function corrected(
  { statements }: Judge,
  roster: Roster,
  self: MemberId,
  { id, by }: Membership,
  now: number,
): Draft | undefined {
  const certificate = by === self ? statements.certificate(id) : undefined;
  // A correction counts by its later time: before that it would be signed again and again.
  if (certificate?.kind !== "member" || certificate.at >= now) return undefined;
  const { name, ip4Counter } = certificate.certificate;
  const isNamed = !roster.isNameTaken(name, id);
  if (isNamed && roster.ip4(id) !== undefined) return undefined;
  if (roster.ahead(id).some((other) => isDoubtful(statements, self, other))) return undefined;
  const free = {
    name: isNamed ? name : roster.freeName(name, id),
    ip4Counter: roster.ip4(id) ? ip4Counter : roster.freeCounter(id),
  };
  const { until, token } = certificate;
  return { kind: "member", certificate: { ...certificate.certificate, ...free }, until, token };
}

/**
 * Whether somebody may not have its name and address for long: another admin says that it was a
 * member well before we heard of that, or its certificate has just lost its signer.
 */
function isDoubtful(statements: Statements, self: MemberId, id: MemberId): boolean {
  const certificate = statements.certificate(id);
  if (!certificate) return true;
  const { signer, hash, certificate: { since } } = certificate;
  if (signer === self || signer === statements.meshKey) return false;
  return since + CLOCK_SKEW < (statements.get(hash)?.seen ?? 0);
}
