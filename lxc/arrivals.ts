/**
 * `./run lab arrivals`: whole production nodes (the machine of mesh, the driver, the real core) under
 * random and altered inputs from one seed. Nothing that arrives may raise an exception or end them.
 *
 * The seed decides every input and the laboratory's time. Core is a thread of its own, so when its
 * mail comes between two inputs is the one thing that may differ from run to run.
 */
import { parseArgs } from "node:util";
import { loadSodium } from "../ffi/sodium.ts";
import { playEpisode } from "./arrivals/episode.ts";
import { type Report, Tally } from "./arrivals/tally.ts";
import { Progress } from "./progress.ts";

const USAGE = `usage: ./run lab arrivals [--count INPUTS] [--seed N]

  Feeds --count inputs (default 100,000) to whole nodes with the real core behind them. What real
  members seal is altered before it is sealed again; sources are of every kind of address and port.
  Exit code 1: an exception, an end, a payload kind or a counter that was not reached.`;

/** Inputs of one node; the next one has another seed, and comes to its mesh in another way. */
const EPISODE = 10_000;
/** From here on every counter must have moved. */
const LONG = 1_000_000;

export interface FuzzOptions {
  readonly seed: number;
  readonly count: number;
  readonly episode?: number;
  readonly onEpisode?: (done: number) => void;
}

/** Plays episodes until so many inputs have been fed. */
export async function fuzzArrivals(
  { seed, count, episode = EPISODE, onEpisode }: FuzzOptions,
): Promise<{ readonly report: Report; readonly complaints: readonly string[] }> {
  const tally = new Tally();
  for (let at = seed; tally.total < count; at++) {
    try {
      await playEpisode(loadSodium(), at, Math.min(episode, count - tally.total), tally);
    } catch (error) {
      tally.broken.push({ where: `seed ${at}`, error });
    }
    onEpisode?.(tally.total);
    if (tally.faults.length + tally.defects.length + tally.broken.length > 0) break;
  }
  return { report: tally.report(), complaints: tally.complaints(count >= LONG) };
}

/** @returns the exit code */
export async function arrivals(args: string[]): Promise<number> {
  const options = read(args);
  if (typeof options === "string") {
    console.log(options === "" ? USAGE : `arrivals: ${options}\n\n${USAGE}`);
    return options === "" ? 0 : 2;
  }
  const { seed, count } = options;
  const progress = new Progress(Math.ceil(count / EPISODE));
  const { report, complaints } = await fuzzArrivals({
    ...options,
    onEpisode: (done) => progress.step(`${done} inputs`),
  });
  progress.end();
  console.log(JSON.stringify(report, undefined, 1));
  for (const line of complaints) console.error(line);
  if (complaints.length === 0) return 0;
  console.error(`play it again: ./run lab arrivals --seed ${seed} --count ${count}`);
  return 1;
}

function read(args: string[]): { readonly seed: number; readonly count: number } | string {
  let parsed;
  try {
    parsed = parseArgs({
      args,
      options: {
        seed: { type: "string", default: "1" },
        count: { type: "string", default: "100000" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  if (parsed.values.help) return "";
  const [seed, count] = [Number(parsed.values.seed), Number(parsed.values.count)];
  if (!Number.isSafeInteger(seed) || seed < 0) return `--seed ${parsed.values.seed} is no seed`;
  if (!Number.isSafeInteger(count) || count < 1) {
    return `--count ${parsed.values.count} is no count`;
  }
  return { seed, count };
}
