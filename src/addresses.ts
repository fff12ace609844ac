/**
 * The mesh's addresses on the tunnel's interface: put there when the mesh names them, and again when
 * something took them away (the kernel drops IPv6 addresses when a link goes down; other programs
 * tidy up). What the kernel does not take is a line in the health.
 */
import { CoreError } from "../ffi/core_error.ts";
import { IP4_PREFIX } from "../mesh/address.ts";
import { formatAddress } from "../mesh/endpoint.ts";
import type { Prefix } from "../mesh/machine.ts";
import { Exit, Failure } from "./exit.ts";

/** IPv6 prefix length of a mesh on its interface (mesh.md: fd + 40 bits + 16 zero bits). */
const IP6_ON_LINK = 64;
/** What a kernel answers that has IPv6 switched off, for one interface or altogether. */
const IP6_IS_OFF = ["EACCES", "EAFNOSUPPORT", "EOPNOTSUPP"];

/** The part of a device that this needs. */
interface Link {
  info(): { readonly ifname: string; readonly isLinkUp: boolean };
  setLink(link: { readonly isUp: boolean }): void;
  setLinkAddress(address: Prefix, isAdded: boolean): void;
}

export class LinkAddresses {
  readonly #wanted = new Map<string, Prefix>();
  /** Why an address is not there. */
  readonly #missing = new Map<string, CoreError>();

  /** @param present texts of the addresses that an interface has now */
  constructor(
    private readonly link: Link,
    private readonly present: (ifname: string) => ReadonlySet<string>,
  ) {}

  /**
   * What the interface carries follows what the mesh says, without ever being without an address. A
   * machine without IPv6 does without that of the mesh.
   * @throws {Failure} when the kernel refuses otherwise
   */
  set(ip4: Uint8Array | undefined, ip6: Uint8Array | undefined): void {
    const wanted = new Map<string, Prefix>();
    if (ip4) wanted.set(formatAddress(ip4), { address: ip4, length: IP4_PREFIX.length });
    if (ip6) wanted.set(formatAddress(ip6), { address: ip6, length: IP6_ON_LINK });
    try {
      for (const [name, prefix] of wanted) if (!this.#wanted.has(name)) this.#add(name, prefix);
      for (const [name, prefix] of this.#wanted) {
        if (wanted.has(name)) continue;
        if (!this.#missing.delete(name)) this.link.setLinkAddress(prefix, false);
      }
      this.link.setLink({ isUp: true });
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      throw new Failure(
        error.errnoName === "EPERM" ? Exit.noPermission : Exit.failed,
        `node: cannot put ${[...wanted.keys()].join(" and ")} on ${this.link.info().ifname} ` +
          `(${error.message}): is the address in use by another interface?`,
        { cause: error },
      );
    }
    this.#wanted.clear();
    for (const [name, prefix] of wanted) this.#wanted.set(name, prefix);
  }

  /** Puts back what is gone, while the link is up. */
  mend(): void {
    const { ifname, isLinkUp } = this.link.info();
    if (!isLinkUp) return;
    const present = this.present(ifname);
    for (const [name, prefix] of this.#wanted) {
      this.#missing.delete(name);
      if (present.has(name)) continue;
      try {
        this.link.setLinkAddress(prefix, true);
      } catch (error) {
        if (!(error instanceof CoreError)) throw error;
        this.#missing.set(name, error);
      }
    }
  }

  health(): string[] {
    const { ifname, isLinkUp } = this.link.info();
    if (this.#wanted.size === 0) return []; // Not a member yet, and down on purpose.
    if (!isLinkUp) return [`${ifname} is down and carries nothing: ip link set ${ifname} up`];
    return Array.from(
      this.#missing,
      ([name, { errnoName }]) =>
        name.includes(":") && IP6_IS_OFF.includes(errnoName)
          ? `${ifname} has no IPv6 address (${errnoName}): IPv6 is off there (sysctl disable_ipv6)`
          : `${name} is gone from ${ifname} and cannot be put back (${errnoName}): start the node again`,
    );
  }

  #add(name: string, prefix: Prefix): void {
    try {
      this.link.setLinkAddress(prefix, true);
    } catch (error) {
      const isIp6Off = error instanceof CoreError && prefix.address.length === 16 &&
        IP6_IS_OFF.includes(error.errnoName);
      if (!isIp6Off) throw error;
      this.#missing.set(name, error);
    }
  }
}
