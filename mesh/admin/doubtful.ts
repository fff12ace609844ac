/**
 * Members whom honest admins' nodes have certified on sight for an invite that a thief has made. Their certificates count,
 * since those who signed them may; so a person has to look at them.
 */
import type { Who } from "../event.ts";
import type { MemberId } from "../membership/identity.ts";
import type { Mesh } from "../membership/mesh.ts";
import type { Statement, StatementOf, TokenUse } from "../membership/statement.ts";
import { type Held, TOKEN_GRACE } from "../membership/statements.ts";
import { counted, listOf, nameOf } from "./authority.ts";

/**
 * @param isLost whose word of late is not believed
 * @param keptSaid what these have said in time
 * @param isKept whether a statement was heard of in time
 */
export function doubtfulMembers(
  mesh: Mesh,
  isLost: (signer: string) => boolean,
  keptSaid: readonly Statement[],
  isKept: (held: Held) => boolean,
): Who[] {
  const { statements } = mesh;
  // The thief can have hidden the invite itself, so whatever nobody else vouches for is doubtful.
  const keptInvites = new Map(
    keptSaid.flatMap((one) => one.kind === "token" ? [[one.key, one] as const] : []),
  );
  const isVouched = (use: TokenUse, statement: StatementOf<"member">) => {
    const token = keptInvites.get(use.key) ?? statements.token(use.key);
    if (token === undefined) return false;
    // A thief can say more of an invite than its maker did, or the same again after its end.
    if (!keptInvites.has(use.key) && isLost(token.signer)) return false;
    return isWithin(token, use, statement);
  };
  const doubtful: Who[] = [];
  for (const held of statements.all()) {
    const { statement } = held;
    if (statement.kind !== "member" || isLost(statement.signer) || isKept(held)) continue;
    const { token, certificate: { key } } = statement;
    if (!token || isVouched(token, statement) || statements.isRemoved(key)) continue;
    if (statements.certificate(key) === statement) {
      doubtful.push({ id: key, name: nameOf(mesh, key) });
    }
  }
  return doubtful;
}

/** Whether a certificate says no more than the invite for which it was made. */
function isWithin(
  token: StatementOf<"token">,
  { uses }: TokenUse,
  { certificate, until }: StatementOf<"member">,
): boolean {
  return uses === token.uses && until <= token.memberUntil &&
    certificate.since <= token.until + TOKEN_GRACE &&
    certificate.groups.every((group) => token.groups.includes(group)) &&
    (token.relay || !certificate.relay);
}

/** @param when when their invites were made */
export function doubtfulLine(names: readonly string[], when: string): string {
  return `${counted(names.length, "member")} came by invites that ${when} (${listOf(names)}): ` +
    "`shoal revoke` those that you do not know";
}

/** Names for a person to use, with the key where another machine has the same name. */
export function toldApart(mesh: Mesh, all: readonly Who[]): string[] {
  const bearers = new Map<string, Set<MemberId>>();
  const members = Array.from(mesh.roster.members(), ({ id }) => ({ id, name: nameOf(mesh, id) }));
  for (const { id, name } of [...all, ...members]) {
    bearers.set(name, (bearers.get(name) ?? new Set()).add(id));
  }
  return all.map(({ id, name }) =>
    (bearers.get(name)?.size ?? 0) > 1 ? `${name} (${id.slice(0, 16)})` : name
  );
}
