/**
 * A loop: routes of this machine lead the tunnel's own datagrams into the tunnel, where they would be
 * sealed and sent again for ever. Core drops them and says when that begins; as long as it goes on,
 * the health tells where they were bound for, and what to do.
 */
import { type Endpoint, formatAddress, formatEndpoint, isWithin } from "../mesh/endpoint.ts";
import type { Now, Prefix } from "../mesh/machine.ts";

/** Milliseconds without another such datagram after which it is over. */
const OVER_AFTER = 60_000;

export class Loop {
  #to: Endpoint | undefined;
  #count = 0;
  #at = -Infinity;

  /**
   * Core says that it has begun. To places with addresses of the mesh core sends past the tunnel by itself, but for the
   * moment in which it does not know of a new route yet. No route is to be changed for one: it would lead there what is
   * meant for a member, too.
   * @param networks those of the mesh
   * @returns whether a person is to be told
   */
  begin(now: Now, to: Endpoint, networks: readonly Prefix[]): boolean {
    if (networks.some((network) => isWithin(to.address, network))) return false;
    this.#to = to;
    this.#at = now.boot;
    return true;
  }

  /** @param count such datagrams since the start, as core counts them */
  health(now: Now, count: number): string[] {
    if (count !== this.#count) this.#at = now.boot;
    this.#count = count;
    const to = this.#to;
    if (to === undefined || now.boot - this.#at > OVER_AFTER) return [];
    return [
      `routes lead this node's own datagrams to ${
        formatEndpoint(to)
      } into the tunnel, and they are ` +
      `dropped: give ${formatAddress(to.address)} a route outside the tunnel ` +
      `(\`ip route get ${formatAddress(to.address)}\` shows which one it takes)`,
    ];
  }
}
