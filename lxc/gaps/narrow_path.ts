/** The way out becomes narrower than our datagrams, and wide again: datagrams leave in trains (UDP_SEGMENT) as before. */

import type { Host } from "../host.ts";
import { Lab } from "../lab.ts";
import { until } from "../until.ts";
import type { Sample } from "./kind.ts";
import { devicePair } from "./pair.ts";

const WIDE = 1500;
const NARROW = 1280;
/** Milliseconds for which the path is narrow. */
const FOR = 3_000;
const PATIENCE = 20_000;
/** Seconds of the stream: longer than everything together may take. */
const STREAM = 60;
/** Milliseconds between two looks at the counters. */
const EVERY = 50;
/** Bytes a packet: a mean above this is made of trains, whose packets are as large as 64 KiB. */
const TRAIN = 2 * WIDE;

/** The mean size of what an interface has sent between two looks, a train counted as one packet. */
class Sizes {
  mean = 0;
  #bytes = 0;
  #packets = 0;

  /** @returns what to end it with */
  static watch(host: Host, device: string): Sizes {
    const script = `while :; do grep '^ *${device}:' /proc/net/dev; sleep ${EVERY / 1000}; done`;
    const sizes = new Sizes();
    sizes.#read(host.spawn(["sh", "-c", script], { stdout: "piped" }).stdout);
    return sizes;
  }

  async #read(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    let open = "";
    for await (const piece of stream.pipeThrough(new TextDecoderStream())) {
      const lines = (open + piece).split("\n");
      open = lines.pop() ?? "";
      for (const line of lines) this.#take(line);
    }
  }

  /** proc(5): eight columns of what came, then bytes and packets of what went. */
  #take(line: string): void {
    const columns = line.slice(line.indexOf(":") + 1).trim().split(/\s+/).map(Number);
    const [bytes = 0, packets = 0] = columns.slice(8);
    const [more, count] = [bytes - this.#bytes, packets - this.#packets];
    [this.#bytes, this.#packets] = [bytes, packets];
    this.mean = count === 0 ? 0 : more / count;
  }
}

/** Milliseconds from the path's recovery until trains leave again. */
export async function trainsComeBack(): Promise<Sample> {
  await using lab = await Lab.open();
  const hosts = [await lab.host("a"), await lab.host("b")] as const;
  const [a, b] = hosts;
  const [out] = await lab.link(a, b, {
    a: { addresses: ["10.0.0.1/24"] },
    b: { addresses: ["10.0.0.2/24"] },
  });
  await devicePair(hosts);
  b.spawn(["iperf3", "-s", "-B", "10.7.0.2"]);
  const listens = async () => (await b.run(["ss", "-ltnH", "sport = 5201"])).stdout !== "";
  await until("iperf3 listens", 5_000, listens);
  a.spawn(["iperf3", "-c", "10.7.0.2", "-t", String(STREAM), "-b", "200M"]);
  const sizes = Sizes.watch(a, out.device);
  const areTrains = () => Promise.resolve(sizes.mean > TRAIN);
  await until("trains leave", PATIENCE, areTrains, EVERY);
  await a.ip(`link set dev ${out.device} mtu ${NARROW}`);
  await new Promise((resolve) => setTimeout(resolve, FOR));
  const narrow = sizes.mean;
  if (narrow === 0 || narrow > NARROW) {
    throw new Error(`a mean of ${Math.round(narrow)} bytes a packet over a path of ${NARROW}`);
  }
  const begin = performance.now();
  await a.ip(`link set dev ${out.device} mtu ${WIDE}`);
  await until("trains leave again", PATIENCE, areTrains, EVERY);
  const value = performance.now() - begin;
  const after = Math.round(sizes.mean);
  return { value, note: `bytes a packet: ${Math.round(narrow)} while narrow, then ${after}` };
}
