/** From where the places in an invite can be reached. */
import { isWithin, parseEndpoint } from "../mesh/endpoint.ts";
import { readSeed } from "../mesh/seed.ts";

/** What a person should know of a line that leads to these places; "": machines anywhere may reach one. */
export function reachOf(seeds: readonly string[]): string {
  const isNear = seeds.length > 0 && seeds.every((seed) => isHere(seed) || isPrivate(seed));
  if (!isNear) return "";
  const who = seeds.every(isHere)
    ? "this machine itself reaches"
    : "machines of the same network reach";
  return `this line leads to ${seeds.join(" and ")} alone, which only ${who}: for ` +
    "others, name the address that they see by --seed HOST:PORT of invite, and let their datagrams through to it";
}

/** To each machine these are itself (RFC 1122, RFC 4291; RFC 6761 for the name). */
const LOOPBACK = [
  { address: Uint8Array.of(127, 0, 0, 0), length: 8 },
  { address: Uint8Array.of(...Array(15).fill(0), 1), length: 128 },
];
const LOOPBACK_NAME = /^(?:.*\.)?localhost\.?$/i;

/** Of RFC 1918, RFC 6598 (a provider's own), RFC 3927, and RFC 4193 and link-local of IPv6. */
const PRIVATE = [
  { address: Uint8Array.of(10, 0, 0, 0), length: 8 },
  { address: Uint8Array.of(172, 16, 0, 0), length: 12 },
  { address: Uint8Array.of(192, 168, 0, 0), length: 16 },
  { address: Uint8Array.of(100, 64, 0, 0), length: 10 },
  { address: Uint8Array.of(169, 254, 0, 0), length: 16 },
  { address: Uint8Array.of(0xfc, ...Array(15).fill(0)), length: 7 },
  { address: Uint8Array.of(0xfe, 0x80, ...Array(14).fill(0)), length: 10 },
];

function isPrivate(seed: string): boolean {
  return isIn(seed, PRIVATE);
}

function isHere(seed: string): boolean {
  return isIn(seed, LOOPBACK) || LOOPBACK_NAME.test(readSeed(seed)?.host ?? "");
}

function isIn(seed: string, networks: typeof PRIVATE): boolean {
  const address = parseEndpoint(seed)?.address;
  return address !== undefined && networks.some((network) => isWithin(address, network));
}
