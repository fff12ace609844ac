import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import { corePath } from "../ffi/core.ts";
import { loadSodium } from "../ffi/sodium.ts";
import { identityFromSeed } from "../mesh/membership/identity.ts";
import { Node } from "../mesh/node.ts";
import { Seeded } from "../mesh/sim/random.ts";
import { isForDoor, openHello, readHello } from "../mesh/wire/contact.ts";
import { Driver } from "../src/driver.ts";
import { fuzzArrivals } from "./arrivals.ts";
import { ROLES, ROLES_MET } from "./arrivals/protocol.ts";
import { Boxes, contentOf, rebuild } from "./arrivals/boxes.ts";
import { Knocker } from "./arrivals/knock.ts";
import { joined, Mutator } from "./arrivals/mutator.ts";
import { Signatures } from "./arrivals/signatures.ts";

const lack = {
  thing: await Deno.stat(corePath()).then(
    () => undefined,
    () => `no core library at ${corePath()}`,
  ),
};

const sodium = loadSodium();
const random = new Seeded(7);

testUnless(
  lack,
  "whole nodes take 20,000 inputs that nobody expects: no exception, no end, every kind of payload",
  async () => {
    const options = { seed: 1, count: 20_000, episode: Math.ceil(20_000 / ROLES.length) };
    const { report, complaints } = await fuzzArrivals(options);
    assert.deepEqual(complaints, []);
    const { datagram, edge, core } = report.inputs;
    assert.ok(datagram + edge + core >= 20_000);
    assert.ok(report.forcedRefusals > 0, "core was never made to refuse");
    assert.ok((report.counters["driver unanswerable"] ?? 0) > 0);
    for (const counter of ["door_invalid", "door_retries", "stale", "rumour"]) {
      assert.ok((report.counters[`control ${counter}`] ?? 0) > 0, counter);
    }
    // What the insiders are for: none of these comes of altered bytes.
    const roles = ROLES_MET.filter((kind) => !/^refused|individual/.test(kind));
    for (const kind of [...roles, "refused: removed", "refused: tokenUsedUp"]) {
      assert.ok((report.met[kind] ?? 0) > 0, kind);
    }
  },
);

/** Lets the node under fire do something else where its machine is called. */
function whereFired(instead: (bytes: Uint8Array) => void): () => void {
  const { datagram } = Node.prototype;
  Node.prototype.datagram = function (this: Node, now, arrival, out) {
    if (this.status(now).self.name.startsWith("victim")) instead(arrival.bytes);
    datagram.call(this, now, arrival, out);
  };
  return () => Node.prototype.datagram = datagram;
}

testUnless(
  lack,
  "a machine that throws at one datagram of hundreds is found, and the seed is said",
  async () => {
    const restore = whereFired((bytes) => {
      if (bytes[60] === 7) throw new RangeError("a defect");
    });
    try {
      const { complaints } = await fuzzArrivals({ seed: 1, count: 2_000, episode: 2_000 });
      assert.match(
        complaints.join(),
        /an exception was caught \(seed 1, as .*\): a datagram of .*: RangeError: a defect/,
      );
    } finally {
      restore();
    }
  },
);

testUnless(lack, "a node that would end is found", async () => {
  const { poll } = Node.prototype;
  Node.prototype.poll = function (this: Node, now, out) {
    // It may be called victim-2: an insider takes its name now and then.
    if (this.status(now).self.name.startsWith("victim")) throw new Error("a defect");
    poll.call(this, now, out);
  };
  try {
    const { complaints } = await fuzzArrivals({ seed: 1, count: 2_000, episode: 2_000 });
    assert.match(complaints.join(), /the node would have ended \(seed 1, as .*\): Error: a defect/);
  } finally {
    Node.prototype.poll = poll;
  }
});

testUnless(lack, "a place that core refuses and the driver lets pass is found", async () => {
  const { deliver } = Driver.prototype;
  Driver.prototype.deliver = function (this: Driver<unknown>, mail) {
    if (mail.kind !== "datagram") return deliver.call(this, mail);
    // Behind the check: the port is 0 when the answer goes out.
    let asked = 0;
    const { arrival } = mail;
    const from = {
      ...arrival.from,
      get port() {
        return asked++ < 2 ? 1 : 0;
      },
    };
    return deliver.call(this, { ...mail, arrival: { ...arrival, from } });
  };
  try {
    const { complaints } = await fuzzArrivals({ seed: 1, count: 1_000, episode: 1_000 });
    assert.match(complaints.join("\n"), /core refused \d+ times by itself/);
  } finally {
    Driver.prototype.deliver = deliver;
  }
});

Deno.test("a signed piece is altered and signed again, wherever it stands", () => {
  const key = sodium.ed25519FromSeed(random.bytes(32));
  const label = random.bytes(20);
  const body = random.bytes(50);
  const signature = sodium.ed25519Sign(key, joined(label, body));
  const signatures = new Signatures();
  signatures.remember(key, joined(label, body), signature);
  const whole = joined(random.bytes(9), body, signature, random.bytes(9));
  const mutator = new Mutator(random);
  assert.deepEqual(signatures.extract(whole, mutator), joined(body, signature));
  for (let i = 0; i < 100; i++) {
    const forged = signatures.forge(sodium, whole, mutator);
    assert.ok(forged);
    assert.equal(forged.length, whole.length);
    const altered = joined(label, forged.subarray(9, 59));
    assert.ok(sodium.ed25519Verify(forged.subarray(59, 123), altered, key.publicKey));
    assert.deepEqual(forged.subarray(0, 9), whole.subarray(0, 9));
    assert.deepEqual(forged.subarray(123), whole.subarray(123));
  }
  assert.equal(signatures.forge(sodium, random.bytes(300), mutator), undefined);
});

Deno.test("a box within a box is built again around other content", () => {
  const [outerKey, innerKey] = [random.bytes(32), random.bytes(32)];
  const [outerNonce, innerNonce] = [random.bytes(24), random.bytes(24)];
  const head = Uint8Array.of(0xc4, 0, 0, 0);
  const boxes = new Boxes();
  const seal = (key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array) => {
    const sealed = sodium.xchacha20poly1305Seal(key, nonce, head, plaintext);
    boxes.remember(key, nonce, head, plaintext, sealed);
    return sealed;
  };
  const inner = seal(innerKey, innerNonce, Uint8Array.of(1, 2, 3));
  const datagram = joined(
    head,
    outerNonce,
    seal(outerKey, outerNonce, joined(random.bytes(32), innerNonce, inner)),
  );
  const box = boxes.open(datagram);
  assert.ok(box);
  assert.deepEqual(contentOf(box), Uint8Array.of(1, 2, 3));
  const again = rebuild(sodium, random.bytes, box, Uint8Array.of(4, 5));
  const open = (key: Uint8Array, nonceAt: number, from: Uint8Array) =>
    sodium.xchacha20poly1305Open(
      key,
      from.subarray(nonceAt, nonceAt + 24),
      head,
      from.subarray(nonceAt + 24),
    );
  const outside = open(outerKey, 4, again);
  assert.ok(outside);
  assert.notDeepEqual(outside.subarray(32, 56), innerNonce);
  assert.deepEqual(open(innerKey, 32, outside), Uint8Array.of(4, 5));
  assert.equal(boxes.open(random.bytes(100)), undefined);
});

Deno.test("a knock opens whatever is in it, and a broken one has a mac that fits", () => {
  const meshId = random.bytes(32);
  const holder = identityFromSeed(sodium, random.bytes(32));
  const knocker = new Knocker(sodium, random);
  const door = knocker.door(meshId, holder.id);
  assert.ok(door);
  const content = random.bytes(200);
  const hello = readHello(knocker.hello(door, content)?.bytes ?? content);
  assert.ok(hello);
  assert.deepEqual(openHello(sodium, door, holder, hello)?.content, content);
  for (let n = 0; n < 20; n++) {
    const broken = readHello(knocker.brokenHello(door, content) ?? content);
    assert.ok(broken && isForDoor(sodium, door, broken));
    assert.equal(openHello(sodium, door, holder, broken), undefined);
  }
});

Deno.test("one seed alters in one way, and never beyond what can be sealed", () => {
  const bytes = new Seeded(1).bytes(1_190);
  const all = (seed: number) => {
    const mutator = new Mutator(new Seeded(seed));
    return Array.from({ length: 500 }, () => mutator.mutate(bytes, bytes));
  };
  assert.deepEqual(all(3), all(3));
  assert.notDeepEqual(all(3), all(4));
  assert.ok(all(3).every(({ length }) => length <= 1_200));
  const mutator = new Mutator(new Seeded(5));
  for (let i = 0; i < 500; i++) assert.equal(mutator.mutateInPlace(bytes).length, bytes.length);
});
