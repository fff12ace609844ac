import assert from "node:assert/strict";
import { Roster } from "./roster.ts";
import { nobleCrypto as crypto } from "./noble_crypto.ts";
import { type NodeRecord, type RecordBody, sequenceOf, signRecord } from "./record.ts";
import { EMPTY_CHAIN } from "./trust/certificate.ts";
import { identityFromSeed, meshIdOf } from "./trust/identity.ts";
import { Trust } from "./trust/trust.ts";

const people = [1, 2, 3, 4].map((n) => identityFromSeed(crypto, new Uint8Array(32).fill(n)));
const [self, anna, bert, carl] = people;
assert.ok(self && anna && bert && carl);
const meshKey = self.signing.publicKey;
const meshId = meshIdOf(crypto, meshKey);
const now = { boot: 100_000, wall: 1_800_000_000_000 };

function setUp(limit?: number): Roster {
  const trust = new Trust(crypto, meshKey);
  for (const { id } of people) trust.trust(id, `n${id.slice(0, 2)}`);
  return new Roster(crypto, trust, self?.id ?? "", limit);
}

function recordOf(one: typeof anna, count: number, change: Partial<RecordBody> = {}): NodeRecord {
  assert.ok(one);
  return signRecord(crypto, meshId, one.signing, {
    key: one.signing.publicKey,
    sequence: sequenceOf(1, count),
    endpoints: [],
    ip4Counter: 0,
    capabilities: { relay: false, tunnel: true },
    routes: [],
    version: "1",
    chain: EMPTY_CHAIN,
    ...change,
  });
}

Deno.test("a newer record replaces an older one, and an older one changes nothing", () => {
  const roster = setUp();
  assert.equal(roster.accept(recordOf(anna, 5), now).kind, "new");
  assert.equal(roster.accept(recordOf(anna, 5), now).kind, "old");
  assert.equal(roster.accept(recordOf(anna, 4, { version: "0" }), now).kind, "old");
  assert.equal(roster.get(anna.id)?.record.version, "1");
  assert.equal(roster.accept(recordOf(anna, 6, { version: "2" }), now).kind, "updated");
  assert.equal(roster.get(anna.id)?.record.version, "2");
});

Deno.test("two records with one sequence are equivocation, and everybody keeps the same one", () => {
  const [one, two] = [recordOf(anna, 5), recordOf(anna, 5, { version: "x" })];
  const kept = [[one, two], [two, one]].map((order) => {
    const roster = setUp();
    const results = order.map((record) => roster.accept(record, now).kind);
    assert.deepEqual(results, ["new", "equivocation"]);
    return roster.get(anna.id)?.record.version;
  });
  assert.equal(kept[0], kept[1]);
});

Deno.test("at the limit newcomers are refused and counted, and members still renewed", () => {
  const roster = setUp(2);
  assert.equal(roster.accept(recordOf(anna, 1), now).kind, "new");
  assert.equal(roster.accept(recordOf(bert, 1), now).kind, "new");
  const refused = roster.accept(recordOf(carl, 1), now);
  assert.ok(refused.kind === "refused" && refused.why === "full");
  assert.equal(roster.refused, 1);
  assert.equal(roster.accept(recordOf(anna, 2), now).kind, "updated");
  roster.remove(bert.id);
  assert.equal(roster.accept(recordOf(carl, 1), now).kind, "new");
});

Deno.test("a member heard of lately is at that place; otherwise all its places are tried, four at most", () => {
  const roster = setUp();
  const endpoint = (n: number) => ({ address: Uint8Array.of(192, 0, 2, n), port: 1, scope: 0 });
  const claimed = [1, 2, 3, 4, 5].map(endpoint);
  const acceptance = roster.accept(recordOf(anna, 1, { endpoints: claimed }), now);
  assert.ok(acceptance.kind === "new");
  const { member } = acceptance;
  const places = () => roster.places(member, now).map(({ to }) => to.address[3]);
  assert.deepEqual(places(), [1, 2, 3, 4]);
  member.observed = { endpoint: endpoint(3), source: undefined, at: now.boot - 29_999 };
  assert.deepEqual(places(), [3]);
  member.observed = { ...member.observed, at: now.boot - 30_000 };
  assert.deepEqual(places(), [3, 1, 2, 4]);
  member.observed = { endpoint: endpoint(3), source: undefined, at: now.boot };
  assert.deepEqual(places(), [3]);
  roster.moved(now);
  assert.deepEqual(
    places(),
    [3, 1, 2, 4],
    "our own network changed: it may be reached elsewhere now",
  );
});

Deno.test("a name that two members have names neither, and says by what to choose", () => {
  const trust = new Trust(crypto, meshKey);
  for (const { id } of people) trust.trust(id, "same");
  const roster = new Roster(crypto, trust, self.id);
  roster.accept(recordOf(anna, 1), now);
  roster.accept(recordOf(bert, 1), now);
  const found = roster.find("same");
  assert.match(
    found.ok ? "" : found.error,
    /^same: 2 members match: say which key: [0-9a-f]{16}, /,
  );
  assert.ok(roster.find(anna.id.slice(0, 8)).ok);
  assert.ok(!roster.find(anna.id.slice(0, 7)).ok, "seven digits are too few");
});
