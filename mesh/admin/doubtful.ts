/**
 * Members whom honest admins' nodes have certified on sight for an invite that a thief has made. Their certificates count,
 * since those who signed them may; so a person has to look at them.
 */
import type { Who } from "../event.ts";
import type { MemberId } from "../membership/identity.ts";
import type { Judge } from "../membership/judge.ts";
import type { Mesh } from "../membership/mesh.ts";
import type { Statement, StatementOf } from "../membership/statement.ts";
import {
  type CertificateStatement,
  type Held,
  type Statements,
  TOKEN_GRACE,
} from "../membership/statements.ts";
import { bearersOf, counted, listOf, nameOf } from "./authority.ts";

/** Which certificates rest on nothing but an invite for which nobody vouches. */
export class Doubt {
  readonly #kept = new Map<string, StatementOf<"token">[]>();
  /** By invite, who had come by it when the signers that are lost were believed. */
  #before: Map<string, Set<MemberId>> | undefined;
  /** By what counts afterwards, by invite and its uses: a thief can have thousands certified for one. */
  readonly #crowded = new WeakMap<Statements, Map<string, boolean>>();

  /**
   * @param keptSaid what the signers that are not believed any more have said in time
   * @param isKept whether a statement was heard of in time
   */
  constructor(
    private readonly mesh: Pick<Mesh, "statements">,
    keptSaid: readonly Statement[],
    private readonly isKept: (held: Held) => boolean,
  ) {
    for (const one of keptSaid) {
      if (one.kind !== "token") continue;
      const all = this.#kept.get(one.key) ?? [];
      this.#kept.set(one.key, all);
      all.push(one);
    }
  }

  /**
   * Whether a certificate that counts afterwards was signed for an invite that does not count then, nor did in time.
   * @param after who is a member when those who are lost are believed no more
   */
  isDoubtful(statement: CertificateStatement, { statements }: Pick<Judge, "statements">): boolean {
    if (statement.kind !== "member" || statement.token === undefined) return false;
    const { token: { key: token, uses }, certificate: { key } } = statement;
    const held = this.mesh.statements.get(statement.hash);
    // What is about to be signed anew was heard of in time.
    if (held === undefined || this.isKept(held)) return false;
    // The thief can have hidden the invite itself, so whatever nobody else vouches for is doubtful.
    const vouched = [...this.#kept.get(token) ?? []];
    for (const one of statements.about(token)) {
      if (one.kind === "token" && statements.counts(one)) vouched.push(one);
    }
    // A thief can say more of an invite than its maker did, or the same again after its end.
    if (!vouched.some((one) => isWithin(one, statement))) return true;
    // It can have hidden whom the invite let in before, so that others come by the same uses.
    if (this.#usersBefore().get(token)?.has(key)) return false;
    return this.#isCrowded(statements, token, uses);
  }

  /** Whether more keys have come by an invite than it admits, those that were hidden since among them. */
  #isCrowded(statements: Statements, token: string, uses: number): boolean {
    const found = this.#crowded.get(statements) ?? new Map<string, boolean>();
    this.#crowded.set(statements, found);
    const known = found.get(`${token} ${uses}`);
    if (known !== undefined) return known;
    const before = this.#usersBefore().get(token) ?? new Set();
    const since = statements.certifiedBy(token).slice(0, uses).filter((one) => !before.has(one));
    const isCrowded = before.size + since.length > uses;
    found.set(`${token} ${uses}`, isCrowded);
    return isCrowded;
  }

  #usersBefore(): ReadonlyMap<string, ReadonlySet<MemberId>> {
    if (this.#before) return this.#before;
    const before = new Map<string, Set<MemberId>>();
    const { statements } = this.mesh;
    for (const held of [...statements.all(), ...statements.outranked()]) {
      const { statement: one } = held;
      if (one.kind !== "member" || one.token === undefined || !this.isKept(held)) continue;
      const users = before.get(one.token.key) ?? new Set();
      before.set(one.token.key, users.add(one.certificate.key));
    }
    return this.#before = before;
  }
}

/** Whether a certificate says no more than the invite for which it was made. */
function isWithin(
  token: StatementOf<"token">,
  { certificate, until, token: use }: StatementOf<"member">,
): boolean {
  return use?.uses === token.uses && until <= token.memberUntil &&
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
    new Set([...bearers.get(name) ?? [], ...bearersOf(mesh, name)]).size > 1
      ? `${name} (${id.slice(0, 16)})`
      : name
  );
}
