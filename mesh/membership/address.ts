/**
 * Addresses inside the mesh, which every node computes for every other without asking anybody.
 *
 * IPv6: `fd`, 40 bits of the mesh id, 16 zero bits, 64 bits of the key's hash. All members share
 * one /64; two keys clash once in 2^32 members.
 *
 * IPv4: a hash over the key and a counter, in the pool of the mesh (genesis.ts). That does clash: with
 * 2,000 members of a /10 in more than every third mesh. The counter stands in the certificate, and whoever
 * certifies takes one whose address is free. Where two that could not hear of each other were given
 * one address, claims.ts says who has it, and an admin gives the other a new one.
 */
import type { Crypto } from "../crypto.ts";
import { isWithin, sameBytes } from "../endpoint.ts";
import type { Prefix } from "../machine.ts";
import { hostsOf, poolOf } from "./genesis.ts";

/** Of members, whose key is an Ed25519 key, and of guests, whose key is an X25519 key. */
type Holder = "member" | "guest";

const utf8 = new TextEncoder();
const IP6_LABEL = {
  member: utf8.encode("shoal ip6 3\0"),
  guest: utf8.encode("shoal guest ip6 3\0"),
} as const;
const IP4_LABEL = {
  member: utf8.encode("shoal ip4 3\0"),
  guest: utf8.encode("shoal guest ip4 3\0"),
} as const;

/** Bytes of the prefix that all IPv6 addresses of a mesh share. */
const IP6_NETWORK_SIZE = 8;

function ip6Network(meshId: Uint8Array): Uint8Array {
  const [a = 0, b = 0, c = 0, d = 0, e = 0] = meshId;
  return Uint8Array.of(0xfd, a, b, c, d, e, 0, 0);
}

/** Whether an address is one of a mesh's own: what is sent there goes through its tunnels. */
export function isInside(meshId: Uint8Array, address: Uint8Array): boolean {
  if (address.length === 4) return isWithin(address, poolOf(meshId));
  return sameBytes(address.subarray(0, IP6_NETWORK_SIZE), ip6Network(meshId));
}

/** The network of a mesh's IPv6 addresses. */
export function ip6NetworkOf(meshId: Uint8Array): Prefix {
  const address = new Uint8Array(16);
  address.set(ip6Network(meshId));
  return { address, length: 8 * IP6_NETWORK_SIZE };
}

export function ip6Of(
  crypto: Crypto,
  meshId: Uint8Array,
  key: Uint8Array,
  holder: Holder = "member",
): Uint8Array {
  const address = new Uint8Array(16);
  address.set(ip6Network(meshId));
  address.set(crypto.blake2s(IP6_LABEL[holder], meshId, key).subarray(0, 8), IP6_NETWORK_SIZE);
  return address;
}

export function ip4Of(
  crypto: Crypto,
  meshId: Uint8Array,
  key: Uint8Array,
  counter: number,
  holder: Holder = "member",
): Uint8Array {
  const pool = poolOf(meshId);
  const hash = crypto.blake2s(
    IP4_LABEL[holder],
    meshId,
    key,
    Uint8Array.of(counter >> 8, counter & 0xff),
  );
  // 48 bits modulo the number of hosts: the bias is below 2^-23.
  let number = 0;
  for (let i = 0; i < 6; i++) number = number * 256 + (hash[i] ?? 0);
  const hosts = hostsOf(pool);
  const network = numberOf(pool.address);
  const at = (host: number) => (network | 1 + host % hosts) >>> 0;
  // The next one that is nobody's service: a pool as small as that has at most one of them.
  const one = at(number);
  const address = SERVICES.has(one) ? at(number + 1) : one;
  return Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address);
}

/** The 32 bits of an IPv4 address. */
function numberOf(address: Uint8Array): number {
  const [a = 0, b = 0, c = 0, d = 0] = address;
  return (a << 24 | b << 16 | c << 8 | d) >>> 0;
}

/**
 * Services that machines look for at a fixed address inside 100.64.0.0/10, in which most pools lie. A key can be made for an
 * address in a minute, and whoever had one of these would answer for them.
 */
const SERVICES: ReadonlySet<number> = new Set([
  Uint8Array.of(100, 100, 2, 136), // name servers of Alibaba Cloud
  Uint8Array.of(100, 100, 2, 138),
  Uint8Array.of(100, 100, 100, 200), // its metadata
  Uint8Array.of(100, 100, 100, 100), // the resolver of Tailscale
].map(numberOf));
