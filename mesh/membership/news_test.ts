import assert from "node:assert/strict";
import {
  approvalRumour,
  kindNumber,
  recordRumour,
  redemptionRumour,
  revocationRumour,
  verifyNews,
} from "./news.ts";
import { nobleCrypto as crypto } from "./noble_crypto.ts";
import { sequenceOf, signRecord } from "./record.ts";
import { appendLink, type Chain, EMPTY_CHAIN } from "./trust/certificate.ts";
import { identityFromSeed, meshIdOf } from "./trust/identity.ts";
import { signRevocation } from "./trust/revocation.ts";
import { Trust } from "./trust/trust.ts";

const [mesh, anna, bert] = [1, 2, 3].map((n) =>
  identityFromSeed(crypto, new Uint8Array(32).fill(n))
);
assert.ok(mesh && anna && bert);
const meshKey = mesh.signing.publicKey;
const meshId = meshIdOf(crypto, meshKey);
const now = { boot: 0, wall: 1_800_000_000_000 };
const seconds = now.wall / 1000;

function certificate(subject: typeof anna, signer = mesh): Chain {
  assert.ok(subject && signer);
  return appendLink(crypto, meshKey, EMPTY_CHAIN, signer.signing, {
    kind: "certificate",
    subject: subject.signing.publicKey,
    name: "anna",
    groups: [],
    flags: { relay: false, admin: false },
    notBefore: seconds,
    expires: seconds + 100,
  });
}

const verify = (rumour: Parameters<typeof verifyNews>[4], at = now) =>
  verifyNews(crypto, meshId, new Trust(crypto, meshKey), at, rumour);

const record = signRecord(crypto, meshId, anna.signing, {
  key: anna.signing.publicKey,
  sequence: sequenceOf(2, 3),
  endpoints: [],
  ip4Counter: 0,
  capabilities: { relay: false, tunnel: true },
  routes: [],
  version: "",
  chain: certificate(anna),
});

Deno.test("T38: a record under another's key, or altered on the way, is no news", () => {
  const rumour = recordRumour(crypto, record);
  assert.deepEqual(verify(rumour), { kind: "record", record });
  assert.equal(verify({ ...rumour, key: bert.id }), undefined);
  const bytes = rumour.bytes.slice();
  bytes[40] = (bytes[40] ?? 0) ^ 1;
  assert.equal(verify({ ...rumour, bytes }), undefined);
});

Deno.test("a later record has a higher version, and two of one sequence differ in it", () => {
  const next = { ...record, sequence: record.sequence + 1 };
  assert.ok(recordRumour(crypto, next).version > recordRumour(crypto, record).version);
  const versions = [0, 1, 2, 3].map((n) =>
    recordRumour(crypto, { ...record, bytes: Uint8Array.of(n) }).version
  );
  assert.equal(new Set(versions).size, 4);
  assert.ok(Math.max(...versions) < 2 ** 48);
});

Deno.test("T38: a revocation counts for the key in it, if an admin signed it", () => {
  const revocation = signRevocation(
    crypto,
    meshKey,
    { chain: EMPTY_CHAIN, signing: mesh.signing },
    { key: anna.signing.publicKey, at: seconds, until: seconds + 9 },
  );
  const rumour = revocationRumour(revocation);
  assert.deepEqual(verify(rumour), { kind: "revocation", revocation });
  assert.equal(verify({ ...rumour, key: bert.id }), undefined);
  const forged = signRevocation(
    crypto,
    meshKey,
    { chain: certificate(bert), signing: bert.signing },
    { key: anna.signing.publicKey, at: seconds, until: seconds + 9 },
  );
  assert.equal(verify(revocationRumour(forged)), undefined);
});

Deno.test("an approval or redemption is a valid chain, for the key that it is filed under", () => {
  const chain = certificate(anna);
  assert.equal(verify(approvalRumour(anna.id, chain))?.kind, "approval");
  assert.equal(verify(approvalRumour(bert.id, chain)), undefined);
  assert.equal(verify(redemptionRumour(crypto, chain))?.kind, "redemption");
  const foreign = certificate(anna, bert);
  assert.equal(verify(approvalRumour(anna.id, foreign)), undefined);
  const later = { boot: 0, wall: now.wall + 1_000_000 };
  assert.equal(verify(approvalRumour(anna.id, chain), later), undefined, "expired");
});

Deno.test("a rumour of unknown kind is no news", () => {
  const kinds = ["record", "revocation", "redemption", "approval"] as const;
  const numbers = kinds.map(kindNumber);
  assert.equal(new Set(numbers).size, 4);
  assert.equal(verify({ ...recordRumour(crypto, record), kind: 99 }), undefined);
});
