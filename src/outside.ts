/** What the machine knows of the network outside the mesh: names of seeds and its own addresses. */
import { lookup } from "node:dns/promises";
import type { Seed } from "../mesh/seed.ts";
import { codeOf } from "./errno.ts";
import { type Endpoint, formatAddress, isWithin, parseAddress } from "../mesh/endpoint.ts";
import type { Prefix } from "../mesh/machine.ts";

interface InterfaceAddress {
  readonly name: string;
  readonly address: string;
}

/**
 * Bridges that container and virtual machine managers make for their guests, by the names that they give them. Their
 * addresses are the same on many machines and reach nobody outside; a guest reaches this machine by its others, too.
 */
const GUEST_BRIDGE =
  /^(?:docker\d+|docker_gwbridge|br-[0-9a-f]{12}|podman\d+|cni\d+|cni-podman\d+|flannel\.\d+|virbr\d+|lxcbr\d+|lxdbr\d+|incusbr\d+)$/;

/** What a kernel answers that gives this process, or the machine, no more descriptors. */
const NO_DESCRIPTOR = ["EMFILE", "ENFILE"];

export class Outside {
  /** What was asked and not learnt, by what it was. */
  readonly refused = { interfaces: 0, names: 0 };

  #last: readonly InterfaceAddress[] = [];

  /** @param read asks the kernel, which needs a descriptor for its answer */
  constructor(
    private readonly read: () => readonly InterfaceAddress[] = () => Deno.networkInterfaces(),
  ) {}

  /**
   * Asks the resolver anew each time: a seed may move.
   * @returns nothing when the name has no address now; the caller tries again later
   */
  async resolveSeed({ host, port }: Seed): Promise<Endpoint[]> {
    const found = await lookup(host, { all: true }).catch(() => {
      this.refused.names++; // A resolver that found no descriptor says that the name is not known.
      return [];
    });
    return found.flatMap(({ address }) => {
      const bytes = parseAddress(address);
      return bytes === undefined ? [] : [{ address: bytes, port, scope: 0 }];
    });
  }

  /**
   * Addresses of this machine, but for those on `except` (our own interface, as a tunnel must not be offered as a way to
   * itself, and those of other nodes here, whose meshes are others) and on bridges for guests of this machine. Which of them mean anything to others is mesh's to say.
   */
  ownAddresses(except: ReadonlySet<string>): Uint8Array[] {
    const found = new Map<string, Uint8Array>();
    for (const { name, address } of this.#interfaces()) {
      const isLeftOut = except.has(name) || GUEST_BRIDGE.test(name);
      const bytes = isLeftOut ? undefined : parseAddress(address.split("%")[0] ?? "");
      if (bytes !== undefined) found.set(formatAddress(bytes), bytes);
    }
    return [...found.values()];
  }

  /** Texts of the addresses that an interface has now. */
  addressesOf(ifname: string): Set<string> {
    const found = this.#interfaces().flatMap(({ name, address }) => {
      const bytes = name === ifname ? parseAddress(address.split("%")[0] ?? "") : undefined;
      return bytes === undefined ? [] : [formatAddress(bytes)];
    });
    return new Set(found);
  }

  /** Other interfaces with an address in the pool of a mesh, and that address. */
  rivalsOf(ifname: string, pool: Prefix): InterfaceAddress[] {
    return this.#interfaces().filter(({ name, address }) => {
      const bytes = name === ifname ? undefined : parseAddress(address);
      return bytes !== undefined && isWithin(bytes, pool);
    });
  }

  /** Without a free descriptor the last answer stands: the next look is two seconds away. */
  #interfaces(): readonly InterfaceAddress[] {
    try {
      this.#last = this.read();
    } catch (error) {
      if (!NO_DESCRIPTOR.includes(codeOf(error))) throw error;
      this.refused.interfaces++;
    }
    return this.#last;
  }
}
