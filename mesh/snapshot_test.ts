import assert from "node:assert/strict";
import { NodeLab } from "./sim/node_lab.ts";
import { nobleCrypto as crypto } from "./noble_crypto.ts";
import { type NodeSnapshot, readSnapshot } from "./snapshot.ts";

/** Of a node with another member, an invite and a key that it trusts. */
function written(): NodeSnapshot {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const joiner = lab.joiner(founder);
  lab.run(2_000);
  const { publicKey } = crypto.ed25519FromSeed(lab.random(32));
  founder.step((now, out) => founder.node.trust(now, publicKey.toHex(), "friend", out));
  const { seeds } = joiner.node.snapshot();
  return JSON.parse(JSON.stringify({ ...founder.node.snapshot(), seeds, admission: "AA" }));
}

Deno.test("what a node wrote is read as it was written", () => {
  const snapshot = written();
  const { members, statements, admissions, trusted, seeds, genesis } = snapshot;
  for (const list of [members, statements, admissions, trusted, seeds]) {
    assert.ok(list.length > 0);
  }
  assert.ok(genesis);
  assert.deepEqual(readSnapshot(snapshot), snapshot);
});

Deno.test("invariant 9: a snapshot with any field missing or of another shape is none", () => {
  const snapshot = written();
  for (const field of Object.keys(snapshot)) {
    for (const value of [null, -1, 2 ** 32, 1.5, [1], { a: 1 }, true]) {
      assert.equal(readSnapshot({ ...snapshot, [field]: value }), undefined, `${field} ${value}`);
    }
    // Who waits for admission has the first none, and the last is younger than the others.
    const isNeeded = !["genesis", "admission", "guests"].includes(field);
    const without = readSnapshot({ ...snapshot, [field]: undefined });
    assert.equal(without === undefined, isNeeded, field);
  }
  for (const value of [null, undefined, [], "x", 1, {}, { v: 2, boot: 1 }]) {
    assert.equal(readSnapshot(value), undefined);
  }
  assert.equal(readSnapshot({ ...snapshot, v: 1 }), undefined, "of an older version");
});

Deno.test("invariant 9: nor is one with a line of another shape in any of its lists", () => {
  const snapshot = written();
  const key = "ab".repeat(32);
  const wrong: [keyof NodeSnapshot, unknown][] = [
    ["genesis", { meshKey: key, recoveryKey: key.slice(1) }],
    ["genesis", { meshKey: key.toUpperCase(), recoveryKey: key }],
    ["numbers", { own: 1 }],
    ["numbers", { own: 0, mesh: 65_536 }],
    ["statements", [{ bytes: "AA" }]],
    ["statements", [{ bytes: 7, seen: 1 }]],
    ["statements", [{ bytes: "AA", seen: -1 }]],
    ["admissions", [7]],
    ["members", [{ record: 7 }]],
    ["members", [{ record: "AA", endpoint: 7 }]],
    ["members", [{ record: "AA", leftAt: 2 ** 32 }]],
    ["members", [{ record: "AA", aliveAt: "yesterday" }]],
    ["members", [{ record: "AA", silentFor: "long" }]],
    ["trusted", [{ key: "ab", name: "x" }]],
    ["trusted", [{ key }]],
    ["guests", [{ key }]],
    ["guests", [{ key: "ab", endpoint: "192.0.2.1:1" }]],
    ["seeds", [{ seed: 7 }]],
    ["seeds", [{ seed: "192.0.2.1:1", key: "ab" }]],
  ];
  for (const [field, value] of wrong) {
    const what = `${field} ${JSON.stringify(value)}`;
    assert.equal(readSnapshot({ ...snapshot, [field]: value }), undefined, what);
  }
});

Deno.test("trust.md 8: a node whose incarnation has come to its end starts, and is alive to others", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const joiner = lab.joiner(founder);
  lab.run(5_000);
  const incarnation = 2 ** 32 - 1;
  for (let start = 0; start < 2; start++) {
    joiner.crash();
    joiner.disk = readSnapshot({ ...joiner.disk, incarnation });
    assert.equal(joiner.disk?.incarnation, incarnation);
    assert.equal(joiner.start(), undefined);
    lab.run(20_000);
    assert.equal(joiner.node.snapshot().incarnation, incarnation);
    assert.equal(founder.sees(joiner)?.state, "alive");
  }
});
