import assert from "node:assert/strict";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { type Chain, EMPTY_CHAIN, type Membership } from "./certificate.ts";
import {
  REDEMPTIONS_MAX,
  REVOCATIONS_MAX,
  rfc3339,
  TOKENS_MAX,
  Trust,
  TRUSTED_MAX,
} from "./trust.ts";

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
    isVouched: false,
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

Deno.test("16,384 revocations are kept; a further one is refused, and pushes nobody back in", () => {
  const trust = new Trust(crypto, undefined);
  for (let n = 1; n <= REVOCATIONS_MAX; n++) assert.ok(trust.revoke(revocation(n), NOW));
  assert.ok(!trust.revoke(revocation(99_999), NOW));
  assert.ok(trust.isRevoked(key(1)));
  assert.equal(trust.refusedRevocations, 1);
  assert.equal([...trust.revocations()].length, REVOCATIONS_MAX);
  assert.ok(trust.revoke(revocation(1, NOW + 99_999), NOW), "a longer one of a known key has room");
});

Deno.test("a revocation is kept until its end, and 300 s more; then it is none any more", () => {
  const trust = new Trust(crypto, undefined);
  assert.ok(trust.revoke(revocation(1, NOW), NOW));
  assert.ok(!trust.revoke(revocation(1, NOW), NOW), "twice is no news");
  assert.ok(!trust.revoke(revocation(1, NOW - 1), NOW), "nor is a shorter one");
  assert.deepEqual(trust.expire(NOW + 300), []);
  assert.deepEqual(trust.expire(NOW + 301), [key(1)]);
  assert.ok(!trust.isRevoked(key(1)));
  assert.ok(!trust.revoke(revocation(1, NOW), NOW + 301), "what has ended is no news again");
});

Deno.test("4,096 tokens are counted; a further one lets nobody in, and no count is forgotten", () => {
  const trust = new Trust(crypto, undefined);
  for (let n = 0; n < TOKENS_MAX; n++) trust.redeem(member("a", key(n), 1, NOW + n), chain);
  assert.ok(!trust.redeem(member("a", key(99_999), 1, NOW + 99_999), chain).isNew);
  assert.equal(trust.refusedRedemptions, 1);
  trust.redeem(member("b", key(0), 1, NOW), chain);
  assert.deepEqual([...trust.overused()].map(({ token }) => token), [key(0)]);
  trust.expire(NOW + 301);
  assert.ok(trust.redeem(member("a", key(99_999), 1, NOW + 99_999), chain).isNew, "room again");
});

Deno.test("32,768 uses are counted in all, and room is made when their tokens end", () => {
  const trust = new Trust(crypto, undefined);
  for (let n = 0; n < REDEMPTIONS_MAX; n++) trust.redeem(member(key(n), key(n % 8), 65_535), chain);
  assert.ok(!trust.redeem(member(key(99_999), key(1), 65_535), chain).isNew);
  trust.expire(NOW + 301);
  assert.ok(trust.redeem(member(key(99_999), key(1), 65_535, NOW + 999), chain).isNew);
});

Deno.test("T41: narrowings of a used-up token count with it: they fill no table", () => {
  const trust = new Trust(crypto, undefined);
  for (let n = 0; n < 1000; n++) {
    const narrowed = member(key(n), key(7), 1);
    const own = { key: key(100_000 + n), uses: 1, until: NOW, by: key(n) };
    trust.redeem({ ...narrowed, grants: [...narrowed.grants, own] }, { ...chain });
  }
  assert.equal(trust.redemptions().size, 17, "one use, and the sixteen that are remembered");
  assert.equal([...trust.overused()].length, 1);
});

Deno.test("over-use is reported by name, and remembered for sixteen culprits", () => {
  const trust = new Trust(crypto, undefined);
  assert.deepEqual(trust.redeem(member("a", key(1), 1), chain), { isNew: true, over: [] });
  const again = trust.redeem(member("a", key(1), 1), chain);
  assert.deepEqual(again, { isNew: false, over: [] });
  const { over } = trust.redeem(member("b", key(1), 1), chain);
  assert.deepEqual(over, [{ token: key(1), uses: 1, by: ["a", "b"] }]);
  for (let n = 0; n < 40; n++) trust.redeem(member(`c${n}`, key(1), 1), chain);
  const [entry] = trust.overused();
  assert.equal(entry?.by.length, 17);
});

Deno.test("4,096 keys can be trusted individually; the next one is refused", () => {
  const trust = new Trust(crypto, undefined);
  for (let n = 0; n < TRUSTED_MAX; n++) assert.ok(trust.trust(key(n), "x"));
  assert.ok(!trust.trust(key(99_999), "x"));
  assert.ok(trust.trust(key(1), "renamed"));
  assert.ok(trust.isTrusted(key(0)));
  trust.distrust(key(0));
  assert.ok(!trust.isTrusted(key(0)));
  assert.ok(trust.trust(key(99_999), "x"));
});

Deno.test("times are shown as RFC 3339, also those beyond the year 9999", () => {
  assert.equal(rfc3339(NOW), "2027-01-15T08:00:00Z");
  assert.equal(rfc3339(Number.MAX_SAFE_INTEGER), "9999-12-31T23:59:59Z");
});
