/**
 * Addresses inside the mesh, which every node computes for every other without asking anybody.
 *
 * IPv6: `fd`, 40 bits of the mesh id, 16 zero bits, 64 bits of the key's hash. All members share
 * one /64; two keys clash once in 2^32 members.
 *
 * IPv4: 22 bits of a hash over the key and a counter, in 100.64.0.0/10 (RFC 6598). That does clash:
 * with 2,000 members in more than every third mesh. The counter stands in the certificate, and whoever
 * certifies takes one whose address is free. Where two that could not hear of each other were given
 * one address, claims.ts says who has it, and an admin gives the other a new one.
 */
import type { Crypto } from "../crypto.ts";
import { sameBytes } from "../endpoint.ts";
import type { Prefix } from "../machine.ts";
import { Writer } from "../codec.ts";

const IP6_LABEL = new TextEncoder().encode("shoal ip6 2\0");
const IP4_LABEL = new TextEncoder().encode("shoal ip4 2\0");

/** 100.64.0.0/10 */
export const IP4_PREFIX: Prefix = { address: Uint8Array.of(100, 64, 0, 0), length: 10 };
const IP4_HOSTS = 2 ** 22 - 2; // neither the network's own nor the broadcast address

/** Whether 4 bytes are an address of {@link IP4_PREFIX}. */
export function isInIp4Network([a, b = 0, ...rest]: Uint8Array): boolean {
  return rest.length === 2 && a === 100 && b >> 6 === 1;
}

/** Bytes of the prefix that all IPv6 addresses of a mesh share. */
const IP6_NETWORK_SIZE = 8;

function ip6Network(meshId: Uint8Array): Uint8Array {
  const network = new Uint8Array(IP6_NETWORK_SIZE);
  network[0] = 0xfd;
  network.set(meshId.subarray(0, 5), 1);
  return network;
}

/** Whether an address is one of a mesh's own: what is sent there goes through its tunnels. */
export function isInside(meshId: Uint8Array, address: Uint8Array): boolean {
  if (address.length === 4) return isInIp4Network(address);
  return sameBytes(address.subarray(0, IP6_NETWORK_SIZE), ip6Network(meshId));
}

export function ip6Of(crypto: Crypto, meshId: Uint8Array, key: Uint8Array): Uint8Array {
  const address = new Uint8Array(16);
  address.set(ip6Network(meshId));
  address.set(crypto.blake2s(IP6_LABEL, meshId, key).subarray(0, 8), IP6_NETWORK_SIZE);
  return address;
}

export function ip4Of(
  crypto: Crypto,
  meshId: Uint8Array,
  key: Uint8Array,
  counter: number,
): Uint8Array {
  const hash = crypto.blake2s(IP4_LABEL, meshId, key, new Writer().u16(counter).finish());
  // 48 bits modulo 2^22 - 2: the bias is below 2^-25.
  const host = 1 + hash.subarray(0, 6).reduce((sum, byte) => sum * 256 + byte, 0) % IP4_HOSTS;
  return Uint8Array.of(100, 64 + (host >> 16), (host >> 8) & 0xff, host & 0xff);
}
