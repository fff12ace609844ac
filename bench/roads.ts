/** Roads that Shoal does not take, each beside what it does today. */

import { Progress } from "../lxc/progress.ts";
import { buildProgram, outputOf } from "./core_program.ts";
import { spending, type Undisturbed, unrest } from "./cpu.ts";
import { describeMachine } from "./machine.ts";
import type { Absence, Figure, Result } from "./result.ts";

const OURS = "Shoal";
const THEIRS = "the other road";

const METHOD = [
  "One program of core/'s own objects (`core/tests/bench/roads_bench.c`) has what Shoal does and the other road in turn, " +
  "eleven slices of some milliseconds each on the same data, before everything else that wants a processor, and takes the " +
  "medians; a repetition is one run of it. Network: namespaces, and pairs of veth between them.",
  "*AF_ALG*: 1,424 bytes sealed by one request each (`sendmsg`, `read`), beside the batch call of core. Its floor is as many " +
  "bytes written to a pipe and read from it: two system calls and two copies, and no cipher. *Zero-copy*: `MSG_ZEROCOPY`, " +
  "the completions read, beside plain calls; trains are 45 messages of 1,452 bytes in one `UDP_SEGMENT` message, sealed with " +
  "AES-256-GCM before where it says so (by plain calls into one buffer, without a copy into eight in turn). A veth's far " +
  "end throws away what comes, after a copy; an IFB frees it unread, as if a card had fetched it. *SQPOLL*: requests for a " +
  "thread of the kernel on the other processor. CPU is that of both.",
  "*AF_XDP*: native, in copy mode, beside `recvmsg` with `UDP_GRO`. What comes in is sent while nobody reads, in the same " +
  "thread, and read afterwards, every byte once: *in all* is both, *receiver* is the second part. A train crosses " +
  "the veth whole, as a veth does it, or as on a wire, datagram by datagram, and is gathered by GRO of the far end's NAPI; AF_XDP has it " +
  "datagram by datagram. *Waiting*: a datagram of 64 bytes every 200 us to an echo on the other processor; who asks spins. " +
  "CPU is the share of a core that the echo's thread had (where NAPI has a thread of its own, without that).",
  "*Queue*: 480 super-packets of 44 datagrams lie in the ring of a TUN, and are read, sealed and sent to a veth, by two " +
  "threads that take turns as core's do (read under a lock, seal under none, send in order), or where one takes over from the other " +
  "through eight buffers: the second one seals and sends, or only seals, or is the kernel's (SQPOLL) and only sends. Both spin while they wait. " +
  "*A train that another processor wrote* is read: every hand-over between threads pays that, and it tells whether the two processors of a machine share a near cache.",
];

const SUITES = { chacha20: "ChaCha20", "aes-gcm": "AES-GCM" } as const;

/** What a line of the program is about, as it names it. */
interface Subject {
  readonly road: string;
  readonly way: string;
  readonly figure: string;
}

interface Wanted extends Subject {
  readonly shown: Figure;
}

function wanted(
  road: string,
  way: string,
  figure: string,
  title: string,
  unit: string,
  better: Figure["better"] = "lower",
): Wanted {
  const key = `${road}_${way}_${figure}`;
  return { road, way, figure, shown: { key, title, unit, better } };
}

const ZEROCOPY = { veth: "to a veth", ifb: "to an IFB" };
const RECEIVED = {
  veth: "trains, whole",
  wire: "trains, as on a wire",
  smalls: "96 B, one by one",
};
const WAITS = {
  "busy-poll": "busy polling",
  spinning: "spinning",
  "threaded-napi": "NAPI in a kernel thread",
};
const THREADS = {
  alone: "one thread",
  sends: "second seals and sends",
  seals: "second seals",
  sqpoll: "SQPOLL sends",
};

const WANTED: readonly Wanted[] = [
  ...Object.entries(SUITES).flatMap(([suite, name]) => [
    wanted("af-alg", suite, "seal", `AF_ALG, ${name}`, "ns"),
    wanted("af-alg", `${suite}-floor`, "seal", `AF_ALG's floor, ${name}`, "ns"),
  ]),
  ...Object.entries(ZEROCOPY).flatMap(([sink, where]) => [
    wanted("zero-copy", `${sink}-trains`, "taken", `zero-copy: trains ${where}`, "ns a message"),
    wanted(
      "zero-copy",
      `${sink}-sealed`,
      "taken",
      `zero-copy: sealed trains ${where}`,
      "ns a message",
    ),
    wanted("zero-copy", `${sink}-smalls`, "taken", `zero-copy: 96 B ${where}`, "ns a message"),
  ]),
  ...["trains", "smalls"].flatMap((what) => [
    wanted(
      "sqpoll",
      what,
      "taken",
      `SQPOLL: ${what === "trains" ? "trains" : "96 B"}`,
      "ns a message",
    ),
    wanted(
      "sqpoll",
      what,
      "spent",
      `SQPOLL: CPU of ${what === "trains" ? "trains" : "96 B"}`,
      "ns a message",
    ),
  ]),
  ...Object.entries(RECEIVED).flatMap(([way, what]) => [
    wanted("af-xdp", way, "whole", `AF_XDP: ${what}, in all`, "ns a datagram"),
    wanted("af-xdp", way, "receiver", `AF_XDP: ${what}, receiver`, "ns a datagram"),
  ]),
  wanted("af-xdp", "zero-copy", "whole", "AF_XDP without a copy", "ns a datagram"),
  ...Object.entries(WAITS).flatMap(([way, what]) => [
    wanted("waiting", way, "round-trip", `${what}: round trip`, "us"),
    wanted("waiting", way, "core", `${what}: CPU`, "% of a core"),
  ]),
  ...Object.entries(SUITES).flatMap(([suite, name]) =>
    Object.entries(THREADS).flatMap(([way, what]) => [
      wanted(`queue-${suite}`, way, "rate", `queue, ${name}: ${what}`, "Gbit/s", "higher"),
      wanted(`queue-${suite}`, way, "spent", `queue, ${name}: ${what}, CPU`, "ns a packet"),
    ])
  ),
  wanted("crossing", "train", "read", "a train that another processor wrote", "us"),
];

/** What Shoal does and what the other road does. */
interface Measured extends Subject {
  readonly ours: number;
  readonly theirs: number;
}

/** What this machine does not have. */
interface Lack {
  readonly road: string;
  readonly way: string;
  readonly why: string;
}

interface Told {
  readonly measured: readonly Measured[];
  readonly lacks: readonly Lack[];
}

export async function benchRoads(
  options: { readonly repetitions: number },
  command: string,
): Promise<Result> {
  const program = await buildProgram("roads_bench");
  const raw: Undisturbed<Told>[] = [];
  const progress = new Progress(options.repetitions);
  for (let repetition = 1; repetition <= options.repetitions; repetition++) {
    progress.step(`repetition ${repetition}`);
    const [told, { foreign, total }] = await spending(async () => {
      return parse(await outputOf(program));
    });
    raw.push({ ...told, background: foreign / Math.max(1, total) });
  }
  progress.end();
  const machine = await describeMachine();
  const figures = WANTED.filter((one) => raw.some(({ measured }) => measured.some(isOf(one))));
  const series = (contender: string, value: (measured: Measured) => number) => ({
    contender,
    version: machine.commit,
    values: Object.fromEntries(figures.map((one) => [
      one.shown.key,
      raw.map(({ measured }) => {
        const found = measured.find(isOf(one));
        return found === undefined ? NaN : value(found);
      }),
    ])),
  });
  return {
    v: 1,
    name: "roads",
    title: "Roads not taken",
    method: [...unrest(raw), ...METHOD],
    command,
    machine,
    parameters: { repetitions: options.repetitions },
    figures: figures.map(({ shown }) => shown),
    series: [series(OURS, ({ ours }) => ours), series(THEIRS, ({ theirs }) => theirs)],
    comparison: { ours: [OURS], baselines: [THEIRS] },
    left_out: absences(raw.flatMap(({ lacks }) => lacks)),
    raw,
  };
}

function isOf(subject: Subject): (other: Subject) => boolean {
  return ({ road, way, figure }) =>
    road === subject.road && way === subject.way && figure === subject.figure;
}

/** Each once, however often it was said. */
export function absences(lacks: readonly Lack[]): Absence[] {
  const all = new Map(lacks.map(({ road, way, why }) => [`${road}, ${way}`, why]));
  return [...all].map(([contender, why]) => ({ contender, why }));
}

/** @throws {Error} for a line that the program would not write */
export function parse(text: string): Told {
  const measured: Measured[] = [];
  const lacks: Lack[] = [];
  for (const line of text.trim().split("\n")) {
    const [road = "", way = "", figure = "", ...rest] = line.split(" ");
    const isKnown = WANTED.some((one) =>
      one.road === road && one.way === way && (figure === "lacks" || one.figure === figure)
    );
    const [ours = NaN, theirs = NaN, ...more] = rest.map(Number);
    if (isKnown && figure === "lacks" && Number.isInteger(ours) && rest.length > 1) {
      lacks.push({ road, way, why: `${rest.slice(1).join(" ")} (errno ${ours})` });
    } else if (isKnown && figure !== "lacks" && ours > 0 && theirs > 0 && more.length === 0) {
      measured.push({ road, way, figure, ours, theirs });
    } else throw new Error(`no measurement: ${JSON.stringify(line)}`);
  }
  return { measured, lacks };
}
