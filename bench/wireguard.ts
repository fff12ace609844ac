/**
 * Our WireGuard mode beside the current wireguard-go, like with like: the same two namespaces, the same configuration,
 * the same traffic, in turns.
 */

import { Device, makeKeys } from "../lxc/device.ts";
import { Lab } from "../lxc/lab.ts";
import { type Implementation, seekPeer, shoal } from "../lxc/peers.ts";
import { Progress } from "../lxc/progress.ts";
import { until } from "../lxc/until.ts";
import { cpuTicks, TICK_NS, ticksBetween, type Undisturbed, undisturbed, unrest } from "./cpu.ts";
import { describeMachine } from "./machine.ts";
import type { Figure, Result } from "./result.ts";
import { median, quantile } from "./statistics.ts";

const MTU = 1420;

const FIGURES: readonly Figure[] = [
  {
    key: "stream",
    title: "one TCP stream",
    unit: "Gbit/s",
    better: "higher",
    goal: { of: "ratio", bound: 1.4 },
  },
  {
    key: "cpu",
    title: "CPU of the whole machine",
    unit: "ns/KiB",
    better: "lower",
    goal: { of: "ratio", bound: 0.75 },
  },
  {
    key: "ping",
    title: "idle ping p50",
    unit: "ms",
    better: "lower",
    goal: { of: "ratio", bound: 0.9 },
  },
  {
    key: "start",
    title: "start until the socket answers",
    unit: "s",
    better: "lower",
    goal: { of: "value", bound: 1 },
  },
];

const METHOD = [
  "Two network namespaces joined by a veth pair, a WireGuard device in each, MTU 1420, IPv4 inside and outside, " +
  "no preshared key. Everything (both devices, both ends of the stream, the kernel) shares the machine's cores. Each " +
  "repetition starts both devices anew; the contenders take turns, and which one begins alternates.",
  "*Stream*: `iperf3 -C cubic`, one connection, the receiver's count. *CPU*: the ticks of `/proc/stat` that were " +
  "neither idle nor waiting nor stolen (user, nice, system, irq, softirq of all CPUs) from just before iperf3 started " +
  "to just after it ended, times 10 ms, over the KiB that the receiver got. *Ping*: the median round trip of `ping` " +
  "every 10 ms over the idle tunnel. *Start*: from starting the program (for ours `./run wg -f wg0`) until its " +
  "socket answered `get=1`, asked every millisecond; entering the namespace is part of it for both.",
];

interface Repetition {
  readonly contender: string;
  readonly repetition: number;
  readonly start_ms: readonly number[];
  readonly ping_ms: readonly number[];
  readonly bytes: number;
  readonly seconds: number;
  readonly retransmits: number;
  readonly busy_ticks: number;
  readonly stolen_ticks: number;
}

export interface WireguardOptions {
  readonly repetitions: number;
  /** Seconds of each stream. */
  readonly seconds: number;
  readonly pings: number;
}

export async function benchWireguard(options: WireguardOptions, command: string): Promise<Result> {
  const sought = await seekPeer("wireguard-go");
  if (sought.found === undefined) throw new Error(`wireguard-go: ${sought.missing}`);
  const contenders = [await shoal(), sought.found];
  const rows: Undisturbed<Repetition>[] = [];
  const progress = new Progress(options.repetitions * contenders.length);
  for (let repetition = 1; repetition <= options.repetitions; repetition++) {
    const order = repetition % 2 === 1 ? contenders : [...contenders].reverse();
    for (const contender of order) {
      progress.step(`${contender.name}, repetition ${repetition}`);
      rows.push(await undisturbed(() => measure(contender, repetition, options)));
    }
  }
  progress.end();
  return {
    v: 1,
    name: "wireguard",
    title: "WireGuard mode beside wireguard-go",
    method: [...unrest(rows), ...METHOD],
    command,
    machine: await describeMachine(),
    parameters: { ...options, mtu: MTU, congestion_control: "cubic" },
    figures: FIGURES,
    series: contenders.map(({ name, version }) => {
      const own = rows.filter(({ contender }) => contender === name);
      return {
        contender: name,
        version,
        values: {
          stream: own.map(({ bytes, seconds }) => bytes * 8 / seconds / 1e9),
          cpu: own.map((row) => row.busy_ticks * TICK_NS / (row.bytes / 1024)),
          ping: own.map(({ ping_ms }) => quantile(ping_ms, 0.5)),
          start: own.map(({ start_ms }) => median(start_ms) / 1000),
        },
      };
    }),
    raw: rows,
  };
}

async function measure(
  contender: Implementation,
  repetition: number,
  options: WireguardOptions,
): Promise<Repetition> {
  await using lab = await Lab.open();
  const [a, b] = [await lab.host("a"), await lab.host("b")];
  await lab.link(a, b, { a: { addresses: ["10.0.0.1/24"] }, b: { addresses: ["10.0.0.2/24"] } });
  const keys = [await makeKeys(a), await makeKeys(b)] as const;
  // One after the other, so that neither start is slowed by the other.
  const devices = [await Device.start(a, contender), await Device.start(b, contender)] as const;
  for (const i of [0, 1] as const) {
    const other = i === 0 ? 1 : 0;
    await devices[i].configure({
      privateKey: keys[i].privateKey,
      port: 51820,
      addresses: [`10.7.0.${i + 1}/32`],
      mtu: MTU,
      peers: [{
        publicKey: keys[other].publicKey,
        allowedIps: [`10.7.0.${other + 1}/32`],
        endpoint: `10.0.0.${other + 1}:51820`,
      }],
    });
  }
  await a.run(["ping", "-c", "3", "-i", "0.2", "-W", "5", "10.7.0.2"]);

  const { stdout } = await a.run(
    ["ping", "-i", "0.01", "-c", String(options.pings), "-W", "1", "10.7.0.2"],
    { timeout: options.pings * 10 + 60_000 },
  );
  const ping = [...stdout.matchAll(/time=([\d.]+) ms/g)].map((match) => Number(match[1]));
  if (ping.length < options.pings * 0.99) {
    throw new Error(
      `${contender.name}: only ${ping.length} of ${options.pings} pings were answered`,
    );
  }

  const server = b.spawn(["iperf3", "-s", "-1", "-B", "10.7.0.2"], { stdout: "null" });
  await until("iperf3 listens", 5000, async () => {
    return (await b.run(["ss", "-ltnH", "sport = 5201"])).stdout !== "";
  });
  const client = ["iperf3", "-c", "10.7.0.2", "-C", "cubic", "-t", String(options.seconds), "-J"];
  const before = await cpuTicks();
  const run = await a.run(client, { timeout: options.seconds * 1000 + 30_000 });
  const ticks = ticksBetween(before, await cpuTicks());
  await server.status;
  const { sum_received: received, sum_sent: sent } = JSON.parse(run.stdout).end;
  await Promise.all(devices.map((device) => device.stop()));
  return {
    contender: contender.name,
    repetition,
    start_ms: devices.map(({ startMs }) => startMs),
    ping_ms: ping,
    bytes: received.bytes,
    seconds: received.seconds,
    retransmits: sent.retransmits,
    busy_ticks: ticks.busy,
    stolen_ticks: ticks.stolen,
  };
}
