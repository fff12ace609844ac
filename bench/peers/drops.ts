/** Where packets of a tunnel are lost: counters of the kernel at each place where it drops for want of room. */

import type { Host } from "../../lxc/host.ts";
import type { Tunnel } from "./tunnel.ts";

/** Packets lost at each place, both ends together. */
export interface Drops {
  /** The ring out of which the program reads. */
  readonly tun: number;
  /** The queueing discipline before it, or before the wire. */
  readonly queue: number;
  /** The program's own UDP socket. */
  readonly outer: number;
  /** Sockets of those who talk through the tunnel. */
  readonly inner: number;
  /** The queue of packets that wait for a core, of the whole machine. */
  readonly backlog: number;
}

export const PLACES = ["tun", "queue", "outer", "inner", "backlog"] as const;

const SCRIPT = [
  "cat /proc/net/snmp /proc/net/snmp6",
  "echo @",
  "cat /proc/net/udp /proc/net/udp6",
  "echo @",
  "cat /proc/net/softnet_stat",
  "echo @",
  'ip -j -s link show dev "$0"',
  "echo @",
  'tc -j -s qdisc show dev "$0"',
].join("; ");

/** The counters since each thing was made; the difference of two readings is what was lost between them. */
export async function drops({ hosts, device, port }: Tunnel): Promise<Drops> {
  const both = await Promise.all(
    hosts.map(async (host) => readDrops(await ask(host, device), port)),
  );
  const [a, b] = both as [Drops, Drops];
  const sum = Object.fromEntries(PLACES.map((place) => [place, a[place] + b[place]]));
  // One machine has one backlog.
  return { ...sum as unknown as Drops, backlog: a.backlog };
}

export function dropsBetween(before: Drops, after: Drops): Drops {
  const grown = PLACES.map((place) => [place, Math.max(0, after[place] - before[place])]);
  return Object.fromEntries(grown) as unknown as Drops;
}

async function ask(host: Host, device: string): Promise<string> {
  return (await host.run(["sh", "-c", SCRIPT, device])).stdout;
}

/** Reads what `SCRIPT` prints of one host. */
export function readDrops(text: string, port: number | undefined): Drops {
  const [snmp = "", sockets = "", softnet = "", link = "", qdisc = ""] = text.split("@\n");
  const outer = port === undefined ? 0 : dropsOfPort(sockets, port);
  return {
    tun: droppedByLink(link),
    queue: droppedByQueues(qdisc),
    outer,
    // The kernel adds up all sockets of a host, also those that are closed: the rest is theirs.
    inner: Math.max(0, receiveErrors(snmp) - outer),
    backlog: backlogDrops(softnet),
  };
}

/** `RcvbufErrors` of UDP, both families. */
function receiveErrors(text: string): number {
  const [names = "", values = ""] = text.split("\n").filter((line) => line.startsWith("Udp: "));
  const at = names.split(" ").indexOf("RcvbufErrors");
  const six = /^Udp6RcvbufErrors\s+(\d+)/m.exec(text)?.[1] ?? "0";
  return Number(values.split(" ")[at] ?? 0) + Number(six);
}

/** The last column of the sockets on a local port (`/proc/net/udp`, ports in hexadecimal digits). */
function dropsOfPort(text: string, port: number): number {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  let sum = 0;
  for (const line of text.split("\n")) {
    const fields = line.trim().split(/\s+/);
    if (fields[1]?.endsWith(wanted)) sum += Number(fields.at(-1));
  }
  return sum;
}

/** The second column of every core, hexadecimal. */
function backlogDrops(text: string): number {
  return text.split("\n").reduce((sum, line) => {
    return sum + parseInt(line.trim().split(/\s+/)[1] ?? "0", 16);
  }, 0);
}

function droppedByLink(text: string): number {
  const [link] = JSON.parse(text);
  return link?.stats64?.tx?.dropped ?? 0;
}

function droppedByQueues(text: string): number {
  const queues: { drops?: number }[] = JSON.parse(text);
  return queues.reduce((sum, { drops = 0 }) => sum + drops, 0);
}
