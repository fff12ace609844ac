/**
 * Certificates that a person made for keys that were not met then. While one of them is awaited, the
 * door answers those who ask, for it cannot know beforehand who it is.
 */
import type { Judge } from "./judge.ts";
import type { Roster } from "./roster.ts";
import type { StatementOf } from "./statement.ts";

/** Seconds for which an approval keeps the door open for those who ask. */
const APPROVAL_OPEN = 86_400;
/** Approvals that are waited for; at the limit the oldest is not, which only closes the door. */
export const APPROVALS_MAX = 64;

export class Approvals {
  readonly #all = new Set<StatementOf<"member">>();

  note(statement: StatementOf<"member">): void {
    const [oldest] = this.#all;
    if (this.#all.size >= APPROVALS_MAX && oldest) this.#all.delete(oldest);
    this.#all.add(statement);
  }

  /** Whether somebody who was approved has not come yet. @param now unix seconds */
  areAwaited(now: number, { statements }: Judge, roster: Roster): boolean {
    const since = now - APPROVAL_OPEN;
    for (const statement of this.#all) {
      const { key } = statement.certificate;
      const isOver = statement.at < since || roster.get(key) !== undefined;
      if (!isOver && statements.certificate(key) === statement) return true;
      this.#all.delete(statement);
    }
    return false;
  }
}
