/** What a datagram costs that is received by io_uring, beside plain calls. */

import { Progress } from "../lxc/progress.ts";
import { type Measured, parse } from "./connected.ts";
import { buildProgram, outputOf } from "./core_program.ts";
import { spending, type Undisturbed, unrest } from "./cpu.ts";
import { describeMachine } from "./machine.ts";
import { Refusal } from "./refusal.ts";
import type { Figure, Result } from "./result.ts";

/** What comes in, and how many peers may have a socket of their own. */
const CASES = {
  stream: { title: "a stream, in gathered buffers", argv: ["stream-in", "off"] },
  small: { title: "64-byte packets of one peer", argv: ["small-in", "off"] },
  peers: { title: "64-byte packets of 1,000 peers, one socket", argv: ["peers-in", "off"] },
  sockets: { title: "the same, 64 of them with sockets of their own", argv: ["peers-in", "64"] },
  strangers: { title: "datagrams of strangers", argv: ["strangers-in", "8"] },
} as const satisfies Readonly<
  Record<string, { readonly title: string; readonly argv: readonly [string, string] }>
>;
type Case = keyof typeof CASES;

/** Ours first: what is asked of core, and what that is called. */
const WAYS = { uring: "io_uring", poll: "plain calls" } as const;
type Way = keyof typeof WAYS;

const METHOD = [
  "One-sided: a device of core/ with one worker (`core/tests/bench/connected_bench.c`) stands still while datagrams are " +
  "sent to it over the loopback, and empties its sockets then: nanoseconds of the worker for each, the median of 9 slices. " +
  "By *io_uring* the same sockets are received from with a multishot receive and provided buffers; all else is the same. " +
  "The variants take turns in each repetition.",
];

const FIGURES: readonly (Figure & { readonly name: Case })[] = cases().map((name) => ({
  key: name,
  title: `${CASES[name].title}, in the worker`,
  unit: "ns",
  better: "lower",
  name,
}));

function cases(): Case[] {
  return Object.keys(CASES) as Case[];
}

interface Told {
  readonly name: Case;
  readonly way: Way;
  readonly measured: Measured;
}

/** @throws Refusal where the kernel grants no io_uring */
export async function benchUring(
  options: { readonly repetitions: number },
  command: string,
): Promise<Result> {
  const program = await buildProgram("connected_bench");
  const raw: Undisturbed<{ told: Told[] }>[] = [];
  const progress = new Progress(options.repetitions);
  for (let repetition = 1; repetition <= options.repetitions; repetition++) {
    progress.step(`repetition ${repetition}`);
    const told: Told[] = [];
    const [, { foreign, total }] = await spending(async () => {
      for (const name of cases()) {
        for (const way of ["poll", "uring"] as const) {
          told.push({ name, way, measured: await measure(program, name, way) });
        }
      }
    });
    raw.push({ told, background: foreign / Math.max(1, total) });
  }
  progress.end();
  const machine = await describeMachine();
  return {
    v: 1,
    name: "uring",
    title: "Received by io_uring, and by plain calls",
    method: [...unrest(raw), ...METHOD],
    command,
    machine,
    parameters: { repetitions: options.repetitions },
    figures: FIGURES.map(({ key, title, unit, better }) => ({ key, title, unit, better })),
    series: (["uring", "poll"] as const).map((way) => ({
      contender: WAYS[way],
      version: machine.commit,
      values: Object.fromEntries(FIGURES.map(({ key, name }) => [
        key,
        raw.flatMap(({ told }) =>
          told.filter((one) => one.way === way && one.name === name)
            .map(({ measured }) => measured.drain)
        ),
      ])),
    })),
    comparison: { ours: [WAYS.uring], baselines: [WAYS.poll] },
    raw,
  };
}

async function measure(program: string, name: Case, way: Way): Promise<Measured> {
  try {
    return parse(await outputOf(program, [...CASES[name].argv, way]));
  } catch (error) {
    if (way === "uring" && error instanceof Error && /io_uring/.test(error.message)) {
      throw new Refusal(`this kernel grants no io_uring: ${error.message}`);
    }
    throw error;
  }
}
