/** `./run bench [NAME]`: measured comparisons. Without a name it lists them. */

import { parseArgs } from "node:util";
import { benchAead } from "./aead.ts";
import { benchConnected } from "./connected.ts";
import { benchFlood } from "./flood.ts";
import { benchFourWay } from "./four_way.ts";
import { benchHandshakes } from "./handshakes.ts";
import { benchLanes } from "./lanes.ts";
import { benchMany } from "./many.ts";
import { benchMesh } from "./mesh.ts";
import { benchPeers } from "./peers.ts";
import { benchProfile } from "./profile.ts";
import { benchRoads } from "./roads.ts";
import { benchWorkers } from "./workers.ts";
import { benchStages } from "./stages.ts";
import { benchTrust } from "./trust.ts";
import { benchUring } from "./uring.ts";
import { benchWireguard } from "./wireguard.ts";
import { keep } from "./archive.ts";
import { printable } from "../src/words.ts";
import { Refusal } from "./refusal.ts";
import { type Result, table } from "./result.ts";

type Entry = Comparison | Recording;

interface Comparison {
  readonly summary: string;
  readonly run: (options: Options, command: string) => Promise<Result>;
}

/** Of what is no comparison: it keeps what it found itself and says it as a table. */
interface Recording {
  readonly summary: string;
  readonly write: (options: Options, command: string, folder: string) => Promise<string>;
}

interface Options {
  readonly repetitions: number;
  /** Undefined: the benchmark's own default. */
  readonly seconds: number | undefined;
  readonly pings: number;
  readonly full: boolean;
  readonly only: readonly string[];
}

/** Of a stream, or of simulated time. */
const SECONDS = 10;

const BENCHMARKS: { readonly [name: string]: Entry } = {
  wireguard: {
    summary: "our WireGuard mode beside the current wireguard-go: stream, CPU, ping, start (4 min)",
    run: ({ repetitions, pings, seconds }, command) =>
      benchWireguard({ repetitions, pings, seconds: seconds ?? SECONDS }, command),
  },
  peers: {
    summary: "Shoal beside other tunnels: TCP, UDP, ping, CPU, losses (15 min; --full about 2 h)",
    run: benchPeers,
  },
  "four-way": {
    summary:
      "the WireGuards of kernel, wireguard-go, boringtun and Shoal, in LXC containers (10 min)",
    run: benchFourWay,
  },
  aead: {
    summary: "sealing and opening a packet: suites, back-ends, sizes, batches (10 s)",
    run: benchAead,
  },
  workers: {
    summary: "two workers beside one, on processors that are free and that are busy (5 min)",
    run: benchWorkers,
  },
  lanes: {
    summary: "lanes of one peer beside turns, with one flow and with eight (2 min a repetition)",
    run: benchLanes,
  },
  many: {
    summary: "a thousand peers beside one, what each has, and what core keeps of it (3 min)",
    run: benchMany,
  },
  connected: {
    summary: "connected sockets of busy peers, and none: the cost of a datagram (3 min)",
    run: benchConnected,
  },
  uring: {
    summary: "receiving by io_uring beside plain calls: the cost of a datagram (1 min)",
    run: benchUring,
  },
  roads: {
    summary: "roads not taken beside what Shoal does: AF_ALG, AF_XDP, SQPOLL, queues … (3 min)",
    run: benchRoads,
  },
  stages: {
    summary: "where a ping spends its time in a tunnel, idle and beside a stream (2 min)",
    run: ({ repetitions, seconds, only }, command) =>
      benchStages({ repetitions, seconds: seconds ?? SECONDS, only }, command),
  },
  profile: {
    summary: "perf of both ends under a stream: a flame graph and a table of functions (1 min)",
    write: ({ seconds, only }, command, folder) =>
      benchProfile({ seconds: seconds ?? SECONDS, only }, command, folder),
  },
  mesh: {
    summary: "second node started until its first ping is answered (20 s)",
    run: benchMesh,
  },
  handshakes: {
    summary: "handshakes that one core answers, with 128 peers (15 s)",
    run: benchHandshakes,
  },
  flood: {
    summary: "forged claims about a member at 3,000 a second (30 s)",
    run: ({ repetitions, seconds }, command) =>
      benchFlood({ repetitions, seconds: seconds ?? SECONDS }, command),
  },
  trust: {
    summary: "a start that verifies 10,000 members (1 min)",
    run: benchTrust,
  },
};

const USAGE = `usage: ./run bench NAME [OPTION …]

${
  Object.entries(BENCHMARKS).map(([name, { summary }]) => `  ${name.padEnd(12)} ${summary}`).join(
    "\n",
  )
}

  --repetitions N  default 5
  --seconds N      length of each stream, default 10; of peers and four-way 3, with --full 5
  --pings N        pings of each repetition, default 500 (not of peers and four-way)
  --full           of peers: every contender, and floods of every size and rate; of four-way: the floods
  --only NAME,…    of peers and four-way: only these contenders; of profile: this one (default shoal-wg);
                   of stages: one or two of them (default shoal-wg,wireguard-go)
  --json           prints the data instead of the table
  --out FOLDER     where the data, the plot and the table go; default bench/results/NAME`;

const OPTIONS = {
  repetitions: { type: "string", default: "5" },
  seconds: { type: "string" },
  pings: { type: "string", default: "500" },
  full: { type: "boolean", default: false },
  only: { type: "string", default: "" },
  json: { type: "boolean", default: false },
  out: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

async function main(args: string[]): Promise<number> {
  let parsed;
  try {
    parsed = parseArgs({ args, options: OPTIONS, allowPositionals: true });
  } catch (error) {
    console.error(
      `${printable(error instanceof Error ? error.message : String(error))}\n\n${USAGE}`,
    );
    return 2;
  }
  const { values, positionals } = parsed;
  const [name, ...more] = positionals;
  if (name === undefined || values.help) {
    console.log(USAGE);
    return 0;
  }
  const entry = Object.hasOwn(BENCHMARKS, name) ? BENCHMARKS[name] : undefined;
  if (entry === undefined || more.length > 0) {
    console.error(
      `there is no benchmark ${printable(JSON.stringify(positionals.join(" ")))}\n\n${USAGE}`,
    );
    return 2;
  }
  const options = {
    repetitions: count("--repetitions", values.repetitions, 1, 100),
    seconds: values.seconds === undefined ? undefined : count("--seconds", values.seconds, 1, 3600),
    pings: count("--pings", values.pings, 1, 100_000),
    full: values.full,
    only: values.only.split(",").filter((name) => name !== ""),
  };
  const command = ["./run bench", ...args].join(" ");
  const folder = values.out ?? new URL(`results/${name}`, import.meta.url).pathname;
  try {
    console.log(await perform(entry, options, { command, folder, isData: values.json }));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    console.error(printable(error.message));
    return 2;
  }
  return 0;
}

interface Manner {
  readonly command: string;
  readonly folder: string;
  readonly isData: boolean;
}

/** Runs it, keeps what it found and returns what to print. */
async function perform(entry: Entry, options: Options, { command, folder, isData }: Manner) {
  if ("write" in entry) {
    if (isData) throw new Refusal("--json: this benchmark has no data but what it keeps");
    return `${await entry.write(
      options,
      command,
      folder,
    )}\n\nFlame graph, stacks and table: ${folder}`;
  }
  const result = await entry.run(options, command);
  await keep(result, folder);
  return isData ? JSON.stringify(result) : `${table(result)}\n\nData, plot and table: ${folder}`;
}

function count(option: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= low && value <= high) return value;
  console.error(`${option} '${text}' is not a whole number from ${low} to ${high}`);
  Deno.exit(2);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
