/**
 * The keeper of a laboratory: one small process, pid 1 of namespaces of its own, that does nothing but read.
 *
 * Theory of operation. `unshare` makes a mount, a network and a process namespace (and, for an ordinary user, a
 * user namespace in which that user is root), puts an empty file system on `/run` so that `ip netns` and socket
 * files stay inside, and becomes `cat`, which reads a pipe whose other end only we hold. Everything a laboratory
 * runs enters these namespaces through `nsenter`. When we close the pipe, or die of anything, SIGKILL included,
 * `cat` reads the end of the file and exits; it is pid 1, so the kernel kills every process of the laboratory,
 * and with the last of them the namespaces, the links and the mounts go. Nothing outside was ever changed, so
 * there is nothing to clean up.
 *
 * The same works within a test, a benchmark or a long program, as root and not, since the program itself stays
 * where it is.
 */

import { childOf, type Output, run, type RunOptions } from "./process.ts";
import { missingRight, type Right, rightToLab } from "./right.ts";

/** Raised when this machine or this user cannot have network namespaces; `message` says why. */
export class NoLab extends Error {
  override name = "NoLab";
}

// SIGCHLD is ignored by the last program, so the kernel reaps the orphans that land on pid 1.
const SCRIPT = "mount -t tmpfs lab /run && mkdir /run/lab /run/netns && ip link set lo up && " +
  "echo ready && exec env --ignore-signal=CHLD cat";

/** Owner: its `Lab`. Lives from `open` to `close`, or to the death of this program. */
export class Keeper {
  /** pid of the namespaces' first process, as seen from outside. */
  readonly pid: number;
  /** argv to put before a command so that it runs inside. */
  readonly enter: readonly string[];
  readonly #user: readonly string[];
  readonly #process: Deno.ChildProcess;

  private constructor(process: Deno.ChildProcess, pid: number, right: Right) {
    this.#process = process;
    this.pid = pid;
    this.#user = right === "user" ? ["--user", "--preserve-credentials"] : [];
    this.enter = this.beside(pid);
  }

  /** Makes the namespaces. Throws `NoLab` when the machine refuses them. */
  static async open(): Promise<Keeper> {
    const right = await rightToLab();
    if (right === undefined) throw new NoLab(await missingRight());
    const flags = right === "user" ? ["--map-root-user"] : [];
    const process = new Deno.Command("unshare", {
      args: [...flags, "-mnpf", "--kill-child", "--mount-proc", "sh", "-c", SCRIPT],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const reader = process.stdout.getReader();
    const first = await reader.read();
    await reader.cancel();
    const pid = first.done ? undefined : await childOf(process.pid);
    if (pid === undefined) {
      await process.stdin.close().catch(() => {});
      await process.status;
      throw new NoLab("unshare made no namespaces; its own message is above");
    }
    return new Keeper(process, pid, right);
  }

  /** argv to put before a command so that it runs in the namespaces of this process inside, whose pid is that outside. */
  beside(pid: number): readonly string[] {
    return ["nsenter", "--target", String(pid), ...this.#user, "--mount", "--net", "--pid"];
  }

  /** Runs a command inside, in no host. Throws `CommandFailed`, unless `check` is false. */
  run(argv: readonly string[], options: RunOptions = {}): Promise<Output> {
    return run("lab", [...this.enter, ...argv], argv, options);
  }

  /** Ends every process inside and with them the namespaces; returns when they are gone. */
  async close(): Promise<void> {
    await this.#process.stdin.close().catch(() => {});
    await this.#process.status;
  }
}
