/** What two workers move beside one, when nothing else wants the processors, and when both are busy. */

import { Progress } from "../lxc/progress.ts";
import { buildProgram, outputOf } from "./core_program.ts";
import { type Undisturbed, undisturbed, unrest } from "./cpu.ts";
import { describeMachine } from "./machine.ts";
import type { Figure, Result } from "./result.ts";

const DIRECTIONS = ["receive", "send"] as const;
const SUITES = ["chacha20", "aes-gcm"] as const;
const PEERS = [1, 4];
/** Ours first: the ratio is of the two. */
const WORKERS = [2, 1];
/** As the program names them. */
const MODES = ["free", "busy"] as const;
type Mode = typeof MODES[number];
/** Of two workers ÷ one, by peers. */
const GOALS: Readonly<Record<Mode, Readonly<Record<number, number>>>> = {
  free: { 1: 1.6, 4: 1.5 },
  busy: { 1: 0.9, 4: 0.97 },
};
/** Messages of a turn: as many as a gathered buffer holds. */
const TURN = 45;

const METHOD = [
  "One-sided: a device of core/ (`core/tests/bench/workers_bench.c`) has everything that it is to move in the kernel's " +
  "queues before the clock starts: 448 gathered buffers of 45 data messages in the receive buffers of its sockets, or " +
  "480 super-packets of 44 datagrams in the rings of its TUN, dealt to the peers in turn. What comes out ends in the " +
  "kernel: packets for an address that this machine does not have, datagrams for a hardware address that nobody has. So " +
  "the workers have all processors for themselves, as they have where more cores are than workers. *Gbit/s* counts " +
  "inner packets; each value is the median of 15 such slices. One peer belongs to one worker.",
  "*Processors busy*: the same, with slices four times as long, while other work has half of both " +
  "processors (threads of SCHED_DEADLINE that spin, 1.5 ms of every 3 and 1.55 of every 3.1), with one worker as with two.",
];

/** One line of the program. */
export interface Measured {
  readonly direction: typeof DIRECTIONS[number];
  readonly suite: typeof SUITES[number];
  readonly peers: number;
  readonly workers: number;
  readonly gigabits: number;
}

interface Case {
  readonly direction: Measured["direction"];
  readonly suite: Measured["suite"];
  readonly peers: number;
  readonly mode: Mode;
}

const CASES: readonly Case[] = MODES.flatMap((mode) =>
  DIRECTIONS.flatMap((direction) =>
    SUITES.flatMap((suite) => PEERS.map((peers) => ({ direction, suite, peers, mode })))
  )
);

function figureOf({ direction, suite, peers, mode }: Case): Figure {
  const bound = GOALS[mode][peers];
  const isBusy = mode === "busy";
  return {
    key: `${direction}_${suite}_${peers}${isBusy ? "_busy" : ""}`,
    title: `${direction}, ${suite === "aes-gcm" ? "AES-256-GCM" : "ChaCha20-Poly1305"}, ` +
      `${peers} ${peers === 1 ? "peer" : "peers"}${isBusy ? ", processors busy" : ""}`,
    unit: "Gbit/s",
    better: "higher",
    ...(bound === undefined ? {} : { goal: { of: "ratio", bound } }),
  };
}

export async function benchWorkers(
  options: { readonly repetitions: number },
  command: string,
): Promise<Result> {
  const program = await buildProgram("workers_bench");
  const raw: Undisturbed<{ measured: (Measured & { readonly mode: Mode })[] }>[] = [];
  const progress = new Progress(options.repetitions);
  for (let repetition = 1; repetition <= options.repetitions; repetition++) {
    progress.step(`repetition ${repetition}`);
    raw.push(
      await undisturbed(async () => {
        const measured = [];
        for (const one of CASES) {
          for (const workers of WORKERS) {
            measured.push({ ...await measure(program, one, workers), mode: one.mode });
          }
        }
        return { measured };
      }),
    );
  }
  progress.end();
  const machine = await describeMachine();
  return {
    v: 1,
    name: "workers",
    title: "Two workers beside one, on free processors and on busy ones",
    method: [...unrest(raw), ...METHOD],
    command,
    machine,
    parameters: { repetitions: options.repetitions },
    figures: CASES.map(figureOf),
    series: WORKERS.map((workers) => ({
      contender: workers === 1 ? "1 worker" : `${workers} workers`,
      version: machine.commit,
      values: Object.fromEntries(CASES.map((one) => [
        figureOf(one).key,
        raw.flatMap(({ measured }) =>
          measured.filter((m) =>
            m.workers === workers && m.direction === one.direction && m.suite === one.suite &&
            m.peers === one.peers && m.mode === one.mode
          ).map(({ gigabits }) => gigabits)
        ),
      ])),
    })),
    raw,
  };
}

async function measure(program: string, one: Case, workers: number): Promise<Measured> {
  const { direction, suite, peers, mode } = one;
  const args = [direction, suite, String(peers), String(workers), String(TURN), "poll", mode];
  return parse(await outputOf(program, args));
}

/** @throws {Error} for a line that the program would not write */
export function parse(line: string): Measured {
  const [direction, suite, ...numbers] = line.trim().split(" ");
  const [peers = NaN, workers = NaN, gigabits = NaN, ...more] = numbers.map(Number);
  const known = {
    direction: DIRECTIONS.find((name) => name === direction),
    suite: SUITES.find((name) => name === suite),
  };
  if (
    !known.direction || !known.suite || !(peers > 0 && workers > 0 && gigabits > 0) ||
    more.length > 0
  ) throw new Error(`no measurement: ${JSON.stringify(line)}`);
  return { direction: known.direction, suite: known.suite, peers, workers, gigabits };
}
