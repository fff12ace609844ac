/**
 * What makes a machine ask its node for the names of the mesh. It is text, for a person who is root: a node needs no
 * such right, may run where there is nobody to ask for one, and does not change what other programs go by. Nothing has
 * to be undone: systemd-resolved keeps what it knows of a link no longer than the link.
 *
 * The lines go into a root shell, and what they are made of came from another process, which need not be root's:
 * they consist of words, of one mesh and its addresses, whatever a node says.
 */
import { isOthersDomain } from "../../mesh/domain.ts";
import { formatAddress, isWithin, parseAddress } from "../../mesh/endpoint.ts";
import { formatPool, readPool } from "../../mesh/membership/genesis.ts";
import { isName } from "../../mesh/membership/statement.ts";
import type { Prefix } from "../../mesh/machine.ts";
import { networkOf } from "../../mesh/prefix.ts";
import { mayBeFound, Zone } from "../dns/zone.ts";
import { isObject } from "../shape.ts";
import { quoted } from "./typed.ts";

export interface Setup {
  readonly interface: string;
  /** `lyon.lab.internal`: the node itself. */
  readonly self: string;
  /** Where the names are answered. */
  readonly servers: readonly string[];
  /** That of the names first, then those of the addresses. */
  readonly zones: readonly [string, ...string[]];
  /** Of the addresses. */
  readonly networks: readonly Prefix[];
}

/** What is an interface's name to the kernel (dev_valid_name in net/core/dev.c), and no option to a command. */
const INTERFACE = /^(?!-)[^\s/:]{1,15}$/;
/** Bits of the network of a mesh's IPv6 addresses. */
const IP6_NETWORK = 64;

/** Reads the status of a node. @returns the words for what is no such thing, where there is any */
export function readSetup(status: unknown): Setup | { readonly fault: string } {
  const part = (name: string) => {
    const value = isObject(status) ? status[name] : undefined;
    return isObject(value) ? value : {};
  };
  const [self, mesh, names] = [part("self"), part("mesh"), part("names")];
  const faultOf = (what: string, value: unknown) => ({ fault: `${what} ${JSON.stringify(value)}` });
  const { interface: ifname, name } = self;
  if (typeof ifname !== "string" || !INTERFACE.test(ifname)) {
    return faultOf("the interface", ifname);
  }
  // A member that shares its name is called by its key, too, which no person may choose.
  if (typeof name !== "string" || !/^[a-z0-9-]{1,63}$/.test(name)) return faultOf("the name", name);
  if (typeof mesh["name"] !== "string" || !isName(mesh["name"])) {
    return faultOf("the mesh", mesh["name"]);
  }
  const pool = readPool(String(mesh["pool"]));
  if (!pool.ok) return faultOf("the pool", mesh["pool"]);
  const ip6 = parseAddress(String(self["ip6"]));
  if (ip6?.length !== 16) return faultOf("the address", self["ip6"]);
  const networks = [pool.value, networkOf({ address: ip6, length: IP6_NETWORK })];
  const asked = Array.isArray(names["servers"]) ? names["servers"] : [];
  const servers = asked.map((server) => parseAddress(String(server)));
  if (!servers.every((server) => isAmong(server, networks))) {
    return faultOf("the servers", asked);
  }
  if (servers.length > 0 && isOthersDomain(mesh["name"])) return faultOf("the mesh", mesh["name"]);
  const zone = new Zone({ mesh: mesh["name"], self: name, networks, entries: [] });
  return {
    interface: ifname,
    self: `${name}.${zone.apex}`,
    servers: servers.filter((server) => server !== undefined).map(formatAddress),
    zones: [zone.apex, ...zone.reverseZones()],
    networks,
  };
}

function isAmong(address: Uint8Array | undefined, networks: readonly Prefix[]): boolean {
  return address !== undefined && networks.some((network) => isWithin(address, network));
}

/** Commands for root, for systemd-resolved: `~` asks there for these zones alone, and searches none of them. */
export function resolvedLines({ interface: ifname, servers, zones }: Setup): [string, string] {
  return [
    `resolvectl dns ${[ifname, ...servers].map(quoted).join(" ")}`,
    `resolvectl domain ${[ifname, ...zones.map((zone) => `~${zone}`)].map(quoted).join(" ")}`,
  ];
}

/**
 * Lines for /etc/hosts with everybody who has a name now: for a machine without a resolver that could forward. Whoever is
 * called by something that is no word of one mesh, or that machines look for by themselves, or has an address of another
 * network, is left out.
 */
export function hostsLines({ zones: [apex], networks }: Setup, status: unknown): string[] {
  const all = isObject(status)
    ? [status["self"], status["peers"], status["guests"]].flat().filter(isObject)
    : [];
  return all.flatMap(({ name, ip4, ip6 }) => {
    if (typeof name !== "string" || !isName(name) || !mayBeFound(name)) return [];
    const own = [ip4, ip6].filter((text) => isAmong(parseAddress(String(text)), networks));
    return own.map((address) => `${address} ${name}.${apex}`);
  });
}

/**
 * Lines of a configuration of dnsmasq, which finds the reverse zones of a network by itself. Without the first two it
 * takes port 53 of all addresses, those of the mesh among them.
 */
export function dnsmasqLines({ interface: ifname, servers, zones, networks }: Setup): string[] {
  return [
    "bind-dynamic",
    `except-interface=${ifname}`,
    ...servers.flatMap((server) => [
      `server=/${zones[0]}/${server}`,
      ...networks.map((network) => `rev-server=${formatPool(network)},${server}`),
    ]),
  ];
}
