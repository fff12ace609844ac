/** Certificates that a person's wish, or the end of another's office, makes necessary. */
import { type Now, secondsOf } from "../machine.ts";
import type { MemberId } from "../membership/identity.ts";
import type { Membership } from "../membership/judge.ts";
import type { Mesh } from "../membership/mesh.ts";
import type { Certificate, Draft, Statement, StatementOf } from "../membership/statement.ts";
import type { Held } from "../membership/statements.ts";
import { refusal } from "../codec.ts";
import { bearersOf, nameOf } from "./authority.ts";
import { DAY, MEMBER_DAYS } from "./periods.ts";

/** A certificate by another signer, and when it was signed before. */
interface Anew {
  readonly draft: Draft;
  /** Unix seconds. */
  readonly since: number;
}

/** The same certificate by another signer: name, address and times unchanged. */
export function signedAnew(statement: StatementOf<"member">): Anew {
  const { certificate, until, token, at } = statement;
  return { draft: { kind: "member", certificate, until, token }, since: at };
}

/**
 * When the certificate that counts for a key by our clock was signed, unix seconds. By one that has not begun a new one
 * would be dated as that, or by our clock where that is ahead as well, and would not count either.
 */
export function signedAt({ judge }: Mesh, key: MemberId, now: Now): number | undefined {
  return judge.certificate(key, secondsOf(now))?.at;
}

/** A certificate without a token, by a person's word, for somebody who is a member already. */
export function certificateOf(
  mesh: Mesh,
  now: Now,
  membership: Membership,
  wish: { readonly name?: string | undefined; readonly groups?: readonly string[] | undefined } =
    {},
): Certificate {
  const { id, groups, relay, standing } = membership;
  const isCertified = standing === "admin" || standing === "certified";
  const isKept = isCertified && mesh.roster.ip4(id) !== undefined;
  return {
    key: id,
    name: mesh.roster.freeName(wish.name ?? membership.name, id),
    groups: wish.groups ?? groups,
    relay,
    ip4Counter: isKept ? membership.ip4Counter : mesh.roster.freeCounter(id),
    since: isCertified ? membership.since : secondsOf(now),
  };
}

export function untilOf(now: Now): number {
  return secondsOf(now) + MEMBER_DAYS * DAY;
}

/** Certificates for those whom a token has let in and nobody has certified yet. */
export function* provisionalDrafts(
  mesh: Mesh,
  now: Now,
  isOf: (token: string) => boolean,
): Generator<Draft & { kind: "member" }> {
  for (const { membership } of mesh.roster.members()) {
    const { standing, token } = membership;
    if (standing !== "provisional" || token === undefined || !isOf(token.key)) continue;
    const until = mesh.statements.token(token.key)?.memberUntil ?? untilOf(now);
    yield { kind: "member", certificate: certificateOf(mesh, now, membership), until, token };
  }
}

/** All that a key has signed, what it has hidden by using a number again included. */
export function* saidBy({ statements }: Mesh, signer: string): Generator<Held> {
  for (const { hash } of statements.bySigner(signer)) {
    const held = statements.get(hash);
    if (held) yield held;
  }
  yield* statements.outrankedOf(signer);
}

/** By these statements, whatever else says, what each key was certified as last. */
export function lastCertificates(
  said: readonly Statement[],
): Map<MemberId, StatementOf<"member">> {
  const last = new Map<MemberId, StatementOf<"member">>();
  for (const statement of said) {
    if (statement.kind !== "member") continue;
    const { key } = statement.certificate;
    if (statement.at >= (last.get(key)?.at ?? 0)) last.set(key, statement);
  }
  return last;
}

/** The same of guests, but for those that these statements have ended. */
export function lastGuests(said: readonly Statement[]): Map<string, StatementOf<"guest">> {
  const last = new Map<string, StatementOf<"guest">>();
  for (const statement of said) {
    if (statement.kind !== "guest") continue;
    const { key } = statement.certificate;
    if (statement.at >= (last.get(key)?.at ?? 0)) last.set(key, statement);
  }
  for (const statement of said) if (statement.kind === "withdrawn") last.delete(statement.key);
  return last;
}

/** The certificate of a guest by another signer. */
export function guestAnew({ certificate, until, host, at }: StatementOf<"guest">): Anew {
  return { draft: { kind: "guest", certificate, until, host }, since: at };
}

/** Whether a guest has a later certificate that counts when all that these signers say has stopped counting. */
export function isGuestOfOthers(
  { statements }: Mesh,
  signers: ReadonlySet<string>,
  { certificate: { key }, at }: Pick<StatementOf<"guest">, "certificate" | "at">,
): boolean {
  for (const one of statements.about(key)) {
    const isOfOthers = one.kind === "guest" && !signers.has(one.signer);
    if (isOfOthers && statements.counts(one) && one.at > at) return true;
  }
  return false;
}

/** Somebody whose certificate does not count any more, since its signer has lost its office. */
export interface VoidMember {
  readonly id: MemberId;
  readonly name: string;
  /** Whether there is nothing left to decide: it has another certificate, was removed, or has left. */
  readonly isSettled: boolean;
}

/**
 * All whom a person can mean by a name or key of a certificate that does not count any more, those
 * that are not settled first. A thief can have certified a key of its own by a member's name, so a
 * name alone may mean several.
 */
export function voidMembers({ statements }: Mesh, who: string): VoidMember[] {
  const found = new Map<MemberId, VoidMember>();
  for (const statement of statements.void()) {
    if (statement.kind === "removed") continue;
    const { key, name } = statement.certificate;
    const isMeant = name === who || key === who || who.length >= 8 && key.startsWith(who);
    if (!isMeant || found.has(key)) continue;
    found.set(key, { id: key, name, isSettled: statements.isSettled(key) });
  }
  return [...found.values()].sort((a, b) => Number(a.isSettled) - Number(b.isSettled));
}

/** Keys as a person gives them back, where a name or a beginning of a key means several. */
export function keysOf(ids: Iterable<MemberId>): string {
  return Array.from(ids, (id) => id.slice(0, 16)).join(", ");
}

/** Whom an admin has approved by this name, and who has not come yet: no member that `status` could list. */
export function unmetNamed(mesh: Mesh, who: string): { readonly id: MemberId }[] {
  const { statements, roster } = mesh;
  const name = mesh.meant(who);
  return Array.from(statements.all(), ({ statement }) => statement).flatMap((statement) => {
    if (statement.kind !== "member") return [];
    const { key: id } = statement.certificate;
    const isUnmet = statements.certificate(id) === statement && roster.get(id) === undefined &&
      !statements.isRemoved(id) && !statements.hasLeft(id);
    return isUnmet && nameOf(mesh, id) === name ? [{ id }] : [];
  });
}

/**
 * A name that several certificates bear is not enough for a command that ends or gives something: any admin can sign one
 * for a key of its own by the name of another.
 */
export function namesakesFault(mesh: Mesh, what: string, name: string) {
  const bearers = bearersOf(mesh, name);
  if (bearers.size < 2) return undefined;
  return refusal(
    `${what}: ${bearers.size} machines are certified by the name ${name}: say which key: ${
      keysOf(bearers)
    }`,
  );
}
