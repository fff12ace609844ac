/** UDP datagrams: those in a capture, and those that no ordinary socket sends (`forge.ts`). */

import type { Host } from "./host.ts";

const FORGE = new URL("forge.ts", import.meta.url).pathname;

/** One over IPv4. */
export interface UdpDatagram {
  readonly from: string;
  readonly fromPort: number;
  readonly to: string;
  readonly toPort: number;
  readonly payload: Uint8Array;
}

const ETHERNET = 14;
const IP4 = 0x0800;
const IP6 = 0x86dd;
const ARP = 0x0806;
const ARP_SIZE = 28;
const IP6_HEADER = 40;
const UDP = 17;
const UDP_HEADER = 8;

/** The datagrams over IPv4 among the packets of a capture, in order. Throws on a frame of a kind that it does not know. */
export function udpOf(captured: Uint8Array): UdpDatagram[] {
  const view = new DataView(captured.buffer, captured.byteOffset, captured.length);
  const found: UdpDatagram[] = [];
  for (let at = 0; at < captured.length;) {
    const ip = at + ETHERNET;
    switch (view.getUint16(ip - 2)) {
      case ARP:
        at = ip + ARP_SIZE;
        break;
      case IP6:
        at = ip + IP6_HEADER + view.getUint16(ip + 4);
        break;
      case IP4: {
        at = ip + view.getUint16(ip + 2);
        if (view.getUint8(ip + 9) !== UDP) break;
        const udp = ip + (view.getUint8(ip) & 15) * 4;
        found.push({
          from: [...captured.subarray(ip + 12, ip + 16)].join("."),
          fromPort: view.getUint16(udp),
          to: [...captured.subarray(ip + 16, ip + 20)].join("."),
          toPort: view.getUint16(udp + 2),
          payload: captured.slice(udp + UDP_HEADER, at),
        });
        break;
      }
      default:
        throw new Error(`a frame of type ${view.getUint16(ip - 2).toString(16)} in the capture`);
    }
  }
  return found;
}

/** Sends these from a host, from whatever address and port they name. */
export async function forge(host: Host, datagrams: readonly UdpDatagram[]): Promise<void> {
  const lines = datagrams.map(({ from, fromPort, to, toPort, payload }) =>
    `${from} ${fromPort} ${to} ${toPort} ${payload.toHex()}\n`
  );
  const rights = ["--allow-ffi", "--no-prompt"];
  const argv = [Deno.execPath(), "run", "--quiet", "--no-config", ...rights, FORGE];
  await host.run(argv, { stdin: lines.join("") });
}
