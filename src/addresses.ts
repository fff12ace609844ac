/**
 * The mesh's addresses on the tunnel's interface, and the routes that come with them: put there when the
 * mesh names them, and again when something took them away (the kernel drops IPv6 addresses when a link
 * goes down; other programs tidy up). What the kernel does not take is a line in the health, and so is a
 * program that takes them away again and again: two that put right what the other does never end. So is
 * a route of another program by which the kernel sends what is meant for members past the tunnel.
 */
import { CoreError } from "../ffi/core_error.ts";
import { formatAddress, sameBytes } from "../mesh/endpoint.ts";
import { networkOf } from "../mesh/prefix.ts";
import type { Now, Prefix } from "../mesh/machine.ts";
import { Allowance } from "../mesh/door/allowance.ts";
import { Exit, Failure } from "./exit.ts";

/** IPv6 prefix length of a mesh on its interface (mesh.md: fd + 40 bits + 16 zero bits). */
export const IP6_ON_LINK = 64;
/** What a kernel answers that has IPv6 switched off, for one interface or altogether. */
const IP6_IS_OFF = ["EACCES", "EAFNOSUPPORT", "EOPNOTSUPP"];
/** A link with a smaller MTU has no IPv6 (RFC 8200, section 5), and the kernel answers this. */
const IP6_MTU_MIN = 1280;
const IP6_NEEDS_MORE = ["EINVAL", "ENODEV"];
/** What a kernel answers to whom a route refuses: unreachable, prohibited, a black hole. */
const REFUSING_ROUTES = ["EHOSTUNREACH", "EACCES", "EINVAL"];
/** What a kernel answers when there is nothing to take away. */
const IS_GONE = ["EADDRNOTAVAIL", "ENODEV"];

/** Addresses and routes that are put back: ten at once, and then one in a minute. */
const PUT_BACK = { rate: 1 / 60, burst: 10 };
/**
 * How often a link may come up and have put back what the kernel took when it went down, as no other
 * program's doing: twenty times at once, and then six times a minute.
 */
const FLAPS = { rate: 1 / 10, burst: 20 };
/** Milliseconds after a link came up in which that is done. */
const SETTLING = 2_000;
/** Milliseconds for which the health tells that no more is put back. */
const TOLD_FOR = 300_000;

/** The part of a device that this needs. */
interface Link {
  /** @returns `ifindex` 0 while the interface is in another network namespace */
  info(): {
    readonly ifname: string;
    readonly ifindex: number;
    readonly isLinkUp: boolean;
    readonly mtu: number;
  };
  setLink(link: { readonly isUp: boolean }): void;
  setLinkAddress(address: Prefix, isAdded: boolean): void;
  /** @returns whether the route of an address was missing, and is there again */
  restoreLinkRoute(address: Prefix): boolean;
  /** @returns the interface by which the kernel sends to an address */
  wayTo(address: Uint8Array): string;
}

export class LinkAddresses {
  readonly #wanted = new Map<string, Prefix>();
  /** Why an address is not there. */
  readonly #missing = new Map<string, CoreError>();
  /** Addresses that are ours no more and could not be taken away, and why. */
  readonly #stuck = new Map<string, { readonly prefix: Prefix; readonly error: CoreError }>();
  /** Networks of ours whose packets the kernel sends elsewhere, and by which interface; "": nowhere. */
  readonly #shadows = new Map<string, string>();
  #putBack: Allowance | undefined;
  #flaps: Allowance | undefined;
  /** Boot ms until which what is missing is the kernel's doing. */
  #settledAt = -Infinity;
  /** Boot ms at which something was missing and was left so. */
  #gaveUpAt = -Infinity;

  /** @param present texts of the addresses that an interface has now */
  constructor(
    private readonly link: Link,
    private readonly present: (ifname: string) => ReadonlySet<string>,
  ) {}

  /**
   * What the interface carries follows what the mesh says, without ever being without an address. A
   * machine without IPv6 does without that of the mesh. What the kernel refuses of the first
   * addresses ends in a failure; later the node lives on, and the health tells.
   * @param ip4Length of the pool of the mesh
   * @throws {Failure} when the kernel refuses the first addresses
   */
  set(ip4: Uint8Array | undefined, ip6: Uint8Array | undefined, ip4Length: number): void {
    const before = new Map(this.#wanted);
    const wanted = new Map<string, Prefix>();
    if (ip4) wanted.set(formatAddress(ip4), { address: ip4, length: ip4Length });
    if (ip6) wanted.set(formatAddress(ip6), { address: ip6, length: IP6_ON_LINK });
    try {
      for (const [name, prefix] of wanted) {
        const isThere = before.has(name) || this.#stuck.delete(name);
        if (!isThere) this.#add(name, prefix, before.size === 0);
      }
      for (const [name, prefix] of before) {
        if (!wanted.has(name) && !this.#missing.delete(name)) this.#takeAway(name, prefix);
      }
      this.link.setLink({ isUp: true });
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      if (before.size === 0) throw this.#refusal(wanted, error);
      // What could not be set up shows in the health as down.
    }
    this.#wanted.clear();
    for (const [name, prefix] of wanted) this.#wanted.set(name, prefix);
  }

  /** The link has come up: the kernel took away what it takes from a link that is down. */
  linkCameUp(now: Now): void {
    this.#flaps ??= new Allowance(now, FLAPS);
    if (this.#flaps.take(now)) this.#settledAt = now.boot + SETTLING;
    this.mend(now);
  }

  /** Puts back what is gone and takes away what was left, while the link is here and up. */
  mend(now: Now): void {
    const { ifname, ifindex, isLinkUp } = this.link.info();
    if (!isLinkUp || ifindex === 0) return this.#shadows.clear();
    this.#putBack ??= new Allowance(now, PUT_BACK);
    const present = this.present(ifname);
    // Once for both families, so that the first does not use up what the second needs, too.
    if (now.boot < this.#settledAt) this.#restoreAll(present);
    else if (this.#putBack.has(now)) {
      if (this.#restoreAll(present)) this.#putBack.take(now);
    } else this.#gaveUpAt = now.boot; // Whatever is missing now: it was put back ten times.
    for (const [name, { prefix }] of [...this.#stuck]) this.#takeAway(name, prefix);
    this.#lookForShadows(ifname);
  }

  /** By the last address of each network, which a member may have. */
  #lookForShadows(ifname: string): void {
    this.#shadows.clear();
    for (const [name, prefix] of this.#wanted) {
      if (this.#missing.has(name)) continue;
      const network = networkOf(prefix);
      const way = wayOf(this.link, lastOf(network, prefix.address));
      if (way === undefined || way === ifname) continue;
      this.#shadows.set(`${formatAddress(network.address)}/${network.length}`, way);
    }
  }

  /**
   * Whether the interface has an address of ours of this family, and its network goes by the interface as a whole. Where not,
   * what is meant for a member goes by whatever route is next, the default route above all.
   */
  isCarried(family: "IPv4" | "IPv6"): boolean {
    const isOfFamily = (text: string) => text.includes(":") === (family === "IPv6");
    const isThere = [...this.#wanted.keys()].some((name) =>
      isOfFamily(name) && !this.#missing.has(name)
    );
    return isThere && ![...this.#shadows.keys()].some(isOfFamily);
  }

  /** @returns whether something had been taken away, and is there again */
  #restoreAll(present: ReadonlySet<string>): boolean {
    let isPutBack = false;
    for (const [name, prefix] of this.#wanted) {
      this.#missing.delete(name);
      if (present.has(name)) isPutBack = this.#hasLostRoute(prefix) || isPutBack;
      else {
        this.#add(name, prefix, false);
        // What the kernel refuses is no program that takes it away.
        isPutBack ||= !this.#missing.has(name);
      }
    }
    return isPutBack;
  }

  health(now: Now): string[] {
    const { ifname, ifindex, isLinkUp, mtu } = this.link.info();
    if (this.#wanted.size === 0) return []; // Not a member yet, and down on purpose.
    if (ifindex === 0) {
      return [
        `${ifname} is in another network namespace, and this node gives it no addresses there: ` +
        "start the node in that namespace, or move the interface back",
      ];
    }
    if (!isLinkUp) return [`${ifname} is down and carries nothing: ip link set ${ifname} up`];
    const missing = Array.from(
      this.#missing,
      ([name, { errnoName }]) =>
        name.includes(":") && IP6_IS_OFF.includes(errnoName)
          ? `${ifname} has no IPv6 address (${errnoName}): IPv6 is off there (sysctl disable_ipv6)`
          : name.includes(":") && mtu < IP6_MTU_MIN && IP6_NEEDS_MORE.includes(errnoName)
          ? `${ifname} has no IPv6 address (${errnoName}): its MTU of ${mtu} is below the ${IP6_MTU_MIN} of IPv6: ` +
            "with a larger one this node puts it there again"
          : `${name} is not on ${ifname} and cannot be put there (${errnoName}): start the node again`,
    );
    const stuck = Array.from(
      this.#stuck,
      ([name, { prefix, error }]) =>
        `${name} is another's now and cannot be taken off ${ifname} (${error.errnoName}): ` +
        `ip address delete ${name}/${prefix.length} dev ${ifname}`,
    );
    const fight = now.boot - this.#gaveUpAt < TOLD_FOR
      ? [
        `another program takes the mesh's addresses or routes off ${ifname} again and again, and they are put back ` +
        `once a minute only: keep it from managing ${ifname} (systemd-networkd: Unmanaged=yes, NetworkManager: ` +
        `unmanaged-devices)`,
      ]
      : [];
    const shadows = Array.from(
      this.#shadows,
      ([network, way]) =>
        way === ""
          ? `a route of this machine refuses ${network}, the network of the mesh, before ${ifname} has its turn: ` +
            `take it away (\`ip route show table all | grep ${network}\`)`
          : `this machine sends what is meant for ${network}, the network of the mesh, by ${way} and not through the ` +
            `tunnel: take that route away (ip route delete ${network} dev ${way}), or found the mesh anew with another ` +
            "network (--pool)",
    );
    return [...missing, ...stuck, ...fight, ...shadows];
  }

  #add(name: string, prefix: Prefix, isNeeded: boolean): void {
    try {
      this.link.setLinkAddress(prefix, true);
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      const isIp6Off = prefix.address.length === 16 && IP6_IS_OFF.includes(error.errnoName);
      if (isNeeded && !isIp6Off) throw error;
      this.#missing.set(name, error);
    }
  }

  /** Whether a route was missing and is there again. What the kernel refuses (no IPv6) is told for the address. */
  #hasLostRoute(prefix: Prefix): boolean {
    try {
      return this.link.restoreLinkRoute(prefix);
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      return false;
    }
  }

  #takeAway(name: string, prefix: Prefix): void {
    this.#stuck.delete(name);
    try {
      this.link.setLinkAddress(prefix, false);
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      if (!IS_GONE.includes(error.errnoName)) this.#stuck.set(name, { prefix, error });
    }
  }

  #refusal(wanted: ReadonlyMap<string, Prefix>, error: CoreError): Failure {
    return new Failure(
      error.errnoName === "EPERM" ? Exit.noPermission : Exit.failed,
      `node: cannot put ${[...wanted.keys()].join(" and ")} on ${this.link.info().ifname} ` +
        `(${error.message}): is the address in use by another interface?`,
      { cause: error },
    );
  }
}

/** @returns by which interface the kernel sends; "": a route refuses; undefined: it has no route */
export function wayOf(link: Pick<Link, "wayTo">, address: Uint8Array): string | undefined {
  try {
    return link.wayTo(address);
  } catch (error) {
    if (!(error instanceof CoreError)) throw error;
    return REFUSING_ROUTES.includes(error.errnoName) ? "" : undefined;
  }
}

/** The last address of a network that a host may have and that is not this one. */
function lastOf({ address, length }: Prefix, own: Uint8Array): Uint8Array {
  const mask = networkOf({ address: address.map(() => 0xff), length }).address;
  const last = address.map((byte, i) => byte | (~(mask[i] ?? 0) & 0xff));
  const end = last.length - 1;
  last[end] = (last[end] ?? 0) - 1; // The very last one is IPv4's broadcast address.
  if (sameBytes(last, own)) last[end] = (last[end] ?? 0) - 1;
  return last;
}
