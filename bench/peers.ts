/** Shoal beside other tunnels, in one run on one machine, in turns. */

import { Lab } from "../lxc/lab.ts";
import { Progress } from "../lxc/progress.ts";
import { describeMachine } from "./machine.ts";
import { chosen, CONTENDERS, type Found } from "./peers/contender.ts";
import { floodRefusal } from "./peers/iperf.ts";
import { type Measure, measures, POOLED } from "./peers/measures.ts";
import { tails } from "./peers/ping.ts";
import { NAMESPACES, type Place } from "./peers/place.ts";
import { MTU, ready } from "./peers/tunnel.ts";
import { Refusal } from "./refusal.ts";
import type { Absence, Result, Series } from "./result.ts";

export interface PeersOptions {
  readonly repetitions: number;
  /** Of each stream; default 3, of a full run 5. */
  readonly seconds: number | undefined;
  readonly full: boolean;
  /** Names; empty: all that belong to the run. */
  readonly only: readonly string[];
}

/** Seconds that it takes to make and to end a tunnel. */
const TUNNEL_S = 2;

/** What is measured and how long it will take. */
export interface Plan {
  readonly names: readonly string[];
  readonly measures: readonly Measure[];
  readonly repetitions: number;
  readonly seconds: number;
  /** Seconds of the whole, for so many contenders. */
  lasts(contenders: number): number;
}

/** @throws Refusal when a name is none of the table's */
export function planOf(options: PeersOptions): Plan {
  const { repetitions, full, only } = options;
  const seconds = options.seconds ?? (full ? 5 : 3);
  const those = only.length > 0 ? chosen(only) : CONTENDERS.filter(({ always }) => full || always);
  const all = measures(full);
  const one = all.reduce((sum, { lasts }) => sum + lasts(seconds), TUNNEL_S);
  return {
    names: those.map(({ name }) => name),
    measures: all,
    repetitions,
    seconds,
    lasts: (contenders) => one * contenders * repetitions,
  };
}

const method = ({ words }: Place) => [
  `${words}, MTU ${MTU} inside (the wire itself: 1500), IPv4 inside and outside. ` +
  "Everything (both ends of the tunnel, both ends of the traffic, the kernel) shares the machine's cores. The contenders " +
  "take turns: each repetition measures all of them, each with a new tunnel, and begins with another one. " +
  "*Ratios* are of medians; in brackets the smallest and the largest ratio of two that were measured in the same " +
  "repetition. *Better* and *worse* say that all repetitions agree.",
  "*TCP*: `iperf3 -C cubic`, the receiver's count; *back* is the other direction. *CPU*: the ticks of `/proc/stat` that were " +
  "neither idle nor waiting nor stolen, without those that processes had which have nothing to do with the benchmark. " +
  "*UDP*: `iperf3 -u -b 0 -w 4M`, a sender without limit; what arrived. *Lost*: counters of the kernel, both ends " +
  "together: what the TUN interface dropped, its queueing discipline, `/proc/net/udp` of the tunnel's own port, " +
  "`RcvbufErrors` of all other sockets, `/proc/net/softnet_stat`; the rest is elsewhere. *Ping*: `fping -p 2`, a packet every 2 ms; p99 of at " +
  "least 1,000 samples, p99.9 of at least 10,000, else –. *Requests*: `sockperf ping-pong --tcp`. " +
  "*Handshakes*, of those who speak WireGuard: initiations made beforehand, of initiators at 192 addresses that the device " +
  "knows, 64 under way at a time; the sender shares the cores.",
];

interface Row {
  readonly contender: string;
  readonly repetition: number;
  readonly measure: string;
  readonly raw: unknown;
}

/** What is compared: a name for the result, and where. */
export interface Comparison {
  readonly name: string;
  readonly title: string;
  readonly place: Place;
}

export function benchPeers(options: PeersOptions, command: string): Promise<Result> {
  const peers = { name: "peers", title: "Shoal beside other tunnels", place: NAMESPACES };
  return compare(peers, options, command);
}

/** @throws Refusal when a name is none of the table's, or the machine cannot flood */
export async function compare(
  { name, title, place }: Comparison,
  options: PeersOptions,
  command: string,
): Promise<Result> {
  const plan = planOf(options);
  const refusal = floodRefusal(
    await sizeLimit("rmem_max"),
    await sizeLimit("wmem_max"),
  );
  if (refusal !== undefined) throw new Refusal(refusal);
  const [found, leftOut] = await seek(plan.names);
  const names = [...found.keys()];
  const minutes = Math.ceil(plan.lasts(names.length) / 60);
  console.error(`${names.length} contenders, ${plan.repetitions} repetitions: ${minutes} minutes`);

  const values = new Map(names.map((name) => [name, empty(plan)]));
  const samples = new Map(names.map((name) => [name, new Map<string, number[]>()]));
  const failures: Absence[] = [];
  const raw: Row[] = [];
  const progress = new Progress(plan.repetitions * names.length);
  for (let repetition = 1; repetition <= plan.repetitions; repetition++) {
    for (const contender of turn(names, repetition - 1)) {
      progress.step(`${contender}, repetition ${repetition}`);
      const note = (measure: string, why: unknown) => {
        const text = why instanceof Error ? why.message : String(why);
        failures.push({
          contender: `${contender}, repetition ${repetition}, ${measure}`,
          why: text,
        });
      };
      const one = found.get(contender);
      if (one === undefined) continue;
      for await (const each of measureAll(one, plan, place, note)) {
        raw.push({ contender, repetition, measure: each.measure, raw: each.raw });
        for (const [key, value] of Object.entries(each.values)) {
          const own = values.get(contender)?.[key];
          if (own !== undefined) own[repetition - 1] = value;
        }
        for (const [group, ms] of Object.entries(each.samples ?? {})) {
          const own = samples.get(contender);
          own?.set(group, [...own.get(group) ?? [], ...ms]);
        }
      }
    }
  }
  progress.end();
  const role = (wanted: string) =>
    CONTENDERS.filter((one) => one.role === wanted && found.has(one.name)).map(({ name }) => name);
  return {
    v: 1,
    name,
    title,
    method: method(place),
    command,
    machine: await describeMachine(),
    parameters: {
      repetitions: plan.repetitions,
      seconds: plan.seconds,
      full: String(options.full),
    },
    figures: plan.measures.flatMap(({ figures }) => figures),
    series: names.map((contender): Series => {
      const own = values.get(contender) ?? {};
      for (const group of POOLED) {
        const { p999 } = tails(samples.get(contender)?.get(group) ?? []);
        own[`ping_${group}_p999`] = [p999];
      }
      return { contender, version: found.get(contender)?.version ?? "", values: own };
    }),
    comparison: { ours: role("ours"), baselines: role("baseline") },
    left_out: leftOut,
    failures,
    raw,
  };
}

async function sizeLimit(name: string): Promise<number> {
  return Number(await Deno.readTextFile(`/proc/sys/net/core/${name}`));
}

/** Who can be had, in the order of the table, and who cannot. */
async function seek(names: readonly string[]): Promise<[Map<string, Found>, Absence[]]> {
  const found = new Map<string, Found>();
  const leftOut: Absence[] = [];
  for (const { name, seek } of CONTENDERS) {
    if (!names.includes(name)) continue;
    const sought = await seek();
    if (sought.found !== undefined) {
      found.set(name, sought.found);
      continue;
    }
    leftOut.push({ contender: name, why: sought.missing });
    console.error(`${name} is left out: ${sought.missing}`);
  }
  return [found, leftOut];
}

/** The names in an order that begins at another place each time. */
export function turn<T>(names: readonly T[], times: number): T[] {
  const at = names.length === 0 ? 0 : times % names.length;
  return [...names.slice(at), ...names.slice(0, at)];
}

function empty({ measures, repetitions }: Plan): Record<string, number[]> {
  const keys = measures.flatMap(({ figures }) => figures.map(({ key }) => key));
  return Object.fromEntries(keys.map((key) => [key, new Array<number>(repetitions).fill(NaN)]));
}

/** Measures one tunnel until something fails, which is noted: a tunnel that died is not asked again. */
async function* measureAll(
  contender: Found,
  { measures, seconds }: Plan,
  place: Place,
  note: (measure: string, why: unknown) => void,
) {
  await using lab = await Lab.open();
  let doing = "the making of the tunnel";
  try {
    const tunnel = await ready(await contender.open(await place.make(lab)));
    for (const { name, run } of measures) {
      doing = name;
      yield { measure: name, ...await run(tunnel, seconds) };
    }
  } catch (error) {
    note(doing, error);
  }
}
