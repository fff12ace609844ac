/**
 * The network below the tunnel uses addresses of the mesh, as inside a provider or a cloud. Core sends past our own
 * interface to members there (core/around.h). What it cannot do by itself is told here, as one sentence with what to do:
 * a kernel that drops what such members send, a place to which nothing else leads, and this machine's name servers, whose
 * answers other programs wait for.
 */
import { CoreError } from "../ffi/core_error.ts";
import { formatAddress, isWithin, parseAddress } from "../mesh/endpoint.ts";
import type { Prefix } from "../mesh/machine.ts";
import { formatPool } from "../mesh/membership/genesis.ts";
import { networkOf } from "../mesh/prefix.ts";

/** Addresses that a line names; the others are counted. */
const NAMED = 3;
/** Lines about name servers: a machine asks three (resolv.conf(5)). */
const SERVERS = 3;

interface Way {
  readonly ifname: string;
  /** The kernel drops what comes back by it. */
  readonly isDeaf: boolean;
}

/** The part of a device that this needs. */
interface Ways {
  info(): { readonly ifname: string };
  /** @returns the interface by which the kernel sends; throws where it has none */
  wayTo(address: Uint8Array): string;
  /** @returns the interface that our own datagrams name; "": none; throws ENETUNREACH where none leads there */
  wayAround(address: Uint8Array): Way;
}

export class Underlay {
  /** @param nameServers texts of the addresses of those that this machine asks */
  constructor(
    private readonly ways: Ways,
    private readonly nameServers: () => readonly string[] = ownNameServers,
  ) {}

  /**
   * @param networks those of the mesh
   * @param sought places with addresses of the mesh whose members are not heard
   * @param members texts of addresses inside the mesh, ours and others', of which a name server may have one
   */
  health(
    networks: readonly Prefix[],
    sought: readonly Uint8Array[],
    members: ReadonlySet<string>,
  ): string[] {
    const unled: string[] = [];
    const filtered = new Map<string, string[]>();
    for (const address of sought) {
      const way = this.#wayAround(address);
      if (way === undefined) unled.push(formatAddress(address));
      if (!way?.isDeaf) continue;
      filtered.set(way.ifname, [...filtered.get(way.ifname) ?? [], formatAddress(address)]);
    }
    const { ifname } = this.ways.info();
    const lines = Array.from(
      filtered,
      ([way, places]) =>
        `${way} drops what comes from ${
          listed(places)
        }: these addresses are in the network of the mesh, whose route ` +
        `leads to ${ifname}, and the kernel lets them in by no other interface (rp_filter): ` +
        `sysctl -w net.ipv4.conf.${way}.rp_filter=2`,
    );
    if (unled.length > 0) {
      lines.push(
        `no interface but ${ifname} leads to ${
          listed(unled)
        }, and nothing is sent there: members have these ` +
          "addresses, which are in the network of the mesh, outside of it, too: add a route to their gateway, as the " +
          "default one",
      );
    }
    return [...lines, ...this.#serverLines(networks, members)];
  }

  #serverLines(networks: readonly Prefix[], members: ReadonlySet<string>): string[] {
    const { ifname } = this.ways.info();
    const lines: string[] = [];
    for (const text of new Set(this.nameServers())) {
      const address = parseAddress(text);
      const network = address && networks.find((one) => isWithin(address, one));
      if (!address || !network || members.has(formatAddress(address))) continue;
      const way = this.#wayTo(address) === ifname ? this.#wayAround(address)?.ifname : undefined;
      if (!way || lines.length === SERVERS) continue;
      lines.push(
        `the name server ${text} of this machine has an address of ${
          formatPool(networkOf(network))
        }, the network of the mesh, and questions to it go into the tunnel, where nobody answers them: give it a route of ` +
          `its own (ip route add ${text} via GATEWAY dev ${way}; \`ip route get ${text} oif ${way}\` names GATEWAY)`,
      );
    }
    return lines;
  }

  /** @returns undefined: none leads there */
  #wayAround(address: Uint8Array): Way | undefined {
    try {
      return this.ways.wayAround(address);
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      // Else the interface is elsewhere now, or one has just gone.
      return error.errnoName === "ENETUNREACH" ? undefined : { ifname: "", isDeaf: false };
    }
  }

  #wayTo(address: Uint8Array): string | undefined {
    try {
      return this.ways.wayTo(address);
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      return undefined;
    }
  }
}

/** `a, b, c and 4 more` */
function listed(texts: readonly string[]): string {
  const rest = texts.length - NAMED;
  return texts.slice(0, NAMED).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}

/** systemd-resolved's own file has the servers that it asks; the usual one names only systemd-resolved then. */
function ownNameServers(): string[] {
  return ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"].flatMap((path) =>
    serversIn(readIfThere(path))
  );
}

/** The addresses that the lines `nameserver ADDRESS` of a resolv.conf(5) name. */
export function serversIn(text: string): string[] {
  return text.split("\n").flatMap((line) => {
    const [, address] = /^nameserver[ \t]+([^\s%]+)/.exec(line) ?? [];
    return address === undefined ? [] : [address];
  });
}

/** "" where there is no such file, or this program may not read it. */
export function readIfThere(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
