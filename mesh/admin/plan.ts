/**
 * What a command would sign, and what follows from it: made first, shown to the person, and carried
 * out only if nothing stands against it that the person has not agreed to (invariant 4).
 */
import { type Decoded, refusal } from "../codec.ts";
import type { NodeEvent, Who } from "../event.ts";
import { type Now, type Outbox } from "../machine.ts";
import type { MemberId } from "../membership/identity.ts";
import type { Mesh } from "../membership/mesh.ts";
import type { SignedBy } from "../membership/signer.ts";
import type { Draft, StatementOf } from "../membership/statement.ts";
import { nameOf, namesOf } from "./authority.ts";
import { certifiedBySigner, provisionalDrafts, signedAnew } from "./certificates.ts";

export interface Wish {
  readonly by: SignedBy;
  readonly draft: Draft;
}

export interface Plan {
  readonly who: Who;
  /** Sentences on what happens. */
  readonly lines: readonly string[];
  /** Sentences on what a person must agree to with --yes. */
  readonly warnings: readonly string[];
  /** In the order in which they are signed: nobody is without a certificate in between. */
  readonly wishes: readonly Wish[];
}

/** What became of a plan. */
export interface Outcome {
  readonly who: Who;
  readonly lines: readonly string[];
  readonly warnings: readonly string[];
  /** False: nothing was signed, since the person has not said --yes. */
  readonly isDone: boolean;
}

/** Signs what a plan says, all or nothing as far as can be known before. */
export function carryOut(
  mesh: Mesh,
  now: Now,
  what: string,
  { who, lines, warnings, wishes }: Plan,
  yes: boolean,
  out: Outbox<NodeEvent>,
): Decoded<Outcome> {
  if (warnings.length > 0 && !yes) {
    return { ok: true, value: { who, lines, warnings, isDone: false } };
  }
  for (const by of ["own", "mesh"] as const) {
    const count = wishes.filter((wish) => wish.by === by).length;
    const left = mesh.signer.left(by);
    if (count <= left) continue;
    const whose = by === "mesh" ? "the mesh key" : "this admin";
    return refusal(`${what}: ${count} statements are needed and ${whose} has ${left} left`);
  }
  for (const { by, draft } of wishes) {
    const said = mesh.say(now, by, draft, out);
    if (!said.ok) return refusal(`${what}: ${said.error}`);
  }
  return { ok: true, value: { who, lines, warnings, isDone: true } };
}

/** What of an admin's statements is signed anew, and what ends with its office. */
export interface Estate {
  readonly wishes: readonly Wish[];
  readonly kept: readonly string[];
  /** Names of members that have no certificate any more. */
  readonly cutOff: readonly string[];
  readonly removalsKept: number;
  readonly removalsEnded: number;
  readonly invitesEnded: number;
}

/**
 * @param by who signs anew
 * @param isKept whether a statement is signed anew; what this node heard of first decides, as the
 * times in statements are their signer's word
 */
export function estateOf(
  mesh: Mesh,
  now: Now,
  admin: MemberId,
  by: SignedBy,
  isKept: (hash: string) => boolean,
): Estate {
  const { statements } = mesh;
  const wishes: Wish[] = [];
  const kept: string[] = [];
  const cutOff: string[] = [];
  for (const statement of certifiedBySigner(mesh, admin)) {
    const { key } = statement.certificate;
    if (statements.isAdmin(key) || key === admin) continue;
    if (isKept(statement.hash)) {
      wishes.push({ by, draft: signedAnew(statement) });
      kept.push(nameOf(mesh, key));
    } else cutOff.push(nameOf(mesh, key));
  }
  const ended = new Set<string>();
  for (const statement of statements.bySigner(admin)) {
    if (statement.kind === "token" && !statements.isRemoved(statement.key)) {
      if (statement.until >= now.wall / 1000) ended.add(statement.key);
    }
  }
  const isOfEnded = (token: string) => {
    const token_ = statements.token(token);
    return token_?.signer === admin;
  };
  for (const draft of provisionalDrafts(mesh, now, isOfEnded)) {
    const token = draft.token && statements.token(draft.token.key);
    if (token && isKept(token.hash)) {
      wishes.push({ by, draft });
      kept.push(draft.certificate.name);
    } else cutOff.push(draft.certificate.name);
  }
  let removalsKept = 0;
  let removalsEnded = 0;
  for (const statement of statements.bySigner(admin)) {
    if (statement.kind !== "removed" || !needsAnother(mesh, statement, admin)) continue;
    if (isKept(statement.hash)) {
      wishes.push({ by, draft: { kind: "removed", key: statement.key } });
      removalsKept++;
    } else removalsEnded++;
  }
  return { wishes, kept, cutOff, removalsKept, removalsEnded, invitesEnded: ended.size };
}

/** Whether a removal ends with the office of its signer: nobody else has said the same. */
function needsAnother(mesh: Mesh, { key }: StatementOf<"removed">, admin: MemberId): boolean {
  return mesh.statements.removals(key).every(({ signer }) => signer === admin);
}

/** Sentences on an estate. */
export function estateLines(name: string, estate: Estate): string[] {
  const { kept, cutOff, removalsKept, removalsEnded, invitesEnded } = estate;
  const lines = [
    `${counted(kept.length, "member")} and ${counted(removalsKept, "removal")} of ${name} ` +
    `are signed anew by you`,
  ];
  if (cutOff.length > 0) {
    lines.push(
      `${counted(cutOff.length, "member")} that ${name} certified afterwards ` +
        `${cutOff.length === 1 ? "is" : "are"} out (${namesOf(cutOff, "")}): ` +
        `\`shoal approve\` or \`shoal revoke\` each`,
    );
  }
  if (removalsEnded > 0) {
    lines.push(`${counted(removalsEnded, "removal")} that ${name} made afterwards ends`);
  }
  if (invitesEnded > 0) lines.push(`${counted(invitesEnded, "invite")} of ${name} ends`);
  return lines;
}

export function counted(n: number, noun: string): string {
  return n === 1 ? `1 ${noun}` : `${n} ${noun}s`;
}
