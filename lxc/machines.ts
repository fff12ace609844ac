/** Machines on one wire, and the nodes that run on them: what a test of a whole mesh begins with. */

import type { StatusDocument } from "../src/status.ts";
import type { Host } from "./host.ts";
import { Lab } from "./lab.ts";
import type { Bridge } from "./link.ts";
import { masquerade } from "./nat.ts";
import { MeshNode } from "./node.ts";

const PORT = 51820;
/** Milliseconds: bounds, not expectations. */
const START = 20_000;
const JOIN = 30_000;

/** A machine on the wire. */
export interface Machine {
  readonly host: Host;
  readonly address: string;
  /** The interface of the wire's own host where it is plugged in: all that it sends or gets passes there. */
  readonly port: string;
}

export class Machines implements AsyncDisposable {
  readonly #lab: Lab;
  readonly wire: Bridge;
  readonly #all: Machine[] = [];

  private constructor(lab: Lab, wire: Bridge) {
    this.#lab = lab;
    this.wire = wire;
  }

  static async open(): Promise<Machines> {
    const lab = await Lab.open();
    return new Machines(lab, await lab.bridge("wire"));
  }

  /** Plugs in a machine without a node: the first has 10.0.0.1, and so on. */
  async add(name: string): Promise<Machine> {
    const n = this.#all.length;
    const address = `10.0.0.${n + 1}`;
    const machine = { host: await this.#lab.host(name), address, port: `port${n}` };
    this.#all.push(machine);
    await this.wire.attach(machine.host, { addresses: [`${address}/24`] });
    return machine;
  }

  /** A machine behind a router of its own that hides it, as a phone's network does. */
  async addHidden(name: string): Promise<Host> {
    const n = this.#all.length;
    const router = await this.#lab.host(`${name}-nat`);
    this.#all.push({ host: router, address: `10.0.0.${n + 1}`, port: `port${n}` });
    const outside = await this.wire.attach(router, { addresses: [`10.0.0.${n + 1}/24`] });
    const host = await this.#lab.host(name);
    await this.#lab.link(host, router, {
      a: { addresses: ["192.168.7.2/24"] },
      b: { addresses: ["192.168.7.1/24"] },
    });
    await host.ip("route add default via 192.168.7.1");
    await masquerade(outside);
    return host;
  }

  /** A node that founds a mesh, and answers. */
  async found(name: string, ...options: string[]): Promise<MeshNode> {
    const { host } = await this.add(name);
    const node = MeshNode.start(host, "--listen", String(PORT), ...options);
    await node.statusWhen("founds a mesh", START, () => true);
    return node;
  }

  /** Nodes on new machines that join by one invite of a member; returns when all of the mesh know each other. */
  async join(by: MeshNode, ...names: string[]): Promise<MeshNode[]> {
    const { token } = await by.invite(names.length);
    const before = (await by.status()).peers.filter(({ state }) => state === "alive").length;
    const joiners: MeshNode[] = [];
    for (const name of names) {
      const { host } = await this.add(name);
      joiners.push(MeshNode.start(host, "--token", token));
    }
    await meet([by, ...joiners], before + names.length);
    return joiners;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lab.close();
  }
}

/** Waits until each of these nodes is in direct touch with so many certified members. */
export function meet(nodes: readonly MeshNode[], others: number): Promise<StatusDocument[]> {
  return Promise.all(
    nodes.map((node) =>
      node.statusWhen(`is in touch with ${others} others`, JOIN, ({ self, peers }) => {
        const there = peers.filter(({ state, path, standing, ip4 }) =>
          state === "alive" && path === "direct" && standing !== "provisional" && ip4 !== ""
        );
        return self.standing !== "provisional" && self.ip4 !== "" && there.length === others;
      })
    ),
  );
}
