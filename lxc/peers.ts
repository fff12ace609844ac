/**
 * The WireGuard implementations that laboratories set beside ours, each by its package name at a pinned version.
 *
 * Debian's package is whatever is installed; the others are built once by Go's or Rust's own tool into
 * `.build/tools/`. A path in the environment replaces any of them and is taken as it is.
 */

const ROOT = new URL("..", import.meta.url).pathname;
const TOOLS = `${ROOT}.build/tools`;

export const PEERS = ["wireguard-go", "wireguard-go-debian", "boringtun"] as const;
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

interface Build {
  readonly version: string;
  /** The program that has to be at hand. */
  readonly tool: string;
  /** The program that comes out, below `.build/tools/`. */
  readonly product: string;
  readonly argv: readonly string[];
  readonly env: Record<string, string>;
}

const GO_VERSION = "v0.0.0-20260522210424-ecfc5a8d5446";
const GO_FOLDER = `wireguard-go-${GO_VERSION}`;
const BORINGTUN_VERSION = "0.7.1";
const BORINGTUN_FOLDER = `boringtun-${BORINGTUN_VERSION}`;

const RECIPES: Record<PeerName, Recipe> = {
  "wireguard-go": {
    variable: "SHOAL_WIREGUARD_GO",
    env: { LOG_LEVEL: "error" },
    args: ["-f"],
    build: {
      version: GO_VERSION,
      tool: "go",
      product: `${GO_FOLDER}/wireguard`,
      argv: ["go", "install", `golang.zx2c4.com/wireguard@${GO_VERSION}`],
      // A Go that is too old is to say so, and not to fetch another Go.
      env: { GOBIN: `${TOOLS}/${GO_FOLDER}`, GOTOOLCHAIN: "local" },
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
      version: BORINGTUN_VERSION,
      tool: "cargo",
      product: `${BORINGTUN_FOLDER}/bin/boringtun-cli`,
      argv: [
        ...["cargo", "install", "boringtun-cli", "--version", BORINGTUN_VERSION, "--locked"],
        ...["--root", `${TOOLS}/${BORINGTUN_FOLDER}`],
      ],
      env: {},
    },
  },
};

/** Finds a peer, building it when its tool is at hand and it was not built before (minutes, the first time). */
export async function seekPeer(name: PeerName): Promise<Sought> {
  const recipe = RECIPES[name];
  const given = Deno.env.get(recipe.variable);
  if (given !== undefined) return await usable(name, recipe, given, `${recipe.variable}=${given}`);
  if (recipe.build !== undefined) {
    const path = `${TOOLS}/${recipe.build.product}`;
    return await build(path, recipe.build) ??
      implementation(name, recipe, path, recipe.build.version);
  }
  const path = await which("wireguard-go");
  if (path === undefined) return { missing: "no wireguard-go on PATH: apt install wireguard-go" };
  return await usable(name, recipe, path, path);
}

/** Our own WireGuard mode, as the repository runs it. */
export async function shoal(): Promise<Implementation> {
  const git = await output(["git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=12"]);
  return {
    name: "shoal",
    version: git.ok ? git.text : "unknown",
    command: (device) => [`${ROOT}run`, "wg", "-f", device],
    env: { LOG_LEVEL: "error" },
  };
}

function implementation(name: string, recipe: Recipe, path: string, version: string): Sought {
  const command = (device: string) => [path, ...recipe.args, device];
  return { found: { name, version, command, env: recipe.env } };
}

async function usable(name: string, recipe: Recipe, path: string, shown: string): Promise<Sought> {
  const { ok, text } = await output([path, "--version"]);
  if (!ok) return { missing: `${shown}: ${text}` };
  return implementation(name, recipe, path, text.split("\n")[0] ?? text);
}

/** Builds once; undefined when the product is there, else why it is not. */
async function build(path: string, build: Build): Promise<Sought | undefined> {
  if (await exists(path)) return undefined;
  if (await which(build.tool) === undefined) {
    return { missing: `no '${build.tool}' on PATH to build ${build.product.split("/")[0]} with` };
  }
  await Deno.mkdir(TOOLS, { recursive: true });
  // The lock lets several tests ask at once; the first builds, the others find the product.
  const script = '[ -x "$0" ] || exec nice -n 10 "$@"';
  const locked = ["flock", `${TOOLS}/lock`, "sh", "-c", script, path, ...build.argv];
  const { ok, text } = await output(locked, build.env, TOOLS);
  if (ok && await exists(path)) return undefined;
  return { missing: `${build.argv.join(" ")}: ${text.split("\n").at(-1)}` };
}

async function which(tool: string): Promise<string | undefined> {
  const { ok, text } = await output(["sh", "-c", 'command -v "$0"', tool]);
  return ok ? text : undefined;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

async function output(argv: string[], env: Record<string, string> = {}, cwd = ROOT) {
  const [program = "", ...args] = argv;
  try {
    const out = await new Deno.Command(program, { args, env, cwd, stdin: "null" }).output();
    const text = new TextDecoder().decode(out.success ? out.stdout : out.stderr).trim();
    return { ok: out.success, text };
  } catch (error) {
    return { ok: false, text: error instanceof Error ? error.message : String(error) };
  }
}
