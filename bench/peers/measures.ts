/** What is measured of each contender: a table of measures, one line each. */

import { spending, type Spent, TICK_NS } from "../cpu.ts";
import type { Figure } from "../result.ts";
import { type Drops, drops, dropsBetween, PLACES } from "./drops.ts";
import { flood, stream } from "./iperf.ts";
import { ping, pingsIn, type RoundTrips, tails } from "./ping.ts";
import { REQUEST_BYTES, requests } from "./requests.ts";
import { storm } from "./storm.ts";
import type { Tunnel } from "./tunnel.ts";

/** What one measure found: values of its figures, and all that was written down. */
export interface Found {
  readonly values: Readonly<Record<string, number>>;
  readonly raw: unknown;
  /** Of figures that need the samples of all repetitions, by the name of the group. */
  readonly samples?: Readonly<Record<string, readonly number[]>>;
}

export interface Measure {
  readonly name: string;
  readonly figures: readonly Figure[];
  /** Seconds that it takes when each stream takes so many. */
  lasts(seconds: number): number;
  run(tunnel: Tunnel, seconds: number): Promise<Found>;
}

/** Milliseconds that a stream has to come up to speed before it is pinged beside. */
const RISE_MS = 300;
/** Seconds that it takes to start and to end an iperf3, a sockperf, and a ping of idle tunnels, and a storm. */
const AROUND = { iperf: 0.6, sockperf: 2.8, ping: 0.3, storm: 4.5 };
const SHARES = [0.5, 1, 3];

/** @param full all of them, else what fits a quarter of an hour */
export function measures(full: boolean): Measure[] {
  return [
    // Of a full run more than 10,000 in all, even if some are lost: p99.9 needs as many.
    idle(full ? 2_200 : 1_000),
    requestRate(1),
    tcp({ streams: 1, from: 0, pinged: true }),
    tcp({ streams: 1, from: 1, pinged: false }),
    tcp({ streams: 4, from: 0, pinged: false }),
    tcp({ streams: 4, from: 1, pinged: false }),
    ...(full ? [64, 512, 1372] : [64, 1372]).map((size) => udp(size, full ? SHARES : [])),
    // Last, since it makes many peers of one.
    ...(full ? [handshakeStorm()] : []),
  ];
}

/** The names of groups of samples whose p99.9 is taken over all repetitions. */
export const POOLED = ["idle", "loaded"] as const;

function roundTripFigures(group: typeof POOLED[number], when: string): Figure[] {
  const figure = (tail: string, title: string): Figure => ({
    key: `ping_${group}_${tail}`,
    title: `ping, ${when}, ${title}`,
    unit: "ms",
    better: "lower",
  });
  return [figure("p50", "p50"), figure("p99", "p99"), figure("p999", "p99.9 of all repetitions")];
}

function roundTrips(group: typeof POOLED[number], { sent, ms }: RoundTrips) {
  const { p50, p99 } = tails(ms);
  return {
    values: { [`ping_${group}_p50`]: p50, [`ping_${group}_p99`]: p99 },
    raw: { sent, ms: ms.join(" ") },
    samples: { [group]: ms },
  };
}

function idle(count: number): Measure {
  return {
    name: "ping",
    figures: roundTripFigures("idle", "idle"),
    lasts: () => count / pingsIn(1) + AROUND.ping,
    async run({ hosts: [a], addresses }) {
      return roundTrips("idle", await ping(a, addresses[1], count));
    },
  };
}

function requestRate(seconds: number): Measure {
  const figure: Figure = {
    key: "requests",
    title: `requests of ${REQUEST_BYTES} B, one at a time`,
    unit: "a second",
    better: "higher",
  };
  return {
    name: "requests",
    figures: [figure],
    lasts: () => seconds + AROUND.sockperf,
    async run({ hosts: [a, b], addresses }) {
      const found = await requests(a, b, addresses[1], seconds);
      return { values: { requests: found.answered / found.seconds }, raw: found };
    },
  };
}

interface TcpOptions {
  readonly streams: number;
  /** Which host sends. */
  readonly from: 0 | 1;
  /** Whether the tunnel is pinged meanwhile. */
  readonly pinged: boolean;
}

function tcp({ streams, from, pinged }: TcpOptions): Measure {
  const name = `tcp${streams}${from === 0 ? "" : "_back"}`;
  const what = `${streams} TCP stream${streams === 1 ? "" : "s"}${from === 0 ? "" : " back"}`;
  return {
    name,
    figures: [
      { key: name, title: what, unit: "Gbit/s", better: "higher" },
      { key: `${name}_cpu`, title: `CPU of ${what}`, unit: "ns/KiB", better: "lower" },
      {
        key: `${name}_retransmits`,
        title: `retransmits of ${what}`,
        unit: "a GiB",
        better: "lower",
      },
      ...(pinged ? roundTripFigures("loaded", `beside ${what}`) : []),
    ],
    lasts: (seconds) => seconds + AROUND.iperf,
    async run(tunnel, seconds) {
      const { hosts, addresses } = tunnel;
      const to = from === 0 ? 1 : 0;
      const load = () => stream(hosts[from], hosts[to], addresses[to], { streams, seconds });
      const [[found, beside], spent, lost] = await account(tunnel, async () => {
        const asked = pinged ? pingBeside(tunnel, seconds) : undefined;
        return await Promise.all([load(), asked]);
      });
      const loaded = beside === undefined ? undefined : roundTrips("loaded", beside);
      return {
        values: {
          [name]: found.bytes * 8 / found.seconds / 1e9,
          [`${name}_cpu`]: nanoseconds(spent) / (found.bytes / 1024),
          [`${name}_retransmits`]: found.retransmits / (found.bytes / 2 ** 30),
          ...loaded?.values,
        },
        raw: { ...found, spent, lost, ping: loaded?.raw },
        ...(loaded && { samples: loaded.samples }),
      };
    },
  };
}

async function pingBeside({ hosts: [a], addresses }: Tunnel, seconds: number) {
  await new Promise((wake) => setTimeout(wake, RISE_MS));
  return await ping(a, addresses[1], pingsIn(seconds - 2 * RISE_MS / 1000));
}

/** @param shares of the packets that arrived of a flood without limit: floods with these are measured as well */
function udp(size: number, shares: readonly number[]): Measure {
  const key = `udp${size}`;
  const what = `UDP flood of ${size} B`;
  const detail = true;
  const places = [...PLACES, "elsewhere"] as const;
  return {
    name: key,
    figures: [
      { key, title: `${what}, arrived`, unit: "kpps", better: "higher" },
      { key: `${key}_cpu`, title: `CPU of ${what}`, unit: "ns/packet", better: "lower" },
      ...shares.map((share): Figure => ({
        key: `${key}_x${share}`,
        title: `${what}, sent at ${share} × that, arrived`,
        unit: "kpps",
        better: "higher",
      })),
      ...places.map((place): Figure => ({
        key: `${key}_${place}`,
        title: `${what}, lost: ${PLACE_WORDS[place]}`,
        unit: "% of sent",
        better: "lower",
        detail,
      })),
    ],
    lasts: (seconds) => (1 + shares.length) * (seconds + AROUND.iperf),
    async run(tunnel, seconds) {
      const { hosts: [a, b], addresses } = tunnel;
      const one = async (rate: number | undefined) => {
        const load = () => flood(a, b, addresses[1], { size, rate, seconds });
        const [found, spent, lost] = await account(tunnel, load);
        return { ...found, asked: rate ?? null, spent, lost };
      };
      const full = await one(undefined);
      const capacity = full.received / full.seconds;
      const raw = [full];
      const values: Record<string, number> = {
        [key]: capacity / 1000,
        [`${key}_cpu`]: nanoseconds(full.spent) / full.received,
      };
      for (const share of shares) {
        const found = await one(capacity * share);
        raw.push(found);
        values[`${key}_x${share}`] = found.received / found.seconds / 1000;
      }
      const known = PLACES.reduce((sum, place) => sum + full.lost[place], 0);
      const lost = { ...full.lost, elsewhere: full.sent - full.received - known };
      for (const place of places) {
        values[`${key}_${place}`] = 100 * Math.max(0, lost[place]) / full.sent;
      }
      return { values, raw };
    },
  };
}

/** Nothing of those who do not answer WireGuard's handshakes. */
function handshakeStorm(): Measure {
  return {
    name: "storm",
    figures: [{
      key: "handshakes",
      title: "handshakes answered in a storm of 256 initiators",
      unit: "a second",
      better: "higher",
    }],
    lasts: () => AROUND.storm,
    async run(tunnel) {
      if (tunnel.responder === undefined) return { values: {}, raw: null };
      const found = await storm(tunnel);
      return { values: { handshakes: found.answered / found.seconds }, raw: found };
    },
  };
}

const PLACE_WORDS = {
  tun: "ring of the TUN",
  queue: "queue before a device",
  outer: "socket of the program",
  inner: "socket of the receiver",
  backlog: "queue before a core",
  elsewhere: "elsewhere, also in the program",
} as const;

/** What a load cost, and where it lost packets. */
async function account<T>(
  tunnel: Tunnel,
  load: () => Promise<T>,
): Promise<[T, Spent, Drops]> {
  const before = await drops(tunnel);
  const [found, spent] = await spending(load);
  return [found, spent, dropsBetween(before, await drops(tunnel))];
}

/** CPU time of the whole machine without what others had of it. */
function nanoseconds({ busy, foreign }: Spent): number {
  return Math.max(0, busy - foreign) * TICK_NS;
}
