import assert from "node:assert/strict";
import { Bulletin, NEWS_MAX } from "./bulletin.ts";
import { nobleCrypto as crypto } from "./noble_crypto.ts";
import { Swim } from "./swim/swim.ts";
import { EMPTY_CHAIN, type Membership } from "./trust/certificate.ts";

const NOW = { boot: 0, wall: 1_800_000_000_000 };
const ENDS = NOW.wall / 1000 + 1000;
const out = { message: () => {}, rumour: () => {}, event: () => {} };
const id = (n: number) => n.toString(16).padStart(8, "0").repeat(8);

function membership(n: number): Membership {
  const grants = [{ key: id(n), uses: 1, until: ENDS, by: id(n) }];
  return { id: id(n), expires: ENDS, grants } as unknown as Membership;
}

/** Distinct bytes: a redemption is known by their hash. */
const chain = (n: number) => ({ ...EMPTY_CHAIN, bytes: Uint8Array.of(n >> 16, n >> 8, n) });

Deno.test("8,192 redemptions and as many approvals are spread; further ones are counted, until some end", () => {
  const random = (length: number) => new Uint8Array(length);
  const bulletin = new Bulletin(crypto, new Swim({ self: id(0), random, limit: 1200 }, NOW));
  for (let n = 1; n <= NEWS_MAX; n++) {
    bulletin.redemption(NOW, membership(n), chain(n), out);
    bulletin.approval(NOW, membership(n), chain(n), out);
  }
  assert.equal(bulletin.refused, 0);
  bulletin.redemption(NOW, membership(1), chain(1), out); // known
  bulletin.approval(NOW, membership(1), chain(1), out);
  assert.equal(bulletin.refused, 0);
  bulletin.redemption(NOW, membership(NEWS_MAX + 1), chain(NEWS_MAX + 1), out);
  bulletin.approval(NOW, membership(NEWS_MAX + 1), chain(NEWS_MAX + 1), out);
  assert.equal(bulletin.refused, 2);
  bulletin.expire(ENDS + 301, []);
  const later = { boot: 0, wall: NOW.wall };
  bulletin.redemption(later, membership(NEWS_MAX + 1), chain(NEWS_MAX + 1), out);
  bulletin.approval(later, membership(NEWS_MAX + 1), chain(NEWS_MAX + 1), out);
  assert.equal(bulletin.refused, 2, "room again");
});
