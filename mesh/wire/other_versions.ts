/**
 * Nodes of another version of Shoal that knock here: their datagrams cannot be read, so a person is
 * told where they come from. Anybody can invent such datagrams and their addresses; what is kept is
 * bounded and only shown.
 */
import type { Endpoint } from "../endpoint.ts";
import type { Now } from "../machine.ts";
import { originOf } from "./origin.ts";

/** Places that are remembered; at the limit the one that was heard longest ago is forgotten. */
export const PLACES_MAX = 4;
/** Milliseconds after which a place that is silent is forgotten. */
export const SHOWN_TIME = 600_000;

export interface OtherVersion {
  readonly version: number;
  /** Where its last datagram came from. */
  readonly endpoint: Endpoint;
  /** Boot ms of the last one. */
  readonly at: number;
}

export class OtherVersions {
  /** By origin and version, the one heard last at the end. */
  readonly #places = new Map<string, OtherVersion>();
  /** All datagrams of other versions since the start. */
  count = 0;

  saw(now: Now, version: number, endpoint: Endpoint): void {
    this.count++;
    this.#forget(now);
    const name = `${originOf(endpoint)} ${version}`;
    this.#places.delete(name);
    const [oldest] = this.#places.keys();
    if (this.#places.size >= PLACES_MAX && oldest !== undefined) this.#places.delete(oldest);
    this.#places.set(name, { version, endpoint, at: now.boot });
  }

  /** The places of the last ten minutes, the one heard last first. */
  places(now: Now): OtherVersion[] {
    this.#forget(now);
    return [...this.#places.values()].reverse();
  }

  #forget(now: Now): void {
    for (const [name, { at }] of this.#places) {
      if (now.boot - at > SHOWN_TIME) this.#places.delete(name);
    }
  }
}
