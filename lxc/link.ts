/** Wires between hosts: a veth pair from one to another, or a bridge with any number of hosts on it. */

import type { Host } from "./host.ts";
import type { Keeper } from "./keeper.ts";

/** How one end of a wire is set up. */
export interface EndOptions {
  /** Addresses with their prefix lengths, of both families; no duplicate address detection, so usable at once. */
  readonly addresses?: readonly string[];
  /** Name of the interface; default eth0, eth1 … in the order of making. */
  readonly device?: string;
  /** Bytes; default 1500. */
  readonly mtu?: number;
}

/** One end of a wire. */
export interface End {
  readonly host: Host;
  readonly device: string;
}

/** A veth pair between two hosts, up and addressed when this returns. */
export async function link(
  keeper: Keeper,
  a: Host,
  b: Host,
  options: { readonly a?: EndOptions; readonly b?: EndOptions } = {},
): Promise<[End, End]> {
  const left = end(a, options.a);
  const right = end(b, options.b);
  await pair(keeper, left, right);
  await Promise.all([bringUp(left, options.a), bringUp(right, options.b)]);
  return [left, right];
}

/** A wire with many ends: an Ethernet bridge in a namespace of its own, where captures and faults find all of it. */
export class Bridge {
  readonly host: Host;
  readonly #keeper: Keeper;
  #ports = 0;

  private constructor(keeper: Keeper, host: Host) {
    this.#keeper = keeper;
    this.host = host;
  }

  /** Turns a fresh host into a bridge. */
  static async make(keeper: Keeper, host: Host): Promise<Bridge> {
    await host.ip("link add br0 type bridge", "link set br0 up");
    return new Bridge(keeper, host);
  }

  /** Connects a host; returns its end. */
  async attach(host: Host, options: EndOptions = {}): Promise<End> {
    const far = end(host, options);
    const port = { host: this.host, device: `port${this.#ports++}` };
    await pair(this.#keeper, port, far);
    const { mtu } = options;
    await bringUp(port, mtu === undefined ? {} : { mtu });
    await this.host.ip(`link set dev ${port.device} master br0`);
    await bringUp(far, options);
    return far;
  }
}

function end(host: Host, options: EndOptions = {}): End {
  return { host, device: options.device ?? host.nextDevice() };
}

async function pair(keeper: Keeper, left: End, right: End): Promise<void> {
  const peer = ["type", "veth", "peer", "name", right.device, "netns", right.host.name];
  await keeper.run(["ip", "link", "add", "dev", left.device, "netns", left.host.name, ...peer]);
}

async function bringUp(end: End, options: EndOptions = {}): Promise<void> {
  const mtu = options.mtu === undefined ? "" : ` mtu ${options.mtu}`;
  const addresses = (options.addresses ?? []).map((address) =>
    `address add ${address} dev ${end.device}${address.includes(":") ? " nodad" : ""}`
  );
  await end.host.ip(`link set dev ${end.device}${mtu} up`, ...addresses);
}
