/** Where tunnels are measured: two hosts and what joins them. */

import type { Lab } from "../../lxc/lab.ts";
import { type Pair, WIRE } from "./tunnel.ts";

export interface Place {
  /** The beginning of a sentence. */
  readonly words: string;
  /** Two hosts with the addresses of {@link WIRE}. */
  make(lab: Lab): Promise<Pair>;
}

export const NAMESPACES: Place = {
  words: "Two network namespaces joined by a veth pair",
  async make(lab) {
    const hosts = [await lab.host("a"), await lab.host("b")] as const;
    await lab.link(...hosts, WIRE);
    return hosts;
  },
};

export const CONTAINERS: Place = {
  words: "Two LXC containers, each joined by a veth pair to a bridge outside both",
  async make(lab) {
    const hosts = [await lab.container("a"), await lab.container("b")] as const;
    const bridge = await lab.bridge("bridge");
    await bridge.attach(hosts[0], WIRE.a);
    await bridge.attach(hosts[1], WIRE.b);
    return hosts;
  },
};
