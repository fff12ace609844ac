/**
 * What an admin's node signs without being asked: the certificate of somebody whom a token has let
 * in. The token is an admin's word that so many may come; nobody has to be there when they do.
 */
import type { Judge, Membership } from "./judge.ts";
import type { Roster } from "./roster.ts";
import type { Draft } from "./statement.ts";
import { TOKEN_GRACE } from "./statements.ts";

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
