/**
 * The model of core that the simulator has instead of core (mesh/sim/dataplane.ts) against the real
 * library: the same commands, datagrams to send and datagrams that arrive must be refused by both or
 * by none, for the same reason. What the model lets pass, no simulation would ever find.
 */
import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import fc from "fast-check";
import { testUnless } from "../.ci/skip.ts";
import { corePath, loadCore } from "../ffi/core.ts";
import { Device, type DeviceOptions } from "../ffi/device.ts";
import { loadSodium } from "../ffi/sodium.ts";
import type { Endpoint } from "../mesh/endpoint.ts";
import type { Command, Datagram, Session } from "../mesh/machine.ts";
import { CookieJar } from "../mesh/noise/cookie.ts";
import { DataPlane, type PlaneOutput } from "../mesh/sim/dataplane.ts";
import { refusalOfDatagram } from "../mesh/sim/refusal.ts";
import { readClock } from "./clock.ts";
import { Driver } from "./driver.ts";
import { random } from "./random.ts";

const lack = {
  thing: await Deno.stat(corePath()).then(
    () => undefined,
    () => `no core library at ${corePath()}`,
  ),
};

const sodium = loadSodium();
const PEERS_MAX = 3;
const LOOPBACK = Uint8Array.of(127, 0, 0, 1);

/** The real library behind the driver, as production has it, and what became of a command. */
class Real {
  readonly device: Device;
  readonly #driver: Driver<never>;
  #told: string | undefined;

  constructor(options: Partial<DeviceOptions> = {}) {
    this.device = Device.open(loadCore(), {
      tun: { kind: "none" },
      isWireGuardOnly: false,
      seed: random(32),
      ...options,
    });
    this.#driver = new Driver<never>({
      device: this.device,
      machine: { deadline: undefined, receive: () => {}, edge: () => {}, due: () => {} },
      onEvent: () => {},
      onNews: (news) => {
        if (news.kind === "commandRefused") this.#told = news.error.status;
        if (news.kind === "faultCaught") {
          assert.match(news.fault.stack, /^RangeError: /);
          this.#told = "unwritable";
        }
      },
      onDefect: (error) => {
        throw error;
      },
    });
  }

  execute(command: Command): string | undefined {
    this.#told = undefined;
    this.#driver.step((_, out) => out.command(command));
    return this.#told;
  }

  knows(peer: number): boolean {
    return this.#driver.facts(peer) !== undefined;
  }

  close(): void {
    this.#driver.close();
    this.device.close();
  }
}

/** Whether core computes AES-256-GCM here: the model has to know it as the mesh does. */
let aesHere: boolean | undefined;

function hasAes(): boolean {
  if (aesHere === undefined) {
    const real = new Real();
    aesHere = real.device.info().aeadGcm !== "";
    real.close();
  }
  return aesHere;
}

function model(out: Partial<PlaneOutput> = {}, peers = PEERS_MAX, workers = 1): DataPlane {
  const nothing = () => {};
  return new DataPlane(
    sodium,
    random,
    { datagram: nothing, mail: nothing, edge: nothing, deliver: nothing, ...out },
    { peers, routes: 1_000_000, aesGcm: hasAes(), workers },
  );
}

// ---- What may be asked of core -------------------------------------------------------------------

const address = fc.constantFrom(
  ...[
    "7f000001",
    "00000000",
    "ffffffff",
    "",
    "0a0000",
    "0a00000000",
    "00000000000000000000000000000001",
    "00000000000000000000ffff7f000001",
    "fe800000000000000000000000000001",
    "0000000000000000000000007f000001",
  ].map((hex) => Uint8Array.fromHex(hex)),
);
const port = fc.constantFrom(0, 1, 9, 65535, 65536, 70_000, -1, 0.5);
const scope = fc.constantFrom(0, 0, 0, 3, 2 ** 32 - 1, 2 ** 32, -1);
const endpoint = fc.record({ address, port, scope });
const source = fc.record({ address, ifindex: scope });
const peer = fc.integer({ min: 1, max: 5 });
const prefix = fc.record({
  address,
  length: fc.constantFrom(0, 1, 8, 31, 32, 33, 64, 127, 128, 129, 65_536, -1),
});
const key = (length: number) => fc.constant(length).map((bytes) => random(bytes));
const role = fc.constantFrom("initiator" as const, "responder" as const);
const good = fc.record<Session>({
  role,
  suite: fc.constantFrom("chacha20-poly1305", "aes-256-gcm"),
  localIndex: fc.constantFrom(0, 1, 2, 2 ** 32 - 1),
  remoteIndex: fc.constantFrom(0, 7),
  sendKey: key(32),
  receiveKey: key(32),
  birth: fc.constantFrom(0, 1, 1e6, 1e12),
  rekeyAfterTime: fc.constantFrom(0, 1e6),
  rekeyOnReceive: fc.constantFrom(0, 1e6),
  rekeyAfterMessages: fc.constantFrom(0n, 1n, 2n ** 64n - 1n),
});
const badTime = fc.constantFrom(-1, NaN, 1e15);
/** One field of a session that cannot be written. */
const bad: fc.Arbitrary<Partial<Session>> = fc.oneof(
  fc.record({ localIndex: fc.constantFrom(2 ** 32, -1, 0.5) }),
  fc.record({ remoteIndex: fc.constantFrom(2 ** 32, -1, 0.5) }),
  fc.record({ sendKey: fc.constantFrom(0, 31, 33).chain(key) }),
  fc.record({ receiveKey: fc.constantFrom(0, 31, 33).chain(key) }),
  fc.record({ birth: badTime }),
  fc.record({ rekeyAfterTime: badTime }),
  fc.record({ rekeyOnReceive: badTime }),
  fc.record({ rekeyAfterMessages: fc.constantFrom(2n ** 64n, -1n) }),
);
const session = fc.tuple(good, fc.oneof(fc.constant({}), bad))
  .map(([all, one]): Session => ({ ...all, ...one }));

const command: fc.Arbitrary<Command> = fc.oneof(
  fc.record({
    kind: fc.constant("setIdentity"),
    publicKey: fc.constantFrom(undefined, random(32), new Uint8Array(32), random(31), random(33)),
  }),
  fc.record({ kind: fc.constant("addPeer"), peer }),
  fc.record({ kind: fc.constant("addLane"), peer: fc.integer({ min: 6, max: 8 }), of: peer }),
  fc.record({ kind: fc.constant("spreadLanes"), peer, lanes: fc.integer({ min: 0, max: 2 }) }),
  fc.record({ kind: fc.constant("removePeer"), peer }),
  fc.record({ kind: fc.constant("setEndpoint"), peer, endpoint }),
  fc.record({ kind: fc.constant("setEndpoint"), peer, endpoint, source }),
  fc.record({ kind: fc.constant("clearSource"), peer }),
  fc.record({ kind: fc.constant("installSession"), peer, session }),
  fc.record({ kind: fc.constant("installSession"), peer, session }),
  fc.record({ kind: fc.constant("clearSessions"), peer }),
  fc.record({ kind: fc.constant("sendKeepalive"), peer, unlessSent: fc.boolean() }),
  fc.record({ kind: fc.constant("setOffline"), peer, isOffline: fc.boolean() }),
  fc.record({ kind: fc.constant("setGuest"), peer }),
  fc.record({ kind: fc.constant("setStaying"), peer }),
  fc.record({ kind: fc.constant("dropStaged"), peer }),
  fc.record({
    kind: fc.constant("arm"),
    peer,
    edges: fc.subarray(["sessionNeeded", "unansweredData", "unsentReply"] as const),
  }),
  fc.record({ kind: fc.constant("addRoute"), peer, prefix }),
  fc.record({ kind: fc.constant("removeRoute"), peer, prefix }),
) as fc.Arbitrary<Command>;

testUnless(lack, "the model refuses a command exactly when core does, for the same reason", () => {
  const met = new Map<string, number>();
  fc.assert(
    fc.property(fc.array(command, { minLength: 20, maxLength: 40 }), (commands) => {
      const real = new Real({ peersMax: PEERS_MAX });
      const plane = model();
      const first = [1, 2].map((id): Command => ({ kind: "addPeer", peer: id }));
      try {
        for (const [i, asked] of [...first, ...commands].entries()) {
          // A second one of a number would leave the first in core for ever; no machine makes it.
          if (asked.kind === "addPeer" && real.knows(asked.peer)) continue;
          const refusal = real.execute(structuredClone(asked));
          assert.equal(
            plane.execute(readClock().boot, structuredClone(asked)),
            refusal,
            `command ${i}`,
          );
          met.set(`${asked.kind} ${refusal}`, (met.get(`${asked.kind} ${refusal}`) ?? 0) + 1);
          for (let id = 1; id <= 5; id++) {
            assert.equal(plane.facts(id) !== undefined, real.knows(id), `peer ${id}`);
          }
        }
      } finally {
        real.close();
      }
    }),
    { numRuns: 250 },
  );
  for (
    const outcome of [
      "setIdentity E_SIZE",
      "addPeer E_FULL",
      "setEndpoint undefined",
      "setEndpoint E_INVALID",
      "setEndpoint unwritable",
      "installSession undefined",
      "installSession unwritable",
      "addRoute E_INVALID",
      "addRoute unwritable",
      "removeRoute E_INVALID",
    ]
  ) assert.ok(met.has(outcome), `never met: ${outcome}`);
});

testUnless(lack, "the model refuses a second session with one index, as core does", () => {
  const real = new Real();
  const plane = model();
  const given = (): Session => ({
    role: "responder",
    suite: "chacha20-poly1305",
    localIndex: 0, // An index like any other.
    remoteIndex: 1,
    sendKey: random(32),
    receiveKey: random(32),
    birth: 1,
    rekeyAfterTime: 0,
    rekeyOnReceive: 0,
    rekeyAfterMessages: 0n,
  });
  const both = (asked: () => Command) => [
    real.execute(asked()),
    plane.execute(readClock().boot, asked()),
  ];
  try {
    for (const id of [1, 2]) {
      assert.deepEqual(both(() => ({ kind: "addPeer", peer: id })), [undefined, undefined]);
    }
    const install = (id: number) => (): Command => ({
      kind: "installSession",
      peer: id,
      session: given(),
    });
    assert.deepEqual(both(install(1)), [undefined, undefined]);
    assert.deepEqual(both(install(2)), ["E_EXISTS", "E_EXISTS"]);
    assert.deepEqual(both(install(1)), ["E_EXISTS", "E_EXISTS"]);
    both(() => ({ kind: "clearSessions", peer: 1 }));
    assert.deepEqual(both(install(2)), [undefined, undefined]);
  } finally {
    real.close();
  }
});

testUnless(
  lack,
  "the model refuses a session whose index is of another worker, as core does",
  () => {
    const real = new Real({ workers: 3 });
    const plane = model({}, 16, 3);
    try {
      for (let peer = 1; peer < 8; peer++) {
        const add: Command = { kind: "addPeer", peer };
        assert.deepEqual([real.execute(add), plane.execute(readClock().boot, add)], [
          undefined,
          undefined,
        ]);
        for (let index = 0x4200; index < 0x4208; index++) {
          const asked = () => install(peer, index, readClock().boot);
          const told = real.execute(asked());
          assert.equal(plane.execute(readClock().boot, asked()), told);
          if ((index & 0xff) % 3 !== peer % 3) assert.equal(told, "E_INVALID");
          else assert.notEqual(told, "E_INVALID");
        }
      }
    } finally {
      real.close();
    }
  },
);

testUnless(lack, "the model refuses a datagram to send exactly when core does", () => {
  const device = Device.open(loadCore(), {
    tun: { kind: "none" },
    isWireGuardOnly: false,
    seed: random(32),
  });
  const met = new Set<string>();
  const datagram = fc.record({
    bytes: fc.constantFrom(0, 1, 1232, 1500, 1501, 9000).map((length) => new Uint8Array(length)),
    to: endpoint,
    from: fc.option(source, { nil: undefined }),
    tos: fc.constantFrom(undefined, 0, 255, 256),
  });
  try {
    fc.assert(
      fc.property(datagram, ({ from, tos, ...rest }) => {
        const sent: Datagram = {
          ...rest,
          ...(from === undefined ? {} : { from }),
          ...(tos === undefined ? {} : { tos }),
        };
        // No port is bound, so what is not refused goes nowhere.
        const outcome = device.send(sent);
        met.add(outcome);
        assert.equal(outcome === "refused", refusalOfDatagram(sent) !== undefined, outcome);
      }),
      { numRuns: 5_000 },
    );
  } finally {
    device.close();
  }
  assert.deepEqual([...met].sort(), ["refused", "unsent"]);
});

// ---- What may arrive -----------------------------------------------------------------------------

const secret = random(32);
const publicKey = sodium.x25519PublicKey(secret);
/** Seals what arrives; the other direction's key is of no interest. */
const receiveKey = random(32);
const INDEX = 7;
const EXPIRED = 8;
const GUEST = 10;

function install(peer: number, localIndex: number, birth: number): Command {
  const session: Session = {
    role: "initiator",
    suite: "chacha20-poly1305",
    localIndex,
    remoteIndex: 1,
    sendKey: random(32),
    receiveKey: receiveKey.slice(),
    birth,
    rekeyAfterTime: 0,
    rekeyOnReceive: 0,
    rekeyAfterMessages: 2n ** 60n,
  };
  return { kind: "installSession", peer, session };
}

/** Peer 1 may use 10.0.0.0/8 and has a session; peer 2's is 200 s old; peer 3 is a guest with 12.0.0.0/8, and 13.0.0.0/8 is of one that is nowhere. */
function commands(): Command[] {
  const { boot } = readClock();
  return [
    { kind: "setIdentity", publicKey },
    { kind: "addPeer", peer: 1 },
    { kind: "addPeer", peer: 2 },
    { kind: "addRoute", peer: 1, prefix: { address: Uint8Array.of(10, 0, 0, 0), length: 8 } },
    { kind: "addPeer", peer: 3 },
    { kind: "addRoute", peer: 3, prefix: { address: Uint8Array.of(12, 0, 0, 0), length: 8 } },
    { kind: "setGuest", peer: 3 },
    { kind: "addPeer", peer: 4 },
    { kind: "addRoute", peer: 4, prefix: { address: Uint8Array.of(13, 0, 0, 0), length: 8 } },
    install(3, GUEST, boot),
    install(1, INDEX, boot),
    install(2, EXPIRED, boot - 200_000),
  ];
}

function word(type: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < Math.min(4, length); i++) bytes[i] = (type >>> (8 * i)) & 0xff;
  return bytes;
}

function dataMessage(index: number, counter: bigint, plain: Uint8Array): Uint8Array {
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setBigUint64(4, counter, true);
  const sealed = sodium.chacha20poly1305Seal(receiveKey, nonce, new Uint8Array(0), plain);
  const bytes = new Uint8Array(16 + sealed.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 4, true);
  view.setUint32(4, index, true);
  view.setBigUint64(8, counter, true);
  bytes.set(sealed, 16);
  return bytes;
}

function packet(
  version: number,
  from: number,
  to: number,
  hops: number,
  length: number,
  says: number,
): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes[0] = version === 4 ? 0x45 : version << 4;
  bytes[version === 4 ? 8 : 7] = hops;
  bytes.set([10 + from, 0, 0, 1].slice(0, Math.max(0, length - 12)), 12);
  bytes.set([10 + to, 0, 0, 1].slice(0, Math.max(0, length - 16)), 16);
  if (version === 4) bytes[3] = says;
  if (version === 6) bytes[5] = says;
  return bytes;
}

const inner = fc.oneof(
  fc.constant(new Uint8Array(0)),
  fc.record({
    version: fc.constantFrom(4, 4, 4, 6, 5, 0),
    from: fc.constantFrom(0, 1, 2),
    to: fc.constantFrom(0, 1, 1, 2, 3, 4),
    hops: fc.constantFrom(0, 1, 2, 64, 255),
    length: fc.constantFrom(16, 20, 32, 48),
    says: fc.constantFrom(0, 19, 20, 21, 32, 48, 49),
  }).map(({ version, from, to, hops, length, says }) =>
    packet(version, from, to, hops, length, says)
  ),
);
const counter = fc.oneof(
  fc.bigInt({ min: 0n, max: 20_000n }),
  fc.constantFrom(2n ** 64n - 1n, 2n ** 64n - 2n ** 13n - 1n, 2n ** 64n - 2n ** 13n),
);
const data = fc.record({
  index: fc.constantFrom(INDEX, INDEX, INDEX, GUEST, GUEST, EXPIRED, 9),
  counter,
  plain: inner,
  flip: fc.constantFrom(false, false, false, true),
}).map(({ index, counter, plain, flip }) => {
  const bytes = dataMessage(index, counter, plain);
  if (flip) bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  return bytes;
});
/** What peers 1 and 3 may send, to each other and to others. */
const forwardable = fc.record({
  isGuest: fc.boolean(),
  to: fc.constantFrom(0, 1, 2, 3, 4),
  hops: fc.constantFrom(0, 1, 2, 64),
  counter: fc.bigInt({ min: 0n, max: 8_000n }),
}).map(({ isGuest, to, hops, counter }) =>
  dataMessage(
    isGuest ? GUEST : INDEX,
    counter,
    packet(4, isGuest ? 2 : 0, to, hops, 20, 20),
  )
);
const handshake = fc.record({
  type: fc.constantFrom(1, 2, 3),
  length: fc.constantFrom(148, 92, 64, 147, 4, 1500),
  isStamped: fc.boolean(),
}).map(({ type, length, isStamped }) => {
  const bytes = word(type, length);
  if (isStamped && length >= 64) new CookieJar(sodium, publicKey).stamp(0, bytes);
  return bytes;
});
const anything = fc.record({
  type: fc.constantFrom(0, 1, 4, 5, 0x101, 0x104, 0xc1, 0xc1000001, 0x80000004),
  length: fc.constantFrom(0, 1, 3, 4, 16, 31, 32, 148, 1500, 1501, 9000),
}).map(({ type, length }) => word(type, length));
const arriving = fc.oneof(data, data, forwardable, handshake, anything);

/** Our own inner address, in a network in which there are others. */
const OURS = { address: Uint8Array.of(11, 0, 0, 1), length: 5 };

/** The counters of which one moves for each datagram, beside those of drops. */
const ENDS: readonly string[] = ["control_received", "rx_keepalives", "forwarded"];

class Arrivals {
  readonly #real = new Real();
  readonly #plane: DataPlane;
  readonly #socket: Socket = createSocket("udp4");
  #port = 0;
  #from: Endpoint = { address: LOOPBACK, port: 0, scope: 0 };
  #modelled: string[] = [];

  constructor() {
    this.#plane = model({
      mail: () => void this.#modelled.push("control_received"),
      deliver: () => void this.#modelled.push("drop_rx_no_tun"),
    }, 4);
    for (const asked of commands()) assert.equal(this.#real.execute(asked), undefined);
    for (const asked of commands()) {
      assert.equal(this.#plane.execute(readClock().boot, asked), undefined);
    }
    this.#real.device.setInner(OURS);
    this.#plane.setInner(OURS);
  }

  async open(): Promise<void> {
    this.#port = this.#real.device.bind(0, 0);
    this.#socket.bind(0, "127.0.0.1");
    await once(this.#socket, "listening");
    this.#from = { ...this.#from, port: this.#socket.address().port };
  }

  close(): void {
    this.#socket.close();
    this.#real.close();
  }

  /** What core made of it: the counter that it ended in. */
  async real(bytes: Uint8Array): Promise<string> {
    const before = this.#ends();
    this.#socket.send(bytes, this.#port, "127.0.0.1");
    for (let i = 0; i < 2_000; i++) {
      await new Promise((go) => setImmediate(go));
      const after = this.#ends();
      const moved = Object.keys(after).filter((name) => after[name] !== before[name]);
      if (moved.length === 0) continue;
      assert.equal(moved.length, 1, moved.join());
      return moved.join();
    }
    throw new Error(`nothing became of ${bytes.length} bytes`);
  }

  modelled(bytes: Uint8Array): string {
    this.#modelled = [];
    const drops = new Map(this.#plane.drops);
    const opened = () =>
      (this.#plane.facts(1)?.rxPackets ?? 0) + (this.#plane.facts(3)?.rxPackets ?? 0);
    const before = opened();
    const { forwarded } = this.#plane;
    this.#plane.receive(readClock().boot, bytes, this.#from);
    for (const [name, count] of this.#plane.drops) {
      if (drops.get(name) !== count) this.#modelled.push(`drop_${name}`);
    }
    if (this.#plane.forwarded !== forwarded) this.#modelled.push("forwarded");
    const isOpened = before !== opened();
    if (isOpened && this.#modelled.length === 0) this.#modelled.push("rx_keepalives");
    return this.#modelled.join();
  }

  #ends(): Record<string, number> {
    const all = Object.entries(this.#real.device.counters());
    return Object.fromEntries(
      all.filter(([name]) => name.startsWith("drop_") || ENDS.includes(name)),
    );
  }
}

/** What may become of a datagram that arrives, by counter. */
const OUTCOMES = [
  "control_received",
  "drop_forward_back",
  "drop_forward_hops",
  "drop_forward_no_route",
  "drop_handshake_length",
  "drop_handshake_mac1",
  "drop_rx_authentication",
  "drop_rx_counter_limit",
  "drop_rx_destination",
  "drop_rx_expired",
  "drop_rx_index",
  "drop_rx_malformed",
  "drop_rx_no_tun",
  "drop_rx_oversized",
  "drop_rx_replay",
  "drop_rx_short",
  "drop_rx_source",
  "drop_tx_no_endpoint",
  "forwarded",
  "rx_keepalives",
];

testUnless(
  lack,
  "what arrives is mailed or dropped by the model as by core, for the same reason",
  async () => {
    const met = new Set<string>();
    const several = fc.array(arriving, { minLength: 20, maxLength: 40 });
    const play = async (all: readonly Uint8Array[]) => {
      const arrivals = new Arrivals();
      await arrivals.open();
      try {
        for (const bytes of all) {
          const outcome = await arrivals.real(bytes);
          assert.equal(arrivals.modelled(bytes), outcome, `${bytes.length} bytes`);
          met.add(outcome);
        }
      } finally {
        arrivals.close();
      }
    };
    await fc.assert(fc.asyncProperty(several, play), { numRuns: 40 });
    // Chance may leave out an outcome: it is given more turns, and the list stays whole.
    for (const all of fc.sample(several, 200)) if (met.size < OUTCOMES.length) await play(all);
    assert.deepEqual([...met].sort(), OUTCOMES);
  },
);

Deno.test("R64: in the model, too, a session is not younger than its installation", () => {
  const plane = model();
  const boot = 1_000;
  plane.execute(boot, { kind: "addPeer", peer: 1 });
  plane.execute(boot, install(1, INDEX, boot + 1e6));
  const from = { address: LOOPBACK, port: 9, scope: 0 };
  plane.receive(boot + 179_999, dataMessage(INDEX, 0n, new Uint8Array(0)), from);
  plane.receive(boot + 180_000, dataMessage(INDEX, 1n, new Uint8Array(0)), from);
  assert.deepEqual([...plane.drops], [["rx_expired", 1]]);
  assert.equal(plane.facts(1)?.rxPackets, 1);
});

Deno.test("the model drops who cannot be answered, as core's own test has it", () => {
  const mailed: unknown[] = [];
  const plane = model({ mail: (arrival) => void mailed.push(arrival) });
  const mapped = Uint8Array.fromHex("00000000000000000000ffff7f000001");
  const bytes = word(0xc1, 100);
  plane.receive(0, bytes, { address: LOOPBACK, port: 0, scope: 0 });
  plane.receive(0, bytes, { address: mapped, port: 9, scope: 0 });
  assert.deepEqual([...plane.drops], [["rx_unanswerable", 2]]);
  plane.receive(0, bytes, { address: LOOPBACK, port: 9, scope: 0 });
  assert.equal(mailed.length, 1);
});
