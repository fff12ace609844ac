/** Item 6, invariant 10, T34: what nodes send to places that never asked for it, over whole nodes. */
import assert from "node:assert/strict";
import { type Endpoint, formatEndpoint } from "../endpoint.ts";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { encodePing, PING_MAX, PING_MIN } from "../pings.ts";
import { Insider } from "../sim/insider.ts";
import type { Computer, NodeLab } from "../sim/node_lab.ts";
import { areMutual, done, healthOf, revoke, village } from "../sim/people.ts";
import { toyCrypto } from "../sim/toy_crypto.ts";
import { BUCKETS, HASH_BYTES } from "../swim/messages.ts";
import { sealAsk } from "../wire/ask.ts";
import { PAYLOAD_MAX } from "../wire/seal.ts";

const VICTIM: Endpoint = { address: Uint8Array.of(198, 51, 100, 66), port: 4444, scope: 0 };

function place(n: number, address = [203, 0, 113, 66]): Endpoint {
  return { address: Uint8Array.from(address), port: 5000 + n, scope: 0 };
}

/** Counts what is sent to addresses that these bytes begin. */
class Victim {
  bytes = 0;
  readonly datagrams: { readonly at: number; readonly from: Computer; readonly to: string }[] = [];

  constructor(lab: NodeLab, prefix: readonly number[]) {
    lab.tap = ({ bytes, to }, from) => {
      if (!prefix.every((byte, i) => to.address[i] === byte)) return;
      this.bytes += bytes.length;
      this.datagrams.push({ at: lab.world.now, from, to: `${to.address.join(".")}:${to.port}` });
    };
  }
}

/** What is sent to a victim beside answers: three datagrams, and one in ten minutes. */
const FIRST_CONTACTS = 3 * 1232;

Deno.test("T34: whatever a stranger sends from an invented address, no more bytes go there than came", () => {
  const { lab, founder, others: [lyon] } = village(crypto, ["lyon"], 71);
  assert.ok(lyon);
  done(founder.step((now) => founder.node.openDoor(now, 3_600_000)));
  // Captured from others: hellos of a joiner and a member, sealed datagrams, handshakes.
  const captured: Uint8Array[] = [];
  lab.tap = ({ bytes, to }) => void (to.address[3] === 1 && captured.push(bytes));
  const guest = lab.computer({ name: "guest", token: founder.token() });
  guest.start();
  lab.run(3_000);
  lyon.say(founder);
  lab.run(3_000);
  lyon.crash();
  lyon.start();
  lab.run(20_000);
  const kinds = new Set(captured.map((bytes) => bytes[0]));
  assert.ok([1, 0xc1, 0xc2].every((kind) => kinds.has(kind)), [...kinds].join());
  const own = [
    ...Array.from({ length: 20 }, () => sealAsk(crypto, lab.random).bytes),
    ...[0xc1, 0xc2, 0xc3, 0xc4, 1, 2, 3, 4].map((type) => {
      const bytes = lab.random(1232);
      bytes.set([type, type > 4 ? 2 : 0, 0, 0]);
      return bytes;
    }),
  ];
  for (const isRestarted of [false, true]) {
    if (isRestarted) {
      // Replay windows, copies and counters of the founder's start are gone.
      founder.crash();
      founder.start();
      done(founder.step((now) => founder.node.openDoor(now, 3_600_000)));
      lab.run(5_000);
    }
    const victim = new Victim(lab, [198, 51, 100]);
    for (const bytes of [...captured, ...own]) {
      const before = victim.bytes;
      founder.inject(bytes, VICTIM);
      lab.run(1_100);
      const out = victim.bytes - before;
      assert.ok(
        out <= bytes.length,
        `${out} bytes for ${bytes.length} of kind ${bytes[0]?.toString(16)}`,
      );
    }
    lab.run(600_000);
    assert.ok(areMutual([founder, lyon, guest]), "and nobody was led astray");
    assert.equal(founder.sees(lyon)?.endpoint, lyon.address);
  }
});

Deno.test("item 6, T34: whatever a member sends from an invented address, answers are no more bytes than came, beside three first contacts", () => {
  const { lab, founder, others: [bad, ...rest], all } = village(toyCrypto, [
    "bad",
    "a",
    "b",
    "c",
    "d",
    "e",
  ], 72);
  assert.ok(bad);
  const honest = all.filter((one) => one !== bad);
  const insider = new Insider(bad);
  insider.isPolite = false;
  const wants = [...honest.flatMap(({ id }) => [{ tag: id.slice(0, 32), kind: 1 }])];
  const everything =
    founder.disk?.statements.map(({ bytes }) =>
      toyCrypto.blake2s(Uint8Array.fromBase64(bytes, { alphabet: "base64url" })).toHex().slice(
        0,
        32,
      )
    ) ?? [];
  wants.push(...everything.map((tag) => ({ tag, kind: 2 })));
  const full = new Uint8Array(PAYLOAD_MAX);
  const record = insider.describe({ endpoints: [] });
  const payloads: Record<string, () => Uint8Array> = {
    ping: () => insider.sealed(founder, "ping", encodePing(7, 0, PING_MIN)),
    "long ping": () => insider.sealed(founder, "ping", encodePing(8, 0, PING_MAX)),
    confirm: () => insider.sealed(founder, "confirm", full),
    notice: () => insider.sealed(founder, "notice", new Uint8Array(0)),
    record: () => insider.sealed(founder, "record", record.bytes),
    statements: () => insider.sealed(founder, "statements", lab.random(100)),
    admission: () => insider.sealed(founder, "admission", lab.random(300)),
    probe: () => insider.sealedGossip(founder, { kind: "ping", seq: 1 }),
    ask: () =>
      insider.sealedGossip(founder, {
        kind: "ask",
        seq: 2,
        target: rest[0]?.id.slice(0, 32) ?? "",
        patience: 100,
      }),
    digest: () =>
      insider.sealedGossip(founder, {
        kind: "digest",
        seq: 3,
        hashes: new Uint8Array(BUCKETS * HASH_BYTES),
      }),
    pull: () =>
      insider.sealedGossip(founder, {
        kind: "pull",
        seq: 3,
        mask: new Uint8Array(BUCKETS / 8).fill(255),
        after: undefined,
      }),
    want: () => insider.sealedGossip(founder, { kind: "want", rumours: wants.slice(0, 60) }),
  };
  for (const [name, make] of Object.entries(payloads)) {
    const address = Uint8Array.of(198, 51, 100, 1 + Object.keys(payloads).indexOf(name));
    const victim = new Victim(lab, [...address]);
    let came = 0;
    for (let n = 0; n < 40; n++) {
      const bytes = make();
      came += bytes.length;
      founder.inject(bytes, { address, port: 53, scope: 0 });
      lab.run(50);
    }
    lab.run(20_000);
    const allowed = came + FIRST_CONTACTS;
    assert.ok(victim.bytes <= allowed, `${name}: ${victim.bytes} bytes for ${came}`);
    // Nothing that was asked for from there is owed for long.
    const before = victim.bytes;
    lab.run(300_000);
    assert.ok(
      victim.bytes - before <= 1232,
      `${name}: ${victim.bytes - before} bytes in five minutes of silence`,
    );
  }
  assert.ok(areMutual(honest));
});

Deno.test("item 6, invariant 10: three datagrams in the first minute, then one in ten minutes, go to each place that a member invents, from each node", () => {
  const { lab, others: [bad], all } = village(toyCrypto, ["bad", "a", "b", "c"], 73);
  assert.ok(bad);
  const honest = all.filter((one) => one !== bad);
  const inner = bad.ip4;
  const insider = new Insider(bad);
  insider.isPolite = false; // so that all look for it everywhere
  const places = [0, 1, 2, 3].map((n) => place(n));
  const victim = new Victim(lab, [203, 0, 113]);
  const record = insider.describe({ endpoints: places });
  for (const one of honest) insider.spread(one, record);
  const began = lab.world.now;
  for (let i = 0; i < 60; i++) {
    for (const one of honest) one.say({ ip4: inner }); // packets ask for tunnels, too
    lab.run(1_000);
  }
  const perPlace = () => {
    const counts = new Map<string, number>();
    for (const { from, to } of victim.datagrams) {
      const name = `${from.address} ${to}`;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    return [...counts.values()];
  };
  assert.ok(Math.max(...perPlace()) <= 3, `${perPlace()}`);
  assert.ok(victim.datagrams.length > 0, "they were tried");
  const after = victim.datagrams.length;
  for (let minute = 1; minute < 60; minute++) {
    for (const one of honest) one.say({ ip4: inner });
    lab.run(60_000);
  }
  const later = victim.datagrams.slice(after);
  assert.ok(later.length <= honest.length * places.length * 6, `${later.length} in 59 minutes`);
  assert.ok(lab.world.now - began >= 3_540_000);
});

Deno.test("item 6, invariant 10: all that a member can make others send to a third party in an hour is bounded, however fast its record changes", () => {
  const { lab, others: [bad], all } = village(toyCrypto, ["bad", "a", "b", "c"], 74);
  assert.ok(bad);
  const honest = all.filter((one) => one !== bad);
  const inner = bad.ip4;
  const insider = new Insider(bad);
  insider.isPolite = false;
  const victim = new Victim(lab, [203, 0]);
  let own = 0;
  for (let n = 0; n < 900; n++) {
    // Eight new places a second: many ports of one machine, and many machines of one network.
    const endpoints = Array.from(
      { length: 8 },
      (_, i) => n % 2 === 0 ? place(8 * n + i) : place(1, [203, 0, n >> 2, 8 * (n & 3) + i]),
    );
    const record = insider.describe({ endpoints });
    // One member is told, and passes it on: the others hear nothing from where the insider truly is.
    if (honest[0]) insider.spread(honest[0], record);
    own += record.bytes.length;
    for (const one of honest) if (n % 20 === 0) one.say({ ip4: inner });
    lab.run(4_000);
  }
  assert.ok(victim.bytes > 0);
  // 16 places of one claimant at a time, three datagrams each, forgotten after half an hour.
  const perNode = victim.datagrams.length / honest.length;
  assert.ok(perNode <= 16 * 3 * 3, `${perNode} datagrams of each node in an hour`);
  assert.ok(victim.bytes < own / 2, `${victim.bytes} bytes for ${own} of the member's own`);
});

Deno.test("item 6, invariant 10: records that name loopback, multicast, link-local, unspecified or mapped places, or port 0, are refused, and no byte goes there", () => {
  const { lab, others: [bad], all } = village(crypto, ["bad", "a", "b"], 75);
  assert.ok(bad);
  const honest = all.filter((one) => one !== bad);
  const inner = bad.ip4;
  const insider = new Insider(bad);
  const mapped = new Uint8Array(16);
  mapped.set([0xff, 0xff, 203, 0, 113, 1], 10);
  const loopback6 = new Uint8Array(16);
  loopback6[15] = 1;
  const linkLocal6 = new Uint8Array(16);
  linkLocal6.set([0xfe, 0x80], 0);
  linkLocal6[15] = 9;
  const multicast6 = new Uint8Array(16);
  multicast6.set([0xff, 0x02], 0);
  multicast6[15] = 1;
  const bad4 = [[127, 0, 0, 1], [0, 0, 0, 0], [224, 0, 0, 251], [169, 254, 169, 254], [
    255,
    255,
    255,
    255,
  ]];
  const addresses = [
    ...bad4.map((one) => Uint8Array.from(one)),
    mapped,
    loopback6,
    linkLocal6,
    multicast6,
    new Uint8Array(16),
  ];
  const own = new Set(all.map(({ address }) => address));
  const sent: string[] = [];
  lab.tap = ({ to }) => {
    const text = `${to.address.join(".")}:${to.port}`;
    if (!own.has(text)) sent.push(text);
  };
  const endpoints = [
    ...addresses.map((address) => ({ address, port: 80, scope: 0 })),
    { address: Uint8Array.of(203, 0, 113, 5), port: 0, scope: 0 },
  ];
  for (const endpoint of endpoints) {
    const before = honest.map((one) => one.node.status(one.now()).control["rumour"] ?? 0);
    const record = insider.describe({ endpoints: [endpoint] });
    for (const one of honest) insider.spread(one, record);
    lab.run(3_000);
    for (const [i, one] of honest.entries()) {
      one.say({ ip4: inner });
      const now = one.node.status(one.now()).control["rumour"] ?? 0;
      assert.ok(now > (before[i] ?? 0), `${endpoint.address.join(".")}:${endpoint.port}`);
    }
  }
  lab.run(60_000);
  assert.deepEqual(sent, []);
  for (const one of honest) {
    one.crash();
    assert.equal(one.start(), undefined, "nothing of it is on disk");
  }
  lab.run(30_000);
  assert.deepEqual(sent, []);
  assert.ok(areMutual(honest));
});

Deno.test("T34: what a member asks for from the place of another is answered there with no more bytes than came", () => {
  const { lab, founder, others: [mole, away, ...rest] } = village(
    toyCrypto,
    ["mole", "away", "c", "d", "e", "f"],
    4,
  );
  assert.ok(mole && away);
  const insider = new Insider(mole);
  insider.isPolite = false;
  away.crash(); // its address may be anybody's now
  lab.run(2_000);
  const honest = [founder, ...rest];
  const ids = [founder, mole, away, ...rest].map(({ id }) => id.slice(0, 32));
  const { address, port } = away.endpoint;
  let [came, went] = [0, 0];
  lab.tap = ({ to, bytes }) => {
    if (to.port === port && to.address.every((byte, i) => byte === address[i])) {
      went += bytes.length;
    }
  };
  for (let i = 0; i < 60; i++) {
    for (const node of honest) {
      const rumours = ids.map((tag) => ({ tag, kind: 1 }));
      const bytes = insider.sealedGossip(node, { kind: "want", rumours });
      came += bytes.length;
      node.inject(bytes, away.endpoint);
    }
    lab.run(2_050);
  }
  assert.ok(went < 1.2 * came, `${went} bytes for ${came}`);
});

Deno.test("T34: a place that a member has given up gets no more than comes in its name, ten minutes after its last proof", () => {
  const { lab, founder, others: [mole, ...rest] } = village(
    toyCrypto,
    ["mole", "b", "c", "d", "e", "f", "g"],
    4,
  );
  assert.ok(mole);
  const { address, port } = mole.endpoint;
  const insider = new Insider(mole);
  insider.isPolite = false;
  mole.host.crash(); // it receives nothing there any more: the address is somebody else's
  const nodes = [founder, ...rest];
  const rumours = [mole, ...nodes].map(({ id }) => ({ tag: id.slice(0, 32), kind: 1 }));
  let [came, went] = [0, 0];
  lab.tap = ({ to, bytes }) => {
    if (to.port === port && to.address.every((byte, i) => byte === address[i])) {
      went += bytes.length;
    }
  };
  for (let minute = 0; minute < 20; minute++) {
    came = went = 0;
    for (let i = 0; i < 30; i++) {
      for (const node of nodes) {
        const bytes = insider.sealedGossip(node, { kind: "want", rumours });
        came += bytes.length;
        node.inject(bytes, mole.endpoint);
      }
      lab.run(2_050);
    }
  }
  assert.ok(went < 1.2 * came, `${went} bytes for ${came} in the last minute`);
});

Deno.test("T34: however many places a member has proven, what it asks for from one that it has not goes to one of them, and to its own", () => {
  const { lab, founder, others: [bad] } = village(toyCrypto, ["bad", "other", "third"], 31);
  assert.ok(bad);
  const home = bad.address;
  const insider = new Insider(bad);
  const sendFrom = (address: string, body: Parameters<Insider["gossip"]>[1]) => {
    bad.address = address;
    insider.gossip(founder, body);
    bad.address = home;
  };
  const proven = [1, 2, 3].map((n) => place(n));
  for (const one of proven) {
    lab.attach(one, (bytes) => {
      bad.address = formatEndpoint(one);
      insider.isPolite = true;
      bad.host.deliver(founder.address, bytes);
      bad.address = home;
    });
  }
  insider.spread(founder, insider.describe({ endpoints: proven }));
  lab.run(2_000);
  for (const one of proven) {
    sendFrom(formatEndpoint(one), { kind: "news" });
    lab.run(3_000);
  }
  const seen = formatEndpoint(place(9));
  const places = [home, seen, ...proven.map(formatEndpoint)];
  const left = new Map<string, number>();
  lab.tap = ({ bytes, to }, from) => {
    const at = formatEndpoint(to);
    if (from !== founder || !places.includes(at)) return;
    left.set(at, (left.get(at) ?? 0) + bytes.length);
  };
  let came = 0;
  const sent = lab.network.send.bind(lab.network);
  lab.network.send = (from, to, bytes, size) => {
    if (from === seen) came += bytes.length;
    sent(from, to, bytes, size);
  };
  insider.isPolite = false; // What comes from the others proves nothing more.
  const mask = new Uint8Array(BUCKETS / 8).fill(255);
  for (let seq = 0; seq < 600; seq++) {
    sendFrom(seen, seq % 2 ? { kind: "pull", seq, mask, after: undefined } : { kind: "ping", seq });
    lab.run(100);
  }
  assert.equal(left.size, 2, [...left.keys()].join());
  assert.ok(came > 0 && left.has(seen));
  const bytes = Iterator.from(left.values()).reduce((sum, one) => sum + one, 0);
  assert.ok(bytes < 3 * came, `${bytes} bytes for ${came}`);
});

Deno.test("idle members, and two that use a tunnel, prove their places again before any limit", () => {
  const { lab, founder, others: [lyon, oslo] } = village(toyCrypto, ["lyon", "oslo"], 77);
  assert.ok(lyon && oslo);
  const refusals = () =>
    [founder, lyon, oslo].map((one) => {
      const { control } = one.node.status(one.now());
      return [control["contact_refused"], control["contact_silent"]];
    });
  const before = refusals();
  for (let minute = 0; minute < 60; minute++) {
    lyon.say(oslo);
    lab.run(60_000);
  }
  assert.deepEqual(refusals(), before);
  assert.ok(areMutual([founder, lyon, oslo]));
});

Deno.test("T34: a former member's handshakes and hellos from an invented address earn no more than they are", () => {
  const { lab, founder, others: [bad, lyon] } = village(crypto, ["bad", "lyon"], 76);
  assert.ok(bad && lyon);
  const captured: Uint8Array[] = [];
  revoke(founder, bad);
  lab.tap = ({ bytes }, from) => void (from === bad && captured.push(bytes));
  lab.run(60_000);
  bad.say(lyon);
  lab.run(60_000);
  assert.match(healthOf(bad).join(), /revoked/);
  assert.ok(captured.some((bytes) => bytes[0] === 0xc2));
  bad.crash();
  const victim = new Victim(lab, [198, 51, 100]);
  for (const one of [founder, lyon]) {
    for (const bytes of captured) {
      const before = victim.bytes;
      one.inject(bytes, VICTIM);
      lab.run(500);
      assert.ok(victim.bytes - before <= bytes.length);
    }
  }
});
