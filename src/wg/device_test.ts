/** Whole devices in one process: real core, real sockets on the loopback, a socketpair for a TUN. */
import assert from "node:assert/strict";
import { testUnless } from "../../.ci/skip.ts";
import { corePath, loadCore } from "../../ffi/core.ts";
import { loadSodium } from "../../ffi/sodium.ts";
import { parseEndpoint } from "../../mesh/endpoint.ts";
import { WgDevice, type WgDeviceOptions } from "./device.ts";
import type { Work } from "./turns.ts";
import { type DeviceChange, type PeerReport, UapiReader } from "./uapi.ts";

const lack = {
  thing: await Deno.stat(corePath()).then(
    () => undefined,
    () => `no core library at ${corePath()}`,
  ),
};

/** Works to the end at once. */
function finish<T>(work: Work<T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

const libc = Deno.dlopen("libc.so.6", {
  socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
}).symbols;

const MSG_DONTWAIT = 0x40;
const VNET_HEADER = 10;

class World {
  readonly device: WgDevice;
  readonly defects: unknown[] = [];
  readonly #fd: number;

  constructor(options: Partial<WgDeviceOptions> = {}) {
    const fds = new Int32Array(2);
    assert.equal(libc.socketpair(1, 5, 0, new Uint8Array(fds.buffer)), 0);
    const [theirs = -1, ours = -1] = fds;
    this.#fd = ours;
    this.device = new WgDevice({
      core: loadCore(),
      tun: { kind: "socketpair", fd: theirs },
      onEvent: () => {},
      onDefect: (error) => this.defects.push(error),
      onGone: () => {},
      ...options,
    });
  }

  /** What `wg` would write: lines without the first and the last one. */
  set(...lines: readonly string[]): string {
    return finish(this.device.change(this.parse(...lines)))?.errno ?? "";
  }

  parse(...lines: readonly string[]): DeviceChange {
    const reader = new UapiReader();
    let change: DeviceChange | undefined;
    for (const line of ["set=1", ...lines, ""]) {
      const request = reader.line(line);
      if (request?.kind === "set") change = request.change;
    }
    assert.ok(change, lines.join("\n"));
    return change;
  }

  get port(): number {
    return this.device.report().listenPort;
  }

  peers(): PeerReport[] {
    return [...this.device.report().peers];
  }

  /** `10.0.0.0/8` and so on of each peer, in order. */
  prefixes(): string[] {
    return this.peers().map(({ prefixes }) =>
      [...prefixes].map(({ address, length }) => `${address.join(".")}/${length}`).sort().join(" ")
    );
  }

  write(packet: Uint8Array): void {
    const framed = new Uint8Array(VNET_HEADER + packet.length);
    framed.set(packet, VNET_HEADER);
    assert.equal(libc.send(this.#fd, framed, BigInt(framed.length), 0), BigInt(framed.length));
  }

  async read(): Promise<Uint8Array> {
    const buffer = new Uint8Array(70_000);
    for (let i = 0; i < 1000; i++) {
      const size = Number(libc.recv(this.#fd, buffer, BigInt(buffer.length), MSG_DONTWAIT));
      if (size > 0) return buffer.slice(VNET_HEADER, size);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error("no packet came within 5 s");
  }

  close(): void {
    this.device.close();
    libc.close(this.#fd);
    assert.deepEqual(this.defects, []);
  }
}

function withDevices(
  name: string,
  count: number,
  body: (...worlds: readonly World[]) => void | Promise<void>,
  options: Partial<WgDeviceOptions> = {},
): void {
  testUnless(lack, name, async () => {
    const worlds = Array.from({ length: count }, () => new World(options));
    try {
      await body(...worlds);
    } finally {
      for (const world of worlds) world.close();
    }
  });
}

/** A private key and its public one, both in hexadecimal. */
function keyPair(): { secret: string; public: string } {
  const secret = crypto.getRandomValues(new Uint8Array(32));
  return { secret: secret.toHex(), public: loadSodium().x25519PublicKey(secret).toHex() };
}

/** A UDP packet from 10.7.0.a to 10.7.0.b with its checksums. */
function packet(from: number, to: number, payload: number): Uint8Array {
  const bytes = new Uint8Array(28 + payload);
  const view = new DataView(bytes.buffer);
  bytes.set([0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 17, 0, 0, 10, 7, 0, from, 10, 7, 0, to]);
  view.setUint16(2, bytes.length);
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += view.getUint16(i);
  view.setUint16(10, ~((sum & 0xffff) + (sum >>> 16)) & 0xffff);
  view.setUint16(20, 1000);
  view.setUint16(22, 2000);
  view.setUint16(24, 8 + payload); // The checksum stays 0: none (RFC 768).
  bytes.fill(7, 28);
  return bytes;
}

const A = "aa".repeat(32);
const B = "bb".repeat(32);

withDevices(
  "two devices shake hands and carry a packet, and count it as wg show does",
  2,
  async (one, two) => {
    assert.ok(one && two);
    const [a, b] = [keyPair(), keyPair()];
    const psk = "5c".repeat(32);
    assert.equal(
      two.set(
        `private_key=${b.secret}`,
        `public_key=${a.public}`,
        `preshared_key=${psk}`,
        "allowed_ip=10.7.0.1/32",
      ),
      "",
    );
    assert.equal(
      one.set(
        `private_key=${a.secret}`,
        `public_key=${b.public}`,
        `preshared_key=${psk}`,
        `endpoint=127.0.0.1:${two.port}`,
        "allowed_ip=10.7.0.2/32",
      ),
      "",
    );
    const sent = packet(1, 2, 100);
    one.write(sent);
    assert.deepEqual(await two.read(), sent);
    const answer = packet(2, 1, 10);
    two.write(answer);
    assert.deepEqual(await one.read(), answer);
    const [ours] = one.peers();
    const [theirs] = two.peers();
    // 148 and 92 are the handshake; 128 and 38 padded to 48 are the packets, with 32 around each.
    assert.deepEqual([ours?.txBytes, ours?.rxBytes], [148 + 160, 92 + 80]);
    assert.deepEqual([theirs?.txBytes, theirs?.rxBytes], [92 + 80, 148 + 160]);
    assert.ok(Math.abs(Date.now() - (ours?.lastHandshake ?? 0)) < 10_000);
    assert.deepEqual(theirs?.endpoint, parseEndpoint(`127.0.0.1:${one.port}`));
  },
);

withDevices("a peer is changed in what is said and in nothing else", 1, (world) => {
  assert.ok(world);
  const set = (...lines: string[]) => assert.equal(world.set(`public_key=${A}`, ...lines), "");
  set(
    `preshared_key=${B}`,
    "endpoint=192.0.2.1:7",
    "persistent_keepalive_interval=5",
    "allowed_ip=10.0.0.0/8",
  );
  set("persistent_keepalive_interval=6");
  const [peer] = world.peers();
  assert.equal(peer?.presharedKey.toHex(), B);
  assert.equal(peer.endpoint?.port, 7);
  assert.equal(peer.persistentKeepalive, 6);
  assert.deepEqual(world.prefixes(), ["10.0.0.0/8"]);
  set("allowed_ip=10.1.0.0/16", "allowed_ip=-10.0.0.0/8");
  assert.deepEqual(world.prefixes(), ["10.1.0.0/16"]);
  set("replace_allowed_ips=true", "allowed_ip=10.2.0.0/16");
  assert.deepEqual(world.prefixes(), ["10.2.0.0/16"]);
  set("replace_allowed_ips=true");
  assert.deepEqual(world.prefixes(), [""]);
});

withDevices(
  "a set of prefixes that is said again never leaves a packet without a way",
  1,
  async (world) => {
    assert.ok(world);
    const nets = Array.from({ length: 100 }, (_, i) => `allowed_ip=10.7.0.${i}/32`);
    world.set(`public_key=${A}`, "endpoint=192.0.2.1:7", ...nets);
    const again = world.device.change(
      world.parse(`public_key=${A}`, "replace_allowed_ips=true", ...nets, "allowed_ip=10.9.0.0/16"),
    );
    let steps = 0;
    for (let isDone = false; !isDone; steps++) {
      isDone = again.next().done ?? false;
      world.write(packet(0, 7, 10));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    assert.ok(steps > 10, `${steps} steps`);
    const { drop_tx_no_route, tx_staged } = world.device.counters();
    assert.equal(drop_tx_no_route, 0);
    assert.ok((tx_staged ?? 0) > 10, "each waited for the session");
    assert.equal(world.prefixes()[0]?.split(" ").length, 101);
    world.set(`public_key=${A}`, "replace_allowed_ips=true", "allowed_ip=10.7.0.7/32");
    assert.deepEqual(world.prefixes(), ["10.7.0.7/32"], "what is not said again is gone");
  },
);

withDevices(
  "a prefix moves to the peer that asked last; a peer cannot take away another's",
  1,
  (world) => {
    assert.ok(world);
    world.set(
      `public_key=${A}`,
      "allowed_ip=10.0.0.0/8",
      `public_key=${B}`,
      "allowed_ip=10.0.0.0/8",
    );
    assert.deepEqual(world.prefixes(), ["", "10.0.0.0/8"]);
    world.set(`public_key=${A}`, "allowed_ip=-10.0.0.0/8");
    assert.deepEqual(world.prefixes(), ["", "10.0.0.0/8"]);
  },
);

withDevices("update_only makes no peer, remove takes one away, replace_peers all", 1, (world) => {
  assert.ok(world);
  const keys = () => world.peers().map(({ publicKey }) => publicKey.toHex());
  world.set(`public_key=${A}`, "update_only=true", "allowed_ip=10.0.0.0/8");
  assert.deepEqual(keys(), []);
  world.set(`public_key=${A}`);
  world.set(`public_key=${A}`, "update_only=true", "allowed_ip=10.0.0.0/8");
  assert.deepEqual([keys(), world.prefixes()], [[A], ["10.0.0.0/8"]]);
  world.set(`public_key=${B}`, "remove=true");
  assert.deepEqual(keys(), [A]);
  world.set(`public_key=${A}`, "remove=true", "allowed_ip=10.0.0.0/8", `public_key=${B}`);
  assert.deepEqual(keys(), [B]);
  world.set("replace_peers=true", `public_key=${A}`);
  assert.deepEqual(keys(), [A]);
});

withDevices(
  "a request that would come to more prefixes than core holds is refused as a whole",
  1,
  (world) => {
    assert.ok(world);
    const [one, two, three] = ["10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8"];
    const fill = (...nets: string[]) => nets.map((net) => `allowed_ip=${net}`);
    assert.equal(world.set(`public_key=${A}`, ...fill(one, two, three)), "");
    assert.equal(world.set(`public_key=${B}`, "allowed_ip=13.0.0.0/8"), "ENOSPC");
    assert.deepEqual(world.prefixes(), ["10.0.0.0/8 11.0.0.0/8 12.0.0.0/8"], "nothing is applied");
    // What moves, or is there already, takes no room; nor does what has been made room for.
    for (let i = 0; i < 3; i++) assert.equal(world.set(`public_key=${B}`, ...fill(one, one)), "");
    assert.deepEqual(world.prefixes(), ["11.0.0.0/8 12.0.0.0/8", "10.0.0.0/8"]);
    const swap = ["allowed_ip=-11.0.0.0/8", "allowed_ip=13.0.0.0/8"];
    assert.equal(world.set(`public_key=${A}`, ...swap.toReversed()), "ENOSPC", "not in this order");
    assert.equal(world.set(`public_key=${A}`, ...swap), "");
    assert.equal(world.set(`public_key=${A}`, "update_only=true", ...swap, ...fill(two)), "ENOSPC");
    const stranger = `public_key=${"cc".repeat(32)}`;
    assert.equal(world.set(stranger, "update_only=true", ...fill(two)), "", "makes no peer");
    assert.equal(world.set(`public_key=${A}`, "remove=true", stranger, ...fill(one, two)), "");
    assert.deepEqual(world.prefixes(), ["", "10.0.0.0/8 11.0.0.0/8"]);
    assert.equal(world.set("replace_peers=true", `public_key=${A}`, ...fill(one, two, three)), "");
    assert.deepEqual(world.prefixes(), ["10.0.0.0/8 11.0.0.0/8 12.0.0.0/8"]);
  },
  { routesMax: 3 },
);

withDevices("our own key is no peer, whichever comes first", 1, (world) => {
  assert.ok(world);
  const key = keyPair();
  world.set(`public_key=${key.public}`);
  assert.equal(world.peers().length, 1);
  world.set(`private_key=${key.secret}`);
  assert.equal(world.peers().length, 0);
  world.set(`public_key=${key.public}`, "allowed_ip=10.0.0.0/8");
  assert.equal(world.peers().length, 0);
  world.set(`private_key=${"00".repeat(32)}`);
  assert.equal(world.device.report().privateKey, undefined);
});

withDevices("a request whose port is busy changes nothing at all", 2, (one, two) => {
  assert.ok(one && two);
  const before = JSON.stringify([one.port, one.peers()]);
  assert.equal(
    one.set(`private_key=${A}`, `listen_port=${two.port}`, `public_key=${B}`),
    "EADDRINUSE",
  );
  assert.equal(JSON.stringify([one.port, one.peers()]), before);
  assert.equal(one.device.report().privateKey, undefined);
});

withDevices(
  "the port that is open stays open when it is asked for again, 0 picks another",
  1,
  (world) => {
    assert.ok(world);
    const port = world.port;
    assert.ok(port > 0);
    world.set(`listen_port=${port}`);
    assert.equal(world.port, port);
    world.set("listen_port=0");
    assert.ok(world.port > 0 && world.port !== port);
  },
);

withDevices(
  "R17: peers beyond the limit are refused, and none of the request is made",
  1,
  (world) => {
    assert.ok(world);
    const key = (i: number) => `public_key=${i.toString(16).padStart(64, "0")}`;
    assert.equal(world.set(...[1, 2, 3].map(key)), "");
    assert.equal(world.set(...[4, 5].map(key)), "ENOSPC");
    assert.equal(world.peers().length, 3);
    assert.equal(world.set(key(4)), "");
    assert.equal(world.set(key(5)), "ENOSPC");
    assert.equal(world.set(key(1), "remove=true", key(5)), "", "one goes, one comes");
    assert.equal(world.set("replace_peers=true", ...[6, 7, 8, 9].map(key)), "");
    assert.equal(world.set(key(10), "update_only=true"), "", "who is not made takes no place");
    assert.equal(world.set(key(6), key(7), key(6)), "", "who is there takes no other place");
  },
  { peersMax: 4 },
);

withDevices("the keys of a request are wiped when it has been applied (R65)", 1, (world) => {
  assert.ok(world);
  const secret = new Uint8Array(32).fill(1);
  const presharedKey = new Uint8Array(32).fill(2);
  finish(world.device.change({
    privateKey: secret,
    replacesPeers: false,
    peers: [{
      publicKey: new Uint8Array(32).fill(3),
      isRemoved: false,
      isUpdateOnly: false,
      presharedKey,
      prefixes: [],
    }],
  }));
  assert.ok([...secret, ...presharedKey].every((byte) => byte === 0));
  assert.deepEqual(world.device.report().privateKey, new Uint8Array(32).fill(1));
});

withDevices(
  "a report that begins before or within a set shows nothing of it, and one that begins after shows all",
  1,
  (world) => {
    assert.ok(world);
    const C = "cc".repeat(32);
    const D = "dd".repeat(32);
    const show = ({ publicKey, presharedKey, prefixes }: PeerReport) =>
      [
        publicKey.toHex().slice(0, 2),
        presharedKey.toHex().slice(0, 2),
        ...Array.from(prefixes, ({ address }) => address.join(".")).sort(),
      ].join(" ");
    const secret = keyPair();
    const self = keyPair();
    world.set(
      `private_key=${secret.secret}`,
      `public_key=${A}`,
      `preshared_key=${A}`,
      "allowed_ip=10.0.0.0/8",
      "allowed_ip=11.0.0.0/8",
      `public_key=${B}`,
      "allowed_ip=12.0.0.0/8",
      `public_key=${C}`,
      `public_key=${self.public}`,
    );
    const old = world.peers().map(show);
    const early = world.device.report();
    const begun = early.peers[Symbol.iterator]();
    const seen = [begun.next().value].map(show);
    const work = world.device.change(world.parse(
      `private_key=${self.secret}`, // Who bears this key is no peer any more.
      "listen_port=0",
      `public_key=${A}`,
      `preshared_key=${B}`,
      "replace_allowed_ips=true",
      `public_key=${C}`,
      "allowed_ip=12.0.0.0/8", // It is B's, of whom the set says nothing.
      `public_key=${D}`,
      `public_key=${A}`,
      "remove=true",
    ));
    let steps = 0;
    for (; !work.next().done; steps++) {
      const within = world.device.report();
      assert.deepEqual(Array.from(within.peers, show), old, `after ${steps} steps`);
      assert.equal(within.privateKey?.toHex(), secret.secret);
      within.done();
    }
    assert.ok(steps > 2, "the set took several steps");
    for (let next = begun.next(); !next.done; next = begun.next()) seen.push(show(next.value));
    assert.deepEqual(seen, old);
    early.done();
    const after = world.device.report();
    assert.deepEqual(Array.from(after.peers, show), ["bb 00", "cc 00 12.0.0.0", "dd 00"]);
    assert.equal(after.privateKey?.toHex(), self.secret);
    after.done();
  },
);
