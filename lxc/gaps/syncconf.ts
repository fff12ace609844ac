/** `wg syncconf` of the same file while traffic goes through the device, as what manages it does again and again. */

import { text } from "../device.ts";
import { Lab } from "../lab.ts";
import { until } from "../until.ts";
import type { Sample } from "./kind.ts";
import { devicePair } from "./pair.ts";

/** Seconds of the stream, and how often the file is given meanwhile. */
const SECONDS = 4;
const TIMES = 20;
const FILE = "/run/wg0.conf";

/**
 * The kernel of `b` counts what comes out of the tunnel, since iperf3 itself loses some on a machine that is busy: its
 * socket holds 17 ms of 50 Mbit/s. At 20 Mbit/s the queue of the interface holds a quarter of a second.
 */
const RATE = "20M";
/** Bytes of a datagram, which is never in two pieces, and of its headers. */
const SIZE = 1200;
const HEADERS = 28;
const TABLE = `table inet arrived {
  chain in { type filter hook input priority 0; iifname "wg0" udp dport 5201 counter; }
}
`;

/** How many datagrams of a stream did not come out of the tunnel. */
export async function samePeersAgain(): Promise<Sample> {
  await using lab = await Lab.open();
  const hosts = [await lab.host("a"), await lab.host("b")] as const;
  const [a, b] = hosts;
  await lab.link(a, b, { a: { addresses: ["10.0.0.1/24"] }, b: { addresses: ["10.0.0.2/24"] } });
  const configured = await devicePair(hosts);
  for (const [i, host] of hosts.entries()) {
    const options = configured[i];
    if (options === undefined) throw new TypeError("a device for each host");
    await host.run(["sh", "-c", `umask 077; cat > ${FILE}`], { stdin: text(options) });
  }
  await a.run(["ping", "-c", "1", "-w", "15", "10.7.0.2"]);
  b.spawn(["iperf3", "-s", "-1", "-B", "10.7.0.2"]);
  const listens = async () => (await b.run(["ss", "-ltnH", "sport = 5201"])).stdout !== "";
  await until("iperf3 listens", 5_000, listens);
  await b.run(["nft", "-f", "-"], { stdin: TABLE });
  const stream = ["iperf3", "-c", "10.7.0.2", "-u", "-b", RATE, "-l", String(SIZE), "-J"];
  const ended = a.run([...stream, "-t", String(SECONDS)]);
  const pause = SECONDS * 1000 / (TIMES + 2);
  for (let i = 0; i < TIMES; i++) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    for (const host of hosts) await host.run(["wg", "syncconf", "wg0", FILE]);
  }
  const { packets } = JSON.parse((await ended).stdout).end.sum;
  const { stdout } = await b.run(["nft", "list", "table", "inet", "arrived"]);
  // Several datagrams may come as one packet (GRO), whose headers are counted once; the few bytes by which iperf3 says
  // where it sends from are less than a datagram.
  const [came, bytes] = /packets (\d+) bytes (\d+)/.exec(stdout)?.slice(1).map(Number) ?? [];
  if (came === undefined || bytes === undefined) throw new Error(`no counter in ${stdout}`);
  const arrived = Math.floor((bytes - came * HEADERS) / SIZE);
  if (!(packets > 0)) throw new Error("the stream sent nothing");
  const value = packets - arrived;
  return { value, note: `of ${packets}, the file given ${TIMES} times at both ends` };
}
