/**
 * Hosts of a laboratory that are LXC containers.
 *
 * Theory of operation. A container is what `lxc-execute` makes: namespaces of its own for processes, mounts, host name
 * and network, with the files of this machine, its own `/run` and `/proc`, and a first process that does nothing. LXC
 * runs within the keeper's namespaces and keeps its own files on the keeper's `/run`, so a container ends with the
 * laboratory, however that ends. No control groups are made, since they would be left behind: LXC goes without where it
 * finds none. Nothing limits a container, then; what is compared in them shares the machine as programs outside do.
 *
 * LXC gives the container an empty network; the laboratory's wires connect it as any other host.
 */

import { checkName, Host } from "./host.ts";
import { type Keeper, NoLab } from "./keeper.ts";
import { Process } from "./process.ts";

/** Where LXC keeps its containers, within the keeper's `/run`. */
const FOLDER = "/run/containers";
const TOOLS = ["lxc-execute", "lxc-wait", "lxc-info", "lxc-attach"];
/** Seconds that a container may take to start. */
const START_S = 10;

const NO_CONTROL_GROUPS = `mkdir ${FOLDER} && mount -t tmpfs none /sys/fs/cgroup`;

/** The lines of lxc.container.conf(5). */
function configuration(name: string): string {
  return [
    `lxc.uts.name = ${name}`,
    "lxc.net.0.type = empty",
    "lxc.mount.entry = tmpfs run tmpfs rw,nosuid,nodev,mode=755 0 0",
    "lxc.mount.auto = proc:mixed sys:mixed",
    "lxc.apparmor.profile = unchanged",
    "lxc.autodev = 0", // The files of this machine, /dev/net/tun among them.
    "lxc.tty.max = 0",
    // With terminals of its own LXC replaces /dev/ptmx, which is this machine's.
    "lxc.pty.max = 0",
    "lxc.console.path = none",
    "",
  ].join("\n");
}

/** What LXC needs here and is not there, as a sentence; undefined when nothing is missing. */
export async function missingForContainers(): Promise<string | undefined> {
  if (Deno.uid() !== 0) return "containers need root: run it with sudo";
  for (const tool of TOOLS) {
    const { success } = await new Deno.Command("sh", { args: ["-c", `command -v ${tool}`] })
      .output();
    if (!success) return `no '${tool}' on PATH: apt-get install -y --no-install-recommends lxc`;
  }
  return undefined;
}

/** Owner: its `Lab`. The containers of one keeper. */
export class Containers {
  readonly #keeper: Keeper;
  #isReady = false;

  constructor(keeper: Keeper) {
    this.#keeper = keeper;
  }

  /** Makes and starts one. Throws `NoLab` when it does not start, with what LXC said. */
  async make(name: string): Promise<Host> {
    checkName(name);
    const missing = await missingForContainers();
    if (missing !== undefined) throw new NoLab(missing);
    if (!this.#isReady) await this.#keeper.run(["sh", "-c", NO_CONTROL_GROUPS]);
    this.#isReady = true;
    const file = `${FOLDER}/${name}.conf`;
    await this.#keeper.run(["sh", "-c", 'printf %s "$1" > "$0"', file, configuration(name)]);
    const lxc = (tool: string) => [`lxc-${tool}`, "-P", FOLDER, "-n", name];
    const log = `${FOLDER}/${name}.log`;
    // lxc-execute waits for the container's first process, and that one for the sleep.
    const files = [`--rcfile=${file}`, `--logfile=${log}`, "--logpriority=ERROR"];
    const argv = [...lxc("execute"), ...files, "--", "sleep", "infinity"];
    const first = new Process([...this.#keeper.enter, ...argv], { stderr: "null" }, 1);
    const wait = [...lxc("wait"), "-s", "RUNNING", "-t", String(START_S)];
    const isUp = (await this.#keeper.run(wait, { check: false })).code === 0;
    const pid = isUp ? await first.pid() : undefined;
    if (pid === undefined) {
      const { stdout: why } = await this.#keeper.run(["cat", log], { check: false });
      throw new NoLab(`the LXC container ${name} did not start: ${why.trim()}`);
    }
    const { stdout } = await this.#keeper.run([...lxc("info"), "-p", "-H"]);
    const attach = ["ip", "netns", "attach", name, stdout.trim()];
    await this.#keeper.run(attach);
    await this.#keeper.run(["ip", "-n", name, "link", "set", "lo", "up"]);
    return new Host(this.#keeper, name, {
      argv: [...this.#keeper.enter, ...lxc("attach"), "--"],
      run: `/proc/${pid}/root/run`,
      waiting: 1,
    }, first);
  }
}
