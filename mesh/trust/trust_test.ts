import assert from "node:assert/strict";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { type Chain, EMPTY_CHAIN, type Membership } from "./certificate.ts";
import { REVOCATIONS_MAX, rfc3339, TOKENS_MAX, Trust, TRUSTED_MAX } from "./trust.ts";

const NOW = 1_800_000_000;
const chain: Chain = EMPTY_CHAIN;
const key = (n: number) => n.toString(16).padStart(64, "0");

function member(id: string, token: string, uses: number, until = NOW): Membership {
  return {
    id,
    name: "x",
    groups: [],
    flags: { relay: false, admin: false },
    notBefore: 0,
    expires: NOW,
    issuedAt: 0,
    keys: [id],
    grants: [{ key: token, uses, until, by: id }],
  };
}

const revocation = (n: number, until = NOW + n) => ({
  key: key(n),
  at: NOW,
  until,
  by: key(0),
  bytes: new Uint8Array(0),
});

Deno.test("16,384 revocations are kept; the one that ends first makes room", () => {
  const trust = new Trust(crypto, undefined);
  for (let n = 1; n <= REVOCATIONS_MAX; n++) assert.ok(trust.revoke(revocation(n)));
  assert.ok(trust.revoke(revocation(99_999)));
  assert.ok(!trust.isRevoked(key(1)));
  assert.ok(trust.isRevoked(key(2)));
  assert.equal([...trust.revocations()].length, REVOCATIONS_MAX);
});

Deno.test("a revocation is kept until what it voids has expired, and 300 s more", () => {
  const trust = new Trust(crypto, undefined);
  trust.revoke(revocation(1, NOW));
  assert.deepEqual(trust.expire(NOW + 300), []);
  assert.deepEqual(trust.expire(NOW + 301), [key(1)]);
  assert.ok(!trust.isRevoked(key(1)));
});

Deno.test("4,096 tokens are counted; the one that ends first makes room", () => {
  const trust = new Trust(crypto, undefined);
  for (let n = 0; n < TOKENS_MAX; n++) trust.redeem(member("a", key(n), 1, NOW + n), chain);
  trust.redeem(member("a", key(99_999), 1, NOW + 99_999), chain);
  trust.redeem(member("b", key(0), 1, NOW), chain);
  assert.deepEqual([...trust.overused()], [], "the count of the first token was forgotten");
  trust.redeem(member("b", key(99_999), 1), chain);
  assert.equal([...trust.overused()].length, 1);
});

Deno.test("over-use is reported by name, and remembered for sixteen culprits", () => {
  const trust = new Trust(crypto, undefined);
  assert.deepEqual(trust.redeem(member("a", key(1), 1), chain), []);
  assert.deepEqual(trust.redeem(member("a", key(1), 1), chain), [], "the same one again");
  const over = trust.redeem(member("b", key(1), 1), chain);
  assert.deepEqual(over, [{ token: key(1), by: ["a", "b"] }]);
  for (let n = 0; n < 40; n++) trust.redeem(member(`c${n}`, key(1), 1), chain);
  const [entry] = trust.overused();
  assert.equal(entry?.by.length, 17);
});

Deno.test("4,096 keys can be trusted individually; the next one is refused", () => {
  const trust = new Trust(crypto, undefined);
  for (let n = 0; n < TRUSTED_MAX; n++) assert.ok(trust.trust(key(n), "x"));
  assert.ok(!trust.trust(key(99_999), "x"));
  assert.ok(trust.trust(key(1), "renamed"));
  assert.ok(trust.distrust(key(0)));
  assert.ok(trust.trust(key(99_999), "x"));
});

Deno.test("times are shown as RFC 3339, also those beyond the year 9999", () => {
  assert.equal(rfc3339(NOW), "2027-01-15T08:00:00Z");
  assert.equal(rfc3339(Number.MAX_SAFE_INTEGER), "9999-12-31T23:59:59Z");
});
