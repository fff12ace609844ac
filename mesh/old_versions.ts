/**
 * Machines that knock with another version of Shoal: they get no answer, and without a word nobody
 * would know why. Anybody can send such a datagram, so only the last few places are remembered.
 */
import { otherVersionOf } from "./datagram.ts";
import { type Endpoint, sameEndpoint } from "./endpoint.ts";
import type { Now } from "./machine.ts";

/** Places that are remembered; at the limit the one that knocked longest ago is forgotten. */
export const PLACES_MAX = 4;
/** Milliseconds after which a place that does not knock any more is not shown. */
const SHOWN = 10 * 60_000;

export interface OldVersion {
  readonly version: number;
  readonly from: Endpoint;
  /** Boot ms. */
  readonly at: number;
}

export class OldVersions {
  #places: OldVersion[] = [];
  /** Datagrams of other versions. */
  count = 0;

  /** @returns whether the datagram is of another version */
  note(now: Now, bytes: Uint8Array, from: Endpoint): boolean {
    const version = otherVersionOf(bytes);
    if (version === undefined) return false;
    this.count++;
    const others = this.#places.filter((place) => !sameEndpoint(place.from, from));
    this.#places = [...others, { version, from, at: now.boot }].slice(-PLACES_MAX);
    return true;
  }

  /** Who has knocked lately. */
  seen(now: Now): readonly OldVersion[] {
    return this.#places.filter(({ at }) => now.boot - at < SHOWN);
  }
}
