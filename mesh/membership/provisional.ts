/**
 * Whom this node takes for a member by a token alone, until an admin has certified it. That is a
 * matter of each node: it takes as many identities for a token as that admits, those first that it
 * hears of first, and remembers them over restarts. What is beyond that is refused and named
 * (invariant 6). So a token in the hands of anybody, a lying door's too, admits no more than it says.
 */
import type { Admission } from "./admission.ts";
import type { MemberId } from "./identity.ts";

/** Tokens whose uses are counted, and identities in all; beyond that nobody is taken. */
export const TOKENS_MAX = 4_096;
export const TAKEN_MAX = 32_768;
/** Identities beyond the uses of one token that are named. */
export const SURPLUS_NAMED = 16;

/** What came of an admission. */
export type Taken = "taken" | "known" | "surplus" | "full";

interface Count {
  readonly uses: number;
  readonly taken: Map<MemberId, Admission>;
  readonly surplus: Set<MemberId>;
}

/** A token that more identities tried to use than it admits. */
export interface Overuse {
  readonly token: string;
  readonly uses: number;
  readonly taken: readonly MemberId[];
  /** The first {@link SURPLUS_NAMED} that were refused, and those taken here that others came before. */
  readonly surplus: readonly MemberId[];
}

export class Provisional {
  readonly #tokens = new Map<string, Count>();
  readonly #byMember = new Map<MemberId, Admission>();
  /** Surplus that nobody was told of yet: at most {@link SURPLUS_NAMED} a token. */
  #news: { readonly token: string; readonly subject: MemberId }[] = [];
  /** Admissions that the limits of the tables have cost. */
  refused = 0;

  /** The endorsed admission by which a key was taken. */
  get(id: MemberId): Admission | undefined {
    return this.#byMember.get(id);
  }

  has(token: string, id: MemberId): boolean {
    return this.#tokens.get(token)?.taken.has(id) ?? false;
  }

  /** How many identities have used a token: those that were certified, and those taken here. */
  used(token: string, certified: readonly MemberId[]): number {
    const taken = this.#tokens.get(token)?.taken;
    let used = taken?.size ?? 0;
    for (const id of certified) if (!taken?.has(id)) used++;
    return used;
  }

  /**
   * Whether an identity that was taken is still within the uses of its token: certificates that this
   * node has heard of since then come first.
   */
  isWithin(id: MemberId, token: string, certified: readonly MemberId[]): boolean {
    const count = this.#tokens.get(token);
    if (!count?.taken.has(id)) return false;
    if (this.used(token, certified) <= count.uses) return true;
    const isCertified = new Set(certified);
    let before = isCertified.size;
    for (const other of count.taken.keys()) {
      if (other === id) break;
      if (!isCertified.has(other)) before++;
    }
    return before < count.uses;
  }

  /**
   * Takes an endorsed admission whose signatures are good, if the token has uses left.
   * @param certified the keys that were certified because of this token: they count, too
   */
  take(admission: Admission, uses: number, certified: readonly MemberId[]): Taken {
    const { subject, token } = admission;
    const count = this.#tokens.get(token) ?? { uses, taken: new Map(), surplus: new Set() };
    if (count.taken.has(subject)) return "known";
    if (this.used(token, certified) >= uses) {
      this.#tokens.set(token, count);
      if (count.surplus.size < SURPLUS_NAMED && !count.surplus.has(subject)) {
        count.surplus.add(subject);
        this.#news.push({ token, subject });
      }
      return "surplus";
    }
    const hasRoom = this.#tokens.has(token) || this.#tokens.size < TOKENS_MAX;
    if (!hasRoom || this.#byMember.size >= TAKEN_MAX) {
      this.refused++;
      return "full";
    }
    this.#tokens.set(token, count);
    count.taken.set(subject, admission);
    this.#byMember.set(subject, admission);
    return "taken";
  }

  /** Who was refused as surplus since this was asked last. */
  takeNews(): readonly { readonly token: string; readonly subject: MemberId }[] {
    const news = this.#news;
    this.#news = [];
    return news;
  }

  /** Every admission that was taken, in order. */
  *all(): Generator<Admission> {
    for (const { taken } of this.#tokens.values()) yield* taken.values();
  }

  /**
   * Tokens that more identities have used than they admit, those among them that were taken here
   * before this node heard whom admins had certified.
   * @param certifiedBy the keys that were certified because of a token
   */
  *overused(certifiedBy: (token: string) => readonly MemberId[]): Generator<Overuse> {
    for (const [token, { uses, taken, surplus }] of this.#tokens) {
      const certified = certifiedBy(token);
      const isOver = this.used(token, certified) > uses;
      const beyond = isOver
        ? [...taken.keys()].filter((id) => !this.isWithin(id, token, certified))
        : [];
      const refused = new Set([...surplus, ...beyond]);
      if (refused.size === 0) continue;
      const kept = new Set([...certified, ...taken.keys()]).difference(refused);
      yield { token, uses, taken: [...kept], surplus: [...refused] };
    }
  }

  /** Forgets the tokens that have ended. */
  expire(hasEnded: (token: string) => boolean): void {
    for (const [token, { taken }] of this.#tokens) {
      if (!hasEnded(token)) continue;
      this.#tokens.delete(token);
      for (const id of taken.keys()) this.#byMember.delete(id);
    }
  }
}
