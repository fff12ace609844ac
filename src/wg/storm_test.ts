/** T31: stops of every kind, under load and in the middle of handshakes, fifty rounds each. */
import assert from "node:assert/strict";
import { testUnless } from "../../.ci/skip.ts";
import { Device, type KeyPair, makeKeys } from "../../lxc/device.ts";
import type { Host } from "../../lxc/host.ts";
import { Lab } from "../../lxc/lab.ts";
import { shoal } from "../../lxc/peers.ts";
import { PingLoad } from "../../lxc/pinger.ts";
import { missingRight } from "../../lxc/right.ts";
import { until } from "../../lxc/until.ts";

const ROUNDS = 50;
const PORT = 51820;
const SOCKET = "/run/wireguard/wg0.sock";

const right = await missingRight();
const ours = await shoal();

interface Side {
  readonly host: Host;
  readonly keys: KeyPair;
  readonly outer: string;
  readonly inner: string;
}

async function sides(lab: Lab): Promise<[Side, Side]> {
  const hosts = [await lab.host("a"), await lab.host("b")] as const;
  await lab.link(hosts[0], hosts[1], {
    a: { addresses: ["10.0.0.1/24"] },
    b: { addresses: ["10.0.0.2/24"] },
  });
  const side = async (host: Host, n: number) => ({
    host,
    keys: await makeKeys(host),
    outer: `10.0.0.${n}`,
    inner: `10.7.0.${n}`,
  });
  return [await side(hosts[0], 1), await side(hosts[1], 2)];
}

async function start(here: Side, there: Side): Promise<Device> {
  const device = await Device.start(here.host, ours);
  await device.configure({
    privateKey: here.keys.privateKey,
    port: PORT,
    addresses: [`${here.inner}/32`],
    peers: [{
      publicKey: there.keys.publicKey,
      allowedIps: [`${there.inner}/32`],
      endpoint: `${there.outer}:${PORT}`,
    }],
  });
  return device;
}

/** pid of the device's process as the laboratory counts. */
async function inside(host: Host): Promise<string> {
  const { stdout } = await host.run(["sh", "-c", 'ss -ulnpH "sport = 51820" | head -1']);
  return /pid=(\d+)/.exec(stdout)?.[1] ?? "";
}

/** What a stop must not leave: processes, interfaces, sockets. */
async function leftovers(host: Host): Promise<string> {
  const { stdout } = await host.run([
    "sh",
    "-c",
    `ip -o link show wg0 2>/dev/null; ss -ulnH; ls ${SOCKET} 2>/dev/null; true`,
  ]);
  return stdout.trim();
}

testUnless(
  { right },
  `T31: ${ROUNDS} stops by SIGTERM and SIGKILL under load, each within 2 s, each followed by a handshake`,
  async () => {
    await using lab = await Lab.open();
    const [a, b] = await sides(lab);
    const other = await start(b, a);
    const load = PingLoad.start(b.host, a.inner);
    const descriptors = async () => {
      const { stdout } = await b.host.run(["ls", `/proc/${await inside(b.host)}/fd`]);
      return stdout.split("\n").length;
    };
    const before = await descriptors();
    for (let round = 0; round < ROUNDS; round++) {
      const device = await start(a, b);
      // Every other round in the middle of the handshake, the others with a session under load.
      if (round % 2 === 0) await a.host.run(["ping", "-c", "1", "-W", "5", b.inner]);
      const begin = performance.now();
      if (round % 3 === 2) {
        Deno.kill(await device.pid() ?? 0, "SIGKILL");
        // All that stays is the socket's file: the next start replaces it.
        await until("the kill", 2000, async () => await leftovers(a.host) === SOCKET);
        continue;
      }
      await device.stop();
      const took = performance.now() - begin;
      assert.ok(took < 2000, `round ${round}: the stop took ${took} ms`);
      assert.equal(await leftovers(a.host), "", `round ${round}`);
    }
    assert.ok(await descriptors() <= before, "the other side grew");
    await load.stop();
    await other.stop();
  },
);

testUnless({ right }, `T31: ${ROUNDS} times down and up under load leak nothing`, async () => {
  await using lab = await Lab.open();
  const [a, b] = await sides(lab);
  const [one, two] = [await start(a, b), await start(b, a)];
  const load = PingLoad.start(b.host, a.inner);
  const pid = await one.pid();
  const count = async (what: string) => {
    let entries = 0;
    for await (const _ of Deno.readDir(`/proc/${pid}/${what}`)) entries++;
    return entries;
  };
  await a.host.run(["ping", "-c", "1", "-W", "5", b.inner]);
  const before = { fd: await count("fd"), task: await count("task") };
  const toggle = `for i in $(seq ${ROUNDS}); do ip link set wg0 down; ip link set wg0 up; done`;
  await a.host.run(["sh", "-c", toggle]);
  await a.host.ip(`route replace ${b.inner}/32 dev wg0`);
  await a.host.run(["ping", "-c", "1", "-W", "6", b.inner]);
  assert.deepEqual({ fd: await count("fd"), task: await count("task") }, before);
  await load.stop();
  await Promise.all([one.stop(), two.stop()]);
});
