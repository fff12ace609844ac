/**
 * Our mesh addresses are reached by the tunnel alone: Linux delivers what is for any address of the machine, by whichever
 * interface it comes, so whoever is on the same wire would speak to our programs in a member's name, in the clear. Core
 * has the kernel drop that (core/guard.h). Where the kernel refuses, the node goes on, and a line says what is not guarded
 * and what a person can do about it.
 */
import { CoreError } from "../ffi/core_error.ts";
import { formatAddress } from "../mesh/endpoint.ts";
import type { Prefix } from "../mesh/machine.ts";
import { networkOf } from "../mesh/prefix.ts";

/** The part of a device that this needs. */
interface Link {
  /** @returns `ifindex` 0 while the interface is in another network namespace */
  info(): { readonly ifname: string; readonly ifindex: number };
  setGuard(addresses: readonly Prefix[]): void;
}

/** It is told once, however often it is tried again. */
export interface GuardNews {
  readonly kind: "unguarded";
  readonly reason: string;
}

export class Guard {
  #wanted: readonly Prefix[] = [];
  /** The interface that is guarded; 0: none is. */
  #ifindex = 0;
  #refusal: CoreError | undefined;
  #hasTold = false;

  constructor(private readonly link: Link, private readonly onNews: (news: GuardNews) => void) {}

  /** Guards these addresses of ours from now on, and no others. */
  set(addresses: readonly Prefix[]): void {
    this.#wanted = addresses;
    this.#ifindex = 0;
    this.mend();
  }

  /** Tries again what was refused, and follows an interface that was elsewhere and has another number since. */
  mend(): void {
    const { ifindex } = this.link.info();
    if (ifindex === 0 || ifindex === this.#ifindex) return;
    try {
      this.link.setGuard(this.#wanted);
      this.#ifindex = ifindex;
      this.#refusal = undefined;
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      this.#refusal = error;
      this.#tell(error);
    }
  }

  #tell({ errnoName: reason }: CoreError): void {
    if (this.#hasTold) return;
    this.#hasTold = true;
    this.onNews({ kind: "unguarded", reason });
  }

  health(): string[] {
    if (this.#refusal === undefined || this.#wanted.length === 0) return [];
    const { ifname } = this.link.info();
    const own = this.#wanted.map(({ address }) => formatAddress(address)).join(" and ");
    const rules = this.#wanted.flatMap((prefix) => {
      const ip = prefix.address.length === 16 ? "ip6" : "ip";
      const { address, length } = networkOf(prefix);
      const ours = formatAddress(prefix.address);
      const past = `iifname != { "lo", "${ifname}" } ${ip} saddr`;
      return [
        `add rule inet filter input ${past} ${
          formatAddress(address)
        }/${length} ${ip} daddr ${ours} drop`,
        // In our own name it would be forwarded into the tunnel, where this machine forwards.
        `add rule inet filter forward ${past} ${ours} drop`,
      ];
    });
    return [
      `not guarded: whoever is on a network of this machine can send to ${own} in a member's name, past the tunnel: this ` +
      `kernel let the node make no nf_tables table that does (${this.#refusal.errnoName}; it takes Linux 5.12 and ` +
      `CAP_NET_ADMIN): add to your firewall: nft '${rules.join("; ")}'`,
    ];
  }
}
