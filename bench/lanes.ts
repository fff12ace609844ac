/** Lanes of one peer beside turns, which one session has, and beside one worker. */

import { Progress } from "../lxc/progress.ts";
import { buildProgram, outputOf } from "./core_program.ts";
import { spending, type Undisturbed, unrest } from "./cpu.ts";
import { describeMachine } from "./machine.ts";
import type { Figure, Result } from "./result.ts";
import { parse as parseRoads } from "./roads.ts";
import { type Measured, parse } from "./workers.ts";

const DIRECTIONS = ["receive", "send"] as const;
const SUITES = ["chacha20", "aes-gcm"] as const;
const MODES = ["free", "busy"] as const;
const FLOWS = [1, 8];
/** Ours first: the ratio is of lanes and turns. */
const CONTENDERS = [
  { contender: "2 workers, 2 lanes", workers: 2, lanes: 2 },
  { contender: "2 workers, turns", workers: 2, lanes: 1 },
  { contender: "1 worker", workers: 1, lanes: 1 },
] as const;
type Contender = typeof CONTENDERS[number];
/** Microseconds in which a train that the other processor wrote is read: below, both have a near cache. */
const NEAR = 2;
const TURN = 45;

const METHOD = [
  "One-sided, by `core/tests/bench/workers_bench.c`, as `./run bench workers` says, with *one* peer: what is to be moved lies " +
  "in the kernel's queues before the clock starts. The ports of its flows are drawn anew in each repetition, the same for " +
  "all contenders, and their hash gives each its lane, as between two nodes: eight flows fall on two lanes 4 : 4, 3 : 5, 2 : 6 … " +
  "A worker with a lane that has less helps the other by turns. One flow is one lane's. Contenders run one after the " +
  "other, in an order that turns round with each repetition.",
  "*Processors busy*: other work has half of both (threads of SCHED_DEADLINE). *Near* and *far*: before each run it is " +
  "measured in what time one processor reads a train that the other one wrote (`roads_bench crossing`): about 1 us where " +
  "both have one near cache, 3 us and more where not. Both are the machine's two processors; the hypervisor moves them.",
];

interface Case {
  readonly direction: Measured["direction"];
  readonly suite: Measured["suite"];
  readonly mode: typeof MODES[number];
  readonly flows: number;
}

const CASES: readonly Case[] = MODES.flatMap((mode) =>
  DIRECTIONS.flatMap((direction) =>
    SUITES.flatMap((suite) => FLOWS.map((flows) => ({ direction, suite, mode, flows })))
  )
);

/** One run of one contender. */
interface Run {
  readonly of: Case;
  readonly contender: string;
  readonly gigabits: number;
  /** Microseconds, just before. */
  readonly crossing: number;
}

type Distance = "near" | "far" | undefined;

function figureOf({ direction, suite, mode, flows }: Case, distance: Distance): Figure {
  const isBusy = mode === "busy";
  const where = distance === undefined ? "" : `, ${distance}`;
  return {
    key: [direction, suite, mode, flows, distance ?? "all"].join("_"),
    title: `${direction}, ${suite === "aes-gcm" ? "AES-256-GCM" : "ChaCha20-Poly1305"}, ` +
      `${flows} ${flows === 1 ? "flow" : "flows"}${isBusy ? ", processors busy" : ""}${where}`,
    unit: "Gbit/s",
    better: "higher",
    ...(distance === undefined ? {} : { detail: true }),
  };
}

export async function benchLanes(
  options: { readonly repetitions: number },
  command: string,
): Promise<Result> {
  const program = await buildProgram("workers_bench");
  const crossing = await buildProgram("roads_bench");
  const raw: Undisturbed<{ runs: readonly Run[] }>[] = [];
  const progress = new Progress(options.repetitions);
  for (let repetition = 1; repetition <= options.repetitions; repetition++) {
    progress.step(`repetition ${repetition}`);
    const [runs, { foreign, total }] = await spending(async () => {
      const runs: Run[] = [];
      const order = repetition % 2 === 0 ? CONTENDERS.toReversed() : CONTENDERS;
      for (const one of CASES) {
        for (const contender of order) {
          runs.push(await measure({ program, crossing }, one, contender, repetition));
        }
      }
      return runs;
    });
    raw.push({ runs, background: foreign / Math.max(1, total) });
  }
  progress.end();
  const machine = await describeMachine();
  const figures = [
    ...CASES.map((of) => ({ of, distance: undefined as Distance })),
    ...CASES.filter(({ mode }) => mode === "free").flatMap((of) =>
      (["near", "far"] as const).map((distance) => ({ of, distance }))
    ),
  ].filter((figure) =>
    CONTENDERS.every(({ contender }) =>
      raw.some(({ runs }) => Number.isFinite(valueOf(runs, contender, figure.of, figure.distance)))
    )
  );
  return {
    v: 1,
    name: "lanes",
    title: "Lanes of one peer beside turns",
    method: [...unrest(raw), ...METHOD],
    command,
    machine,
    parameters: { repetitions: options.repetitions },
    figures: figures.map(({ of, distance }) => figureOf(of, distance)),
    series: CONTENDERS.map(({ contender }) => ({
      contender,
      version: machine.commit,
      values: Object.fromEntries(figures.map(({ of, distance }) => [
        figureOf(of, distance).key,
        raw.map(({ runs }) => valueOf(runs, contender, of, distance)).filter(Number.isFinite),
      ])),
    })),
    raw,
  };
}

async function measure(
  { program, crossing }: { readonly program: string; readonly crossing: string },
  of: Case,
  { contender, workers, lanes }: Contender,
  seed: number,
): Promise<Run> {
  const { measured: [train] } = parseRoads(await outputOf(crossing, ["crossing"]));
  const { direction, suite, mode, flows } = of;
  const numbers = [flows, lanes, seed].map(String);
  const head = [direction, suite, "1", String(workers), String(TURN), "poll", mode];
  const { gigabits } = parse(await outputOf(program, [...head, ...numbers]));
  return { of, contender, gigabits, crossing: train?.theirs ?? NaN };
}

/** NaN where the processors were not as far from each other as asked. */
function valueOf(runs: readonly Run[], contender: string, of: Case, distance: Distance): number {
  const found = runs.find((run) => run.contender === contender && run.of === of);
  if (found === undefined) return NaN;
  return distance === undefined || distance === distanceOf(found.crossing) ? found.gigabits : NaN;
}

/** @param crossing  microseconds */
export function distanceOf(crossing: number): "near" | "far" {
  return crossing < NEAR ? "near" : "far";
}
