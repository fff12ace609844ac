/**
 * Where a ping spends its time inside a tunnel: tcpdump(8) at both ends of the wire and at both interfaces of the tunnel
 * dates it four times on each way, when the tunnel is idle and beside one TCP stream.
 */

import type { Host } from "../lxc/host.ts";
import { Lab } from "../lxc/lab.ts";
import type { Process } from "../lxc/process.ts";
import { describeMachine } from "./machine.ts";
import { chosen, type Contender } from "./peers/contender.ts";
import { stream } from "./peers/iperf.ts";
import { MTU, ready, type Tunnel, WIRE } from "./peers/tunnel.ts";
import { Progress } from "../lxc/progress.ts";
import { Refusal } from "./refusal.ts";
import type { Figure, Result } from "./result.ts";
import { quantile } from "./statistics.ts";

/** Payload of a ping; what carries it outside is of a size that nothing else in the tunnel has. */
const PAYLOAD = 300;
/** IPv4 and ICMP. */
const INNER = PAYLOAD + 28;
/** What WireGuard adds: 16 before, 16 after, and zeros up to a multiple of 16 (whitepaper, 5.4.6). */
const MESSAGE = Math.ceil(INNER / 16) * 16 + 32;
/** A message of a full packet: the zeros end at the MTU. */
const FULL = MTU + 32;
/** IPv4 and UDP. */
const HEADERS = 28;
/** Of the two hosts. */
const OUTERS = {
  a: WIRE.a.addresses[0].split("/")[0] ?? "",
  b: WIRE.b.addresses[0].split("/")[0] ?? "",
};
/** Milliseconds between two pings: longer than one takes, so that what crosses the wire in between is its own. */
const INTERVAL = 25;
/** Seconds that a stream has to come up to speed. */
const RISE = 0.5;

/** Names of the places at which a ping is seen, in the order of its way. */
const PLACES = [
  "request at a's TUN",
  "request leaves a",
  "request reaches b",
  "request at b's TUN",
  "answer at b's TUN",
  "answer leaves b",
  "answer reaches a",
  "answer at a's TUN",
] as const;

/** What lies between two of them. */
const STAGES = [
  "queues of a's TUN, sealing",
  "wire",
  "b's socket, opening",
  "b's kernel answers",
  "queues of b's TUN, sealing",
  "wire back",
  "a's socket, opening",
] as const;

const WHENS = ["idle", "loaded"] as const;
type When = typeof WHENS[number];

/** A ping at its places: seconds of the machine's clock, in the order of {@link PLACES}. */
export type Seen = readonly number[];

export interface StagesOptions {
  readonly repetitions: number;
  readonly seconds: number;
  readonly only: readonly string[];
}

interface Run {
  readonly contender: string;
  readonly when: When;
  /** Pings that were answered, and of those, those that were seen at every place. */
  readonly answered: number;
  readonly seen: number;
  /** Microseconds of each stage, and at last of the whole: the middle and the 99th percentile. */
  readonly stages: readonly { readonly p50: number; readonly p99: number }[];
}

/** @throws {Refusal} when a contender cannot be had, or has no wire that is looked at */
export async function benchStages(options: StagesOptions, command: string): Promise<Result> {
  const names = options.only.length === 0 ? ["shoal-wg", "wireguard-go"] : options.only;
  const contenders = chosen(names);
  const [ours] = contenders;
  if (ours === undefined || contenders.length > 2) throw new Refusal("--only: one or two names");
  for (const { name } of contenders) {
    if (!/^(?:shoal-wg|wireguard|boringtun|gotatun)/.test(name)) {
      throw new Refusal(`${name}: stages are known of what speaks WireGuard's messages alone`);
    }
  }
  const versions = new Map<string, string>();
  const runs: Run[] = [];
  const progress = new Progress(options.repetitions * contenders.length);
  for (let turn = 1; turn <= options.repetitions; turn++) {
    for (const contender of contenders) {
      progress.step(`turn ${turn}, ${contender.name}`);
      const { version, found } = await measure(contender, options.seconds);
      versions.set(contender.name, version);
      runs.push(...found);
    }
  }
  progress.end();
  // Ours first: the ratio is of the two.
  const order = contenders.toSorted((a, b) =>
    Number(b.role === "ours") - Number(a.role === "ours")
  );
  return {
    v: 1,
    name: "stages",
    title: "Where a ping spends its time in a tunnel",
    method: METHOD,
    command,
    machine: await describeMachine(),
    parameters: { repetitions: options.repetitions, seconds: options.seconds },
    figures: FIGURES.map(({ figure }) => figure),
    series: order.map(({ name }) => ({
      contender: name,
      version: versions.get(name) ?? "-",
      values: Object.fromEntries(FIGURES.map(({ figure, when, stage, tail }) => [
        figure.key,
        runs.filter((run) => run.contender === name && run.when === when)
          .map((run) => run.stages[stage]?.[tail] ?? NaN),
      ])),
    })),
    raw: runs,
  };
}

const METHOD = [
  `fping sends ${PAYLOAD} bytes every ${INTERVAL} ms through a tunnel between two hosts; tcpdump dates them where the ` +
  "kernel hands them to the tunnel's interface or takes them from it, and dates the message that carries each on both ends " +
  `of the wire, by its size (${MESSAGE} bytes, alone or at the end of a train of full messages). A ping that was not ` +
  "seen at all eight places is left out, and counted in the data. First the tunnel is idle; then one TCP stream goes " +
  "the way of the request.",
];

interface StageFigure {
  readonly figure: Figure;
  readonly when: When;
  readonly stage: number;
  readonly tail: "p50" | "p99";
}

const FIGURES: readonly StageFigure[] = WHENS.flatMap((when) =>
  [...STAGES, "all"].flatMap((title, stage) =>
    (["p50", "p99"] as const).map((tail): StageFigure => ({
      figure: {
        key: `${when}_${stage}_${tail}`,
        title: `${when}: ${title}, ${tail}`,
        unit: "us",
        better: "lower",
      },
      when,
      stage,
      tail,
    }))
  )
);

async function measure(
  contender: Contender,
  seconds: number,
): Promise<{ readonly version: string; readonly found: Run[] }> {
  const { found, missing } = await contender.seek();
  if (found === undefined) throw new Refusal(`${contender.name}: ${missing}`);
  await using lab = await Lab.open();
  const hosts = [await lab.host("a"), await lab.host("b")] as const;
  await lab.link(...hosts, WIRE);
  const tunnel = await ready(await found.open(hosts));
  const runs: Run[] = [];
  for (const when of WHENS) runs.push(await watch(contender.name, tunnel, when, seconds));
  return { version: found.version, found: runs };
}

async function watch(name: string, tunnel: Tunnel, when: When, seconds: number): Promise<Run> {
  const { hosts: [a, b], addresses, device } = tunnel;
  const inner = `icmp and ip[2:2] = ${INNER}`;
  const outer = `udp and (ip[2:2] - ${HEADERS}) % ${FULL} = ${MESSAGE}`;
  const captures = [
    await Dump.open(a, device, inner),
    await Dump.open(a, "eth0", outer),
    await Dump.open(b, "eth0", outer),
    await Dump.open(b, device, inner),
  ];
  const load = when === "loaded"
    ? stream(a, b, addresses[1], { streams: 1, seconds: Math.ceil(seconds + 2 * RISE) })
    : Promise.resolve(undefined);
  if (when === "loaded") await pass(RISE);
  const count = Math.max(1, Math.floor(seconds * 1000 / INTERVAL));
  const pings = ["-b", String(PAYLOAD), "-p", String(INTERVAL), "-c", String(count)];
  const argv = ["fping", "-q", "-i", "1", "-t", "1000", ...pings, addresses[1]];
  const { stderr } = await a.run(argv, { timeout: seconds * 1000 + 30_000, check: false });
  await load;
  const [aTun = "", aWire = "", bWire = "", bTun = ""] = await Promise.all(
    captures.map((capture) => capture.close()),
  );
  const seen = follow({ aTun, aWire, bWire, bTun });
  const answered = Number(/xmt\/rcv\/%loss = \d+\/(\d+)\//.exec(stderr)?.[1]);
  return { contender: name, when, answered, seen: seen.length, stages: stagesOf(seen) };
}

/** The texts of the four captures. */
export interface Captures {
  readonly aTun: string;
  readonly aWire: string;
  readonly bWire: string;
  readonly bTun: string;
}

/**
 * The pings that were seen at every place. On the wire one is known by its time alone: it is the first message of its size
 * after it was seen at the place before, and before it was seen at the place behind.
 */
export function follow({ aTun, aWire, bWire, bTun }: Captures): Seen[] {
  const [left, right] = [pingsOf(aTun), pingsOf(bTun)];
  const [aTimes, bTimes] = [timesOf(aWire, OUTERS.a), timesOf(bWire, OUTERS.b)];
  return [...left.request.keys()].flatMap((number): Seen[] => {
    const times = [
      left.request.get(number),
      right.request.get(number),
      right.reply.get(number),
      left.reply.get(number),
    ];
    const [asked, arrived, answered, back] = times;
    if (
      asked === undefined || arrived === undefined || answered === undefined || back === undefined
    ) return [];
    const out = firstWithin(aTimes.out, asked, arrived);
    const into = firstWithin(bTimes.into, out ?? NaN, arrived);
    const backOut = firstWithin(bTimes.out, answered, back);
    const backInto = firstWithin(aTimes.into, backOut ?? NaN, back);
    if (out === undefined || into === undefined) return [];
    if (backOut === undefined || backInto === undefined) return [];
    return [[asked, out, into, arrived, answered, backOut, backInto, back]];
  });
}

/** Microseconds of each stage, and at last of the whole. */
export function stagesOf(seen: readonly Seen[]): { p50: number; p99: number }[] {
  const between = (from: number, to: number) => {
    const us = seen.map((times) => 1e6 * ((times[to] ?? NaN) - (times[from] ?? NaN)));
    return { p50: quantile(us, 0.5), p99: quantile(us, 0.99) };
  };
  return [...STAGES.map((_, i) => between(i, i + 1)), between(0, PLACES.length - 1)];
}

function pingsOf(text: string): Record<"request" | "reply", Map<string, number>> {
  const found = { request: new Map<string, number>(), reply: new Map<string, number>() };
  const line = /^([\d.]+) .*ICMP echo (request|reply), id (\d+), seq (\d+),/gm;
  for (const [, time, kind, id, number] of text.matchAll(line)) {
    found[kind === "request" ? "request" : "reply"].set(`${id} ${number}`, Number(time));
  }
  return found;
}

/** Of messages that leave a host and that reach it, in the order of their times. */
function timesOf(text: string, own: string): { readonly out: number[]; readonly into: number[] } {
  const lines = [...text.matchAll(/^([\d.]+) IP (\S+)\.\d+ > /gm)];
  const times = (isOut: boolean) =>
    lines.filter(([, , from]) => (from === own) === isOut).map(([, time]) => Number(time))
      .sort((one, other) => one - other);
  return { out: times(true), into: times(false) };
}

function firstWithin(times: readonly number[], from: number, to: number): number | undefined {
  return times.find((time) => time >= from && time <= to);
}

/** tcpdump at one interface. Owner: whoever opened it; ends with the laboratory at the latest. */
class Dump {
  readonly #text: Promise<string>;

  private constructor(private readonly process: Process) {
    this.#text = new Response(process.stdout).text();
  }

  static async open(host: Host, device: string, filter: string): Promise<Dump> {
    const argv = ["tcpdump", "-i", device, "-nn", "-tt", "-l", "-Z", "root"];
    const precise = ["--time-stamp-precision=nano", "--immediate-mode", "-B", "8192"];
    const process = host.spawn([...argv, ...precise, filter], {
      stdout: "piped",
      stderr: "piped",
    });
    const said = process.stderr.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ""; !text.includes("listening on");) {
      const { value, done } = await said.read();
      if (done) throw new Error(`${host.name}: tcpdump ended: ${text.trim()}`);
      text += value;
    }
    void (async () => {
      while (!(await said.read()).done);
    })();
    return new Dump(process);
  }

  /** What it has printed, to the last packet. */
  async close(): Promise<string> {
    await pass(0.2);
    await this.process.stop();
    return await this.#text;
  }
}

const pass = (seconds: number) => new Promise((go) => setTimeout(go, 1000 * seconds));
