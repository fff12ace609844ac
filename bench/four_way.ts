/** The kernel's WireGuard, wireguard-go, boringtun and Shoal, in LXC containers. */

import { missingForContainers } from "../lxc/container.ts";
import { compare, type PeersOptions } from "./peers.ts";
import { CONTAINERS } from "./peers/place.ts";
import { Refusal } from "./refusal.ts";
import type { Result } from "./result.ts";

export const FOUR = ["kernel", "wireguard-go", "boringtun", "shoal-wg"] as const;

/** @throws Refusal where there is no LXC, with the line that installs it */
export async function benchFourWay(options: PeersOptions, command: string): Promise<Result> {
  const missing = await missingForContainers();
  if (missing !== undefined) throw new Refusal(missing);
  const { only } = options;
  return await compare(
    { name: "four-way", title: "Four WireGuards in LXC containers", place: CONTAINERS },
    { ...options, only: only.length > 0 ? only : FOUR },
    command,
  );
}
