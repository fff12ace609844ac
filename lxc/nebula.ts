/** Nebula (https://github.com/slackhq/nebula) between two hosts, which know where the other one is. */

import type { Host } from "./host.ts";
import { type Build, built, said } from "./tools.ts";

/** The first that can be built here is taken. The newest has offloads, off by default, and needs Go 1.27.3. */
const VERSIONS = ["v1.12.0", "v1.11.0"] as const;
const MODULE = "github.com/slackhq/nebula";
const VARIABLE = "SHOAL_NEBULA";
const FOLDER = "/run/nebula";

/** The programs, and what can be asked of them. */
export interface Nebula {
  readonly path: string;
  readonly certPath: string;
  readonly version: string;
  readonly hasOffloads: boolean;
}

export type SoughtNebula =
  | { readonly found: Nebula; readonly missing?: never }
  | { readonly found?: never; readonly missing: string };

export interface NebulaOptions {
  readonly cipher: "aes" | "chachapoly";
  /** Bytes of each buffer of its UDP socket; default: what the kernel gives. */
  readonly buffers?: number;
  readonly offloads?: boolean;
  readonly mtu: number;
}

/** One end. */
export interface NebulaSide {
  readonly host: Host;
  /** Of its wire. */
  readonly outer: string;
  /** Of its mesh, with the length of the prefix. */
  readonly inner: string;
}

export const NEBULA_DEVICE = "nebula0";
export const NEBULA_PORT = 4242;

/** Finds it; `nebula-cert` has to be beside a `nebula` that the environment names. */
export async function seekNebula(): Promise<SoughtNebula> {
  const given = Deno.env.get(VARIABLE);
  if (given !== undefined) return await usable(given, `${VARIABLE}=${given}`);
  const refused: string[] = [];
  for (const version of VERSIONS) {
    const build: Build = {
      tool: "go",
      packages: [`${MODULE}/cmd/nebula`, `${MODULE}/cmd/nebula-cert`],
      version,
      folder: "nebula",
      product: "nebula",
    };
    const { path, missing } = await built(build);
    if (path !== undefined) return await usable(path, version);
    refused.push(missing);
  }
  return { missing: refused.join("; ") };
}

async function usable(path: string, shown: string): Promise<SoughtNebula> {
  const { ok, text } = await said([path, "-version"]);
  if (!ok) return { missing: `${shown}: ${text}` };
  const version = /Version: (\S+)/.exec(text)?.[1] ?? text;
  return { found: { path, certPath: `${path}-cert`, version, hasOffloads: since(version, 1, 12) } };
}

/** Whether a version such as 1.11.2 is at least this one; one that is no number is taken to be new. */
export function since(version: string, major: number, minor: number): boolean {
  const match = /^v?(\d+)\.(\d+)/.exec(version);
  if (match === null) return true;
  const [a, b] = [Number(match[1]), Number(match[2])];
  return a > major || a === major && b >= minor;
}

/** Makes an authority, two certificates and two configurations, and starts both ends. */
export async function startNebula(
  nebula: Nebula,
  sides: readonly [NebulaSide, NebulaSide],
  options: NebulaOptions,
) {
  const [first] = sides;
  const cert = (...args: string[]) =>
    first.host.run(["env", "-C", FOLDER, nebula.certPath, ...args]);
  for (const { host } of sides) await host.run(["mkdir", FOLDER]);
  await cert("ca", "-name", "lab");
  for (const { host, inner } of sides) {
    await cert("sign", "-name", host.name, "-networks", inner);
  }
  const hand = async (file: string, to: Host) => {
    const text = await Deno.readTextFile(first.host.outside(`${FOLDER}/${file}`));
    await Deno.writeTextFile(to.outside(`${FOLDER}/${file}`), text);
  };
  return await Promise.all(sides.map(async ({ host }, i) => {
    if (host !== first.host) {
      for (const file of ["ca.crt", `${host.name}.crt`, `${host.name}.key`]) {
        await hand(file, host);
      }
    }
    const other = sides[i === 0 ? 1 : 0];
    // JSON is YAML.
    const text = JSON.stringify(configuration(host.name, other, options));
    await Deno.writeTextFile(host.outside(`${FOLDER}/config.yml`), text);
    return host.spawn([nebula.path, "-config", `${FOLDER}/config.yml`], { stdout: "null" });
  }));
}

/** What one end reads. */
export function configuration(name: string, other: NebulaSide, options: NebulaOptions) {
  const { cipher, buffers, offloads, mtu } = options;
  const [address = ""] = other.inner.split("/");
  const any = [{ port: "any", proto: "any", host: "any" }];
  return {
    pki: {
      ca: `${FOLDER}/ca.crt`,
      cert: `${FOLDER}/${name}.crt`,
      key: `${FOLDER}/${name}.key`,
    },
    static_host_map: { [address]: [`${other.outer}:${NEBULA_PORT}`] },
    lighthouse: { am_lighthouse: false },
    listen: {
      host: "0.0.0.0",
      port: NEBULA_PORT,
      ...(buffers !== undefined && { read_buffer: buffers, write_buffer: buffers }),
      ...(offloads === true && { udp_offloads: true }),
    },
    cipher,
    tun: { dev: NEBULA_DEVICE, mtu, ...(offloads === true && { use_offloads: true }) },
    logging: { level: "error" },
    firewall: { outbound: any, inbound: any },
  };
}
