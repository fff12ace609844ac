/**
 * Members that are out and may come back without doing anything: by the clock alone, since their certificate is not valid
 * at our time, or since the office of whoever signed it ended. A machine without a battery starts in 1970, and a wrong
 * time server costs a minute of the next century; when the clock is right again they are members as before, without
 * anybody's help. And when somebody signs anew what a former admin signed, they do not know that they should look for us:
 * we know where they were.
 */
import type { Now } from "../machine.ts";
import type { NodeRecord } from "./record.ts";
import type { MemberId } from "./identity.ts";
import type { Judgement, Refusal } from "./judge.ts";

/** Seconds for which a certificate may have ended before its holder is forgotten, or have been void since this start. */
export const KEPT = 30 * 86_400;
/** Whoever held an office for an hour may have signed as many as it liked: they take this part of the places. */
const VOID_SHARE = 1 / 4;

/** Whether another time would bring another verdict. */
export function isOfClock(why: Refusal): boolean {
  return why === "notYetValid" || why === "expired";
}

interface Kept {
  readonly record: NodeRecord;
  /**
   * Boot ms at which this node saw that nobody's office stands behind its certificate; undefined: it is out by the clock.
   * Not by the clock, which may have been wrong then.
   */
  readonly voidSince: number | undefined;
}

export class Untimely {
  readonly #byClock = new Map<MemberId, Kept>();
  readonly #void = new Map<MemberId, Kept>();
  readonly #voidLimit: number;
  /** Records that the limits have cost: a void one makes room first, and of its kind the one kept longest. */
  dropped = 0;

  constructor(private readonly limit: number) {
    this.#voidLimit = Math.max(1, Math.floor(limit * VOID_SHARE));
  }

  get size(): number {
    return this.#byClock.size + this.#void.size;
  }

  has(id: MemberId): boolean {
    return this.#byClock.has(id) || this.#void.has(id);
  }

  *records(): IterableIterator<NodeRecord> {
    for (const { record } of this.#byClock.values()) yield record;
    for (const { record } of this.#void.values()) yield record;
  }

  /** @param why it is no member */
  keep(now: Now, record: NodeRecord, why: Refusal): void {
    const since = this.#void.get(record.id)?.voidSince;
    this.#forget(record.id);
    const isByClock = isOfClock(why);
    const hasPlace = this.size < this.limit && (isByClock || this.#void.size < this.#voidLimit);
    if (!hasPlace && !this.#makeRoom(isByClock)) return;
    if (isByClock) this.#byClock.set(record.id, { record, voidSince: undefined });
    else this.#void.set(record.id, { record, voidSince: since ?? now.boot });
  }

  /** @returns false: all places are those of others that the clock keeps out, and a void one gets none of them */
  #makeRoom(isByClock: boolean): boolean {
    this.dropped++;
    const places = this.#void.size > 0 ? this.#void : isByClock ? this.#byClock : undefined;
    const [oldest] = places?.keys() ?? [];
    if (places === undefined || oldest === undefined) return false;
    places.delete(oldest);
    return true;
  }

  #forget(id: MemberId): void {
    this.#byClock.delete(id);
    this.#void.delete(id);
  }

  /**
   * Takes out whoever is a member at this time, and forgets those that never will be again.
   * @param judge at our time
   * @param judgeEarlier at {@link KEPT} before it; undefined while our own clock is in doubt
   * @param wasMember whether a certificate of it is held that does not count
   * @returns the members
   */
  review(
    now: Now,
    judge: (record: NodeRecord) => Judgement,
    judgeEarlier: ((record: NodeRecord) => Judgement) | undefined,
    wasMember: (id: MemberId) => boolean,
  ): NodeRecord[] {
    const members: NodeRecord[] = [];
    for (const { record, voidSince } of [...this.#byClock.values(), ...this.#void.values()]) {
      const judgement = judge(record);
      if (judgement.kind === "member") {
        members.push(record);
        this.#forget(record.id);
        continue;
      }
      const isClock = isOfClock(judgement.why);
      const isVoid = judgement.why === "stranger" && wasMember(record.id);
      if (!(isClock ? !hasLongEnded(judgeEarlier?.(record)) : isVoid)) this.#forget(record.id);
      else if (isClock !== (voidSince === undefined)) this.keep(now, record, judgement.why);
      else if (now.boot - (voidSince ?? now.boot) > KEPT * 1_000) this.#forget(record.id);
    }
    return members;
  }
}

function hasLongEnded(earlier: Judgement | undefined): boolean {
  return earlier?.kind === "refused" && earlier.why === "expired";
}
