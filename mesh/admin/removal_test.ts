/** Item 3 of what was wrong: whoever goes, member, admin or founder, cuts off nobody honest (invariants 3 and 4). */
import assert from "node:assert/strict";
import type { NodeEvent, Who } from "../event.ts";
import type { Now, Outbox } from "../machine.ts";
import { LONG_DEAD } from "../membership/reviewing.ts";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { Insider } from "../sim/insider.ts";
import { type Computer, NodeLab } from "../sim/node_lab.ts";
import {
  areMutual,
  canTalk,
  demote,
  done,
  haveMissed,
  healthOf,
  promote,
  refusalOf,
  revoke,
  secondsAt,
  told,
  village,
} from "../sim/people.ts";
import { toyCrypto } from "../sim/toy_crypto.ts";

const HOUR = 3_600_000;

function failures(computer: Computer): string[] {
  return computer.events.flatMap((event) => event.kind === "joinFailed" ? [event.why] : []);
}

/** What must not change for a member: name, addresses, standing, end. */
function lookOf(by: Computer, of: Computer) {
  const peer = by.sees(of);
  return peer && [peer.name, peer.ip4, peer.ip6, peer.standing, peer.expires, peer.groups];
}

/**
 * `f` is an admin that has certified two members, approved one by a person's word, removed one and
 * made an invite that is open; `founder` keeps the mesh key.
 */
function estate(seed: number) {
  const { lab, founder, others: [f, plain] } = village(toyCrypto, ["f", "plain"], seed);
  assert.ok(f && plain);
  promote(founder, f);
  lab.run(5_000);
  const token = f.token({ uses: 2, groups: ["db"] });
  // Certified by f alone: the founder's node does not hear of them until they are.
  lab.network.partition([founder.address]);
  const mine = ["a", "b"].map((name) => lab.computer({ name, token }));
  for (const one of mine) one.start();
  lab.run(8_000);
  const open = f.token({ uses: 5 });
  const bad = lab.joiner(f, { name: "bad" });
  lab.run(5_000);
  revoke(f, bad);
  bad.crash();
  lab.network.heal();
  const all = [founder, f, plain, ...mine];
  assert.ok(lab.until(90_000, () => areMutual(all)), "all see each other");
  lab.run(40_000);
  const [a, b] = mine;
  assert.ok(a && b);
  for (const one of all) one.events.length = 0;
  return { lab, founder, f, plain, a, b, bad, all, open };
}

function outs(all: readonly Computer[]): Who[] {
  return all.flatMap(({ events }) =>
    events.flatMap((event) => event.kind === "memberOut" ? [event.who] : [])
  );
}

Deno.test("a mesh address stands for the key of whoever has it, in every command about somebody", () => {
  const { founder, others: [admin, plain] } = village(crypto, ["admin", "plain"]);
  assert.ok(admin && plain);
  promote(founder, admin);
  const addressesOf = ({ ip4, ip6 }: { readonly ip4: string; readonly ip6: string }) => [ip4, ip6];
  const peer = founder.sees(admin);
  assert.ok(peer);
  const status = () => founder.node.status(founder.now());
  for (const address of addressesOf(peer)) {
    const revoked = founder.step((now, out) => founder.node.revoke(now, address, {}, out));
    assert.match(refusalOf(revoked), /^revoke: admin is an admin: say with --since/);
    const asked = founder.step((now, out) => founder.node.askAdmin(now, address, out));
    assert.equal(asked?.id, admin.id);
    const promoted = founder.step((now, out) => founder.node.promote(now, address, {}, out));
    assert.match(refusalOf(promoted), /is an admin already/);
  }
  const demoted = founder.step((now, out) => founder.node.demote(now, peer.ip4, {}, out));
  assert.equal(done(demoted).who.id, admin.id);
  for (const own of addressesOf(status().self)) {
    const revoked = founder.step((now, out) => founder.node.revoke(now, own, {}, out));
    assert.match(refusalOf(revoked), /^revoke: that is this node itself/);
    const ping = founder.step((now, out) =>
      founder.node.ping(now, own, { timeoutMs: 100, size: 0 }, out)
    );
    assert.match(refusalOf(ping), /that is this node itself: name another$/);
  }
  const address = founder.sees(plain)?.ip4 ?? "";
  const { who } = done(founder.step((now, out) => founder.node.revoke(now, address, {}, out)));
  assert.equal(who.id, plain.id);
});

Deno.test("a name in the domain of the mesh stands for the name, in every command about somebody", () => {
  const { founder, others: [admin, plain] } = village(crypto, ["admin", "plain"]);
  assert.ok(admin && plain);
  const dns = (name: string) => `${name.toUpperCase()}.${founder.node.genesis?.name}.Internal.`;
  const by = <T>(act: (now: Now, out: Outbox<NodeEvent>) => T) => founder.step(act);
  const approved = by((now, out) => founder.node.approve(now, dns("plain"), out));
  assert.equal(done(approved).id, plain.id);
  const promoted = by((now, out) => founder.node.promote(now, dns("admin"), {}, out));
  assert.equal(done(promoted).id, admin.id);
  const asked = by((now, out) => founder.node.askAdmin(now, dns("admin"), out));
  assert.equal(asked?.id, admin.id);
  const own = by((now, out) => founder.node.revoke(now, dns("founder"), {}, out));
  assert.match(refusalOf(own), /^revoke: that is this node itself/);
  const demoted = by((now, out) => founder.node.demote(now, dns("admin"), {}, out));
  assert.equal(done(demoted).who.id, admin.id);
  const key = crypto.ed25519FromSeed(founder.lab.random(32)).publicKey.toHex();
  done(by((now, out) => founder.node.trust(now, key, "friend", out)));
  assert.equal(done(by((now, out) => founder.node.untrust(now, dns("friend"), out))).id, key);
  const revoked = by((now, out) => founder.node.revoke(now, dns("plain"), {}, out));
  assert.equal(done(revoked).who.id, plain.id);
  const elsewhere = by((now, out) => founder.node.revoke(now, "admin.other.internal", {}, out));
  assert.match(refusalOf(elsewhere), /^revoke: admin\.other\.internal: no member has this name/);
});

Deno.test("item 3, T41: a revoked key is out everywhere, whatever it shows", () => {
  const { lab, founder, others: [friend, thief] } = village(crypto, ["friend", "thief"]);
  assert.ok(friend && thief);
  const { id } = thief;
  const { lines, isDone } = revoke(founder, thief);
  assert.ok(isDone);
  assert.equal(lines[0], "thief is no member any more; its key cannot come back");
  lab.run(3_000);
  assert.equal(founder.sees(thief), undefined);
  assert.equal(friend.sees(thief), undefined, "the removal has been gossiped");
  assert.ok(told(thief, "revoked") > 0, "the node itself is told");
  assert.match(
    healthOf(thief).join("\n"),
    /^revoked: this node's key was revoked: .*`shoal identity renew`/m,
  );
  lab.run(20_000);
  const lasting = healthOf(thief).join("\n");
  assert.match(lasting, /^revoked: .*$/, "what every seed says as well is said once");
  for (const yes of [false, true]) {
    const left = thief.step((now, out) => thief.node.leaveForGood(now, { yes }, out));
    assert.match(
      refusalOf(left),
      /^leave: thief is no member since \d{4}-.*Z, when its key was revoked: there is nothing to leave: .*identity renew/,
    );
  }
  const approved = founder.step((now, out) => founder.node.approve(now, id, out));
  assert.match(refusalOf(approved), /^approve: the key .* was revoked for good: .* new identity/);
  thief.crash();
  thief.disk = undefined;
  thief.wish = { ...thief.wish, token: founder.token() };
  thief.start();
  lab.run(12_000);
  assert.equal(founder.sees(thief), undefined);
  assert.match(
    failures(thief)[0] ?? "",
    /refused us: our key was revoked: with `shoal identity renew`/,
  );
  // A restart of the others forgets nothing.
  friend.crash();
  friend.start();
  lab.run(3_000);
  assert.equal(friend.sees(thief), undefined);
});

Deno.test("revoke names no living member in place of one that is not there, and says of one that has left that it has", () => {
  const { lab, founder, others: [bern, second] } = village(crypto, ["bern", "bern-2"]);
  assert.ok(bern && second);
  const revoked = (who: string) =>
    refusalOf(founder.step((now, out) => founder.node.revoke(now, who, {}, out)));
  assert.equal(
    revoked("berm"),
    "revoke: berm: no member has this name, key or address: `shoal status` lists them all",
  );
  done(second.step((now, out) => second.node.leaveForGood(now, { yes: true }, out)));
  lab.run(10_000);
  assert.equal(
    revoked("bern-2"),
    `revoke: bern-2 (${second.id.slice(0, 16)}) has left the mesh for good, and its key cannot ` +
      "come back: nothing is to be revoked",
  );
  assert.ok(founder.sees(bern), "and nothing was done");
});

Deno.test("who was approved and has not come yet is revoked by its name, too", () => {
  const { lab, founder, others: [second] } = village(crypto, ["member"]);
  assert.ok(second);
  done(founder.step((now, out) => founder.node.promote(now, "member", {}, out)));
  lab.run(5_000);
  const revoked = (who: string) =>
    founder.step((now, out) => founder.node.revoke(now, who, {}, out));
  const keys = [1, 2, 3].map(() => crypto.ed25519FromSeed(lab.random(32)).publicKey.toHex());
  const approved = (by: Computer, n: number, name: string) =>
    by.step((now, out) => by.node.approve(now, keys[n] ?? "", out, { name }));
  done(approved(founder, 0, "wrong"));
  done(approved(founder, 1, "twice"));
  // The other has not heard of it; the same admin gives no name twice.
  done(approved(second, 2, "twice"));
  assert.match(
    refusalOf(approved(founder, 2, "wrong")),
    new RegExp(
      `^approve: the name wrong was given to another key, .* \\(${
        keys[0]
      }\\): choose another by --name, or \`shoal revoke ${keys[0]?.slice(0, 16)}\` first$`,
    ),
  );
  done(approved(founder, 0, "wrong"));
  lab.run(5_000);
  assert.equal(done(revoked("wrong")).who.id, keys[0]);
  assert.equal(
    refusalOf(revoked("wrong")),
    `revoke: wrong (${keys[0]?.slice(0, 16)}) is revoked already`,
  );
  assert.match(
    refusalOf(revoked("twice")),
    /^revoke: 2 machines are certified by the name twice: say which key: /,
  );
});

Deno.test("invariant 14, T41: a removal reaches everybody within 3 log2 n periods, and cuts sessions with it", () => {
  const names = Array.from({ length: 15 }, (_, i) => `m${i}`);
  const { lab, founder, others: [thief, ...honest] } = village(toyCrypto, names);
  const [one] = honest;
  assert.ok(thief && one);
  thief.say(one);
  lab.run(1_000);
  assert.equal(one.delivered.length, 1);
  revoke(founder, thief);
  const isOut = () => honest.every((one) => one.sees(thief) === undefined);
  assert.ok(lab.until(3 * Math.log2(16) * 1_000, isOut));
  thief.say(one);
  lab.run(5_000);
  assert.equal(one.delivered.length, 1, "its session does not live on");
});

Deno.test("item 3, invariant 4: a demoted admin stays a member; what it signed is signed anew, unchanged, and nobody is out at any time", () => {
  const { lab, founder, f, plain, a, b, bad, all } = estate(11);
  const before = all.map((by) => all.map((of) => by === of ? undefined : lookOf(by, of)));
  assert.deepEqual(founder.sees(a)?.groups, ["db"]);
  assert.equal(
    demote(founder, f, false).isDone,
    false,
    "nothing undoes it, so a person says --yes",
  );
  assert.equal(founder.sees(f)?.admin, true);
  const { lines, warnings, isDone } = demote(founder, f);
  assert.ok(isDone);
  assert.deepEqual(warnings, [
    "an office ends for good: only with a new identity can it be an admin again",
  ]);
  assert.deepEqual(lines, [
    "f is no admin any more",
    "2 members and 1 removal of f are signed anew by you",
    "1 invite of f ends",
    "f stays a member",
  ]);
  lab.run(60_000);
  assert.deepEqual(outs(all), [], "nobody was out for a moment");
  const isOffice = (text: unknown) => text === "admin";
  for (const [i, by] of all.entries()) {
    for (const [j, of] of all.entries()) {
      if (by === of) continue;
      const was = before[i]?.[j]?.map((one) => of === f && isOffice(one) ? "certified" : one);
      const is = lookOf(by, of);
      if (of === f && was) was[4] = is?.[4] ?? ""; // an office has no end, a membership has one
      assert.deepEqual(is, was, `${by.wish.name} of ${of.wish.name}`);
    }
    assert.equal(by.sees(bad), undefined, "the removal by f is signed anew");
    assert.deepEqual(by.node.status(by.now()).void, []);
  }
  assert.ok(canTalk(all));
  assert.equal(told(plain, "demoted"), 1);
  // One of the two that f certified restarts and meets everybody again by what it has on disk.
  a.crash();
  a.start();
  assert.ok(lab.until(30_000, () => areMutual(all)));
  // An invite of f lets nobody in any more.
  bad.disk = undefined;
  const late = lab.computer({ name: "late", token: b.wish.token ?? "" });
  late.start();
  lab.run(12_000);
  assert.equal(founder.sees(late), undefined);
});

Deno.test("item 3, invariant 3: what a demoted admin signs afterwards has no effect on anybody", () => {
  const { lab, founder, f, plain, a, b } = estate(12);
  demote(founder, f);
  lab.run(20_000);
  const insider = new Insider(f);
  const honest = [founder, plain, a, b];
  for (const one of honest) one.events.length = 0;
  const puppet = insider.newIdentity();
  const certificate = {
    key: puppet.id,
    name: "puppet",
    groups: [],
    relay: true,
    ip4Counter: 0,
    since: 0,
  };
  const until = secondsAt(f) + 86_400;
  for (const victim of honest) {
    for (const one of honest) {
      insider.tell(one, insider.sign({ kind: "removed", key: victim.id }));
      insider.tell(one, insider.sign({ kind: "member", certificate, until, token: undefined }));
      insider.tell(one, insider.sign({ kind: "demoted", key: founder.id }));
    }
  }
  insider.spread(plain, insider.describe({}, puppet));
  lab.run(60_000);
  assert.ok(areMutual(honest));
  for (const one of honest) {
    assert.ok(one.node.status(one.now()).peers.every(({ key }) => key !== puppet.id));
    assert.equal(told(one, "removed"), 0);
  }
});

Deno.test("item 3, invariant 3: an admin's removal of another admin never has an effect, not even when that one's office ends", () => {
  const { lab, founder, others: [f, g, plain] } = village(crypto, ["f", "g", "plain"], 13);
  assert.ok(f && g && plain);
  promote(founder, f);
  promote(founder, g);
  lab.run(5_000);
  const refused = f.step((now, out) => f.node.revoke(now, "g", { since: 1, yes: true }, out));
  assert.match(
    refusalOf(refused),
    /^revoke: an admin's office is ended by the mesh key: the mesh key is on founder/,
  );
  lab.run(5_000);
  const insider = new Insider(f);
  for (const one of [founder, g, plain]) {
    for (const key of [founder.id, g.id]) insider.tell(one, insider.sign({ kind: "removed", key }));
  }
  lab.run(5_000);
  assert.ok(areMutual([founder, g, plain]));
  demote(founder, g);
  lab.run(30_000);
  assert.ok(areMutual([founder, g, plain]), "g is a member still");
});

Deno.test("item 3, invariant 4: revoke of an admin keeps what was signed before --since; the rest is void, listed, and settled by approve or revoke", () => {
  const { lab, founder, f, plain, a, b } = estate(14);
  const unnamed = founder.step((now, out) => founder.node.revoke(now, "f", { yes: true }, out));
  assert.match(refusalOf(unnamed), /^revoke: f is an admin: say with --since since when/);
  const stolen = secondsAt(founder);
  lab.run(HOUR);
  // The thief of f's machine certifies two more; the founder hears of it.
  lab.network.mute(founder.address, "192.0.2.7:51820");
  const token = f.token({ uses: 2 });
  lab.network.partition([founder.address]);
  const late = ["late", "unknown"].map((name) => lab.computer({ name, token }));
  for (const one of late) one.start();
  lab.run(8_000);
  lab.network.heal();
  const [good, unknown] = late;
  assert.ok(good && unknown);
  const all = [founder, f, plain, a, b, good, unknown];
  assert.ok(lab.until(120_000, () => areMutual(all)));
  lab.run(60_000);
  const address = founder.sees(good)?.ip4;
  const { lines, warnings, isDone } = revoke(founder, f, stolen, false);
  assert.equal(isDone, false, "it cuts off members, so a person must say --yes");
  assert.equal(lines[0], "f is no admin and no member any more; its key cannot come back");
  assert.equal(lines[1], "2 members and 1 removal of f are signed anew by you");
  assert.match(
    warnings.join("\n"),
    /^2 members that f certified afterwards are out \((late, unknown|unknown, late)\): `shoal approve` or/m,
  );
  lab.run(60_000);
  assert.ok(areMutual(all), "nothing was done");
  assert.ok(revoke(founder, f, stolen, true).isDone);
  lab.run(60_000);
  const kept = [founder, plain, a, b];
  assert.ok(areMutual(kept));
  for (const one of kept) {
    assert.equal(one.sees(f), undefined);
    assert.equal(one.sees(good), undefined);
    const { void: listed, health } = one.node.status(one.now());
    assert.deepEqual(listed.map(({ name }) => name).sort(), ["late", "unknown"]);
    assert.match(
      health.join("\n"),
      /^the certificates of late, unknown do not count any more, .*settles each/m,
    );
  }
  const approved = done(founder.step((now, out) => founder.node.approve(now, "late", out)));
  assert.deepEqual([approved.id, approved.name, approved.before], [good.id, "late", undefined]);
  done(founder.step((now, out) => founder.node.revoke(now, "unknown", {}, out)));
  assert.ok(lab.until(120_000, () => areMutual([...kept, good])), "it knocks, and is in again");
  assert.equal(founder.sees(good)?.ip4, address, "at its address");
  lab.run(10_000);
  for (const one of kept) {
    assert.deepEqual(one.node.status(one.now()).void, []);
    assert.equal(one.sees(unknown), undefined);
  }
  assert.ok(canTalk([...kept, good], 40));
});

Deno.test("item 3: demoting oneself, the last admin, says so and does nothing without --yes; with it nobody is out", () => {
  const { lab, founder, others: [one, two] } = village(crypto, ["one", "two"], 15);
  assert.ok(one && two);
  const before = JSON.stringify(founder.node.snapshot().statements);
  const asked = demote(founder, founder, false);
  assert.equal(asked.isDone, false);
  assert.deepEqual(asked.warnings, [
    "an office ends for good: only with a new identity can it be an admin again",
    "this node itself is no admin any more",
    "it is the last admin: nobody can invite, approve or revoke until you promote somebody",
  ]);
  assert.deepEqual(asked.lines.slice(0, 2), [
    "founder is no admin any more",
    "2 members and 0 removals of founder are signed anew by you",
  ]);
  assert.equal(JSON.stringify(founder.node.snapshot().statements), before, "nothing was signed");
  assert.ok(demote(founder, founder, true).isDone);
  lab.run(40_000);
  const all = [founder, one, two];
  assert.ok(areMutual(all));
  assert.deepEqual(outs(all), []);
  assert.equal(founder.node.status(founder.now()).self.admin, false);
  // The mesh key is still here, and makes another admin.
  promote(founder, two);
  lab.run(5_000);
  assert.ok(two.token().length > 0);
  assert.ok(canTalk(all));
});

Deno.test("item 3, invariant 5: the founder's machine stolen: whoever has the mesh key revokes it, and nobody else is out", () => {
  const { lab, founder, others: [second, third, fourth] } = village(crypto, [
    "second",
    "third",
    "fourth",
  ], 16);
  assert.ok(second && third && fourth);
  promote(founder, second);
  lab.run(5_000);
  const early = second.step((now, out) => second.node.revoke(now, "founder", { since: 1 }, out));
  assert.match(refusalOf(early), /the mesh key is on founder: run it there/);
  const seed = founder.wish.meshSeed;
  assert.ok(seed);
  second.wish = { ...second.wish, meshSeed: seed };
  done(second.step((now, out) => second.node.setMeshKey(now, seed, out)));
  lab.run(5_000);
  assert.equal(third.sees(second)?.mesh_key, true, "others say where a person has to go");
  const since = secondsAt(second) + 10;
  const result = revoke(second, founder, since, false);
  assert.ok(result.isDone, result.warnings.join());
  lab.run(60_000);
  const kept = [second, third, fourth];
  assert.ok(areMutual(kept));
  assert.deepEqual(outs(kept).map(({ id }) => id).filter((id) => id !== founder.id), []);
  for (const one of kept) assert.equal(one.sees(founder), undefined);
  const fifth = lab.joiner(second, { name: "fifth" });
  assert.ok(lab.until(60_000, () => areMutual([...kept, fifth])), "and the mesh goes on");
  assert.ok(canTalk([...kept, fifth], 40));
});

Deno.test("a revoked member's invite that still admits others is named, and withdrawing it puts out nobody", () => {
  const lab = new NodeLab(crypto, 17);
  const founder = lab.founder();
  const token = founder.token({ uses: 3 });
  const [bad, good] = ["bad", "good"].map((name) => lab.computer({ name, token }));
  assert.ok(bad && good);
  bad.start();
  good.start();
  assert.ok(lab.until(20_000, () => areMutual([founder, good]) && founder.sees(bad) !== undefined));
  lab.run(5_000);
  const { lines } = revoke(founder, bad);
  const id = /`shoal invite --revoke ([0-9a-f]{8})` ends it/.exec(lines.join("\n"))?.[1];
  assert.ok(id, lines.join("\n"));
  done(founder.step((now, out) => founder.node.revokeInvite(now, id, {}, out)));
  const late = lab.computer({ name: "late", token });
  late.start();
  lab.run(12_000);
  assert.equal(founder.sees(late), undefined);
  assert.equal(founder.sees(good)?.state, "alive");
});

Deno.test("invariant 6: a token stays used up when its user was revoked, also at a door that never met it", () => {
  const lab = new NodeLab(crypto, 18);
  const founder = lab.founder();
  const late = lab.joiner(founder, { name: "late" });
  lab.run(3_000);
  late.crash();
  const token = founder.token({ uses: 1, seeds: [late.address] });
  // The only door that is up is the founder's own; the token names the other by its address.
  const thief = lab.computer({ token, seeds: [founder.address], name: "thief" });
  thief.start();
  lab.run(3_000);
  revoke(founder, thief);
  thief.crash();
  late.start();
  lab.run(5_000);
  founder.crash();
  const again = lab.computer({ token, seeds: [late.address] });
  again.start();
  lab.run(5_000);
  assert.equal(late.sees(again), undefined);
});

Deno.test("item 12: leave is for good: others forget it, its key cannot come back, and the last admin is warned", () => {
  const { lab, founder, others: [one, two] } = village(crypto, ["one", "two"], 19);
  assert.ok(one && two);
  const leave = (who: Computer, yes: boolean) =>
    done(who.step((now, out) => who.node.leaveForGood(now, { yes }, out)));
  const asked = leave(founder, false);
  assert.equal(asked.isDone, false);
  assert.match(
    asked.warnings.join("\n"),
    /^.* cannot come back with this key\nthis node is the last admin: .*\nthe mesh key is on this machine: [^\n]*\nthe office of founder goes on: [^\n]*$/,
  );
  assert.doesNotMatch(asked.warnings.join("\n"), /`|first/, "what to do before is said apart");
  assert.match(
    asked.advice?.join("\n") ?? "",
    /`shoal down`.*\n`shoal promote NAME`.*\n`shoal mesh-key export`/,
  );
  lab.run(3_000);
  assert.equal(one.sees(founder)?.state, "alive", "nothing happened");
  const plain = leave(one, false);
  assert.deepEqual(
    [plain.isDone, plain.warnings.length],
    [false, 1],
    "it is for ever, and says so",
  );
  assert.ok(leave(one, true).isDone);
  lab.run(5_000);
  for (const other of [founder, two]) {
    assert.equal(other.sees(one), undefined, "it is not even shown");
    assert.equal(told(other, "memberGone"), 1);
    assert.equal(told(other, "memberDied") + told(other, "memberSuspected"), 0);
  }
  one.crash();
  const { id, name } = founder.node.status(founder.now()).mesh;
  assert.ok(
    one.start()?.startsWith(`state: this node left the mesh ${id.slice(0, 16)} (${name}) for good`),
    "by what status calls it",
  );
  one.disk = undefined;
  one.wish = { ...one.wish, token: founder.token() };
  one.start();
  lab.run(12_000);
  assert.equal(founder.sees(one), undefined);
  assert.match(failures(one)[0] ?? "", /refused us: our key has left the mesh/);
  const approved = founder.step((now, out) => founder.node.approve(now, one.id, out));
  assert.match(refusalOf(approved), /^approve: .* has left the mesh for good/);
});

Deno.test("whoever was told by a member alone that it was revoked says --yes to leave all the same", () => {
  const { lab, founder, others: [one] } = village(crypto, ["one"], 24);
  assert.ok(one);
  one.crash();
  lab.run(60_000);
  revoke(founder, one);
  one.start();
  lab.run(60_000);
  const leave = (yes: boolean) => one.step((now, out) => one.node.leaveForGood(now, { yes }, out));
  assert.match(
    refusalOf(leave(false)),
    /^leave: a member says that one was revoked: then there is nothing to leave: .*say --yes$/,
  );
  assert.ok(done(leave(true)).isDone);
});

Deno.test("item 12: who leaves while nobody hears it is told what the others go on believing", () => {
  const { lab, founder, others: [one] } = village(crypto, ["one"], 23);
  assert.ok(one);
  founder.crash();
  lab.run(60_000);
  const leave = (yes: boolean) =>
    done(one.step((now, out) => one.node.leaveForGood(now, { yes }, out)));
  assert.match(
    leave(false).warnings.join("\n"),
    /\nno other member answers.*: the others keep one .* until an admin says `shoal revoke one`$/,
  );
  assert.ok(leave(true).isDone);
  one.crash();
  founder.start();
  lab.run(60_000);
  assert.ok(founder.sees(one), "as it was told");
  done(founder.step((now, out) => founder.node.revoke(now, "one", { yes: true }, out)));
  lab.run(1_000);
  assert.equal(founder.sees(one), undefined);
});

Deno.test("item 12: the long dead leave status by themselves after thirty days, and come back by knocking", () => {
  const { lab, founder, others: [one, two] } = village(crypto, ["one", "two"], 20);
  assert.ok(one && two);
  one.crash();
  lab.run(60_000);
  assert.equal(founder.sees(one)?.state, "dead");
  for (const other of [founder, two]) haveMissed(other, [one], LONG_DEAD - 120);
  lab.run(60_000);
  assert.equal(founder.sees(one)?.state, "dead");
  lab.run(240_000);
  for (const other of [founder, two]) assert.equal(other.sees(one), undefined);
  assert.equal(founder.sees(two)?.state, "alive");
  one.start();
  assert.ok(lab.until(60_000, () => areMutual([founder, one, two])));
});

Deno.test("item 12: no clock that was set makes anybody long dead", () => {
  const { lab, founder, others: [one, two] } = village(crypto, ["one", "two"], 21);
  assert.ok(one && two);
  one.crash();
  lab.run(60_000);
  founder.host.skew = 31 * 24 * HOUR;
  lab.run(2 * HOUR);
  assert.equal(founder.sees(one)?.state, "dead");
});
