/**
 * `./run lab gaps`: what happens to traffic when something around a node changes, each kind several times over real
 * nodes, with the median beside what is asked. What the tests beside it measure once and bound loosely is measured here.
 */
import { parseArgs } from "node:util";
import { keep } from "../bench/archive.ts";
import { describeMachine } from "../bench/machine.ts";
import { printable } from "../src/words.ts";
import type { Kind } from "./gaps/kind.ts";
import { KINDS } from "./gaps/kinds.ts";
import { misses, type Outcome, resultOf, type Run, table } from "./gaps/outcome.ts";
import { Progress } from "./progress.ts";

const FOLDER = new URL("../bench/results/gaps", import.meta.url).pathname;
const MOST = 100;

const WIDTH = Math.max(...KINDS.map(({ key }) => key.length));
const USAGE = `usage: ./run lab gaps [--count N] [--only KIND] [--json] [--out FOLDER]

${KINDS.map(({ key, title }) => `  ${key.padEnd(WIDTH)}  ${title}`).join("\n")}

  --count N     runs of each kind, default 5
  --only KIND   this kind alone, which is kept only where --out says
  --json        print the data of every run, and no table
  --out FOLDER  where the data, the plot and the table go; default bench/results/gaps
  Exit code 1: a median is above what is asked, or a restart after SIGTERM takes longer than one after SIGKILL.`;

interface Wish {
  readonly count: number;
  readonly kinds: readonly Kind[];
  readonly isJson: boolean;
  /** Undefined: nothing is kept. */
  readonly folder: string | undefined;
}

/** @returns the exit code */
export async function gaps(args: string[]): Promise<number> {
  const wish = read(args);
  if (typeof wish === "string") {
    if (wish === "") console.log(USAGE);
    else console.error(`gaps: ${printable(wish)}\n\n${USAGE}`);
    return wish === "" ? 0 : 2;
  }
  const { count, kinds, isJson, folder } = wish;
  const progress = new Progress(count * kinds.length);
  const outcomes: Outcome[] = [];
  for (const kind of kinds) {
    const runs: Run[] = [];
    for (let i = 1; i <= count; i++) {
      progress.step(`${kind.key}, run ${i}`);
      runs.push(await attempt(kind));
    }
    outcomes.push({ kind, runs });
  }
  progress.end();
  const command = ["./run lab gaps", ...args].join(" ");
  const result = resultOf(outcomes, await describeMachine(), command, count);
  console.log(isJson ? JSON.stringify(result, undefined, 1) : table(outcomes));
  if (folder !== undefined) {
    await keep(result, folder);
    if (!isJson) console.log(`\nData, plot and table: ${folder}`);
  }
  const missed = misses(outcomes);
  for (const line of missed) console.error(line);
  return missed.length === 0 ? 0 : 1;
}

/** What a run throws is what it found: that the traffic, or the thing, did not come back. */
async function attempt({ measure }: Kind): Promise<Run> {
  try {
    return await measure();
  } catch (error) {
    return { failed: error instanceof Error ? error.message : String(error) };
  }
}

function read(args: string[]): Wish | string {
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        count: { type: "string", default: "5" },
        only: { type: "string" },
        json: { type: "boolean", default: false },
        out: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    }));
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const { only, out } = values;
  if (values.help) return "";
  const count = Number(values.count);
  if (!Number.isInteger(count) || count < 1 || count > MOST) {
    return `--count '${values.count}' is not a whole number from 1 to ${MOST}`;
  }
  const kinds = only === undefined ? KINDS : KINDS.filter(({ key }) => key === only);
  if (kinds.length === 0) {
    return `--only '${only}' is no kind: choose one of ${KINDS.map(({ key }) => key).join(", ")}`;
  }
  const folder = out ?? (only === undefined ? FOLDER : undefined);
  return { count, kinds, isJson: values.json, folder };
}
