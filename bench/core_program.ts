/** The programs of core/tests/bench, which measure core's own objects. */

const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");

/** Builds all of them. @returns the path of one */
export async function buildProgram(name: string): Promise<string> {
  const { success, stderr } = await new Deno.Command("make", {
    args: ["-s", "-C", `${ROOT}/core`, "VARIANT=release", "bench"],
  }).output();
  if (!success) throw new Error(`make bench: ${new TextDecoder().decode(stderr).trim()}`);
  return `${ROOT}/.build/core/release/tests/bench/${name}`;
}

/** What one prints. @throws {Error} with what it says when it fails */
export async function outputOf(program: string, args: readonly string[] = []): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args: [...args] }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr).trim());
  return new TextDecoder().decode(stdout);
}
