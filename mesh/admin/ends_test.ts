/** Items 3 and 5: what a lost signer has ended does not come back in silence (invariants 2, 3 and 4). */
import assert from "node:assert/strict";
import { toyCrypto as crypto } from "../sim/toy_crypto.ts";
import type { RecoverOptions } from "./recovery.ts";
import { GuestDevice } from "../sim/guest_device.ts";
import { Insider } from "../sim/insider.ts";
import type { Computer } from "../sim/node_lab.ts";
import {
  areMutual,
  done,
  healthOf,
  invite,
  promote,
  refusalOf,
  revoke,
  secondsAt,
  village,
} from "../sim/people.ts";

/** Milliseconds: the times in these tests are so many of this apart. */
const SPAN = 300_000;

/** Unix seconds, so many spans ago. */
function ago(by: Computer, spans: number): number {
  return secondsAt(by) - spans * SPAN / 1_000;
}

const RECOVERY = new Uint8Array(32).fill(77);
const recoveryKey = crypto.ed25519FromSeed(RECOVERY).publicKey;

/** @param n which new mesh key it is */
function recover(by: Computer, n: number, since: number, without: string[], yes = true) {
  const { lines, warnings } = done(askToRecover(by, n, { since, without, yes }));
  return { lines: lines.join("\n"), warnings: warnings.join("\n") };
}

function askToRecover(by: Computer, n: number, options: RecoverOptions) {
  const keys = { recovery: RECOVERY, meshKey: new Uint8Array(32).fill(n) };
  return by.step((now, out) => by.node.recover(now, keys, options, out));
}

for (const isOff of [false, true]) {
  const when = isOff ? "that the founder had not heard of" : "that was shortly before the theft";
  Deno.test(`item 3, invariant 4: revoke --since names whom it brings back by ending a removal ${when}`, () => {
    const { lab, founder, others: [second, third, bad] } = village(
      crypto,
      ["second", "third", "bad"],
      41,
    );
    assert.ok(second && third && bad);
    promote(founder, second);
    lab.run(60_000);
    if (isOff) founder.crash();
    lab.run(60_000);
    revoke(second, bad);
    lab.run(isOff ? 3 * SPAN : SPAN / 2);
    if (isOff) founder.start();
    lab.run(60_000);
    second.crash();
    const since = ago(founder, isOff ? 2 : 1);
    const plan = revoke(founder, second, since, false);
    assert.ok(!plan.isDone, "nothing is done before the person has agreed");
    const named = /^1 removal of second .* is a member again \(bad\): `shoal revoke` each/;
    assert.match(plan.warnings.join("\n"), named);
    lab.run(60_000);
    assert.equal(third.sees(bad), undefined);
    revoke(founder, second, since);
    lab.run(120_000);
    assert.equal(third.sees(bad)?.standing, "certified", "as it was said");
    const undone =
      /the removals of bad .*: `shoal revoke NAME` or `shoal approve NAME` settles each/;
    assert.match(healthOf(founder).join("\n"), undone);
    if (isOff) revoke(founder, bad);
    else done(founder.step((now, out) => founder.node.approve(now, bad.id, out)));
    lab.run(60_000);
    assert.equal(third.sees(bad) !== undefined, !isOff);
    assert.doesNotMatch(healthOf(founder).join("\n"), undone, "it is settled");
  });
}

Deno.test("item 3, invariants 3 and 5: recover --since on a machine that was off names whom it brings back, and asks about an office that ended", () => {
  const { lab, founder, others: [second, third, bad, worse] } = village(
    crypto,
    ["second", "third", "bad", "worse"],
    33,
    { recoveryKey },
  );
  assert.ok(second && third && bad && worse);
  promote(founder, second);
  promote(founder, worse);
  lab.run(60_000);
  second.crash();
  lab.run(SPAN);
  revoke(founder, bad);
  revoke(founder, worse, secondsAt(founder) - 10);
  lab.run(3 * SPAN);
  founder.crash();
  const since = ago(third, 2);
  second.start();
  lab.run(60_000);
  const asked = askToRecover(second, 1, { since, without: ["founder"] });
  const question =
    /heard since .* the office of worse ended: say --keep worse if a thief did it; if it was right, --without worse .*, `shoal demote worse`: a plain member then$/;
  assert.match(refusalOf(asked), question);
  const kept = done(askToRecover(second, 1, { since, without: ["founder"], keep: ["worse"] }));
  const plan = { lines: kept.lines.join("\n"), warnings: kept.warnings.join("\n") };
  assert.match(plan.lines, /2 admins signed anew: second, worse/);
  assert.match(
    plan.lines,
    /of the old mesh key and of lost admins, what this node heard of before .* is believed/,
  );
  assert.match(plan.warnings, /1 removal .* is a member again \(bad\)/);
  const better = recover(second, 1, since, ["founder", "worse", "bad"], false);
  assert.doesNotMatch(better.warnings, /again/);
  recover(second, 1, since, ["founder", "worse", "bad"]);
  lab.run(120_000);
  for (const one of [second, third]) {
    assert.equal(one.sees(bad), undefined, "a member can be put out as well");
    assert.equal(one.sees(worse), undefined);
  }
  assert.ok(areMutual([second, third]));
});

Deno.test("item 3, invariant 5: a second recovery with an earlier time keeps what the first one signed anew of what was known by then", () => {
  const { lab, founder, others: [second, third, fourth, bad] } = village(
    crypto,
    ["second", "third", "fourth", "bad"],
    34,
    { recoveryKey },
  );
  assert.ok(second && third && fourth && bad);
  promote(founder, second);
  promote(founder, third);
  lab.run(60_000);
  revoke(founder, bad);
  lab.run(4 * SPAN);
  founder.crash();
  recover(second, 1, ago(second, 2), ["founder"]);
  lab.run(SPAN);
  for (const [by, n] of [[second, 2], [third, 3]] as const) {
    const plan = recover(by, n, ago(by, 3), [], false);
    assert.match(plan.lines, /2 admins signed anew: second, third/);
    assert.doesNotMatch(plan.lines, /out until you/);
    assert.doesNotMatch(plan.warnings, /again/);
  }
  recover(second, 2, ago(second, 3), []);
  lab.run(120_000);
  assert.ok(areMutual([second, third, fourth]));
  for (const one of [second, third, fourth]) {
    assert.equal(one.sees(bad), undefined, "it stays revoked");
    assert.equal(one.sees(founder), undefined, "it stays put out");
  }
});

Deno.test("item 3, invariant 5: a second recovery with an earlier time ends what a thief did in between, though the first one believed it", () => {
  const { lab, founder, others: [second, third, fourth] } = village(
    crypto,
    ["second", "third", "fourth"],
    36,
    { recoveryKey },
  );
  assert.ok(second && third && fourth);
  promote(founder, second);
  lab.run(4 * SPAN);
  revoke(founder, fourth); // by the thief
  lab.run(SPAN / 2);
  founder.crash();
  recover(second, 1, secondsAt(second) - 60, ["founder"]);
  lab.run(60_000);
  assert.equal(third.sees(fourth), undefined);
  const plan = recover(second, 2, ago(second, 1), []);
  assert.match(plan.lines, /1 member out until you `shoal approve` each: fourth/);
  done(second.step((now, out) => second.node.approve(now, fourth.id, out)));
  lab.run(120_000);
  assert.ok(areMutual([second, third, fourth]));
});

Deno.test("item 3, invariant 3: what a stolen admin removed that was an admin then is said to be out, where its office is not kept", () => {
  const { lab, founder, others: [second, third, late, fifth] } = village(
    crypto,
    ["second", "third", "late", "fifth"],
    35,
    { recoveryKey },
  );
  assert.ok(second && third && late && fifth);
  promote(founder, second);
  promote(founder, third);
  lab.run(SPAN);
  const since = secondsAt(second);
  lab.run(5_000);
  promote(founder, late);
  lab.run(20_000);
  const mole = new Insider(third);
  for (const victim of [founder, second, late]) {
    const removal = mole.sign({ kind: "removed", key: victim.id });
    for (const one of [founder, second, late, fifth]) mole.tell(one, removal);
  }
  lab.run(60_000);
  assert.equal(fifth.sees(late)?.standing, "admin", "an admin's word is nothing against an admin");
  founder.crash();
  const plan = recover(second, 1, since, ["founder"], false);
  assert.match(plan.lines, /^late: out by the word of an admin that stays/m);
  assert.doesNotMatch(plan.lines, /late: no admin any more, a member still/);
  const better = recover(second, 1, since, ["founder", "third"]);
  assert.doesNotMatch(better.lines, /^late: out/m);
  lab.run(90_000);
  assert.equal(fifth.sees(late)?.standing, "certified", "as it was said");
});

for (const command of ["recover", "revoke"]) {
  Deno.test(`item 5, invariants 2 and 4: a lost phone and a leaked invite stay ended after a ${command} --since`, () => {
    const { lab, founder, others: [second] } = village(
      crypto,
      ["second", "third", "fourth"],
      47,
      { recoveryKey },
    );
    assert.ok(second);
    promote(founder, second);
    lab.run(60_000);
    const [host, ender] = command === "recover" ? [second, founder] : [founder, second];
    const phone = new GuestDevice(lab, 5);
    const place = host.address;
    done(
      host.step((now, out) =>
        host.node.addGuest(now, "phone", { key: phone.publicKey, place }, out)
      ),
    );
    const leaked = invite(host, { uses: 5, expiresInS: 30 * 86_400 });
    lab.run(SPAN);
    done(ender.step((now, out) => ender.node.removeGuest(now, "phone", {}, out)));
    done(ender.step((now, out) => ender.node.revokeInvite(now, leaked.id, {}, out)));
    lab.run(120_000);
    ender.crash();
    const since = ago(host, 2);
    const lines = command === "recover"
      ? recover(host, 1, since, ["founder"]).lines
      : revoke(host, ender, since, false).lines.join("\n");
    assert.match(lines, /ended of invites and guests since then stays ended \(/);
    lab.run(90_000);
    assert.deepEqual(host.node.status(host.now()).guests, []);
    const holder = lab.computer({ name: "holder", token: leaked.token });
    holder.start();
    lab.run(60_000);
    assert.ok(!holder.node.isMember);
  });
}

Deno.test("item 3, invariant 5: after revoke founder --since a recovery asks before the thief is an admin again, and keeps the honest members", () => {
  const { lab, founder, others: [second, third, fourth] } = village(
    crypto,
    ["second", "third", "fourth"],
    51,
    { recoveryKey },
  );
  assert.ok(second && third && fourth);
  promote(founder, second);
  const words = founder.wish.meshSeed;
  done(second.step((now, out) => second.node.setMeshKey(now, words, out)));
  lab.run(SPAN);
  const since = secondsAt(second);
  lab.run(5_000);
  const { lines } = revoke(second, founder, since);
  assert.match(lines.join("\n"), /until `shoal recover --without founder`, by the recovery words/);
  lab.run(60_000);
  assert.match(refusalOf(askToRecover(second, 1, { since })), /the office of founder ended: say/);
  const plan = recover(second, 1, since, ["founder"]);
  assert.match(plan.lines, /^1 admin signed anew: second$/m);
  assert.doesNotMatch(plan.lines, /came by invites|out until you/);
  lab.run(90_000);
  assert.ok(areMutual([second, third, fourth]));
  for (const one of [second, third, fourth]) assert.equal(one.sees(founder), undefined);
});

Deno.test("item 3, invariant 5: a thief that hides the founder's office under its own number is put out by name", () => {
  const { lab, founder, others: [second, third, fourth] } = village(
    crypto,
    ["second", "third", "fourth"],
    53,
    { recoveryKey },
  );
  assert.ok(second && third && fourth);
  promote(founder, second);
  lab.run(SPAN);
  const since = secondsAt(second);
  lab.run(5_000);
  const thief = new Insider(founder);
  const meshKey = crypto.ed25519FromSeed(founder.wish.meshSeed ?? new Uint8Array(32));
  const end = thief.sign({ kind: "withdrawn", key: "ab".repeat(32) }, meshKey, 1);
  for (const one of [second, third, fourth]) thief.tell(one, end);
  lab.run(60_000);
  for (const name of ["founder", founder.id, founder.id.slice(0, 16)]) {
    const plan = recover(second, 1, since, [name], false);
    assert.match(plan.lines, /^put out for ever: founder$/m);
    assert.match(plan.lines, /^1 admin signed anew: second$/m);
  }
  recover(second, 1, since, ["founder"]);
  lab.run(90_000);
  assert.ok(areMutual([second, third, fourth]));
  for (const one of [second, third, fourth]) assert.equal(one.sees(founder), undefined);
});

Deno.test("item 3, invariant 5: whoever recovers is an admin, as it is said, though a thief has hidden its certificate", () => {
  const { lab, founder, others: [second, third] } = village(
    crypto,
    ["second", "third"],
    55,
    { recoveryKey },
  );
  assert.ok(second && third);
  lab.run(SPAN);
  const since = secondsAt(second);
  lab.run(5_000);
  const thief = new Insider(founder);
  for (let number = 1; number <= 12; number++) {
    const end = thief.sign({ kind: "withdrawn", key: "ab".repeat(32) }, undefined, number);
    for (const one of [second, third]) thief.tell(one, end);
  }
  lab.run(60_000);
  const plan = recover(second, 1, since, ["founder"]);
  assert.match(plan.lines, /^1 admin signed anew: second$/m);
  lab.run(90_000);
  assert.equal(second.node.status(second.now()).self.standing, "admin");
  assert.ok(areMutual([second, third]));
});
