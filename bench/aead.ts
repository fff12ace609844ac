/** What it costs to seal and open one packet: each suite with each back-end, by size and batch. */

import { Progress } from "../lxc/progress.ts";
import { buildProgram, outputOf } from "./core_program.ts";
import { type Undisturbed, undisturbed, unrest } from "./cpu.ts";
import { describeMachine } from "./machine.ts";
import type { Figure, Result } from "./result.ts";

const SIZES = [64, 576, 1424];
const BATCHES = [1, 8, 45];
/** The faster ones first: the ratio is of the first two. */
const BACKENDS = ["shoal-avx512", "ipsec-mb", "openssl", "shoal-avx2", "libsodium"];
const SUITES = ["ChaCha20-Poly1305", "AES-256-GCM"];

const METHOD = [
  "A program of core/'s own objects (`core/tests/bench/aead_bench.c`) calls the batch interface that the packet path " +
  "calls, in one thread: the same key throughout, a counter of its own for each packet, out of place, all buffers warm. " +
  "For each suite, direction, size and batch the back-ends have slices of a millisecond in turn, and the median of 15 " +
  "is taken of each; a repetition is one run of the program. *GB/s* is bytes of text over that time. 64 bytes stand for acknowledgments and voice, 1,424 for a full packet at MTU 1420; a batch of 45 is what " +
  "one `UDP_SEGMENT` message holds. A back-end that this machine lacks is left out.",
];

/** One line of the program. */
interface Measured {
  readonly suite: string;
  readonly backend: string;
  readonly direction: "seal" | "open";
  readonly bytes: number;
  readonly batch: number;
  readonly ns: number;
}

interface Wanted {
  readonly figure: Figure;
  readonly of: (measured: Measured) => boolean;
  readonly value: (ns: number) => number;
}

function nanoseconds(direction: Measured["direction"], bytes: number, batch: number): Wanted {
  return {
    figure: {
      key: `${direction}_${bytes}_${batch}_ns`,
      title: `${direction} ${bytes} B, ${batch === 1 ? "single" : `batch of ${batch}`}`,
      unit: "ns a packet",
      better: "lower",
    },
    of: (m) => m.direction === direction && m.bytes === bytes && m.batch === batch,
    value: (ns) => ns,
  };
}

function gigabytes(direction: Measured["direction"], bytes: number): Wanted {
  return {
    figure: {
      key: `${direction}_${bytes}_8_gbs`,
      title: `${direction} ${bytes} B, batch of 8`,
      unit: "GB/s",
      better: "higher",
    },
    of: (m) => m.direction === direction && m.bytes === bytes && m.batch === 8,
    value: (ns) => bytes / ns,
  };
}

const WANTED: readonly Wanted[] = [
  ...SIZES.flatMap((bytes) => BATCHES.map((batch) => nanoseconds("seal", bytes, batch))),
  ...SIZES.flatMap((bytes) => BATCHES.map((batch) => nanoseconds("open", bytes, batch))),
  ...SIZES.flatMap((bytes) => [gigabytes("seal", bytes), gigabytes("open", bytes)]),
];

export async function benchAead(
  options: { readonly repetitions: number },
  command: string,
): Promise<Result> {
  const program = await buildProgram("aead_bench");
  const raw: Undisturbed<{ measured: Measured[] }>[] = [];
  const progress = new Progress(options.repetitions);
  for (let repetition = 1; repetition <= options.repetitions; repetition++) {
    progress.step(`repetition ${repetition}`);
    raw.push(await undisturbed(async () => ({ measured: parse(await outputOf(program)) })));
  }
  progress.end();
  const machine = await describeMachine();
  const contenders = SUITES.flatMap((suite) => BACKENDS.map((backend) => ({ suite, backend })))
    .filter(({ suite, backend }) =>
      raw[0]?.measured.some((m) => m.suite === suite && m.backend === backend)
    );
  return {
    v: 1,
    name: "aead",
    title: "What it costs to seal and open a packet",
    method: [...unrest(raw), ...METHOD],
    command,
    machine,
    parameters: { repetitions: options.repetitions },
    figures: WANTED.map(({ figure }) => figure),
    series: contenders.map(({ suite, backend }) => ({
      contender: `${suite === "AES-256-GCM" ? "GCM" : "ChaCha20"} ${backend}`,
      version: machine.commit,
      values: Object.fromEntries(WANTED.map(({ figure, of, value }) => [
        figure.key,
        raw.flatMap(({ measured }) =>
          measured.filter((m) => m.suite === suite && m.backend === backend && of(m))
            .map(({ ns }) => value(ns))
        ),
      ])),
    })),
    raw,
  };
}

/** @throws {Error} for a line that the program would not write */
export function parse(text: string): Measured[] {
  return text.trim().split("\n").map((line) => {
    const [suite = "", backend = "", direction, ...numbers] = line.split(" ");
    const [bytes = NaN, batch = NaN, ns = NaN, ...more] = numbers.map(Number);
    const right = SUITES.includes(suite) && BACKENDS.includes(backend) && ns > 0 && bytes > 0 &&
      batch > 0 && more.length === 0;
    if (!right || (direction !== "seal" && direction !== "open")) {
      throw new Error(`no measurement: ${JSON.stringify(line)}`);
    }
    return { suite, backend, direction, bytes, batch, ns };
  });
}
