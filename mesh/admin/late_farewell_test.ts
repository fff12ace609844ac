/** An admin that has left, a thief with an old copy of its folder, and a machine with the mesh key that was off for both. */
import assert from "node:assert/strict";
import { fromBase64url, toBase64url } from "../base64url.ts";
import { decodeGenesis, meshIdOf } from "../membership/genesis.ts";
import { type Draft, signStatement } from "../membership/statement.ts";
import { Insider } from "../sim/insider.ts";
import { demote, done, promote, secondsAt, village } from "../sim/people.ts";
import { toyCrypto as crypto } from "../sim/toy_crypto.ts";

const HOUR = 3_600_000;

/**
 * `second` certifies `fifth` while the founder is off, and leaves; hours later a thief certifies a puppet by its key, and
 * removes `fourth`. Then the founder starts.
 * @param isBackdated whether the thief names a time before the farewell
 */
function theft(isBackdated: boolean) {
  const { lab, founder, others: [second, third, fourth] } = village(
    crypto,
    ["second", "third", "fourth"],
    31,
  );
  assert.ok(second && third && fourth);
  promote(founder, second);
  lab.run(30_000);
  const early = lab.joiner(second, { name: "early" });
  lab.run(60_000);
  founder.crash();
  const fifth = lab.joiner(second, { name: "fifth" });
  lab.run(60_000);
  const copy = structuredClone(second.disk);
  assert.ok(copy?.genesis);
  const before = secondsAt(third);
  lab.run(10_000);
  done(second.step((now, out) => second.node.leaveForGood(now, { yes: true }, out)));
  lab.run(20_000);
  second.crash();
  lab.run(3 * HOUR);
  const genesis = decodeGenesis(fromBase64url(copy.genesis) ?? new Uint8Array());
  assert.ok(genesis.ok);
  const meshId = meshIdOf(crypto, genesis.value);
  const signing = crypto.ed25519FromSeed(second.identitySeed);
  const at = isBackdated ? before : secondsAt(third);
  const puppet = lab.computer({ name: "puppet" });
  const certificate = {
    key: puppet.id,
    name: "puppet",
    groups: [],
    relay: true,
    ip4Counter: 0,
    since: at,
  };
  const drafts: Draft[] = [
    { kind: "member", certificate, until: at + 1_000_000, token: undefined },
    { kind: "removed", key: fourth.id },
  ];
  const said = drafts.map((draft, i) =>
    signStatement(crypto, meshId, signing, draft, { number: 900 + i, at })
  );
  const statements = said.map(({ bytes }) => ({ bytes: toBase64url(bytes), seen: at }));
  puppet.disk = {
    ...copy,
    boot: 0,
    incarnation: 0,
    numbers: { own: 0, mesh: 0 },
    statements: [...copy.statements, ...statements],
  };
  assert.equal(puppet.start(), undefined);
  lab.run(60_000);
  const mole = new Insider(puppet);
  for (const one of said) mole.tell(third, one);
  lab.run(60_000);
  assert.equal(founder.start(), undefined);
  lab.run(120_000);
  assert.equal(founder.sees(fourth), undefined, "a farewell ends no office");
  return { lab, founder, second, third, fourth, fifth, early, puppet };
}

Deno.test("item 3, invariant 4: what says itself that it was signed after an admin had left is not signed anew, though the founder heard of both at once", () => {
  const { lab, founder, second, third, fourth, fifth, puppet } = theft(false);
  const asked = demote(founder, second, false);
  assert.match(asked.warnings.join("\n"), /^1 member .* is out \(puppet\): /m);
  assert.match(
    asked.warnings.join("\n"),
    /^1 removal of second .* is a member again \(fourth\): /m,
  );
  assert.match(
    asked.warnings.join("\n"),
    /^second had left at .*, and this node heard only afterwards of what is signed anew here: 1 member \(fifth\): /m,
  );
  assert.ok(demote(founder, second).isDone);
  lab.run(300_000);
  assert.equal(third.sees(puppet), undefined);
  assert.equal(third.sees(fourth)?.state, "alive");
  assert.equal(third.sees(fifth)?.standing, "certified", "whom it certified before it left stays");
});

Deno.test("item 3, invariant 4: what a thief of an admin that has left has dated back is named before it is signed anew, with the command that does not", () => {
  const { lab, founder, second, third, fourth, early, puppet } = theft(true);
  const asked = demote(founder, second, false);
  assert.equal(asked.isDone, false);
  const [, since] = asked.warnings.join("\n").match(
    /^second had left at .*, and this node heard only afterwards of what is signed anew here: 2 members \(fifth, puppet\), 1 removal \(fourth\): whoever has a copy of its disk can have dated that back; `shoal revoke second --since (\S+)` instead believes nothing that was heard later$/m,
  ) ?? [];
  assert.ok(since, asked.warnings.join("\n"));
  const options = { since: Date.parse(since) / 1_000, yes: true };
  done(founder.step((now, out) => founder.node.revoke(now, "second", options, out)));
  lab.run(300_000);
  assert.equal(third.sees(puppet), undefined);
  assert.equal(third.sees(fourth)?.state, "alive");
  assert.equal(third.sees(early)?.standing, "certified", "who was heard of before it left stays");
});
