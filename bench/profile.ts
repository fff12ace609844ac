/** Where the programs at both ends of a tunnel spend their time under a TCP stream: perf(1), a flame graph and a table. */

import { Lab } from "../lxc/lab.ts";
import { built, said } from "../lxc/tools.ts";
import { describeMachine, type Machine } from "./machine.ts";
import { chosen } from "./peers/contender.ts";
import { stream } from "./peers/iperf.ts";
import { ready, WIRE } from "./peers/tunnel.ts";
import { named, shares, sharesTable } from "./profile/stacks.ts";
import { Refusal } from "./refusal.ts";

const FREQUENCY = 499;
/** Bytes of each stack that perf copies: code without frame pointers is unwound afterwards. */
const STACK = 8192;
/** Seconds that the stream has to come up to speed, and goes on afterwards. */
const MARGIN = 0.5;
/** Functions of each end in the table. */
const MOST = 25;
const INFERNO = {
  tool: "cargo",
  packages: ["inferno"],
  version: "0.12.8",
  folder: "inferno",
} as const;
/** The clock of the core: counters of cycles are absent in most virtual machines. */
const EVENT = ["-e", "cpu-clock"];

export interface ProfileOptions {
  readonly seconds: number;
  readonly only: readonly string[];
}

/** Writes the flame graph, the folded stacks and the page into a folder; returns the table. */
export async function benchProfile(
  options: ProfileOptions,
  command: string,
  folder: string,
): Promise<string> {
  const [contender, ...more] = chosen(options.only.length === 0 ? ["shoal-wg"] : options.only);
  if (contender === undefined || more.length > 0) throw new Refusal("--only NAME: one at a time");
  await mayMeasure();
  const { name } = contender;
  const { found, missing } = await contender.seek();
  if (found === undefined) throw new Refusal(`${name}: ${missing}`);
  const [collapse, draw] = await tools();
  await Deno.mkdir(folder, { recursive: true });
  const data = await Deno.makeTempFile({ prefix: "shoal-profile" });
  try {
    await using lab = await Lab.open();
    const hosts = [await lab.host("a"), await lab.host("b")] as const;
    await lab.link(...hosts, WIRE);
    const tunnel = await ready(await found.open(hosts));
    const [sender, receiver] = await tunnel.pids();
    if (sender === undefined || receiver === undefined) {
      throw new Refusal(`${name} is no program, so there is nothing to record`);
    }
    const { seconds } = options;
    const [[a, b], address] = [hosts, tunnel.addresses[1]];
    const [load] = await Promise.all([
      stream(a, b, address, { streams: 1, seconds: Math.ceil(seconds + 2 * MARGIN) }),
      record([sender, receiver], seconds, data),
    ]);
    const ends = new Map([[sender, "sender"], [receiver, "receiver"]]);
    // The programs' own files are read while the laboratory is there.
    const stacks = named(await folded(data, collapse), ends);
    if (stacks.trim() === "") throw new Error("perf recorded no sample of either program");
    await Deno.writeTextFile(`${folder}/stacks.txt`, stacks);
    await graph(
      draw,
      `${folder}/stacks.txt`,
      `${name} under one TCP stream`,
      `${folder}/flame.svg`,
    );
    const table = sharesTable(shares(stacks, MOST));
    const rate = load.bytes * 8 / load.seconds / 1e9;
    const version = found.version;
    const about = { name, version, rate, command, machine: await describeMachine() };
    await Deno.writeTextFile(`${folder}/README.md`, page(table, about));
    return table;
  } finally {
    await Deno.remove(data);
  }
}

/** @throws Refusal when perf is missing or this user may not record, with what to do */
async function mayMeasure(): Promise<void> {
  const { ok, text } = await said(["perf", "stat", ...EVENT, "-p", "1", "--", "true"]);
  const why = refusalOf(ok, text);
  if (why !== undefined) throw new Refusal(why);
}

/** What a trial of perf says about it. */
export function refusalOf(ok: boolean, text: string): string | undefined {
  if (ok) return undefined;
  const lines = text.split("\n").map((line) => line.trim());
  const said = lines.find((line) => line !== "" && line !== "Error:") ?? "";
  return `perf may not record other programs here (${said}): run this as root, or as root once ` +
    "sysctl -w kernel.perf_event_paranoid=-1; in a container perf_event_open may be forbidden " +
    "altogether (CAP_PERFMON, seccomp)";
}

async function tools(): Promise<[string, string]> {
  const paths = [];
  for (const product of ["inferno-collapse-perf", "inferno-flamegraph"]) {
    const { path, missing } = await built({ ...INFERNO, product });
    if (path === undefined) throw new Refusal(`no flame graph: ${missing}`);
    paths.push(path);
  }
  return paths as [string, string];
}

async function record(pids: readonly number[], seconds: number, data: string): Promise<void> {
  await new Promise((wake) => setTimeout(wake, MARGIN * 1000));
  const how = ["-F", String(FREQUENCY), "--call-graph", `dwarf,${STACK}`, ...EVENT];
  const what = ["-p", pids.join(","), "-o", data, "--", "sleep", String(seconds)];
  const { ok, text } = await said(["perf", "record", ...how, ...what]);
  if (!ok) throw new Error(`perf record: ${text}`);
}

async function folded(data: string, collapse: string): Promise<string> {
  const fields = "comm,pid,tid,time,event,ip,sym,dso";
  const script = `perf script --no-inline -F ${fields} -i "$0" 2>/dev/null | "$1" --pid --all`;
  const { ok, text } = await said(["sh", "-c", script, data, collapse]);
  if (!ok) throw new Error(`perf script or inferno-collapse-perf: ${text}`);
  return text;
}

async function graph(draw: string, stacks: string, title: string, path: string): Promise<void> {
  const { ok, text } = await said([draw, "--deterministic", "--title", title, stacks]);
  if (!ok) throw new Error(`inferno-flamegraph: ${text}`);
  await Deno.writeTextFile(path, text + "\n");
}

interface About {
  readonly name: string;
  readonly version: string;
  readonly rate: number;
  readonly command: string;
  readonly machine: Machine;
}

function page(table: string, { name, version, rate, command, machine }: About): string {
  return `# Where ${name} spends its time

${table}

![flame graph](flame.svg)

Shares of the CPU time of each end's program under one TCP stream (${
    rate.toFixed(2)
  } Gbit/s while it was
recorded), ${FREQUENCY} samples a second of CPU; *[k]* is the kernel working for it. What ksoftirqd and iperf3 did is not
in it. Reproduce with \`${command}\`; all stacks are in \`stacks.txt\`.

${name} ${version}, measured on ${machine.date} at commit ${machine.commit}: ${machine.cpu}, ${machine.cores} cores,
Linux ${machine.kernel}, ${machine.system}.
`;
}
