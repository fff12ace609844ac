/** The driver over the real library, with machines that write down what they are told. */
import assert from "node:assert/strict";
import * as net from "node:net";
import { inFolder } from "../.ci/folder.ts";
import { testUnless } from "../.ci/skip.ts";
import { corePath, loadCore } from "../ffi/core.ts";
import { Device } from "../ffi/device.ts";
import type { Deadline, Now, Outbox, Session } from "../mesh/machine.ts";
import type { Arrival, Edge, FactReader } from "../mesh/tunnel/types.ts";
import { readClock } from "./clock.ts";
import { Exit, Failure } from "./exit.ts";
import {
  type CoreNews,
  type Driven,
  Driver,
  type Heartbeat,
  TIMER_FAILURES_MAX,
  TIMER_REST_MS,
} from "./driver.ts";

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

function withDriver(
  name: string,
  body: (world: World) => Promise<void> | void,
  { clock = readClock, heartbeat }: {
    readonly clock?: typeof readClock;
    readonly heartbeat?: Heartbeat;
  } = {},
): void {
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
      clock,
      ...(heartbeat && { heartbeat }),
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

withDriver(
  "while mail pours in, whoever waits at a socket is answered",
  async ({ driver, machine, port }) => {
    // Each datagram sends the next, and the machine has work with it.
    const again = toSelf(port, 0x80);
    machine.onReceive = (out) => {
      const end = performance.now() + 2;
      while (performance.now() < end);
      out.send(again);
    };
    await inFolder(async (dir) => {
      const server = net.createServer((client) => client.on("data", (text) => client.write(text)));
      const path = `${dir}/socket`;
      await new Promise<void>((resolve) => server.listen(path, () => resolve()));
      driver.step((_, out) => {
        for (let i = 0; i < 40; i++) out.send(again);
      });
      await until(() => machine.arrivals.length > 40);
      const client = net.createConnection(path);
      const before = machine.arrivals.length;
      for (let i = 0; i < 10; i++) {
        client.write("x");
        await new Promise((resolve) => client.once("data", resolve));
      }
      const meanwhile = machine.arrivals.length - before;
      machine.onReceive = () => {};
      client.destroy();
      server.close();
      assert.ok(meanwhile > 0, "mail went on");
      assert.ok(meanwhile < 1_000, `${meanwhile} datagrams were taken before the tenth answer`);
    });
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
    suite: "chacha20-poly1305",
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
  assert.equal(world.driver.refusedCommands, 1);
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
  "a datagram that core refuses is counted and told, and the rest is sent",
  async (world) => {
    const { driver, port, machine, events, news } = world;
    driver.step((_, out) => {
      out.send(toSelf(0, 0x80));
      out.send(toSelf(port, 0x81));
      out.event("after");
    });
    await until(() => machine.arrivals.length === 1);
    assert.deepEqual([driver.refusedDatagrams, driver.unsent, events], [1, 0, ["after"]]);
    const to = { address: LOOPBACK, port: 0, scope: 0 };
    assert.deepEqual(news, [{ kind: "datagramRefused", to, size: 1 }]);
  },
);

/** A machine that offers a session, and then falls over. */
function fallsOver(given: Session, port: number) {
  return (out: Outbox<string>) => {
    out.command({ kind: "addPeer", peer: 1 });
    out.command({ kind: "installSession", peer: 1, session: given });
    out.send(toSelf(port, 0x82));
    out.event("never");
    throw new Error("a defect");
  };
}

withDriver(
  "a machine that falls over what arrived: nothing of the step is done, and the next input is taken",
  async (world) => {
    const { machine, driver, port, defects, events, news } = world;
    const offered = session();
    machine.onReceive = fallsOver(offered, port);
    driver.step((_, out) => out.send(toSelf(port, 0x80, 1, 2, 3)));
    await until(() => driver.faults === 1);
    assert.equal(driver.facts(1), undefined, "the command was not carried out");
    assert.deepEqual([...offered.sendKey, ...offered.receiveKey], Array(64).fill(0), "R65");
    assert.deepEqual(events, []);

    machine.onReceive = () => {};
    driver.step((_, out) => out.send(toSelf(port, 0x81)));
    await until(() => machine.arrivals.length === 2);
    assert.deepEqual(machine.arrivals[1]?.bytes, Uint8Array.of(0x81), "0x82 was not sent");
    assert.deepEqual([driver.faults, defects], [1, []]);
    assert.equal(news.length, 1);
    const [told] = news;
    assert.ok(told?.kind === "faultCaught");
    assert.equal(told.fault, driver.lastFault);
    assert.equal(told.fault.cause, `a datagram of 4 bytes from 127.0.0.1:${port}`);
    const hash = new Uint8Array(
      await crypto.subtle.digest("SHA-256", Uint8Array.of(0x80, 1, 2, 3)),
    );
    assert.equal(told.fault.hash, hash.toHex());
    assert.match(told.fault.stack, /a defect[^]*driver_test\.ts/);
  },
);

withDriver("a machine that falls over an edge, or over what was found, goes on", (world) => {
  const { machine, driver, defects } = world;
  const failing = () => {
    throw new Error("a defect");
  };
  const edge = machine.edge;
  machine.edge = failing;
  driver.deliver({ kind: "edge", edge: { kind: "sessionNeeded", peer: 7 } });
  assert.equal(driver.lastFault?.cause, "sessionNeeded of peer 7");
  machine.edge = edge;
  driver.deliver({ kind: "edge", edge: { kind: "sessionNeeded", peer: 8 } });
  assert.deepEqual(machine.edges, [{ kind: "sessionNeeded", peer: 8 }]);
  driver.tell("the addresses of a name", failing);
  assert.equal(driver.lastFault?.cause, "the addresses of a name");
  assert.deepEqual([driver.faults, defects], [2, []]);
});

withDriver("an event that its hearer falls over costs no other effect", (world) => {
  const { driver, defects, events } = world;
  const push = events.push;
  events.push = () => {
    events.push = push;
    throw new Error("a defect");
  };
  driver.tell("two events", (_, out) => {
    out.event("first");
    out.event("second");
  });
  assert.deepEqual([driver.faults, [...events], defects], [1, ["second"], []]);
});

withDriver(
  "a failure of this computer, told while something arrives, ends the program",
  (world) => {
    const { driver, defects } = world;
    const full = new Failure(Exit.failed, "state: the disk is full");
    driver.tell("anything", () => {
      throw full;
    });
    assert.deepEqual([driver.faults, defects], [0, [full]]);
  },
);

withDriver(
  "what a machine throws at a caller is the caller's, and nothing of the step is done",
  (world) => {
    const { driver, port, defects } = world;
    const offered = session();
    const fall = fallsOver(offered, port);
    assert.throws(() => driver.step((_, out) => fall(out)), /a defect/);
    assert.deepEqual([...offered.sendKey], Array(32).fill(0));
    assert.deepEqual([driver.facts(1), driver.faults, defects], [undefined, 0, []]);
  },
);

withDriver(
  "who cannot be answered is not heard: no port, or an IPv4 address written as IPv6",
  (world) => {
    const { driver, machine } = world;
    const bytes = Uint8Array.of(0xc1);
    const mapped = Uint8Array.fromHex("00000000000000000000ffff7f000001");
    for (
      const from of [
        { address: LOOPBACK, port: 0, scope: 0 },
        { address: mapped, port: 9, scope: 0 },
      ]
    ) {
      driver.deliver({ kind: "datagram", arrival: { bytes, from } });
      driver.deliver({ kind: "edge", edge: { kind: "endpointMoved", peer: 1, endpoint: from } });
    }
    assert.deepEqual([machine.arrivals, machine.edges, driver.unanswerable], [[], [], 4]);
    const from = { address: LOOPBACK, port: 9, scope: 0 };
    driver.deliver({ kind: "datagram", arrival: { bytes, from } });
    assert.equal(machine.arrivals.length, 1);
  },
);

/** A driver on clocks that stand still until they are moved, or the wall clock is set. */
function withClock(
  name: string,
  body: (world: World, move: (ms: number) => void, set: (ms: number) => void) => void,
): void {
  let boot = 1_000_000;
  let wall = 0;
  const move = (ms: number) => {
    boot += ms;
    wall += ms;
  };
  const clock = () => ({ boot, wall });
  withDriver(name, (world) => body(world, move, (ms) => wall += ms), { clock });
}

withClock(
  "a wall clock that was set is told to the machine at the driver's next look, whatever the machine waits for",
  ({ driver, machine }, move, set) => {
    const deadline = { at: Infinity, why: "a test" };
    machine.deadline = deadline;
    driver.due();
    move(10_000);
    set(900); // As a time server slews it.
    driver.due();
    assert.equal(machine.dues.length, 0);
    for (const [at, ms] of [3_600_000, -86_400_000].entries()) {
      machine.deadline = deadline;
      set(ms);
      driver.due();
      driver.due();
      assert.equal(machine.dues.length, at + 1);
    }
  },
);

withClock(
  "a timer that fails rests a second, tries again, and is forgiven when it works",
  (world, move) => {
    const { driver, machine, defects } = world;
    const due = machine.due;
    const tries = { count: 0 };
    const failing = () => {
      tries.count++;
      throw new Error("a defect");
    };
    for (let round = 0; round < 3; round++) {
      machine.deadline = { at: 0, why: "a test" };
      machine.due = failing;
      for (let i = 0; i < TIMER_FAILURES_MAX - 1; i++) {
        driver.due();
        driver.due(); // It rests.
        move(TIMER_REST_MS - 1);
        driver.due(); // Still.
        move(1);
      }
      machine.due = due;
      driver.due();
    }
    assert.equal(tries.count, 3 * (TIMER_FAILURES_MAX - 1));
    assert.equal(machine.dues.length, 3);
    assert.deepEqual([driver.faults, defects], [tries.count, []]);
    assert.equal(driver.lastFault?.cause, "the timer: a test");
  },
);

withClock("a timer that fails ten times in a row ends the program, once", (world, move) => {
  const { driver, machine, defects } = world;
  machine.deadline = { at: 0, why: "a test" };
  machine.due = () => {
    throw new Error("a defect");
  };
  for (let i = 0; i < 2 * TIMER_FAILURES_MAX; i++) {
    assert.equal(defects.length, i < TIMER_FAILURES_MAX ? 0 : 1);
    driver.due();
    move(TIMER_REST_MS);
  }
  assert.match(String(defects), /a defect/);
});

withClock(
  "a flood of what arrives does not use up the patience with a deadline that fails",
  (world, move) => {
    const { driver, machine, defects } = world;
    Object.defineProperty(machine, "deadline", {
      get: () => {
        throw new Error("a defect");
      },
    });
    const from = { address: LOOPBACK, port: 9, scope: 0 };
    for (let i = 0; i < 1000; i++) {
      driver.deliver({ kind: "datagram", arrival: { bytes: Uint8Array.of(0xc1), from } });
    }
    assert.equal(machine.arrivals.length, 1000);
    assert.deepEqual([driver.faults, defects], [1, []]);
    for (let i = 1; i < TIMER_FAILURES_MAX; i++) {
      move(TIMER_REST_MS);
      driver.due();
    }
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

// ---- Heartbeat ----------------------------------------------------------------------------------

const beats: number[] = [];
const BEAT_MS = 20;
const heartbeat = { everyMs: BEAT_MS, beat: () => void beats.push(performance.now()) };

withDriver(
  "a loop with nothing to do beats all the same, and one that has ended does not",
  async ({ driver }) => {
    beats.length = 0;
    await until(() => beats.length >= 5);
    driver.close();
    const before = beats.length;
    await sleep(10 * BEAT_MS);
    assert.equal(beats.length, before, "the rest of the program goes on");
  },
  { heartbeat },
);

withDriver(
  "a loop that has much to do beats at its pace and no more",
  async ({ driver, port, machine }) => {
    beats.length = 0;
    const start = performance.now();
    for (let i = 0; i < 500; i++) {
      driver.step((_, out) => out.send(toSelf(port, 0x80, i & 0xff, i >> 8)));
      if (i % 20 === 19) await sleep(1);
    }
    await until(() => machine.arrivals.length === 500);
    const most = (performance.now() - start) / BEAT_MS + 1;
    assert.ok(beats.length >= 1 && beats.length <= most, `${beats.length} beats, at most ${most}`);
  },
  { heartbeat },
);
