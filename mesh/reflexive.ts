/**
 * Reflexive addresses: where others see our datagrams come from, behind a NAT the only place where
 * they can reach us. One member's word is not enough (T42): an address is adopted when two members
 * in different networks report the same, and only one that means anything to others.
 */
import { type Endpoint, formatEndpoint, isReachable, sameBytes } from "./endpoint.ts";
import type { MemberId } from "./membership/identity.ts";

/** Reporters that are remembered; at the limit the one that reported longest ago is forgotten. */
export const REPORTERS_MAX = 64;
/** Adopted addresses at most, those with most reporters first. */
const ADOPTED_MAX = 2;
const AGREEING = 2;

/** Bytes of an address that one household or data centre shares: an IPv4 /24, an IPv6 /48. */
const NETWORK_SIZE = { ip4: 3, ip6: 6 };

interface Report {
  /** The network that it came from. */
  readonly from: Uint8Array;
  readonly observed: Endpoint;
}

export class Reflexive {
  readonly #reports = new Map<MemberId, Report>();
  #adopted: readonly Endpoint[] = [];

  get adopted(): readonly Endpoint[] {
    return this.#adopted;
  }

  /** A member at `from` saw us at `observed`. @returns whether the adopted addresses changed. */
  report(member: MemberId, from: Uint8Array, observed: Endpoint): boolean {
    if (!isReachable(observed)) return false;
    this.#reports.delete(member);
    const [oldest] = this.#reports.keys();
    if (this.#reports.size >= REPORTERS_MAX && oldest) this.#reports.delete(oldest);
    const { ip4, ip6 } = NETWORK_SIZE;
    const network = from.subarray(0, from.length === 4 ? ip4 : ip6);
    this.#reports.set(member, { from: network, observed });
    return this.#adopt();
  }

  /** Our network changed: what was seen before says nothing any more. */
  clear(): void {
    this.#reports.clear();
    this.#adopted = [];
  }

  #adopt(): boolean {
    const places = new Map<string, { endpoint: Endpoint; from: Uint8Array[] }>();
    for (const { from, observed } of this.#reports.values()) {
      const name = formatEndpoint(observed);
      const place = places.get(name) ?? { endpoint: observed, from: [] };
      if (!place.from.some((other) => sameBytes(other, from))) place.from.push(from);
      places.set(name, place);
    }
    const before = this.#adopted.map(formatEndpoint).join();
    this.#adopted = [...places.values()].filter(({ from }) => from.length >= AGREEING)
      .sort((a, b) => b.from.length - a.from.length)
      .slice(0, ADOPTED_MAX).map(({ endpoint }) => endpoint);
    return this.#adopted.map(formatEndpoint).join() !== before;
  }
}
