/**
 * What a command would sign, and what follows from it: made first, shown to the person, and carried
 * out only if nothing stands against it that the person has not agreed to (invariant 4).
 */
import { type Decoded, refusal } from "../codec.ts";
import type { NodeEvent, Who } from "../event.ts";
import { type Now, type Outbox, secondsOf } from "../machine.ts";
import type { MemberId } from "../membership/identity.ts";
import type { Mesh } from "../membership/mesh.ts";
import { type SignedBy, wayOut } from "../membership/signer.ts";
import type { Draft, StatementOf } from "../membership/statement.ts";
import { ENDED_KEPT, type Held, TOKEN_GRACE } from "../membership/statements.ts";
import { counted, nameOf, namesOf } from "./authority.ts";
import { Doubt, doubtfulLine, toldApart } from "./doubtful.ts";
import { broughtBack, broughtBackWarnings, endsKept, laterEndsLines } from "./ends.ts";
import { certificateBy, judgeAfter, type Outlook, outlookOf } from "./outlook.ts";
import {
  guestAnew,
  isGuestOfOthers,
  lastCertificates,
  lastGuests,
  provisionalDrafts,
  saidBy,
  signedAnew,
} from "./certificates.ts";

export interface Wish {
  readonly by: SignedBy;
  readonly draft: Draft;
  /** Of a certificate that is signed anew: the time of the one before, unix seconds. */
  readonly since?: number;
}

type Told = Omit<Outlook, "isMember">;

export interface Plan {
  readonly who: Who;
  /** Sentences on what happens. */
  readonly lines: readonly string[];
  /** Sentences on what a person must agree to with --yes. */
  readonly warnings: readonly string[];
  /** In the order in which they are signed: nobody is without a certificate in between. */
  readonly wishes: readonly Wish[];
  readonly members?: Told;
}

/** What became of a plan. */
export interface Planned {
  readonly who: Who;
  readonly lines: readonly string[];
  readonly warnings: readonly string[];
  /** Sentences on what a person may want to do before, or instead; nothing that helps once it is done. */
  readonly advice?: readonly string[];
  /** Where an admin's word, or the mesh key's, ends: what that changes for members, all of them. */
  readonly members?: Told;
  /** False: nothing was signed, since the person has not said --yes. */
  readonly isDone: boolean;
}

/** Signs what a plan says, all or nothing as far as can be known before. */
export function carryOut(
  mesh: Mesh,
  now: Now,
  what: string,
  { wishes, ...told }: Plan,
  yes: boolean,
  out: Outbox<NodeEvent>,
): Decoded<Planned> {
  if (told.warnings.length > 0 && !yes) return { ok: true, value: { ...told, isDone: false } };
  for (const by of ["own", "mesh"] as const) {
    const count = wishes.filter((wish) => wish.by === by).length;
    const left = mesh.signer.numbersLeft(by);
    if (count <= left) continue;
    const whose = by === "mesh" ? "the mesh key" : "this admin";
    return refusal(
      `${what}: ${counted(count, "statement")} more and ${whose} has ${left} left: ${wayOut(by)}`,
    );
  }
  for (const { by, draft, since } of wishes) {
    const said = mesh.say(now, by, draft, out, since);
    if (!said.ok) return refusal(`${what}: ${said.error}`);
  }
  return { ok: true, value: { ...told, isDone: true } };
}

/** What of an admin's statements is signed anew, and what ends with its office. */
export interface Estate {
  readonly wishes: readonly Wish[];
  readonly kept: readonly string[];
  readonly doubt: Doubt;
  readonly removalsKept: number;
  /** Whom removals had put out that end. */
  readonly broughtBack: ReadonlySet<MemberId>;
  /** Removals that end, of keys that nobody ever certified. */
  readonly removalsEnded: number;
  /** Invites and guests of others that it ended since, and that stay ended. */
  readonly laterEnds: ReadonlySet<string>;
  readonly invitesEnded: number;
  readonly guestsKept: number;
  /** Names of guests that nobody serves any more. */
  readonly guestsEnded: readonly string[];
}

/**
 * @param by who signs anew
 * @param isKept whether a statement is signed anew; what this node heard of first decides, as the
 * times in statements are their signer's word
 * @param isExpelled whether the admin's membership ends with its office: then nobody serves its guests
 */
export function estateOf(
  mesh: Mesh,
  now: Now,
  admin: MemberId,
  by: SignedBy,
  isKept: (held: Held) => boolean,
  isExpelled = false,
): Estate {
  const { statements } = mesh;
  const said = [...saidBy(mesh, admin)];
  // A thief can have hidden a statement by using its number again: it is kept like one that still counts.
  const keptSaid = said.filter(isKept).map(({ statement }) => statement);
  const isKeptHash = (hash: string) => {
    const held = statements.get(hash);
    return held !== undefined && isKept(held);
  };
  // The word of another admin may be the next to go: of two stolen machines each would wait for the other.
  const isRemovedByOthers = (key: MemberId) =>
    statements.removals(key).some(({ signer }) =>
      signer !== admin && (signer === statements.meshKey || signer === mesh.id)
    );
  /** Whether a removal by this admin says nothing: somebody else says it, or the key had an office. */
  const isIdle = (key: MemberId) => statements.hadOffice(key) || isRemovedByOthers(key);
  const removed = new Set(
    keptSaid.flatMap((one) => one.kind === "removed" ? [one.key] : [])
      .filter((key) => !isIdle(key)),
  );
  /** Whether nobody else made an invite, or a guest: anybody who may can sign for the key of another's. */
  const isMadeBy = (maker: MemberId, invite: string) => {
    const makers = Array.from(statements.about(invite))
      .flatMap((one) => one.kind === "token" || one.kind === "guest" ? [one.signer] : []);
    return makers.length > 0 && makers.every((signer) => signer === maker);
  };
  const wishes: Wish[] = [];
  const kept: string[] = [];
  const doubt = new Doubt(mesh, keptSaid, isKept);
  // Who is a member by the word of all others.
  const without = judgeAfter(mesh, now, [
    { signer: statements.meshKey, draft: { kind: "demoted", key: admin } },
  ]);
  const isHeldSince = ({ at, certificate: { key } }: StatementOf<"member">) => {
    const other = certificateBy(without, key, now);
    return other !== undefined && other.at > at && !doubt.isDoubtful(other, without);
  };
  // Not what counts now decides, but what is kept: a thief can have signed for the same keys since, or
  // removed them, and neither may cost them what the admin certified before.
  const isSettled = (key: MemberId) =>
    statements.isAdmin(key) || removed.has(key) || isRemovedByOthers(key) ||
    statements.hasLeft(key);
  const countsUse = ({ token: use, certificate: { key } }: StatementOf<"member">) => {
    const token = use && statements.token(use.key);
    return token !== undefined && token.signer !== admin && !statements.isAdmin(key) &&
      secondsOf(now) <= token.until + TOKEN_GRACE;
  };
  for (const [key, statement] of lastCertificates(keptSaid)) {
    if (isHeldSince(statement)) continue;
    if (isSettled(key)) {
      // It is out, but it has used up a use of an invite that goes on.
      if (countsUse(statement)) wishes.push({ by, ...signedAnew(statement) });
      continue;
    }
    // What is hidden is not forgotten when it ends, and nobody takes it in any more.
    if (statement.until + ENDED_KEPT < secondsOf(now)) continue;
    wishes.push({ by, ...signedAnew(statement) });
    kept.push(nameOf(mesh, key));
  }
  const invites = [...statements.bySigner(admin)].filter((one) => one.kind === "token");
  const open = invites.filter(({ key, until, uses }) =>
    until >= now.wall / 1000 && !statements.isWithdrawn(key) && mesh.judge.used(key) < uses
  );
  const isOfAdmin = (token: string) => statements.token(token)?.signer === admin;
  for (const draft of provisionalDrafts(mesh, now, isOfAdmin)) {
    if (removed.has(draft.certificate.key)) continue;
    const token = draft.token && statements.token(draft.token.key);
    if (token && isKeptHash(token.hash)) {
      wishes.push({ by, draft });
      kept.push(draft.certificate.name);
    }
  }
  for (const key of removed) wishes.push({ by, draft: { kind: "removed", key } });
  const isStillOut = (key: MemberId) => removed.has(key) || isIdle(key);
  const ended = new Set(
    [...statements.bySigner(admin)].flatMap((one) => one.kind === "removed" ? [one.key] : [])
      .filter((key) => !isStillOut(key) && !statements.wasCertified(key)),
  );
  const ends = endsKept(mesh, said, (signer) => signer === admin, isKept);
  for (const key of ends.keys) {
    if (!isMadeBy(admin, key)) wishes.push({ by, draft: { kind: "withdrawn", key } }); // Its own end anyway.
  }
  const guestsKept = lastGuests(keptSaid);
  for (const key of ends.later) guestsKept.delete(key);
  for (const [key, statement] of guestsKept) {
    const isEnded = Array.from(statements.about(key)).some((one) =>
      one.kind === "withdrawn" && (one.signer === statements.meshKey || one.signer === mesh.id)
    ) || statement.until + ENDED_KEPT < secondsOf(now) || isExpelled && statement.host === admin;
    if (isEnded || isGuestOfOthers(mesh, new Set([admin]), statement)) {
      guestsKept.delete(key);
    } else wishes.push({ by, ...guestAnew(statement) });
  }
  const guestsEnded = Array.from(mesh.guests.guests.all()).filter((guest) =>
    guest.by === admin && !guestsKept.has(guest.key) || isExpelled && guest.host === admin
  );
  return {
    wishes,
    kept,
    doubt,
    removalsKept: removed.size,
    broughtBack: broughtBack(mesh, said, isKept, isStillOut),
    removalsEnded: ended.size,
    laterEnds: ends.later,
    invitesEnded: open.length,
    guestsKept: guestsKept.size,
    guestsEnded: guestsEnded.map((guest) => mesh.guests.guests.nameOf(guest)).sort(),
  };
}

/** What is true for members when all that a plan says is signed. */
export function outlookAfter(
  mesh: Mesh,
  now: Now,
  { doubt }: Estate,
  wishes: readonly Wish[],
  expelled: ReadonlySet<MemberId> = new Set(),
): Outlook {
  const signerOf = { own: mesh.id, mesh: mesh.statements.meshKey };
  const sayings = wishes.map(({ by, ...wish }) => ({ signer: signerOf[by], ...wish }));
  return outlookOf(mesh, now, judgeAfter(mesh, now, sayings), doubt, expelled);
}

/** Sentences on an estate. */
export function estateLines(
  mesh: Mesh,
  name: string,
  estate: Estate,
  { doubtful, back, removed }: Outlook,
): string[] {
  const { kept, removalsKept, removalsEnded, laterEnds, invitesEnded, broughtBack } = estate;
  const others = back.filter(({ id }) => !broughtBack.has(id));
  const { guestsKept, guestsEnded } = estate;
  const lines = [
    `${counted(kept.length, "member")} and ${counted(removalsKept, "removal")} of ${name} ` +
    `are signed anew by you`,
  ];
  if (doubtful.length > 0) {
    lines.push(doubtfulLine(toldApart(mesh, doubtful), `${name} made afterwards`));
  }
  if (removalsEnded > 0) {
    const end = removalsEnded === 1 ? "ends" : "end";
    lines.push(`${counted(removalsEnded, "removal")} that ${name} made afterwards ${end}`);
  }
  lines.push(...laterEndsLines(mesh, laterEnds, name));
  lines.push(...removedLines(mesh, removed), ...backLines(mesh, others));
  if (guestsKept > 0) lines.push(`${counted(guestsKept, "guest")} of ${name} signed anew by you`);
  if (guestsEnded.length > 0) {
    const [end, count] = [guestsEnded.length === 1 ? "ends" : "end", guestsEnded.length];
    lines.push(`${counted(count, "guest")} of ${name} ${end}: ${namesOf(guestsEnded, "")}`);
  }
  if (invitesEnded > 0) {
    const end = invitesEnded === 1 ? "ends" : "end";
    lines.push(`${counted(invitesEnded, "invite")} of ${name} ${end}`);
  }
  return lines;
}

/** Whom removals had put out that end: who is a member then, and who waits for a person. */
export function settledBy(
  mesh: Mesh,
  broughtBack: ReadonlySet<MemberId>,
  isMember: Outlook["isMember"],
): readonly [Who[], Who[]] {
  const all = Array.from(broughtBack, (id) => ({ id, name: nameOf(mesh, id) }));
  return [all.filter(({ id }) => isMember(id)), all.filter(({ id }) => !isMember(id))];
}

/** Whom a person had removed, and a thief let in again. */
export function removedLines(mesh: Mesh, removed: readonly Who[]): string[] {
  if (removed.length === 0) return [];
  const names = namesOf(toldApart(mesh, removed).sort(), "");
  return [`${counted(removed.length, "member")} out for ever, as removed before: ${names}`];
}

/** Whom the end of somebody's word makes a member again, be it that no removal had put it out. */
export function backLines(mesh: Mesh, back: readonly Who[]): string[] {
  if (back.length === 0) return [];
  const are = back.length === 1 ? "is a member" : "are members";
  return [`${counted(back.length, "key")} ${are} again: ${namesOf(toldApart(mesh, back), "")}`];
}

/** Whom the end of an estate cuts off or brings back, which nobody does without --yes (invariant 4). */
export function estateWarnings(
  mesh: Mesh,
  name: string,
  { broughtBack }: Estate,
  { out: cutOff, isMember }: Outlook,
): string[] {
  const [back, waiting] = settledBy(mesh, broughtBack, isMember);
  const warnings = broughtBackWarnings(toldApart(mesh, back).sort(), `of ${name}`);
  // Whom a removal had put out, and nobody's certificate holds, waits for a person as others do.
  const out = [...cutOff, ...waiting];
  if (out.length === 0) return warnings;
  return [
    ...warnings,
    `${counted(out.length, "member")} that ${name} certified afterwards ` +
    `${out.length === 1 ? "is" : "are"} out (${namesOf(toldApart(mesh, out), "")}): ` +
    `\`shoal approve\` or \`shoal revoke\` each`,
  ];
}
