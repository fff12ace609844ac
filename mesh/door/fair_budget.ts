/**
 * How much work the door does for whom: so much for each origin (an IPv4 address, an IPv6 /64), for
 * each network (an IPv4 /24, an IPv6 /48), and for all together. Each try takes from its origin's and
 * its network's share, so one machine, or one network, cannot use up what all share.
 *
 * While more tries come than all together may have, chance decides, each with the same probability:
 * with first come, first served, a flood would take every place at the moment it becomes free.
 */
import type { Endpoint } from "../endpoint.ts";
import type { Now, Random } from "../machine.ts";
import { within } from "../swim/chance.ts";
import { Allowance, type Share } from "./allowance.ts";
import { networkOf, originOf } from "../wire/origin.ts";

export interface Shares {
  readonly origin: Share;
  readonly network: Share;
  readonly all: Share;
}

/**
 * Origins and networks that are remembered, of each so many. At the limit the one that was idle
 * longest is forgotten if its share is whole again, which changes nothing; else a new one is refused.
 */
export const HOLDERS_MAX = 4096;

/** Which share was used up; `holders`: the table was full of others that used theirs just now. */
export type Shortage = keyof Shares | "holders";

/** Milliseconds over which tries are counted. */
const WINDOW = 1000;

export class FairBudget {
  readonly #origins = new Map<string, Allowance>();
  readonly #networks = new Map<string, Allowance>();
  #all: Allowance | undefined;
  /** Tries that their origin and network allowed, in this window and in the one before. */
  #tries = { since: -Infinity, count: 0, before: 0 };

  constructor(private readonly random: Random, private readonly shares: Shares) {}

  /** Takes one from every share that `from` has a part in. @returns what is short, if anything is. */
  take(now: Now, from: Endpoint): Shortage | undefined {
    const { origin, network, all } = this.shares;
    const own = shareOf(this.#origins, originOf(from), origin, now);
    if (own === undefined) return "holders";
    if (!own.take(now)) return "origin";
    const shared = shareOf(this.#networks, networkOf(from), network, now);
    if (shared === undefined) return "holders";
    if (!shared.take(now)) return "network";
    this.#all ??= new Allowance(now, all);
    return this.#isDrawn(now) && this.#all.take(now) ? undefined : "all";
  }

  #isDrawn(now: Now): boolean {
    const passed = now.boot - this.#tries.since;
    if (passed >= WINDOW) {
      const before = passed < 2 * WINDOW ? this.#tries.count : 0;
      this.#tries = { since: now.boot, count: 0, before };
    }
    this.#tries.count++;
    // What is left of the burst is for the start of a flood, before its size is known.
    const most = Math.max(this.#tries.before, this.#tries.count - this.shares.all.burst);
    const places = this.shares.all.rate * WINDOW / 1000;
    return most <= places || within(this.random, most) < places;
  }

  /** How many origins and networks are remembered. */
  get holders(): { readonly origins: number; readonly networks: number } {
    return { origins: this.#origins.size, networks: this.#networks.size };
  }
}

/** What a holder has left, the one that came last at the end of the map. */
function shareOf(
  allowances: Map<string, Allowance>,
  holder: string,
  share: Share,
  now: Now,
): Allowance | undefined {
  const known = allowances.get(holder);
  if (known === undefined && !hasRoom(allowances, now)) return undefined;
  const allowance = known ?? new Allowance(now, share);
  allowances.delete(holder);
  allowances.set(holder, allowance);
  return allowance;
}

function hasRoom(allowances: Map<string, Allowance>, now: Now): boolean {
  if (allowances.size < HOLDERS_MAX) return true;
  const [oldest] = allowances;
  return oldest !== undefined && oldest[1].isWhole(now) && allowances.delete(oldest[0]);
}
