/** What the machine knows of the network outside the mesh: names of seeds and its own addresses. */
import { lookup } from "node:dns/promises";
import type { Seed } from "./config.ts";
import { type Endpoint, formatAddress, parseAddress } from "../mesh/endpoint.ts";

/** More addresses than this behind one name are not tried. */
const ADDRESSES_PER_SEED = 8;

/**
 * Asks the resolver anew each time: a seed may move. Numbers need no resolver.
 * @returns nothing when the name has no address now; the caller tries again later
 */
export async function resolveSeed(seed: Seed): Promise<Endpoint[]> {
  const [host = "", zone] = seed.host.split("%");
  const literal = parseAddress(host);
  if (literal !== undefined) {
    return [{ address: literal, port: seed.port, scope: zone === undefined ? 0 : scopeOf(zone) }];
  }
  const found = await lookup(seed.host, { all: true }).catch(() => []);
  return found.slice(0, ADDRESSES_PER_SEED).flatMap(({ address }) => {
    const bytes = parseAddress(address);
    return bytes === undefined ? [] : [{ address: bytes, port: seed.port, scope: 0 }];
  });
}

/**
 * Addresses of this machine at which others may reach it: no loopback, no link-local, nothing on
 * `except` (our own interface: a tunnel must not be offered as a way to itself).
 */
export function ownAddresses(except: string): Uint8Array[] {
  const found = new Map<string, Uint8Array>();
  for (const { name, address } of Deno.networkInterfaces()) {
    if (name === except) continue;
    const bytes = parseAddress(address.split("%")[0] ?? "");
    if (bytes !== undefined && isReachable(bytes)) found.set(formatAddress(bytes), bytes);
  }
  return [...found.values()];
}

function isReachable(address: Uint8Array): boolean {
  const [first = 0, second = 0] = address;
  if (address.length === 4) {
    const isLinkLocal = first === 169 && second === 254; // RFC 3927
    return first !== 0 && first !== 127 && !isLinkLocal && first < 224;
  }
  const isLinkLocal = first === 0xfe && (second & 0xc0) === 0x80; // RFC 4291
  const isLoopbackOrNone = address.subarray(0, 15).every((byte) => byte === 0);
  return !isLinkLocal && !isLoopbackOrNone && first !== 0xff;
}

function scopeOf(zone: string): number {
  if (/^\d+$/.test(zone)) return Number(zone);
  return Deno.networkInterfaces().find(({ name }) => name === zone)?.scopeid ?? 0;
}
