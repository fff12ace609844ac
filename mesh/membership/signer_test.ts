import assert from "node:assert/strict";
import { DEFAULT_POOL } from "./genesis.ts";
import { adminDraft, memberDraft, NOW, Signatories } from "../sim/signatories.ts";
import { toyCrypto as crypto } from "../sim/toy_crypto.ts";
import { identityFromSeed } from "./identity.ts";
import { CLOCK_SKEW } from "./judge.ts";
import { Signer } from "./signer.ts";
import { type Draft, isSigned, NUMBER_MAX, signStatement } from "./statement.ts";
import { Statements } from "./statements.ts";

function setUp(numbers = { own: 0, mesh: 0 }) {
  const society = new Signatories(crypto);
  const anna = society.person(1);
  const statements = new Statements(crypto, society.genesis);
  const signer = new Signer(crypto, statements, anna, society.mesh.signing, numbers);
  const draft = memberDraft(society.person(2));
  const numberOf = (by: "own" | "mesh") => {
    const signed = signer.sign(by, draft, NOW);
    return signed.ok ? signed.value.number : signed.error;
  };
  return { society, anna, statements, signer, draft, numberOf };
}

Deno.test("invariant 13: each key gives its statements numbers of their own, from 1 on", () => {
  const { society, anna, signer, draft, numberOf } = setUp();
  const signed = signer.sign("own", draft, NOW);
  assert.ok(signed.ok && isSigned(crypto, society.meshId, signed.value));
  assert.deepEqual([signed.value.signer, signed.value.at], [anna.id, NOW]);
  assert.deepEqual([numberOf("own"), numberOf("mesh"), numberOf("own")], [2, 1, 3]);
  assert.deepEqual(signer.numbers, { own: 3, mesh: 1 });
});

Deno.test("numbers that were used in an earlier run are not used again", () => {
  const { numberOf } = setUp({ own: 7, mesh: 9 });
  assert.deepEqual([numberOf("own"), numberOf("mesh")], [8, 10]);
});

Deno.test("invariant 14: a state that is too old goes on beyond the numbers that others know of it", () => {
  const { society, anna, statements, numberOf } = setUp({ own: 2, mesh: 0 });
  statements.add(society.sign(society.mesh, adminDraft(anna)).bytes, NOW);
  const member = memberDraft(society.person(3));
  for (const number of [5, 4]) {
    statements.add(society.sign(anna, member, { number }).bytes, NOW);
  }
  assert.equal(numberOf("own"), 6);
  assert.equal(numberOf("mesh"), 2);
});

Deno.test("after 16,384 statements a key signs nothing more, and says so", () => {
  const last = { own: NUMBER_MAX - 1, mesh: NUMBER_MAX };
  const { signer, numberOf } = setUp(last);
  assert.deepEqual([signer.numbersLeft("own"), signer.numbersLeft("mesh")], [1, 0]);
  assert.equal(numberOf("own"), NUMBER_MAX);
  assert.equal(
    numberOf("own"),
    "this admin has signed 16384 statements, which is all that a key may: use another admin",
  );
  assert.match(String(numberOf("mesh")), /^the mesh key has signed 16384 statements/);
  assert.deepEqual(signer.numbers, { own: NUMBER_MAX, mesh: NUMBER_MAX });
});

Deno.test("the mesh key signs where it is, and a replaced one is not the mesh key of now", () => {
  const { society, statements, signer, numberOf } = setUp({ own: 0, mesh: 40 });
  assert.ok(signer.keepsMeshKey && signer.hasMeshKey);
  const next = society.person(9);
  const successor = { kind: "successor", key: next.id } as const;
  statements.add(society.sign(society.recovery, successor, { number: 1 }).bytes, NOW);
  assert.ok(signer.keepsMeshKey && !signer.hasMeshKey);
  signer.setMeshKey(next.signing);
  assert.ok(signer.hasMeshKey);
  assert.equal(numberOf("mesh"), 1, "another key has numbers of its own");
  signer.setMeshKey(undefined);
  assert.ok(!signer.keepsMeshKey && !signer.hasMeshKey);
  assert.equal(numberOf("mesh"), "the mesh key is not on this machine");
});
const seed = (number: number) => new Uint8Array(32).fill(number);
const mesh = crypto.ed25519FromSeed(seed(1));
const recovery = crypto.ed25519FromSeed(seed(2));
const own = identityFromSeed(crypto, seed(3));
const genesis = {
  meshKey: mesh.publicKey,
  recoveryKey: recovery.publicKey,
  name: "lab",
  pool: DEFAULT_POOL,
};
const carl = "cc".repeat(32);

function named(name: string): Draft {
  const certificate = { key: carl, name, groups: [], relay: false, ip4Counter: 0, since: NOW };
  return { kind: "member", certificate, until: NOW + 10_000, token: undefined };
}

/** What counts after another admin signed so many seconds ahead, and we sign now. */
function after(ahead: number): { name: string | undefined; at: number } {
  const statements = new Statements(crypto, genesis);
  const { meshId } = statements;
  const theirs = { number: 1, at: NOW + ahead };
  statements.add(signStatement(crypto, meshId, mesh, named("theirs"), theirs).bytes, NOW);
  const signer = new Signer(crypto, statements, own, mesh, { own: 0, mesh: 0 });
  const signed = signer.sign("mesh", named("ours"), NOW);
  assert.ok(signed.ok);
  statements.add(signed.value.bytes, NOW);
  const name = statements.certificate(carl, NOW + CLOCK_SKEW)?.certificate.name;
  return { name, at: signed.value.at - NOW };
}

Deno.test("a certificate is signed later than one that counts already, as far as clocks may differ", () => {
  assert.deepEqual(after(-1), { name: "ours", at: 0 });
  assert.deepEqual(after(0), { name: "ours", at: 1 });
  assert.deepEqual(after(CLOCK_SKEW - 1), { name: "ours", at: CLOCK_SKEW });
  assert.equal(after(CLOCK_SKEW).at, 0, "our own word would be one of the future");
  assert.deepEqual(after(CLOCK_SKEW + 1), { name: "ours", at: 0 });
});
