/** The units of the outer network that limits are counted by. */
import type { Endpoint } from "../endpoint.ts";

/** What one machine controls: an IPv4 address, an IPv6 /64. */
export function originOf({ address }: Pick<Endpoint, "address">): string {
  return address.subarray(0, 8).toHex();
}

/** What one household or data centre shares: an IPv4 /24, an IPv6 /48. */
export function networkOf({ address }: Pick<Endpoint, "address">): string {
  return address.subarray(0, address.length === 4 ? 3 : 6).toHex();
}

/** What one provider holds: an IPv4 /16, an IPv6 /32. */
export function regionOf({ address }: Pick<Endpoint, "address">): string {
  return address.subarray(0, address.length === 4 ? 2 : 4).toHex();
}
