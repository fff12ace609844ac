/** Network address translation with connection tracking, as a home router does it. */

import type { End } from "./link.ts";

/**
 * Makes a host a router that hides what is behind it: packets leaving by `outside` take that interface's address.
 * `udpTimeout` is the seconds after which a mapping with no packets is forgotten.
 */
export async function masquerade(outside: End, udpTimeout = 30): Promise<void> {
  const { host, device } = outside;
  await host.forward();
  await host.run(["nft", "-f", "-"], {
    stdin: `table inet lab-nat {
  chain postrouting { type nat hook postrouting priority srcnat; oifname "${device}" masquerade; }
}
`,
  });
  // These exist only once connection tracking is in use in this namespace.
  await host.sysctl({
    "net.netfilter.nf_conntrack_udp_timeout": udpTimeout,
    "net.netfilter.nf_conntrack_udp_timeout_stream": udpTimeout,
  });
}
