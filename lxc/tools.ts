/**
 * Programs of others that are built once by Go's or Rust's own tool, each by its package name at a pinned version, into
 * `.build/tools/`.
 */

const ROOT = new URL("..", import.meta.url).pathname;
const TOOLS = `${ROOT}.build/tools`;

/** What is built, and by which tool. */
export interface Build {
  readonly tool: "go" | "cargo";
  /** One crate, or packages of one Go module. */
  readonly packages: readonly string[];
  readonly version: string;
  /** The name of the folder, without the version. */
  readonly folder: string;
  /** The program that is wanted of what it makes. */
  readonly product: string;
}

/** A path, or why there is none. */
export type Built =
  | { readonly path: string; readonly missing?: never }
  | { readonly path?: never; readonly missing: string };

/** Finds the program, building it when its tool is at hand and it was not built before (minutes, the first time). */
export async function built(build: Build): Promise<Built> {
  const folder = `${TOOLS}/${build.folder}-${build.version}`;
  const path = build.tool === "go"
    ? `${folder}/${build.product}`
    : `${folder}/bin/${build.product}`;
  if (await exists(path)) return { path };
  if (await which(build.tool) === undefined) {
    return { missing: `no '${build.tool}' on PATH to build ${build.folder}-${build.version} with` };
  }
  await Deno.mkdir(TOOLS, { recursive: true });
  const argv = build.tool === "go"
    ? ["go", "install", ...build.packages.map((name) => `${name}@${build.version}`)]
    : [
      ...["cargo", "install", ...build.packages, "--version", build.version, "--locked"],
      ...["--root", folder],
    ];
  // A Go that is too old is to say so, and not to fetch another Go.
  const env = build.tool === "go" ? { GOBIN: folder, GOTOOLCHAIN: "local" } : {};
  // The lock lets several tests ask at once; the first builds, the others find the product.
  const script = '[ -x "$0" ] || exec nice -n 10 "$@"';
  const locked = ["flock", `${TOOLS}/lock`, "sh", "-c", script, path, ...argv];
  const { ok, text } = await said(locked, env, TOOLS);
  if (ok && await exists(path)) return { path };
  const why = ok ? `made no ${build.product}` : text.split("\n").at(-1);
  return { missing: `${argv.join(" ")}: ${why}` };
}

/** The path of a program on PATH. */
export async function which(program: string): Promise<string | undefined> {
  const { ok, text } = await said(["sh", "-c", 'command -v "$0"', program]);
  return ok ? text : undefined;
}

/** What a program said: its output when it succeeded, else its complaint. */
export async function said(argv: readonly string[], env: Record<string, string> = {}, cwd = ROOT) {
  const [program = "", ...args] = argv;
  try {
    const out = await new Deno.Command(program, { args, env, cwd, stdin: "null" }).output();
    const text = new TextDecoder().decode(out.success ? out.stdout : out.stderr).trim();
    return { ok: out.success, text };
  } catch (error) {
    return { ok: false, text: error instanceof Error ? error.message : String(error) };
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
