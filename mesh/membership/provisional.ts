/**
 * Whom this node takes for a member by a token alone, until an admin has certified it. That is a
 * matter of each node: it takes as many identities for a token as that admits, those first that it
 * hears of first, and remembers them over restarts. What is beyond that is refused and named
 * (invariant 6). So a token in the hands of anybody, a lying door's too, admits no more than it says.
 */
import type { Admission } from "./admission.ts";
import type { MemberId } from "./identity.ts";

/** Tokens whose uses are counted, and admissions in all; beyond that nobody is taken. */
export const TOKENS_MAX = 4_096;
export const TAKEN_MAX = 32_768;
/** Identities beyond the uses of one token that are named. */
export const SURPLUS_NAMED = 16;

/** What came of an admission. */
export type Taken = "taken" | "known" | "surplus" | "full";

interface Count {
  uses: number;
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
  /** The admissions of each key, one a token. */
  readonly #byMember = new Map<MemberId, Map<string, Admission>>();
  #size = 0;
  /** Surplus that nobody was told of yet: at most {@link SURPLUS_NAMED} a token. */
  #news: { readonly token: string; readonly subject: MemberId }[] = [];
  /** Admissions that the limits of the tables have cost. */
  refused = 0;

  /** The endorsed admissions by which a key was taken. */
  of(id: MemberId): readonly Admission[] {
    return [...this.#byMember.get(id)?.values() ?? []];
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
  isWithin(
    id: MemberId,
    token: string,
    uses: number,
    certified: readonly MemberId[],
  ): boolean {
    const count = this.#tokens.get(token);
    if (!count?.taken.has(id)) return false;
    if (this.used(token, certified) <= uses) return true;
    const isCertified = new Set(certified);
    let before = isCertified.size;
    for (const other of count.taken.keys()) {
      if (other === id) break;
      if (!isCertified.has(other)) before++;
    }
    return before < uses;
  }

  /**
   * Takes an endorsed admission whose signatures are good, if the token has uses left.
   * @param certified the keys that were certified because of this token: they count, too
   */
  take(admission: Admission, uses: number, certified: readonly MemberId[]): Taken {
    const { subject, token } = admission;
    const known = this.#tokens.get(token);
    if (known?.taken.has(subject)) {
      // It comes once more since its first admission does not count any more, by its door's end for example.
      this.#put(known, admission);
      return "known";
    }
    const isSurplus = this.used(token, certified) >= uses;
    const count = this.#countOf(token, uses);
    if (!count || !isSurplus && this.#size >= TAKEN_MAX) {
      this.refused++;
      return "full";
    }
    if (isSurplus) {
      if (count.surplus.size < SURPLUS_NAMED && !count.surplus.has(subject)) {
        count.surplus.add(subject);
        this.#news.push({ token, subject });
      }
      return "surplus";
    }
    this.#put(count, admission);
    return "taken";
  }

  /** Takes an admission that was taken in an earlier run: it counts, whatever the token admits now. */
  recall(admission: Admission, uses: number): void {
    const count = this.#size < TAKEN_MAX ? this.#countOf(admission.token, uses) : undefined;
    if (count) this.#put(count, admission);
    else this.refused++;
  }

  #put({ taken }: Count, admission: Admission): void {
    const { subject, token } = admission;
    if (!taken.has(subject)) this.#size++;
    taken.set(subject, admission);
    const own = this.#byMember.get(subject) ?? new Map<string, Admission>();
    this.#byMember.set(subject, own.set(token, admission));
  }

  /** The count of a token with its uses of now; undefined: there is no room for one more token. */
  #countOf(token: string, uses: number): Count | undefined {
    const known = this.#tokens.get(token);
    if (known) known.uses = uses;
    if (known || this.#tokens.size >= TOKENS_MAX) return known;
    const count = { uses, taken: new Map(), surplus: new Set<MemberId>() };
    this.#tokens.set(token, count);
    return count;
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
      const beyond = isOver ? beyondUses(taken.keys(), uses, certified) : [];
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
      this.#size -= taken.size;
      for (const id of taken.keys()) {
        const own = this.#byMember.get(id);
        own?.delete(token);
        if (own?.size === 0) this.#byMember.delete(id);
      }
    }
  }
}

/** Of identities that were taken, in their order, those that certified ones and earlier ones leave no use. */
function beyondUses(
  taken: Iterable<MemberId>,
  uses: number,
  certified: readonly MemberId[],
): MemberId[] {
  const isCertified = new Set(certified);
  const beyond: MemberId[] = [];
  let before = isCertified.size;
  for (const id of taken) {
    if (before >= uses) beyond.push(id);
    if (!isCertified.has(id)) before++;
  }
  return beyond;
}
