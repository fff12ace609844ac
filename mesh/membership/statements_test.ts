import assert from "node:assert/strict";
import fc from "fast-check";
import { nobleCrypto } from "../noble_crypto.ts";
import { flipped } from "../sim/forgery.ts";
import { adminDraft, DAY, memberDraft, NOW, Signatories, tokenDraft } from "../sim/signatories.ts";
import { toyCrypto } from "../sim/toy_crypto.ts";
import { mirrorOf } from "./identity.ts";
import { NUMBER_BURST, NumberPace } from "./number_pace.ts";
import { type Draft, NUMBER_MAX, type Statement } from "./statement.ts";
import {
  type Added,
  ADMINS_ROOM,
  ENDED_KEPT,
  FAREWELLS_ROOM,
  OUTRANKED_MAX,
  PAIRS_SHOWN,
  Statements,
  TOKEN_GRACE,
} from "./statements.ts";

/** A mesh with two admins, and people. */
function setUp() {
  const society = new Signatories(toyCrypto);
  const { mesh, recovery } = society;
  const statements = new Statements(toyCrypto, society.genesis);
  const add = (statement: Statement, now = NOW) => statements.add(statement.bytes, now);
  /** Signs and takes in. */
  const say = (...signed: Parameters<Signatories["sign"]>): Statement => {
    const statement = society.sign(...signed);
    const added = add(statement);
    assert.ok(added.kind === "new", added.kind === "refused" ? added.why : added.kind);
    return statement;
  };
  const [anna, bert] = [society.person(1), society.person(2)];
  const [carl, dora, token] = [society.person(3), society.person(4), society.person(5)];
  say(mesh, adminDraft(anna));
  say(mesh, adminDraft(bert));
  return { society, statements, add, say, mesh, recovery, anna, bert, carl, dora, token };
}

function why(added: Added): string {
  return added.kind === "refused" ? added.why : added.kind;
}

function hashes(statements: Iterable<Statement>): string[] {
  return Array.from(statements, ({ hash }) => hash).sort();
}

/** So many keys in the order in which a token counts them when they are of one second. */
function inOrder<T extends { readonly id: string }>(people: readonly T[]): T[] {
  return people.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

// ---- The mesh key -----------------------------------------------------------------------------

Deno.test("the mesh key is that of the successor with the highest number, in whatever order they come", () => {
  const { society, recovery, mesh, carl, dora } = setUp();
  const first = society.sign(recovery, { kind: "successor", key: carl.id }, { number: 1 });
  const second = society.sign(recovery, { kind: "successor", key: dora.id }, { number: 2 });
  for (const order of [[first, second], [second, first]]) {
    const statements = new Statements(toyCrypto, society.genesis);
    assert.equal(statements.meshKey, mesh.id);
    for (const { bytes } of order) statements.add(bytes, NOW);
    assert.equal(statements.meshKey, dora.id);
    assert.equal(statements.successor, statements.get(second.hash)?.statement);
    assert.equal(statements.get(first.hash), undefined);
    assert.equal(statements.pairCount, 0, "a later number is no misuse");
  }
});

Deno.test("of two successors with one number the lower hash counts, and the pair is shown", () => {
  const { society, recovery, carl, dora } = setUp();
  const both = [carl, dora].map(({ id: key }) =>
    society.sign(recovery, { kind: "successor", key }, { number: 7 })
  );
  const [lower] = both.toSorted((a, b) => (a.hash < b.hash ? -1 : 1));
  for (const order of [both, both.toReversed()]) {
    const statements = new Statements(toyCrypto, society.genesis);
    for (const { bytes } of order) statements.add(bytes, NOW);
    assert.equal(statements.meshKey, lower?.key);
    assert.deepEqual([...statements.pairs()].map(({ number }) => number), [7]);
  }
});

Deno.test("invariant 5: only the recovery key names a successor, the mesh key cannot", () => {
  const { society, add, mesh, anna, carl } = setUp();
  for (const by of [mesh, anna, carl]) {
    const named = society.sign(by, { kind: "successor", key: carl.id }, { number: 1 });
    assert.equal(why(add(named)), "unentitled");
  }
});

Deno.test("what an older mesh key has signed does not count, be it known before or after", () => {
  const { society, statements, add, say, mesh, recovery, anna, carl, dora } = setUp();
  say(anna, memberDraft(carl));
  const next = society.person(9);
  const added = add(society.sign(recovery, { kind: "successor", key: next.id }, { number: 1 }));
  assert.ok(added.kind === "new");
  assert.equal(statements.isAdmin(anna.id), false);
  assert.equal(statements.certificate(carl.id), undefined);
  assert.deepEqual(
    hashes(added.lost),
    hashes([mesh, anna].flatMap(({ id }) => [...statements.bySigner(id)])),
  );
  assert.equal(why(add(society.sign(mesh, adminDraft(dora)))), "unentitled");
  say(next, adminDraft(dora));
  assert.deepEqual([...statements.admins()], [dora.id]);
});

Deno.test("a new mesh key that makes an admin anew brings back what that admin has signed", () => {
  const { society, statements, add, say, recovery, anna, carl } = setUp();
  const member = say(anna, memberDraft(carl));
  const next = society.person(9);
  say(recovery, { kind: "successor", key: next.id }, { number: 1 });
  const added = add(society.sign(next, adminDraft(anna)));
  assert.ok(added.kind === "new");
  assert.deepEqual(hashes(added.gained), [member.hash]);
  assert.ok(statements.certificate(carl.id));
});

Deno.test("offices of the mesh keys before the last one are forgotten", () => {
  const { society, statements, say, mesh, recovery } = setUp();
  assert.equal([...statements.bySigner(mesh.id)].length, 2);
  const [second, third] = [society.person(8), society.person(9)];
  say(recovery, { kind: "successor", key: second.id }, { number: 1 });
  assert.equal([...statements.bySigner(mesh.id)].length, 2, "the last one's are void and kept");
  say(recovery, { kind: "successor", key: third.id }, { number: 2 });
  assert.equal([...statements.bySigner(mesh.id)].length, 0);
});

// ---- Offices ----------------------------------------------------------------------------------

Deno.test("invariants 1 and 3: the mesh key alone makes and unmakes admins", () => {
  const { society, statements, add, anna, bert, carl } = setUp();
  for (const by of [anna, carl]) {
    assert.equal(why(add(society.sign(by, adminDraft(carl)))), "unentitled");
    assert.equal(why(add(society.sign(by, { kind: "demoted", key: bert.id }))), "unentitled");
  }
  assert.deepEqual([...statements.admins()].sort(), [anna.id, bert.id].sort());
});

Deno.test("invariant 3: unmaking a key is final: no later statement makes it an admin again", () => {
  const { society, statements, add, say, mesh, anna } = setUp();
  say(mesh, { kind: "demoted", key: anna.id });
  assert.equal(statements.isAdmin(anna.id), false);
  add(society.sign(mesh, adminDraft(anna), { at: NOW + DAY }));
  assert.equal(statements.isAdmin(anna.id), false);
  assert.ok(statements.hadOffice(anna.id));
  assert.equal(statements.certificate(anna.id), undefined, "an office is no membership");
});

Deno.test("a demotion that comes before the office ends it all the same", () => {
  const { society, statements, say, mesh, carl } = setUp();
  say(mesh, { kind: "demoted", key: carl.id });
  const added = statements.add(society.sign(mesh, adminDraft(carl)).bytes, NOW);
  assert.equal(added.kind, "new");
  assert.equal(statements.isAdmin(carl.id), false);
});

Deno.test("with an office what its holder has signed ends, and what a demoted admin signs is not believed", () => {
  const { society, statements, add, say, mesh, anna, bert, carl, dora, token } = setUp();
  const theirs = [
    say(anna, memberDraft(carl)),
    say(anna, { kind: "removed", key: dora.id }),
    say(anna, tokenDraft(token, [anna])),
    say(anna, { kind: "withdrawn", key: token.id }),
  ];
  assert.ok(statements.isRemoved(dora.id) && statements.isWithdrawn(token.id));
  const added = add(society.sign(mesh, { kind: "demoted", key: anna.id }));
  assert.ok(added.kind === "new");
  assert.deepEqual(hashes(added.lost), hashes(theirs));
  assert.equal(statements.certificate(carl.id), undefined);
  assert.ok(!statements.isRemoved(dora.id) && !statements.isWithdrawn(token.id));
  assert.equal(statements.token(token.id), undefined);
  assert.equal(why(add(society.sign(anna, memberDraft(carl)))), "unentitled");
  const office = [...statements.about(anna.id)].filter(({ kind }) => kind === "admin");
  const listed = theirs.filter(({ kind }) => kind === "member" || kind === "removed");
  const all = hashes([...office, ...listed]);
  assert.deepEqual(hashes(statements.void()), all, "a person settles them");
  say(bert, memberDraft(carl));
  assert.equal(statements.certificate(carl.id)?.signer, bert.id);
});

Deno.test("members, removals, invites and their ends count from the mesh key or an admin only", () => {
  const { society, add, mesh, anna, carl, dora, token } = setUp();
  const drafts: Draft[] = [
    memberDraft(dora),
    { kind: "removed", key: dora.id },
    tokenDraft(token, [anna]),
    { kind: "withdrawn", key: token.id },
  ];
  for (const draft of drafts) {
    assert.equal(why(add(society.sign(carl, draft))), "unentitled", draft.kind);
    for (const by of [anna, mesh]) assert.equal(why(add(society.sign(by, draft))), "new");
  }
});

Deno.test("invariant 3: an admin's removal never touches an admin, nor who has been one", () => {
  const { statements, say, mesh, anna, bert } = setUp();
  say(anna, { kind: "removed", key: bert.id });
  assert.equal(statements.isRemoved(bert.id), false);
  say(mesh, { kind: "demoted", key: bert.id });
  say(mesh, memberDraft(bert));
  assert.equal(statements.isRemoved(bert.id), false, "it does not wait for the end of the office");
  assert.deepEqual(statements.removals(bert.id), []);
});

Deno.test("the mesh key's own removal of an admin has effect from the end of its office on", () => {
  const { statements, say, mesh, bert } = setUp();
  const removal = say(mesh, { kind: "removed", key: bert.id });
  assert.equal(statements.isRemoved(bert.id), false);
  assert.deepEqual(hashes(statements.removals(bert.id)), [removal.hash]);
  say(mesh, { kind: "demoted", key: bert.id });
  assert.ok(statements.isRemoved(bert.id));
});

Deno.test("the end of an invite removes nobody who has the same key", () => {
  const { statements, say, anna, carl } = setUp();
  say(anna, memberDraft(carl));
  say(anna, tokenDraft(carl, [anna]));
  say(anna, { kind: "withdrawn", key: carl.id });
  assert.ok(statements.isWithdrawn(carl.id));
  assert.equal(statements.isRemoved(carl.id), false);
  assert.ok(statements.certificate(carl.id));
});

// ---- Certificates -----------------------------------------------------------------------------

Deno.test("of several certificates of a key the one signed last counts, then the lower hash", () => {
  const { society, statements, add, anna, bert, carl } = setUp();
  const early = society.sign(anna, memberDraft(carl, { name: "early" }), { at: NOW - 10 });
  const late = [anna, bert].map((by) => society.sign(by, memberDraft(carl), { at: NOW }));
  const [lower, higher] = late.toSorted((a, b) => (a.hash < b.hash ? -1 : 1));
  assert.ok(lower && higher);
  add(early);
  assert.equal(statements.certificate(carl.id)?.hash, early.hash);
  add(higher);
  assert.equal(statements.certificate(carl.id)?.hash, higher.hash);
  add(lower);
  assert.equal(statements.certificate(carl.id)?.hash, lower.hash);
  assert.equal(why(add(early)), "known");
});

Deno.test("a certificate signed in the future is passed over by who asks for the present", () => {
  const { society, statements, add, anna, bert, carl } = setUp();
  const now = society.sign(anna, memberDraft(carl));
  add(now);
  add(society.sign(bert, memberDraft(carl), { at: NOW + DAY }));
  assert.equal(statements.certificate(carl.id, NOW)?.hash, now.hash);
  assert.equal(statements.certificate(carl.id)?.at, NOW + DAY);
});

Deno.test("an admin has its certificate from the mesh key, whatever admins sign for it", () => {
  const { society, statements, add, anna, bert } = setUp();
  add(society.sign(anna, memberDraft(bert, { name: "nobody" }), { at: NOW + 1 }));
  assert.equal(statements.certificate(bert.id)?.kind, "admin");
});

Deno.test("the invite that was signed last stands for its key", () => {
  const { society, statements, add, anna, bert, token } = setUp();
  add(society.sign(anna, tokenDraft(token, [anna], { uses: 1 })));
  add(society.sign(bert, tokenDraft(token, [bert], { uses: 2 }), { at: NOW + 1 }));
  assert.equal(statements.token(token.id)?.uses, 2);
});

// ---- Uses of a token --------------------------------------------------------------------------

Deno.test("invariant 6: certificates of one token count for as many keys as it admits, the earliest first", () => {
  const { society, statements, add, anna, bert, token } = setUp();
  const people = inOrder([11, 12, 13, 14].map((n) => society.person(n)));
  const [first, second, third, fourth] = people;
  assert.ok(first && second && third && fourth);
  const use = { key: token.id, uses: 2 };
  const certify = (who: typeof first, since: number, by = anna) =>
    add(society.sign(by, memberDraft(who, { since, token: use })));
  certify(fourth, NOW - 5);
  certify(third, NOW);
  certify(second, NOW, bert);
  assert.deepEqual(statements.certifiedBy(token.id), [fourth.id, second.id, third.id]);
  const members = () => people.filter(({ id }) => statements.certificate(id)).map(({ id }) => id);
  assert.deepEqual(members(), [second.id, fourth.id], "earlier time, then lower key");
  assert.ok(statements.isSurplus(third.id) && !statements.isSurplus(second.id));
  assert.ok(!statements.isSurplus(first.id), "nobody has certified it");
  const over = { token: token.id, uses: 2, taken: [fourth.id, second.id], surplus: [third.id] };
  assert.deepEqual([...statements.overcertified()], [over]);
  certify(first, NOW - 9);
  assert.deepEqual(members(), [first.id, fourth.id]);
  add(society.sign(anna, memberDraft(third)));
  assert.ok(statements.certificate(third.id), "a person's word needs no token");
  assert.deepEqual([...statements.overcertified()].map(({ surplus }) => surplus), [[second.id]]);
  add(society.sign(anna, { kind: "removed", key: second.id }));
  assert.deepEqual([...statements.overcertified()], [], "a person has settled it");
});

Deno.test("one key that two admins certified on sight is one use, from the earlier time on", () => {
  const { society, statements, add, anna, bert, token } = setUp();
  const [one, two] = inOrder([11, 12].map((n) => society.person(n)));
  assert.ok(one && two);
  const use = { key: token.id, uses: 2 };
  add(society.sign(anna, memberDraft(two, { since: NOW - 1, token: use })));
  add(society.sign(bert, memberDraft(two, { since: NOW, token: use })));
  add(society.sign(anna, memberDraft(one, { since: NOW, token: use })));
  assert.deepEqual(statements.certifiedBy(token.id), [two.id, one.id]);
  assert.ok(statements.certificate(one.id) && statements.certificate(two.id));
});

Deno.test("each certificate says itself how many its token admits: what an admin adds to one cuts off no other", () => {
  const { society, statements, add, anna, bert, token } = setUp();
  const [one, two, three] = inOrder([11, 12, 13].map((n) => society.person(n)));
  assert.ok(one && two && three);
  add(society.sign(anna, memberDraft(one, { token: { key: token.id, uses: 3 } })));
  add(society.sign(bert, memberDraft(two, { token: { key: token.id, uses: 1 } })));
  add(society.sign(anna, memberDraft(three, { token: { key: token.id, uses: 3 } })));
  const members = [one, two, three].map(({ id }) => statements.certificate(id) !== undefined);
  assert.deepEqual(members, [true, false, true]);
});

Deno.test("whom others have certified stays when the maker of the token loses its office", () => {
  const { statements, say, mesh, anna, bert, carl, token } = setUp();
  say(anna, tokenDraft(token, [anna]));
  say(bert, memberDraft(carl, { token: { key: token.id, uses: 1 } }));
  say(mesh, { kind: "demoted", key: anna.id });
  assert.equal(statements.token(token.id), undefined);
  assert.ok(statements.certificate(carl.id));
});

Deno.test("a use by an admin that lost its office takes no place from those that others certify", () => {
  const { statements, say, mesh, anna, bert, carl, dora, token } = setUp();
  const use = { key: token.id, uses: 1 };
  say(anna, memberDraft(carl, { since: NOW - 9, token: use }));
  say(bert, memberDraft(dora, { since: NOW, token: use }));
  assert.equal(statements.certificate(dora.id), undefined);
  say(mesh, { kind: "demoted", key: anna.id });
  assert.ok(statements.certificate(dora.id));
  assert.deepEqual(statements.certifiedBy(token.id), [dora.id]);
});

// ---- One number twice -------------------------------------------------------------------------

Deno.test("invariant 13: of two statements with one number the one that ends more counts, then the lower hash", () => {
  const { society, mesh, anna, carl, dora, token } = setUp();
  const number = 40;
  const byMeshKey: Draft[][] = [
    [tokenDraft(token, [anna])],
    [memberDraft(carl)],
    [adminDraft(carl)],
    [{ kind: "withdrawn", key: token.id }],
    [{ kind: "removed", key: dora.id }],
    [{ kind: "demoted", key: anna.id }],
  ];
  const all = byMeshKey.flat().map((draft) => society.sign(mesh, draft, { number }));
  const rank = ({ kind }: Statement) => ["withdrawn", "removed", "demoted"].indexOf(kind);
  for (const a of all) {
    for (const b of all) {
      if (a === b) continue;
      const statements = new Statements(toyCrypto, society.genesis);
      statements.add(a.bytes, NOW);
      const isStronger = rank(a) !== rank(b) ? rank(b) > rank(a) : b.hash < a.hash;
      const added = statements.add(b.bytes, NOW);
      const what = `${b.kind} after ${a.kind}`;
      assert.equal(why(added), isStronger ? "new" : "outranked", what);
      if (added.kind === "new") assert.equal(added.replaced?.hash, a.hash, what);
      assert.deepEqual([...statements.all()].map(({ statement }) => statement.hash), [
        isStronger ? b.hash : a.hash,
      ], what);
    }
  }
});

/** So many statements with one number, each of which takes it from the one before. */
function descending(
  society: Signatories,
  signer: ReturnType<Signatories["person"]>,
  count: number,
  number: number,
): Statement[] {
  const all = Array.from({ length: count }, (_, i) => {
    const key = i.toString(16).padStart(64, "0");
    return society.sign(signer, { kind: "removed", key }, { number });
  });
  return all.toSorted((a, b) => a.hash < b.hash ? 1 : -1);
}

Deno.test("invariant 13: statements with one number, the highest hash first, are news at a pace, and the last one wins", () => {
  const { society, statements, anna } = setUp();
  const made = descending(society, anna, NUMBER_BURST + 100, 40);
  let news = 0;
  for (const { bytes } of made) if (why(statements.add(bytes, NOW)) === "new") news++;
  assert.equal(news, 1 + NUMBER_BURST, "the first has no rival");
  const last = made.at(-1);
  assert.ok(last);
  assert.equal(why(statements.add(last.bytes, NOW)), "tooFast");
  assert.equal(statements.refused, 100, "99 of them, and the last one again");
  // A comparison with a member that has it brings it again.
  assert.equal(why(statements.add(last.bytes, NOW + 1)), "new");
  assert.deepEqual([...statements.bySigner(anna.id)], [last]);
});

Deno.test("what ends something takes a number however fast its signer's other statements come", () => {
  const { society, statements, anna, carl, token } = setUp();
  for (const { bytes } of descending(society, anna, NUMBER_BURST + 100, 40)) {
    statements.add(bytes, NOW);
  }
  const hidden = society.sign(anna, tokenDraft(token, [anna]), { number: 41 });
  statements.add(hidden.bytes, NOW);
  const end = society.sign(anna, { kind: "removed", key: carl.id }, { number: 41 });
  assert.equal(why(statements.add(end.bytes, NOW)), "new");
});

Deno.test("a clock that is set back does not keep numbers from being taken", () => {
  const pace = new NumberPace();
  for (let i = 0; i < NUMBER_BURST; i++) assert.ok(pace.take("anna", NOW));
  assert.ok(!pace.take("anna", NOW));
  assert.ok(!pace.take("anna", NOW - 86_400));
  assert.ok(pace.take("anna", NOW - 86_400 + 1));
  assert.ok(pace.take("carl", NOW), "each signer has its own pace");
});

Deno.test("two statements with one number are shown as a pair, whichever comes first", () => {
  const { society, mesh, carl, dora } = setUp();
  const pair = [carl, dora].map((who) => society.sign(mesh, memberDraft(who), { number: 9 }));
  for (const order of [pair, pair.toReversed()]) {
    const statements = new Statements(toyCrypto, society.genesis);
    for (const { bytes } of order) statements.add(bytes, NOW);
    const [shown, ...others] = statements.pairs();
    assert.deepEqual(others, []);
    assert.deepEqual({ ...shown, hashes: [...shown?.hashes ?? []].sort() }, {
      signer: mesh.id,
      number: 9,
      hashes: hashes(pair),
    });
  }
});

Deno.test("what lost its number to another is remembered, so that a person can have it signed anew", () => {
  const { society, statements, add, say, anna, carl, dora } = setUp();
  const member = say(anna, memberDraft(carl));
  const { number } = member;
  say(anna, { kind: "removed", key: dora.id }, { number });
  assert.equal(statements.certificate(carl.id), undefined);
  assert.deepEqual([...statements.outrankedOf(anna.id)].map(({ statement }) => statement), [
    member,
  ]);
  assert.deepEqual([...statements.outrankedOf(carl.id)], []);
  assert.equal(why(add(society.sign(anna, memberDraft(carl), { number }))), "outranked");
});

Deno.test("16 pairs are shown and all are counted", () => {
  const { society, statements, add, anna, carl, dora } = setUp();
  for (let number = 10; number < 10 + PAIRS_SHOWN + 5; number++) {
    for (const who of [carl, dora]) add(society.sign(anna, memberDraft(who), { number }));
  }
  assert.equal([...statements.pairs()].length, PAIRS_SHOWN);
  assert.equal(statements.pairCount, PAIRS_SHOWN + 5);
});

Deno.test("pairs of a signer whose office has ended are settled, and make room for those of others", () => {
  const { society, mesh, statements, add, anna, bert, carl, dora } = setUp();
  for (let number = 10; number < 10 + PAIRS_SHOWN; number++) {
    for (const who of [carl, dora]) add(society.sign(anna, memberDraft(who), { number }));
  }
  const open = () => [...statements.pairs()].filter((one) => statements.isOpen(one));
  assert.equal(open().length, PAIRS_SHOWN);
  add(society.sign(mesh, { kind: "demoted", key: anna.id }));
  assert.equal(open().length, 0);
  add(society.sign(mesh, adminDraft(bert)));
  for (const who of [carl, dora]) add(society.sign(bert, memberDraft(who), { number: 9 }));
  assert.deepEqual(open().map(({ signer }) => signer), [bert.id]);
});

Deno.test("of those that lost one number the first that was heard of is remembered, in whatever order junk comes", () => {
  const { society, mesh, anna, carl } = setUp();
  const office = society.sign(mesh, adminDraft(anna));
  const all = [1, 2, 3, 4].map((at) => society.sign(anna, memberDraft(carl), { number: 7, at }));
  for (const honest of all) {
    const junk = all.filter((one) => one !== honest);
    for (const order of [junk, junk.toReversed()]) {
      const statements = new Statements(toyCrypto, society.genesis);
      for (const [i, one] of [office, honest, ...order].entries()) {
        statements.add(one.bytes, NOW + i);
      }
      assert.equal(statements.get(honest.hash)?.seen, NOW + 1);
      assert.equal(statements.outrankedCount, 1);
      // What a restart reads: of everything that is remembered, in any order, the same comes of it.
      const before = [...statements.all(), ...statements.outranked()];
      for (const saved of [before, before.toReversed()]) {
        const again = new Statements(toyCrypto, society.genesis);
        for (const { statement: { bytes }, seen } of saved) again.add(bytes, NOW + 99, { seen });
        assert.deepEqual(new Set(again.all()), new Set(statements.all()));
        assert.deepEqual([...again.outranked()], [...statements.outranked()]);
      }
    }
  }
});

Deno.test("what a thief hides of its own makes nothing forgotten that it hid of an admin's", () => {
  const { society, statements, add, say, anna, carl, dora } = setUp();
  const honest = say(anna, memberDraft(carl), { number: 1 });
  for (let number = 1; number <= 1_100; number++) {
    if (number > 1) add(society.sign(anna, memberDraft(dora), { number }));
    add(society.sign(anna, { kind: "removed", key: dora.id }, { number }));
  }
  assert.equal(statements.get(honest.hash)?.statement.hash, honest.hash);
  assert.equal(statements.outrankedCount, 1_100);
});

Deno.test("invariant 14: 65,536 statements that lost their number are remembered; of more those go, and are counted, that were heard of last", () => {
  assert.equal(OUTRANKED_MAX, 65_536);
  const { society, mesh, anna, carl } = setUp();
  const statements = new Statements(toyCrypto, society.genesis, 2);
  statements.add(society.sign(mesh, adminDraft(anna)).bytes, NOW);
  const lost: string[] = [];
  for (const number of [1, 2, 3]) {
    const member = society.sign(anna, memberDraft(carl), { number });
    lost.push(member.hash);
    // The last one was heard of long before, and loses its number when the thief has filled the room.
    statements.add(member.bytes, number === 3 ? NOW - DAY : NOW + number);
    const { bytes } = society.sign(anna, { kind: "removed", key: carl.id }, { number });
    statements.add(bytes, NOW + DAY);
  }
  const kept = Array.from(statements.outrankedOf(anna.id), ({ statement }) => statement.hash);
  assert.deepEqual(kept, [lost[0], lost[2]]);
  assert.equal(statements.refused, 1);
});

Deno.test("what lost its number is forgotten when it has ended long ago", () => {
  const { society, statements, add, anna, carl, dora } = setUp();
  const until = NOW + DAY;
  add(society.sign(anna, memberDraft(carl, { until }), { number: 7 }));
  add(society.sign(anna, { kind: "removed", key: dora.id }, { number: 7 }));
  statements.expire(until + ENDED_KEPT);
  assert.equal(statements.outrankedCount, 1);
  statements.expire(until + ENDED_KEPT + 1);
  assert.equal(statements.outrankedCount, 0);
  assert.deepEqual([...statements.outrankedOf(anna.id)], []);
});

// ---- Farewells --------------------------------------------------------------------------------

Deno.test("a farewell is final, and outlives the office of whoever certified its signer", () => {
  const { statements, say, mesh, anna, carl } = setUp();
  say(anna, memberDraft(carl));
  say(carl, { kind: "left" });
  assert.ok(statements.hasLeft(carl.id));
  say(mesh, memberDraft(carl), { at: NOW + 1 });
  say(mesh, { kind: "demoted", key: anna.id });
  assert.ok(statements.hasLeft(carl.id));
});

Deno.test("the farewell of an admin does not void what it has signed", () => {
  const { statements, say, anna, carl } = setUp();
  say(anna, memberDraft(carl));
  say(anna, { kind: "left" });
  assert.ok(statements.isAdmin(anna.id));
  assert.ok(statements.certificate(carl.id));
});

Deno.test("a farewell is taken from who is, or was, certified, or is a member here by other means", () => {
  const { society, statements, say, mesh, anna, carl, dora } = setUp();
  const { bytes } = society.sign(carl, { kind: "left" });
  assert.equal(why(statements.add(bytes, NOW)), "unentitled");
  assert.equal(why(statements.add(bytes, NOW, { isKnown: true })), "new");
  assert.ok(statements.hasLeft(carl.id));
  say(anna, memberDraft(dora));
  say(mesh, { kind: "demoted", key: anna.id });
  assert.equal(statements.certificate(dora.id), undefined);
  assert.equal(why(statements.add(society.sign(dora, { kind: "left" }).bytes, NOW)), "new");
});

Deno.test("invariant 13: a farewell that is said twice is known, whichever comes first, and no misuse of a key", () => {
  const { society, anna, carl, mesh } = setUp();
  const both = [NOW, NOW + 1].map((at) => society.sign(carl, { kind: "left" }, { at }));
  for (const [first, second] of [both, both.toReversed()]) {
    assert.ok(first && second);
    const statements = new Statements(toyCrypto, society.genesis);
    statements.add(society.sign(mesh, adminDraft(anna)).bytes, NOW);
    statements.add(society.sign(anna, memberDraft(carl)).bytes, NOW);
    assert.equal(why(statements.add(first.bytes, NOW)), "new");
    assert.equal(why(statements.add(second.bytes, NOW)), "known");
    assert.equal(statements.farewell(carl.id)?.hash, first.hash);
    assert.equal(statements.get(second.hash), undefined);
    assert.equal(statements.pairCount, 0);
  }
});

Deno.test("16,384 farewells are held; a further one is refused and counted", () => {
  const { society, statements } = setUp();
  const leave = (n: number) => {
    const { bytes } = society.sign(society.person(100 + n), { kind: "left" });
    return why(statements.add(bytes, NOW, { isKnown: true }));
  };
  for (let n = 0; n < FAREWELLS_ROOM; n++) assert.equal(leave(n), "new");
  assert.equal(leave(FAREWELLS_ROOM), "full");
  assert.equal(statements.refused, 1);
});

// ---- Bounds -----------------------------------------------------------------------------------

Deno.test("invariant 13: all admins together have 65,536 places, and the mesh key has room of its own", () => {
  const { society, statements, add, say, mesh, recovery, carl, dora, token } = setUp();
  const admins = [21, 22, 23, 24, 25].map((n) => society.person(n));
  for (const admin of admins) say(mesh, adminDraft(admin));
  const [first, second, , , last] = admins;
  assert.ok(first && second && last);
  const draft = { kind: "removed", key: carl.id } as const;
  const fill = (admin: typeof first, count: number) => {
    for (let number = 1; number <= count; number++) {
      assert.equal(add(society.sign(admin, draft, { number })).kind, "new");
    }
  };
  for (const admin of admins.slice(0, -1)) fill(admin, NUMBER_MAX - (admin === second ? 1 : 0));
  fill(last, 1);
  assert.equal(ADMINS_ROOM, 4 * NUMBER_MAX);
  const next = society.sign(last, draft, { number: 2 });
  assert.equal(why(add(next)), "full");
  assert.equal(statements.refused, 1);
  assert.equal(
    statements.roomOfAdmins,
    0,
    "so that the mesh key signs anew what a thief has signed",
  );
  assert.equal(why(add(society.sign(mesh, memberDraft(dora)))), "new");
  const again = society.sign(first, { kind: "withdrawn", key: token.id }, { number: 1 });
  assert.equal(why(add(again)), "outranked", "a number that is taken costs no room");
  say(mesh, { kind: "demoted", key: first.id });
  assert.equal(why(add(next)), "new");
  const left = [...statements.bySigner(first.id)].length;
  assert.equal(left, NUMBER_MAX - 1, "one that does not count has made room");
  const { size } = statements;
  say(recovery, { kind: "successor", key: second.id }, { number: 1 });
  say(second, adminDraft(last), { number: NUMBER_MAX });
  assert.equal(why(add(society.sign(last, draft, { number: 3 }))), "new");
  assert.equal(
    statements.size,
    size + 3,
    "what a key has signed takes no room of the admins when it becomes the mesh key",
  );
});

Deno.test("what has ended is kept for 30 days, an invite from the end of its grace on, and refused later", () => {
  const { society, statements, add, anna, carl, token } = setUp();
  const member = society.sign(anna, memberDraft(carl, { until: NOW }));
  const invite = society.sign(anna, tokenDraft(token, [anna], { until: NOW }));
  const removal = society.sign(anna, { kind: "removed", key: carl.id });
  for (const one of [member, invite, removal]) add(one);
  const [endOfMember, endOfInvite] = [NOW + ENDED_KEPT, NOW + TOKEN_GRACE + ENDED_KEPT];
  assert.deepEqual(statements.expire(endOfMember), []);
  assert.deepEqual(hashes(statements.expire(endOfMember + 1)), [member.hash]);
  assert.equal(statements.certificate(carl.id), undefined);
  assert.equal(why(add(member, endOfMember + 1)), "ended");
  assert.deepEqual(statements.expire(endOfInvite), []);
  assert.deepEqual(hashes(statements.expire(endOfInvite + 1)), [invite.hash]);
  assert.equal(why(add(invite, endOfInvite + 1)), "ended");
  assert.ok(statements.isRemoved(carl.id), "a removal has no end");
  assert.equal(why(add(member, endOfMember)), "new", "by a clock that is right again");
});

Deno.test("what this node has remembered over a restart is not over by the clock of that moment", () => {
  const { society, statements, anna, carl } = setUp();
  const { bytes } = society.sign(anna, memberDraft(carl, { until: NOW }));
  const decades = NOW + 20 * 365 * 86_400;
  assert.equal(why(statements.add(bytes, decades, { seen: NOW })), "new");
  assert.ok(statements.certificate(carl.id));
});

Deno.test("a node forgets its own certificate never: it shows it to those that have forgotten it", () => {
  const { society, statements, add, anna, carl, dora } = setUp();
  const [own, other] = [carl, dora].map((one) =>
    society.sign(anna, memberDraft(one, { until: NOW }))
  );
  for (const one of [own, other]) if (one) add(one);
  assert.deepEqual(hashes(statements.expire(NOW + ENDED_KEPT + 1, carl.id)), [other?.hash]);
  assert.equal(statements.certificate(carl.id)?.hash, own?.hash);
});

Deno.test("an expired use of a token frees nothing that is still looked up", () => {
  const { society, statements, add, anna, carl, dora, token } = setUp();
  const use = { key: token.id, uses: 1 };
  add(society.sign(anna, memberDraft(carl, { since: NOW - 1, until: NOW, token: use })));
  add(society.sign(anna, memberDraft(dora, { token: use })));
  assert.ok(statements.isSurplus(dora.id));
  statements.expire(NOW + ENDED_KEPT + 1);
  assert.deepEqual(statements.certifiedBy(token.id), [dora.id]);
  assert.deepEqual([...statements.about(carl.id)], []);
});

// ---- Taking in --------------------------------------------------------------------------------

Deno.test("a statement is believed by its signature only, and known when it comes again", () => {
  const society = new Signatories(nobleCrypto);
  const statements = new Statements(nobleCrypto, society.genesis);
  const { bytes } = society.sign(society.mesh, adminDraft(society.person(1)));
  const forged = flipped(bytes, 8 * bytes.length - 1);
  const ofAnother = society.sign(society.person(2), adminDraft(society.person(1))).bytes.slice();
  ofAnother.set(society.mesh.signing.publicKey, 1);
  for (const bad of [bytes.subarray(1), new Uint8Array(0)]) {
    assert.equal(why(statements.add(bad, NOW)), "malformed");
  }
  for (const bad of [forged, ofAnother]) assert.equal(why(statements.add(bad, NOW)), "forged");
  assert.equal(statements.size, 0);
  assert.equal(why(statements.add(bytes, NOW)), "new");
  assert.equal(why(statements.add(bytes, NOW)), "known");
  assert.equal(statements.size, 1);
});

Deno.test("a forged rival of a number shows no pair and costs the true one nothing", () => {
  const { statements, say, society, anna, carl, dora } = setUp();
  const member = say(anna, memberDraft(carl));
  const { number } = member;
  const rival = society.sign(anna, { kind: "removed", key: dora.id }, { number });
  assert.equal(
    why(statements.add(flipped(rival.bytes, 8 * rival.bytes.length - 1), NOW)),
    "forged",
  );
  assert.deepEqual([...statements.pairs()], []);
  assert.equal(statements.certificate(carl.id)?.hash, member.hash);
});

Deno.test("what was remembered is kept though its signer has no right now, and counts again with it", () => {
  const { society, statements, say, mesh, recovery, carl, dora } = setUp();
  const { bytes, hash } = society.sign(carl, memberDraft(dora));
  const seen = NOW - 99;
  assert.equal(why(statements.add(bytes, NOW)), "unentitled");
  assert.equal(why(statements.add(bytes, NOW, { seen })), "new");
  assert.equal(statements.get(hash)?.seen, seen);
  assert.equal(statements.certificate(dora.id), undefined);
  const office = society.sign(mesh, adminDraft(carl));
  const added = statements.add(office.bytes, NOW);
  assert.ok(added.kind === "new");
  assert.deepEqual(hashes(added.gained), [hash]);
  assert.ok(statements.certificate(dora.id));
  const usurper = society.sign(carl, { kind: "successor", key: carl.id }, { number: 1 });
  assert.equal(why(statements.add(usurper.bytes, NOW, { seen })), "unentitled");
  assert.equal(say(recovery, { kind: "successor", key: carl.id }, { number: 1 }).kind, "successor");
});

Deno.test("a proof tells somebody who knows the mesh's first keys alone what a certificate is worth", () => {
  const { society, statements, say, recovery, anna, carl, dora } = setUp();
  const ofAdmin = say(anna, memberDraft(carl));
  assert.deepEqual(statements.proofOf(ofAdmin).map(({ kind }) => kind), ["member", "admin"]);
  const next = society.person(9);
  say(recovery, { kind: "successor", key: next.id }, { number: 1 });
  say(next, adminDraft(anna));
  const ofMeshKey = say(next, memberDraft(dora));
  assert.deepEqual(statements.proofOf(ofMeshKey).map(({ kind }) => kind), ["member", "successor"]);
  const proof = statements.proofOf(ofAdmin);
  assert.deepEqual(proof.map(({ kind }) => kind), ["member", "admin", "successor"]);
  const newcomer = new Statements(toyCrypto, society.genesis);
  for (const { bytes } of proof.toReversed()) assert.equal(why(newcomer.add(bytes, NOW)), "new");
  assert.equal(newcomer.certificate(carl.id)?.hash, ofAdmin.hash);
});

Deno.test("the highest number of a signer is known", () => {
  const { society, statements, add, anna, carl } = setUp();
  assert.equal(statements.topNumber(carl.id), 0);
  for (const number of [7, 900, 8]) add(society.sign(anna, memberDraft(carl), { number }));
  assert.equal(statements.topNumber(anna.id), 900);
});

// ---- Order ------------------------------------------------------------------------------------

/** What anybody says, entitled or not: of few keys, so that they meet. */
const remark = fc.record({
  by: fc.nat(5),
  kind: fc.constantFrom("admin", "demoted", "member", "removed", "token", "withdrawn", "left"),
  about: fc.nat(5),
  number: fc.integer({ min: 1, max: 6 }),
  at: fc.nat(3),
  uses: fc.nat(2),
});

Deno.test("invariant 2: what counts follows from the set of statements, not from their order", () => {
  const society = new Signatories(toyCrypto);
  const [first, next] = [society.mesh, society.person(9)];
  const keys = [first, next, ...[1, 2, 3, 4].map((n) => society.person(n))];
  const people = keys.slice(2);
  const token = society.person(5);
  let successions = 0;
  const remarks = fc.array(remark, { minLength: 10, maxLength: 30 });
  fc.assert(
    fc.property(remarks, fc.boolean(), fc.infiniteStream(fc.nat()), (all, isLost, shuffle) => {
      const set = all.map((one) => {
        const [by = first, about = first] = [keys[one.by], people[one.about % 4]];
        const draft = draftOf(
          one.kind,
          about,
          one.uses ? { key: token.id, uses: one.uses } : undefined,
        );
        const number = one.kind === "left" ? 0 : one.number;
        return society.sign(by, draft, { number, at: NOW + one.at });
      });
      if (isLost) {
        set.push(
          society.sign(society.recovery, { kind: "successor", key: next.id }, { number: 1 }),
        );
        successions++;
      }
      const meaning = (order: readonly Statement[]) => {
        const statements = new Statements(toyCrypto, society.genesis);
        exchange(statements, order);
        return [...people, token].map(({ id }) => ({
          isAdmin: statements.isAdmin(id),
          certificate: statements.certificate(id)?.hash,
          isRemoved: statements.isRemoved(id),
          isSurplus: statements.isSurplus(id),
          isWithdrawn: statements.isWithdrawn(id),
          token: statements.token(id)?.hash,
        }));
      };
      const places = new Map(set.map((one) => [one, shuffle.next().value]));
      const other = set.toSorted((a, b) => (places.get(a) ?? 0) - (places.get(b) ?? 0));
      assert.deepEqual(meaning(other), meaning(set));
    }),
    { numRuns: 500 },
  );
  assert.ok(successions > 100);
});

function draftOf(
  kind: string,
  who: ReturnType<Signatories["person"]>,
  token: { readonly key: string; readonly uses: number } | undefined,
): Draft {
  switch (kind) {
    case "admin":
      return adminDraft(who);
    case "member":
      return memberDraft(who, { token });
    case "token":
      return tokenDraft(who, [who]);
    case "left":
      return { kind };
    default:
      return { kind: kind as "demoted" | "removed" | "withdrawn", key: who.id };
  }
}

/** Offers statements until nothing is new any more, as members do that talk to each other. */
function exchange(statements: Statements, set: readonly Statement[]): void {
  for (let rounds = 0, isNew = true; isNew; rounds++) {
    assert.ok(rounds <= set.length, "two statements take each other's place for ever");
    isNew = false;
    for (const { bytes } of set) isNew = statements.add(bytes, NOW).kind === "new" || isNew;
  }
}

// ---- Keys with one tunnel key -------------------------------------------------------------------

/** What statements say of two keys with one tunnel key, in each order in which they can come: which of the two is refused. */
function refusedMirror(
  of: (world: ReturnType<typeof setUp>, mirror: { id: string }) => readonly Statement[],
): string {
  const world = setUp();
  const { carl, society, mesh, anna } = world;
  const mirror = { id: mirrorOf(carl.id) };
  const said = [
    society.sign(mesh, adminDraft(anna, { since: NOW - 100 * DAY })),
    ...of(world, mirror),
  ];
  const answers = [said, said.toReversed()].map((order) => {
    const statements = new Statements(toyCrypto, society.genesis);
    for (let round = 0; round < 2; round++) for (const one of order) statements.add(one.bytes, NOW);
    const [first, second] = [carl, mirror].map(({ id }) => statements.mirrorBefore(id));
    assert.ok(first === undefined || second === undefined, "never both");
    return first ? "carl" : second ? "mirror" : "none";
  });
  assert.equal(answers[0], answers[1], "invariant 2: the order decides nothing");
  return answers[0] ?? "";
}

Deno.test("invariant 2: of two keys with one tunnel key the one that was certified first is a member, or none", () => {
  const DAYS = 10 * DAY;
  const asMirror = (mirror: { id: string }, wish: Parameters<typeof memberDraft>[1] = {}) =>
    memberDraft(mirror as Parameters<typeof memberDraft>[0], wish);
  assert.equal(refusedMirror(() => []), "none");
  assert.equal(
    refusedMirror(({ society, anna, carl }) => [society.sign(anna, memberDraft(carl))]),
    "mirror",
  );
  const both = (since: number) =>
    refusedMirror(({ society, anna, carl }, mirror) => [
      society.sign(anna, memberDraft(carl)),
      society.sign(anna, asMirror(mirror, { since })),
    ]);
  assert.equal(both(NOW + DAYS), "mirror");
  assert.equal(both(NOW - DAYS), "carl");
  // Whoever was put out does not come back by the other key, unless an admin that knows of it certifies that.
  const put = (at: number, isCertified: boolean) =>
    refusedMirror(({ society, anna, carl }, mirror) => [
      society.sign(anna, { kind: "removed", key: carl.id }, { at }),
      ...(isCertified ? [society.sign(anna, asMirror(mirror))] : []),
    ]);
  for (const at of [NOW - DAYS, NOW + DAYS]) {
    assert.equal(put(at, false), "mirror");
    assert.equal(put(at, true), "carl");
  }
  // A removal of the mirror puts nobody out who is certified, be the mirror certified before or not.
  for (const isCertified of [false, true]) {
    assert.equal(
      refusedMirror(({ society, anna, carl }, mirror) => [
        society.sign(anna, memberDraft(carl)),
        ...(isCertified ? [society.sign(anna, asMirror(mirror, { since: 0 }))] : []),
        society.sign(anna, { kind: "removed", key: mirror.id }, { at: 0 }),
      ]),
      "mirror",
    );
  }
  // What the mesh key has made an admin yields to nothing that an admin signs.
  assert.equal(
    refusedMirror(({ society, mesh, anna, carl }, mirror) => [
      society.sign(mesh, adminDraft(carl)),
      society.sign(anna, asMirror(mirror, { since: NOW - DAYS })),
      society.sign(anna, { kind: "removed", key: mirror.id }, { at: NOW - DAYS }),
    ]),
    "mirror",
  );
  // An admin can have signed nothing before it was a member itself, be it a certificate or a removal.
  const earlier = NOW - 200 * DAY;
  const first = ({ society, mesh, carl }: ReturnType<typeof setUp>) =>
    society.sign(mesh, memberDraft(carl, { since: earlier }));
  for (const  of of[mirrorCertified, mirrorRemoved]) {
    assert.equal(
      refusedMirror((world, mirror) => [first(world), of(world, mirror)]),
      "mirror",
    );
  }
  // Whose signer has no right says nothing.
  assert.equal(
    refusedMirror(({ society, dora, carl }) => [society.sign(dora, memberDraft(carl))]),
    "none",
  );
});

type Mirrored = (
  world: ReturnType<typeof setUp>,
  mirror: { id: string },
) => ReturnType<Signatories["sign"]>;

function mirrorCertified({ society, anna }: ReturnType<typeof setUp>, mirror: { id: string }) {
  const draft = memberDraft(mirror as Parameters<typeof memberDraft>[0], { since: 0 });
  return society.sign(anna, draft);
}

const mirrorRemoved: Mirrored = ({ society, anna }, mirror) =>
  society.sign(anna, { kind: "removed", key: mirror.id }, { at: 0 });

Deno.test("item 3: of two certified keys with one tunnel key that which a node has met stays, until it is removed", () => {
  const world = setUp();
  const { society, mesh, anna, carl } = world;
  const mirror = { id: mirrorOf(carl.id) };
  const statements = new Statements(toyCrypto, society.genesis);
  const say = (one: Statement) => statements.add(one.bytes, NOW);
  const first = (met?: string) => [carl, mirror].map(({ id }) => statements.mirrorBefore(id, met));
  say(society.sign(mesh, adminDraft(anna, { since: NOW - 100 * DAY })));
  say(society.sign(anna, memberDraft(carl)));
  assert.deepEqual([...statements.mirrored()], []);
  say(mirrorCertified(world, mirror));
  assert.deepEqual([...statements.mirrored()].sort(), [carl.id, mirror.id].sort());
  assert.deepEqual(first(), [mirror.id, undefined], "by what is signed alone the mirror is first");
  assert.deepEqual(first(carl.id), [undefined, carl.id]);
  assert.deepEqual(first(mirror.id), [mirror.id, undefined]);
  // A removal of the other puts nobody out who is certified: all agree.
  say(society.sign(anna, { kind: "removed", key: mirror.id }));
  assert.deepEqual(first(carl.id), [undefined, carl.id]);
  assert.deepEqual(first(), [undefined, carl.id]);
});
