/** What installing a service does to this machine, behind one interface: programs that it runs, and where its files are. */
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { readKernelFile } from "../../ffi/libc.ts";
import { codeOf } from "../errno.ts";
import { Exit, Failure } from "../exit.ts";

/** Bytes; it has some thousand. */
const STATUS_MAX = 64 * 1024;

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface System {
  /** "" of this machine; a folder that stands for it in a test. */
  readonly root: string;
  readonly uid: number | null;
  /** The rights that a process here can have at the most, a bit each (capabilities(7)). */
  readonly boundingSet: bigint;
  /** Runs a program to its end. @throws {Failure} when there is none of that name */
  run(program: string, args: readonly string[], input?: string): Promise<Ran>;
}

export const thisSystem: System = {
  root: "",
  uid: Deno.uid(),
  get boundingSet() {
    const status = readKernelFile("/proc/self/status", STATUS_MAX);
    return BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  },
  async run(program, args, input = "") {
    try {
      const piped = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
      const child = new Deno.Command(program, { args: [...args], ...piped }).spawn();
      const writer = child.stdin.getWriter();
      // A program may end without reading all of its input: its exit code tells.
      const fed = writer.write(new TextEncoder().encode(input)).then(() => writer.close());
      const [{ code, stdout, stderr }] = await Promise.all([child.output(), fed.catch(() => {})]);
      const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      return { code, out: text(stdout), err: text(stderr) };
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      throw new Failure(Exit.failed, `there is no program '${program}' on PATH: install it`);
    }
  },
};

/** Runs a program that has to succeed. @returns what it printed @throws {Failure} with its last line */
export async function must(
  system: System,
  program: string,
  args: readonly string[],
  input?: string,
): Promise<string> {
  const { code, out, err } = await system.run(program, args, input);
  if (code === 0) return out;
  const last = err.trim().split("\n").at(-1) || `exit code ${code}`;
  throw new Failure(Exit.failed, `${program} ${args.join(" ")}: ${last}`);
}

/** The text of a file; undefined: there is none. */
export function textAt(system: System, path: string): string | undefined {
  try {
    return fs.readFileSync(join(system.root, path), "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Writes a file whole or not at all; its mode holds from its first moment, and its folder is made when it is absent. */
export function writeAt(system: System, path: string, text: string, mode: number): void {
  const place = join(system.root, path);
  fs.mkdirSync(dirname(place), { recursive: true, mode: 0o755 });
  const beside = `${place}.shoal-new`;
  fs.rmSync(beside, { force: true });
  fs.writeFileSync(beside, text, { mode, flag: "wx" });
  fs.chmodSync(beside, mode); // Whatever the umask says.
  fs.renameSync(beside, place);
}

/** @returns whether it was there */
export function removeAt(system: System, path: string): boolean {
  try {
    fs.rmSync(join(system.root, path), { recursive: true });
    return true;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
}

/** Removes a folder that has nothing in it any more. */
export function removeEmptyAt(system: System, path: string): void {
  try {
    fs.rmdirSync(join(system.root, path));
  } catch (error) {
    if (!["ENOENT", "ENOTEMPTY", "EEXIST"].includes(codeOf(error))) throw error;
  }
}

/** Names in a folder, in order; none where there is no folder. */
export function namesAt(system: System, path: string): string[] {
  try {
    return fs.readdirSync(join(system.root, path)).sort();
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  }
}
