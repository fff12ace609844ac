/** Item 3 of what was wrong: what a thief signs with a stolen admin's key does not outlive `revoke --since` (invariant 4). */
import assert from "node:assert/strict";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { decodeStatement, type Draft, hashOf, type StatementOf } from "../membership/statement.ts";
import { Insider } from "../sim/insider.ts";
import type { Computer } from "../sim/node_lab.ts";
import {
  areMutual,
  demote,
  done,
  healthOf,
  invite,
  promote,
  refusalOf,
  revoke,
  secondsAt,
  village,
} from "../sim/people.ts";

/** What a computer has on its disk of members' certificates. */
function certificatesOf(computer: Computer): StatementOf<"member">[] {
  return (computer.disk?.statements ?? []).flatMap((held) => {
    const bytes = Uint8Array.fromBase64(held.bytes, { alphabet: "base64url" });
    const decoded = decodeStatement(bytes, hashOf(crypto, bytes));
    return decoded.ok && decoded.value.kind === "member" ? [decoded.value] : [];
  });
}

/** `admin` alone has certified `newcomer`, the founder `other`; both are seen by all. */
function certifiedByTwo(seed: number) {
  const { lab, founder, others: [admin, other] } = village(crypto, ["admin", "other"], seed);
  assert.ok(admin && other);
  promote(founder, admin);
  lab.run(5_000);
  const newcomer = lab.joiner(admin, { name: "newcomer" });
  lab.network.partition([founder.address]);
  lab.run(8_000);
  lab.network.heal();
  lab.run(60_000);
  assert.equal(founder.sees(newcomer)?.state, "alive");
  const since = secondsAt(founder);
  lab.run(2_000);
  return { lab, founder, admin, other, newcomer, since };
}

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
  assert.deepEqual(warnings, [], "nobody ever certified whom the thief removed");
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

Deno.test("item 3, invariant 4: whom an admin, or somebody else, certified before --since stays a member, though a thief has renewed the certificate", () => {
  const { lab, founder, admin, other, newcomer, since } = certifiedByTwo(4);
  const before = [other, newcomer].map((one) => founder.sees(one)?.ip4);
  const thief = new Insider(admin);
  for (const { certificate, until } of certificatesOf(founder)) {
    if (certificate.key === admin.id) continue;
    thief.tell(founder, thief.sign({ kind: "member", certificate, until, token: undefined }));
  }
  lab.run(5_000);
  const { lines, warnings } = revoke(founder, admin, since, false);
  assert.deepEqual(warnings, [], "nobody is cut off, so nobody has to say --yes");
  assert.equal(lines[1], "1 member and 0 removals of admin are signed anew by you");
  lab.run(60_000);
  assert.ok(areMutual([founder, other, newcomer]));
  assert.deepEqual([other, newcomer].map((one) => founder.sees(one)?.ip4), before);
});

Deno.test("item 3, invariant 4: whom an admin certified before --since is a member again, though a thief has removed it since", () => {
  const { lab, founder, admin, other, newcomer, since } = certifiedByTwo(5);
  const thief = new Insider(admin);
  for (const { id } of [other, newcomer]) {
    thief.tell(founder, thief.sign({ kind: "removed", key: id }));
  }
  lab.run(5_000);
  assert.equal(founder.sees(newcomer), undefined, "the thief has put it out");
  const { lines, warnings } = revoke(founder, admin, since);
  assert.match(warnings.join(), /^2 removals of admin .* are members again \(newcomer, other\)/);
  assert.equal(lines[1], "1 member and 0 removals of admin are signed anew by you");
  assert.ok(lab.until(180_000, () => areMutual([founder, other, newcomer])));
});

Deno.test("item 3, invariant 4: where a thief has certified a key by a member's name, approve and revoke ask which key is meant", () => {
  const { lab, founder, others: [admin, other] } = village(crypto, ["admin", "other"], 4);
  assert.ok(admin && other);
  promote(founder, admin);
  lab.run(30_000);
  const since = secondsAt(founder);
  lab.run(2_000);
  // The thief has a copy of the disk, so the machine runs on. `other` only carries what it signs.
  const thief = new Insider(other);
  const puppet = thief.newIdentity();
  const at = secondsAt(founder);
  const sign = (name: string) => {
    const key = puppet.id;
    const certificate = { key, name, groups: [], relay: false, ip4Counter: 0, since: at };
    const draft = { kind: "member", certificate, until: at + 1e7, token: undefined } as const;
    return thief.sign(draft, crypto.ed25519FromSeed(admin.identitySeed), 9_000);
  };
  const lyon = lab.computer({ name: "lyon", token: admin.token() });
  lab.network.partition([founder.address]);
  lyon.start();
  lab.run(8_000);
  lab.network.heal();
  lab.run(60_000);
  // Later, or the admin's node would have found the name taken.
  thief.tell(founder, sign("lyon"));
  lab.run(1_000);
  const { warnings } = revoke(founder, admin, since);
  const [a, b] = [puppet.id, lyon.id].map((id) => id.slice(0, 16));
  assert.match(
    warnings.join("\n"),
    new RegExp(`are out \\(lyon \\((${a}|${b})\\), lyon \\((${a}|${b})\\)\\)`),
  );
  lab.run(40_000);
  const approve = (who: string) => founder.step((now, out) => founder.node.approve(now, who, out));
  const end = (who: string) => founder.step((now, out) => founder.node.revoke(now, who, {}, out));
  for (const refused of [refusalOf(approve("lyon")), refusalOf(end("lyon"))]) {
    assert.match(refused, /2 machines .* lyon.*: say which key: /);
    assert.ok(a && b && refused.includes(a) && refused.includes(b));
  }
  // The beginnings of keys that the refusal lists say who is meant, and then the name does again.
  assert.equal(done(approve(lyon.id.slice(0, 16))).id, lyon.id);
  assert.ok(lab.until(120_000, () => founder.sees(lyon)?.state === "alive"));
  assert.match(refusalOf(end("lyon")), /^revoke: 2 machines match lyon: say which key/);
  assert.match(
    refusalOf(approve("lyon")),
    /^approve: lyon is a member \(.*does not count any more/,
  );
  assert.equal(done(end(puppet.id.slice(0, 16))).who.id, puppet.id);
  assert.equal(done(approve("lyon")).id, lyon.id);
});

for (const how of ["its number hides the invite", "the thief signs for them once more"]) {
  Deno.test(`item 3, invariant 4: revoke --since names whom a thief's invite brought in, though ${how}`, () =>
    namesPuppet(how));
}

function namesPuppet(how: string): void {
  const { lab, founder, others: [admin] } = village(crypto, ["admin"], 4);
  assert.ok(admin);
  promote(founder, admin);
  lab.run(60_000);
  const since = secondsAt(founder);
  lab.run(2_000);
  const thief = new Insider(admin);
  const secret = thief.newIdentity().signing;
  const token = thief.sign(
    {
      kind: "token",
      key: secret.publicKey.toHex(),
      uses: 5,
      groups: [],
      relay: false,
      until: secondsAt(founder) + 86_400,
      memberUntil: secondsAt(founder) + 8_640_000,
      doors: [admin.id],
    },
    undefined,
    7_000,
  );
  const puppet = thief.newIdentity();
  const admission = thief.admit(puppet, secret, "puppet");
  const proof = { statements: [token.bytes], admission };
  thief.spread(founder, thief.describe({ proof, endpoints: [] }, puppet));
  lab.run(5_000);
  const at = secondsAt(founder);
  const certificate = {
    key: puppet.id,
    name: "puppet",
    groups: ["root"],
    relay: true,
    ip4Counter: 0,
    since: at,
  };
  const draft: Draft = how.includes("hides")
    ? { kind: "withdrawn", key: thief.newIdentity().id }
    : { kind: "member", certificate, until: at + 1e6, token: undefined };
  thief.tell(founder, thief.sign(draft, undefined, draft.kind === "member" ? 7_001 : 7_000));
  lab.run(5_000);
  const { lines } = revoke(founder, admin, since, true);
  assert.match(
    lines.join("\n"),
    /^1 member came by invites that admin made afterwards \(puppet\)/m,
  );
}

Deno.test("item 3, invariant 4: what one stolen admin removed stays removed when the next one goes", () => {
  const { lab, founder, others: [a, b, bad] } = village(crypto, ["a", "b", "bad"], 4);
  assert.ok(a && b && bad);
  promote(founder, a);
  promote(founder, b);
  lab.run(5_000);
  revoke(a, bad);
  lab.run(60_000);
  const since = secondsAt(founder);
  lab.run(2_000);
  const thief = new Insider(b);
  thief.tell(founder, thief.sign({ kind: "removed", key: bad.id }));
  lab.run(5_000);
  assert.match(revoke(founder, a, since).lines.join("\n"), /1 removal of a .*signed anew by you/);
  revoke(founder, b, since);
  lab.run(60_000);
  assert.equal(founder.sees(bad), undefined);
});

Deno.test("item 11, invariant 14: what is signed by a copy of an admin's folder is named by that admin's own status", () => {
  const { lab, founder, others: [second, third, mole] } = village(
    crypto,
    ["second", "third", "mole"],
    72,
  );
  assert.ok(second && third && mole);
  promote(founder, second);
  lab.run(60_000);
  done(second.step((now, out) => second.node.approve(now, third.id, out)));
  lab.run(10_000);
  second.crash();
  second.start();
  lab.run(60_000);
  assert.doesNotMatch(
    healthOf(second).join("\n"),
    /not by this machine/,
    "its disk has all it signed",
  );
  const number = (second.disk?.numbers.own ?? 0) + 1;
  const thief = new Insider(mole);
  const own = crypto.ed25519FromSeed(second.identitySeed);
  const removal = thief.sign({ kind: "removed", key: third.id }, own, number);
  for (const one of [founder, second, third]) thief.tell(one, removal);
  lab.run(20_000);
  assert.match(
    healthOf(second).join("\n"),
    /^1 thing was signed with this node's key, and not by/m,
  );
  // What it signs itself, under later numbers, is no such thing.
  done(second.step((now, out) => second.node.approve(now, mole.id, out)));
  lab.run(10_000);
  assert.match(healthOf(second).join("\n"), /^1 thing was signed/m);
});

Deno.test("item 13, invariant 13: where a thief has used the last number, the refusal says what helps", () => {
  const { lab, founder, others: [second, mole] } = village(crypto, ["second", "mole"], 71);
  assert.ok(second && mole);
  promote(founder, second);
  lab.run(20_000);
  const thief = new Insider(mole);
  const meshKey = crypto.ed25519FromSeed(founder.wish.meshSeed ?? new Uint8Array(32));
  const own = crypto.ed25519FromSeed(second.identitySeed);
  for (const signing of [meshKey, own]) {
    const last = thief.sign({ kind: "withdrawn", key: "ab".repeat(32) }, signing, 16_384);
    for (const one of [founder, second]) thief.tell(one, last);
  }
  lab.run(20_000);
  const invited = second.step((now, out) => second.node.invite(now, {}, out));
  assert.match(refusalOf(invited), /16384 statements, which is all .*: use another admin$/);
  const promoted = founder.step((now, out) => founder.node.promote(now, mole.id, {}, out));
  assert.match(
    refusalOf(promoted),
    /the mesh key has signed 16384 .*`shoal recover` names another/,
  );
});

for (const others of [["a"], ["a", "b"], ["a", "b", "c", "d", "e"]]) {
  Deno.test(`item 11, invariant 14: what an admin had signed after the copy from which its disk was restored is nobody else's work, with ${others.length} others`, () => {
    for (const seed of [1, 2, 5]) {
      const { lab, founder } = village(crypto, others, seed);
      lab.run(60_000);
      const copy = structuredClone(founder.disk);
      assert.ok(copy);
      const numbers = Array.from({ length: 5 }, () => {
        invite(founder);
        return founder.disk?.numbers.own ?? 0;
      });
      lab.run(60_000);
      founder.crash();
      founder.disk = copy;
      founder.start();
      lab.run(60_000);
      assert.doesNotMatch(healthOf(founder).join("\n"), /not by this machine/, `seed ${seed}`);
      invite(founder);
      assert.equal(founder.disk?.numbers.own, Math.max(...numbers) + 1, "no number is used again");
    }
  });
}

Deno.test("what a stolen admin has signed twice is shown no more once its office has ended, here or on a member that starts anew", () => {
  const { lab, founder, admin, other, since } = hiddenRemoval(4);
  const lines = () => [founder, other].map((one) => healthOf(one).join("\n"));
  for (const line of lines()) assert.match(line, /signed two things under one number/);
  revoke(founder, admin, since);
  lab.run(40_000);
  for (const line of lines()) assert.doesNotMatch(line, /two things|admin has signed|demote/);
  other.crash();
  other.start();
  lab.run(30_000);
  for (const line of lines()) assert.doesNotMatch(line, /two things|admin has signed|demote/);
});
