/** Who is measured: a table of variants, one line each. */

import { Lab } from "../../lxc/lab.ts";
import { NoLab } from "../../lxc/keeper.ts";
import { type NebulaOptions, seekNebula } from "../../lxc/nebula.ts";
import { type PeerName, RUN, seekPeer, shoal, shoalVersion } from "../../lxc/peers.ts";
import { Refusal } from "../refusal.ts";
import { openMesh, openNebula, openWire, openWireguard, type Pair, type Tunnel } from "./tunnel.ts";

/** Something that can be measured here. */
export interface Found {
  readonly version: string;
  open(hosts: Pair): Promise<Tunnel>;
}

/** It, or why it cannot be had here. */
export type Sought =
  | { readonly found: Found; readonly missing?: never }
  | { readonly found?: never; readonly missing: string };

export interface Contender {
  readonly name: string;
  /** `ours` is compared with the `baseline`s. */
  readonly role: "ours" | "baseline" | "other";
  /** Measured also without `--full`. */
  readonly always: boolean;
  seek(): Promise<Sought>;
}

type Traits = Partial<Pick<Contender, "role" | "always">>;

const AES = { cipher: "aes" } as const;
const CHACHA = { cipher: "chachapoly" } as const;
const BIG = { buffers: 8 << 20 };

/** Ours last: a table is read from left to right. */
export const CONTENDERS: readonly Contender[] = [
  wire("veth"),
  kernel("kernel"),
  peer("wireguard-go", { role: "baseline" }),
  peer("boringtun"),
  peer("gotatun"),
  nebula("nebula", AES, { role: "baseline" }),
  nebula("nebula-8m", { ...AES, ...BIG }, { always: false }),
  nebula("nebula-chacha", CHACHA, { always: false }),
  nebula("nebula-chacha-8m", { ...CHACHA, ...BIG }, { always: false }),
  nebula("nebula-offloads", { ...AES, offloads: true }),
  nebula("nebula-offloads-8m", { ...AES, ...BIG, offloads: true }, { always: false }),
  wireguardMode("shoal-wg"),
  wireguardMode("shoal-wg-unqueued", ["--without", "queue-control"], { always: false }),
  wireguardMode("shoal-wg-unconnected", ["--without", "connected-sockets"], { always: false }),
  wireguardMode("shoal-wg-uring", ["--io", "uring"], { always: false }),
  wireguardMode("shoal-wg-two-workers", ["--workers", "2"], { always: false }),
  nodeMode("shoal-node"),
  nodeMode("shoal-node-unqueued", ["--without", "queue-control"], { always: false }),
  nodeMode("shoal-node-unconnected", ["--without", "connected-sockets"], { always: false }),
  nodeMode("shoal-node-uring", ["--io", "uring"], { always: false }),
  nodeMode("shoal-node-chacha", ["--suite", "chacha20-poly1305"], { always: false }),
];

/** Those of the table, in its order. @throws Refusal when a name is none of the table's */
export function chosen(names: readonly string[]): Contender[] {
  for (const name of names) {
    if (CONTENDERS.some((one) => one.name === name)) continue;
    const known = CONTENDERS.map((one) => one.name).join(", ");
    throw new Refusal(`there is no contender ${JSON.stringify(name)}; there are: ${known}`);
  }
  return CONTENDERS.filter(({ name }) => names.includes(name));
}

function wire(name: string): Contender {
  const seek = () => Promise.resolve({ found: { version: "-", open: openWire } });
  return { name, role: "other", always: true, seek };
}

function kernel(name: string): Contender {
  const seek = async (): Promise<Sought> => {
    try {
      await using lab = await Lab.open();
      await (await lab.host("trial")).ip("link add dev trial type wireguard");
    } catch (error) {
      if (error instanceof NoLab) throw error;
      const said = /Error: (.*)/.exec(String(error))?.[1] ?? String(error);
      return { missing: `this kernel has no WireGuard module (${said})` };
    }
    const open = (hosts: Pair) => openWireguard(hosts, "kernel");
    return { found: { version: `Linux ${Deno.osRelease()}`, open } };
  };
  return { name, role: "other", always: true, seek };
}

function peer(name: PeerName, traits: Traits = {}): Contender {
  const seek = async (): Promise<Sought> => {
    const { found, missing } = await seekPeer(name);
    if (found === undefined) return { missing };
    return { found: { version: found.version, open: (hosts) => openWireguard(hosts, found) } };
  };
  return { name, role: "other", always: true, seek, ...traits };
}

function nebula(name: string, options: Omit<NebulaOptions, "mtu">, traits: Traits = {}): Contender {
  const seek = async (): Promise<Sought> => {
    const { found, missing } = await seekNebula();
    if (found === undefined) return { missing };
    const { version } = found;
    if (options.offloads === true && !found.hasOffloads) {
      const newer = "1.12 has, and needs Go 1.27.3 (or SHOAL_NEBULA=PATH)";
      return { missing: `nebula ${version} has no offloads: ${newer}` };
    }
    return { found: { version, open: (hosts) => openNebula(hosts, found, options) } };
  };
  return { name, role: "other", always: true, seek, ...traits };
}

/** @param args options of `wg` before the interface */
function wireguardMode(
  name: string,
  args: readonly string[] = [],
  traits: Traits = {},
): Contender {
  const seek = async (): Promise<Sought> => {
    const plain = await shoal();
    const command = (device: string) => [RUN, "wg", "-f", ...args, device];
    const variant = { ...plain, name, command };
    return { found: { version: plain.version, open: (hosts) => openWireguard(hosts, variant) } };
  };
  return { name, role: "ours", always: true, seek, ...traits };
}

/** @param args options of `node` */
function nodeMode(
  name: string,
  args: readonly string[] = [],
  traits: Traits = {},
): Contender {
  const seek = async (): Promise<Sought> => {
    const version = await shoalVersion();
    return { found: { version, open: (hosts) => openMesh(hosts, args) } };
  };
  return { name, role: "ours", always: true, seek, ...traits };
}
