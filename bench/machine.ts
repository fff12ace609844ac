/** What a measurement was made on, as far as its reader can use it; nothing that names the machine. */

const ROOT = new URL("..", import.meta.url).pathname;
const CPU_FLAGS = ["aes", "avx2", "avx512f", "vaes", "vpclmulqdq"];

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memory_mib: number;
  readonly cpu_flags: readonly string[];
  readonly kernel: string;
  readonly system: string;
  /** First line that each tool says of its version. */
  readonly tools: Readonly<Record<string, string>>;
  /** The commit measured; `-dirty` when the tree differed from it. */
  readonly commit: string;
  /** RFC 3339. */
  readonly date: string;
}

export async function describeMachine(): Promise<Machine> {
  const cpuinfo = await Deno.readTextFile("/proc/cpuinfo");
  const field = (name: string) =>
    new RegExp(`^${name}\\s*: (.*)$`, "m").exec(cpuinfo)?.[1] ?? "unknown";
  const flags = new Set(field("flags").split(" "));
  return {
    cpu: field("model name"),
    cores: navigator.hardwareConcurrency,
    memory_mib: Math.round(Deno.systemMemoryInfo().total / (1 << 20)),
    cpu_flags: CPU_FLAGS.filter((flag) => flags.has(flag)),
    kernel: Deno.osRelease(),
    system: /^PRETTY_NAME="(.*)"$/m.exec(await Deno.readTextFile("/etc/os-release"))?.[1] ??
      "unknown",
    tools: {
      deno: Deno.version.deno,
      openssl: await firstLine("openssl", "version"),
      iperf3: await firstLine("iperf3", "--version"),
      ping: await firstLine("ping", "-V"),
      fping: await firstLine("fping", "--version"),
      sockperf: await firstLine("sockperf", "--version"),
    },
    commit: await firstLine("git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=12"),
    date: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
  };
}

async function firstLine(program: string, ...args: string[]): Promise<string> {
  const out = await new Deno.Command(program, { args, stderr: "null" }).output().catch(() =>
    undefined
  );
  return out?.success ? new TextDecoder().decode(out.stdout).trim().split("\n")[0] ?? "" : "none";
}
