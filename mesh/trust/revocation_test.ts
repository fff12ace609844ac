import assert from "node:assert/strict";
import fc from "fast-check";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import type { SigningKey } from "../crypto.ts";
import { appendLink, EMPTY_CHAIN } from "./certificate.ts";
import { openRevocation, signRevocation } from "./revocation.ts";

const key = (n: number): SigningKey => crypto.ed25519FromSeed(new Uint8Array(32).fill(n));
const [mesh, admin, target] = [key(1), key(2), key(3)];
const NOW = 1_800_000_000;
const revoked = { key: target.publicKey, at: NOW, until: NOW + 9 };

function chainOf(isAdmin: boolean) {
  return appendLink(crypto, mesh.publicKey, EMPTY_CHAIN, mesh, {
    kind: "certificate",
    subject: admin.publicKey,
    name: "root",
    groups: [],
    flags: { relay: false, admin: isAdmin },
    notBefore: NOW,
    expires: NOW + 100,
  });
}

const byAdmin = signRevocation(
  crypto,
  mesh.publicKey,
  { chain: chainOf(true), signing: admin },
  revoked,
);

Deno.test("an admin's revocation is verified offline, and so is the mesh key's", () => {
  const opened = openRevocation(crypto, mesh.publicKey, byAdmin.bytes);
  assert.deepEqual(opened, { ok: true, value: byAdmin });
  const byMesh = signRevocation(
    crypto,
    mesh.publicKey,
    { chain: EMPTY_CHAIN, signing: mesh },
    revoked,
  );
  assert.ok(openRevocation(crypto, mesh.publicKey, byMesh.bytes).ok);
});

Deno.test("T38: a member that is no admin, a stranger and another mesh revoke nobody", () => {
  const issuers = [
    { chain: chainOf(false), signing: admin },
    { chain: chainOf(true), signing: target },
    { chain: EMPTY_CHAIN, signing: admin },
  ];
  for (const issuer of issuers) {
    const { bytes } = signRevocation(crypto, mesh.publicKey, issuer, revoked);
    assert.ok(!openRevocation(crypto, mesh.publicKey, bytes).ok);
  }
  assert.ok(!openRevocation(crypto, target.publicKey, byAdmin.bytes).ok);
});

Deno.test("T41: an altered revocation is none", () => {
  for (let at = 0; at < byAdmin.bytes.length; at += 3) {
    const bytes = byAdmin.bytes.slice();
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    assert.ok(!openRevocation(crypto, mesh.publicKey, bytes).ok, `byte ${at}`);
  }
});

Deno.test("T18: no bytes make it throw", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 1000 }), (bytes) => {
    assert.ok(!openRevocation(crypto, mesh.publicKey, Uint8Array.from(bytes)).ok);
  }));
});
