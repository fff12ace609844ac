/**
 * T10: the cases of the kernel's own WireGuard test, `tools/testing/selftests/wireguard/netns.sh`, that need no roaming.
 * As there, both programs and all their sockets are in one namespace with nothing but a loopback, and each interface
 * has been moved to a namespace of its own, so that the tunnel is the only way between the two.
 */

import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import { Device, type KeyPair, makeKeys, type PeerOptions } from "./device.ts";
import { exchange } from "./exchange.ts";
import type { Host } from "./host.ts";
import { Lab } from "./lab.ts";
import { masquerade } from "./nat.ts";
import { type Implementation, shoal } from "./peers.ts";
import { missingRight } from "./right.ts";
import { until } from "./until.ts";

const LOOPBACK = { 4: "127.0.0.1", 6: "[::1]" } as const;
const MTU = 1420;
const BIG_MTU = 34816 - 1500 + MTU; // what netns.sh takes for a jumbo tunnel over the loopback

interface End {
  readonly host: Host;
  readonly device: Device;
  readonly keys: KeyPair;
  readonly port: number;
  readonly ip4: string;
  readonly ip6: string;
}

interface World {
  readonly middle: Host;
  readonly one: End;
  readonly two: End;
  readonly psk: string;
}

/** Both interfaces, moved but not configured. */
async function build(lab: Lab, implementation: Implementation): Promise<World> {
  const middle = await lab.host("middle");
  const end = async (n: 1 | 2): Promise<End> => {
    const host = await lab.host(`n${n}`);
    const device = await Device.start(middle, implementation, `wg${n}`);
    await device.moveTo(host);
    const [ip4, ip6] = [`192.168.241.${n}`, `fd00::${n}`];
    return { host, device, keys: await makeKeys(middle), port: n, ip4, ip6 };
  };
  const [one, two] = [await end(1), await end(2)];
  const psk = (await middle.run(["wg", "genpsk"])).stdout.trim();
  return { middle, one, two, psk };
}

async function configure({ one, two, psk }: World, outer: 4 | 6 = 4): Promise<void> {
  const peer = (end: End): PeerOptions => ({
    publicKey: end.keys.publicKey,
    allowedIps: [`${end.ip4}/32`, `${end.ip6}/128`],
    presharedKey: psk,
    endpoint: `${LOOPBACK[outer]}:${end.port}`,
  });
  const set = (end: End, other: End) =>
    end.device.configure({
      privateKey: end.keys.privateKey,
      port: end.port,
      addresses: [`${end.ip4}/24`, `${end.ip6}/112`],
      mtu: MTU,
      peers: [peer(other)],
    });
  await set(one, two);
  await set(two, one);
}

function netns(name: string, body: (world: World) => Promise<void>): void {
  testUnless({ right }, `T10: ${name}`, async () => {
    await using lab = await Lab.open();
    await body(await build(lab, ours));
  });
}

function ping(to: string, count = 1): string[] {
  // An interval instead of netns.sh's flood: a flood of ten may end before the last answer.
  return ["ping", "-c", String(count), "-i", "0.05", "-W", "1", to];
}

/** Datagrams a second; the receiver's socket holds more than a tenth of a second of small ones, in which it may wait. */
const UDP_RATE = 2000;

/**
 * UDP both small and full-size through iperf3; most of it must arrive, since nothing on the way is slow, and nothing comes
 * faster than a receiver on a busy machine takes it.
 */
async function udp(from: End, to: End, address: string): Promise<void> {
  for (const length of [64, MTU - 48]) {
    const bits = Math.min(20_000_000, UDP_RATE * 8 * length);
    const server = to.host.spawn(["iperf3", "-s", "-1", "-B", address], { stdout: "null" });
    await until("iperf3 listens", 5000, async () => {
      const { stdout } = await to.host.run(["ss", "-ltnH", "sport = 5201"]);
      return stdout !== "";
    });
    const argv = [
      "iperf3",
      "-c",
      address,
      "-u",
      "-b",
      String(bits),
      "-k",
      "1000",
      "-l",
      String(length),
      "-J",
    ];
    const { stdout } = await from.host.run(argv);
    const { packets, lost_packets: lost } = JSON.parse(stdout).end.sum;
    assert(packets > 0 && lost < packets / 2, `${lost} of ${packets} lost, ${length} bytes each`);
    await server.status;
  }
}

/** What netns.sh calls `tests`: ping, TCP and UDP, both families, both ways. */
async function everything({ one, two }: World): Promise<void> {
  for (const [from, to] of [[one, two], [two, one]] as const) {
    await from.host.run(ping(to.ip4, 5));
    await from.host.run(ping(to.ip6, 5));
    await exchange(from.host, to.host, to.ip4, 1 << 20);
    await exchange(from.host, to.host, to.ip6, 1 << 20);
  }
  await udp(one, two, two.ip4);
  await udp(two, one, one.ip6);
}

/** Counts the UDP datagrams that reach a port of a host, in the kernel, whether anybody listens or not. */
class Counter {
  static async open(host: Host, port: number): Promise<Counter> {
    await host.run(["nft", "-f", "-"], {
      stdin: `table inet probe {
  chain in { type filter hook input priority 0; udp dport ${port} counter; }
}
`,
    });
    return new Counter(host);
  }

  private constructor(readonly host: Host) {}

  async read(): Promise<number> {
    const { stdout } = await this.host.run(["nft", "list", "table", "inet", "probe"]);
    return Number(/packets (\d+) /.exec(stdout)?.[1]);
  }

  async close(): Promise<void> {
    await this.host.run(["nft", "delete", "table", "inet", "probe"]);
  }
}

/** Sends one datagram from an end to the other one's IPv4 address; true when it arrives within a second. */
async function datagramArrives(from: End, to: End): Promise<boolean> {
  const counter = await Counter.open(to.host, 1111);
  await from.host.run(["bash", "-c", 'echo X > "/dev/udp/$0/1111"', to.ip4]);
  const arrived = until("the datagram", 1000, async () => await counter.read() === 1);
  return await arrived.catch(() => false).finally(() => counter.close());
}

const right = await missingRight();
const ours = await shoal();

netns("ten pings count 1372 bytes in and 1428 or 1460 out, and a handshake", async (world) => {
  const { one, two } = world;
  await configure(world);
  await two.host.run(ping(one.ip4, 10));
  // 10 × (96 + 32) both ways (R18); initiation 148 and response 92; 32 more when the first word was a keepalive.
  const asked = await two.device.transfer(one.keys.publicKey);
  assert.equal(asked.rx, 1372);
  assert([1428, 1460].includes(asked.tx), `tx ${asked.tx}`);
  const answered = await one.device.transfer(two.keys.publicKey);
  assert.equal(answered.tx, 1372);
  assert([1428, 1460].includes(answered.rx), `rx ${answered.rx}`);
  assert(await one.device.lastHandshake(two.keys.publicKey) > 0);
});

for (const outer of [4, 6] as const) {
  netns(
    `ping, TCP and UDP cross with MTU 1420 and ${BIG_MTU}, outside IPv${outer}`,
    async (world) => {
      await configure(world, outer);
      await everything(world);
      for (const { device } of [world.one, world.two]) await device.setMtu(BIG_MTU);
      await everything(world);
      // One packet of the full size, in one datagram.
      await world.one.host.run([...ping(world.two.ip4), "-M", "do", "-s", String(BIG_MTU - 28)]);
      for (const { device } of [world.one, world.two]) await device.setMtu(MTU);
      await everything(world);
    },
  );
}

netns(
  "a source that another peer's allowed IPs own is dropped, and still moves the endpoint",
  async (world) => {
    const { middle, one, two } = world;
    await configure(world, 6);
    const pub2 = two.keys.publicKey;
    await one.device.set(["peer", pub2, "allowed-ips", "192.168.241.0/24"]);
    assert(await datagramArrives(two, one));
    const other = (await makeKeys(middle)).publicKey;
    await one.device.set(["peer", other, "allowed-ips", `${two.ip4}/32`]);
    await two.device.set(["listen-port", "9997"]);
    assert(!await datagramArrives(two, one));
    await one.device.set(["peer", other, "remove"]);
    const { stdout } = await middle.run(["wg", "show", "wg1", "endpoints"]);
    assert.equal(stdout.trim(), `${pub2}\t[::1]:9997`);
    // With the more specific peer gone, netns.sh gives the route back by hand; so do we.
    await one.device.set(["peer", pub2, "allowed-ips", "192.168.241.0/24"]);
    assert(await datagramArrives(two, one));
  },
);

netns("a device whose private key changes shakes hands at once", async (world) => {
  const { middle, one, two, psk } = world;
  await configure(world);
  await one.host.run(ping(two.ip4));
  const fresh = await makeKeys(middle);
  await one.device.set(["private-key", "/dev/stdin"], fresh.privateKey);
  const peer = [
    "peer",
    fresh.publicKey,
    "preshared-key",
    "/dev/stdin",
    "allowed-ips",
    `${one.ip4}/32`,
  ];
  await two.device.set([...peer, "peer", one.keys.publicKey, "remove"], psk);
  await one.host.run(ping(two.ip4));
  assert(await two.device.lastHandshake(fresh.publicKey) > 0);
});

// The points of small order of Curve25519 and their non-canonical spellings below 2^255.
const LOW_ORDER = [
  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
  "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
  "4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA=",
  "X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc=",
  "7P///////////////////////////////////////38=",
  "7f///////////////////////////////////////38=",
  "7v///////////////////////////////////////38=",
];

netns("a peer with a key of low order is never sent a packet (R25)", async (world) => {
  const { middle, one } = world;
  await configure(world);
  const counter = await Counter.open(middle, 1111);
  const ordinary = (await makeKeys(middle)).publicKey;
  const poke = async (key: string, address: string) => {
    await one.device.set([
      "peer",
      key,
      "endpoint",
      "127.0.0.1:1111",
      "allowed-ips",
      `${address}/32`,
    ]);
    await one.host.ip(`route replace ${address}/32 dev wg1`);
    await one.host.run([...ping(address), "-w", "1"], { check: false });
  };
  await Promise.all(LOW_ORDER.map((key, i) => poke(key, `10.9.9.${i}`)));
  assert.equal(await counter.read(), 0);
  await poke(ordinary, "10.9.8.1");
  assert.notEqual(await counter.read(), 0, "the counter counts what goes to an ordinary peer");
});

testUnless(
  { right },
  "T10: a keepalive every second holds a NAT mapping that lasts two (R59)",
  async () => {
    await using lab = await Lab.open();
    const [home, router, far] = [
      await lab.host("home"),
      await lab.host("router"),
      await lab.host("far"),
    ];
    await lab.link(home, router, {
      a: { addresses: ["192.168.1.100/24"] },
      b: { addresses: ["192.168.1.1/24"] },
    });
    const [outside] = await lab.link(router, far, {
      a: { addresses: ["10.0.0.1/24"] },
      b: { addresses: ["10.0.0.100/24"] },
    });
    await home.ip("route add default via 192.168.1.1");
    await masquerade(outside, 2);
    const inside = await Device.start(home, ours);
    const out = await Device.start(far, ours);
    const [keys, farKeys] = [await makeKeys(home), await makeKeys(far)];
    const peer = {
      publicKey: farKeys.publicKey,
      allowedIps: ["10.7.0.2/32"],
      endpoint: "10.0.0.100:2",
    };
    await inside.configure({
      privateKey: keys.privateKey,
      port: 1,
      addresses: ["10.7.0.1/32"],
      peers: [peer],
    });
    await out.configure({
      privateKey: farKeys.privateKey,
      port: 2,
      addresses: ["10.7.0.2/32"],
      peers: [{ publicKey: keys.publicKey, allowedIps: ["10.7.0.1/32"] }],
    });
    const sleep = (seconds: number) => new Promise((wake) => setTimeout(wake, seconds * 1000));
    await inside.set(["peer", farKeys.publicKey, "persistent-keepalive", "1"]);
    await home.run(ping("10.7.0.2"));
    const { stdout } = await far.run(["wg", "show", "wg0", "endpoints"]);
    assert.match(stdout, /\t10\.0\.0\.1:\d+\n/, "far sees the router");
    await sleep(3);
    await far.run(ping("10.7.0.1"));
    // Without them the mapping goes, and with it the way in.
    await inside.set(["peer", farKeys.publicKey, "persistent-keepalive", "0"]);
    await sleep(4);
    await assert.rejects(far.run(ping("10.7.0.1")));
  },
);
