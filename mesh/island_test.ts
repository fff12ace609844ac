/** Machines that were put out together while they were off: they hear each other, and nobody else (item 12). */
import assert from "node:assert/strict";
import { nobleCrypto as crypto } from "./noble_crypto.ts";
import type { Computer, NodeLab } from "./sim/node_lab.ts";
import { areMutual, done, healthOf, promote, revoke, secondsAt, village } from "./sim/people.ts";

function refusals(computer: Computer): string[] {
  return healthOf(computer).filter((line) => / refuses? us: /.test(line));
}

/** Both hear each other, and each is told within ten minutes what all others think of it. */
function areTold(lab: NodeLab, pair: readonly Computer[], why: string): void {
  for (const one of pair) assert.equal(one.start(), undefined);
  assert.ok(lab.until(60_000, () => areMutual(pair)));
  const isTold = (one: Computer) => refusals(one).some((line) => line.includes(why));
  const told = lab.until(10 * 60_000, () => pair.every(isTold));
  assert.ok(told, pair.flatMap(healthOf).join("\n"));
}

Deno.test("two members that were revoked while both were off are told so, though each hears the other", () => {
  const names = ["one", "two", "third", "fourth"];
  const { lab, founder, others: [one, two, third, fourth] } = village(crypto, names, 71);
  assert.ok(one && two && third && fourth);
  for (const gone of [one, two]) gone.crash();
  for (const gone of [one, two]) {
    done(founder.step((now, out) => founder.node.revoke(now, gone.id, {}, out)));
  }
  lab.run(5_000);
  areTold(lab, [one, two], "our key was revoked: with `shoal identity renew`");
  for (const gone of [one, two]) {
    for (const line of refusals(gone)) {
      assert.match(line, /^(?:(?:founder|third|fourth)(?:, )?)+ refuses? us: /);
    }
    assert.ok([founder, third, fourth].every((by) => by.sees(gone) === undefined));
  }
});

Deno.test("two members whose certificates lost their signer while both were off are told what an admin has to do, and are in again when one does", () => {
  const { lab, founder, others: [lyon, third] } = village(crypto, ["lyon", "third"], 72);
  assert.ok(lyon && third);
  promote(founder, lyon);
  lab.run(120_000);
  const theft = secondsAt(founder);
  founder.crash(); // So that it is lyon who certifies.
  const token = lyon.token({ uses: 2 });
  const pair = ["one", "two"].map((name) => lab.computer({ name, token }));
  for (const one of pair) one.start();
  assert.ok(lab.until(60_000, () => areMutual([lyon, third, ...pair])));
  lab.run(5_000);
  for (const one of pair) one.crash();
  assert.equal(founder.start(), undefined);
  lab.run(30_000);
  revoke(founder, lyon, theft - 60);
  lab.run(60_000);
  areTold(
    lab,
    pair,
    "no certificate or invite of our key counts there any more: an admin gives it one",
  );
  for (const one of pair) {
    assert.ok(refusals(one).some((line) => line.includes(`\`shoal approve ${one.id}\``)));
    done(founder.step((now, out) => founder.node.approve(now, one.id, out, {})));
  }
  assert.ok(lab.until(20 * 60_000, () => areMutual([founder, third, ...pair])));
  // lyon refuses them until they have heard what became of it.
  assert.ok(lab.until(60_000, () => pair.flatMap(refusals).length === 0));
});
