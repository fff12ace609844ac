/**
 * A phone as a guest: wireguard-go, driven by wg-quick with the file that `shoal guest add` prints, behind
 * a NAT. Its host does not forward in its kernel.
 */
import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import type { StatusDocument } from "../src/status.ts";
import type { Host } from "./host.ts";
import { Machines, meet } from "./machines.ts";
import { MeshNode } from "./node.ts";
import { seekPeer } from "./peers.ts";
import { missingRight } from "./right.ts";
import { until } from "./until.ts";

const right = await missingRight();
const sought = right === undefined ? await seekPeer("wireguard-go-debian") : undefined;
const thing = sought && "missing" in sought ? sought.missing : undefined;

const FILE = "/run/phone.conf";
const QUICK = { WG_QUICK_USERSPACE_IMPLEMENTATION: "wireguard-go" };

async function quick(phone: Host, direction: "up" | "down"): Promise<void> {
  await phone.run(["wg-quick", direction, FILE], { env: QUICK });
}

async function write(phone: Host, file: string): Promise<void> {
  await phone.run(["sh", "-c", `umask 077; cat > ${FILE}`], { stdin: file });
}

/** The news that there is a guest takes a second or two. */
async function known(nodes: readonly MeshNode[]): Promise<void> {
  for (const node of nodes) {
    await node.statusWhen("knows the phone", 10_000, ({ guests }) => guests.length > 0);
  }
}

/** What ping(8) says of three. */
async function pings(from: Host, to: string, ...more: string[]): Promise<string> {
  const { stdout } = await from.run(["ping", "-c", "3", "-i", "0.2", "-W", "2", ...more, to], {
    check: false,
  });
  return stdout;
}

/** Within ten seconds: a member hears of a guest by gossip, and drops what comes from an address that nobody has. */
async function reaches(from: Host, to: string): Promise<void> {
  const argv = ["ping", "-c", "1", "-w", "10", "-i", "0.5", to];
  const { stdout } = await from.run(argv, { check: false });
  assert.match(stdout, / 1 received/, `${from.name} → ${to}`);
}

function addressesOf({ self }: StatusDocument): string[] {
  return [self.ip4, self.ip6];
}

async function threeMembers(machines: Machines): Promise<[MeshNode, MeshNode, MeshNode]> {
  const lyon = await machines.found("lyon");
  const [oslo, rome] = await machines.join(lyon, "oslo", "rome") as [MeshNode, MeshNode];
  await meet([lyon, oslo, rome], 2);
  for (const { host } of [lyon, oslo, rome]) {
    await host.sysctl({ "net.ipv4.ip_forward": 0, "net.ipv6.conf.all.forwarding": 0 });
  }
  return [lyon, oslo, rome];
}

testUnless(
  { right, thing },
  "guest: a phone behind a NAT reaches every member and is reached, until it is removed",
  async () => {
    await using machines = await Machines.open();
    const nodes = await threeMembers(machines);
    const [lyon, oslo] = nodes;
    const phone = await machines.addHidden("phone");
    const added = await lyon.shoal(["guest", "add", "phone", "--endpoint", "10.0.0.1:51820"]);
    assert.match(added.stderr, /█/, "a QR code");
    await write(phone, added.stdout);
    await quick(phone, "up");
    await known(nodes);

    for (const node of nodes) {
      for (const address of addressesOf(await node.status())) await reaches(phone, address);
    }
    const { guests: [seen] } = await oslo.status();
    assert.ok(seen);
    assert.deepEqual([seen.name, seen.host, seen.state], ["phone", "lyon", "elsewhere"]);
    for (const node of nodes) {
      for (const address of [seen.ip4, seen.ip6]) await reaches(node.host, address);
    }
    const { mesh: { name: mesh } } = await oslo.status();
    const asked = [
      "dig",
      "+short",
      "+time=2",
      `@${(await oslo.status()).self.ip4}`,
      `phone.${mesh}.internal`,
    ];
    assert.equal((await phone.run(asked)).stdout, `${seen.ip4}\n`, "it has a name, and may ask");
    const { guests: [own] } = await lyon.statusWhen(
      "hears the phone",
      5_000,
      ({ guests }) => guests.some(({ state }) => state === "active"),
    );
    assert.match(own?.endpoint ?? "", /^10\.0\.0\.4:/, "the router's address");

    const { self } = await oslo.status();
    const { self: { ip4: lyonIp4 }, mesh: { name: meshName } } = await lyon.status();
    for (const server of [lyonIp4, self.ip4]) {
      const dig = ["dig", "+short", "+time=2", `@${server}`, `oslo.${meshName}.internal`];
      assert.equal((await phone.run(dig)).stdout, `${self.ip4}\n`, "a guest may ask for names");
    }
    assert.match(await pings(phone, self.ip4, "-t", "1"), new RegExp(`From ${lyonIp4} .*exceeded`));
    assert.match(await pings(phone, self.ip4, "-t", "2"), / [1-3] received/);
    const nobody = self.ip4.replace(/\d+$/, (last) => String((Number(last) + 100) % 254 + 1));
    assert.match(await pings(phone, nobody), new RegExp(`From ${lyonIp4} .*Unreachable`));

    const server = oslo.host.spawn(["iperf3", "-s", "-1"], { stdout: "null", stderr: "null" });
    await new Promise((resolve) => setTimeout(resolve, 300));
    const run = ["iperf3", "-c", self.ip4, "-n", "20M", "-J"];
    const { end } = JSON.parse((await phone.run(run)).stdout);
    assert.ok(end.sum_received.bytes > 10e6, JSON.stringify(end.sum_received));
    await server.stop();
    const { dataplane: { drops } } = await lyon.status();
    assert.equal(drops["rx_source"], 0);

    await assert.rejects(oslo.shoal(["guest", "remove", "phone"]), /no admin: run it on lyon/);
    await lyon.shoal(["guest", "remove", "phone"]);
    assert.match(await pings(phone, lyonIp4), / 0 received/);
    await oslo.statusWhen("knows no guest", 5_000, ({ guests }) => guests.length === 0);
    assert.match(await pings(oslo.host, seen.ip4), /Unreachable/);
    await quick(phone, "down");
  },
);

testUnless(
  { right, thing },
  "guest: its key may stay on the phone, and a host that starts anew serves it again within seconds",
  async () => {
    await using machines = await Machines.open();
    const [lyon, oslo] = await threeMembers(machines);
    const phone = await machines.addHidden("phone");
    const secret = (await phone.run(["wg", "genkey"])).stdout.trim();
    const publicKey = (await phone.run(["wg", "pubkey"], { stdin: secret })).stdout.trim();
    const options = ["--public-key", publicKey, "--endpoint", "10.0.0.1:51820"];
    const added = await lyon.shoal(["guest", "add", "phone", ...options]);
    assert.doesNotMatch(added.stderr, /█/, "no QR code of a file that does not work yet");
    await write(phone, added.stdout.replace(/^PrivateKey = .*$/m, `PrivateKey = ${secret}`));
    await quick(phone, "up");
    await known([lyon, oslo]);
    const { self } = await oslo.status();
    await reaches(phone, self.ip4);
    const { guests: [seen] } = await oslo.status();
    assert.ok(seen);
    assert.equal(seen.key, publicKey);
    await reaches(oslo.host, seen.ip4);
    const isRemembered = async () => {
      const state = await Deno.readTextFile(lyon.host.outside(`${lyon.state}/state.json`));
      return /"guests":\[\{/.test(state.replaceAll("\\", ""));
    };
    await until("the place of the phone is on disk", 60_000, isRemembered);

    await lyon.kill("SIGKILL");
    const again = MeshNode.start(lyon.host);
    await again.statusWhen("is there again", 10_000, () => true);
    // The phone says nothing meanwhile, and keeps to a session that nobody has any more.
    await until("oslo reaches the phone", 10_000, async () => {
      return / [1-3] received/.test(await pings(oslo.host, seen.ip4));
    });
    await again.kill("SIGTERM");
    await oslo.statusWhen(
      "knows that lyon left",
      10_000,
      ({ guests }) => guests.some(({ state }) => state === "offline"),
    );
    assert.match(await pings(oslo.host, seen.ip4), /Unreachable/);
  },
);

testUnless(
  { right, thing },
  "guest: one that lies about its source, or floods, harms nobody else",
  async () => {
    await using machines = await Machines.open();
    const [lyon, oslo, rome] = await threeMembers(machines);
    const phone = await machines.addHidden("phone");
    const added = await lyon.shoal(["guest", "add", "phone", "--endpoint", "10.0.0.1:51820"]);
    await write(phone, added.stdout);
    await quick(phone, "up");
    await known([lyon, oslo, rome]);
    const [{ self: own }, { self: other }] = await Promise.all([oslo.status(), rome.status()]);
    await reaches(phone, own.ip4);
    // Its own kernel lets it send by any source.
    await phone.ip(`address add ${other.ip4}/32 dev phone`, "address add 8.8.8.8/32 dev phone");
    for (const source of [other.ip4, "8.8.8.8"]) {
      assert.match(await pings(phone, own.ip4, "-I", source), / 0 received/);
    }
    const { dataplane: { drops } } = await lyon.status();
    assert.equal(drops["rx_source"], 6);
    assert.equal((await oslo.status()).dataplane.drops["rx_source"], 0, "lyon let none through");

    // What else its host's machine has is not the mesh's, whatever the phone believes.
    await lyon.host.ip("address add 192.0.2.1/24 dev lo");
    const key = (await phone.run(["wg", "show", "phone", "peers"])).stdout.trim();
    const wider = `${own.ip4.replace(/^(\d+\.\d+)\..*/, "$1.0.0")}/16,192.0.2.0/24`;
    await phone.run(["wg", "set", "phone", "peer", key, "allowed-ips", wider]);
    await phone.ip("route add 192.0.2.0/24 dev phone");
    assert.match(await pings(phone, "192.0.2.1"), / 0 received/);
    assert.equal((await lyon.status()).dataplane.drops["rx_destination"], 3);

    const nobody = own.ip4.replace(/\d+$/, (last) => String((Number(last) + 100) % 254 + 1));
    const flood = phone.spawn(["ping", "-f", "-s", "1300", nobody], {
      stdout: "null",
      stderr: "null",
    });
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const { stdout } = await rome.host.run(["ping", "-c", "50", "-i", "0.05", "-W", "2", own.ip4]);
    assert.match(stdout, / 50 received/);
    await reaches(oslo.host, (await lyon.status()).self.ip4);
    await flood.stop();
    const { guests, dataplane } = await lyon.status();
    assert.ok((dataplane.drops["forward_no_route"] ?? 0) > 100);
    await reaches(phone, own.ip4);
    assert.equal(guests[0]?.state, "active");
  },
);
