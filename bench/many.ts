/** What a thousand peers cost beside one, what each has of it, and how much memory core keeps of each. */

import { Progress } from "../lxc/progress.ts";
import { buildProgram, outputOf } from "./core_program.ts";
import { type Undisturbed, undisturbed, unrest } from "./cpu.ts";
import { describeMachine } from "./machine.ts";
import type { Figure, Result } from "./result.ts";
import { type Measured, parse } from "./workers.ts";

/** Ours first: the ratio is of the two. */
const PEERS = [1000, 1] as const;
const DIRECTIONS: readonly Measured["direction"][] = ["receive", "send"];
/** Of one peer's turn: as many as a gathered buffer holds, and few. */
const TURNS = [45, 4] as const;
/** Of a thousand peers ÷ one. */
const GOAL = 0.85;
/** Of Jain's index. */
const FAIR_GOAL = 0.95;
/** Messages of a turn where each peer's share is asked. */
const FAIR_TURN = 4;
/** Bytes of an idle peer. */
const MEMORY_GOAL = 4096;
const CONFIGURED = 10_000;

const METHOD = [
  "One-sided, as `./run bench workers` (`core/tests/bench/workers_bench.c`), with one worker and ChaCha20-Poly1305: peers " +
  "have turns one after the other, each of 45 messages, as the kernel gathers them of a busy peer, or of 4. With short " +
  "turns one peer has an advantage that is not the cipher's: what comes in several turns of one flow leaves as one " +
  "super-packet, and what comes in turns of a thousand flows does not.",
  "*Jain's index*, (Σx)² ÷ n Σx², of the messages that each of 1,000 peers had moved (1: all the same): a thread on " +
  "another processor offers a turn of 4 messages of each peer in each of 384 rounds, in random order, faster than they can " +
  "be moved, so that some are lost; queue control and the receive buffer are at their defaults.",
  "*Memory*: what malloc gave away (mallinfo2(3)) for 10,000 peers with a route, an endpoint and a session each, in core " +
  "alone; the program above core has objects of its own for each.",
];

interface Case {
  readonly direction: Measured["direction"];
  readonly messages: typeof TURNS[number];
}

interface Repetition {
  readonly rates: readonly (Measured & { readonly messages: number })[];
  readonly shares: readonly Shares[];
}

/** What was moved of what a thousand peers offered. */
interface Shares {
  readonly direction: Measured["direction"];
  readonly jain: number;
  /** Of 1. */
  readonly moved: number;
}

interface Memory {
  readonly peers: number;
  /** Bytes of one peer, and those that a session adds. */
  readonly configured: number;
  readonly session: number;
}

const CASES: readonly Case[] = DIRECTIONS.flatMap((direction) =>
  TURNS.map((messages) => ({ direction, messages }))
);

function figureOf({ direction, messages }: Case): Figure {
  return {
    key: `${direction}_${messages}`,
    title: `${direction}, turns of ${messages} messages`,
    unit: "Gbit/s",
    better: "higher",
    ...(messages === 45 && { goal: { of: "ratio", bound: GOAL } }),
  };
}

function fairFigures(direction: Measured["direction"]): Figure[] {
  const of = direction === "receive" ? "upload" : "download";
  return [{
    key: `jain_${direction}`,
    title: `Jain's index of 1,000 peers at equal rates, ${of} (${direction})`,
    unit: "of 1",
    better: "higher",
    goal: { of: "value", bound: FAIR_GOAL },
  }, {
    key: `moved_${direction}`,
    title: `moved of what these offer, ${of} (${direction})`,
    unit: "%",
    better: "higher",
    detail: true,
  }];
}

export async function benchMany(
  { repetitions }: { readonly repetitions: number },
  command: string,
): Promise<Result> {
  const rates = await buildProgram("workers_bench");
  const memory = parseMemory(
    await outputOf(await buildProgram("memory_bench"), [String(CONFIGURED)]),
  );
  const raw: Undisturbed<Repetition>[] = [];
  const progress = new Progress(repetitions);
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    progress.step(`repetition ${repetition}`);
    raw.push(await undisturbed(() => measure(rates)));
  }
  progress.end();
  const machine = await describeMachine();
  const bytes = memory.configured + memory.session;
  return {
    v: 1,
    name: "many",
    title: "A thousand peers beside one: rates, fairness, and the memory of a peer",
    method: [
      ...unrest(raw),
      ...METHOD,
      `Here: ${memory.configured} bytes of a peer, and ${memory.session} more with a session: ${bytes}, where ` +
      `${MEMORY_GOAL} are asked.`,
    ],
    command,
    machine,
    parameters: { repetitions },
    figures: [...CASES.map(figureOf), ...DIRECTIONS.flatMap(fairFigures)],
    series: PEERS.map((peers) => ({
      contender: peers === 1 ? "1 peer" : "1,000 peers",
      version: machine.commit,
      values: { ...ratesOf(peers, raw), ...(peers > 1 && sharesOf(raw)) },
    })),
    raw: [...raw, memory],
  };
}

function ratesOf(peers: number, raw: readonly Repetition[]): Record<string, number[]> {
  return Object.fromEntries(CASES.map((one) => [
    figureOf(one).key,
    raw.flatMap(({ rates }) =>
      rates.filter((rate) =>
        rate.peers === peers && rate.direction === one.direction && rate.messages === one.messages
      ).map(({ gigabits }) => gigabits)
    ),
  ]));
}

function sharesOf(raw: readonly Repetition[]): Record<string, number[]> {
  return Object.fromEntries(DIRECTIONS.flatMap((direction) => {
    const own = raw.flatMap(({ shares }) => shares.filter((one) => one.direction === direction));
    return [
      [`jain_${direction}`, own.map(({ jain }) => jain)],
      [`moved_${direction}`, own.map(({ moved }) => moved * 100)],
    ];
  }));
}

async function measure(program: string): Promise<Repetition> {
  const rates = [];
  for (const { direction, messages } of CASES) {
    for (const peers of PEERS) {
      const args = [direction, "chacha20", String(peers), "1", String(messages)];
      rates.push({ ...parse(await outputOf(program, args)), messages });
    }
  }
  const shares = [];
  for (const direction of DIRECTIONS) {
    const args = [direction, "chacha20", "1000", "1", String(FAIR_TURN), "poll", "fair"];
    shares.push(parseShares(await outputOf(program, args)));
  }
  return { rates, shares };
}

/** @throws {Error} for a line that the program would not write */
export function parseShares(line: string): Shares {
  const [name, , ...numbers] = line.trim().split(" ");
  const direction = DIRECTIONS.find((one) => one === name);
  const [, , jain = NaN, moved = NaN, ...more] = numbers.map(Number);
  const isShare = (value: number) => value > 0 && value <= 1;
  if (!direction || !isShare(jain) || !isShare(moved) || more.length > 0) {
    throw new Error(`no measurement: ${JSON.stringify(line)}`);
  }
  return { direction, jain, moved };
}

/** @throws {Error} for a line that the program would not write */
export function parseMemory(line: string): Memory {
  const [peers = NaN, configured = NaN, session = NaN, ...more] = line.trim().split(" ").map(
    Number,
  );
  if (!(peers > 0 && configured > 0 && session > 0) || more.length > 0) {
    throw new Error(`no measurement: ${JSON.stringify(line)}`);
  }
  return { peers, configured, session };
}
