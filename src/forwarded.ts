/** Packets of others that this machine forwards into the mesh: its node drops them, and a person is told. */
import type { Now } from "../mesh/machine.ts";

/** Milliseconds without another such packet after which it is over. */
const OVER_AFTER = 60_000;

export class Forwarded {
  #count = 0;
  #at = -Infinity;

  /** @param count such packets since the start, as core counts them */
  health(now: Now, ifname: string, count: number): string[] {
    if (count !== this.#count) this.#at = now.boot;
    this.#count = count;
    if (now.boot - this.#at > OVER_AFTER) return [];
    return [
      `this machine forwards packets of others into ${ifname}, and ${count} were dropped: members take a packet only ` +
      "from the address of whoever sealed it: a container or machine behind this one needs a node of its own, or " +
      `masquerading (\`nft add rule ip nat postrouting oifname ${ifname} masquerade\`)`,
    ];
  }
}
