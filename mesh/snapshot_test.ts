import assert from "node:assert/strict";
import { NodeLab } from "./sim/node_lab.ts";
import { nobleCrypto as crypto } from "./noble_crypto.ts";
import { type NodeSnapshot, readSnapshot } from "./snapshot.ts";

function written(): NodeSnapshot {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  lab.joiner(founder);
  lab.run(2_000);
  return JSON.parse(JSON.stringify(founder.node.snapshot()));
}

Deno.test("what a node wrote is read as it was written", () => {
  const snapshot = written();
  assert.equal(snapshot.members.length, 1);
  assert.deepEqual(readSnapshot(snapshot), snapshot);
});

Deno.test("a snapshot with any field missing or of another shape is none", () => {
  const snapshot = written();
  for (const field of Object.keys(snapshot)) {
    for (const value of [null, -1, 2 ** 32, 1.5, [1], { a: 1 }, true]) {
      assert.equal(readSnapshot({ ...snapshot, [field]: value }), undefined, `${field} ${value}`);
    }
    if (field === "genesis") continue; // Who waits for admission has none.
    assert.equal(readSnapshot({ ...snapshot, [field]: undefined }), undefined, field);
  }
  for (const value of [null, undefined, [], "x", 1, {}, { v: 1, boot: 1 }]) {
    assert.equal(readSnapshot(value), undefined);
  }
  assert.equal(readSnapshot({ ...snapshot, members: [{ record: 7 }] }), undefined);
});
