/** Attacks with old, used-up, withdrawn invites, and with a stolen admin's machine. */
import assert from "node:assert/strict";
import { parseToken } from "./door/token.ts";
import { nobleCrypto as crypto } from "./noble_crypto.ts";
import { Insider } from "./sim/insider.ts";
import type { Computer } from "./sim/node_lab.ts";
import {
  areMutual,
  demote,
  done,
  invite,
  promote,
  refusalOf,
  revoke,
  secondsAt,
  village,
} from "./sim/people.ts";

const DAY = 86_400_000;

function tokenOf(text: string) {
  const parsed = parseToken(crypto, text);
  assert.ok(parsed.ok);
  return parsed.value;
}

function end(by: Computer, id: string) {
  return by.step((now, out) => by.node.revokeInvite(now, id, {}, out));
}

Deno.test("an invite that an admin withdrew before its theft stays withdrawn when that admin is revoked", () => {
  const { lab, founder, others: [admin, other] } = village(crypto, ["admin", "other"], 4);
  assert.ok(admin && other);
  promote(founder, admin);
  lab.run(10_000);
  const { token, id } = invite(founder, { expiresInS: 30 * 86_400 });
  lab.run(5_000);
  assert.equal(done(end(admin, id)).state, "revoked");
  lab.run(60_000);
  const since = secondsAt(founder);
  lab.run(5_000);
  const thief = new Insider(admin);
  const { kind, key, uses, relay, groups, until, memberUntil } = tokenOf(token).statement;
  const doors = [admin.id];
  const same = thief.sign({ kind, key, uses, relay, groups, until, memberUntil, doors });
  thief.tell(founder, same);
  lab.run(5_000);
  revoke(founder, admin, since);
  lab.run(30_000);
  const listed = done(founder.node.invites(founder.now())).find((one) => one.id === id);
  const guest = lab.computer({ name: "guest", token });
  guest.start();
  lab.run(20_000);
  assert.equal(founder.sees(guest), undefined, "who holds the withdrawn invite is in");
  assert.equal(listed?.state, "revoked");
});

Deno.test("invariant 4: revoke --since names whom a thief brought in by another's invite that it made larger and then hid", () => {
  const { lab, founder, others: [admin] } = village(crypto, ["admin"], 4);
  assert.ok(admin);
  promote(founder, admin);
  lab.run(10_000);
  // An invite for one, used up long ago, whose line somebody has kept.
  const { token } = invite(founder);
  const first = lab.computer({ name: "first", token });
  first.start();
  lab.run(60_000);
  assert.equal(founder.sees(first)?.standing, "certified");
  const since = secondsAt(founder);
  lab.run(2_000);
  const thief = new Insider(admin);
  const { secret, statement } = tokenOf(token);
  const { kind, key, relay, groups, until, memberUntil } = statement;
  const larger = thief.sign(
    { kind, key, uses: 1_000, relay, groups, until, memberUntil, doors: [admin.id] },
    undefined,
    7_000,
  );
  const puppets = ["p1", "p2", "p3"].map((name) => {
    const self = thief.newIdentity();
    const proof = { statements: [larger.bytes], admission: thief.admit(self, secret, name) };
    thief.spread(founder, thief.describe({ proof, endpoints: [] }, self));
    lab.run(1_000);
    return self;
  });
  lab.run(5_000);
  const junk = thief.newIdentity().id;
  thief.tell(founder, thief.sign({ kind: "withdrawn", key: junk }, undefined, 7_000));
  lab.run(5_000);
  const { lines, warnings } = revoke(founder, admin, since);
  lab.run(60_000);
  const members = new Set(founder.node.status(founder.now()).peers.map((one) => one.key));
  const inside = puppets.filter(({ id }) => members.has(id)).length;
  const text = [...lines, ...warnings].join("\n");
  assert.ok(
    inside === 0 || /p1/.test(text),
    `${inside} puppets are members and not named: ${text}`,
  );
});

Deno.test("a stolen admin, even after its end, keeps nobody from ending an invite by the name that the list shows", () => {
  const { lab, founder, others: [admin] } = village(crypto, ["admin"], 4);
  assert.ok(admin);
  promote(founder, admin);
  lab.run(30_000);
  const since = secondsAt(founder);
  lab.run(2_000);
  const { token, id } = invite(founder, { uses: 50, expiresInS: 30 * 86_400 });
  const thief = new Insider(admin);
  const { kind, key, uses, relay, groups, until, memberUntil } = tokenOf(token).statement;
  const alike = key.slice(0, 8) + thief.newIdentity().id.slice(8);
  const doors = [admin.id];
  thief.tell(
    founder,
    thief.sign({ kind, key: alike, uses, relay, groups, until, memberUntil, doors }),
  );
  lab.run(5_000);
  revoke(founder, admin, since);
  lab.run(30_000);
  const listed = done(founder.node.invites(founder.now()));
  assert.deepEqual(listed.filter((one) => one.id === id).length, 1, "the list shows one");
  assert.equal(refusalOf(end(founder, id)), "");
});

Deno.test("who joins late by an invite whose memberships have ended uses up no numbers of an admin", () => {
  const { lab, founder } = village(crypto, ["other"], 4);
  const { token } = invite(founder, { uses: 50, expiresInS: 365 * 86_400, memberDays: 30 });
  lab.run(5_000);
  for (const one of lab.computers) one.host.skew = 61 * DAY;
  lab.run(60_000);
  const late = lab.computer({ name: "late", token }, 61 * DAY);
  late.start();
  lab.run(30_000);
  const before = founder.node.snapshot().numbers.own;
  lab.run(600_000);
  const used = founder.node.snapshot().numbers.own - before;
  assert.ok(used <= 1, `${used} numbers in ten minutes, of 12,288 for all time`);
});

Deno.test("invariant 6: whose membership for a day has ended is no member again a month later, while the invite is open", () => {
  const { lab, founder, others: [other] } = village(crypto, ["other"], 4);
  assert.ok(other);
  const { token } = invite(founder, { uses: 1, expiresInS: 90 * 86_400, memberDays: 1 });
  lab.run(5_000);
  const guest = lab.computer({ name: "guest", token });
  guest.start();
  lab.run(20_000);
  assert.equal(founder.sees(guest)?.standing, "certified");
  const all = lab.computers;
  for (const one of all) one.host.skew = 2 * DAY;
  lab.run(120_000);
  for (const one of [founder, other]) assert.equal(one.sees(guest), undefined, "its day is over");
  for (const one of all) one.host.skew = 32 * DAY;
  lab.run(300_000);
  const seen = [founder, other].map((one) => one.sees(guest)?.standing);
  assert.deepEqual(seen, [undefined, undefined]);
});

Deno.test("invariant 6: an invite for one admits no second machine when the certificate of the first is forgotten", () => {
  const { lab, founder, others: [other] } = village(crypto, ["other"], 4);
  assert.ok(other);
  const { token } = invite(founder, { uses: 1, expiresInS: 90 * 86_400, memberDays: 30 });
  lab.run(5_000);
  other.crash(); // a door of the invite that hears of its use by the certificate alone
  const first = lab.computer({ name: "first", token });
  first.start();
  lab.run(20_000);
  assert.equal(founder.sees(first)?.standing, "certified");
  other.start();
  assert.ok(lab.until(90_000, () => areMutual([founder, other, first])));
  first.crash();
  for (const one of lab.computers) one.host.skew = 61 * DAY;
  lab.run(120_000);
  const second = lab.computer({ name: "second", token }, 61 * DAY);
  second.start();
  lab.run(30_000);
  assert.equal(other.sees(second)?.standing, undefined);
});

Deno.test("who came by a door that has left since is let in by another door of its invite", () => {
  const { lab, founder, others: [gone, door] } = village(crypto, ["gone", "door"], 4);
  assert.ok(gone && door);
  const { token } = invite(founder, { expiresInS: 30 * 86_400 });
  lab.run(5_000);
  // No admin is on, and one door alone.
  founder.crash();
  door.crash();
  const late = lab.computer({ name: "late", token });
  late.start();
  assert.ok(lab.until(20_000, () => late.node.isMember && gone.sees(late) !== undefined));
  late.crash();
  done(gone.step((now, out) => gone.node.leaveForGood(now, { yes: true }, out)));
  lab.run(1_000);
  // What it said reaches the others, and it is away; the newcomer reaches the other door alone.
  founder.start();
  door.start();
  assert.ok(
    lab.until(60_000, () => founder.sees(gone) === undefined && areMutual([founder, door])),
  );
  gone.crash();
  const { deliver } = founder.host;
  founder.host.deliver = (from, bytes) => {
    // The founder's place is behind a firewall: only members that it talks to reach it.
    if (from !== late.address || founder.sees(late) !== undefined) {
      deliver.call(founder.host, from, bytes);
    }
  };
  assert.equal(late.start(), undefined);
  lab.run(300_000);
  assert.equal(door.sees(late)?.state, "alive", "the other door has let it in");
  assert.equal(founder.sees(late)?.state, "alive", "and nobody else takes it for a member");
});

Deno.test("invariant 6: a used-up invite stays used up when its user was revoked and its certifier is demoted", () => {
  const { lab, founder, others: [admin] } = village(crypto, ["admin"], 4);
  assert.ok(admin);
  promote(founder, admin);
  lab.run(10_000);
  const { token } = invite(founder, { uses: 1, expiresInS: 30 * 86_400 });
  lab.run(5_000);
  founder.crash();
  const bad = lab.computer({ name: "bad", token });
  bad.start();
  assert.ok(lab.until(30_000, () => admin.sees(bad)?.standing === "certified"));
  lab.run(5_000);
  founder.start();
  assert.ok(lab.until(90_000, () => areMutual([founder, admin, bad])));
  lab.run(30_000);
  revoke(founder, bad);
  bad.crash();
  lab.run(10_000);
  const [before] = done(founder.node.invites(founder.now()));
  assert.equal(before?.state, "used up");
  demote(founder, admin);
  lab.run(10_000);
  const again = lab.computer({ name: "bad", token });
  again.start();
  lab.run(30_000);
  assert.equal(founder.sees(again), undefined, "the one use was used twice");
});
