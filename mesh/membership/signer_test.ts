import assert from "node:assert/strict";
import { toyCrypto as crypto } from "../sim/toy_crypto.ts";
import { identityFromSeed } from "./identity.ts";
import { CLOCK_SKEW } from "./judge.ts";
import { Signer } from "./signer.ts";
import { type Draft, signStatement } from "./statement.ts";
import { Statements } from "./statements.ts";

const NOW = 1_800_000_000;
const seed = (number: number) => new Uint8Array(32).fill(number);
const mesh = crypto.ed25519FromSeed(seed(1));
const recovery = crypto.ed25519FromSeed(seed(2));
const own = identityFromSeed(crypto, seed(3));
const genesis = { meshKey: mesh.publicKey, recoveryKey: recovery.publicKey };
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
