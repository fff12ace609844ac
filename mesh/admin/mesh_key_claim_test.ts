/** Who has the mesh key, as others are told: a record that says so without a proof changes nothing of what a person is told. */
import assert from "node:assert/strict";
import { claimMeshKey, CLAIMS_EACH, MeshKeyClaims } from "../membership/mesh_key_claims.ts";
import { type NodeRecord, openRecord } from "../membership/record.ts";
import { Insider } from "../sim/insider.ts";
import type { Computer } from "../sim/node_lab.ts";
import { done, healthOf, promote, refusalOf, village } from "../sim/people.ts";
import { Signatories } from "../sim/signatories.ts";
import { toyCrypto } from "../sim/toy_crypto.ts";

/** A member's record as another has it on its disk. */
function recordOf(of: Computer, at: Computer, meshId: Uint8Array): NodeRecord {
  for (const { record } of at.disk?.members ?? []) {
    const bytes = Uint8Array.fromBase64(record, { alphabet: "base64url" });
    const opened = openRecord(toyCrypto, meshId, bytes);
    if (opened.ok && opened.value.id === of.id) return opened.value;
  }
  throw new Error("no record is there");
}

Deno.test("item 3: a member that says that it has the mesh key, and has it not, changes no advice to the one that has it", () => {
  const { lab, founder, others: [admin, liar, other] } = village(
    toyCrypto,
    ["admin", "liar", "other"],
    4,
  );
  assert.ok(admin && liar && other);
  promote(founder, admin);
  lab.run(10_000);
  const leave = () =>
    done(founder.step((now, out) => founder.node.leaveForGood(now, { yes: false }, out)));
  const before = leave();
  assert.match(before.warnings.join("\n"), /nobody can make or unmake admins until/);
  const insider = new Insider(liar);
  const capabilities = { ...insider.record.capabilities, meshKey: true };
  const honest = recordOf(founder, other, insider.meshId);
  const theirs = lab.crypto.ed25519FromSeed(new Uint8Array(32).fill(9));
  const claims = [
    undefined,
    // Of another mesh key, and of another's record that is true.
    claimMeshKey(toyCrypto, insider.meshId, theirs, insider.record.key, insider.record.run),
    honest.meshKeyClaim,
  ];
  assert.ok(claims[2]);
  for (const meshKeyClaim of claims) {
    const record = insider.describe({ capabilities, meshKeyClaim });
    for (const one of [founder, admin, other]) insider.spread(one, record);
    lab.run(10_000);
    assert.equal(founder.sees(liar)?.mesh_key, false);
    assert.deepEqual(leave(), before);
    const refused = refusalOf(
      admin.step((now, out) => admin.node.promote(now, other.id, {}, out)),
    );
    assert.match(refused, /the mesh key is on founder: run it there/);
  }
  assert.equal(admin.sees(founder)?.mesh_key, true);
  assert.deepEqual(healthOf(founder), []);
});

Deno.test("item 3: who has the mesh key, too, is believed, after a restart as well", () => {
  const { lab, founder, others: [admin] } = village(toyCrypto, ["admin"], 5);
  assert.ok(admin);
  promote(founder, admin);
  lab.run(10_000);
  admin.wish = { ...admin.wish, meshSeed: founder.wish.meshSeed ?? new Uint8Array() };
  for (const _ of [1, 2]) {
    admin.crash();
    admin.start();
    lab.run(30_000);
    assert.equal(founder.sees(admin)?.mesh_key, true);
    const planned = done(
      founder.step((now, out) => founder.node.leaveForGood(now, { yes: false }, out)),
    );
    assert.doesNotMatch(planned.warnings.join("\n"), /nobody can make or unmake admins/);
  }
});

Deno.test("invariant 13: at most 64 claims are looked at each time, those first that come first, and the rest is counted", () => {
  const society = new Signatories(toyCrypto);
  const { meshId, mesh } = society;
  const claims = new MeshKeyClaims(toyCrypto, meshId);
  const run = "00".repeat(8);
  const records = Array.from({ length: CLAIMS_EACH + 3 }, (_, n) => {
    const { id, signing: { publicKey: key } } = society.person(n);
    const meshKeyClaim = claimMeshKey(toyCrypto, meshId, mesh.signing, key, run);
    return { id, key, run, meshKeyClaim, capabilities: { meshKey: true } } as NodeRecord;
  });
  const ids = records.map(({ id }) => id);
  const holders = () => [...claims.holders(records, mesh.id)];
  assert.equal(CLAIMS_EACH, 64);
  assert.deepEqual(holders(), ids.slice(0, CLAIMS_EACH));
  assert.equal(claims.deferred, 3);
  assert.deepEqual(holders(), ids);
  // By another mesh key nothing is proven that was signed by this one.
  assert.deepEqual([...claims.holders(records.slice(0, 9), society.person(99).id)], []);
});
