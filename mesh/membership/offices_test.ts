import assert from "node:assert/strict";
import { DEFAULT_POOL } from "./genesis.ts";
import { toyCrypto as crypto } from "../sim/toy_crypto.ts";
import { type Certificate, type Draft, signStatement, type TokenUse } from "./statement.ts";
import { Statements } from "./statements.ts";

const NOW = 1_800_000_000;

function pair(number: number) {
  const signing = crypto.ed25519FromSeed(new Uint8Array(32).fill(number));
  return { signing, id: signing.publicKey.toHex() };
}

const [mesh, recovery, next, anna, bert, carl] = [1, 2, 3, 4, 5, 6].map(pair);
assert.ok(mesh && recovery && next && anna && bert && carl);
type Person = typeof anna;
const genesis = {
  meshKey: mesh.signing.publicKey,
  recoveryKey: recovery.signing.publicKey,
  name: "lab",
  pool: DEFAULT_POOL,
};

function certificate(key: string, name: string): Certificate {
  return { key, name, groups: [], relay: false, ip4Counter: 0, since: NOW };
}

const member = ({ id }: Person, token?: TokenUse): Draft => ({
  kind: "member",
  certificate: certificate(id, "member"),
  until: NOW + 1000,
  token,
});
const admin = ({ id }: Person): Draft => ({ kind: "admin", certificate: certificate(id, "admin") });
const demoted = ({ id }: Person): Draft => ({ kind: "demoted", key: id });
const removed = ({ id }: Person): Draft => ({ kind: "removed", key: id });
const successor = ({ id }: Person): Draft => ({ kind: "successor", key: id });

const { meshId } = new Statements(crypto, genesis);

function said(by: Person, number: number, draft: Draft): Uint8Array {
  return signStatement(crypto, meshId, by.signing, draft, { number, at: NOW }).bytes;
}

/** What a node holds to which these came, those that were refused once more at the end. */
function heard(...all: readonly Uint8Array[]): Statements {
  const statements = new Statements(crypto, genesis);
  const refused = all.filter((bytes) => statements.add(bytes, NOW).kind === "refused");
  for (const bytes of refused) statements.add(bytes, NOW);
  return statements;
}

Deno.test("a certificate stays listed as void when the office that it gave, or its signer's, has ended", () => {
  const offices = [said(mesh, 1, admin(anna)), said(mesh, 2, admin(bert))];
  const listed = (statements: Statements) =>
    Array.from(statements.void(), (one) => one.kind === "removed" ? "" : one.certificate.key);
  const whole = [...offices, said(anna, 1, member(carl))];
  assert.deepEqual(listed(heard(...whole)), []);
  assert.deepEqual(listed(heard(...whole, said(mesh, 3, demoted(anna)))), [anna.id, carl.id]);
  assert.deepEqual(listed(heard(...whole, said(recovery, 1, successor(next)))), [
    anna.id,
    bert.id,
    carl.id,
  ]);
});

Deno.test("what a key said as the mesh key takes no number from what it says as an admin", () => {
  const recovered = [said(recovery, 1, successor(next)), said(next, 1, admin(mesh))];
  const certified = said(mesh, 5, member(carl));
  const orders = [
    [said(mesh, 5, demoted(bert)), ...recovered, certified],
    [...recovered, certified, said(mesh, 5, demoted(bert))],
    [...recovered, said(mesh, 5, demoted(bert)), certified],
  ];
  for (const order of orders) {
    assert.ok(heard(...order).certificate(carl.id), "the order of arrival decides");
  }
});

Deno.test("an admin's removal of who once had an office stays without effect after a recovery", () => {
  const before = [
    said(mesh, 1, admin(anna)),
    said(mesh, 2, admin(bert)),
    said(anna, 1, removed(bert)),
    said(mesh, 3, demoted(bert)),
    said(mesh, 4, member(bert)),
  ];
  assert.ok(!heard(...before).isRemoved(bert.id));
  // What `shoal recover` signs anew.
  const recovered = [
    said(recovery, 1, successor(next)),
    said(next, 1, admin(anna)),
    said(next, 2, demoted(bert)),
    said(next, 3, member(bert)),
  ];
  const after = heard(...before, ...recovered);
  assert.ok(!after.isRemoved(bert.id), "the recovery has put a member out");
  assert.ok(heard(...before, ...recovered, said(next, 4, removed(bert))).isRemoved(bert.id));
});

Deno.test("the end of an office gives a token's places to those that come next, at once", () => {
  const token = { key: "ee".repeat(32), uses: 1 };
  const [first, second] = [bert, carl].sort((a, b) => a.id < b.id ? -1 : 1);
  assert.ok(first && second);
  const statements = heard(
    said(mesh, 1, admin(anna)),
    said(anna, 1, member(first, token)),
    said(mesh, 2, member(second, token)),
  );
  assert.ok(statements.isSurplus(second.id) && !statements.isSurplus(first.id));
  statements.add(said(mesh, 3, demoted(anna)), NOW);
  assert.ok(statements.certificate(second.id), "the place is not free");
});
