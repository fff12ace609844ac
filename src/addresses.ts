/**
 * The mesh's addresses on the tunnel's interface: put there when the mesh names them, and again when
 * something took them away (the kernel drops IPv6 addresses when a link goes down; other programs
 * tidy up). What the kernel does not take is a line in the health.
 */
import { CoreError } from "../ffi/core_error.ts";
import { IP4_PREFIX } from "../mesh/membership/address.ts";
import { formatAddress } from "../mesh/endpoint.ts";
import type { Prefix } from "../mesh/machine.ts";
import { Exit, Failure } from "./exit.ts";

/** IPv6 prefix length of a mesh on its interface (mesh.md: fd + 40 bits + 16 zero bits). */
const IP6_ON_LINK = 64;
/** What a kernel answers that has IPv6 switched off, for one interface or altogether. */
const IP6_IS_OFF = ["EACCES", "EAFNOSUPPORT", "EOPNOTSUPP"];
/** What a kernel answers when there is nothing to take away. */
const IS_GONE = ["EADDRNOTAVAIL", "ENODEV"];

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
  /** Addresses that are ours no more and could not be taken away, and why. */
  readonly #stuck = new Map<string, { readonly prefix: Prefix; readonly error: CoreError }>();

  /** @param present texts of the addresses that an interface has now */
  constructor(
    private readonly link: Link,
    private readonly present: (ifname: string) => ReadonlySet<string>,
  ) {}

  /**
   * What the interface carries follows what the mesh says, without ever being without an address. A
   * machine without IPv6 does without that of the mesh. What the kernel refuses of the first
   * addresses ends in a failure; later the node lives on, and the health tells.
   * @throws {Failure} when the kernel refuses the first addresses
   */
  set(ip4: Uint8Array | undefined, ip6: Uint8Array | undefined): void {
    const before = new Map(this.#wanted);
    const wanted = new Map<string, Prefix>();
    if (ip4) wanted.set(formatAddress(ip4), { address: ip4, length: IP4_PREFIX.length });
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

  /** Puts back what is gone and takes away what was left, while the link is up. */
  mend(): void {
    const { ifname, isLinkUp } = this.link.info();
    if (!isLinkUp) return;
    const present = this.present(ifname);
    for (const [name, prefix] of this.#wanted) {
      this.#missing.delete(name);
      if (!present.has(name)) this.#add(name, prefix, false);
    }
    for (const [name, { prefix }] of [...this.#stuck]) this.#takeAway(name, prefix);
  }

  health(): string[] {
    const { ifname, isLinkUp } = this.link.info();
    if (this.#wanted.size === 0) return []; // Not a member yet, and down on purpose.
    if (!isLinkUp) return [`${ifname} is down and carries nothing: ip link set ${ifname} up`];
    const missing = Array.from(
      this.#missing,
      ([name, { errnoName }]) =>
        name.includes(":") && IP6_IS_OFF.includes(errnoName)
          ? `${ifname} has no IPv6 address (${errnoName}): IPv6 is off there (sysctl disable_ipv6)`
          : `${name} is not on ${ifname} and cannot be put there (${errnoName}): start the node again`,
    );
    const stuck = Array.from(
      this.#stuck,
      ([name, { prefix, error }]) =>
        `${name} is another's now and cannot be taken off ${ifname} (${error.errnoName}): ` +
        `ip address delete ${name}/${prefix.length} dev ${ifname}`,
    );
    return [...missing, ...stuck];
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
