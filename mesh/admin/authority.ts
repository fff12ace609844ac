/** With which key this node may sign what a person asks for, or where the person has to go instead. */
import { type Decoded, refusal } from "../codec.ts";
import type { MemberId } from "../membership/identity.ts";
import type { Mesh } from "../membership/mesh.ts";
import type { SignedBy } from "../membership/signer.ts";

/** How many names a sentence lists. */
const NAMED = 3;

export interface Insistence {
  /** The person was told of the consequences and wants it all the same. */
  readonly yes?: boolean;
}

/**
 * The key for what any admin may do: ours, or the mesh key where we have it and are no admin, or have
 * used all our numbers up.
 */
export function authorityOf(mesh: Mesh, what: string, { yes = false }: Insistence = {}): Decoded<
  SignedBy
> {
  const isAdmin = mesh.statements.isAdmin(mesh.id);
  if (!isAdmin && !mesh.signer.hasMeshKey) {
    return refusal(
      `${what}: this node is no admin: run it on ${namesOf(adminNames(mesh), "an admin")}`,
    );
  }
  const fault = comparisonFault(mesh, what, yes);
  const isOurs = isAdmin && (mesh.signer.numbersLeft("own") > 0 || !mesh.signer.hasMeshKey);
  return fault ?? { ok: true, value: isOurs ? "own" : "mesh" };
}

/** The mesh key, which alone makes and unmakes admins. */
export function meshKeyOf(mesh: Mesh, what: string, { yes = false }: Insistence = {}): Decoded<
  SignedBy
> {
  if (!mesh.signer.hasMeshKey) {
    const keepers = meshKeyKeepers(mesh);
    const where = keepers.length === 0
      ? "no member shows that it has the mesh key: `shoal mesh-key import` brings it here, and " +
        "`shoal recover` replaces one that is lost"
      : `the mesh key is on ${namesOf(keepers, "")}: run it there`;
    return refusal(`${what}: ${where}`);
  }
  const fault = comparisonFault(mesh, what, yes);
  return fault ?? { ok: true, value: "mesh" };
}

/** Members, beside this node, that have the mesh key, as far as they prove it. */
export function meshKeyKeepers(mesh: Mesh): string[] {
  return Array.from(mesh.meshKeyHolders(), (id) => mesh.roster.nameOf(id)).sort();
}

/** A state that is older than it should be must not sign (invariant 14). */
function comparisonFault(mesh: Mesh, what: string, yes: boolean) {
  if (yes) return undefined;
  if (!mesh.isReviewed) {
    return refusal(
      `${what}: this node still looks through the certificates that it remembers: try again in a few seconds`,
    );
  }
  if (mesh.hasCompared) return undefined;
  return refusal(
    `${what}: no member has answered since this node was started, or not each of the first three, so it may not know of everything ` +
      `that was signed before: try again when one does, or insist with --yes`,
  );
}

export function adminNames(mesh: Mesh): string[] {
  return otherAdmins(mesh).map((id) => nameOf(mesh, id)).sort();
}

/** Admins beside this node, but for those that have left. */
export function otherAdmins({ statements, id }: Mesh): MemberId[] {
  return Array.from(statements.admins()).filter((one) => one !== id && !statements.hasLeft(one));
}

/** All that a person can mean by a name: keys whose certificates bear it, and admins that have left with it. */
export function bearersOf(mesh: Mesh, name: string): ReadonlySet<MemberId> {
  const gone = [...mesh.statements.admins()].filter((id) =>
    mesh.statements.hasLeft(id) && nameOf(mesh, id) === name
  );
  return new Set([...mesh.roster.namesakes(name), ...gone]);
}

/**
 * What a key is called, be it of a member or not.
 * @param hidden what it is called by a certificate that lost its number, where no other is known
 */
export function nameOf(mesh: Mesh, id: string, hidden = id.slice(0, 16)): string {
  if (id === mesh.id) return mesh.name;
  if (id === mesh.statements.meshKey) return "the mesh key";
  const name = mesh.roster.nameOf(id);
  if (name !== "") return name;
  const certificate = mesh.statements.certificate(id)?.certificate ??
    mesh.statements.lastCertificate(id);
  return certificate?.name ?? hidden;
}

/** `a, b, c and 4 more`, or `none` where there is nobody. */
export function namesOf(names: readonly string[], none: string): string {
  if (names.length === 0) return none;
  const more = names.length - NAMED;
  const some = names.slice(0, NAMED).join(", ");
  return more > 0 ? `${some} and ${more} more` : some;
}

/** Names that a person has to look at one by one. */
export const LISTED = 100;

/** `a, b, c`, all of them as far as anybody reads that. */
export function listOf(names: readonly string[]): string {
  const more = names.length > LISTED ? ` and ${names.length - LISTED} more` : "";
  return names.slice(0, LISTED).join(", ") + more;
}

export function counted(n: number, noun: string): string {
  return n === 1 ? `1 ${noun}` : `${n} ${noun}s`;
}

/** Whose key is in other hands, if nobody meant what this signer has signed, and what a person does then. */
export function thiefAdvice(mesh: Mesh, signer: string): string {
  if (signer === mesh.statements.meshKey) return "the mesh key is in other hands: `shoal recover`";
  const name = nameOf(mesh, signer);
  return `the machine of ${name} is stolen: \`shoal revoke ${name} --since TIME\``;
}
