/** Places inside the mesh: what is sent there goes through a tunnel, and would never arrive (T38). */
import assert from "node:assert/strict";
import type { Endpoint } from "./endpoint.ts";
import { formatEndpoint, parseAddress } from "./endpoint.ts";
import { ip6Of, isInside } from "./membership/address.ts";
import { DEFAULT_POOL, meshIdOf } from "./membership/genesis.ts";
import { identityFromSeed } from "./membership/identity.ts";
import { NO_PROOF, openRecord, type RecordBody, signRecord } from "./membership/record.ts";
import { nobleCrypto as crypto } from "./noble_crypto.ts";
import { Seeded } from "./sim/random.ts";
import { type Computer, NodeLab } from "./sim/node_lab.ts";

const random = new Seeded(3).bytes;
const meshId = random(32);
const identity = identityFromSeed(crypto, random(32));
const inner: Endpoint = {
  address: ip6Of(crypto, meshId, identity.signing.publicKey),
  port: 51820,
  scope: 0,
};
const outer: Endpoint = { address: Uint8Array.of(192, 0, 2, 7), port: 51820, scope: 0 };

function signed(change: Partial<RecordBody>, mesh = meshId) {
  return signRecord(crypto, mesh, identity.signing, {
    key: identity.signing.publicKey,
    sequence: 2 ** 20,
    run: "00".repeat(8),
    twin: undefined,
    endpoints: [outer],
    capabilities: { relay: false, tunnel: true, meshKey: false, aesGcm: false },
    routes: [],
    version: "0",
    proof: NO_PROOF,
    ...change,
  }).bytes;
}

Deno.test("a record that names a place inside its mesh is refused, one inside another is not", () => {
  assert.ok(openRecord(crypto, meshId, signed({})).ok);
  const twin = { run: "11".repeat(8), endpoint: inner };
  for (const change of [{ endpoints: [outer, inner] }, { twin }]) {
    const opened = openRecord(crypto, meshId, signed(change));
    assert.match(opened.ok ? "" : opened.error, /names a place inside the mesh$/);
    const other = random(32);
    assert.ok(openRecord(crypto, other, signed(change, other)).ok);
  }
});

Deno.test("a mesh's own addresses are its pool and one /64", () => {
  const keys = { meshKey: random(32), recoveryKey: random(32), name: "lab" };
  const founded = meshIdOf(crypto, { ...keys, pool: DEFAULT_POOL });
  assert.ok(isInside(meshId, inner.address));
  assert.ok(isInside(founded, Uint8Array.of(100, 127, 255, 254)));
  const beside = inner.address.with(7, 1); // Another /64 of the same 40 bits.
  for (const address of [beside, outer.address, Uint8Array.of(100, 128, 0, 1)]) {
    assert.ok(!isInside(meshId, address), String(address));
  }
});

/** A founder and a member with a live tunnel. */
function pair(): { lab: NodeLab; founder: Computer; member: Computer } {
  const lab = new NodeLab(crypto, 1);
  const founder = lab.founder();
  const member = lab.joiner(founder, { name: "member" });
  lab.run(5_000);
  member.say(founder);
  lab.run(1_000);
  assert.equal(founder.delivered.length, 1);
  return { lab, founder, member };
}

/** What a computer sends next that is of this type of WireGuard, and does not arrive. */
function caught(lab: NodeLab, from: Computer, type: number, act: () => void): Uint8Array {
  let bytes: Uint8Array | undefined;
  lab.tap = (datagram, by) => {
    if (by === from && datagram.bytes[0] === type) bytes = datagram.bytes;
  };
  lab.network.partition([from.address]);
  act();
  lab.network.heal();
  lab.tap = () => {};
  assert.ok(bytes, `nothing of type ${type} was sent`);
  return bytes;
}

Deno.test("data that came through the tunnel itself does not move its sender's endpoint there", () => {
  for (const version of ["ip4", "ip6"] as const) {
    const { lab, founder, member } = pair();
    const own = member.node.status(member.now()).self;
    const address = parseAddress(own[version]);
    assert.ok(address);
    const data = caught(lab, member, 4, () => member.say(founder));
    founder.inject(data, { address, port: 51820, scope: 0 });
    lab.run(100);
    assert.equal(founder.delivered.length, 2, "the data is authentic");
    assert.equal(founder.sees(member)?.endpoint, member.address);
    const places = new Set<string>();
    lab.tap = ({ bytes, to }, by) => {
      if (by === founder && bytes[0] === 4) places.add(formatEndpoint(to));
    };
    founder.say(member);
    lab.run(1_000);
    assert.deepEqual([...places], [member.address], "core was told where the member is");
    assert.equal(founder.node.status(founder.now()).control["inside"], 1);
  }
});

Deno.test("what members say to each other is not heard from inside the mesh", () => {
  const { lab, founder, member } = pair();
  const address = Uint8Array.from(member.ip4);
  const sealed = caught(lab, member, 0xc1, () => lab.run(3_000));
  founder.inject(sealed, { address, port: 51820, scope: 0 });
  lab.run(1_000);
  assert.equal(founder.sees(member)?.endpoint, member.address);
  assert.equal(founder.node.status(founder.now()).control["inside"], 1);
});

Deno.test("a node that has an address inside its mesh tells nobody of it, and is believed", () => {
  const lab = new NodeLab(crypto, 1);
  const founder = lab.founder();
  const address = parseAddress(founder.node.status(founder.now()).self.ip6);
  assert.ok(address);
  const own = [{ address, port: 51820, scope: 0 }, founder.endpoint];
  founder.step((now, out) => founder.node.interfaces(now, own, out));
  lab.run(2_000);
  const member = lab.joiner(founder);
  assert.ok(lab.until(10_000, () => member.sees(founder)?.state === "alive"));
});
