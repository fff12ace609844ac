/** The driver over the real library, with machines that write down what they are told. */
import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import { corePath, loadCore } from "../ffi/core.ts";
import { Device } from "../ffi/device.ts";
import type { Deadline, Now, Outbox, Session } from "../mesh/machine.ts";
import type { Arrival, Edge, FactReader } from "../mesh/tunnel/types.ts";
import { readClock } from "./clock.ts";
import { type CoreNews, type Driven, Driver } from "./driver.ts";

const LOOPBACK = Uint8Array.of(127, 0, 0, 1);

class Recorder implements Driven<string> {
  deadline: Deadline | undefined;
  readonly arrivals: Arrival[] = [];
  readonly edges: Edge[] = [];
  readonly dues: number[] = [];
  onReceive: (out: Outbox<string>) => void = () => {};

  receive(_now: Now, arrival: Arrival, out: Outbox<string>): void {
    this.arrivals.push(arrival);
    this.onReceive(out);
  }

  edge(_now: Now, edge: Edge): void {
    this.edges.push(edge);
  }

  due(now: Now, _facts: FactReader, out: Outbox<string>): void {
    this.dues.push(now.boot);
    this.deadline = undefined;
    out.event("due");
  }
}

interface World {
  readonly device: Device;
  readonly port: number;
  readonly machine: Recorder;
  readonly driver: Driver<string>;
  readonly events: string[];
  readonly news: CoreNews[];
  readonly defects: unknown[];
}

const lack = {
  thing: await Deno.stat(corePath()).then(
    () => undefined,
    () => `no core library at ${corePath()}`,
  ),
};

function withDriver(name: string, body: (world: World) => Promise<void> | void): void {
  testUnless(lack, name, async () => {
    const device = Device.open(loadCore(), {
      tun: { kind: "none" },
      isWireGuardOnly: false,
      seed: crypto.getRandomValues(new Uint8Array(32)),
    });
    const port = device.bind(0, 0);
    const machine = new Recorder();
    const events: string[] = [];
    const news: CoreNews[] = [];
    const defects: unknown[] = [];
    const driver = new Driver<string>({
      device,
      machine,
      onEvent: (event) => events.push(event),
      onNews: (told) => news.push(told),
      onDefect: (error) => defects.push(error),
    });
    try {
      await body({ device, port, machine, driver, events, news, defects });
    } finally {
      driver.close();
      device.close();
    }
  });
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i++) await sleep(5);
  assert.ok(condition());
}

/** A datagram to the device's own port. */
function toSelf(port: number, ...bytes: number[]) {
  return { bytes: Uint8Array.from(bytes), to: { address: LOOPBACK, port, scope: 0 } };
}

withDriver("a datagram rings the doorbell and reaches the machine", async (world) => {
  world.driver.step((_, out) => out.send(toSelf(world.port, 0x80, 1, 2, 3)));
  await until(() => world.machine.arrivals.length === 1);
  assert.deepEqual(world.machine.arrivals[0]?.bytes, Uint8Array.of(0x80, 1, 2, 3));
});

withDriver(
  "a thousand datagrams arrive, each once and in order",
  async ({ driver, machine, port }) => {
    for (let i = 0; i < 1000; i++) {
      driver.step((_, out) => out.send(toSelf(port, 0x80, i & 0xff, i >> 8)));
      if (i % 50 === 49) await until(() => machine.arrivals.length === i + 1);
    }
    const numbers = machine.arrivals.map(({ bytes }) => (bytes[1] ?? 0) + 256 * (bytes[2] ?? 0));
    assert.deepEqual(numbers, Array.from({ length: 1000 }, (_, i) => i));
  },
);

withDriver("the one deadline is kept: not before its time, and once", async (world) => {
  const at = readClock().boot + 60;
  world.driver.step(() => world.machine.deadline = { at, why: "a test" });
  await until(() => world.events.length > 0);
  assert.deepEqual(world.events, ["due"]);
  assert.ok((world.machine.dues[0] ?? 0) >= at);
  await sleep(30);
  assert.equal(world.machine.dues.length, 1);
});

withDriver("a deadline that comes nearer through mail replaces the later one", async (world) => {
  const { machine, driver, port } = world;
  driver.step(() => machine.deadline = { at: readClock().boot + 60_000, why: "later" });
  machine.onReceive = () => machine.deadline = { at: readClock().boot + 20, why: "sooner" };
  driver.step((_, out) => out.send(toSelf(port, 0x80)));
  await until(() => machine.dues.length === 1);
});

withDriver(
  "commands go first, then datagrams, then events, whatever was said first",
  async (world) => {
    const order: string[] = [];
    const { device, driver, port, machine } = world;
    machine.onReceive = () => order.push("datagram");
    driver.step((_, out) => {
      out.event("told");
      out.send(toSelf(port, 0x80));
      out.command({ kind: "addPeer", peer: 5 });
      // Needs the peer of the command before.
      out.command({
        kind: "addRoute",
        peer: 5,
        prefix: { address: Uint8Array.of(10, 0, 0, 0), length: 8 },
      });
    });
    assert.deepEqual(world.news, []);
    assert.deepEqual(world.events, ["told"]);
    assert.ok(driver.facts(5) !== undefined);
    assert.equal(driver.facts(6), undefined, "a peer that core does not know has no facts");
    await until(() => order.length === 1);
    assert.equal(device.info().port, port);
  },
);

function session(): Session {
  return {
    role: "initiator",
    localIndex: 9,
    remoteIndex: 8,
    sendKey: new Uint8Array(32).fill(1),
    receiveKey: new Uint8Array(32).fill(2),
    birth: readClock().boot,
    rekeyAfterTime: 0,
    rekeyOnReceive: 0,
    rekeyAfterMessages: 0n,
  };
}

withDriver(
  "keys are wiped after they were handed over, also for a peer that is gone (R65)",
  (world) => {
    const sessions = [session(), session()] as const;
    world.driver.step((_, out) => {
      out.command({ kind: "addPeer", peer: 1 });
      out.command({ kind: "installSession", peer: 1, session: sessions[0] });
      out.command({ kind: "removePeer", peer: 1 });
      out.command({ kind: "installSession", peer: 1, session: sessions[1] });
    });
    for (const { sendKey, receiveKey } of sessions) {
      assert.deepEqual([...sendKey, ...receiveKey], Array(64).fill(0));
    }
    assert.deepEqual(world.news, [], "a command for a peer that is gone is void, not an error");
  },
);

withDriver("what core refuses is told and the rest is carried out", (world) => {
  world.driver.step((_, out) => {
    out.command({ kind: "addPeer", peer: 1 });
    out.command({ kind: "installSession", peer: 1, session: session() });
    out.command({ kind: "installSession", peer: 1, session: session() });
    out.event("after");
  });
  assert.equal(world.news.length, 1);
  const [told] = world.news;
  assert.ok(told?.kind === "commandRefused" && told.command === "installSession");
  assert.equal(told.error.status, "E_EXISTS");
  assert.equal(world.driver.refused, 1);
  assert.deepEqual(world.events, ["after"]);
});

withDriver("datagrams that the kernel does not take are counted", ({ driver, device, port }) => {
  device.unbind();
  driver.step((_, out) => {
    for (let i = 0; i < 3; i++) out.send(toSelf(port, 0x80));
  });
  assert.equal(driver.unsent, 3);
});

withDriver(
  "an error in a machine ends in onDefect, once",
  async (world) => {
    const { machine, driver, port, defects } = world;
    machine.onReceive = () => {
      throw new Error("a defect");
    };
    driver.step((_, out) => out.send(toSelf(port, 0x80)));
    await until(() => defects.length === 1);
    machine.onReceive = () => {};
    driver.step((_, out) => out.send(toSelf(port, 0x80)));
    await until(() => machine.arrivals.length === 2);
    assert.equal(defects.length, 1);
  },
);

withDriver("after close the machine is left alone", async ({ machine, driver, port, device }) => {
  driver.step(() => machine.deadline = { at: readClock().boot + 20, why: "never" });
  device.send(toSelf(port, 0x80));
  driver.close();
  await sleep(60);
  assert.deepEqual([machine.arrivals, machine.dues], [[], []]);
});
