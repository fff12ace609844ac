/** What strangers can do to running nodes in namespaces (issue 7, items 1, 8 and 9; invariants 9, 11 and 12). */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { testUnless } from "../.ci/skip.ts";
import config from "../deno.json" with { type: "json" };
import { nobleCrypto } from "../mesh/noble_crypto.ts";
import { sealAsk } from "../mesh/wire/ask.ts";
import { Capture } from "./capture.ts";
import { forge, type UdpDatagram, udpOf } from "./datagrams.ts";
import { Device, makeKeys } from "./device.ts";
import { hearNothingOf } from "./fault.ts";
import { Machines, meet } from "./machines.ts";
import { MeshNode } from "./node.ts";
import { shoal } from "./peers.ts";
import { missingRight } from "./right.ts";

const PORT = 51820;
const right = await missingRight();

function sleep(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms));
}

function random(length: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(length));
}

/** An ask as any machine makes it that knows an address and nothing else. */
function ask(from: string, fromPort: number, to: string): UdpDatagram {
  return { from, fromPort, to, toPort: PORT, payload: sealAsk(nobleCrypto, random).bytes };
}

testUnless({ right }, "items 8, 9: strangers at the door", async (t) => {
  await using machines = await Machines.open();
  const lyon = await machines.found("lyon");
  const machine = await machines.add("zanzibar");
  const { address } = machine;
  const { self: founder } = await lyon.status();
  const capture = await Capture.open(machines.wire.host, machine.port);
  const asker = MeshNode.start(machine.host, "--join", `10.0.0.1:${PORT}`);
  let key = "";
  let seen: UdpDatagram[] = [];

  await t.step(
    "item 9, invariant 11: while the door is closed, whoever asks gets no byte back",
    async () => {
      await sleep(4_000);
      // Everything on that wire so far; the rest of the exchange is captured by another.
      seen = udpOf(await capture.close());
      const asks = seen.filter(({ from, toPort }) => from === address && toPort === PORT);
      assert.ok(asks.length >= 2, `${asks.length} asks were made`);
      assert.deepEqual(seen.filter(({ from }) => from !== address), []);
      const { requests, control } = await lyon.status();
      assert.deepEqual(requests, []);
      assert.ok((control["door_closed"] ?? 0) >= 2, JSON.stringify(control));
    },
  );

  const rest = await Capture.open(machines.wire.host, machine.port);
  await t.step(
    "item 8: with the door open, 200 asks from invented addresses keep no asker out",
    async () => {
      await lyon.shoal(["door", "open"]);
      const forger = await machines.add("forger");
      const invented = (n: number) => `10.0.0.${20 + n}`;
      const asks = Array.from({ length: 200 }, (_, n) => ask(invented(n), 1024 + n, "10.0.0.1"));
      await forge(forger.host, asks);
      const { requests, control } = await lyon.statusWhen(
        "shows who asks",
        30_000,
        (status) => status.requests.length > 0,
      );
      assert.ok((control["door_offers"] ?? 0) >= 200, JSON.stringify(control));
      assert.equal(requests.length, 1, "invented addresses hold no place");
      assert.equal(requests[0]?.name, "zanzibar");
      key = requests[0]?.key ?? "";
    },
  );

  await t.step("item 8: who asks waits until one approve admits it", async () => {
    const pending = await asker.statusWhen("waits", 10_000, ({ mesh }) => mesh.state === "pending");
    assert.equal(pending.self.key, key);
    assert.match(asker.printed, new RegExp(`^\\./run shoal approve --name zanzibar ${key}$`, "m"));
    assert.deepEqual((await lyon.status()).peers, []);
    await lyon.shoal(["approve", "zanzibar"]);
    await meet([lyon, asker], 1);
    await machine.host.run(["ping", "-c", "2", "-i", "0.1", "-W", "2", founder.ip4]);
  });

  await t.step(
    "item 9: nothing that crossed the wire shows a name, a key or a version",
    async () => {
      seen.push(...udpOf(await rest.close()));
      assert.ok(seen.length > 20, `${seen.length} datagrams`);
      const bytes = Buffer.concat(seen.map(({ payload }) => payload));
      for (const text of ["zanzibar", "lyon", config.version]) {
        assert.ok(!bytes.includes(text), `'${text}' can be read`);
      }
      for (const secret of [key, founder.key]) {
        assert.ok(!bytes.includes(Buffer.from(secret, "hex")), `the key ${secret} can be read`);
        assert.ok(!bytes.includes(secret), `the key ${secret} can be read as text`);
      }
    },
  );
});

testUnless(
  { right },
  "item 1, invariant 9: what a machine sends first, sent again from port 0, ends neither a node nor a device",
  async () => {
    await using machines = await Machines.open();
    const lyon = await machines.found("lyon");
    await lyon.shoal(["door", "open"]);
    const { token } = await lyon.invite();
    const { host, address, port } = await machines.add("oslo");

    // What a joiner says first is kept from lyon, and comes to it from port 0 before it comes as it should.
    await hearNothingOf(lyon.host, [address]);
    const capture = await Capture.open(machines.wire.host, port);
    const oslo = MeshNode.start(host, "--token", token);
    const ours = await shoal();
    const [near, far] = await Promise.all([host, lyon.host].map((at) => Device.start(at, ours)));
    assert.ok(near && far);
    const [nearKeys, farKeys] = [await makeKeys(host), await makeKeys(lyon.host)];
    await far.configure({
      privateKey: farKeys.privateKey,
      port: 4500,
      addresses: ["10.7.0.1/24"],
      peers: [{ publicKey: nearKeys.publicKey, allowedIps: ["10.7.0.2/32"] }],
    });
    await near.configure({
      privateKey: nearKeys.privateKey,
      port: 4500,
      addresses: ["10.7.0.2/24"],
      peers: [{
        publicKey: farKeys.publicKey,
        allowedIps: ["10.7.0.1/32"],
        endpoint: "10.0.0.1:4500",
      }],
    });
    await host.run(["ping", "-c", "1", "-W", "1", "10.7.0.1"], { check: false });
    const kept = udpOf(await capture.close()).filter(({ from }) => from === address);
    const hellos = kept.filter(({ toPort, payload }) => toPort === PORT && payload.length === 1232);
    const initiations = kept.filter(({ toPort, payload }) =>
      toPort === 4500 && payload.length === 148
    );
    assert.ok(hellos.length > 0 && initiations.length > 0, "there is something to send again");
    await hearNothingOf(lyon.host, []);
    const asks = [0, 0, 0].map((fromPort) => ask(address, fromPort, "10.0.0.1"));
    const again = [...hellos, ...initiations].map((one) => ({ ...one, fromPort: 0 }));
    const { host: forger } = await machines.add("forger");
    await forge(forger, [...asks, ...again]);

    await meet([lyon, oslo], 1);
    assert.ok(!lyon.ended);
    // The device tries its handshake again every five seconds.
    await host.run(["ping", "-c", "3", "-i", "0.2", "-w", "15", "10.7.0.1"]);
    const { self, dataplane } = await lyon.status();
    assert.equal(dataplane.drops["rx_unanswerable"], asks.length + hellos.length);
    await host.run(["ping", "-c", "2", "-i", "0.1", "-W", "2", self.ip4]);
  },
);
