/** Whole nodes whose wall clock is wrong for a while (T30): nobody is lost by it. */
import assert from "node:assert/strict";
import { fromBase64url } from "./base64url.ts";
import { formatEndpoint } from "./endpoint.ts";
import { Effects } from "./machine.ts";
import { identityFromSeed } from "./membership/identity.ts";
import { nobleCrypto } from "./noble_crypto.ts";
import { openRecord } from "./membership/record.ts";
import { decodeStatement, hashOf, subjectOf } from "./membership/statement.ts";
import { Insider } from "./sim/insider.ts";
import { type Computer, NodeLab } from "./sim/node_lab.ts";
import {
  areMutual,
  canTalk,
  demote,
  done,
  promote,
  refusalOf,
  revoke,
  secondsAt,
  told,
  village,
} from "./sim/people.ts";
import { toyCrypto } from "./sim/toy_crypto.ts";
import { Tunnels } from "./tunnel/tunnels.ts";
import type { TunnelEvent } from "./tunnel/types.ts";

const DAY = 86_400_000;
const HOUR = 3_600_000;

const WHO_RESTARTS: readonly [string, (at: number) => boolean][] = [
  ["all restart", () => true],
  ["the founder restarts", (at) => at === 0],
  ["all but the founder restart", (at) => at > 0],
];

function trio(seed: number): { lab: NodeLab; founder: Computer; others: Computer[] } {
  const lab = new NodeLab(nobleCrypto, seed);
  const founder = lab.founder();
  const token = founder.token({ uses: 2 });
  const others = [1, 2].map(() => lab.computer({ token }));
  for (const other of others) other.start();
  lab.run(60_000);
  return { lab, founder, others };
}

function states(computer: Computer): string[] {
  return computer.node.status(computer.now()).peers.map(({ state }) => state);
}

function health(computer: Computer): string {
  return computer.node.status(computer.now()).health.join("\n");
}

Deno.test("T30: a start in 1970 loses nobody: all are members again as soon as the clock is right", () => {
  const { lab, founder, others } = trio(2);
  founder.crash();
  lab.run(1_000);
  founder.host.skew = 1_000 - founder.now().wall;
  founder.start();
  lab.run(20_000);
  assert.deepEqual(states(founder), [], "nobody's certificate has begun in 1970");
  assert.match(
    health(founder),
    /^clock: it is 1970-.*this node's certificate was signed .*: set the/m,
  );
  assert.match(health(founder), /^clock: the certificates of 2 members are not valid at this/m);
  founder.host.skew = 0;
  lab.run(120_000);
  assert.deepEqual(states(founder), ["alive", "alive"]);
  for (const other of others) assert.deepEqual(states(other), ["alive", "alive"]);
  assert.equal(health(founder), "");
  founder.crash();
  founder.start();
  lab.run(5_000);
  assert.deepEqual(states(founder), ["alive", "alive"], "what is on disk is whole, too");
});

Deno.test("T30: a wrong start that ends before the clock is right leaves everybody on disk", () => {
  const { lab, founder } = trio(3);
  founder.crash();
  founder.host.skew = 1_000 - founder.now().wall;
  founder.start();
  lab.run(20_000);
  founder.crash();
  assert.equal(founder.disk?.members.length, 2);
  founder.host.skew = 0;
  founder.start();
  lab.run(10_000);
  assert.deepEqual(states(founder), ["alive", "alive"]);
});

Deno.test("T30: twenty years ahead for 40 s expel nobody, nor do two", () => {
  for (const ahead of [20 * 365 * DAY, 2 * 365 * DAY]) {
    const { lab, founder, others } = trio(4);
    founder.host.skew = ahead;
    lab.run(40_000);
    founder.host.skew = 0;
    lab.run(120_000);
    assert.deepEqual(states(founder), ["alive", "alive"], `${ahead / DAY} days`);
    for (const other of others) assert.deepEqual(states(other), ["alive", "alive"]);
  }
});

Deno.test("whoever forgot us altogether is introduced to us again, without seeds", () => {
  const { lab, founder, others: [other] } = trio(5);
  assert.ok(other && founder.disk);
  founder.crash();
  founder.disk = { ...founder.disk, members: [], admissions: [] };
  founder.start();
  assert.ok(lab.until(60_000, () => founder.sees(other)?.state === "alive"));
});

Deno.test("R37: a member that starts anew with a clock an hour behind reaches all at once, and people hear why it costs more", () => {
  const { lab, all, founder, others: [board] } = village(toyCrypto, ["board", "other"], 15);
  assert.ok(board);
  lab.run(2 * HOUR);
  for (const one of all) if (one !== board) board.say(one);
  lab.run(30_000);
  board.crash();
  board.host.skew = -HOUR;
  board.start();
  lab.run(300_000); // The sessions of before are over.
  for (let times = 0; times < 3; times++) {
    founder.delivered.length = 0;
    board.say(founder);
    lab.run(1_000);
    assert.equal(founder.delivered.length, 1, `after ${times} silences`);
    lab.run(300_000); // The session is over, and the member begins again.
  }
  assert.match(health(founder), /^clock: handshakes of board bear an older time .*: compare the/);
  board.host.skew = 0;
  board.say(founder);
  lab.run(1_000);
  assert.equal(health(founder), "");
});

Deno.test("a virtual machine that was set back to a snapshot seals no packet under a number that was used, once its clock is set", () => {
  const { lab, all, others: [vm] } = village(toyCrypto, ["vm", "lyon", "oslo"], 17);
  assert.ok(vm);
  const rest = all.filter((one) => one !== vm);
  const talk = () => {
    for (const one of rest) one.delivered.length = 0;
    for (const one of rest) vm.say(one);
    lab.run(1_000);
  };
  const numbers: string[] = [];
  let begun = 0;
  lab.tap = ({ bytes }, from) => {
    if (from === vm && bytes[0] === 4) numbers.push(bytes.subarray(4, 16).toHex());
    if (bytes[0] === 1 && bytes.length === 148) begun++;
  };
  talk();
  const setBack = vm.counters();
  for (let times = 0; times < 5; times++) talk();
  begun = 0;
  setBack();
  vm.host.skew = HOUR;
  lab.run(1_500);
  assert.equal(begun, rest.length, "one handshake a peer");
  talk();
  for (const one of rest) assert.equal(one.delivered.length, 1);
  assert.equal(begun, rest.length);
  assert.equal(new Set(numbers).size, numbers.length);
});

Deno.test("R37: one handshake of the year 2200, by whoever has a copy of a member's key, stops nothing of the member", () => {
  const { lab, founder, others: [victim, other] } = village(toyCrypto, ["victim", "other"], 16);
  assert.ok(victim && other);
  const thief = new Tunnels({ crypto: toyCrypto, random: lab.random });
  const now = { boot: 1_000, wall: Date.UTC(2200, 0) };
  const out = new Effects<TunnelEvent>();
  thief.setPrivateKey(now, identityFromSeed(toyCrypto, victim.identitySeed).tunnelSecret, out);
  thief.up(now, out);
  for (const one of [founder, other]) {
    const key = toyCrypto.ed25519ToX25519Public(Uint8Array.fromHex(one.id));
    assert.ok(key);
    const added = thief.addPeer(now, key, out);
    assert.ok(added.kind === "added");
    thief.setEndpoint(now, added.peer, one.endpoint, out);
    thief.startHandshake(now, added.peer, out);
  }
  assert.equal(out.datagrams.length, 2);
  for (const { bytes, to } of out.datagrams) {
    lab.network.send("198.51.100.7:4000", formatEndpoint(to), bytes, bytes.length);
  }
  lab.run(300_000);
  for (let restarts = 0; restarts < 2; restarts++) {
    for (const one of [founder, other]) {
      one.delivered.length = 0;
      victim.say(one);
    }
    lab.run(1_000);
    for (const one of [founder, other]) assert.equal(one.delivered.length, 1);
    victim.crash();
    victim.start();
    lab.run(300_000);
  }
});

for (
  const [when, aheadMs] of [["four minutes ahead", 240_000], ["of the year 2200", 5e12]] as const
) {
  Deno.test(`R37: whoever has a copy of a member's key keeps that one out for less than a minute by one handshake ${when}`, () => {
    const { lab, founder, others: [victim, other] } = village(toyCrypto, ["victim", "other"], 16);
    assert.ok(victim && other);
    lab.run(300_000); // No session is left, so that its place is where the handshake comes from.
    const thief = new Tunnels({ crypto: toyCrypto, random: lab.random });
    const out = new Effects<TunnelEvent>();
    const now = { boot: 1_000, wall: founder.now().wall + aheadMs };
    thief.setPrivateKey(now, identityFromSeed(toyCrypto, victim.identitySeed).tunnelSecret, out);
    thief.up(now, out);
    for (const one of [founder, other]) {
      const key = toyCrypto.ed25519ToX25519Public(Uint8Array.fromHex(one.id));
      assert.ok(key);
      const added = thief.addPeer(now, key, out);
      assert.ok(added.kind === "added");
      thief.setEndpoint(now, added.peer, one.endpoint, out);
      thief.startHandshake(now, added.peer, out);
    }
    for (const { bytes, to } of out.datagrams) {
      lab.network.send("198.51.100.7:4000", formatEndpoint(to), bytes, bytes.length);
    }
    lab.run(1_000);
    for (const one of [founder, other]) {
      one.delivered.length = 0;
      const isHeard = () => one.delivered.length > 0;
      let seconds = 0;
      for (; seconds < 60 && !isHeard(); seconds++) {
        victim.say(one);
        lab.run(1_000);
      }
      assert.ok(isHeard(), `${one.wish.name} has heard nothing for ${seconds} s`);
    }
  });
}

for (const [who, doesRestart] of WHO_RESTARTS) {
  Deno.test(`T30: the clocks of all are 400 days ahead and ${who}: all are members again when the clocks are right`, () => {
    for (const minutes of [1, 150]) {
      const { lab, all } = village(toyCrypto, ["n0", "n1", "n2"], 7);
      for (const one of all) one.host.skew = 400 * DAY;
      lab.run(minutes * 30_000);
      for (const [at, one] of all.entries()) {
        if (!doesRestart(at)) continue;
        one.crash();
        one.start();
      }
      lab.run(minutes * 30_000);
      for (const one of all) one.host.skew = 0;
      assert.ok(lab.until(300_000, () => areMutual(all)), `${minutes} min: ${all.map(health)}`);
      // After hours a node has forgotten what it signed, and takes that for another's when it hears it again.
      const isShort = minutes === 1;
      lab.run(60_000);
      for (const one of all) if (isShort) assert.equal(health(one), "");
    }
  });
}

Deno.test("a certificate that has really ended is forgotten thirty days later", () => {
  const lab = new NodeLab(nobleCrypto, 6);
  const founder = lab.founder();
  const guest = lab.joiner(founder, { name: "guest" });
  lab.run(5_000);
  guest.crash();
  founder.host.skew = 366 * DAY;
  lab.run(60_000);
  assert.match(health(founder), /the certificate of a member is not valid/);
  founder.host.skew = (366 + 31) * DAY;
  lab.run(HOUR / 2);
  assert.equal(founder.node.snapshot().members.length, 1, "a clock that was just set is doubted");
  lab.run(HOUR);
  assert.doesNotMatch(health(founder), /^clock/m);
  assert.equal(founder.node.snapshot().members.length, 0);
});

for (const [year, skew] of [["1970", undefined], ["2046", 20 * 365 * DAY]] as const) {
  Deno.test(`T30: a first join by a clock in ${year} waits, says so, and goes on when it is right`, () => {
    const lab = new NodeLab(nobleCrypto, 9);
    const founder = lab.founder();
    const board = lab.computer({ token: founder.token() });
    board.host.skew = skew ?? 1_000 - founder.now().wall;
    assert.equal(board.start(), undefined);
    lab.run(30_000);
    assert.equal(board.node.isMember, false);
    const failures = board.events.filter((event) => event.kind === "joinFailed");

    assert.ok(failures.length > 0 && failures.every(({ isOfClock }) => isOfClock));
    assert.match(health(board), /by the clock of this machine.*set it, and the join goes on/);
    board.host.skew = 0;
    assert.ok(lab.until(70_000, () => board.node.isMember && states(founder)[0] === "alive"));
    assert.doesNotMatch(health(board), /clock/);
  });
}

Deno.test("T30: who is promoted by a clock that is ahead stays in, and is an admin at once", () => {
  const { lab, founder, others: [promoted, other] } = trio(7);
  assert.ok(promoted && other);
  founder.host.skew = DAY;
  const { id } = promoted;
  done(founder.step((now, out) => founder.node.promote(now, id, {}, out)));
  lab.run(60_000);
  founder.host.skew = 0;
  const isAdmin = (by: Computer) => by.sees(promoted)?.admin === true;
  assert.ok(isAdmin(founder) && isAdmin(other));
  assert.equal(promoted.node.status(promoted.now()).self.admin, true);
  lab.run(120_000);
  for (const one of [founder, other]) assert.equal(one.sees(promoted)?.state, "alive");
  // What it signs counts, and whoever starts anew takes it in.
  promoted.token();
  other.crash();
  other.start();
  lab.run(10_000);
  assert.ok(isAdmin(other));
  assert.deepEqual(states(other), ["alive", "alive"]);
  for (const one of [founder, promoted, other]) {
    assert.equal(one.events.filter(({ kind }) => kind === "memberExpired").length, 0);
  }
  assert.match(
    health(promoted),
    /^clock: it is 2026-01-01T.* here, and this node's certificate was signed 2026-01-02T.*: compare the clocks of both machines: until then an earlier certificate counts$/,
  );
  for (const one of [founder, other]) assert.equal(health(one), "");
  for (const one of [founder, promoted, other]) one.host.skew = DAY;
  lab.run(60_000);
  for (const one of [founder, promoted, other]) assert.equal(health(one), "");
  assert.ok(isAdmin(founder) && isAdmin(other));
});

Deno.test("T30: members whose certificates lost their signer and were approved by a clock that is ahead keep no node busy", () => {
  const { lab, founder, others: [lyon, mole] } = village(nobleCrypto, ["lyon", "mole"], 8);
  assert.ok(lyon && mole);
  promote(founder, lyon);
  lab.run(120_000);
  founder.crash(); // So that it is lyon who certifies.
  const token = lyon.token({ uses: 2 });
  const [one, two] = ["one", "two"].map((name) => lab.computer({ name, token }));
  assert.ok(one && two);
  for (const newcomer of [one, two]) newcomer.start();
  assert.ok(lab.until(60_000, () => areMutual([lyon, mole, one, two])));
  founder.start();
  lab.run(60_000);
  // Its word comes in pieces: first the end of the office, later the new certificates.
  lab.network.partition([founder.address]);
  founder.host.skew = DAY;
  const before = new Set(founder.disk?.statements.map(({ bytes }) => bytes));
  for (const { id } of [one, two]) {
    done(founder.step((now, out) => founder.node.approve(now, id, out, {})));
  }
  revoke(founder, lyon, secondsAt(founder));
  const said = (founder.disk?.statements ?? []).flatMap(({ bytes }) => {
    const read = Uint8Array.fromBase64(bytes, { alphabet: "base64url" });
    const statement = decodeStatement(read, hashOf(nobleCrypto, read));
    return before.has(bytes) || !statement.ok ? [] : [statement.value];
  });
  const insider = new Insider(mole);
  const tell = (kind: string, about: Computer) => {
    const told = said.filter((statement) =>
      statement.kind === kind && subjectOf(statement) === about.id
    );
    assert.equal(told.length, 1);
    for (const statement of told) insider.tell(one, statement);
    lab.run(2_000);
  };
  tell("demoted", lyon);
  tell("member", one);
  tell("member", two);
  assert.match(
    health(one),
    /^clock: .*this node's certificate was signed .*: set the clock; if it is right, /m,
  );
  lab.run(120_000); // The simulation ends where a machine is due without end.
  const all = [founder, one, two];
  for (const computer of all) computer.host.skew = DAY;
  lab.network.heal();
  const isAlive = (by: Computer, of: Computer) => by === of || by.sees(of)?.state === "alive";
  const isWhole = () => all.every((by) => all.every((of) => isAlive(by, of)));
  assert.ok(lab.until(180_000, isWhole), "when the time has come all are in again");
});

for (const act of ["demote", "revoke", "recover"] as const) {
  Deno.test(`T30: ${act} by a clock that is ahead cuts off nobody whom it signs anew`, () => {
    const recovery = new Uint8Array(32).fill(77);
    const recoveryKey = toyCrypto.ed25519FromSeed(recovery).publicKey;
    const names = ["lyon", "other"];
    const { lab, founder, others: [lyon, other] } = village(toyCrypto, names, 9, { recoveryKey });
    assert.ok(lyon && other);
    promote(founder, lyon);
    lab.run(120_000);
    founder.crash();
    const newcomer = lab.joiner(lyon, { name: "newcomer" });
    assert.ok(lab.until(60_000, () => areMutual([lyon, other, newcomer])));
    founder.start();
    lab.run(60_000);
    founder.host.skew = DAY;
    if (act === "demote") demote(founder, lyon);
    else if (act === "revoke") revoke(founder, lyon, secondsAt(founder));
    else {
      const seeds = { recovery, meshKey: new Uint8Array(32).fill(78) };
      done(founder.step((now, out) => founder.node.recover(now, seeds, { yes: true }, out)));
    }
    lab.run(30_000);
    founder.host.skew = 0;
    lab.run(120_000);
    const all = [founder, other, newcomer, ...(act === "revoke" ? [] : [lyon])];
    for (const by of all) {
      assert.ok(all.every((of) => by === of || by.sees(of)?.state === "alive"), health(by));
      assert.equal(health(by), "");
      assert.equal(by.events.filter(({ kind }) => kind === "memberExpired").length, 0);
    }
  });
}

Deno.test("T30: who was approved by a clock a year ahead, and recovers the mesh by one an hour ahead, is believed at once", () => {
  const recovery = new Uint8Array(32).fill(79);
  const recoveryKey = nobleCrypto.ed25519FromSeed(recovery).publicKey;
  const names = ["lyon", "other"];
  const { lab, founder, others: [lyon, other] } = village(nobleCrypto, names, 11, { recoveryKey });
  assert.ok(lyon && other);
  promote(founder, lyon);
  lab.run(60_000);
  lyon.host.skew = 400 * DAY;
  done(lyon.step((now, out) => lyon.node.approve(now, other.id, out)));
  lab.run(30_000);
  lyon.crash();
  lyon.host.skew = 0;
  other.host.skew = 3_600_000;
  const seeds = { recovery, meshKey: new Uint8Array(32).fill(80) };
  done(other.step((now, out) => other.node.recover(now, seeds, { yes: true }, out)));
  lab.run(30_000);
  other.host.skew = 0;
  lyon.start();
  lab.run(120_000);
  for (const by of [founder, lyon, other]) {
    assert.equal(by.node.status(by.now()).self.admin, true, by.address);
    const isAlive = (of: Computer) => by === of || by.sees(of)?.state === "alive";
    assert.ok([founder, lyon, other].every(isAlive), health(by));
  }
});

Deno.test("T30: who was approved anew by a clock a year ahead is still a door at which somebody can join", () => {
  const { lab, founder, others: [lyon, other] } = village(nobleCrypto, ["lyon", "other"], 12);
  assert.ok(lyon && other);
  promote(founder, lyon);
  lab.run(60_000);
  const token = other.step((now, out) => founder.node.invite(now, {}, out));
  lab.run(5_000);
  lyon.host.skew = 400 * DAY;
  done(lyon.step((now, out) => lyon.node.approve(now, other.id, out)));
  lab.run(30_000);
  for (const one of [lyon, founder]) one.crash();
  const guest = lab.computer({ name: "guest", token: done(token).token, seeds: [other.address] });
  guest.start();
  assert.ok(lab.until(60_000, () => guest.node.isMember), health(guest));
});

Deno.test("T30: a recovery by a clock a year ahead counts at once, also where no certificate counted before", () => {
  const [recovery, meshSeed] = [81, 82].map((byte) => new Uint8Array(32).fill(byte));
  assert.ok(recovery && meshSeed);
  const { publicKey: recoveryKey } = nobleCrypto.ed25519FromSeed(recovery);
  const wish = { recoveryKey, meshSeed };
  const { lab, founder, others } = village(nobleCrypto, ["lyon", "other", "third"], 13, wish);
  const [lyon, other] = others;
  assert.ok(lyon && other);
  done(lyon.step((now, out) => lyon.node.setMeshKey(now, meshSeed, out)));
  revoke(lyon, founder, 1);
  lab.run(30_000);
  founder.crash();
  other.host.skew = 400 * DAY;
  const seeds = { recovery, meshKey: new Uint8Array(32).fill(83) };
  done(other.step((now, out) => other.node.recover(now, seeds, { yes: true }, out)));
  lab.run(30_000);
  other.host.skew = 0;
  lab.run(60_000);
  assert.equal(other.node.status(other.now()).self.standing, "admin");
  const rest = others.filter((one) => one !== other);
  for (const { id } of rest) done(other.step((now, out) => other.node.approve(now, id, out)));
  assert.ok(lab.until(60_000, () => areMutual(others)), rest.map(health).join());
});

Deno.test("T30: a certificate that begins while a record is passed on changes name and routes like any other", () => {
  const { lab, founder, others } = village(nobleCrypto, ["lyon", "x", "mole"], 14);
  const [lyon, x, mole] = others;
  assert.ok(lyon && x && mole);
  promote(founder, lyon);
  lab.run(10_000);
  lyon.host.skew = 600_000;
  done(lyon.step((now, out) => lyon.node.approve(now, x.id, out, { name: "y" })));
  lab.run(10_000);
  assert.equal(founder.sees(x)?.name, "x", "it has not begun here");
  founder.events.length = 0;
  const insider = new Insider(mole);
  const records = founder.disk?.members.map(({ record }) => fromBase64url(record)) ?? [];
  const copy = records.find((bytes) => {
    const opened = bytes && openRecord(nobleCrypto, insider.meshId, bytes);
    return opened?.ok && opened.value.id === x.id;
  });
  assert.ok(copy);
  for (let second = 0; second < 420; second++) {
    insider.send(founder, "record", copy);
    lab.run(1_000);
  }
  assert.equal(founder.sees(x)?.name, "y");
  assert.equal(told(founder, "renamed"), 1);
});

Deno.test("a clock that two programs set each second costs a handshake in 15 s and hardly a packet, and status says it", () => {
  const { lab, founder, others: [other] } = village(toyCrypto, ["other"], 18);
  assert.ok(other);
  const isToldOf = () => health(founder).includes("clock: it was set");
  let begun = 0;
  lab.tap = ({ bytes }) => void (bytes[0] === 1 && begun++);
  founder.say(other);
  lab.run(2_000);
  begun = other.delivered.length = 0;
  for (let second = 0; second < 120; second++) {
    founder.host.skew = second % 2 === 0 ? 6_000 : 0;
    founder.say(other);
    lab.run(1_000);
  }
  assert.ok(begun >= 8 && begun <= 9, `${begun} handshakes`);
  assert.ok(other.delivered.length >= 118, `${other.delivered.length} of 120 packets`);
  assert.ok(isToldOf());
  lab.run(14_000);
  assert.equal(begun, 9, "the last leap is followed up");
  lab.run(47_000);
  assert.ok(!isToldOf(), "and then it is quiet");
});

Deno.test("T30: an admin whose clock is 396 days ahead for more than an hour takes what it signed before it started for nobody else's", () => {
  const { lab, all, founder } = village(toyCrypto, ["lyon", "oslo"], 19);
  // What it has signed, it has signed in an earlier run.
  founder.crash();
  founder.start();
  lab.run(60_000);
  founder.host.skew = 396 * DAY;
  lab.run(1.2 * HOUR);
  founder.host.skew = 0;
  lab.run(300_000);
  assert.ok(areMutual(all));
  assert.doesNotMatch(health(founder), /not by this machine/);
});

/** A mesh that was founded, and joined by three, by clocks that are wrong by so much, which are right now. */
function foundedAt(skew: number): { lab: NodeLab; all: [Computer, Computer, Computer, Computer] } {
  const lab = new NodeLab(toyCrypto, 5);
  const meshSeed = lab.random(32);
  const recoveryKey = toyCrypto.ed25519FromSeed(lab.random(32)).publicKey;
  const founder = lab.computer({ name: "lyon", meshSeed, recoveryKey }, skew);
  founder.start();
  const token = founder.token({ uses: 3, groups: ["lab"], memberDays: 100 });
  const others = ["oslo", "rome", "bern"].map((name) => lab.computer({ name, token }, skew));
  for (const one of others) one.start();
  const all = [founder, ...others] as [Computer, Computer, Computer, Computer];
  assert.ok(lab.until(60_000, () => areMutual(all)));
  lab.run(5_000);
  for (const one of all) one.host.skew = 0;
  lab.run(120_000);
  return { lab, all };
}

for (const hours of [10, 87_600]) {
  for (const who of ["nobody restarts", "all restart", "the founder restarts"]) {
    Deno.test(`T30: founded by a clock ${hours} h ahead: nothing is signed that cuts members off, and one command puts all right when ${who}`, () => {
      const { lab, all } = foundedAt(hours * HOUR);
      const [founder, oslo, rome] = all;
      const isHere = (at: number) => who === "all restart" || who !== "nobody restarts" && at === 0;
      for (const [at, one] of all.entries()) {
        if (!isHere(at)) continue;
        one.crash();
        one.start();
      }
      lab.run(20_000);
      const before = all.map((one) => states(one).join());
      const refused =
        /this node's own certificate was signed 20.*`shoal approve lyon`, here, signs/;
      const promoted = founder.step((now, out) =>
        founder.node.promote(now, oslo.id, { yes: true }, out)
      );
      assert.match(refusalOf(promoted), refused);
      const approved = founder.step((now, out) =>
        founder.node.approve(now, rome.id, out, { yes: true })
      );
      assert.match(refusalOf(approved), refused);
      const invited = founder.step((now, out) => founder.node.invite(now, { yes: true }, out));
      assert.match(refusalOf(invited), refused);
      lab.run(20_000);
      assert.deepEqual(all.map((one) => states(one).join()), before, "none of it changes anything");
      assert.match(
        health(founder),
        /^clock: .*: set the clock; if it is right, the mesh was founded by a clock that was ahead: `shoal approve lyon`, here, /m,
      );
      if (who === "nobody restarts") {
        assert.match(
          health(oslo),
          /if it is right, .* ahead: on lyon, `shoal approve lyon` signs all/,
        );
      } else assert.match(health(oslo), /if it is right, .* was ahead: /);
      done(founder.step((now, out) => founder.node.approve(now, "lyon", out, { yes: true })));
      const isWell = () => areMutual(all) && all.every((one) => health(one) === "");
      assert.ok(lab.until(200_000, isWell), all.map(health).join("\n\n"));
      assert.ok(canTalk(all));
      const { groups, expires } = oslo.node.status(oslo.now()).self;
      assert.deepEqual(groups, ["lab"]);
      const days = (Date.parse(expires) - oslo.now().wall) / DAY;
      assert.ok(days > 99 && days <= 100, `${days} days`);
      promote(founder, oslo);
      lab.run(30_000);
      assert.ok(oslo.node.status(oslo.now()).self.admin && areMutual(all));
      const late = lab.joiner(founder, { name: "late" });
      assert.ok(lab.until(30_000, () => areMutual([...all, late])));
      // The later certificates begin: nothing changes.
      if (hours > 10 || who !== "all restart") return;
      lab.run(hours * HOUR);
      assert.ok(areMutual([...all, late]) && oslo.node.status(oslo.now()).self.admin);
    });
  }
}

Deno.test("T30: who has joined by clocks 400 days behind is over when they are right: status names them, and approve knows their names", () => {
  const { lab, all } = foundedAt(-400 * DAY);
  const [founder, oslo, rome, bern] = all;
  assert.match(
    health(founder),
    /^clock: the certificates of 3 members are not valid .* \(bern, oslo, rome\): .*`shoal approve NAME` renews each$/m,
  );
  assert.match(health(oslo), /^expired: .*`shoal approve [0-9a-f]{64}`$/m);
  for (const one of [oslo, rome]) {
    done(founder.step((now, out) => founder.node.approve(now, one.wish.name ?? "", out)));
  }
  // Who is out itself still lists the others: it is back when its own certificate says so.
  const isBack = () => oslo.node.status(oslo.now()).self.groups.join() === "lab";
  const isWell = () => isBack() && areMutual([founder, oslo, rome]);
  assert.ok(lab.until(120_000, isWell), health(founder));
  // After hours what ended more than 30 days ago is forgotten: then it is the key that a person has to name.
  lab.run(3 * HOUR);
  done(founder.step((now, out) => founder.node.approve(now, bern.id, out, { name: "bern" })));
  assert.ok(lab.until(120_000, () => areMutual(all)), all.map(health).join("\n\n"));
});
