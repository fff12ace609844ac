/** Two hosts on one wire that reach each other through what is measured. */

import { Device, makeKeys } from "../../lxc/device.ts";
import type { Host } from "../../lxc/host.ts";
import {
  type Nebula,
  NEBULA_DEVICE,
  NEBULA_PORT,
  type NebulaOptions,
  startNebula,
} from "../../lxc/nebula.ts";
import { MeshNode } from "../../lxc/node.ts";
import type { Implementation } from "../../lxc/peers.ts";
import { until } from "../../lxc/until.ts";

export const MTU = 1420;
const OUTER = ["10.0.0.1", "10.0.0.2"] as const;
const INNER = ["10.7.0.1", "10.7.0.2"] as const;
const PORT = 51820;
/** The first packets of a tunnel may wait for its handshake. */
const FIRST_PING_MS = 20_000;

export type Pair = readonly [Host, Host];

export interface Tunnel {
  readonly hosts: Pair;
  /** By which the other one is reached. */
  readonly addresses: readonly [string, string];
  /** The interface whose addresses those are, in each host. */
  readonly device: string;
  /** The UDP port outside, undefined when there is none. */
  readonly port: number | undefined;
  /** What answers WireGuard's handshakes in the second host, undefined when nothing does. */
  readonly responder?: { readonly publicKey: string; readonly endpoint: readonly [string, number] };
  /** Of the programs that carry it, one a host, as seen from outside; none when the kernel does. */
  pids(): Promise<number[]>;
}

/** The addresses of the wire, for who makes it. */
export const WIRE = {
  a: { addresses: [`${OUTER[0]}/24`] },
  b: { addresses: [`${OUTER[1]}/24`] },
} as const;

/** Returns when a ping was answered through it. */
export async function ready(tunnel: Tunnel): Promise<Tunnel> {
  const { hosts: [a], addresses } = tunnel;
  await until("the first ping through the tunnel is answered", FIRST_PING_MS, async () => {
    const ping = ["ping", "-c", "1", "-W", "0.5", addresses[1]];
    return (await a.run(ping, { check: false })).code === 0;
  });
  return tunnel;
}

/** The wire itself. */
export function openWire(hosts: Pair): Promise<Tunnel> {
  const tunnel = { addresses: OUTER, device: "eth0", port: undefined };
  return Promise.resolve({ hosts, ...tunnel, pids: () => Promise.resolve([]) });
}

/** A WireGuard device in each host: of a program, or of the kernel. */
export async function openWireguard(
  hosts: Pair,
  implementation: Implementation | "kernel",
): Promise<Tunnel> {
  const keys = [await makeKeys(hosts[0]), await makeKeys(hosts[1])] as const;
  const start = (host: Host) =>
    implementation === "kernel" ? Device.ofKernel(host) : Device.start(host, implementation);
  const devices = [await start(hosts[0]), await start(hosts[1])] as const;
  for (const [i, other] of [[0, 1], [1, 0]] as const) {
    await devices[i].configure({
      privateKey: keys[i].privateKey,
      port: PORT,
      addresses: [`${INNER[i]}/32`],
      mtu: MTU,
      peers: [{
        publicKey: keys[other].publicKey,
        allowedIps: [`${INNER[other]}/32`],
        endpoint: `${OUTER[other]}:${PORT}`,
      }],
    });
  }
  const pids = () => living(devices.map((device) => device.pid()));
  const responder = { publicKey: keys[1].publicKey, endpoint: [OUTER[1], PORT] as const };
  return { hosts, addresses: INNER, device: devices[0].name, port: PORT, responder, pids };
}

export async function openNebula(
  hosts: Pair,
  nebula: Nebula,
  options: Omit<NebulaOptions, "mtu">,
): Promise<Tunnel> {
  const side = (i: 0 | 1) => ({ host: hosts[i], outer: OUTER[i], inner: `${INNER[i]}/24` });
  const programs = await startNebula(nebula, [side(0), side(1)], { ...options, mtu: MTU });
  const pids = () => living(programs.map((program) => program.pid()));
  return { hosts, addresses: INNER, device: NEBULA_DEVICE, port: NEBULA_PORT, pids };
}

/** A mesh of two nodes. */
export async function openMesh(hosts: Pair, options: readonly string[]): Promise<Tunnel> {
  const [a, b] = hosts;
  const listen = ["--listen", String(PORT)];
  const founder = MeshNode.start(a, ...listen, ...options);
  const { self } = await founder.statusWhen("made a mesh", 20_000, () => true);
  const { token } = await founder.invite();
  const seed = ["--join", `${OUTER[0]}:${PORT}`, "--token", token];
  const joiner = MeshNode.start(b, ...listen, ...seed, ...options);
  const joined = await joiner.statusWhen(
    "joined",
    20_000,
    ({ mesh, peers }) => mesh.state === "member" && peers.length === 1,
  );
  const addresses = [self.ip4, joined.self.ip4] as const;
  const pids = () => living([founder.pid(), joiner.pid()]);
  return { hosts, addresses, device: self.interface, port: PORT, pids };
}

async function living(pids: readonly Promise<number | undefined>[]): Promise<number[]> {
  return (await Promise.all(pids)).filter((pid) => pid !== undefined);
}
