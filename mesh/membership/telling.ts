/** Of what people hear: of what was signed, and of a member's changes so that nobody can fill a journal by its word alone. */
import type { NodeEvent, Who } from "../event.ts";
import type { Now } from "../machine.ts";
import type { SwimEvent } from "../swim/outbox.ts";
import type { Member } from "./roster.ts";
import type { Statement, StatementOf } from "./statement.ts";
import type { Statements } from "./statements.ts";

/**
 * Milliseconds between two suspicions, and between two departures, of one member that people hear of:
 * any member can say every second that another does not answer, and that one refutes it, and can
 * leave and return itself as often. Its death is told each time, since that takes a suspicion's time.
 */
export const TELLING_PACE = 600_000;

/** What happens to one member, as swim says it. */
export type MemberEvent = Exclude<SwimEvent, { readonly kind: "levelled" | "refuted" }>;

/**
 * Whether people hear of a change. Of a suspicion and of a departure they do at a pace; of the end of
 * a suspicion, and of a return, when they heard of what it ends.
 */
export function isWorthTelling(now: Now, member: Member, kind: MemberEvent["kind"]): boolean {
  switch (kind) {
    case "recovered":
      return member.isToldSuspect;
    case "returned":
      return member.isToldGone;
    case "suspected":
      if (now.boot - member.suspicionToldAt < TELLING_PACE) return false;
      member.suspicionToldAt = now.boot;
      return true;
    case "departed":
      if (now.boot - member.departureToldAt < TELLING_PACE) return false;
      member.departureToldAt = now.boot;
      return true;
    case "died":
      return !member.isToldGone;
    case "joined":
      return true;
  }
}

interface Told {
  /** Whom the statement is about. */
  readonly who: Who;
  /** Who signed it. */
  readonly by: Who;
  /** It was signed before this node was a member. */
  readonly isHistory: boolean;
  /** What counts, this statement included. */
  readonly statements: Statements;
}

/**
 * What people hear of a statement that counts from now on; undefined: nothing. Statements come in any order, so each is told
 * by what is so once it is known, and not by what it said when it was signed.
 */
export function eventOf(
  statement: Statement,
  { who, by, isHistory, statements }: Told,
): NodeEvent | undefined {
  switch (statement.kind) {
    case "admin":
      // Of an office that ended, whoever joins may hear after its end.
      if (!statements.isAdmin(statement.certificate.key)) return undefined;
      return { kind: "promoted", who, isHistory };
    case "demoted":
      if (isSaidBefore(statement, statements, (one) => statements.counts(one))) return undefined;
      return { kind: "demoted", who, isHistory };
    case "removed":
      // In the past a removal may have been signed anew by others than the first.
      if (isHistory && isSaidBefore(statement, statements, () => true)) return undefined;
      // What has no effect puts nobody out, nor does one more word on who is out already.
      if (statements.removals(statement.key).length !== 1) return undefined;
      return { kind: "removed", who, by, isHistory };
    case "successor":
      return { kind: "meshKeyReplaced", key: statement.key, isHistory };
    case "left":
      return { kind: "memberGone", who };
    case "member":
    case "token":
    case "withdrawn":
    case "guest":
      return undefined;
  }
}

/** Whether a statement of the same kind about the same key is held already. */
function isSaidBefore(
  { kind, hash, key }: StatementOf<"demoted" | "removed">,
  statements: Statements,
  isOne: (other: Statement) => boolean,
): boolean {
  return Array.from(statements.about(key))
    .some((other) => other.kind === kind && other.hash !== hash && isOne(other));
}
