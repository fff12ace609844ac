/**
 * The WireGuard implementations that laboratories set beside ours, each by its package name at a pinned version.
 *
 * Debian's package is whatever is installed; the others are built once (see `tools.ts`). A path in the environment
 * replaces any of them and is taken as it is.
 */

import { type Build, built, said, which } from "./tools.ts";

const ROOT = new URL("..", import.meta.url).pathname;
/** Our own program; the one of another checkout when the environment says so, to set two of them side by side. */
export const RUN = Deno.env.get("SHOAL_RUN") ?? `${ROOT}run`;

export const PEERS = ["wireguard-go", "wireguard-go-debian", "boringtun", "gotatun"] as const;
export type PeerName = typeof PEERS[number];

/** A WireGuard implementation that can be run. */
export interface Implementation {
  readonly name: string;
  readonly version: string;
  /** The command that serves an interface in the foreground. */
  command(device: string): string[];
  readonly env: Record<string, string>;
}

/** An implementation, or why it cannot be had here. */
export type Sought =
  | { readonly found: Implementation; readonly missing?: never }
  | { readonly found?: never; readonly missing: string };

interface Recipe {
  /** Environment variable with a path that replaces the installed one. */
  readonly variable: string;
  readonly env: Record<string, string>;
  /** Arguments before the interface name. */
  readonly args: readonly string[];
  /** Undefined: Debian's package of this name on PATH. */
  readonly build?: Build;
}

const RECIPES: Record<PeerName, Recipe> = {
  "wireguard-go": {
    variable: "SHOAL_WIREGUARD_GO",
    env: { LOG_LEVEL: "error" },
    args: ["-f"],
    build: {
      tool: "go",
      packages: ["golang.zx2c4.com/wireguard"],
      version: "v0.0.0-20260522210424-ecfc5a8d5446",
      folder: "wireguard-go",
      product: "wireguard",
    },
  },
  "wireguard-go-debian": {
    variable: "SHOAL_WIREGUARD_GO_DEBIAN",
    env: { LOG_LEVEL: "error" },
    args: ["-f"],
  },
  boringtun: {
    variable: "SHOAL_BORINGTUN",
    env: {},
    args: ["-f", "--disable-drop-privileges", "--threads", "2"],
    build: {
      tool: "cargo",
      packages: ["boringtun-cli"],
      version: "0.7.1",
      folder: "boringtun",
      product: "boringtun-cli",
    },
  },
  gotatun: {
    variable: "SHOAL_GOTATUN",
    env: {},
    args: ["-f", "--disable-drop-privileges"],
    build: {
      tool: "cargo",
      packages: ["gotatun-cli"],
      version: "0.10.2",
      folder: "gotatun",
      product: "gotatun",
    },
  },
};

/** Finds a peer, building it when its tool is at hand and it was not built before (minutes, the first time). */
export async function seekPeer(name: PeerName): Promise<Sought> {
  const recipe = RECIPES[name];
  const given = Deno.env.get(recipe.variable);
  if (given !== undefined) return await usable(name, recipe, given, `${recipe.variable}=${given}`);
  if (recipe.build !== undefined) {
    const { path, missing } = await built(recipe.build);
    if (path === undefined) return { missing };
    return implementation(name, recipe, path, recipe.build.version);
  }
  const path = await which("wireguard-go");
  if (path === undefined) return { missing: "no wireguard-go on PATH: apt install wireguard-go" };
  return await usable(name, recipe, path, path);
}

/** Our own WireGuard mode, as the repository runs it. */
export async function shoal(): Promise<Implementation> {
  return {
    name: "shoal",
    version: await shoalVersion(),
    command: (device) => [RUN, "wg", "-f", device],
    env: { LOG_LEVEL: "error" },
  };
}

/** The commit of our own program. */
export async function shoalVersion(): Promise<string> {
  const folder = RUN.slice(0, RUN.lastIndexOf("/"));
  const git = await said(["git", "-C", folder, "describe", "--always", "--dirty", "--abbrev=12"]);
  return git.ok ? git.text : "unknown";
}

function implementation(name: string, recipe: Recipe, path: string, version: string): Sought {
  const command = (device: string) => [path, ...recipe.args, device];
  return { found: { name, version, command, env: recipe.env } };
}

async function usable(name: string, recipe: Recipe, path: string, shown: string): Promise<Sought> {
  const { ok, text } = await said([path, "--version"]);
  if (!ok) return { missing: `${shown}: ${text}` };
  return implementation(name, recipe, path, text.split("\n")[0] ?? text);
}
