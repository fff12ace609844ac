/**
 * Reverse names: `7.0.64.100.in-addr.arpa` (RFC 1035, section 3.5) and the nibbles of `ip6.arpa` (RFC 3596,
 * section 2.5), and the networks that they stand for.
 */
import { isWithin } from "../../mesh/endpoint.ts";
import type { Prefix } from "../../mesh/machine.ts";

/** By bytes of an address: what its names end with, and how many bits one label has. */
const FAMILIES = {
  4: { suffix: "in-addr.arpa", bits: 8 },
  16: { suffix: "ip6.arpa", bits: 4 },
} as const;

type Size = keyof typeof FAMILIES;

/**
 * The zone of a network that a name is in, or is. A network whose length is not one of whole labels has several zones:
 * 100.64.0.0/10 has 64.100.in-addr.arpa to 127.100.in-addr.arpa (and nothing above them, which is also others').
 * @param name in lower case
 */
export function reverseZoneOf(name: string, network: Prefix): string | undefined {
  const { suffix } = familyOf(network);
  const labels = name.endsWith(`.${suffix}`) ? name.slice(0, -suffix.length - 1).split(".") : [];
  const above = labels.length - labelsOf(network);
  if (above < 0) return undefined;
  const zone = [...labels.slice(above), suffix].join(".");
  const own = networkNamed(zone);
  return own?.address.length === network.address.length && isWithin(own.address, network)
    ? zone
    : undefined;
}

/**
 * All zones of a network. A pool is a /8 to a /24, so there are 128 at most (of a /9 or a /17); systemd-resolved takes
 * 256 domains of one link.
 */
export function reverseZones(network: Prefix): string[] {
  const { suffix, bits } = familyOf(network);
  const labels = labelsOf(network);
  const parts = partsOf(network.address).slice(0, labels);
  const radix = bits === 8 ? 10 : 16;
  const first = parseInt(parts.pop() ?? "0", radix);
  return Array.from({ length: 2 ** (labels * bits - network.length) }, (_, i) => {
    return [(first + i).toString(radix), ...parts.toReversed(), suffix].join(".");
  });
}

/** The network that a reverse name stands for, of one address or more; undefined: no network is written so. */
export function networkNamed(name: string): Prefix | undefined {
  const size: Size = name.endsWith(`.${FAMILIES[4].suffix}`) ? 4 : 16;
  const { suffix, bits } = FAMILIES[size];
  if (!name.endsWith(`.${suffix}`)) return undefined;
  const labels = name.slice(0, -suffix.length - 1).split(".").reverse();
  if (labels.length * bits > size * 8) return undefined;
  const isPart = bits === 8 ? isByte : isNibble;
  if (!labels.every(isPart)) return undefined;
  const hex = labels.map((label) =>
    bits === 8 ? Number(label).toString(16).padStart(2, "0") : label
  );
  const address = Uint8Array.fromHex(hex.join("").padEnd(size * 2, "0"));
  return { address, length: labels.length * bits };
}

function isByte(label: string): boolean {
  return /^(?:0|[1-9]\d{0,2})$/.test(label) && Number(label) <= 255;
}

function isNibble(label: string): boolean {
  return /^[0-9a-f]$/.test(label);
}

function familyOf({ address }: Prefix) {
  return FAMILIES[address.length === 4 ? 4 : 16];
}

/** How many labels the zones of a network have before the suffix. */
function labelsOf(network: Prefix): number {
  return Math.ceil(network.length / familyOf(network).bits);
}

/** The label of each part of an address, the first part first. */
function partsOf(address: Uint8Array): string[] {
  return address.length === 4 ? Array.from(address, String) : [...address.toHex()];
}
