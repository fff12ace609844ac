/** What the machine knows of the network outside the mesh: names of seeds and its own addresses. */
import { lookup } from "node:dns/promises";
import type { Seed } from "../mesh/seed.ts";
import { isInIp4Network } from "../mesh/address.ts";
import { type Endpoint, formatAddress, parseAddress } from "../mesh/endpoint.ts";

interface InterfaceAddress {
  readonly name: string;
  readonly address: string;
}

/**
 * Asks the resolver anew each time: a seed may move.
 * @returns nothing when the name has no address now; the caller tries again later
 */
export async function resolveSeed({ host, port }: Seed): Promise<Endpoint[]> {
  const found = await lookup(host, { all: true }).catch(() => []);
  return found.flatMap(({ address }) => {
    const bytes = parseAddress(address);
    return bytes === undefined ? [] : [{ address: bytes, port, scope: 0 }];
  });
}

/**
 * Addresses of this machine, but for those on `except` (our own interface: a tunnel must not be
 * offered as a way to itself). Which of them mean anything to others is mesh's to say.
 */
export function ownAddresses(except: string): Uint8Array[] {
  const found = new Map<string, Uint8Array>();
  for (const { name, address } of Deno.networkInterfaces()) {
    const bytes = name === except ? undefined : parseAddress(address.split("%")[0] ?? "");
    if (bytes !== undefined) found.set(formatAddress(bytes), bytes);
  }
  return [...found.values()];
}

/** Texts of the addresses that an interface has now. */
export function addressesOf(ifname: string): Set<string> {
  const found = Deno.networkInterfaces().flatMap(({ name, address }) => {
    const bytes = name === ifname ? parseAddress(address.split("%")[0] ?? "") : undefined;
    return bytes === undefined ? [] : [formatAddress(bytes)];
  });
  return new Set(found);
}

/** Other interfaces with an address in the IPv4 network that a mesh uses, and that address. */
export function rivalsOf(
  ifname: string,
  all: readonly InterfaceAddress[] = Deno.networkInterfaces(),
): InterfaceAddress[] {
  return all.filter(({ name, address }) => {
    const bytes = name === ifname ? undefined : parseAddress(address);
    return bytes !== undefined && isInIp4Network(bytes);
  });
}
