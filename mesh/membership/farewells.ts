/**
 * Farewells of members, and whether whoever said them goes on. A program that says good-bye does and answers nothing
 * afterwards, and its next start is another run: a run that answers a question which was put after its farewell has not
 * said that. Both ends of a seal have its key, so the farewell is by somebody with a copy of the member's key or of ours.
 */
import { type Endpoint, sameEndpoint } from "../endpoint.ts";
import type { Now } from "../machine.ts";
import type { MemberId } from "./identity.ts";
import { TWIN_TIME } from "./record.ts";

/** Milliseconds for which an answer is waited for, and between two questions. */
const WAIT = 60_000;
const PACE = 1_000;

/** A farewell that no answer has followed. */
interface Farewell {
  /** As it stands in datagrams. */
  readonly run: string;
  readonly place: Endpoint;
  /** Boot ms of the first of this run, and of the first of any. */
  readonly at: number;
  readonly since: number;
  /** Boot ms of the last question; -Infinity: none yet. */
  askedAt: number;
}

/** Somebody has said good-bye in the name of a member that goes on. */
export interface FalseFarewell {
  /** Where it came from; undefined: it bore the address of the member itself. */
  readonly place: Endpoint | undefined;
  /** Boot ms of the last answer that showed it. */
  readonly at: number;
}

export class Farewells {
  /** Never more than the members, both. */
  readonly #said = new Map<MemberId, Farewell>();
  readonly #false = new Map<MemberId, FalseFarewell>();

  forget(id: MemberId): void {
    this.#said.delete(id);
    this.#false.delete(id);
  }

  /** A member has said good-bye. @param run as it stands in that */
  said(now: Now, id: MemberId, run: string, place: Endpoint): void {
    const last = this.#said.get(id);
    const known = last && now.boot - last.since < WAIT ? last : undefined;
    const { since, askedAt } = known ?? { since: now.boot, askedAt: -Infinity };
    const at = known?.run === run ? known.at : now.boot;
    this.#said.set(id, { run, place, at, since, askedAt });
  }

  /** Whether a member is to be asked now whether it goes on; if so, it is. */
  mustAsk(now: Now, id: MemberId): boolean {
    const farewell = this.#said.get(id);
    if (!farewell) return false;
    if (now.boot - farewell.since >= WAIT) this.#said.delete(id);
    else if (now.boot - farewell.askedAt >= PACE) {
      farewell.askedAt = now.boot;
      return true;
    }
    return false;
  }

  /**
   * A member has answered a question. @param askedAt boot ms of that
   * @returns whether a farewell has come before that: it is back, or, as {@link ofMember} says, has never said that
   */
  answered(
    now: Now,
    { id, run, place, askedAt }: {
      readonly id: MemberId;
      readonly run: string;
      readonly place: Endpoint;
      readonly askedAt: number;
    },
  ): boolean {
    const farewell = this.#said.get(id);
    if (!farewell || askedAt < farewell.since) return false;
    if (farewell.run === run && askedAt >= farewell.at) {
      const isOwnPlace = sameEndpoint(farewell.place, place);
      this.#false.set(id, { place: isOwnPlace ? undefined : farewell.place, at: now.boot });
    }
    this.#said.delete(id);
    return true;
  }

  /** What somebody has said in a member's name within {@link TWIN_TIME}. */
  ofMember(now: Now, id: MemberId): FalseFarewell | undefined {
    const known = this.#false.get(id);
    return known && now.boot - known.at < TWIN_TIME ? known : undefined;
  }

  /** All of those. */
  *all(now: Now): Generator<readonly [MemberId, FalseFarewell]> {
    for (const [id, known] of this.#false) if (now.boot - known.at < TWIN_TIME) yield [id, known];
  }
}
