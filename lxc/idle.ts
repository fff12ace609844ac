/**
 * `./run lab idle`: what a node costs that has nothing to do. A mesh on one wire is left alone; then bytes on the wire,
 * processor time and memory of each node are read from the kernel, over some time.
 */
import { parseArgs } from "node:util";
import { describeMachine } from "../bench/machine.ts";
import { printable } from "../src/words.ts";
import { Lab } from "./lab.ts";
import { MeshNode } from "./node.ts";

const USAGE = `usage: ./run lab idle [--nodes N] [--seconds S] [--json]

  Leaves a mesh of --nodes (2 to 16, default 2) alone for 30 seconds and then looks at it for --seconds
  (default 60): bytes that a node sends and receives, its processor time, its memory.
  Exit code 1: a node costs more than is asked: 200 bytes a second sent, 0.3 % of a core, 30 MB.`;

/** What is asked of an idle node: bytes a second that it sends, share of a core, bytes of its own memory. */
const ASKED = { sent: 200, core: 0.003, anonymous: 30e6 } as const;
/** Seconds until what comes with a start (comparing, proving places) is over. */
const SETTLING = 30;
/** A second of processor time in the units of proc_pid_stat(5). */
const TICKS = 100;

interface Wish {
  readonly nodes: number;
  readonly seconds: number;
  readonly isJson: boolean;
}

/** Sums since the start of a node. */
interface Sample {
  /** Bytes on its wire, with all headers from Ethernet's on. */
  readonly sent: number;
  readonly received: number;
  /** Seconds of processor time. */
  readonly busy: number;
  /** Bytes that are the process's own (RssAnon of proc_pid_status(5)), and all that it has in memory. */
  readonly anonymous: number;
  readonly resident: number;
}

/** What one node cost. */
interface Cost {
  readonly name: string;
  /** Bytes a second. */
  readonly sent: number;
  readonly received: number;
  /** Share of one core. */
  readonly core: number;
  /** Bytes, at the end. */
  readonly anonymous: number;
  readonly resident: number;
}

/** @returns the exit code */
export async function idle(args: string[]): Promise<number> {
  const wish = read(args);
  if (typeof wish === "string") {
    if (wish === "") console.log(USAGE);
    else console.error(`idle: ${printable(wish)}\n\n${USAGE}`);
    return wish === "" ? 0 : 2;
  }
  const costs = await measureIdle(wish.nodes, wish.seconds);
  const command = ["./run lab idle", ...args].join(" ");
  if (wish.isJson) {
    const machine = await describeMachine();
    console.log(JSON.stringify({ v: 1, command, machine, asked: ASKED, costs }, undefined, 1));
  } else console.log(table(costs));
  const missed = misses(costs);
  for (const line of missed) console.error(line);
  return missed.length === 0 ? 0 : 1;
}

/** @throws NoLab where this machine or this user cannot have a laboratory */
async function measureIdle(count: number, seconds: number): Promise<Cost[]> {
  await using lab = await Lab.open();
  const wire = await lab.bridge("wire");
  const nodes: MeshNode[] = [];
  let invitation: string[] = ["--listen", "51820"];
  for (let i = 0; i < count; i++) {
    const host = await lab.host(`node-${i + 1}`);
    await wire.attach(host, { addresses: [`10.0.0.${i + 1}/24`] });
    const node = MeshNode.start(host, ...invitation);
    nodes.push(node);
    if (i > 0) continue;
    await node.statusWhen("made a mesh", 15_000, () => true);
    invitation = ["--token", (await node.invite(count - 1)).token];
  }
  const isMet = ({ peers }: { readonly peers: readonly unknown[] }) => peers.length === count - 1;
  await Promise.all(nodes.map((node) => node.statusWhen("knows the others", 30_000, isMet)));
  await pass(SETTLING);
  const before = await Promise.all(nodes.map(sample));
  const start = performance.now();
  await pass(seconds);
  const after = await Promise.all(nodes.map(sample));
  const passed = (performance.now() - start) / 1000;
  return nodes.flatMap(({ host }, i) => {
    const [from, to] = [before[i], after[i]];
    if (from === undefined || to === undefined) return [];
    return [{
      name: host.name,
      sent: (to.sent - from.sent) / passed,
      received: (to.received - from.received) / passed,
      core: (to.busy - from.busy) / passed,
      anonymous: to.anonymous,
      resident: to.resident,
    }];
  });
}

/** One sentence for each figure that is above what is asked. */
export function misses(costs: readonly Cost[]): string[] {
  return costs.flatMap(({ name, sent, core, anonymous }) => [
    ...(sent > ASKED.sent
      ? [`${name} sends ${sent.toFixed(0)} bytes a second: asked ${ASKED.sent}`]
      : []),
    ...(core > ASKED.core
      ? [`${name} takes ${percent(core)} of a core: asked ${percent(ASKED.core)}`]
      : []),
    ...(anonymous > ASKED.anonymous
      ? [`${name} holds ${megabytes(anonymous)} of its own: asked ${megabytes(ASKED.anonymous)}`]
      : []),
  ]);
}

/** Throws when the node has ended. */
async function sample(node: MeshNode): Promise<Sample> {
  const pid = await node.pid();
  if (pid === undefined) throw new Error(`${node.host.name} has ended: ${node.said}`);
  const counters = async (which: string) =>
    Number((await node.host.run(["cat", `/sys/class/net/eth0/statistics/${which}_bytes`])).stdout);
  const stat = (await Deno.readTextFile(`/proc/${pid}/stat`)).split(") ")[1]?.split(" ") ?? [];
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  const kibibytes = (name: string) =>
    1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]);
  return {
    sent: await counters("tx"),
    received: await counters("rx"),
    // utime and stime, fields 14 and 15, of which the first two are left out.
    busy: (Number(stat[11]) + Number(stat[12])) / TICKS,
    anonymous: kibibytes("RssAnon"),
    resident: kibibytes("VmRSS"),
  };
}

function table(costs: readonly Cost[]): string {
  const head = "NODE      SENT        RECEIVED    OF A CORE  OWN MEMORY  WITH SHARED";
  const rows = costs.map(({ name, sent, received, core, anonymous, resident }) =>
    [
      name.padEnd(10),
      `${sent.toFixed(0)} B/s`.padEnd(12),
      `${received.toFixed(0)} B/s`.padEnd(12),
      percent(core).padEnd(11),
      megabytes(anonymous).padEnd(12),
      megabytes(resident),
    ].join("")
  );
  return [head, ...rows].join("\n");
}

const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
const pass = (seconds: number) => new Promise((go) => setTimeout(go, 1000 * seconds));

function read(args: string[]): Wish | string {
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        nodes: { type: "string", default: "2" },
        seconds: { type: "string", default: "60" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    }));
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  if (values.help) return "";
  const [nodes, seconds] = [Number(values.nodes), Number(values.seconds)];
  if (!Number.isInteger(nodes) || nodes < 2 || nodes > 16) {
    return `--nodes ${values.nodes}: use a number from 2 to 16`;
  }
  if (!Number.isInteger(seconds) || seconds < 1) {
    return `--seconds ${values.seconds}: use a number from 1 up`;
  }
  return { nodes, seconds, isJson: values.json };
}
