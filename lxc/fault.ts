/** Faults of a wire, without `netem`: a rate by tc-tbf(8), loss by nftables' `numgen`. */

import type { Host } from "./host.ts";
import type { End } from "./link.ts";

/** Limits what leaves an end to so many bits a second; the queue behind it holds 50 ms. */
export async function limitRate(end: End, bitsPerSecond: number): Promise<void> {
  const tbf = ["tbf", "rate", `${bitsPerSecond}bit`, "burst", "64kb", "latency", "50ms"];
  await end.host.run(["tc", "qdisc", "replace", "dev", end.device, "root", ...tbf]);
}

/** Drops this share, 0 to 1, of the packets that arrive at an end, each by chance. Replaces an earlier share. */
export async function dropShare(end: End, share: number): Promise<void> {
  if (!(share >= 0 && share <= 1)) throw new RangeError(`share ${share}: give 0 to 1`);
  const chance = share === 1 ? "" : `numgen random mod 10000 < ${Math.round(share * 10_000)}`;
  const rule = share === 0 ? "" : `iifname "${end.device}" ${chance} counter drop;`;
  // Declaring the table before deleting it makes the whole file one transaction that also works the first time.
  await end.host.run(["nft", "-f", "-"], {
    stdin: `table inet lab-${end.device}
delete table inet lab-${end.device}
table inet lab-${end.device} {
  chain loss { type filter hook prerouting priority raw; policy accept; ${rule} }
}
`,
  });
}

/** Drops what a host gets from these addresses, in either family, before anything in it sees it; none: hears all. */
export async function hearNothingOf(host: Host, addresses: readonly string[]): Promise<void> {
  const drops = addresses.map((address) =>
    `${address.includes(":") ? "ip6" : "ip"} saddr ${address} counter drop;`
  );
  await host.run(["nft", "-f", "-"], {
    stdin: `table inet lab-deaf
delete table inet lab-deaf
table inet lab-deaf {
  chain deaf { type filter hook prerouting priority raw; policy accept; ${drops.join(" ")} }
}
`,
  });
}
