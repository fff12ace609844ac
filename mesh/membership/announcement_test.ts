import assert from "node:assert/strict";
import { announcements } from "./announcement.ts";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { INCARNATION_MAX } from "../swim/messages.ts";
import { DEFAULT_POOL, meshIdOf } from "./genesis.ts";
import { identityFromSeed } from "./identity.ts";

const seed = (n: number) => new Uint8Array(32).fill(n);
const meshId = (n: number) =>
  meshIdOf(crypto, { meshKey: seed(n), recoveryKey: seed(9), name: "lab", pool: DEFAULT_POOL });

Deno.test("trust.md 8: a member's signature holds for one incarnation, in one mesh, and is nobody else's", () => {
  const [one, other] = [identityFromSeed(crypto, seed(1)), identityFromSeed(crypto, seed(2))];
  const mesh = announcements(crypto, meshId(3), one);
  const elsewhere = announcements(crypto, meshId(4), one);
  for (const incarnation of [0, 1, 258, INCARNATION_MAX]) {
    const proof = mesh.sign(incarnation);
    assert.equal(proof.length, 64);
    assert.ok(mesh.isSigned(one.id, incarnation, proof));
    assert.ok(!mesh.isSigned(one.id, (incarnation ^ 1) >>> 0, proof));
    assert.ok(!mesh.isSigned(other.id, incarnation, proof));
    assert.ok(!elsewhere.isSigned(one.id, incarnation, proof));
    assert.ok(!mesh.isSigned(one.id, incarnation, new Uint8Array(64)));
  }
});
