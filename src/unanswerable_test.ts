/**
 * Datagrams from UDP source port 0, which ended any node: over the real core, by a raw socket on the
 * loopback. What a real machine would send first, an ask or an initiation, comes from port 0, and
 * then the same bytes from a port that can be answered.
 */
import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { join } from "node:path";
import { inFolder } from "../.ci/folder.ts";
import { testUnless } from "../.ci/skip.ts";
import { corePath, loadCore } from "../ffi/core.ts";
import { loadSodium } from "../ffi/sodium.ts";
import { type Datagram, Effects } from "../mesh/machine.ts";
import { Node } from "../mesh/node.ts";
import { Tunnels } from "../mesh/tunnel/tunnels.ts";
import { readClock } from "./clock.ts";
import { MeshNode } from "./node.ts";
import { random } from "./random.ts";
import { WgDevice } from "./wg/device.ts";

const libc = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  sendto: {
    parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"],
    result: "isize",
  },
  socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
}).symbols;

const LOOPBACK = [127, 0, 0, 1];
const AF_UNIX = 1;
const AF_INET = 2;
const SOCK_RAW = 3;
const SOCK_SEQPACKET = 5;
const IPPROTO_UDP = 17;

const raw = libc.socket(AF_INET, SOCK_RAW, IPPROTO_UDP);
const lack = {
  right: raw >= 0 ? undefined : "only root can open a raw socket",
  thing: await Deno.stat(corePath()).then(
    () => undefined,
    () => `no core library at ${corePath()}`,
  ),
};

/** Sends bytes to a port of the loopback from port 0; without a checksum, as RFC 768 allows. */
function sendFromPort0(bytes: Uint8Array, port: number): void {
  const datagram = new Uint8Array(8 + bytes.length);
  const header = new DataView(datagram.buffer);
  header.setUint16(2, port);
  header.setUint16(4, datagram.length);
  datagram.set(bytes, 8);
  const to = Uint8Array.from([AF_INET, 0, 0, 0, ...LOOPBACK, 0, 0, 0, 0, 0, 0, 0, 0]);
  const sent = libc.sendto(raw, datagram, BigInt(datagram.length), 0, to, to.length);
  assert.equal(sent, BigInt(datagram.length));
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !isSo(); i++) await new Promise((go) => setTimeout(go, 10));
  assert.ok(isSo(), what);
}

/** From port 0 nothing comes back and nothing ends; from a port of ours the same bytes are answered. */
async function isAnsweredElsewhereOnly(
  bytes: Uint8Array,
  port: number,
  drops: () => number,
): Promise<void> {
  const socket: Socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  try {
    for (let i = 0; i < 3; i++) sendFromPort0(bytes, port);
    await until("three datagrams are dropped", () => drops() === 3);
    socket.send(bytes, port, "127.0.0.1");
    await once(socket, "message", { signal: AbortSignal.timeout(5_000) });
  } finally {
    socket.close();
  }
  assert.equal(drops(), 3);
}

/** The one datagram that a machine sends first. */
function first({ datagrams }: { readonly datagrams: readonly Datagram[] }): Uint8Array {
  const [datagram] = datagrams;
  assert.ok(datagram);
  return datagram.bytes;
}

testUnless(
  lack,
  "an ask from port 0 is dropped, and the same from elsewhere is answered",
  () =>
    inFolder(async (dir) => {
      const defects: unknown[] = [];
      const node = MeshNode.open({
        stateDir: join(dir, "node"),
        interface: "",
        name: "node",
        listen: 0,
        join: [],
        token: undefined,
        tun: false,
        open: false,
        dataplane: { workers: 0, aead: "", io: "", without: [] },
        onEvent: () => {},
        onNews: () => {},
        onDefect: (error) => defects.push(error),
      });
      node.openDoor(60_000);
      const { port } = node.info;
      const asker = Node.create(readClock(), {
        crypto: loadSodium(),
        random,
        identitySeed: random(32),
        name: "asker",
        port: 9,
        version: "0",
        tunnel: false,
        relay: false,
        seeds: [`127.0.0.1:${port}`],
        facts: () => undefined,
      });
      assert.ok(asker.ok);
      const effects = new Effects<unknown>();
      asker.value.start(readClock(), effects);
      asker.value.poll(readClock(), effects);
      const dropped = () => node.status().dataplane.drops["rx_unanswerable"] ?? 0;
      try {
        await isAnsweredElsewhereOnly(first(effects), port, dropped);
        assert.ok(Object.values(node.status().refused).every((count) => count === 0));
      } finally {
        node.close();
      }
      assert.deepEqual(defects, []);
    }),
);

testUnless(
  lack,
  "an initiation from port 0 is dropped, and the same from elsewhere is answered",
  async () => {
    const crypto = loadSodium();
    const defects: unknown[] = [];
    const secrets = [random(32), random(32)] as const;
    const [ours, theirs] = secrets.map((secret) => crypto.x25519PublicKey(secret));
    assert.ok(ours && theirs);
    const fds = new Int32Array(2);
    assert.equal(libc.socketpair(AF_UNIX, SOCK_SEQPACKET, 0, new Uint8Array(fds.buffer)), 0);
    const [tun = -1, end = -1] = fds;
    const device = new WgDevice({
      core: loadCore(),
      tun: { kind: "socketpair", fd: tun },
      onEvent: () => {},
      onDefect: (error) => defects.push(error),
      onGone: () => {},
    });
    const peer = { publicKey: theirs, isRemoved: false, isUpdateOnly: false, prefixes: [] };
    const change = { privateKey: secrets[0].slice(), replacesPeers: false, peers: [peer] };
    assert.ok([...device.change(change)].every((fault) => fault === undefined));
    const { listenPort: port } = device.report();
    const initiator = new Tunnels({ crypto, random });
    const effects = new Effects<unknown>();
    const now = readClock();
    initiator.setPrivateKey(now, secrets[1], effects);
    initiator.up(now, effects);
    const added = initiator.addPeer(now, ours, effects);
    assert.ok(added.kind === "added");
    const to = { address: Uint8Array.from(LOOPBACK), port, scope: 0 };
    initiator.setEndpoint(now, added.peer, to, effects);
    initiator.startHandshake(now, added.peer, effects);
    const dropped = () => device.counters()["drop_rx_unanswerable"] ?? 0;
    try {
      await isAnsweredElsewhereOnly(first(effects), port, dropped);
    } finally {
      device.close();
      libc.close(end);
    }
    assert.deepEqual(defects, []);
  },
);
