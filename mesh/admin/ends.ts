/**
 * What became of the ends that a signer has said whose word of late is not believed. An end gives nobody a right, so where a
 * person can make good a false one (a new invite, a guest's new file) it stays; where nobody could, since a key that was
 * removed cannot come back, it ends as well, and whom that brings back is named.
 */
import type { MemberId } from "../membership/identity.ts";
import { CLOCK_SKEW, rfc3339 } from "../membership/judge.ts";
import type { Mesh } from "../membership/mesh.ts";
import {
  type Certificate,
  type Statement,
  type StatementOf,
  subjectOf,
} from "../membership/statement.ts";
import type { Held, Statements } from "../membership/statements.ts";
import { counted, listOf } from "./authority.ts";

/**
 * Seconds after a new mesh key within which what it says is heard that the recovery itself has signed; and seconds from the
 * time that the recovery names within which a node has heard of it that was there as it happened.
 */
const RECOVERY_LASTS = 60;

/**
 * When this node heard first of what a statement says, unix seconds by its own clock. A recovery signs anew what was known
 * before it; and whom it has put out itself was put out by the person with the words, whatever time is named later. What a
 * node first hears long after the recovery may be by a thief of the new key, who can name the time of the recovery: of that
 * only counts as heard before what somebody else had said.
 */
export function heardAt({ statements }: Mesh, { statement, seen }: Held): number {
  const { successor, meshKey } = statements;
  const recovered = successor && statements.get(successor.hash);
  if (!recovered || statement.signer !== meshKey || seen > recovered.seen + RECOVERY_LASTS) {
    return seen;
  }
  const { at } = recovered.statement;
  const isEnd = statement.kind === "removed" || statement.kind === "demoted" ||
    statement.kind === "withdrawn";
  // A recovery signs its ends all at once, and a certificate as old as it was, or just later than others of the same key.
  if (isEnd ? statement.at !== at : statement.at > at + CLOCK_SKEW + 1) return seen;
  const wasThere = Math.abs(recovered.seen - at) <= RECOVERY_LASTS;
  // It gives nobody an office that it ends.
  if (statement.kind === "demoted" && !wasThere && hasOfficeBy(statements, statement)) return seen;
  let first: number | undefined;
  for (const one of statements.about(subjectOf(statement))) {
    if (one.signer === statement.signer || !saysTheSame(one, statement)) continue;
    first = Math.min(first ?? Infinity, statements.get(one.hash)?.seen ?? Infinity);
  }
  return Math.min(seen, first ?? (isEnd && wasThere ? -Infinity : seen));
}

/** Whether the signer of the end of an office has given that office, too. */
function hasOfficeBy(statements: Statements, { key, signer }: StatementOf<"demoted">): boolean {
  for (const one of statements.about(key)) {
    if (one.kind === "admin" && one.signer === signer) return true;
  }
  return false;
}

/** Whether a statement of before says what a later one does, under whatever time and number. */
function saysTheSame(before: Statement, later: Statement): boolean {
  switch (later.kind) {
    case "admin":
      return before.kind === "admin" && isSame(before.certificate, later.certificate);
    case "member": // Whose office is not kept is certified as a member by what it was then.
      return (before.kind === "member" || before.kind === "admin") &&
        isSame(before.certificate, later.certificate);
    case "guest":
      return before.kind === "guest" && before.host === later.host &&
        before.certificate.name === later.certificate.name;
    case "removed":
    case "demoted":
    case "withdrawn":
      return before.kind === later.kind;
    case "token":
    case "left":
    case "successor":
      return false;
  }
}

function isSame(a: Certificate, b: Certificate): boolean {
  return a.name === b.name && a.relay === b.relay && a.ip4Counter === b.ip4Counter &&
    a.groups.join() === b.groups.join();
}

/** Keys that were put out by the word of late of these signers alone, and are not put out any more. */
export function broughtBack(
  { statements }: Mesh,
  said: readonly Held[],
  isKept: (held: Held) => boolean,
  isOut: (key: MemberId) => boolean,
): Set<MemberId> {
  const back = new Set<MemberId>();
  for (const held of said) {
    const { statement } = held;
    if (statement.kind !== "removed" || isKept(held) || isOut(statement.key)) continue;
    // Of a key that nobody ever certified a removal takes nothing, and its end gives nothing.
    if (statements.wasCertified(statement.key)) back.add(statement.key);
  }
  return back;
}

/** @param whose of whom the removals are, as `of second` */
export function broughtBackWarnings(names: readonly string[], whose: string): string[] {
  if (names.length === 0) return [];
  const [ends, are] = names.length === 1 ? ["ends", "is a member"] : ["end", "are members"];
  return [
    `${
      counted(names.length, "removal")
    } ${whose} that this node heard of since then ${ends}, and who was out by ` +
    `that ${are} again (${listOf(names)}): \`shoal revoke\` each that is to stay out`,
  ];
}

/** Ends that were heard of late and are said anew; a thief can say thousands, and they take the numbers of who says them. */
const LATER_MAX = 1_024;

/**
 * The ends of invites and guests by these signers that are said anew: all that were heard of in time, and later ones of what
 * was there in time, or is by others.
 * @param isLost whose word of late is not believed
 */
export function endsKept(
  { statements }: Pick<Mesh, "statements">,
  said: readonly Held[],
  isLost: (signer: string) => boolean,
  isKept: (held: Held) => boolean,
): { readonly keys: Set<string>; readonly later: Set<string> } {
  const ends = said.filter(({ statement }) => statement.kind === "withdrawn")
    .map((held) => ({ key: subjectOf(held.statement), seen: held.seen, isInTime: isKept(held) }));
  const keys = new Set(ends.flatMap(({ key, isInTime }) => isInTime ? [key] : []));
  const later = new Set<string>();
  // A thief can end one invite thousands of times.
  const ended = new Set(ends.toSorted((a, b) => a.seen - b.seen).map(({ key }) => key));
  for (const key of ended.difference(keys)) {
    const isOurs = Array.from(statements.about(key)).some((one) => {
      if (one.kind !== "token" && one.kind !== "guest") return false;
      const held = isLost(one.signer) ? statements.get(one.hash) : undefined;
      return held ? isKept(held) : statements.counts(one);
    });
    if (isOurs && later.size < LATER_MAX) later.add(key);
  }
  return { keys: keys.union(later), later };
}

/** @param by who ended them, as `second` */
export function laterEndsLines(mesh: Mesh, later: ReadonlySet<string>, by: string): string[] {
  if (later.size === 0) return [];
  const names = Array.from(later, (key) => {
    const guest = Array.from(mesh.statements.about(key)).find((one) => one.kind === "guest");
    return guest?.kind === "guest" ? guest.certificate.name : key.slice(0, 8);
  }).sort();
  return [
    `what ${by} ended of invites and guests since then stays ended (${listOf(names)}): ` +
    "`shoal invite` and `shoal guest add` make new ones",
  ];
}

/** What `--since` means for what was signed by whom a command ends. */
export function keptLine(since: number): string {
  return `what this node heard of before ${
    rfc3339(since)
  } is believed and signed anew, and what it heard of later is not`;
}
