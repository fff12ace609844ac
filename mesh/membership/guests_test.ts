import assert from "node:assert/strict";
import { toyCrypto as crypto } from "../sim/toy_crypto.ts";
import {
  adminDraft,
  DAY,
  guestDraft,
  memberDraft,
  NOW,
  Signatories,
  tokenDraft,
} from "../sim/signatories.ts";
import { endorse, requestAdmission } from "./admission.ts";
import { Guests, GUESTS_PER_HOST } from "./guests.ts";
import { CLOCK_SKEW, Judge } from "./judge.ts";
import type { Identity } from "./identity.ts";
import { guestClaim, Roster } from "./roster.ts";
import type { Statement } from "./statement.ts";

const society = new Signatories(crypto);
const { mesh } = society;
const [anna, bert, carl, dora] = [1, 2, 3, 4].map((n) => society.person(n)) as [
  Identity,
  Identity,
  Identity,
  Identity,
];

/** A device: its key is any 32 bytes. */
function device(n: number) {
  return { id: crypto.blake2s(new Uint8Array([n & 255, n >> 8])).toHex() };
}

/** Anna is an admin, Bert a member. */
function set(...more: readonly Statement[]) {
  const judge = new Judge(crypto, society.genesis);
  const roster = new Roster(crypto, judge);
  const guests = new Guests(crypto, judge, roster);
  const add = (...statements: readonly Statement[]) => {
    for (const { bytes } of statements) judge.statements.add(bytes, NOW);
  };
  add(
    society.sign(mesh, adminDraft(anna, { name: "anna" })),
    society.sign(anna, memberDraft(bert, { name: "bert" })),
    ...more,
  );
  const names = (now = NOW) => {
    guests.review(now);
    return Array.from(guests.all(), (guest) => guests.nameOf(guest)).sort();
  };
  return { judge, roster, guests, add, names };
}

Deno.test("an admin's word makes a guest, of itself or of another member; nobody else's does", () => {
  const phone = guestDraft(device(1), anna, { name: "phone" });
  const tv = guestDraft(device(2), bert, { name: "tv" });
  const { judge, names } = set(society.sign(anna, phone), society.sign(mesh, tv));
  assert.deepEqual(names(), ["phone", "tv"]);
  for (const liar of [bert, carl]) {
    const draft = guestDraft(device(3), bert, { name: "liar" });
    const added = judge.statements.add(society.sign(liar, draft).bytes, NOW);
    assert.deepEqual(added, { kind: "refused", why: "unentitled" });
  }
  assert.deepEqual(names(), ["phone", "tv"]);
});

Deno.test("a guest is no member, whatever its key, and its end is not the end of a member", () => {
  const { judge, names, add } = set(
    society.sign(anna, guestDraft(carl, anna, { name: "carl" })),
    society.sign(anna, guestDraft(bert, anna, { name: "other" })),
  );
  assert.deepEqual(names(), ["carl", "other"]);
  assert.equal(judge.judge(carl.id, NOW).kind, "refused");
  assert.equal(judge.isDoor(carl.id, NOW), false);
  add(society.sign(anna, { kind: "withdrawn", key: bert.id }));
  assert.deepEqual(names(), ["carl"]);
  assert.equal(judge.judge(bert.id, NOW).kind, "member");
  add(society.sign(anna, { kind: "removed", key: carl.id }));
  assert.deepEqual(names(), ["carl"], "nor the other way round");
});

Deno.test("whom a token has let in, and whom one node trusts, has no guests", () => {
  const token = society.person(9);
  const { judge, names, add } = set(
    society.sign(anna, tokenDraft(token, [anna])),
    society.sign(anna, guestDraft(device(1), carl)),
    society.sign(anna, guestDraft(device(2), dora)),
  );
  const { meshId } = judge;
  const asked = requestAdmission(crypto, meshId, token.signing, { subject: carl.id, name: "carl" });
  const admission = endorse(crypto, meshId, asked, anna.signing, NOW);
  assert.equal(judge.admit(admission, NOW).kind, "member");
  judge.trust(dora.id, "dora");
  assert.deepEqual(names(), []);
  add(society.sign(anna, memberDraft(carl)));
  assert.equal(names().length, 1);
});

Deno.test("a guest ends with its time, with its host, with its signer's office, and by a withdrawal", () => {
  const until = NOW + DAY;
  const phone = society.sign(anna, guestDraft(device(1), bert, { name: "phone", until }));
  const { names } = set(phone);
  assert.deepEqual(names(until + CLOCK_SKEW), ["phone"]);
  assert.deepEqual(names(until + CLOCK_SKEW + 1), []);
  assert.deepEqual(names(NOW - CLOCK_SKEW), ["phone"]);
  assert.deepEqual(names(NOW - CLOCK_SKEW - 1), [], "signed in the future");
  const ends: Statement[] = [
    society.sign(anna, { kind: "removed", key: bert.id }),
    society.sign(bert, { kind: "left" }),
    society.sign(mesh, { kind: "demoted", key: anna.id }),
    society.sign(mesh, { kind: "withdrawn", key: device(1).id }),
  ];
  for (const end of ends) {
    const { names, add, guests } = set(phone);
    assert.deepEqual(names(), ["phone"]);
    add(end);
    const { went } = guests.review(NOW);
    assert.deepEqual(went.map(({ key }) => key), [device(1).id], end.kind);
    assert.deepEqual(names(), []);
  }
});

Deno.test("of several certificates of a guest the one signed last says its host and its time", () => {
  const first = society.sign(anna, guestDraft(device(1), anna, { name: "phone" }), { at: NOW - 5 });
  const last = society.sign(anna, guestDraft(device(1), bert, { name: "phone" }), { at: NOW - 1 });
  for (const order of [[first, last], [last, first]]) {
    const { guests, names } = set(...order);
    assert.deepEqual(names(), ["phone"]);
    assert.equal(guests.get(device(1).id)?.host, bert.id);
  }
});

Deno.test(`of the guests of one host the ${GUESTS_PER_HOST} that were certified first count, in whatever order they come`, () => {
  const all = Array.from(
    { length: GUESTS_PER_HOST + 3 },
    (_, n) => society.sign(anna, guestDraft(device(n), bert, { name: `g${n}`, since: NOW + n })),
  );
  for (const order of [all, all.toReversed()]) {
    const { guests, names } = set(...order);
    assert.equal(names().length, GUESTS_PER_HOST);
    for (const n of [0, GUESTS_PER_HOST - 1]) assert.ok(names().includes(`g${n}`));
    for (const n of [0, 1, 2]) assert.ok(!names().includes(`g${GUESTS_PER_HOST + n}`));
    assert.deepEqual([...guests.surplus], [[bert.id, 3]]);
  }
});

Deno.test("item 3: guests that another admin dates back have no place of those that the host certified itself", () => {
  const own = Array.from(
    { length: 2 },
    (_, n) => society.sign(anna, guestDraft(device(n), anna, { name: `own${n}`, since: NOW })),
  );
  const others = Array.from(
    { length: GUESTS_PER_HOST + 3 },
    (_, n) => society.sign(dora, guestDraft(device(100 + n), anna, { name: `g${n}`, since: n })),
  );
  // Said anew by the other admin, and last, it is the host's own all the same.
  const anew = society.sign(dora, guestDraft(device(1), anna, { name: "own1", since: NOW }), {
    at: NOW + 1,
  });
  const all = [
    society.sign(mesh, adminDraft(dora, { name: "dora" })),
    ...own,
    anew,
    ...others,
  ];
  const [office, ...rest] = all;
  assert.ok(office);
  for (const order of [rest, rest.toReversed()]) {
    const { guests, names } = set(office, ...order);
    assert.equal(names().length, GUESTS_PER_HOST);
    for (const name of ["own0", "own1"]) assert.ok(names().includes(name), name);
    assert.deepEqual([...guests.surplus], [[anna.id, 5]]);
  }
});

Deno.test("invariant 7: a certified member comes before a guest of an earlier time, in name and address", () => {
  const { roster, guests, names } = set(
    society.sign(anna, guestDraft(device(1), anna, { name: "rome", since: NOW - 1_000 })),
  );
  assert.deepEqual(names(), ["rome"]);
  const [guest] = guests.all();
  assert.ok(guest);
  const ip4 = guests.ip4(guest);
  assert.ok(ip4);
  const member = {
    id: carl.id,
    standing: "certified",
    name: "rome",
    groups: [],
    relay: false,
    ip4Counter: 0,
    since: NOW,
    until: Infinity,
    by: anna.id,
    token: undefined,
  } as const;
  roster.claim(member);
  assert.match(guests.nameOf(guest), /^rome-[0-9a-f]{32}$/);
  assert.equal(roster.nameOf(carl.id), "rome");
  roster.claim({ ...member, standing: "provisional" });
  assert.equal(guests.nameOf(guest), "rome", "but not whom a token has let in");
  assert.deepEqual(guests.ip4(guest), ip4);
});

Deno.test("invariant 7: no guest has the name of somebody else by a key that begins like theirs", () => {
  const { roster } = set();
  // Anna has her name as an admin: Bert, who is certified for it too, is called by his key as well.
  roster.claim({
    id: anna.id,
    standing: "admin",
    name: "anna",
    groups: [],
    relay: false,
    ip4Counter: 0,
    since: NOW,
    until: Infinity,
    by: undefined,
    token: undefined,
  });
  const loser = { name: "anna", groups: [], relay: false, ip4Counter: 0, since: NOW };
  roster.claim({
    ...loser,
    id: bert.id,
    standing: "certified",
    until: 0,
    by: "",
    token: undefined,
  });
  assert.equal(roster.nameOf(bert.id), `anna-${bert.id.slice(0, 32)}`);
  for (const end of ["11", "22"]) {
    roster.claimGuest({ ...loser, key: bert.id.slice(0, 32) + end.repeat(16) });
  }
  const claims = [
    bert.id,
    ...["11", "22"].map((end) => guestClaim(bert.id.slice(0, 32) + end.repeat(16))),
  ];
  const called = claims.map((id) => roster.nameOf(id));
  assert.equal(new Set(called).size, 3, called.join());
  for (const name of called) assert.match(name, /^anna-[0-9a-f]{32}$/);
});
