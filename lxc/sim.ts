/**
 * `./run lab sim`: the mesh on a virtual clock. A seed decides everything that happens, so whatever
 * fails is replayed by its seed.
 */
import { parseArgs } from "node:util";
import { nobleCrypto } from "../mesh/noble_crypto.ts";
import { nodeStorm } from "../mesh/sim/node_storm.ts";
import { scale } from "../mesh/sim/scale.ts";
import { storm } from "../mesh/sim/storm.ts";
import { toyCrypto } from "../mesh/sim/toy_crypto.ts";
import { simulateHistories } from "./histories.ts";
import { Progress } from "./progress.ts";
import { simulateTrust } from "./trust.ts";

const USAGE = `usage: ./run lab sim KIND [--seed N] [--seeds COUNT] [--size MEMBERS]

  storm   gossip alone under crashes, partitions, loss and slow computers; then all must agree
  nodes   the same over whole nodes with tunnels (--real-keys: with real cryptography)
  scale   calm, a crash and a mass restart among --size members (default 1,000)
  trust   who is a member, after histories with thieves and partitions (./run lab sim trust -h)
  histories
          random histories of whole nodes and their people (./run lab sim histories -h)

The first seed is --seed (default 1); --seeds plays that many from there on (default 1).
A failure names the seed that replays it.`;

/** Plays one seed of a kind; says what came of it, throws what went wrong. */
type Play = (seed: number, size: number, realKeys: boolean) => Readonly<Record<string, unknown>>;

const PLAYS: Readonly<Record<string, Play>> = {
  storm: (seed) => ({ ...storm(seed) }),
  nodes: (seed, _, realKeys) => ({ ...nodeStorm(realKeys ? nobleCrypto : toyCrypto, seed) }),
  scale: (seed, size) => ({ ...scale(seed, size) }),
};

/** @returns the exit code */
export function simulate(args: string[]): number {
  if (args[0] === "trust") return simulateTrust(args.slice(1));
  if (args[0] === "histories") return simulateHistories(args.slice(1));
  const options = read(args);
  if (typeof options === "string") {
    console.log(options === "" ? USAGE : `sim: ${options}\n\n${USAGE}`);
    return options === "" ? 0 : 2;
  }
  const { kind, play, seed, seeds, size, realKeys } = options;
  const progress = new Progress(seeds);
  for (let at = seed; at < seed + seeds; at++) {
    if (seeds > 1) progress.step(`seed ${at}`);
    try {
      const report = JSON.stringify({ seed: at, ...play(at, size, realKeys) });
      if (seeds === 1) console.log(report);
    } catch (error) {
      progress.end();
      console.error(error);
      const more = `${kind === "scale" ? ` --size ${size}` : ""}${realKeys ? " --real-keys" : ""}`;
      console.error(`replay it: ./run lab sim ${kind} --seed ${at}${more}`);
      return 1;
    }
  }
  progress.end();
  if (seeds > 1) console.log(`${seeds} seeds from ${seed}: all well`);
  return 0;
}

interface Options {
  readonly kind: string;
  readonly play: Play;
  readonly seed: number;
  readonly seeds: number;
  readonly size: number;
  readonly realKeys: boolean;
}

/** What to play; a text says what is wrong, an empty one asks for help. */
function read(args: string[]): Options | string {
  let parsed;
  try {
    parsed = parseArgs({
      args,
      allowPositionals: true,
      options: {
        seed: { type: "string", default: "1" },
        seeds: { type: "string", default: "1" },
        size: { type: "string", default: "1000" },
        "real-keys": { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const { values, positionals: [kind = "", ...more] } = parsed;
  if (values.help || kind === "") return "";
  const play = Object.hasOwn(PLAYS, kind) ? PLAYS[kind] : undefined;
  if (play === undefined || more.length > 0) return `there is no '${[kind, ...more].join(" ")}'`;
  const numbers: number[] = [];
  for (const [name, least] of [["seed", 0], ["seeds", 1], ["size", 3]] as const) {
    const number = Number(values[name]);
    if (!Number.isSafeInteger(number) || number < least) {
      return `--${name} ${values[name]} is no whole number from ${least} on`;
    }
    numbers.push(number);
  }
  const [seed = 1, seeds = 1, size = 1000] = numbers;
  return { kind, play, seed, seeds, size, realKeys: values["real-keys"] };
}
