/**
 * Members that are out and may come back without doing anything: by the clock alone, since their certificate is not valid
 * at our time, or since the office of whoever signed it ended. A machine without a battery starts in 1970, and a wrong
 * time server costs a minute of the next century; when the clock is right again they are members as before, without
 * anybody's help. And when somebody signs anew what a former admin signed, they do not know that they should look for us:
 * we know where they were.
 */
import type { NodeRecord } from "./record.ts";
import type { MemberId } from "./identity.ts";
import type { Judgement, Refusal } from "./judge.ts";

/** Seconds for which a certificate may have ended before its holder is forgotten. */
export const KEPT = 30 * 86_400;

/** Whether another time would bring another verdict. */
export function isOfClock(why: Refusal): boolean {
  return why === "notYetValid" || why === "expired";
}

export class Untimely {
  readonly #records = new Map<MemberId, NodeRecord>();
  /** Records that the limit has cost: the one kept longest makes room. */
  dropped = 0;

  constructor(private readonly limit: number) {}

  get size(): number {
    return this.#records.size;
  }

  has(id: MemberId): boolean {
    return this.#records.has(id);
  }

  records(): IterableIterator<NodeRecord> {
    return this.#records.values();
  }

  keep(record: NodeRecord): void {
    this.#records.delete(record.id);
    const oldest = this.#records.keys().next().value;
    if (this.#records.size >= this.limit && oldest !== undefined) {
      this.#records.delete(oldest);
      this.dropped++;
    }
    this.#records.set(record.id, record);
  }

  /**
   * Takes out whoever is a member at this time, and forgets those that never will be again.
   * @param judge at our time
   * @param judgeEarlier at {@link KEPT} before it; undefined while our own clock is in doubt
   * @param wasMember whether a certificate of it is held that does not count
   * @returns the members
   */
  review(
    judge: (record: NodeRecord) => Judgement,
    judgeEarlier: ((record: NodeRecord) => Judgement) | undefined,
    wasMember: (id: MemberId) => boolean,
  ): NodeRecord[] {
    const members: NodeRecord[] = [];
    for (const record of this.#records.values()) {
      const judgement = judge(record);
      if (judgement.kind === "member") members.push(record);
      else if (judgement.why === "stranger" && wasMember(record.id)) continue;
      else if (isOfClock(judgement.why)) {
        const earlier = judgeEarlier?.(record);
        const isOver = earlier?.kind === "refused" && earlier.why === "expired";
        if (!isOver) continue;
      }
      this.#records.delete(record.id);
    }
    return members;
  }
}
