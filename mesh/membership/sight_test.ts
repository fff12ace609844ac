import assert from "node:assert/strict";
import { adminDraft, DAY, memberDraft, NOW, Signatories, tokenDraft } from "../sim/signatories.ts";
import { toyCrypto as crypto } from "../sim/toy_crypto.ts";
import { endorse, requestAdmission } from "./admission.ts";
import { mirrorOf } from "./identity.ts";
import { Judge } from "./judge.ts";
import { NO_PROOF, sequenceOf, signRecord } from "./record.ts";
import { Roster } from "./roster.ts";
import { certifyOnSight } from "./sight.ts";
import { TOKEN_GRACE } from "./statements.ts";

/** An admin with an invite for `uses`, which is also the door. */
function setUp(uses = 2) {
  const society = new Signatories(crypto);
  const [admin, token] = [society.person(1), society.person(2)];
  const judge = new Judge(crypto, society.genesis);
  const roster = new Roster(crypto, judge);
  const add = ({ bytes }: { readonly bytes: Uint8Array }) =>
    assert.equal(judge.statements.add(bytes, NOW).kind, "new");
  add(society.sign(society.mesh, adminDraft(admin, { name: "admin" })));
  const wish = {
    uses,
    groups: ["web"],
    relay: true,
    until: NOW + DAY,
    memberUntil: NOW + 30 * DAY,
  };
  add(society.sign(admin, tokenDraft(token, [admin], wish)));
  /** Somebody is let in by the token, and is in the roster. */
  const letIn = (who: typeof admin, name = "lyon") => {
    const request = requestAdmission(crypto, society.meshId, token.signing, {
      subject: who.id,
      name,
    });
    const admission = endorse(crypto, society.meshId, request, admin.signing, NOW);
    const judgement = judge.admit(admission, NOW);
    if (judgement.kind === "refused") return undefined;
    enter(who);
    return judgement.membership;
  };
  const enter = (who: typeof admin) =>
    roster.accept(
      signRecord(crypto, society.meshId, who.signing, {
        key: who.signing.publicKey,
        sequence: sequenceOf(1, 0),
        run: "00".repeat(8),
        twin: undefined,
        endpoints: [],
        capabilities: { relay: false, tunnel: true, meshKey: false, aesGcm: false, lanes: 1 },
        routes: [],
        version: "",
        proof: NO_PROOF,
      }),
      { boot: 0, wall: NOW * 1000 },
    );
  return { society, admin, token, judge, roster, add, letIn, enter };
}

Deno.test("invariant 6: an admin's node certifies whom a token has let in, as the token says", () => {
  const { society, token, judge, roster, letIn } = setUp();
  const joiner = society.person(3);
  const membership = letIn(joiner);
  assert.ok(membership);
  assert.deepEqual(certifyOnSight(judge, roster, membership, NOW + 5), {
    kind: "member",
    certificate: {
      key: joiner.id,
      name: "lyon",
      groups: ["web"],
      relay: true,
      ip4Counter: 0,
      since: NOW + 5,
    },
    until: NOW + 30 * DAY,
    token: { key: token.id, uses: 2 },
  });
});

Deno.test("invariant 7: with a name and an address that are free", () => {
  const { society, admin, judge, roster, add, letIn, enter } = setUp();
  const [older, joiner] = [society.person(4), society.person(3)];
  add(society.sign(admin, memberDraft(older, { name: "lyon" })));
  enter(older);
  const membership = letIn(joiner);
  assert.ok(membership);
  // What the roster calls free, roster_test.ts says.
  roster.freeCounter = (id) => (assert.equal(id, joiner.id), 7);
  const draft = certifyOnSight(judge, roster, membership, NOW);
  assert.ok(draft?.kind === "member");
  assert.equal(draft.certificate.name, "lyon-2");
  assert.equal(draft.certificate.ip4Counter, 7);
});

Deno.test("invariant 6: at most as many as the token admits, by whomever they were certified", () => {
  const { society, admin, token, judge, roster, add, letIn } = setUp(2);
  const [first, second, third] = [3, 4, 5].map((n) => society.person(n));
  assert.ok(first && second && third);
  const provisional = letIn(first);
  assert.ok(provisional);
  const use = { key: token.id, uses: 2 };
  add(society.sign(admin, memberDraft(second, { token: use })));
  assert.ok(certifyOnSight(judge, roster, provisional, NOW));
  add(society.sign(society.mesh, memberDraft(third, { token: use })));
  assert.equal(certifyOnSight(judge, roster, provisional, NOW), undefined);
});

Deno.test("invariant 6: until 7 days after the token's end, afterwards a person approves", () => {
  const { society, judge, roster, letIn } = setUp();
  const membership = letIn(society.person(3));
  assert.ok(membership);
  const end = NOW + DAY + TOKEN_GRACE;
  assert.equal(TOKEN_GRACE, 7 * DAY);
  assert.ok(certifyOnSight(judge, roster, membership, end));
  assert.equal(certifyOnSight(judge, roster, membership, end + 1), undefined);
});

Deno.test("nobody else is certified: who is certified, is an admin, or is trusted on this node alone", () => {
  const { society, admin, token, judge, roster, add, letIn } = setUp();
  const joiner = society.person(3);
  const provisional = letIn(joiner);
  assert.ok(provisional);
  add(society.sign(admin, memberDraft(joiner, { token: { key: token.id, uses: 2 } })));
  judge.trust(society.person(9).id, "friend");
  for (const who of [joiner, admin, society.person(9)]) {
    const judgement = judge.judge(who.id, NOW);
    assert.ok(judgement.kind === "member");
    assert.equal(certifyOnSight(judge, roster, judgement.membership, NOW), undefined);
  }
});

Deno.test("nobody is certified by a token whose maker has lost its office", () => {
  const { society, admin, judge, roster, add, letIn } = setUp();
  const membership = letIn(society.person(3));
  assert.ok(membership);
  add(society.sign(society.mesh, { kind: "demoted", key: admin.id }));
  assert.equal(certifyOnSight(judge, roster, membership, NOW), undefined);
});

Deno.test("item 11: of two with one tunnel key that invites have let in an admin's node certifies neither", () => {
  const { society, token, judge, roster, letIn } = setUp();
  const joiner = society.person(3);
  const membership = letIn(joiner);
  assert.ok(membership);
  assert.ok(certifyOnSight(judge, roster, membership, NOW));
  const [admission] = judge.provisional.of(joiner.id);
  assert.ok(admission);
  judge.provisional.recall({ ...admission, subject: mirrorOf(joiner.id) }, 2);
  assert.ok(judge.provisional.has(token.id, mirrorOf(joiner.id)));
  assert.equal(certifyOnSight(judge, roster, membership, NOW), undefined);
});
