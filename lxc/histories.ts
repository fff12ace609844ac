/**
 * `./run lab sim histories`: random histories of whole nodes, with people, thieves, wrong clocks and partitions. A seed
 * decides each; the steps of one that fails are taken out as long as it fails without them.
 */
import { parseArgs } from "node:util";
import type { Crypto } from "../mesh/crypto.ts";
import { nobleCrypto } from "../mesh/noble_crypto.ts";
import { diaryOf, playHistory } from "../mesh/sim/history.ts";
import { type HistoryPlan, planOf } from "../mesh/sim/history_plan.ts";
import { shrunk } from "../mesh/sim/history_shrink.ts";
import { toyCrypto } from "../mesh/sim/toy_crypto.ts";
import { Progress } from "./progress.ts";

const USAGE = `usage: ./run lab sim histories [--seed N] [--seeds COUNT] [--real-keys] [--keep-on]

Plays --seeds histories (default 200) from --seed (default 1) on: 4 to 12 nodes, their people, and what befalls them;
then a calm, in which all must agree and be quiet. One that fails is shortened and printed. --keep-on goes on after it.`;

/** Histories that are played at most to shorten one. */
const TRIES = 300;
/** Histories between two lines of progress. */
const STRIDE = 50;

/** @returns the exit code */
export function simulateHistories(args: string[]): number {
  const options = read(args);
  if (typeof options === "string") {
    console.log(options === "" ? USAGE : `sim histories: ${options}\n\n${USAGE}`);
    return options === "" ? 0 : 2;
  }
  const { seed, seeds, isReal, keepsOn } = options;
  const crypto = isReal ? nobleCrypto : toyCrypto;
  const progress = new Progress(Math.ceil(seeds / STRIDE));
  const total = { histories: 0, failed: 0, machines: 0, steps: 0, done: 0, hours: 0, healed: 0 };
  for (let at = seed; at < seed + seeds; at++) {
    if (total.histories++ % STRIDE === 0) progress.step(`seed ${at}`);
    const plan = planOf(at);
    const outcome = outcomeOf(crypto, plan);
    if (typeof outcome !== "string") {
      total.machines += outcome.machines;
      total.steps += outcome.steps;
      total.done += outcome.done;
      total.hours += outcome.virtual / 3_600_000;
      total.healed = Math.max(total.healed, outcome.healed / 1_000);
      continue;
    }
    total.failed++;
    tell(crypto, plan, outcome);
    if (!keepsOn) break;
  }
  progress.end();
  console.log(JSON.stringify({ seed, ...total, hours: Math.round(total.hours * 10) / 10 }));
  return total.failed === 0 ? 0 : 1;
}

/** What came of a history, or what went wrong. */
function outcomeOf(crypto: Crypto, plan: HistoryPlan) {
  try {
    return playHistory(crypto, plan);
  } catch (error) {
    if (!(error instanceof Error)) return String(error);
    const { cause } = error;
    return error.message + (cause instanceof Error ? `\n${cause.stack}` : "");
  }
}

/** Prints a failing history, and the shortest that fails in the same way. */
function tell(crypto: Crypto, plan: HistoryPlan, outcome: string): void {
  const isSame = (other: HistoryPlan) => {
    const its = outcomeOf(crypto, other);
    return typeof its === "string" && kindOf(its) === kindOf(outcome);
  };
  const small = shrunk(plan, isSame, TRIES);
  const last = outcomeOf(crypto, small);
  console.error(`\n${outcome}\nreplay it: ./run lab sim histories --seed ${plan.seed} --seeds 1`);
  console.error(`shortened to ${small.steps.length} of ${plan.steps.length} steps:`);
  console.error(`${typeof last === "string" ? last : ""}\n${diaryOf(small)}\n`);
}

/** A failure without what differs from history to history: names, keys, numbers. */
function kindOf(outcome: string): string {
  return outcome.replace(/\S+ \([0-9a-f]{8}\)/g, "").replace(/[0-9a-f.:]*\d[0-9a-f.:]*/g, "").slice(
    0,
    60,
  );
}

interface Options {
  readonly seed: number;
  readonly seeds: number;
  readonly isReal: boolean;
  readonly keepsOn: boolean;
}

/** What to play; a text says what is wrong, an empty one asks for help. */
function read(args: string[]): Options | string {
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        seed: { type: "string", default: "1" },
        seeds: { type: "string", default: "200" },
        "real-keys": { type: "boolean", default: false },
        "keep-on": { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    }));
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  if (values.help) return "";
  const [seed, seeds] = [Number(values.seed), Number(values.seeds)];
  if (!Number.isSafeInteger(seed) || seed < 0) return `--seed ${values.seed} is no whole number`;
  if (!Number.isSafeInteger(seeds) || seeds < 1) {
    return `--seeds ${values.seeds} is no whole number from 1 on`;
  }
  return { seed, seeds, isReal: values["real-keys"], keepsOn: values["keep-on"] };
}
