/** Invariant 13: what a thief signs by the thousand costs each plan about as much as that is long, and not its square. */
import assert from "node:assert/strict";
import type { NodeEvent } from "../event.ts";
import { Effects } from "../machine.ts";
import { Mesh } from "../membership/mesh.ts";
import { NO_PROOF } from "../membership/record.ts";
import { Seeded } from "../sim/random.ts";
import { Tunnels } from "../tunnel/tunnels.ts";
import { adminDraft, memberDraft, NOW, Signatories, tokenDraft } from "../sim/signatories.ts";
import { toyCrypto as crypto } from "../sim/toy_crypto.ts";
import type { Statement } from "../membership/statement.ts";
import { type Held, Statements } from "../membership/statements.ts";
import { Doubt } from "./doubtful.ts";
import { endsKept } from "./ends.ts";
import { recover } from "./recovery.ts";

const MANY = 64;

/** Two admins, one of them a thief's since {@link NOW}. */
function setUp() {
  const society = new Signatories(crypto);
  const statements = new Statements(crypto, society.genesis);
  const add = (statement: Statement): Held => {
    assert.equal(statements.add(statement.bytes, NOW).kind, "new");
    const held = statements.get(statement.hash);
    assert.ok(held);
    return held;
  };
  const [thief, other, token] = [society.person(1), society.person(2), society.person(3)];
  for (const admin of [thief, other]) add(society.sign(society.mesh, adminDraft(admin)));
  return { society, statements, add, thief, other, token };
}

Deno.test("invariant 13: whether an invite let in more than it admits is looked at once for all that came by it", () => {
  const { society, statements, add, other, token } = setUp();
  add(society.sign(other, tokenDraft(token, [other], { uses: MANY })));
  const use = { key: token.id, uses: MANY };
  const came = Array.from(
    { length: MANY },
    (_, n) => society.sign(other, memberDraft(society.person(100 + n), { token: use })),
  );
  for (const one of came) add(one);
  const doubt = new Doubt({ statements }, [], ({ seen }) => seen < NOW);
  let looks = 0;
  const certifiedBy = statements.certifiedBy.bind(statements);
  statements.certifiedBy = (key) => {
    looks++;
    return certifiedBy(key);
  };
  for (const one of came) assert.equal(doubt.isDoubtful(one, { statements }), false);
  assert.equal(looks, 1);
});

Deno.test("invariant 13: an invite that a thief has ended over and over is looked at once", () => {
  const { society, statements, add, thief, other, token } = setUp();
  add(society.sign(other, tokenDraft(token, [other])));
  const ends = Array.from(
    { length: MANY },
    () => add(society.sign(thief, { kind: "withdrawn", key: token.id })),
  );
  let looks = 0;
  const about = statements.about.bind(statements);
  statements.about = (key) => {
    looks++;
    return about(key);
  };
  const { keys, later } = endsKept(
    { statements },
    ends,
    (signer) => signer === thief.id,
    ({ seen }) => seen < NOW,
  );
  assert.deepEqual([[...keys], [...later]], [[token.id], [token.id]]);
  assert.equal(looks, 1);
});

/** What plans a recovery in a mesh in which a thief has made so many admins. */
function recoveryAmong(admins: number): { readonly mesh: Mesh; readonly plan: () => void } {
  const society = new Signatories(crypto);
  const { bytes: random } = new Seeded(1);
  const now = { boot: 1_000, wall: NOW * 1_000 };
  const capabilities = { relay: false, tunnel: true, meshKey: false, aesGcm: false, lanes: 1 };
  const identity = society.person(1);
  const mesh = new Mesh(now, {
    crypto,
    random,
    tunnels: new Tunnels({ crypto, random }),
    genesis: society.genesis,
    self: { identity, proof: NO_PROOF, endpoints: [], capabilities, version: "" },
    run: "11".repeat(8),
    name: "founder",
    meshSigning: undefined,
    numbers: { own: 0, mesh: 0 },
    boot: 1,
    incarnation: 0,
  }, undefined);
  const out = new Effects<NodeEvent>();
  mesh.begin(now, [society.sign(society.mesh, adminDraft(identity)).bytes]);
  for (let n = 0; n < admins; n++) {
    mesh.learn(now, society.sign(society.mesh, adminDraft(society.person(100 + n))).bytes, out);
  }
  const keys = { recovery: society.recovery.signing, meshKey: society.person(2).signing };
  const plan = () => {
    const planned = recover(crypto, mesh, now, keys, {}, out);
    assert.ok(planned.ok && !planned.value.isDone);
    assert.ok(planned.value.lines.join().length < 1_000, "its text is bounded");
  };
  return { mesh, plan };
}

/** How often a recovery goes through all that lost its number, where a thief has made so many admins. */
function looksAtHidden(admins: number): number {
  const { mesh: { statements }, plan } = recoveryAmong(admins);
  let looks = 0;
  const outranked = statements.outranked.bind(statements);
  statements.outranked = () => {
    looks++;
    return outranked();
  };
  plan();
  return looks;
}

/** How often a recovery goes through all that a key has signed, where a thief has made so many admins: each made 1 statement more. */
function looksAtSigned(admins: number): number {
  const { plan } = recoveryAmong(admins);
  let looks = 0;
  const { bySigner } = Statements.prototype;
  Statements.prototype.bySigner = function* (signer) {
    for (const one of bySigner.call(this, signer)) {
      looks++;
      yield one;
    }
  };
  try {
    plan();
  } finally {
    Statements.prototype.bySigner = bySigner;
  }
  return looks;
}

Deno.test("invariant 13: a recovery goes through what a thief has hidden as often for many false admins as for few", () => {
  assert.equal(looksAtHidden(MANY), looksAtHidden(2));
});

Deno.test("invariant 13: what a recovery costs grows with the number of false admins, and not with its square", () => {
  const [few, many] = [MANY, 4 * MANY].map(looksAtSigned);
  assert.ok(few !== undefined && many !== undefined && few > 0);
  assert.ok(many < 5 * few, `${few} for ${MANY} admins, ${many} for four times as many`);
});
