import assert from "node:assert/strict";
import { formatAddress, parseEndpoint } from "../endpoint.ts";
import { adminDraft, memberDraft, NOW, Signatories, type Wish } from "../sim/signatories.ts";
import { toyCrypto as crypto } from "../sim/toy_crypto.ts";
import { ip4Of } from "./address.ts";
import { FirstContacts } from "../door/first_contacts.ts";
import { Judge } from "./judge.ts";
import { NO_PROOF, type NodeRecord, type RecordBody, sequenceOf, signRecord } from "./record.ts";
import { isUnheard, type Member, MEMBERS_MAX, Roster } from "./roster.ts";

const society = new Signatories(crypto);
const { meshId } = society;
const [self, anna, bert, carl] = [1, 2, 3, 4].map((n) => society.person(n));
assert.ok(self && anna && bert && carl);
const now = { boot: 100_000, wall: NOW * 1000 };

/** A roster of the node `self`, which knows these certificates. */
function setUp(wishes: readonly Wish[] = [{}, {}, {}], limit = MEMBERS_MAX) {
  const judge = new Judge(crypto, society.genesis);
  const contacts = new FirstContacts();
  for (const [i, wish] of wishes.entries()) {
    const draft = memberDraft(society.person(2 + i), wish);
    judge.statements.add(society.sign(society.mesh, draft).bytes, NOW);
  }
  return { judge, contacts, roster: new Roster(crypto, judge, limit, contacts) };
}

function recordOf(one: typeof anna, count = 1, change: Partial<RecordBody> = {}): NodeRecord {
  assert.ok(one);
  return signRecord(crypto, meshId, one.signing, {
    key: one.signing.publicKey,
    sequence: sequenceOf(1, count),
    run: "00".repeat(8),
    twin: undefined,
    endpoints: [],
    capabilities: { relay: false, tunnel: true, meshKey: false, aesGcm: false, lanes: 1 },
    routes: [],
    version: "1",
    proof: NO_PROOF,
    ...change,
  });
}

function taken(roster: Roster, record: NodeRecord): Member {
  const acceptance = roster.accept(record, now);
  assert.ok(acceptance.kind === "new");
  return acceptance.member;
}

Deno.test("a newer record replaces an older one, and an older one changes nothing", () => {
  const { roster } = setUp();
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
    const { roster } = setUp();
    const results = order.map((record) => roster.accept(record, now).kind);
    assert.deepEqual(results, ["new", "equivocation"]);
    return roster.get(anna.id)?.record.version;
  });
  assert.equal(kept[0], kept[1]);
});

Deno.test("who is no member is not taken in, whatever its record says", () => {
  const { roster } = setUp([{}]);
  const acceptance = roster.accept(recordOf(bert), now);
  assert.ok(acceptance.kind === "refused" && acceptance.why === "stranger");
  assert.equal(roster.size, 0);
});

Deno.test("at the limit newcomers are refused and counted, and members still renewed", () => {
  const { roster } = setUp([{}, {}, {}], 2);
  assert.equal(roster.accept(recordOf(anna, 1), now).kind, "new");
  assert.equal(roster.accept(recordOf(bert, 1), now).kind, "new");
  const refused = roster.accept(recordOf(carl, 1), now);
  assert.ok(refused.kind === "refused" && refused.why === "full");
  assert.equal(roster.refused, 1);
  assert.equal(roster.accept(recordOf(anna, 2), now).kind, "updated");
  roster.remove(bert.id, now);
  assert.equal(roster.accept(recordOf(carl, 1), now).kind, "new");
});

Deno.test("a member heard of lately where it has proven to be is there; otherwise all its places are tried, four at most", () => {
  const { roster, contacts } = setUp();
  const endpoint = (n: number) => ({ address: Uint8Array.of(192, 0, 2, n), port: 1, scope: 0 });
  const claimed = [1, 2, 3, 4, 5].map(endpoint);
  const member = taken(roster, recordOf(anna, 1, { endpoints: claimed }));
  const places = () => roster.places(member, now).map(({ to }) => to.address[3]);
  assert.deepEqual(places(), [1, 2, 3, 4]);
  member.observed = { endpoint: endpoint(3), source: undefined, at: now.boot - 29_999 };
  assert.deepEqual(places(), [3, 1, 2, 4], "a copy of its key may have sealed that anywhere");
  contacts.proven(now, endpoint(3), member.id);
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
  member.observed = { endpoint: endpoint(9), source: undefined, at: now.boot };
  contacts.proven(now, endpoint(5), member.id);
  contacts.proven(now, endpoint(8), member.id);
  assert.deepEqual(places(), [9, 8], "one place that it has proven, and not each of them");
  member.observed = { ...member.observed, at: now.boot - 30_000 };
  assert.deepEqual(places(), [9, 8, 1, 2], "where it was last comes before what it says");
});

Deno.test("who was not heard in this run is unheard, a remembered place or not", () => {
  const { roster } = setUp();
  const member = taken(roster, recordOf(anna));
  assert.ok(isUnheard(member));
  const endpoint = parseEndpoint("192.0.2.9:1");
  assert.ok(endpoint);
  member.observed = { endpoint, source: undefined, at: -Infinity };
  assert.ok(isUnheard(member));
  member.observed = { endpoint, source: undefined, at: 0 };
  assert.ok(!isUnheard(member));
});

Deno.test("invariant 7: two members never bear one name: who loses it is called by its key, too", () => {
  const { judge, roster } = setUp([{ name: "lyon", since: NOW }, { name: "lyon", since: NOW - 1 }]);
  taken(roster, recordOf(anna));
  assert.equal(roster.nameOf(anna.id), "lyon");
  taken(roster, recordOf(bert));
  assert.equal(roster.nameOf(bert.id), "lyon");
  assert.equal(roster.nameOf(anna.id), `lyon-${anna.id.slice(0, 32)}`);
  roster.remove(bert.id, now);
  assert.equal(
    roster.nameOf(bert.id),
    "lyon",
    "who is forgotten has its name while its certificate counts",
  );
  assert.equal(roster.nameOf(anna.id), `lyon-${anna.id.slice(0, 32)}`);
  taken(roster, recordOf(bert));
  judge.statements.add(society.sign(society.mesh, { kind: "removed", key: bert.id }).bytes, NOW);
  roster.remove(bert.id, now);
  assert.equal(roster.nameOf(anna.id), "lyon");
  assert.equal(roster.nameOf(bert.id), "");
});

Deno.test("the name of who lost a long one is a DNS label of 63 characters at most", () => {
  const long = `${"a".repeat(29)}-${"b".repeat(33)}`;
  const { roster } = setUp([{ name: long, since: NOW }, { name: long, since: NOW - 1 }]);
  taken(roster, recordOf(anna));
  taken(roster, recordOf(bert));
  assert.equal(roster.nameOf(anna.id), `${"a".repeat(29)}-${anna.id.slice(0, 32)}`);
});

Deno.test("a member is found by its name, address or key, or eight digits of the key", () => {
  const { roster } = setUp([{ name: "lyon" }, { name: "nice" }]);
  const member = taken(roster, recordOf(anna));
  taken(roster, recordOf(bert));
  const ip4 = roster.ip4(anna.id);
  assert.ok(ip4);
  const texts = [
    "lyon",
    anna.id,
    anna.id.slice(0, 8),
    formatAddress(ip4),
    formatAddress(member.ip6),
  ];
  for (const text of texts) {
    const found = roster.find(text);
    assert.ok(found.ok && found.value === member, text);
  }
  for (const text of [anna.id.slice(0, 7), "100.64.0.0", "osl", "::1", ""]) {
    const found = roster.find(text);
    assert.equal(
      found.ok ? "" : found.error,
      `${text}: no member has this name, key or address: \`shoal status\` lists them all`,
    );
  }
});

Deno.test("of a name that nobody has, the one member is named that it may have meant", () => {
  const { roster } = setUp([{ name: "lyon" }, { name: "lynx" }]);
  taken(roster, recordOf(anna));
  taken(roster, recordOf(bert));
  const errorOf = (text: string) => {
    const found = roster.find(text);
    return found.ok ? "" : found.error;
  };
  assert.match(errorOf("lyo"), /or address: did you mean 'lyon'\? `shoal status` lists them all$/);
  const unguessed = roster.find("lyo", false);
  assert.match(
    unguessed.ok ? "" : unguessed.error,
    /^lyo: no member has this name, key or address: `shoal status` lists them all$/,
  );
  assert.match(errorOf("llynx"), /did you mean 'lynx'\?/);
  for (const text of ["ly", "l", "", "oslo"]) assert.doesNotMatch(errorOf(text), /did you mean/);
});

Deno.test("a name that means two members names neither, and says by what to choose", () => {
  const { roster } = setUp([{ name: bert.id.slice(0, 8) }, { name: "nice" }]);
  taken(roster, recordOf(anna));
  taken(roster, recordOf(bert));
  const found = roster.find(bert.id.slice(0, 8));
  const keys = `${anna.id.slice(0, 16)}, ${bert.id.slice(0, 16)}`;
  assert.equal(
    found.ok ? "" : found.error,
    `${bert.id.slice(0, 8)}: 2 members match: say which key: ${keys}`,
  );
});

Deno.test("invariant 7: who loses an address has none, and nothing that a member signs moves another's", () => {
  const [mine, theirs] = clashing(anna, bert);
  const { judge, roster } = setUp([
    { ip4Counter: mine, since: NOW - 1 },
    { ip4Counter: theirs, since: NOW },
  ]);
  taken(roster, recordOf(anna));
  taken(roster, recordOf(bert));
  assert.ok(roster.ip4(anna.id));
  assert.equal(roster.ip4(bert.id), undefined);
  const address = roster.ip4(anna.id);
  assert.deepEqual(roster.movedIp4(), [{ address, before: undefined, after: anna.id }]);
  for (let count = 2; count < 5; count++) roster.accept(recordOf(bert, count), now);
  assert.equal(roster.ip4(bert.id), undefined);
  assert.deepEqual(roster.movedIp4(), []);
  roster.remove(anna.id, now);
  assert.equal(
    roster.ip4(bert.id),
    undefined,
    "who is forgotten has its address while its certificate counts",
  );
  judge.statements.add(society.sign(society.mesh, { kind: "removed", key: anna.id }).bytes, NOW);
  roster.reserve(anna.id, judge.judge(anna.id, NOW));
  assert.deepEqual(roster.ip4(bert.id), address);
  assert.deepEqual(roster.movedIp4(), [{ address, before: anna.id, after: bert.id }]);
});

Deno.test("a membership that changed moves the claims, and says so", () => {
  const { judge, roster } = setUp([{ name: "lyon" }]);
  const member = taken(roster, recordOf(anna));
  const judged = () => {
    const judgement = judge.judge(anna.id, NOW + 1);
    assert.ok(judgement.kind === "member");
    return judgement.membership;
  };
  assert.equal(roster.renew(member, judged()), false);
  const renewed = memberDraft(anna, { name: "nice" });
  judge.statements.add(society.sign(society.mesh, renewed, { at: NOW + 1 }).bytes, NOW + 1);
  assert.equal(roster.renew(member, judged()), true);
  assert.equal(roster.nameOf(anna.id), "nice");
  judge.statements.add(society.sign(society.mesh, adminDraft(anna, { name: "nice" })).bytes, NOW);
  assert.equal(roster.renew(member, judged()), true, "an admin's claim is a stronger one");
});

Deno.test("a free name has the lowest number from 2 on, and is a DNS label; one's own name is free", () => {
  const long = "a".repeat(63);
  const { roster } = setUp([{ name: "lyon" }, { name: "lyon-2" }, { name: long }]);
  for (const who of [anna, bert, carl]) taken(roster, recordOf(who));
  assert.equal(roster.freeName("paris", "x"), "paris");
  assert.equal(roster.freeName("lyon", "x"), "lyon-3");
  assert.equal(roster.freeName("lyon", anna.id), "lyon");
  assert.equal(roster.freeName(long, "x"), `${"a".repeat(61)}-2`);
});

Deno.test("where thousands were certified under one name the next one is found without counting them", () => {
  const names = ["lyon", ...Array.from({ length: 299 }, (_, i) => `lyon-${i + 2}`)];
  const { roster } = setUp(names.map((name) => ({ name })));
  const people = names.map((_, n) => society.person(2 + n));
  for (const who of people.slice(0, 255)) taken(roster, recordOf(who));
  assert.equal(roster.freeName("lyon", "ab".repeat(32)), "lyon-256");
  for (const who of people.slice(255)) taken(roster, recordOf(who));
  assert.equal(roster.freeName("lyon", "ab".repeat(32)), `lyon-${"ab".repeat(16)}`);
  assert.equal(roster.freeName(names[299] ?? "", people[299]?.id ?? ""), "lyon-300");
});

Deno.test("names and addresses of members without a certificate are free to be certified for others", () => {
  const { judge, roster } = setUp([]);
  judge.trust(anna.id, "lyon");
  taken(roster, recordOf(anna));
  assert.equal(roster.nameOf(anna.id), "lyon");
  assert.equal(roster.freeName("lyon", "x"), "lyon");
});

Deno.test("a free counter is the one before where that is free, else the lowest that is", () => {
  const [mine, theirs] = clashing(anna, bert);
  const { roster } = setUp([{ ip4Counter: mine }]);
  taken(roster, recordOf(anna));
  assert.equal(roster.freeCounter(anna.id, mine), mine);
  assert.equal(roster.freeCounter(bert.id, theirs + 1), theirs + 1);
  assert.equal(roster.freeCounter(bert.id), theirs === 0 ? 1 : 0);
  assert.equal(roster.freeCounter(bert.id, theirs), theirs === 0 ? 1 : 0);
});

Deno.test("a pool of 254 addresses gives all of them away, and says when it is full", () => {
  const small = new Signatories(crypto, 1, { address: Uint8Array.of(10, 77, 3, 0), length: 24 });
  const judge = new Judge(crypto, small.genesis);
  const roster = new Roster(crypto, judge);
  const come = (n: number) => {
    const who = small.person(n);
    const ip4Counter = roster.freeCounter(who.id);
    judge.statements.add(small.sign(small.mesh, memberDraft(who, { ip4Counter })).bytes, NOW);
    const judgement = judge.judge(who.id, NOW);
    assert.ok(judgement.kind === "member");
    roster.claim(judgement.membership);
    return roster.ip4(who.id);
  };
  const given = new Set<string>();
  for (let n = 0; n < 254; n++) {
    assert.ok(!roster.isPoolFull);
    const ip4 = come(100 + n);
    assert.ok(ip4);
    given.add(formatAddress(ip4));
  }
  assert.equal(given.size, 254);
  assert.ok(!given.has("10.77.3.0") && !given.has("10.77.3.255"));
  assert.ok(roster.isPoolFull);
  const everybody = Array.from({ length: 254 }, (_, n) => small.person(100 + n).id);
  const before = everybody.map((id) => roster.ip4(id)?.toHex());
  assert.equal(come(999), undefined, "there is none for it");
  assert.deepEqual(everybody.map((id) => roster.ip4(id)?.toHex()), before);
});

Deno.test("who is at a place: whoever was heard there, else who says so, at once; who left it, within a second", () => {
  const { roster } = setUp();
  const [place, other] = [parseEndpoint("192.0.2.7:51820"), parseEndpoint("192.0.2.8:51820")];
  assert.ok(place && other);
  assert.equal(roster.at(place, now), undefined);
  taken(roster, recordOf(anna, 1, { endpoints: [place] }));
  assert.equal(roster.at(place, now)?.id, anna.id, "a member of this moment");
  const bertsMember = taken(roster, recordOf(bert));
  assert.equal(roster.at(other, now), undefined);
  roster.heardAt(bertsMember, { endpoint: place, source: undefined, at: now.boot }, now);
  assert.equal(roster.at(place, now)?.id, bert.id, "what was heard says more");
  roster.accept(recordOf(anna, 2, { endpoints: [place, other] }), now);
  assert.equal(roster.at(place, now)?.id, bert.id, "and more than what is said later");
  assert.equal(roster.at(other, now)?.id, anna.id, "a newer record");
  taken(roster, recordOf(carl, 1, { endpoints: [other] }));
  assert.equal(roster.at(other, now)?.id, anna.id, "who said it first");
  roster.remove(bert.id, now);
  assert.equal(roster.at(place, now), undefined);
  const later = { ...now, boot: now.boot + 1_000 };
  assert.equal(roster.at(place, later)?.id, anna.id);
  // Nothing is asked for a long time: nothing is kept for it either, and the next question is right.
  const much = { ...later, boot: later.boot + 3_600_000 };
  const carls = roster.get(carl.id);
  assert.ok(carls);
  roster.heardAt(carls, { endpoint: other, source: undefined, at: much.boot }, much);
  assert.equal(roster.at(other, much)?.id, carl.id);
});

/** Counters by which two keys have one address. */
function clashing(a: typeof self, b: typeof self): [number, number] {
  assert.ok(a && b);
  const counters = new Map<string, number>();
  const addressOf = (who: typeof self & object, counter: number) =>
    formatAddress(ip4Of(crypto, meshId, who.signing.publicKey, counter));
  for (let counter = 0; counter < 8000; counter++) counters.set(addressOf(a, counter), counter);
  for (let counter = 0; counter < 8000; counter++) {
    const other = counters.get(addressOf(b, counter));
    if (other !== undefined) return [other, counter];
  }
  throw new Error("no clash: take other keys");
}
