/** How many allowed prefixes a device holds while a request is applied; pure. */
import type { Prefix } from "../../mesh/machine.ts";
import type { Work } from "./turns.ts";
import type { DeviceChange } from "./uapi.ts";

/** A peer and what it holds. */
interface Holder {
  readonly publicKey: Uint8Array;
  readonly routes: Iterable<Prefix>;
}

export interface RouteCount {
  /** The most at any moment: a device that is full refuses what comes before others make room. */
  readonly peak: number;
  readonly after: number;
}

/** Each prefix is held once in the whole device, by whom it was given last (R50). */
export function* countRoutes(peers: Iterable<Holder>, change: DeviceChange): Work<RouteCount> {
  const holders = new Map<string, string>();
  const held = new Map<string, Set<string>>();
  if (!change.replacesPeers) {
    for (const { publicKey, routes } of peers) {
      const peer = publicKey.toHex();
      const own = new Set<string>();
      held.set(peer, own);
      for (const prefix of routes) {
        const route = textOf(prefix);
        own.add(route);
        holders.set(route, peer);
        yield;
      }
    }
  }
  let peak = holders.size;
  const drop = (peer: string, route: string) => {
    if (held.get(peer)?.delete(route)) holders.delete(route);
  };
  const dropAll = function* (peer: string): Work<void> {
    for (const route of held.get(peer) ?? []) {
      drop(peer, route);
      yield;
    }
  };
  for (const { publicKey, isRemoved, isUpdateOnly, prefixes } of change.peers) {
    const peer = publicKey.toHex();
    yield;
    if (isRemoved) {
      yield* dropAll(peer);
      held.delete(peer);
      continue;
    }
    const own = held.get(peer) ?? (isUpdateOnly ? undefined : new Set<string>());
    if (own === undefined) continue;
    held.set(peer, own);
    for (const one of prefixes) {
      yield;
      if (one.kind === "clear") yield* dropAll(peer);
      else if (one.kind === "remove") drop(peer, textOf(one.prefix));
      else {
        const route = textOf(one.prefix);
        held.get(holders.get(route) ?? "")?.delete(route);
        holders.set(route, peer);
        own.add(route);
        peak = Math.max(peak, holders.size);
      }
    }
  }
  return { peak, after: holders.size };
}

function textOf({ address, length }: Prefix): string {
  return `${address.toHex()}/${length}`;
}
