/**
 * Keeps whatever crosses an interface until standard input ends, then writes the packets one after another to standard
 * output and `{"packets":…,"lost":…}` to standard error. Runs as a program in a host: `sniff.ts DEVICE`.
 *
 * A ring of packet(7) in version 3 is as large as a capture may become, so that nothing has to be read while packets
 * come and a busy machine loses none; what does not fit is counted as lost. tcpdump(8) would do, but it insists on
 * becoming another user, and inside a user namespace there is none.
 */

const SOL_PACKET = 263;
const PACKET_RX_RING = 5;
const PACKET_STATISTICS = 6;
const PACKET_VERSION = 10;
const TPACKET_V3 = 2;
const AF_PACKET = 17;
const SOCK_RAW = 3;
/** htons(ETH_P_ALL) */
const ALL_PROTOCOLS = 0x0300;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const TP_STATUS_USER = 1;

const BLOCK = 1 << 20;
const BLOCKS = 64;
const FRAME = 1 << 11;
/** Milliseconds after which the kernel hands over a block that is not full. */
const RETIRE_MS = 50;
/** Milliseconds that the last packets are given to arrive. */
const QUIET_MS = 300;

const libc = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  mmap: { parameters: ["pointer", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
  if_nametoindex: { parameters: ["buffer"], result: "u32" },
}).symbols;

function ensure(what: string, ok: boolean): void {
  if (!ok) throw new Error(`${what} failed`);
}

/** Opens the ring on a device: from here on packets are kept. */
function open(device: string): { fd: number; ring: DataView<ArrayBuffer> } {
  const index = libc.if_nametoindex(new TextEncoder().encode(`${device}\0`));
  ensure(`if_nametoindex ${device}`, index !== 0);
  // With protocol 0 nothing comes before the socket is bound to the one interface.
  const fd = libc.socket(AF_PACKET, SOCK_RAW, 0);
  ensure("socket(AF_PACKET)", fd >= 0);
  const version = bytes(new Uint32Array([TPACKET_V3]));
  ensure("PACKET_VERSION", libc.setsockopt(fd, SOL_PACKET, PACKET_VERSION, version, 4) === 0);
  // struct tpacket_req3
  const frames = BLOCK / FRAME * BLOCKS;
  const request = bytes(new Uint32Array([BLOCK, BLOCKS, FRAME, frames, RETIRE_MS, 0, 0]));
  ensure(
    "PACKET_RX_RING",
    libc.setsockopt(fd, SOL_PACKET, PACKET_RX_RING, request, request.length) === 0,
  );
  const pointer = libc.mmap(null, BigInt(BLOCK * BLOCKS), PROT_READ_WRITE, MAP_SHARED, fd, 0n);
  ensure("mmap", pointer !== null && Deno.UnsafePointer.value(pointer) !== 0xffff_ffff_ffff_ffffn);
  if (pointer === null) throw new TypeError("unreachable: ensured above");
  const ring = new DataView(Deno.UnsafePointerView.getArrayBuffer(pointer, BLOCK * BLOCKS));
  // struct sockaddr_ll
  const address = new DataView(new ArrayBuffer(20));
  address.setUint16(0, AF_PACKET, true);
  address.setUint16(2, ALL_PROTOCOLS, true);
  address.setInt32(4, index, true);
  ensure(`bind to ${device}`, libc.bind(fd, new Uint8Array(address.buffer), 20) === 0);
  return { fd, ring };
}

function bytes(words: Uint32Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(words.buffer);
}

/** The packets of a block that the kernel has handed over (struct tpacket_block_desc, struct tpacket3_hdr). */
function* packets(ring: DataView<ArrayBuffer>, block: number): Generator<Uint8Array<ArrayBuffer>> {
  if ((ring.getUint32(block + 8, true) & TP_STATUS_USER) === 0) return;
  const count = ring.getUint32(block + 12, true);
  let at = block + ring.getUint32(block + 16, true);
  for (let i = 0; i < count; i++) {
    const size = ring.getUint32(at + 12, true);
    const start = at + ring.getUint16(at + 24, true);
    yield new Uint8Array(ring.buffer, start, size);
    at += ring.getUint32(at, true);
  }
}

async function main(device: string): Promise<void> {
  const { fd, ring } = open(device);
  const output = Deno.stdout.writable.getWriter();
  console.error("ready");
  for await (const _ of Deno.stdin.readable);
  await new Promise((wake) => setTimeout(wake, QUIET_MS));
  for (let block = 0; block < BLOCK * BLOCKS; block += BLOCK) {
    for (const packet of packets(ring, block)) await output.write(packet);
  }
  await output.close();
  const statistics = new Uint32Array(3); // struct tpacket_stats_v3
  const size = bytes(new Uint32Array([statistics.byteLength]));
  const got = libc.getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, bytes(statistics), size);
  ensure("PACKET_STATISTICS", got === 0);
  console.error(JSON.stringify({ packets: statistics[0], lost: statistics[1] }));
}

if (import.meta.main) await main(Deno.args[0] ?? "");
