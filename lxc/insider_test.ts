/**
 * What a holder of a token and a member without scruple can do to running nodes in namespaces (items 4 to 6;
 * invariants 6, 8 and 10).
 */

import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import type { StatusDocument } from "../src/status.ts";
import { Capture } from "./capture.ts";
import { udpOf } from "./datagrams.ts";
import { hearNothingOf } from "./fault.ts";
import { Machines, meet } from "./machines.ts";
import { MeshNode } from "./node.ts";
import { PingLoad } from "./pinger.ts";
import { missingRight } from "./right.ts";

const SOON = 20_000;
const right = await missingRight();

testUnless(
  { right },
  "item 5, invariant 6: of two machines that use up one token at two doors of a partition, one stays and the other is named",
  async () => {
    await using machines = await Machines.open();
    const lyon = await machines.found("lyon");
    const [oslo] = await machines.join(lyon, "oslo") as [MeshNode];
    await lyon.shoal(["promote", "oslo"]);
    await oslo.statusWhen("is an admin", SOON, ({ self }) => self.admin);
    const { token, seeds } = await lyon.invite(1);
    assert.deepEqual(seeds, ["10.0.0.1:51820", "10.0.0.2:51820"], "the token names both doors");
    const [one, two] = [await machines.add("one"), await machines.add("two")];

    const halves = [[lyon.host, "10.0.0.1", one], [oslo.host, "10.0.0.2", two]] as const;
    const part = async (isParted: boolean) => {
      for (const [i, [door, , machine]] of halves.entries()) {
        const [, address, other] = halves[1 - i] ?? [];
        const deaf = isParted && address && other ? [address, other.address] : [];
        for (const host of [door, machine.host]) await hearNothingOf(host, deaf);
      }
    };
    await part(true);
    const joiners = [one, two].map(({ host }) => MeshNode.start(host, "--token", token));
    const [first, second] = joiners;
    assert.ok(first && second);
    const isIn = ({ mesh, self }: StatusDocument) => mesh.state === "member" && self.ip4 !== "";
    await Promise.all(joiners.map((node) => node.statusWhen("is let in", SOON, isIn)));
    await Promise.all([
      lyon.statusWhen("has one", SOON, ({ peers }) => peers.some(({ name }) => name === "one")),
      oslo.statusWhen("has two", SOON, ({ peers }) => peers.some(({ name }) => name === "two")),
    ]);
    await part(false);

    // Whom its half certified earlier stays, in both halves.
    const settled = await Promise.all(
      [lyon, oslo].map((node) =>
        node.statusWhen("knows one of them", 25_000, ({ peers, health }) => {
          const joined = peers.filter(({ name }) => name === "one" || name === "two");
          return joined.length === 1 && joined[0]?.standing === "certified" &&
            health.some((line) => /^the invite [0-9a-f]{8} for 1 was used by more \(/.test(line));
        })
      ),
    );
    const names = settled.map(({ peers }) =>
      peers.find(({ name }) => name === "one" || name === "two")?.name
    );
    assert.equal(names[0], names[1], "both agree on who stays");
    const [stays, surplus] = names[0] === "one" ? [first, second] : [second, first];
    const { self } = await surplus.status();
    for (const { health } of settled) {
      const line = health.find((one) => one.startsWith("the invite"));
      assert.ok(line?.includes("`shoal invite --revoke"), line);
      assert.ok(
        line?.includes(self.key.slice(0, 16)) || line?.includes(surplus.host.name),
        `${line} does not name ${self.key}`,
      );
    }
    await stays.statusWhen(
      "names it, too",
      SOON,
      ({ health }) => health.some((line) => line.startsWith("the invite")),
    );
    await surplus.statusWhen(
      "says that it is out",
      SOON,
      ({ health }) =>
        health.some((line) => /^(out|revoked|provisional|joining|.*invite)/.test(line)),
    );
    await meet([lyon, oslo, stays], 2);
    await stays.host.run([
      "ping",
      "-c",
      "2",
      "-i",
      "0.1",
      "-W",
      "2",
      (await lyon.status()).self.ip4,
    ]);
  },
);

const LIAR = new URL("liar.ts", import.meta.url).pathname;
/** Seconds of lies. */
const LYING = 15;

testUnless(
  { right },
  "item 4, invariant 8: a member tells 45,000 lies that another is dead, at all numbers; it is held alive, and starts again",
  async () => {
    await using machines = await Machines.open();
    const lyon = await machines.found("lyon");
    const [oslo, rome, mole] = await machines.join(lyon, "oslo", "rome", "mole") as [
      MeshNode,
      MeshNode,
      MeshNode,
    ];
    const honest = [lyon, oslo, rome];
    const { self: { key: victim } } = await oslo.status();
    await mole.kill("SIGKILL");
    const targets = await Promise.all(honest.map(async (node, i) => {
      const { self: { key } } = await node.status();
      return `${key}=10.0.0.${i + 1}:51820`;
    }));
    const config = new URL("../deno.json", import.meta.url).pathname;
    const deno = [
      Deno.execPath(),
      "run",
      "--quiet",
      "--config",
      config,
      "--cached-only",
      "--unstable-net",
    ];
    const mine = (await lyon.status()).peers.find(({ name }) => name === "mole")?.endpoint ?? "";
    const lying = mole.host.run([
      ...deno,
      "--allow-all",
      LIAR,
      mole.state,
      mine,
      victim,
      String(LYING),
      ...targets,
    ], { timeout: (LYING + 30) * 1_000 });
    lying.catch(() => {}); // said below, when it is awaited
    const held = async () => {
      for (const node of [lyon, rome]) {
        const { peers } = await node.status();
        const state = peers.find(({ key }) => key === victim)?.state;
        assert.ok(state === "alive" || state === "suspect", `${node.host.name}: ${state}`);
      }
    };
    const { self: { ip4 } } = await oslo.status();
    for (let second = 0; second < LYING; second++) {
      await held();
      await lyon.host.run(["ping", "-c", "1", "-W", "2", ip4]);
      await new Promise((wake) => setTimeout(wake, 1_000));
    }
    assert.equal(Number((await lying).stdout), 3_000 * LYING);
    await held();
    // Its numbers are not used up: it starts again, and is back at once.
    await oslo.kill("SIGKILL");
    const again = MeshNode.start(oslo.host);
    await meet([lyon, rome, again], 2);
    await lyon.host.run(["ping", "-c", "2", "-i", "0.2", "-W", "2", ip4]);
    const { control } = await lyon.status();
    assert.ok((control["swim_unannounced"] ?? 0) > 1_000, "the lies were looked at");
  },
);

/** Milliseconds for which a victim's wire is watched. */
const WATCHED = 30_000;
const VICTIMS = ["10.0.0.90", "10.0.0.91", "10.0.0.92", "10.0.0.93"];

testUnless(
  { right },
  "item 6, invariant 10: places of others in a member's record get three datagrams of each node at most",
  async () => {
    await using machines = await Machines.open();
    const lyon = await machines.found("lyon");
    const [oslo, mole] = await machines.join(lyon, "oslo", "mole") as [MeshNode, MeshNode];
    const victim = await machines.add("victim");
    await victim.host.ip(...VICTIMS.map((one) => `address add ${one}/24 dev eth0`));
    const capture = await Capture.open(machines.wire.host, victim.port);

    // A node tells of every address that its machine has: this machine takes those of another.
    await mole.host.sysctl({ "net.ipv4.conf.all.arp_ignore": 1 });
    await mole.host.ip(
      "link add spare0 type veth peer name spare1",
      "link set spare0 up",
      "link set spare1 up",
    );
    for (const step of [0, 1, 2]) {
      // Another set each time, so that the record is news.
      const taken = VICTIMS.filter((_, i) => step === 2 || i % 2 === step);
      await mole.host.ip(
        "address flush dev spare0",
        ...taken.map((one) => `address add ${one}/32 dev spare0`),
      );
      await new Promise((wake) => setTimeout(wake, 3_000));
    }
    // Then it is silent: whoever looks for it, or hears of it only now, looks where its record says.
    await mole.kill();
    const begin = performance.now();
    const { token } = await lyon.invite();
    const joiner = await machines.add("bern");
    const bern = MeshNode.start(joiner.host, "--token", token);
    await bern.statusWhen(
      "knows lyon and oslo",
      SOON,
      ({ peers }) => peers.filter(({ state }) => state === "alive").length >= 2,
    );
    await new Promise((wake) => setTimeout(wake, WATCHED - (performance.now() - begin)));
    const seen = udpOf(await capture.close()).filter(({ to }) => VICTIMS.includes(to));
    const counts = new Map<string, number>();
    for (const { from, to, toPort } of seen) {
      const name = `${from} to ${to}:${toPort}`;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    const text = [...counts].map(([name, count]) => `${name}: ${count}`).join(", ");
    assert.ok(
      seen.some(({ from }) => from === joiner.address),
      `who hears of mole only now looks for it there: ${text}`,
    );
    for (const [name, count] of counts) assert.ok(count <= 3, `${name}: ${count} (${text})`);
    await Promise.all(
      [lyon, oslo, bern].map((node) =>
        node.statusWhen(
          "has found mole dead and the others alive",
          SOON,
          ({ peers }) =>
            peers.map(({ name, state }) => state === (name === "mole" ? "dead" : "alive"))
              .every((isSo) => isSo),
        )
      ),
    );
  },
);

testUnless(
  { right },
  "item 6, T34: a member whose datagrams leave with another's address has nothing of its download sent there",
  async () => {
    await using machines = await Machines.open();
    const lyon = await machines.found("lyon");
    const [mole] = await machines.join(lyon, "mole") as [MeshNode];
    const victim = await machines.add("victim");
    await victim.host.ip("address add 10.0.0.66/24 dev eth0");
    await meet([lyon, mole], 1);
    const { self } = await mole.status();
    // Big echo requests of lyon's are what it sends to the mole; a few of the mole's make its tunnel seem to be elsewhere.
    const flood = PingLoad.start(lyon.host, self.ip4, "-s", "1200", "-w", "12");
    await new Promise((wake) => setTimeout(wake, 2_000));
    const capture = await Capture.open(machines.wire.host, victim.port);
    await mole.host.run(["nft", "-f", "-"], {
      stdin: `table ip lie {
  chain out {
    type filter hook postrouting priority 0;
    udp sport 51820 ip saddr set 10.0.0.66
  }
}
`,
    });
    await flood.ended();
    const seen = udpOf(await capture.close()).filter(({ to }) => to === "10.0.0.66");
    const data = seen.filter(({ payload }) => payload[0] === 4);
    assert.deepEqual(data.map(({ payload }) => payload.length), [], "data at the victim");
    // Questions for a proof, and answers no longer than what the mole says of itself.
    assert.ok(seen.length >= 1 && seen.length <= 40, `${seen.length} datagrams at the victim`);
  },
);
