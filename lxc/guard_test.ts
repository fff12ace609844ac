/** What a neighbour on a member's own network can put on the wire in the name of another member. */
import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import type { Host } from "./host.ts";
import { Machines } from "./machines.ts";
import { MeshNode } from "./node.ts";
import { RUN } from "./peers.ts";
import { missingRight } from "./right.ts";
import { Tail } from "./tail.ts";
import { until } from "./until.ts";

const right = await missingRight();

/** A place of UDP where nobody else is. */
const PORT = 9999;
/** Milliseconds: in a moment comes what comes at all, and soon is what ends. */
const MOMENT = 500;
const SOON = 10_000;

/** Prints what comes to an address of its machine, a line each, once it has said that it listens. */
const HEAR = `import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2])))
print("listens", flush=True)
while True:
    text, place = s.recvfrom(100)
    print(text.decode(), place[0], flush=True)
`;

/** Sends a line from an address to another. */
const SAY = `import socket, sys
text, source, to, port = sys.argv[1:]
s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((source, 0))
s.sendto(text.encode(), (to, int(port)))
`;

function say(host: Host, text: string, from: string, to: string) {
  return host.run(["python3", "-c", SAY, text, from, to, String(PORT)]);
}

/** Hears at an address what is said while `body` runs, and a moment longer. */
async function heard(host: Host, address: string, body: () => Promise<unknown>) {
  const process = host.spawn(["python3", "-c", HEAR, address, String(PORT)], { stdout: "piped" });
  const lines = new Tail(process.stdout);
  await until("it listens", SOON, () => Promise.resolve(lines.text === "listens"));
  await body();
  await new Promise((wake) => setTimeout(wake, MOMENT));
  await process.stop("SIGKILL");
  await lines.ended;
  return lines.text.split("\n").slice(1);
}

/** Two members, and a stranger on the wire of the second that has the first one's addresses, too. */
async function street() {
  const machines = await Machines.open();
  const lyon = await machines.found("lyon");
  const [oslo] = await machines.join(lyon, "oslo") as [MeshNode];
  const eve = await machines.add("eve");
  const [{ self: of }, { self: to }] = [await lyon.status(), await oslo.status()];
  await oslo.host.sysctl({
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.eth0.rp_filter": 0,
    "net.ipv4.conf.shoal0.rp_filter": 0,
  });
  await oslo.host.ip("address add fd99::2/64 dev eth0 nodad");
  await eve.host.ip(
    `address add ${of.ip4}/32 dev lo`,
    `address add ${of.ip6}/128 dev lo nodad`,
    "address add fd99::3/64 dev eth0 nodad",
    `route add ${to.ip4}/32 via 10.0.0.2`,
    `route add ${to.ip6}/128 via fd99::2`,
  );
  return { machines, lyon, oslo, eve: eve.host, of, to };
}

testUnless(
  { right },
  "T15: a stranger on a member's network speaks to nobody there as another member, until the node is gone",
  async () => {
    const { machines, lyon, oslo, eve, of, to } = await street();
    await using _ = machines;
    for (const [source, address] of [[of.ip4, to.ip4], [of.ip6, to.ip6]] as const) {
      const lines = await heard(oslo.host, address, async () => {
        await say(eve, "forged", source, address);
        await say(lyon.host, "true", source, address);
      });
      assert.deepEqual(lines, [`true ${source}`]);
    }
    const { dataplane, health } = await oslo.status();
    assert.equal(dataplane.drops["guard"], 2);
    assert.deepEqual(health.filter((line) => /guard/.test(line)), []);
    assert.match((await oslo.shoal(["status"])).stdout, /in a member's name \(2\)/);

    const tables = async () => (await oslo.host.run(["nft", "list", "tables"])).stdout;
    await oslo.host.run(["nft", "flush", "ruleset"]);
    assert.match(await tables(), /^table inet shoal-shoal0$/m, "nobody else's to take away");
    await oslo.kill("SIGKILL");
    assert.equal(await tables(), "");
    // What was dropped would have come: the addresses are there without the node, on another interface.
    await oslo.host.ip(
      `address add ${to.ip4}/32 dev lo`,
      `address add ${to.ip6}/128 dev lo nodad`,
    );
    for (const [source, address] of [[of.ip4, to.ip4], [of.ip6, to.ip6]] as const) {
      const lines = await heard(oslo.host, address, () => say(eve, "forged", source, address));
      assert.deepEqual(lines, [`forged ${source}`]);
    }
  },
);

testUnless(
  { right },
  "who has an address of its own reaches a mesh address past the tunnel, as a container of the machine does",
  async () => {
    const { machines, oslo, eve, to } = await street();
    await using _ = machines;
    const others = [["10.0.0.3", to.ip4], ["fd99::3", to.ip6]] as const;
    for (const [source, address] of others) {
      const lines = await heard(oslo.host, address, () => say(eve, "neighbour", source, address));
      assert.deepEqual(lines, [`neighbour ${source}`]);
    }
    for (const address of [to.ip4, to.ip6]) { // The machine itself, by loopback.
      const lines = await heard(
        oslo.host,
        address,
        () => say(oslo.host, "self", address, address),
      );
      assert.deepEqual(lines, [`self ${address}`]);
    }
    assert.equal((await oslo.status()).dataplane.drops["guard"], 0);
  },
);

testUnless(
  { right },
  "two nodes on one machine have a table each, and what both send and get goes through",
  async () => {
    const { machines, lyon, oslo, eve, to } = await street();
    await using _ = machines;
    const second = ["--interface", "shoal1", "--pool", "10.77.0.0/16", "--state", "/run/second"];
    const process = oslo.host.spawn([RUN, "node", "--name", "second", ...second], {
      stdout: "null",
      stderr: "null",
    });
    const shown = () =>
      oslo.host.run(["ip", "-4", "-o", "address", "show", "dev", "shoal1"], { check: false });
    const own = await until(
      "the second has an address",
      SOON,
      async () => /inet (10\.77\.[0-9.]+)\//.exec((await shown()).stdout)?.[1],
    );
    const { stdout } = await oslo.host.run(["nft", "list", "tables"]);
    assert.equal(stdout, "table inet shoal-shoal0\ntable inet shoal-shoal1\n");
    for (const address of [to.ip4, to.ip6]) {
      await lyon.host.run(["ping", "-c", "1", "-w", "5", address]);
    }
    await oslo.host.run(["ping", "-c", "1", "-w", "5", "-I", to.ip4, own]);
    assert.equal((await oslo.status()).dataplane.drops["guard"], 0);

    await eve.ip("address add 10.77.0.99/32 dev lo", `route add ${own}/32 via 10.0.0.2`);
    assert.deepEqual(
      await heard(oslo.host, own, () => say(eve, "forged", "10.77.0.99", own)),
      [],
    );
    assert.equal((await oslo.status()).dataplane.drops["guard"], 0, "the second's own table did");
    await process.stop("SIGKILL");
  },
);

testUnless(
  { right },
  "T15: a route of the network that leads a member's address past the tunnel is named, until it is gone",
  async () => {
    const { machines, oslo, of } = await street();
    await using _ = machines;
    const health = async () => (await oslo.status()).health;
    assert.deepEqual((await health()).filter((line) => /tunnel/.test(line)), []);
    const routes = [[of.ip4, "10.0.0.3"], [of.ip6, "fd99::3"]] as const;
    for (const [address, gateway] of routes) {
      await oslo.host.ip(`route add ${address} via ${gateway} dev eth0`); // as DHCP's option 121
      await oslo.statusWhen(
        "names the member and the way",
        SOON,
        ({ health }) =>
          health.some((line) =>
            line.includes(`what is meant for lyon (${address}) by eth0, in the clear`)
          ),
      );
      await oslo.host.ip(`route delete ${address} via ${gateway} dev eth0`);
      await oslo.statusWhen(
        "says no more of it",
        SOON,
        ({ health }) => !health.some((line) => /in the clear/.test(line)),
      );
    }
  },
);
