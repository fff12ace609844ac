/** Item 3 of what was wrong: what a thief signs with a stolen admin's key does not outlive `revoke --since` (invariant 4). */
import assert from "node:assert/strict";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { Insider } from "../sim/insider.ts";
import { demote, healthOf, promote, revoke, secondsAt, village } from "../sim/people.ts";

/**
 * `admin` has removed `bad`, and a thief then signs other removals under that number until one of them
 * has the lower hash and counts instead.
 */
function hiddenRemoval(seed: number) {
  const { lab, founder, others: [admin, bad, other] } = village(
    crypto,
    ["admin", "bad", "other"],
    seed,
  );
  assert.ok(admin && bad && other);
  promote(founder, admin);
  lab.run(5_000);
  revoke(admin, bad);
  lab.run(10_000);
  assert.equal(founder.sees(bad), undefined, "it is out");
  const number = admin.disk?.numbers.own;
  lab.run(60_000);
  const since = secondsAt(founder);
  lab.run(5_000);
  const thief = new Insider(admin);
  for (let i = 0; i < 12; i++) {
    const key = thief.newIdentity().id;
    thief.tell(founder, thief.sign({ kind: "removed", key }, undefined, number));
  }
  lab.run(5_000);
  assert.match(healthOf(founder).join("\n"), /signed two things under one number/);
  return { lab, founder, admin, bad, other, since };
}

Deno.test("item 3, invariant 4: a removal that a thief hides by using its number again is signed anew by revoke --since", () => {
  const { lab, founder, admin, bad, other, since } = hiddenRemoval(4);
  const { lines, warnings } = revoke(founder, admin, since, false);
  assert.equal(lines[1], "0 members and 1 removal of admin are signed anew by you");
  assert.equal(lines[2], "1 removal that admin made afterwards ends");
  assert.deepEqual(warnings, []);
  lab.run(40_000);
  for (const one of [founder, other]) assert.equal(one.sees(bad), undefined, "it stays out");
  assert.equal(founder.sees(other)?.state, "alive");
});

Deno.test("item 3, invariant 4: a removal that a thief hides by using its number again is signed anew by demote", () => {
  const { lab, founder, admin, bad, other } = hiddenRemoval(4);
  demote(founder, admin);
  lab.run(40_000);
  for (const one of [founder, other]) assert.equal(one.sees(bad), undefined, "it stays out");
});
