/**
 * Token-less requests that wait for a person, and whether such are answered at all: while a person
 * has opened the door, or while somebody who was approved has not picked the approval up.
 *
 * Each request here has cost its sender a round trip (wire/ask.ts), so invented addresses hold no
 * place. A new request always gets a place: at the limit one of the most crowded region, network and
 * origin makes room, among equals the one that was not repeated for longest. So somebody with one
 * address, one network or one provider's addresses displaces nobody else. Somebody with addresses in
 * more regions than the table has places displaces others for a moment: the true asker, who repeats its
 * request every two seconds, is back two seconds later, and a person who was told its key can approve
 * that key whether it stands here or not.
 */
import type { Endpoint } from "../endpoint.ts";
import type { Who } from "../event.ts";
import type { Now } from "../machine.ts";
import type { MemberId } from "../membership/identity.ts";
import { networkOf, originOf, regionOf } from "../wire/origin.ts";
import { Allowance, type Share } from "./allowance.ts";

/** Requests at most; see above for who makes room. */
export const REQUESTS_MAX = 64;
/** Of them from one IPv4 address or IPv6 /64; at the limit its own least repeated one makes room. */
export const REQUESTS_PER_ORIGIN = 4;
/** Milliseconds after which a request that is not repeated is forgotten. */
export const REQUEST_TIME = 600_000;
/** New requests that people are told of; further ones are only listed. */
export const TOLD: Share = { rate: 0.5, burst: 64 };

export interface Request {
  readonly who: Who;
  readonly endpoint: Endpoint;
  /** Boot ms of the first and the last time it was made. */
  readonly since: number;
  readonly at: number;
}

/** From the largest unit of the outer network to the smallest. */
const GROUPS = [regionOf, networkOf, originOf];

export class Requests {
  /** The one that was repeated last at the end. */
  readonly #all = new Map<MemberId, Request>();
  readonly #told: Allowance;
  #openUntil = -Infinity;
  readonly counts = {
    placed: 0,
    /** Made room for another of the same origin. */
    crowded: 0,
    /** Made room in the full table. */
    displaced: 0,
    /** Was not repeated. */
    expired: 0,
    /** New ones that people were not told of. */
    untold: 0,
  };

  constructor(now: Now) {
    this.#told = new Allowance(now, TOLD);
  }

  /** A person opens the door for so many milliseconds from now, whatever was said before. */
  open(now: Now, ms: number): void {
    this.#openUntil = now.boot + ms;
  }

  close(): void {
    this.#openUntil = -Infinity;
  }

  /** @param isAwaited whether an approval or an individually trusted key waits to be picked up. */
  isOpen(now: Now, isAwaited: boolean): boolean {
    return isAwaited || now.boot < this.#openUntil;
  }

  /** Boot ms at which the door that a person opened closes; undefined: it is closed. */
  openUntil(now: Now): number | undefined {
    return now.boot < this.#openUntil ? this.#openUntil : undefined;
  }

  /** Takes in a request that has proven its address. @returns whether it is new and people should be told */
  place(now: Now, who: Who, endpoint: Endpoint): boolean {
    this.expire(now);
    const known = this.#all.get(who.id);
    if (known === undefined) this.#makeRoom(endpoint);
    this.#all.delete(who.id);
    this.#all.set(who.id, { who, endpoint, since: known?.since ?? now.boot, at: now.boot });
    if (known !== undefined) return false;
    this.counts.placed++;
    const isNews = this.#told.take(now);
    if (!isNews) this.counts.untold++;
    return isNews;
  }

  /** It is decided. */
  forget(id: MemberId): void {
    this.#all.delete(id);
  }

  get(id: MemberId): Request | undefined {
    return this.#all.get(id);
  }

  /** The one that was repeated longest ago first. */
  list(): Request[] {
    return [...this.#all.values()];
  }

  /** Forgets what nobody repeated. */
  expire(now: Now): void {
    for (const [id, { at }] of this.#all) {
      if (now.boot - at <= REQUEST_TIME) return; // and so all others
      this.#all.delete(id);
      this.counts.expired++;
    }
  }

  #makeRoom(endpoint: Endpoint): void {
    const origin = originOf(endpoint);
    const own = this.list().filter((request) => originOf(request.endpoint) === origin);
    const [leastOwn] = own;
    if (own.length >= REQUESTS_PER_ORIGIN && leastOwn !== undefined) {
      this.#all.delete(leastOwn.who.id);
      this.counts.crowded++;
    } else if (this.#all.size >= REQUESTS_MAX) {
      const leaving = this.#leastOfCrowd(endpoint);
      if (leaving !== undefined) this.#all.delete(leaving);
      this.counts.displaced++;
    }
  }

  /** Of the most crowded part of the network, the newcomer counted in, who was repeated longest ago. */
  #leastOfCrowd(endpoint: Endpoint): MemberId | undefined {
    let crowd: { readonly endpoint: Endpoint; readonly who?: Who }[] = this.list();
    crowd.push({ endpoint });
    for (const groupOf of GROUPS) {
      const counts = new Map<string, number>();
      for (const { endpoint } of crowd) {
        const group = groupOf(endpoint);
        counts.set(group, (counts.get(group) ?? 0) + 1);
      }
      const most = Math.max(...counts.values());
      crowd = crowd.filter(({ endpoint }) => counts.get(groupOf(endpoint)) === most);
    }
    return crowd.find(({ who }) => who !== undefined)?.who?.id;
  }
}
