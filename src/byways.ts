/**
 * Members to whose own addresses a route of this machine leads past the tunnel: one that the network has handed out (DHCP
 * option 121, RFC 3442; a route information option of IPv6) is longer than the mesh's, and the kernel takes the longest.
 * What is sent to such a member leaves in the clear, and no tunnel notices. The look at the mesh's networks as a whole
 * (addresses.ts) does not see it, so members are looked at one by one, some in each turn: those that this node talks with
 * each time, the others in their order.
 */
import { parseAddress } from "../mesh/endpoint.ts";
import type { Named } from "../mesh/report/directory.ts";
import { wayOf } from "./addresses.ts";

/** Members that one turn looks at: of those that we talk with, and of all. Each has two addresses. */
export const TALKED_WITH = 32;
export const OTHERS = 32;
/** Addresses that are kept with their ways, and looked at in each turn until the way is the tunnel again. */
const FOUND_MAX = 64;
/** Members that a line names. */
const NAMED = 3;
/** What is for this machine itself, as for another node on it. */
const LOOPBACK = "lo";

/** The part of a device that this needs. */
interface Link {
  /** @returns `ifindex` 0 while the interface is in another network namespace */
  info(): { readonly ifname: string; readonly ifindex: number; readonly isLinkUp: boolean };
  /** @returns the interface by which the kernel sends to an address */
  wayTo(address: Uint8Array): string;
}

/** Whom to look at. */
export interface Members {
  talksWith(limit: number): readonly Named[];
  /** From the n-th on; fewer than `limit`: these are the last. */
  someOfAll(from: number, limit: number): readonly Named[];
}

interface Byway {
  readonly name: string;
  /** The interface; "": a route refuses. */
  readonly way: string;
  /** The round in which it was a member's that was looked at. */
  readonly round: number;
}

export class Byways {
  readonly #found = new Map<string, Byway>();
  /** Where the next turn goes on, and how often all were looked at. */
  #next = 0;
  #round = 0;

  constructor(private readonly link: Link, private readonly members: Members) {}

  /**
   * One turn.
   * @param isCarried whether the mesh's network of this family goes by the interface as a whole. Where not, there is no route
   *   for a single member to take away: this node has no address yet and the way is the default route, or all goes elsewhere,
   *   which is told already
   */
  look(isCarried: (family: "IPv4" | "IPv6") => boolean): void {
    const { ifname, ifindex, isLinkUp } = this.link.info();
    if (!isLinkUp || ifindex === 0) return this.#found.clear();
    const ask = (name: string, text: string, round: number) => {
      const address = parseAddress(text);
      const isJudged = isCarried(text.includes(":") ? "IPv6" : "IPv4");
      const way = address && isJudged ? wayOf(this.link, address) : undefined;
      const isFine = way === undefined || way === ifname || way === LOOPBACK;
      if (isFine) this.#found.delete(text);
      else if (this.#found.has(text) || this.#found.size < FOUND_MAX) {
        this.#found.set(text, { name, way, round });
      }
    };
    for (const [text, { name, round }] of [...this.#found]) ask(name, text, round);
    const others = this.members.someOfAll(this.#next, OTHERS);
    for (const { name, ip4, ip6 } of [...this.members.talksWith(TALKED_WITH), ...others]) {
      for (const text of [ip4, ip6]) if (text !== undefined) ask(name, text, this.#round);
    }
    this.#next += others.length;
    if (others.length < OTHERS) this.#endRound();
  }

  /** Whoever was not met in a whole round is no member any more. */
  #endRound(): void {
    for (const [text, { round }] of this.#found) {
      if (round < this.#round) this.#found.delete(text);
    }
    this.#next = 0;
    this.#round++;
  }

  health(): string[] {
    const byWay = new Map<string, [string, Byway][]>();
    for (const [text, one] of this.#found) {
      byWay.set(one.way, [...byWay.get(one.way) ?? [], [text, one]]);
    }
    return Array.from(byWay, ([way, found]) => {
      const some = found.slice(0, NAMED).map(([text, { name }]) => `${name} (${text})`).join(", ");
      const rest = found.length - NAMED;
      const whom = rest > 0 ? `${some} and ${rest} more` : some;
      const [[text] = [""]] = found;
      const what = way === ""
        ? `a route of this machine refuses what is meant for ${whom}, before the tunnel has its turn`
        : `this machine sends what is meant for ${whom} by ${way}, in the clear, and not through the tunnel`;
      return `${what}: take that route away (\`ip route get ${text}\` shows the way), and if the network has handed it out ` +
        "keep the DHCP client from taking routes (systemd-networkd: UseRoutes=no, NetworkManager: " +
        "ipv4.ignore-auto-routes and ipv6.ignore-auto-routes)";
    });
  }
}
