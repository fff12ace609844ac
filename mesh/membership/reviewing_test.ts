/** How long a review keeps a node from anything else, where a stolen admin has certified thousands that never came. */
import assert from "node:assert/strict";
import { authorityOf } from "../admin/authority.ts";
import type { NodeEvent } from "../event.ts";
import { Effects } from "../machine.ts";
import { Seeded } from "../sim/random.ts";
import { adminDraft, memberDraft, NOW, Signatories } from "../sim/signatories.ts";
import { toyCrypto as crypto } from "../sim/toy_crypto.ts";
import { Tunnels } from "../tunnel/tunnels.ts";
import { Mesh } from "./mesh.ts";
import { NO_PROOF } from "./record.ts";
import { ABSENT_FIRST } from "./reviewing.ts";

const now = { boot: 1_000, wall: NOW * 1_000 };

/** An admin's node at its start, which remembers certificates of so many keys that nobody has met. */
function setUp(count: number) {
  const society = new Signatories(crypto);
  const { bytes: random } = new Seeded(1);
  const capabilities = { relay: false, tunnel: true, meshKey: false, aesGcm: false, lanes: 1 };
  const identity = society.person(1);
  const mesh = new Mesh(now, {
    crypto,
    random,
    tunnels: new Tunnels({ crypto, random }),
    genesis: society.genesis,
    self: { identity, proof: NO_PROOF, endpoints: [], capabilities, version: "" },
    run: "11".repeat(8),
    name: "admin",
    meshSigning: undefined,
    numbers: { own: 0, mesh: 0 },
    boot: 1,
    incarnation: 0,
  }, undefined);
  const add = ({ bytes }: { readonly bytes: Uint8Array }) => {
    assert.equal(mesh.statements.add(bytes, NOW).kind, "new");
  };
  add(society.sign(society.mesh, adminDraft(identity)));
  for (let n = 0; n < count; n++) {
    add(society.sign(identity, memberDraft(society.person(100 + n), { name: `p-${n}` })));
  }
  mesh.noteStart();
  return { mesh, out: new Effects<NodeEvent>() };
}

Deno.test("invariant 13: the first review of a start takes 1,024 keys that nobody has met at once, and the others in turns", () => {
  const count = 2 * ABSENT_FIRST + 100;
  const { mesh, out } = setUp(count);
  const known = () => [...mesh.roster.absent()].length;
  mesh.review(now, out);
  assert.ok(known() >= ABSENT_FIRST - 1 && known() <= ABSENT_FIRST, `${known()}`);
  assert.ok(!mesh.isReviewed && !mesh.maySign, "a name may look free that one of the others has");
  const early = authorityOf(mesh, "approve");
  assert.match(early.ok ? "" : early.error, /^approve: .* try again in a few seconds$/);
  let turns = 0;
  while (!mesh.isReviewed) {
    const before = known();
    assert.ok(mesh.reviewMoreDue > now.boot && mesh.reviewMoreDue <= now.boot + 100);
    mesh.reviewMore(now, out);
    assert.ok(known() - before <= ABSENT_FIRST);
    turns++;
  }
  assert.equal(turns, 2);
  assert.equal(known(), count);
  assert.equal(mesh.reviewMoreDue, Infinity);
  assert.ok(authorityOf(mesh, "approve").ok && mesh.maySign);
});

Deno.test("the first review of a start is over at once where few are absent", () => {
  const { mesh, out } = setUp(100);
  mesh.review(now, out);
  assert.ok(mesh.isReviewed);
});
