/**
 * A host of a laboratory that runs a systemd of its own: what a service of the system has to be tried under.
 *
 * Theory of operation. `systemd-nspawn` boots the systemd of this machine on an overlay over its root folder, so nothing is
 * installed for it and nothing outside is changed: what the guest writes lies in the /run of the laboratory and goes with
 * it. It has the network of its host, since no network namespace is made for it. It starts none of this machine's own
 * services: what was enabled outside is not enabled inside. It is in control groups of its own, without which two guests,
 * or a guest and this machine, would be in one another's way.
 */

import { childOf, type Output, type Process, run, type RunOptions } from "./process.ts";
import type { Host } from "./host.ts";
import { Tail } from "./tail.ts";
import { until } from "./until.ts";

/** Milliseconds: a bound; on a quiet machine it takes half a second. */
const BOOT = 60_000;
/** What the guest writes, on its host. */
const OWN = "/run/guest";
/** What a service of Shoal's may have; nspawn takes them from a container that shares a network. */
const RIGHTS = "CAP_NET_ADMIN,CAP_BPF";
/** The places where the kernel has control groups: of both versions, as systemd mounts them. */
const GROUPS = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

// `ip netns exec` has hidden the control groups below a /sys of its own: the keeper of the laboratory, its pid 1, sees them.
const ENTER = ["nsenter", "--target", "1", "--mount", "unshare", "--mount"];

// $1: the host's own /run; $2: the checkout; $3: the control group. What is enabled outside is not enabled inside. The
// guest has no udev, which elsewhere opens /dev/net/tun for all; and it does not empty a /tmp that is full of other
// programs' files, one whiteout of the overlay for each.
const SCRIPT = `set -eu
cd "$1"
mkdir -p upper work root checkout
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" root
[ -e booted ] || {
  rm -rf root/etc/systemd/system/*.wants root/etc/systemd/system/shoal* root/etc/shoal root/var/lib/shoal
  : >root/etc/machine-id
  mkdir -p root/etc/tmpfiles.d
  ln -sf /dev/null root/etc/tmpfiles.d/tmp.conf
  : >booted
}
for place in ${GROUPS.join(" ")}; do
  [ ! -e "$place/cgroup.procs" ] || { mkdir -p "$place/$3"; echo $$ >"$place/$3/cgroup.procs"; }
done
units=root/etc/systemd/system
mkdir -p $units/sysinit.target.wants
cat >$units/tun-for-all.service <<'UNIT'
[Unit]
DefaultDependencies=no
Before=sysinit.target
[Service]
Type=oneshot
ExecStart=chmod 0666 /dev/net/tun
UNIT
ln -sf ../tun-for-all.service $units/sysinit.target.wants/
mkdir -p "root$2"
# The checkout may be below /tmp: nspawn would hide it behind a /tmp of its own.
export SYSTEMD_NSPAWN_TMPFS_TMP=0
exec systemd-nspawn --quiet --boot --register=no --keep-unit --console=pipe --machine=guest \\
  --capability=${RIGHTS} "--overlay=$2:$1/checkout:$2" --directory=root`;

/** Owner: whoever booted it; ends with the laboratory at the latest. */
export class Guest {
  readonly host: Host;
  readonly #process: Process;
  readonly #said: Tail;
  readonly #group: string;
  #enter: readonly string[] = [];

  private constructor(host: Host, process: Process, group: string) {
    this.host = host;
    this.#process = process;
    this.#said = new Tail(process.stderr);
    this.#group = group;
  }

  /**
   * Boots; returns when systemd has started everything. What an earlier guest of the same host has written is still there,
   * as after the restart of a machine.
   * @param checkout a folder that is there under its own path, wherever it is mounted from
   */
  static async boot(host: Host, checkout: string): Promise<Guest> {
    const group = `shoal-guest-${Deno.pid}-${host.name}`;
    await host.run(["mkdir", "-p", OWN]);
    const own = `/run/lab/${host.name}/${OWN.slice("/run/".length)}`;
    const argv = [...ENTER, "sh", "-c", SCRIPT, "guest", own, checkout, group];
    const process = host.spawn(argv, { stderr: "piped" });
    const guest = new Guest(host, process, group);
    const running = ["systemctl", "is-system-running", "--wait"];
    await until(`${host.name}: systemd runs`, BOOT, async () => {
      if (process.ended) throw new Error(`${host.name} did not boot:\n${guest.#said.text}`);
      const init = await guest.#init();
      if (init === undefined) return undefined;
      guest.#enter = ["nsenter", "--target", String(init), "--all", "--wd=/"];
      const { stdout } = await guest.run(running, { check: false });
      return stdout.trim() === "running";
    });
    return guest;
  }

  /** The first process of the guest as seen from outside: nspawn's only child. */
  async #init(): Promise<number | undefined> {
    const pid = await this.#process.pid();
    return pid === undefined ? undefined : await childOf(pid);
  }

  /** Runs a program inside, as root, to its end. Throws `CommandFailed`. */
  run(argv: readonly string[], options: RunOptions = {}): Promise<Output> {
    const { cwd = "/", ...rest } = options;
    return run(this.host.name, [...this.#enter, "env", "-C", cwd, ...argv], argv, rest);
  }

  /** The same of lines of sh(1), which stop at the first that fails. */
  async sh(script: string, options: RunOptions = {}): Promise<string> {
    return (await this.run(["sh", "-ec", script], options)).stdout;
  }

  /** Switches it off as a person does who wants it to come back; returns when it is off. */
  async powerOff(): Promise<void> {
    await this.run(["systemctl", "poweroff"]);
    await this.#process.status;
    await this.#forgetGroup();
  }

  /** Pulls the plug: the end of its first process is that of all. nspawn itself, killed, would leave them running. */
  async [Symbol.asyncDispose](): Promise<void> {
    const init = await this.#init();
    if (init !== undefined) Deno.kill(init, "SIGKILL");
    await this.#process.stop();
    await this.#forgetGroup();
  }

  /** The kernel removes a control group's folder for whoever asks, once no process is in it. */
  async #forgetGroup(): Promise<void> {
    const folders = GROUPS.map((place) => `${place}/${this.#group}`);
    await until(`${this.host.name}: its processes are gone`, BOOT, async () => {
      const find = ["find", ...folders, "-depth", "-type", "d", "-delete"];
      await new Deno.Command("env", { args: find, stdout: "null", stderr: "null" }).output();
      return !folders.some(exists);
    });
  }
}

/** Why no guest can be booted here, or undefined when one can. One line, for a skipped test to say. */
export async function missingGuest(): Promise<{ right?: string; thing?: string }> {
  if (Deno.uid() !== 0) return { right: "a guest with systemd takes root" };
  for (const tool of ["systemd-nspawn", "systemctl", "nsenter"]) {
    const { success } = await new Deno.Command("sh", { args: ["-c", `command -v ${tool}`] })
      .output();
    if (!success) return { thing: `no '${tool}' on PATH: apt install systemd-container` };
  }
  const places = GROUPS.filter((place) => exists(`${place}/cgroup.procs`));
  if (places.length === 0) return { right: "no control groups are mounted here" };
  try {
    for (const place of places) {
      const trial = `${place}/shoal-guest-trial-${Deno.pid}`;
      Deno.mkdirSync(trial);
      Deno.removeSync(trial);
    }
    return {};
  } catch (error) {
    return { right: `no control group can be made here (${error})` };
  }
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
