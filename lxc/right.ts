/**
 * What a laboratory needs of this machine, asked once: namespaces, as root or through user namespaces, a tmpfs
 * on `/run`, veth links and `/dev/net/tun`.
 */

/** How the namespaces are made: as root, or inside a user namespace. */
export type Right = "root" | "user";

const TUN = "/dev/net/tun";
const TOOLS = ["unshare", "nsenter", "ip", "nft", "tc"];
// One of everything a laboratory makes.
const TRIAL =
  "mount -t tmpfs lab /run && ip netns add trial && ip link add dev trial0 type veth peer name trial1 netns trial" +
  " && ip tuntap add mode tun name trial2";

interface Finding {
  readonly right?: Right;
  readonly missing?: string;
}

let found: Promise<Finding> | undefined;

/** How laboratories can be made here, or undefined when they cannot. */
export async function rightToLab(): Promise<Right | undefined> {
  return (await (found ??= find())).right;
}

/** Why laboratories cannot be made here, or undefined when they can. One line, for a skipped test to say. */
export async function missingRight(): Promise<string | undefined> {
  return (await (found ??= find())).missing;
}

async function find(): Promise<Finding> {
  for (const tool of TOOLS) {
    const known = await attempt(["sh", "-c", `command -v ${tool}`]);
    if (known !== undefined) {
      return { missing: `no '${tool}' on PATH: apt install util-linux iproute2 nftables` };
    }
  }
  // Who makes a user namespace is root in it, and stays nobody to this file.
  const tun = await attempt(["sh", "-c", `exec 3<>${TUN}`]);
  if (tun !== undefined) {
    return {
      missing: `${TUN} cannot be opened (${tun}): 'modprobe tun', and as root chmod 0666 ${TUN}`,
    };
  }
  const root = Deno.uid() === 0 ? await attempt(trial([])) : "not root";
  if (root === undefined) return { right: "root" };
  const user = await attempt(trial(["--map-root-user"]));
  if (user === undefined) return { right: "user" };
  return { missing: `no network namespaces here (as root: ${root}; as a user: ${user})` };
}

function trial(flags: string[]): string[] {
  return ["unshare", ...flags, "-mnpf", "--kill-child", "--mount-proc", "sh", "-c", TRIAL];
}

/** Runs a command; undefined when it succeeded, else what it said. */
async function attempt(argv: string[]): Promise<string | undefined> {
  const [program = "", ...args] = argv;
  try {
    const out = await new Deno.Command(program, {
      args,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    })
      .output();
    if (out.success) return undefined;
    return new TextDecoder().decode(out.stderr).trim().split("\n").at(-1) ||
      `exit code ${out.code}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
