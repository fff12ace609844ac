/**
 * Sends UDP datagrams from wherever a line of standard input says, port 0 and addresses of others included, which no
 * ordinary socket does. Runs as a program in a host: each line is `FROM FROM_PORT TO TO_PORT HEX`, over IPv4.
 */

const AF_INET = 2;
const SOCK_RAW = 3;
/** With this protocol the IP header is ours to write (raw(7)). */
const IPPROTO_RAW = 255;
const IPPROTO_UDP = 17;
const IP_HEADER = 20;
const UDP_HEADER = 8;

const libc = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "isize" },
}).symbols;

/** A datagram with its headers; the kernel fills in the IP checksum, and UDP over IPv4 may have none. */
function packet(
  from: Uint8Array,
  fromPort: number,
  to: Uint8Array,
  toPort: number,
  payload: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(IP_HEADER + UDP_HEADER + payload.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0x45, 0]);
  view.setUint16(2, bytes.length);
  bytes.set([64, IPPROTO_UDP], 8);
  bytes.set(from, 12);
  bytes.set(to, 16);
  view.setUint16(IP_HEADER, fromPort);
  view.setUint16(IP_HEADER + 2, toPort);
  view.setUint16(IP_HEADER + 4, UDP_HEADER + payload.length);
  bytes.set(payload, IP_HEADER + UDP_HEADER);
  return bytes;
}

function octets(address: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(address.split("."), Number);
}

async function main(): Promise<void> {
  const fd = libc.socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  if (fd < 0) throw new Error("socket(SOCK_RAW) failed");
  const text = await new Response(Deno.stdin.readable).text();
  for (const line of text.split("\n").filter((line) => line !== "")) {
    const [from = "", fromPort, to = "", toPort, hex = ""] = line.split(" ");
    const payload = Uint8Array.fromHex(hex);
    const bytes = packet(octets(from), Number(fromPort), octets(to), Number(toPort), payload);
    const target = Uint8Array.from([AF_INET, 0, 0, 0, ...octets(to), ...new Uint8Array(8)]);
    const sent = libc.sendto(fd, bytes, BigInt(bytes.length), 0, target, target.length);
    if (sent !== BigInt(bytes.length)) throw new Error(`sendto failed at: ${line.slice(0, 60)}`);
  }
}

if (import.meta.main) await main();
