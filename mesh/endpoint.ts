/**
 * Where a peer is on the outer network: an IP address, a UDP port and, for IPv6 link-local
 * addresses, the interface. Reading and writing the text form is pure; names of interfaces are
 * resolved by whoever may ask the kernel.
 */

/** An IP address with a UDP port. IPv4-mapped IPv6 never appears: it is stored as IPv4. */
export interface Endpoint {
  /** 4 or 16 bytes, network order. */
  readonly address: Uint8Array;
  /** 1..65535; 0 only where a port has no meaning. */
  readonly port: number;
  /** Interface index of an IPv6 link-local address, else 0. */
  readonly scope: number;
}

/**
 * Our side of a conversation: the address a datagram came to and the interface it came in on.
 * Answers leave from there (R55).
 */
export interface Source {
  /** 4 or 16 bytes, the family of the remote endpoint; empty: the kernel chooses. */
  readonly address: Uint8Array;
  /** Interface index; 0: the kernel chooses. */
  readonly ifindex: number;
}

const MAPPED_PREFIX = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

function parseIPv4(text: string): Uint8Array | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (!match) return undefined;
  const bytes = new Uint8Array(4);
  for (let i = 0; i < 4; i++) {
    const part = match[i + 1] ?? "";
    // "010" is octal to some readers and decimal to others: refused, as inet_pton does.
    if (Number(part) > 255 || (part.length > 1 && part.startsWith("0"))) return undefined;
    bytes[i] = Number(part);
  }
  return bytes;
}

function parseGroups(text: string): number[] | undefined {
  if (text === "") return [];
  const bytes: number[] = [];
  const groups = text.split(":");
  for (const [i, group] of groups.entries()) {
    if (i === groups.length - 1 && group.includes(".")) {
      const v4 = parseIPv4(group);
      if (!v4) return undefined;
      bytes.push(...v4);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined;
      const value = parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    }
  }
  return bytes;
}

function parseIPv6(text: string): Uint8Array | undefined {
  const gap = text.indexOf("::");
  if (gap < 0) {
    const bytes = parseGroups(text);
    return bytes?.length === 16 ? Uint8Array.from(bytes) : undefined;
  }
  const head = text.slice(0, gap);
  const tail = text.slice(gap + 2);
  if (head.includes(".")) return undefined;
  const front = parseGroups(head);
  const back = parseGroups(tail);
  if (!front || !back || front.length + back.length > 14) return undefined;
  const bytes = new Uint8Array(16);
  bytes.set(front, 0);
  bytes.set(back, 16 - back.length);
  return bytes;
}

/** IPv4-mapped IPv6 (`::ffff:a.b.c.d`) becomes plain IPv4; everything else stays as it is. */
function unmapped(address: Uint8Array): Uint8Array {
  return isMapped(address) ? address.slice(12) : address;
}

/**
 * Reads a numeric IPv4 or IPv6 address without zone (RFC 4291 section 2.2).
 * @returns 4 or 16 bytes, or undefined when the text is no address.
 */
export function parseAddress(text: string): Uint8Array | undefined {
  const address = parseAsWritten(text);
  return address && unmapped(address);
}

/**
 * The same for a network's address, which is of the family that it is written in: packets with IPv4-mapped addresses
 * are IPv6 packets (RFC 4291 section 2.5.5.2), and ::ffff:0:0/96 is no network of IPv4.
 */
export function parseAsWritten(text: string): Uint8Array | undefined {
  return text.includes(":") ? parseIPv6(text) : parseIPv4(text);
}

/** The text of 4 or 16 bytes; IPv6 in the canonical form of RFC 5952. */
export function formatAddress(address: Uint8Array): string {
  if (address.length === 4) return address.join(".");
  const groups = Array.from(
    { length: 8 },
    (_, i) => ((address[2 * i] ?? 0) << 8) | (address[2 * i + 1] ?? 0),
  );
  let best = { start: -1, length: 1 }; // a single zero group is not shortened
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(":");
  if (best.start < 0) return hex(groups);
  return `${hex(groups.slice(0, best.start))}::${hex(groups.slice(best.start + best.length))}`;
}

/**
 * Reads `192.0.2.1:51820`, `[2001:db8::1]:51820` or `[fe80::1%3]:51820`.
 * @param scopeOf resolves an interface name to its index; without it only numbers are understood.
 * @returns undefined when the text is no endpoint or its port is 0.
 */
export function parseEndpoint(
  text: string,
  scopeOf?: (name: string) => number | undefined,
): Endpoint | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)(?:%([^\]]+))?\]|([0-9.]+)):(\d{1,5})$/.exec(text);
  if (!match) return undefined;
  const [, v6, zone, v4, portText] = match;
  const port = Number(portText);
  const address = v6 === undefined
    ? parseIPv4(v4 ?? "")
    : v6.includes(":")
    ? parseAddress(v6)
    : undefined;
  if (!address || port < 1 || port > 65535) return undefined;
  if (zone === undefined) return { address, port, scope: 0 };
  const scope = /^\d+$/.test(zone) ? Number(zone) : scopeOf?.(zone);
  if (scope === undefined || scope > 0xffffffff || address.length !== 16) return undefined;
  return { address, port, scope };
}

/** The text that {@link parseEndpoint} reads. */
export function formatEndpoint(endpoint: Endpoint): string {
  const address = formatAddress(endpoint.address);
  if (endpoint.address.length === 4) return `${address}:${endpoint.port}`;
  return `[${address}${endpoint.scope ? `%${endpoint.scope}` : ""}]:${endpoint.port}`;
}

/** Whether two byte strings agree. Not for secrets: it stops at the first difference. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Whether two endpoints are the same place. */
export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.port === b.port && a.scope === b.scope && sameBytes(a.address, b.address);
}

/**
 * Places that nothing is sent to because a record, an answer or gossip names them, and that no node
 * tells others of itself. Each is a machine that the sender of the record may not choose (our own,
 * everybody on a link, a service beside us), or it means nothing away from the link where it was
 * read. A place that a person names (a seed, a WireGuard endpoint) is not looked up here, and
 * neither is one that authenticated traffic came from.
 */
const UNREACHABLE: readonly (readonly [prefix: string, length: number, what: string])[] = [
  ["0.0.0.0", 8, "no address of a machine"], // RFC 1122 section 3.2.1.3
  ["127.0.0.0", 8, "loopback"], // RFC 1122 section 3.2.1.3
  ["169.254.0.0", 16, "link-local"], // RFC 3927; clouds serve metadata at 169.254.169.254
  ["224.0.0.0", 4, "multicast"], // RFC 1112
  ["240.0.0.0", 4, "reserved, or the limited broadcast"], // RFC 1112 section 4; RFC 919
  ["::", 96, "unspecified, loopback, or an IPv4 address written as IPv6"], // RFC 4291 section 2.5
  ["::ffff:0:0", 96, "an IPv4 address written as IPv6"], // RFC 4291 section 2.5.5.2
  ["::ffff:0:0:0", 96, "an IPv4 address written as IPv6"], // RFC 2765 section 2.1
  ["fe80::", 10, "link-local"], // RFC 4291 section 2.5.6
  ["fec0::", 10, "site-local"], // RFC 3879: means something on one site alone, and is deprecated
  ["ff00::", 8, "multicast"], // RFC 4291 section 2.7
];

/** Where no machine is, also when a person names it. */
const NOBODY: readonly (readonly [prefix: string, length: number])[] = [
  ["0.0.0.0", 8],
  ["224.0.0.0", 4],
  ["255.255.255.255", 32],
  ["::", 128],
  ["ff00::", 8],
];

/** IPv6 addresses that a gateway turns into the IPv4 address at this byte: that must do, too. */
const EMBEDDING: readonly (readonly [prefix: string, length: number, at: number])[] = [
  ["64:ff9b::", 96, 12], // NAT64, RFC 6052
  ["2002::", 16, 2], // 6to4, RFC 3056
];

/** Networks whose addresses mean another machine, or none, to somebody who is not in them. */
const PRIVATE: readonly (readonly [prefix: string, length: number])[] = [
  ["10.0.0.0", 8], // RFC 1918
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["100.64.0.0", 10], // RFC 6598: behind a provider's NAT
  ["fc00::", 7], // RFC 4193
];

/** Reads a prefix of the tables above; an IPv4-mapped one stays IPv6. */
function tableAddress(text: string): Uint8Array {
  const address = text.includes(":") ? parseIPv6(text) : parseIPv4(text);
  if (!address) throw new TypeError(`${text} is no address`);
  return address;
}

const unreachable = UNREACHABLE.map(([text, length, what]) => ({
  address: tableAddress(text),
  length,
  what,
}));
const privates = PRIVATE.map(([text, length]) => ({ address: tableAddress(text), length }));
const nobodies = NOBODY.map(([text, length]) => ({ address: tableAddress(text), length }));
const embedding = EMBEDDING.map(([text, length, at]) => ({
  address: tableAddress(text),
  length,
  at,
}));

/** Why no datagram may go to a place that was not named by a person; undefined: one may. */
export function whyUnreachable({ address, port }: Omit<Endpoint, "scope">): string | undefined {
  if (port === 0) return "port 0";
  const found = unreachable.find((place) => isWithin(address, place));
  if (found) return found.what;
  const embedded = embedding.find((place) => isWithin(address, place));
  if (!embedded) return undefined;
  const inner = address.subarray(embedded.at, embedded.at + 4);
  const why = whyUnreachable({ address: inner, port });
  return why && `for an IPv4 address that is ${why}`;
}

/** Whether an address can be one machine's: no group of machines, not all of them, and not none. */
export function isOneMachine(address: Uint8Array): boolean {
  return !nobodies.some((one) => isWithin(address, one));
}

/** Whether others may be told of a place, and sent to it on another's word. */
export function isReachable(endpoint: Endpoint): boolean {
  return whyUnreachable(endpoint) === undefined;
}

/** Whether a machine anywhere can send to a place, as far as its address says. */
export function isPublic(endpoint: Endpoint): boolean {
  return isReachable(endpoint) && !privates.some((one) => isWithin(endpoint.address, one));
}

/** Whether an address is of the family and the prefix. */
export function isWithin(
  address: Uint8Array,
  prefix: { readonly address: Uint8Array; readonly length: number },
): boolean {
  if (address.length !== prefix.address.length) return false;
  for (let i = 0; 8 * i < prefix.length; i++) {
    const mask = (0xff00 >> Math.min(8, prefix.length - 8 * i)) & 0xff;
    if (((address[i] ?? 0) ^ (prefix.address[i] ?? 0)) & mask) return false;
  }
  return true;
}

/** IPv4-mapped IPv6, which is no address of its own: nothing can be sent to it as it stands. */
function isMapped(address: Uint8Array): boolean {
  return address.length === 16 && MAPPED_PREFIX.every((byte, i) => address[i] === byte);
}

/**
 * Whether core could send an answer to where a datagram came from: the same rule as core's own
 * (`address_takes_datagrams`), which drops every other datagram before it is mailed.
 */
export function isAnswerable({ address, port }: Endpoint): boolean {
  const isOfFamily = address.length === 4 || address.length === 16;
  return isOfFamily && port > 0 && port <= 65535 && !isMapped(address);
}
