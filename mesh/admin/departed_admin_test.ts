/** An admin that has left: a farewell ends no office, so every status says what does (invariants 2, 3 and 4). */
import assert from "node:assert/strict";
import { fromBase64url, toBase64url } from "../base64url.ts";
import { decodeGenesis, meshIdOf } from "../membership/genesis.ts";
import { type Draft, signStatement } from "../membership/statement.ts";
import { Insider } from "../sim/insider.ts";
import type { Computer } from "../sim/node_lab.ts";
import { demote, done, healthOf, promote, refusalOf, secondsAt, village } from "../sim/people.ts";
import { toyCrypto as crypto } from "../sim/toy_crypto.ts";

const HOUR = 3_600_000;

function leave(who: Computer, yes: boolean) {
  return done(who.step((now, out) => who.node.leaveForGood(now, { yes }, out)));
}

/** `second` is an admin, certifies `fifth`, and leaves; a thief has a copy of its folder. */
function farewell(seed: number) {
  const { lab, founder, others } = village(crypto, ["second", "third", "fourth"], seed);
  const [second, third, fourth] = others;
  assert.ok(second && third && fourth);
  promote(founder, second);
  lab.run(30_000);
  lab.network.partition([founder.address]);
  const fifth = lab.joiner(second, { name: "fifth" });
  assert.ok(lab.until(30_000, () => third.sees(fifth)?.standing === "certified"));
  lab.network.heal();
  assert.ok(lab.until(120_000, () => founder.sees(fifth)?.state === "alive"));
  const copy = second.disk;
  assert.ok(copy?.genesis);
  const genesis = decodeGenesis(fromBase64url(copy.genesis) ?? new Uint8Array());
  assert.ok(genesis.ok);
  const meshId = meshIdOf(crypto, genesis.value);
  const signing = crypto.ed25519FromSeed(second.identitySeed);
  let number = 900;
  const sign = (draft: Draft) =>
    signStatement(crypto, meshId, signing, draft, { number: number++, at: secondsAt(founder) });
  assert.ok(leave(second, true).isDone);
  lab.run(20_000);
  second.crash();
  lab.run(HOUR);
  /** A key that nobody approves comes with a certificate by the old key, and expels by it. */
  const attack = () => {
    const puppet = lab.computer({ name: "puppet" });
    const at = secondsAt(founder);
    const certificate = {
      key: puppet.id,
      name: "puppet",
      groups: [],
      relay: true,
      ip4Counter: 0,
      since: at,
    };
    const { bytes } = sign({ kind: "member", certificate, until: at + 86_400, token: undefined });
    const statement = { bytes: toBase64url(bytes), seen: at };
    const statements = [...copy.statements, statement];
    puppet.disk = { ...copy, boot: 0, incarnation: 0, numbers: { own: 0, mesh: 0 }, statements };
    assert.equal(puppet.start(), undefined);
    lab.run(60_000);
    const mole = new Insider(puppet);
    const removal = sign({ kind: "removed", key: fourth.id });
    for (const one of [founder, third]) mole.tell(one, removal);
    lab.run(30_000);
    return puppet;
  };
  return { lab, founder, second, third, fourth, fifth, attack, sign };
}

const GONE =
  "second has left, and its office as an admin goes on: whoever has a copy of its disk can certify and " +
  "remove members: `shoal demote second`";
const STOLEN = "ends that; if its disk was stolen, `shoal revoke second --since TIME`";

Deno.test("an admin that has left is named by every status, with the command that ends its office and where; its old key is an admin's until then, and nothing afterwards", () => {
  const { lab, founder, second, third, fourth, fifth, attack, sign } = farewell(31);
  assert.deepEqual(healthOf(founder), [`${GONE} ${STOLEN}`]);
  assert.deepEqual(healthOf(third), [`${GONE} on founder ${STOLEN}`]);
  const puppet = attack();
  assert.equal(founder.sees(puppet)?.standing, "certified", "a farewell ends no office");
  assert.equal(founder.sees(fourth), undefined);
  const asked = demote(founder, second, false);
  assert.equal(asked.isDone, false);
  assert.match(
    asked.warnings.join("\n"),
    /^1 member that second certified afterwards is out \(puppet\): /m,
  );
  assert.match(
    asked.warnings.join("\n"),
    /^1 removal of second .* is a member again \(fourth\): /m,
  );
  assert.match(
    asked.lines.join("\n"),
    /^what this node heard of after .* is not signed anew: second had left by then$/m,
  );
  assert.ok(demote(founder, second).isDone);
  const isRight = () => third.sees(puppet) === undefined && third.sees(fourth)?.state === "alive";
  assert.ok(lab.until(300_000, isRight), "whom it expelled is back, and whom it brought in is out");
  assert.equal(third.sees(fifth)?.standing, "certified", "whom it certified before it left stays");
  assert.doesNotMatch([...healthOf(founder), ...healthOf(third)].join("\n"), /has left/);
  new Insider(third).tell(founder, sign({ kind: "removed", key: fourth.id }));
  lab.run(30_000);
  assert.equal(founder.sees(fourth)?.state, "alive", "it is nobody's word any more");
});

Deno.test("revoke --since works on an admin that has left, and after its demotion it names what was signed anew", () => {
  const { lab, founder, second, fifth, attack } = farewell(32);
  const puppet = attack();
  const revoke = (since: number, yes: boolean) =>
    founder.step((now, out) => founder.node.revoke(now, "second", { since, yes }, out));
  const shown = done(revoke(secondsAt(founder) - 1_800, false));
  assert.match(
    shown.warnings.join("\n"),
    /^1 member that second certified afterwards is out \(puppet\)/m,
  );
  assert.ok(demote(founder, second).isDone);
  lab.run(60_000);
  assert.equal(founder.sees(puppet), undefined);
  const outcome = done(revoke(secondsAt(founder) - 7_200, true));
  assert.ok(outcome.isDone);
  assert.equal(founder.sees(fifth)?.standing, "certified", "a person looks at each");
  assert.match(
    outcome.lines.join("\n"),
    /^what second signed before its office ended was signed anew then, and this does not undo that\n1 member that second certified since then: `shoal revoke` those that you do not know: fifth$/m,
  );
  assert.match(
    refusalOf(revoke(secondsAt(founder), true)),
    /^revoke: second .* is revoked already$/,
  );
});

Deno.test("leave says beforehand that an admin's office outlasts it, whoever has a copy of its folder, and what to do first", () => {
  const { lab, founder, others: [second, third] } = village(crypto, ["second", "third"], 33);
  assert.ok(second && third);
  promote(founder, second);
  lab.run(30_000);
  const asked = leave(second, false);
  assert.equal(asked.isDone, false);
  assert.match(
    asked.warnings.join("\n"),
    /^the office of second goes on: whoever has a copy of this machine's folder can certify and remove members until the holder of the mesh key demotes second$/m,
  );
  assert.match(
    asked.advice?.join("\n") ?? "",
    /^`shoal demote second` on founder ends its office first$/m,
  );
  assert.doesNotMatch(leave(third, false).warnings.join("\n"), /office/);
  assert.ok(leave(second, true).isDone);
  lab.run(5_000);
  const { admins } = {
    admins: refusalOf(third.step((now, out) => third.node.invite(now, {}, out))),
  };
  assert.match(
    admins,
    /this node is no admin: run it on founder$/,
    "nobody is sent to who has left",
  );
});

Deno.test("an admin that has the mesh key, as others have, ends its own office as it leaves where nothing is lost by it", () => {
  const { lab, founder, others: [second, third] } = village(crypto, ["second", "third"], 34);
  assert.ok(second && third);
  promote(founder, second);
  const seed = founder.wish.meshSeed;
  assert.ok(seed);
  done(second.step((now, out) => second.node.setMeshKey(now, seed, out)));
  lab.run(30_000);
  // The founder has certified both: who hears of its end before that is signed anew would put them out.
  assert.match(leave(founder, false).warnings.join("\n"), /^the office of founder goes on: /m);
  assert.match(
    leave(founder, false).advice?.join("\n") ?? "",
    /^`shoal demote founder` here ends its office first$/m,
  );
  const asked = leave(second, false);
  assert.doesNotMatch(asked.warnings.join("\n"), /office|nobody can make/);
  assert.match(asked.warnings.join("\n"), /^the mesh key is on this machine, too: /m);
  assert.match(
    asked.lines.join("\n"),
    /^its office ends as well, and nothing that it signed has to be signed anew \(founder can go on\)$/m,
  );
  assert.ok(leave(second, true).isDone);
  lab.run(5_000);
  for (const one of [founder, third]) {
    assert.equal(one.sees(second), undefined);
    assert.deepEqual(healthOf(one), []);
  }
  const again = founder.step((now, out) => founder.node.demote(now, second.id, { yes: true }, out));
  assert.match(refusalOf(again), /is no admin/);
});
