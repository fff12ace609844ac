/** What others make an admin's node sign on sight leaves room for what people sign. */
import assert from "node:assert/strict";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { Insider } from "../sim/insider.ts";
import type { Computer } from "../sim/node_lab.ts";
import { done, promote, refusalOf, secondsAt, village } from "../sim/people.ts";
import { BURST, RESERVE, SightPace } from "./sight.ts";
import { NUMBER_MAX } from "./statement.ts";

/** A founder, an admin whose machine a thief has, and a member that the admin approved before. */
function setUp() {
  const { lab, founder, others: [admin, other] } = village(crypto, ["admin", "other"], 4);
  assert.ok(admin && other);
  promote(founder, admin);
  lab.run(5_000);
  done(admin.step((now, out) => admin.node.approve(now, other.id, out, { name: "other" })));
  lab.run(10_000);
  /** The founder starts again as if it had that many numbers left. */
  const leave = (left: number) => {
    founder.crash();
    assert.ok(founder.disk);
    const numbers = { ...founder.disk.numbers, own: NUMBER_MAX - left };
    founder.disk = { ...founder.disk, numbers };
    founder.start();
    lab.run(20_000);
  };
  const thief = new Insider(admin);
  const secret = thief.newIdentity().signing;
  /** The thief lets invented keys in, by an invite for as many as there can be, and shows the founder. */
  const letIn = (count: number) => {
    const now = secondsAt(founder);
    const token = thief.sign({
      kind: "token",
      key: secret.publicKey.toHex(),
      uses: 65_535,
      groups: [],
      relay: false,
      until: now + 86_400,
      memberUntil: now + 864_000,
      doors: [admin.id],
    });
    for (let i = 0; i < count; i++) {
      const self = thief.newIdentity();
      const admission = thief.admit(self, secret, `p${i}`);
      const proof = { statements: [token.bytes], admission };
      thief.spread(founder, thief.describe({ proof, endpoints: [] }, self));
      lab.run(10);
    }
  };
  return { lab, founder, admin, other, leave, letIn };
}

function signedBy(one: Computer): number {
  return one.node.snapshot().numbers.own;
}

Deno.test("64 are signed for on sight at once, then one a second", () => {
  const pace = new SightPace();
  const take = (now: number) => {
    let count = 0;
    while (pace.take(now)) count++;
    return count;
  };
  assert.deepEqual([0, 999, 1_000, 31_000, 10_000_000].map(take), [BURST, 0, 1, 30, BURST]);
});

Deno.test("invariant 13: an admin's node certifies on sight at a pace, and the others at later reviews", () => {
  const { lab, founder, letIn } = setUp();
  const before = signedBy(founder);
  const began = lab.world.now;
  letIn(BURST + 26);
  const most = before + BURST + (lab.world.now - began) / 1_000;
  assert.ok(signedBy(founder) >= before + BURST && signedBy(founder) <= most);
  lab.run(90_000);
  assert.equal(signedBy(founder), before + BURST + 26, "nobody is forgotten");
});

Deno.test("invariant 13: the last 4,096 numbers of an admin are for people alone", () => {
  const { lab, founder, other, leave, letIn } = setUp();
  leave(RESERVE + 10);
  letIn(30);
  lab.run(60_000);
  assert.equal(signedBy(founder), NUMBER_MAX - RESERVE);
  done(founder.step((now, out) => founder.node.revoke(now, other.id, {}, out)));
  assert.equal(signedBy(founder), NUMBER_MAX - RESERVE + 1);
});

Deno.test("item 3: who has used its numbers up ends an admin's office, and memberships, by the mesh key that it has", () => {
  for (const act of ["revoke", "demote"] as const) {
    const { lab, founder, admin, other, leave } = setUp();
    leave(0);
    const yes = true;
    const since = secondsAt(founder);
    lab.run(2_000);
    const result = founder.step((now, out) =>
      act === "revoke"
        ? founder.node.revoke(now, admin.id, { since, yes }, out)
        : founder.node.demote(now, admin.id, { yes }, out)
    );
    assert.equal(refusalOf(result), "");
    lab.run(60_000);
    assert.equal(founder.sees(other)?.state, "alive", "signed anew, as it was signed in good time");
    done(founder.step((now, out) => founder.node.revoke(now, other.id, {}, out)));
    assert.equal(founder.sees(other), undefined);
  }
});
