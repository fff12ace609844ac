/** Invites: made, listed, ended (item 12), and what they are not good for (item 2, invariant 6). */
import assert from "node:assert/strict";
import { NUMBER_MAX } from "../membership/statement.ts";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import type { InviteStatus } from "./invite.ts";
import { BURST } from "../membership/sight.ts";
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
  secondsAt,
  village,
} from "../sim/people.ts";
import { toyCrypto } from "../sim/toy_crypto.ts";

const DAY = 86_400_000;

function listOf(computer: Computer): InviteStatus[] {
  return done(computer.node.invites(computer.now()));
}

Deno.test("item 12: every member lists the invites with their maker, uses and state, and no secret of them", () => {
  const { lab, founder, others: [lyon] } = village(crypto, ["lyon"], 41);
  assert.ok(lyon);
  promote(founder, lyon);
  lab.run(5_000);
  const made = invite(lyon, { uses: 2, groups: ["web", "db"] });
  const short = invite(founder, { expiresInS: 5 });
  const guest = lab.computer({ name: "guest", token: made.token });
  guest.start();
  lab.run(20_000);
  for (const one of [founder, lyon, guest]) {
    const list = listOf(one);
    const mine = list.find(({ id }) => id === made.id);
    assert.deepEqual(
      mine && [mine.by, mine.uses, mine.used, mine.groups, mine.state],
      ["lyon", 2, 1, ["db", "web"], "open"],
    );
    assert.equal(list.find(({ id }) => id === short.id)?.state, "ended");
    assert.equal(list.filter(({ state }) => state === "used up").length, 1, "lyon's own");
    const text = JSON.stringify(one.node.status(one.now())) + JSON.stringify(list);
    assert.ok(!text.includes(made.token.slice(-40)));
  }
  assert.deepEqual(guest.node.status(guest.now()).self.groups, ["db", "web"]);
});

Deno.test("item 12: an invite that was revoked lets nobody in; whom it has let in stays, also one that was provisional", () => {
  const { lab, founder, others: [lyon, door] } = village(crypto, ["lyon", "door"], 42);
  assert.ok(lyon && door);
  const { token, id } = invite(founder, { uses: 3 });
  lab.run(5_000);
  const first = lab.computer({ name: "first", token });
  first.start();
  assert.ok(lab.until(10_000, () => lyon.sees(first)?.standing === "certified"));
  const refused = lyon.step((now, out) => lyon.node.revokeInvite(now, id, {}, out));
  assert.match(refusalOf(refused), /^invite: this node is no admin: run it on founder/);
  const unknown = founder.step((now, out) => founder.node.revokeInvite(now, "ffffffff", {}, out));
  assert.match(refusalOf(unknown), /^invite: there is no invite ffffffff: `shoal invite --list`/);
  const odd = founder.step((now, out) => founder.node.revokeInvite(now, "x;touch y", {}, out));
  assert.match(refusalOf(odd), /^invite: "x;touch y" names no invite/);
  const revoked = done(founder.step((now, out) => founder.node.revokeInvite(now, id, {}, out)));
  assert.equal(revoked.state, "revoked");
  const late = lab.computer({ name: "late", token });
  late.start();
  lab.run(15_000);
  for (const one of [founder, lyon, door]) {
    assert.equal(one.sees(late), undefined);
    assert.equal(one.sees(first)?.state, "alive");
  }
  const failure = late.events.find((event) => event.kind === "joinFailed");
  assert.match(
    failure?.kind === "joinFailed" ? failure.why : "",
    /refused us: the token was revoked: ask an admin for a new one/,
  );
  assert.equal(listOf(lyon).find((one) => one.id === id)?.state, "revoked");
});

Deno.test("invariant 6: certified members outlive their door and their token; a provisional one is out seven days after its end, until a person approves", () => {
  for (const isCertified of [true, false]) {
    const { lab, founder, others: [door, lyon] } = village(crypto, ["door", "lyon"], 43);
    assert.ok(door && lyon);
    const { token } = invite(founder, { uses: 2, expiresInS: 3_600 });
    lab.run(5_000);
    founder.crash(); // no admin's node is on: the door alone lets it in
    const one = lab.computer({ name: "one", token });
    one.start();
    lab.run(20_000);
    assert.equal(lyon.sees(one)?.standing, "provisional");
    assert.match(
      healthOf(one).join("\n"),
      /^provisional: a token has let this node in, and no admin has certified it yet/m,
    );
    const all = [founder, door, lyon, one];
    for (const each of all) each.host.skew = 6 * DAY;
    lab.run(60_000);
    assert.equal(lyon.sees(one)?.state, "alive");
    if (isCertified) {
      founder.start();
      assert.ok(lab.until(60_000, () => lyon.sees(one)?.standing === "certified"));
      lab.run(30_000);
    }
    for (const each of all) each.host.skew = 10 * DAY;
    lab.run(60_000);
    door.crash();
    lab.run(60_000);
    assert.equal(lyon.sees(one)?.state, isCertified ? "alive" : undefined);
    if (isCertified) continue;
    founder.start();
    lab.run(30_000);
    assert.equal(founder.sees(one), undefined, "too late to be certified on sight");
    const approved = founder.step((now, out) =>
      founder.node.approve(now, one.id, out, { name: "one" })
    );
    assert.equal(done(approved).name, "one");
    assert.ok(lab.until(120_000, () => lyon.sees(one)?.state === "alive"));
  }
});

Deno.test("invariant 6: a provisional member opens no door, and is named in no invite", () => {
  const { lab, founder, others: [door] } = village(crypto, ["door"], 44);
  assert.ok(door);
  const { token } = invite(founder, { uses: 5 });
  lab.run(5_000);
  founder.crash();
  const one = lab.computer({ name: "one", token });
  one.start();
  lab.run(20_000);
  assert.equal(door.sees(one)?.standing, "provisional");
  const two = lab.computer({ name: "two", token, seeds: [one.address] });
  lab.network.partition([two.address, one.address]);
  two.start();
  lab.run(30_000);
  assert.equal(one.sees(two), undefined);
  assert.equal(two.node.status(two.now()).mesh.state, "joining");
});

Deno.test("item 3: an invite of a demoted admin lets nobody in, and whom others' nodes certified for it stays", () => {
  const { lab, founder, others: [f, lyon] } = village(crypto, ["f", "lyon"], 45);
  assert.ok(f && lyon);
  promote(founder, f);
  lab.run(5_000);
  const { token } = invite(f, { uses: 3 });
  lab.run(5_000);
  const guest = lab.computer({ name: "guest", token });
  guest.start();
  assert.ok(lab.until(20_000, () => areMutual([founder, f, lyon, guest])));
  lab.run(5_000);
  const { lines } = demote(founder, f);
  assert.ok(lines.includes("1 invite of f ends"), lines.join("\n"));
  lab.run(30_000);
  const late = lab.computer({ name: "late", token });
  late.start();
  lab.run(15_000);
  assert.equal(founder.sees(late), undefined);
  assert.ok(areMutual([founder, f, lyon, guest]));
});

Deno.test("what is wrong with an invite's limits is one sentence, and nothing is signed", () => {
  const { founder } = village(crypto, ["lyon"], 46);
  const before = founder.disk?.numbers.own;
  const wrong = [
    [{ uses: 0 }, /^invite: 0 uses: a token has 1 to 65535/],
    [{ uses: 1.5 }, /^invite: 1.5 uses/],
    [{ expiresInS: 0 }, /^invite: an expiry in 0 s/],
    [{ memberDays: Infinity }, /^invite: Infinity days/],
    [{ groups: ["A B"] }, /^invite: group "A B"/],
    [{ seeds: ["lyon;rm"] }, /^invite: "lyon;rm" is no HOST:PORT/],
    [{ firstSeeds: ["lyon;rm"] }, /^invite: "lyon;rm" is no HOST:PORT/],
  ] as const;
  for (const [options, why] of wrong) {
    const made = founder.step((now, out) => founder.node.invite(now, options, out));
    assert.match(refusalOf(made), why);
  }
  assert.equal(founder.disk?.numbers.own, before);
});

Deno.test("item 6: an invite names other members where they have answered, and not wherever their records say", () => {
  const { lab, founder, others: [mole] } = village(crypto, ["mole"], 46);
  assert.ok(mole);
  const victim = { address: Uint8Array.of(198, 51, 100, 7), port: 51820, scope: 0 };
  mole.step((now, out) => mole.node.interfaces(now, [victim, mole.endpoint], out));
  lab.run(10_000);
  assert.equal(founder.sees(mole)?.state, "alive");
  assert.deepEqual(invite(founder).seeds, [founder.address, mole.address]);
});

Deno.test("places that a person adds to an invite come first; its own addresses and other doors stay, as far as there is room", () => {
  const { lab, founder, others: [second] } = village(crypto, ["second"], 46);
  assert.ok(second);
  lab.run(10_000);
  const forwarded = "lyon.example:4500";
  const usual = [founder.address, second.address];
  assert.deepEqual(invite(founder, { firstSeeds: [forwarded] }).seeds, [forwarded, ...usual]);
  assert.deepEqual(invite(founder, { firstSeeds: [founder.address] }).seeds, usual, "once");
  const instead = { seeds: ["oslo.example:1"], firstSeeds: [forwarded] };
  assert.deepEqual(invite(founder, instead).seeds, [forwarded, "oslo.example:1"]);
  const many = Array.from({ length: 8 }, (_, i) => `lyon.example:${i + 1}`);
  assert.deepEqual(invite(founder, { firstSeeds: many }).seeds, many);
});

Deno.test("revoking an invite certifies no more of those that it let in than a node does on sight, and ends it in any case", () => {
  const { lab, founder, others: [admin, door] } = village(toyCrypto, ["admin", "door"], 19);
  assert.ok(admin && door);
  promote(founder, admin);
  lab.run(30_000);
  const thief = new Insider(admin);
  const secret = thief.newIdentity().signing;
  const until = secondsAt(founder) + 1e6;
  const token = thief.sign({
    kind: "token",
    key: secret.publicKey.toHex(),
    uses: 1_000,
    groups: [],
    relay: false,
    until,
    memberUntil: until,
    doors: [admin.id],
  });
  for (let n = 0; n < 300; n++) {
    const puppet = thief.newIdentity();
    const proof = { statements: [token.bytes], admission: thief.admit(puppet, secret, `p${n}`) };
    thief.send(founder, "record", thief.describe({ proof, endpoints: [] }, puppet).bytes);
    lab.run(1);
  }
  const before = founder.disk?.numbers.own ?? 0;
  const id = secret.publicKey.toHex().slice(0, 8);
  const revoked = done(founder.step((now, out) => founder.node.revokeInvite(now, id, {}, out)));
  assert.equal(revoked.state, "revoked");
  lab.run(5_000);
  const spent = (founder.disk?.numbers.own ?? 0) - before;
  assert.ok(spent <= BURST + 1, `${spent} numbers`);
});

for (const how of ["promote", "approve"] as const) {
  Deno.test(`item 5, invariant 6: who came by an invite for one and is a member by ${how} has used it, where no admin met it before`, () => {
    const { lab, founder, others: [door, third] } = village(crypto, ["door", "third"], 81);
    assert.ok(door && third);
    const { token } = invite(founder, { uses: 1, expiresInS: 3600 });
    lab.run(5_000);
    const { meshSeed } = founder.wish;
    done(door.step((now, out) => door.node.setMeshKey(now, meshSeed, out)));
    founder.crash();
    const first = lab.computer({ name: "first", token });
    first.start();
    lab.run(20_000);
    assert.equal(first.node.status(first.now()).self.standing, "provisional");
    if (how === "promote") promote(door, first);
    else done(door.step((now, out) => door.node.approve(now, first.id, out, { name: "one" })));
    lab.run(20_000);
    founder.start();
    lab.run(60_000);
    assert.equal(founder.sees(first)?.name, how === "approve" ? "one" : "first");
    const second = lab.computer({ name: "second", token });
    second.start();
    lab.run(60_000);
    assert.ok(!second.node.isMember);
  });
}

Deno.test("an admin with one number left approves who came by an invite, and the use of it is not said", () => {
  const { lab, founder } = village(crypto, [], 83);
  const { token } = invite(founder, { uses: 1, expiresInS: 3600 });
  lab.run(5_000);
  founder.crash();
  assert.ok(founder.disk);
  founder.disk = { ...founder.disk, numbers: { ...founder.disk.numbers, own: NUMBER_MAX - 1 } };
  founder.start();
  const first = lab.computer({ name: "first", token });
  first.start();
  lab.run(20_000);
  assert.equal(first.node.status(first.now()).self.standing, "provisional");
  done(founder.step((now, out) => founder.node.approve(now, first.id, out)));
  lab.run(20_000);
  assert.equal(first.node.status(first.now()).self.standing, "certified");
});
