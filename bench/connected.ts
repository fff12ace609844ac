/** What a datagram costs with connected sockets of busy peers and without. */

import { Progress } from "../lxc/progress.ts";
import { buildProgram, outputOf } from "./core_program.ts";
import { spending, type Undisturbed, unrest } from "./cpu.ts";
import { describeMachine } from "./machine.ts";
import type { Figure, Result } from "./result.ts";

/** Names of the program, and what they are. */
const CASES = {
  "stream-in": "a stream comes in",
  "small-in": "64-byte packets of one peer come in",
  "peers-in": "64-byte packets of 1,000 peers come in",
  "strangers-in": "datagrams of strangers come in",
  "stream-out": "a stream leaves",
  "small-out": "64-byte packets to one peer leave",
} as const;
type Case = keyof typeof CASES;

/** Ours first: how many sockets there may be, and what that is called. */
const PLACES = { "8": "8 sockets", "64": "64 sockets", off: "none" } as const;
type Places = keyof typeof PLACES;

const STEPS = { fill: "until it is in its socket", drain: "in the worker" } as const;
type Step = keyof typeof STEPS;

const METHOD = [
  "One-sided: a device of core/ with one worker (`core/tests/bench/connected_bench.c`) stands still while the kernel's " +
  "queues are filled, and empties them then. What comes in is sent over the loopback, so the sender pays for the look-up " +
  "of the socket: that is the time *until it is in its socket*, in which the sender's own system call is, too. Streams are " +
  "gathered buffers of 45 messages, or super-packets of 44; everything else comes one by one. Of 1,000 peers those with a " +
  "socket are as many as there are sockets. Strangers are 200 senders whose messages name no session, while all sockets " +
  "are taken. Nanoseconds a datagram, the median of 9 slices; the variants take turns in each repetition. *None*: " +
  "`--without connected-sockets`.",
];

/** One line of the program. */
export interface Measured {
  readonly name: Case;
  readonly places: Places;
  readonly fill: number;
  readonly drain: number;
  /** Connected sockets that were opened. */
  readonly opened: number;
}

const FIGURES: readonly (Figure & { readonly name: Case; readonly step: Step })[] = keys(CASES)
  .flatMap((name) =>
    keys(STEPS).filter((step) => step === "drain" || name.endsWith("-in")).map((step) => ({
      key: `${name}_${step}`,
      title: `${CASES[name]}, ${STEPS[step]}`,
      unit: "ns",
      better: "lower" as const,
      name,
      step,
    }))
  );

function keys<K extends string>(table: Readonly<Record<K, unknown>>): K[] {
  return Object.keys(table) as K[];
}

export async function benchConnected(
  options: { readonly repetitions: number },
  command: string,
): Promise<Result> {
  const program = await buildProgram("connected_bench");
  const raw: Undisturbed<{ measured: Measured[] }>[] = [];
  const progress = new Progress(options.repetitions);
  for (let repetition = 1; repetition <= options.repetitions; repetition++) {
    progress.step(`repetition ${repetition}`);
    const measured: Measured[] = [];
    const [, { foreign, total }] = await spending(async () => {
      for (const name of keys(CASES)) {
        for (const places of keys(PLACES)) {
          measured.push(parse(await outputOf(program, [name, places])));
        }
      }
    });
    // The program runs before everything else that wants a processor: it need not wait for quiet.
    raw.push({ measured, background: foreign / Math.max(1, total) });
  }
  progress.end();
  const machine = await describeMachine();
  return {
    v: 1,
    name: "connected",
    title: "Connected sockets of busy peers, and none",
    method: [...unrest(raw), ...METHOD],
    command,
    machine,
    parameters: { repetitions: options.repetitions },
    figures: FIGURES.map(({ key, title, unit, better }) => ({ key, title, unit, better })),
    series: keys(PLACES).map((places) => ({
      contender: PLACES[places],
      version: machine.commit,
      values: Object.fromEntries(FIGURES.map(({ key, name, step }) => [
        key,
        raw.flatMap(({ measured }) =>
          measured.filter((one) => one.places === places && one.name === name).map((one) =>
            one[step]
          )
        ),
      ])),
    })),
    comparison: { ours: [PLACES["8"], PLACES["64"]], baselines: [PLACES.off] },
    raw,
  };
}

/** @throws {Error} for a line that the program would not write */
export function parse(line: string): Measured {
  const [said, where, ...numbers] = line.trim().split(" ");
  const [fill = NaN, drain = NaN, opened = NaN, ...more] = numbers.map(Number);
  const name = keys(CASES).find((one) => one === said);
  const places = keys(PLACES).find((one) => one === where);
  const isWhole = fill >= 0 && drain > 0 && opened >= 0 && more.length === 0;
  if (!name || !places || !isWhole) throw new Error(`no measurement: ${JSON.stringify(line)}`);
  return { name, places, fill, drain, opened };
}
