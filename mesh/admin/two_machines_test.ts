/** The mesh key on two machines whose people use it at the same time. */
import assert from "node:assert/strict";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import type { Computer } from "../sim/node_lab.ts";
import { done, healthOf, promote, revoke, secondsAt, village } from "../sim/people.ts";

/** A founder and an admin, who both have the mesh key. */
function twoKeepers(names: readonly string[], seed: number) {
  const { lab, founder, others: [lyon, ...others] } = village(crypto, ["lyon", ...names], seed);
  assert.ok(lyon);
  promote(founder, lyon);
  lab.run(5_000);
  const { meshSeed } = founder.wish;
  done(lyon.step((now, out) => lyon.node.setMeshKey(now, meshSeed, out)));
  lab.run(5_000);
  return { lab, founder, lyon, others };
}

const pairLines = (computer: Computer) =>
  healthOf(computer).filter((line) => line.startsWith("the mesh key has signed two things"));

Deno.test("of a promotion and the end of an office that two machines sign at once the end counts, and the one whose word is lost hears what to say again", () => {
  const { lab, founder, lyon, others: [oslo, rome] } = twoKeepers(["oslo", "rome"], 81);
  assert.ok(oslo && rome);
  promote(founder, oslo);
  lab.run(5_000);
  done(founder.step((now, out) => founder.node.demote(now, oslo.id, { yes: true }, out)));
  promote(lyon, rome);
  lab.run(90_000);
  for (const one of [founder, lyon, oslo, rome]) {
    const seen = (of: Computer) => one === of ? one.node.status(one.now()).self : one.sees(of);
    assert.equal(seen(oslo)?.admin, false, `${one.wish.name}`);
    assert.equal(seen(rome)?.admin, false, `${one.wish.name}`);
  }
  const expected =
    /: it was used on two machines that had not heard each other, .*: the office of rome does not count: say it again if it was meant, and `shoal recover` if you do not know why$/;
  assert.match(pairLines(lyon).join("\n"), expected);
  promote(lyon, rome);
  lab.run(60_000);
  assert.ok([founder, lyon, oslo].every((one) => one.sees(rome)?.admin));
  assert.doesNotMatch(pairLines(lyon).join("\n"), /does not count/);
});

Deno.test("of two removals that two machines sign at once one counts, and the person whose removal is lost hears it", () => {
  const { lab, founder, lyon, others: [oslo, rome, paris] } = twoKeepers(
    ["oslo", "rome", "paris"],
    82,
  );
  assert.ok(oslo && rome && paris);
  // The mesh key removes whom no admin's word reaches any more.
  for (const former of [oslo, rome]) {
    promote(founder, former);
    lab.run(3_000);
    done(founder.step((now, out) => founder.node.demote(now, former.id, { yes: true }, out)));
    lab.run(30_000);
  }
  revoke(founder, oslo);
  revoke(lyon, rome);
  lab.run(90_000);
  const isOut = (of: Computer) => paris.sees(of) === undefined;
  assert.notEqual(isOut(oslo), isOut(rome));
  const [loser, stays] = isOut(oslo) ? [lyon, rome] : [founder, oslo];
  const line = `the removal of ${stays.wish.name} does not count: say it again if it was meant`;
  assert.ok(pairLines(loser).some((one) => one.includes(line)), pairLines(loser).join("\n"));
  revoke(loser, stays);
  lab.run(60_000);
  assert.ok(isOut(oslo) && isOut(rome));
  assert.doesNotMatch(pairLines(loser).join("\n"), /does not count/);
});

Deno.test("invariant 6: who was beyond an invite's uses, since two admins certified at once, is in again everywhere when the other's certifier goes", () => {
  const { lab, founder, others: [lyon, third] } = village(crypto, ["lyon", "third"], 83);
  assert.ok(lyon && third);
  promote(founder, lyon);
  lab.run(120_000);
  const theft = secondsAt(founder);
  const token = founder.token({ uses: 1 });
  lab.run(5_000);
  const [first, second] = ["first", "second"].map((name) => lab.computer({ name, token }));
  assert.ok(first && second);
  lab.network.partition([lyon.address, first.address]);
  first.start();
  assert.ok(lab.until(10_000, () => lyon.sees(first)?.standing === "certified"));
  lab.run(2_000); // The earlier second counts.
  second.start();
  assert.ok(lab.until(10_000, () => third.sees(second)?.standing === "certified"));
  // It never hears that it is out, and so says nothing new.
  lab.network.partition([second.address]);
  assert.ok(lab.until(90_000, () => third.sees(second) === undefined), "it came later");
  lab.run(30_000);
  revoke(founder, lyon, theft - 60);
  lab.run(30_000);
  for (const by of [founder, third]) {
    assert.equal(by.sees(second)?.standing, "certified", `${by.wish.name} takes it in again`);
  }
});

Deno.test("whoever ends the membership or the office of a machine that has the mesh key is told that the key stays in its hands", () => {
  const { lab, founder, lyon, others: [oslo] } = twoKeepers(["oslo"], 86);
  assert.ok(oslo);
  promote(founder, oslo);
  lab.run(5_000);
  const demoted = (who: Computer) =>
    done(founder.step((now, out) => founder.node.demote(now, who.id, { yes: true }, out))).lines
      .join("\n");
  const told =
    /^\S+ has the mesh key, and this does not end that: .*`shoal recover( --without lyon)?`/m;
  assert.doesNotMatch(demoted(oslo), told);
  assert.match(demoted(lyon), told);
  lab.run(5_000);
  // A member by now, and no admin.
  assert.match(revoke(founder, lyon).lines.join("\n"), told);
});

Deno.test("a member whose seed was revoked is told that the seed is out, and not to ask for a token", () => {
  const { lab, founder, lyon } = twoKeepers([], 87);
  const theft = secondsAt(founder);
  lab.run(10_000);
  revoke(lyon, founder, theft);
  lab.run(60_000);
  const seeds = healthOf(lyon).filter((line) => line.startsWith("seed "));
  assert.deepEqual(seeds, [
    `seed ${founder.address} is no member of this mesh (the key ${founder.id} was removed)`,
  ]);
});
