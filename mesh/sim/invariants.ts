/**
 * What must hold after every step, whatever the network and other members do: incarnations never
 * fall; at one incarnation a member's status only gets worse (alive, suspect, dead or left), so no
 * old word brings back the dead; nobody is held at an incarnation that it has not announced; tables
 * stay within their limits; and nobody holds itself anything but alive. A breach throws, with the place and time at which it can be replayed.
 */
import { INCARNATION_MAX, type MemberId, type Status } from "../swim/messages.ts";
import type { Member } from "./swim_mesh.ts";

const RANK: Record<Status, number> = { alive: 0, suspect: 1, dead: 2, left: 2 };

interface Seen {
  rank: number;
  incarnation: number;
}

/** Watches the table of one member's swim machine; a restart is a new life with a new watch. */
export class Invariants {
  readonly #seen = new Map<MemberId, Seen>();
  #own = 0;

  /** `most`: how many members may be in the table; `announced`: the highest that each has used. */
  constructor(
    private readonly most: number,
    private readonly announced: ReadonlyMap<MemberId, number>,
  ) {}

  /** To be called after each step, at this virtual time. */
  check(member: Member, time: number): void {
    const { swim, id } = member;
    const breach = (what: string) => {
      throw new Error(`sim: at ${time} ms ${id.slice(0, 8)}: ${what}`);
    };
    if (swim.incarnation < this.#own) breach("its own incarnation fell");
    this.#own = swim.incarnation;
    let size = 0;
    for (const { id: other, status, incarnation } of swim.members()) {
      size++;
      if (other === id) breach("it is a member of its own table");
      if (incarnation > (this.announced.get(other) ?? 0)) {
        breach(`${other.slice(0, 8)} is held at ${incarnation}, which it has not announced`);
      }
      const rank = RANK[status];
      const seen = this.#seen.get(other);
      if (seen === undefined) {
        this.#seen.set(other, { rank, incarnation });
        continue;
      }
      if (incarnation < seen.incarnation) breach(`${other.slice(0, 8)}'s incarnation fell`);
      const isBack = incarnation === seen.incarnation && rank < seen.rank;
      if (isBack && incarnation !== INCARNATION_MAX) breach(`${other.slice(0, 8)} is resurrected`);
      seen.rank = rank;
      seen.incarnation = incarnation;
    }
    if (size > this.most) breach(`${size} members in a table of ${this.most}`);
  }
}
