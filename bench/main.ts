/** `./run bench [NAME]`: measured comparisons. Without a name it lists them. */

import { parseArgs } from "node:util";
import { benchAead } from "./aead.ts";
import { benchFlood } from "./flood.ts";
import { benchHandshakes } from "./handshakes.ts";
import { benchMesh } from "./mesh.ts";
import { benchTrust } from "./trust.ts";
import { benchWireguard } from "./wireguard.ts";
import { keep } from "./archive.ts";
import { printable } from "../src/words.ts";
import { type Result, table } from "./result.ts";

interface Entry {
  readonly summary: string;
  readonly run: (options: Options, command: string) => Promise<Result>;
}

interface Options {
  readonly repetitions: number;
  readonly seconds: number;
  readonly pings: number;
}

const BENCHMARKS: Readonly<Record<string, Entry>> = {
  wireguard: {
    summary: "our WireGuard mode beside the current wireguard-go: stream, CPU, ping, start (4 min)",
    run: benchWireguard,
  },
  aead: {
    summary: "sealing and opening a packet: suites, back-ends, sizes, batches (10 s)",
    run: benchAead,
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
    run: benchFlood,
  },
  trust: {
    summary: "a start that verifies 10,000 members (1 min)",
    run: benchTrust,
  },
};

const USAGE = `usage: ./run bench NAME [--repetitions N] [--seconds N] [--pings N] [--out FOLDER]

${
  Object.entries(BENCHMARKS).map(([name, { summary }]) => `  ${name.padEnd(12)} ${summary}`).join(
    "\n",
  )
}

  --repetitions N  default 5
  --seconds N      length of each stream, default 10
  --pings N        pings of each repetition, default 500
  --out FOLDER     where the data, the plot and the table go; default bench/results/NAME`;

const OPTIONS = {
  repetitions: { type: "string", default: "5" },
  seconds: { type: "string", default: "10" },
  pings: { type: "string", default: "500" },
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
    seconds: count("--seconds", values.seconds, 1, 3600),
    pings: count("--pings", values.pings, 1, 100_000),
  };
  const result = await entry.run(options, ["./run bench", ...args].join(" "));
  const folder = values.out ?? new URL(`results/${name}`, import.meta.url).pathname;
  await keep(result, folder);
  console.log(`${table(result)}\n\nData, plot and table: ${folder}`);
  return 0;
}

function count(option: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= low && value <= high) return value;
  console.error(`${option} '${text}' is not a whole number from ${low} to ${high}`);
  Deno.exit(2);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
