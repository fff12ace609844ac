/**
 * Places with addresses of the mesh: a provider's network may use the same ones. Core sends past its own interface
 * there and drops what comes by it (core/around.h), so such a place is one like any other here.
 */
import assert from "node:assert/strict";
import { type Endpoint, formatEndpoint, parseAddress } from "./endpoint.ts";
import { ip6Of, isInside } from "./membership/address.ts";
import { DEFAULT_POOL, meshIdOf } from "./membership/genesis.ts";
import { identityFromSeed } from "./membership/identity.ts";
import { NO_PROOF, openRecord, signRecord } from "./membership/record.ts";
import { nobleCrypto as crypto } from "./noble_crypto.ts";
import { Seeded } from "./sim/random.ts";
import { NodeLab } from "./sim/node_lab.ts";

const random = new Seeded(3).bytes;
const keys = { meshKey: random(32), recoveryKey: random(32), name: "lab" };
const meshId = meshIdOf(crypto, { ...keys, pool: DEFAULT_POOL });
const identity = identityFromSeed(crypto, random(32));
const inner = ip6Of(crypto, meshId, identity.signing.publicKey);

function place(address: Uint8Array): Endpoint {
  return { address, port: 51820, scope: 0 };
}

const outer = place(Uint8Array.of(192, 0, 2, 7));
const inPool = place(Uint8Array.of(100, 127, 255, 254));

Deno.test("a mesh's own addresses are its pool and one /64", () => {
  assert.ok(isInside(meshId, inner));
  assert.ok(isInside(meshId, inPool.address));
  const beside = inner.with(7, 1); // Another /64 of the same 40 bits.
  for (const address of [beside, outer.address, Uint8Array.of(100, 128, 0, 1)]) {
    assert.ok(!isInside(meshId, address), String(address));
  }
});

Deno.test("a record may name places with addresses of its mesh, and a twin's", () => {
  for (const one of [inPool, place(inner)]) {
    const record = signRecord(crypto, meshId, identity.signing, {
      key: identity.signing.publicKey,
      sequence: 2 ** 20,
      run: "00".repeat(8),
      twin: { run: "11".repeat(8), endpoint: one, at: 1_800_000_000 },
      endpoints: [outer, one],
      capabilities: { relay: false, tunnel: true, meshKey: false, aesGcm: false, lanes: 1 },
      routes: [],
      version: "0",
      proof: NO_PROOF,
    });
    const opened = openRecord(crypto, meshId, record.bytes);
    assert.ok(opened.ok);
    assert.deepEqual(opened.value.endpoints, [outer, one]);
    assert.deepEqual(opened.value.twin?.endpoint, one);
  }
});

Deno.test("a node names its addresses of the mesh after all others, since few places are tried", () => {
  const lab = new NodeLab(crypto, 1);
  const founder = lab.founder();
  const address = parseAddress(founder.node.status(founder.now()).self.ip6);
  assert.ok(address);
  const own = [place(address), inPool, founder.endpoint];
  founder.step((now, out) => founder.node.interfaces(now, own, out));
  lab.run(2_000);
  const member = lab.joiner(founder);
  assert.ok(lab.until(10_000, () => member.sees(founder)?.state === "alive"));
  const named = founder.node.invite(founder.now(), {}, { command() {}, send() {}, event() {} });
  assert.ok(named.ok);
  assert.deepEqual(
    named.value.seeds,
    [founder.endpoint, place(address), inPool].map(formatEndpoint),
  );
});

Deno.test("two members that have only addresses of the mesh are one mesh", () => {
  const lab = new NodeLab(crypto, 1);
  const founder = lab.founder();
  const member = lab.joiner(founder, { name: "member" });
  lab.run(5_000);
  const moved = Uint8Array.of(100, 99, 0, 2);
  lab.move(member, moved);
  founder.say(member);
  assert.ok(lab.until(30_000, () => founder.sees(member)?.endpoint === "100.99.0.2:51820"));
  const before = founder.delivered.length;
  member.say(founder);
  lab.run(1_000);
  assert.equal(founder.delivered.length, before + 1);
});
