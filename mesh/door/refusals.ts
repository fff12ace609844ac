/**
 * Members that do not take us for one, by their own answers to our introductions. Nobody has to be
 * believed: we stay what we are by what we know ourselves, and people hear who says something else.
 * Two machines that were put out while both were off talk to each other, so neither knocks at a seed;
 * without this nobody would tell them why all others are silent.
 */
import type { Now } from "../machine.ts";
import type { MemberId } from "../membership/identity.ts";
import type { Refusal } from "../membership/judge.ts";

/** Milliseconds for which a refusal is shown: who goes on refusing is asked again within a minute or ten. */
export const REFUSAL_TIME = 30 * 60_000;

export class Refusals {
  /** As large as the member table: {@link expire} forgets who is none any more. */
  readonly #said = new Map<MemberId, { readonly why: Refusal; readonly at: number }>();

  note(now: Now, by: MemberId, why: Refusal): void {
    this.#said.set(by, { why, at: now.boot });
  }

  /** It talks with us, as it does with members alone. */
  clear(by: MemberId): void {
    this.#said.delete(by);
  }

  expire(now: Now, isMember: (id: MemberId) => boolean): void {
    for (const [id, { at }] of this.#said) {
      if (!isMember(id) || now.boot - at > REFUSAL_TIME) this.#said.delete(id);
    }
  }

  /** For each reason the members that have given it, in the order in which they were heard. */
  byReason(): Map<Refusal, MemberId[]> {
    const reasons = new Map<Refusal, MemberId[]>();
    for (const [id, { why }] of this.#said) {
      const others = reasons.get(why);
      if (others) others.push(id);
      else reasons.set(why, [id]);
    }
    return reasons;
  }
}
