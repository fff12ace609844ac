/** T6: R3, R5, R6, R10 to R12, R38, R45 and R57 to R64 on a virtual clock, exact to 1 ms. */
import assert from "node:assert/strict";
import { TunnelLab } from "../sim/tunnel_lab.ts";

/** Two hosts with a session that alice initiated and that was quiet since 1030. */
function connected(seed = 1) {
  const lab = new TunnelLab(seed);
  const { alice, bob, bobAtAlice, aliceAtBob } = lab.pair();
  alice.step((now, out) => alice.tunnels.startHandshake(now, bobAtAlice, out));
  lab.run(30);
  assert.equal(lab.now, 1030);
  return { lab, alice, bob, bobAtAlice, aliceAtBob };
}

/** Runs up to a boot time. */
function until(lab: TunnelLab, at: number): void {
  lab.run(at - lab.now);
}

Deno.test("R6: retries come 5 s and 0..333 ms apart; 1,000 of them spread over more than 250 ms", () => {
  const jitters: number[] = [];
  for (let seed = 0; jitters.length < 1_000; seed++) {
    const lab = new TunnelLab(seed);
    const alice = lab.host(1);
    lab.isLost = () => true;
    alice.meet(lab.host(2));
    alice.step((now, out) => alice.tunnels.startHandshake(now, 1, out));
    lab.run(200_000);
    const times = alice.sentAt(1);
    times.forEach((time, i) => i > 0 && jitters.push(time - (times[i - 1] ?? 0) - 5_000));
  }
  assert.ok(Math.min(...jitters) >= 0 && Math.max(...jitters) <= 333);
  assert.ok(Math.max(...jitters) - Math.min(...jitters) > 250);
  const mean = jitters.reduce((sum, jitter) => sum + jitter, 0) / jitters.length;
  assert.ok(Math.abs(mean - 166.5) < 15, `mean ${mean}: evenly`);
  assert.ok(jitters.every(Number.isInteger));
});

Deno.test("R5, R62: after 20 attempts what is staged drops and all is quiet, until there is new data", () => {
  const lab = new TunnelLab();
  const alice = lab.host(1);
  const bob = lab.host(2);
  const id = alice.meet(bob);
  lab.isLost = () => true;
  for (let i = 0; i < 200; i++) alice.say(bob);
  assert.equal(alice.plane.facts(id)?.staged, 128);
  lab.run(300_000);
  const times = alice.sentAt(1);
  assert.equal(times.length, 20);
  assert.ok((times.at(-1) ?? 0) > 90_000);
  assert.equal(alice.plane.facts(id)?.staged, 0);
  const attempts = alice.events.flatMap((e) => e.kind === "handshakeSent" ? e.attempt : []);
  assert.deepEqual(attempts, Array.from({ length: 20 }, (_, i) => i + 1));
  assert.deepEqual(alice.events.slice(20).map((e) => e.kind === "handshakeGaveUp" && e.attempts), [
    20,
  ]);
  alice.say(bob);
  lab.isLost = () => false;
  bob.meet(alice);
  lab.run(50);
  assert.equal(alice.sentAt(1).length, 21);
  assert.equal(bob.delivered.length, 1, "only the new data");
});

Deno.test("R7, R57: 10 s after data was received and nothing sent, a keepalive; to the millisecond", () => {
  const { lab, alice, bob } = connected();
  until(lab, 50_000);
  alice.say(bob);
  until(lab, 60_009);
  assert.deepEqual(bob.keepalivesAt(), []);
  until(lab, 200_000);
  assert.deepEqual(bob.keepalivesAt(), [60_010]);
});

Deno.test("R57: who answered owes no keepalive; a later silence counts from the later data", () => {
  const { lab, alice, bob } = connected();
  until(lab, 50_000);
  alice.say(bob);
  until(lab, 52_000);
  bob.say(alice);
  until(lab, 55_000);
  alice.say(bob);
  until(lab, 64_000);
  assert.deepEqual(bob.keepalivesAt(), []);
  until(lab, 100_000);
  assert.deepEqual(bob.keepalivesAt(), [65_010]);
});

Deno.test("R57: a keepalive is never answered: two quiet hosts stay quiet", () => {
  const { lab, alice, bob } = connected();
  alice.say(bob);
  until(lab, 110_000);
  assert.deepEqual([alice.sentAt(4).length, bob.sentAt(4).length], [2, 1]);
  assert.deepEqual(bob.keepalivesAt().length, 1);
});

Deno.test("R58: data while the keepalive was pending is followed by one more", () => {
  const { lab, alice, bob } = connected();
  until(lab, 50_000);
  alice.say(bob);
  until(lab, 53_000);
  alice.say(bob);
  until(lab, 115_000);
  assert.deepEqual(bob.keepalivesAt(), [60_010, 70_010]);
});

Deno.test("R58: the one more is owed no longer when anything was sent since", () => {
  const { lab, alice, bob } = connected();
  until(lab, 50_000);
  alice.say(bob);
  until(lab, 53_000);
  alice.say(bob);
  until(lab, 65_000);
  bob.say(alice);
  until(lab, 115_000);
  assert.deepEqual(bob.keepalivesAt(), [60_010]);
});

Deno.test("R58: one-way traffic is acknowledged by a keepalive every 10 s, no more, no less", () => {
  const { lab, alice, bob } = connected();
  until(lab, 50_000);
  for (let i = 0; i < 600; i++) {
    alice.say(bob);
    lab.run(100);
  }
  const times = bob.keepalivesAt();
  assert.deepEqual(times.slice(0, 5), [60_010, 70_010, 80_010, 90_010, 100_010]);
  assert.equal(alice.sentAt(1).length, 1, "R60: so nobody asks for a new session");
});

Deno.test("R59: the persistent keepalive comes one interval after the last traffic of either direction", () => {
  const { lab, alice, bob, bobAtAlice } = connected();
  until(lab, 20_000);
  alice.step((now, out) => alice.tunnels.setPersistentKeepalive(now, bobAtAlice, 25, out));
  assert.deepEqual(alice.keepalivesAt(), [1_020, 20_000], "at once when switched on");
  until(lab, 45_000);
  assert.deepEqual(alice.keepalivesAt().slice(2), [45_000]);
  until(lab, 50_000);
  alice.say(bob);
  until(lab, 51_000);
  bob.say(alice); // arrives at 51,010, and gets a passive keepalive
  until(lab, 86_009);
  assert.deepEqual(alice.keepalivesAt().slice(3), [61_010]);
  until(lab, 90_000);
  bob.say(alice);
  until(lab, 95_000);
  alice.say(bob);
  until(lab, 119_999);
  assert.deepEqual(alice.keepalivesAt().slice(4), [86_010]);
  until(lab, 120_000);
  assert.deepEqual(alice.keepalivesAt().slice(5), [], "95,000 was answered at 105,020");
  until(lab, 130_020);
  assert.deepEqual(alice.keepalivesAt().slice(5), [130_020]);
});

Deno.test("R59: off at 0", () => {
  const { lab, alice, bobAtAlice } = connected();
  alice.step((now, out) => alice.tunnels.setPersistentKeepalive(now, bobAtAlice, 25, out));
  alice.step((now, out) => alice.tunnels.setPersistentKeepalive(now, bobAtAlice, 0, out));
  const count = alice.keepalivesAt().length;
  until(lab, 170_000);
  assert.equal(alice.keepalivesAt().length, count);
});

Deno.test("R59: without a session the persistent keepalive makes one, and goes on trying for ever", () => {
  const lab = new TunnelLab();
  const alice = lab.host(1);
  const bob = lab.host(2);
  bob.meet(alice, "unknown");
  lab.isLost = () => true;
  const id = alice.meet(bob, "unknown");
  alice.step((now, out) => alice.tunnels.setPersistentKeepalive(now, id, 25, out));
  lab.run(100_000);
  assert.deepEqual(alice.sent, [], "no endpoint yet");
  alice.step((now, out) => alice.tunnels.setEndpoint(now, id, bob.endpoint, out));
  assert.deepEqual(alice.sentAt(1), [101_000], "the endpoint was what was missing");
  lab.run(1_000_000);
  assert.ok(alice.sentAt(1).length > 150);
  lab.isLost = () => false;
  lab.run(30_000);
  assert.ok(alice.tunnels.peer(id)?.lastHandshakeBoot);
});

Deno.test("R12, R60: data that nothing answers makes a handshake after 15 s and 0..333 ms", () => {
  const starts = [];
  for (let seed = 0; seed < 40; seed++) {
    const { lab, alice, bob } = connected(seed);
    until(lab, 50_000);
    lab.isLost = () => true;
    alice.say(bob);
    until(lab, 55_000);
    alice.say(bob);
    until(lab, 66_000);
    assert.equal(alice.sentAt(1).length, 2);
    assert.ok(alice.commands.some(({ kind, at }) => kind === "clearSource" && at > 50_000), "R54");
    starts.push((alice.sentAt(1)[1] ?? 0) - 50_000);
  }
  assert.ok(Math.min(...starts) >= 15_000 && Math.max(...starts) <= 15_333);
  assert.ok(new Set(starts).size > 20);
});

Deno.test("R60: any authentic packet disarms, and the next data arms anew", () => {
  const { lab, alice, bob } = connected();
  until(lab, 50_000);
  alice.say(bob); // bob's keepalive answers at 60,020
  until(lab, 62_000);
  lab.isLost = () => true;
  alice.say(bob);
  until(lab, 76_999);
  assert.equal(alice.sentAt(1).length, 1, "50,000 + 15 s has passed, and was answered");
  until(lab, 77_334);
  assert.equal(alice.sentAt(1).length, 2, "62,000 + 15 s");
});

Deno.test("R60: the timer that found an answer is armed again by the next data", () => {
  const { lab, alice, bob } = connected();
  until(lab, 50_000);
  alice.say(bob);
  until(lab, 70_000);
  lab.isLost = () => true;
  alice.say(bob);
  until(lab, 84_999);
  assert.equal(alice.sentAt(1).length, 1);
  until(lab, 85_334);
  assert.equal(alice.sentAt(1).length, 2);
});

Deno.test("R60: keepalives do not arm it", () => {
  const { lab, alice, bobAtAlice } = connected();
  lab.isLost = () => true;
  alice.step((now, out) => alice.tunnels.setPersistentKeepalive(now, bobAtAlice, 5, out));
  until(lab, 100_000);
  assert.ok(alice.keepalivesAt().length > 15);
  assert.equal(alice.sentAt(1).length, 1);
});

Deno.test("R12, R62: with a dead peer and steady data both roles try on, at most every 5 s", () => {
  for (const role of ["initiator", "responder"] as const) {
    const { lab, alice, bob } = connected();
    const [from, to] = role === "initiator" ? [alice, bob] : [bob, alice];
    lab.isLost = () => true;
    for (let i = 0; i < 600; i++) {
      from.say(to);
      lab.run(1_000);
    }
    const times = from.sentAt(1);
    times.forEach((time, i) => {
      const gap = time - (times[i - 1] ?? 0);
      assert.ok(i < 2 || (gap >= 5_000 && gap < 17_000), `${role}: ${gap} at ${time}`);
    });
    assert.ok(from.ticks < 250, `${from.ticks} ticks in 600 s`);
  }
});

Deno.test("R3: the initiator replaces its session when it sends at 120 s, the responder does not", () => {
  const { lab, alice, bob } = connected();
  for (const at of [60_000, 121_019]) {
    until(lab, at);
    alice.say(bob);
    bob.say(alice);
  }
  lab.run(0);
  assert.equal(alice.sentAt(1).length, 1, "a millisecond too early");
  until(lab, 122_000);
  bob.say(alice);
  lab.run(100);
  assert.equal(bob.sentAt(1).length, 0);
  assert.equal(alice.sentAt(1).length, 1, "receiving is no reason yet");
  alice.say(bob);
  lab.run(100);
  assert.deepEqual(alice.sentAt(1).slice(1), [122_100]);
  assert.equal(bob.delivered.length, 3);
});

Deno.test("R11: an initiator that only receives replaces its session at 165 s, once", () => {
  const { lab, alice, bob } = connected();
  // Odd seconds: bob sends; alice answers with passive keepalives only until 120 s are over.
  lab.isLost = ({ bytes, host }) => host === alice && bytes[0] === 1;
  until(lab, 166_009);
  bob.say(alice);
  lab.run(10);
  assert.equal(alice.sentAt(1).length, 1, "164,999 ms old");
  bob.say(alice);
  bob.say(alice);
  lab.run(20);
  assert.deepEqual(alice.sentAt(1).slice(1), [166_029]);
  assert.deepEqual(
    alice.edges.filter((e) => e.kind === "rekeyDue").map((e) => e.kind === "rekeyDue" && e.why),
    ["receive"],
  );
});

Deno.test("R10, R61: 540 s after the last session all keys are zeroed, to the millisecond", () => {
  const { lab, alice, bob } = connected();
  until(lab, 541_009);
  assert.equal(bob.plane.indices.length, 1);
  until(lab, 541_010); // the responder's session was born at 1010
  assert.deepEqual(bob.plane.indices, []);
  assert.equal(alice.plane.indices.length, 1);
  until(lab, 541_020);
  assert.deepEqual(alice.plane.indices, []);
  assert.equal(alice.tunnels.deadline, undefined, "and nothing is left to do");
  alice.say(bob);
  lab.run(50);
  assert.equal(bob.delivered.length, 1, "data makes a new session");
});

Deno.test("R61: a new session starts the 540 s anew", () => {
  const { lab, alice, bob } = connected();
  until(lab, 300_000);
  alice.say(bob);
  until(lab, 839_000);
  assert.ok(alice.plane.indices.length > 0);
  until(lab, 841_000);
  assert.deepEqual(alice.plane.indices, []);
});

Deno.test("R63: the wall clock moves no timer", () => {
  const { lab, alice, bob } = connected();
  until(lab, 50_000);
  alice.say(bob);
  lab.bend.wall = 4_000;
  until(lab, 55_000);
  lab.bend.wall = -500;
  until(lab, 70_000);
  assert.deepEqual(bob.keepalivesAt(), [60_010]);
  assert.equal(alice.sentAt(1).length, 1);
});

Deno.test("where the wall clock was set all sessions end, and whom one served gets the next at once, by one handshake", () => {
  for (const by of [3_600_000, -10 * 365 * 86_400_000]) {
    const { lab, alice, bob } = connected();
    const carl = lab.host(3);
    alice.meet(carl);
    alice.say(bob);
    until(lab, 50_000);
    // Whose memory was set back seals under numbers that were used, until it knows of that.
    const setBack = alice.plane.counters();
    for (let times = 0; times < 5; times++) alice.say(bob);
    lab.run(100);
    setBack();
    lab.bend.wall = by;
    const before = alice.sent.length;
    const { length } = bob.delivered;
    alice.tick();
    for (let times = 0; times < 9; times++) alice.say(bob);
    lab.run(100);
    assert.equal(bob.delivered.length, length + 9);
    const begun = alice.sent.slice(before).filter(({ bytes }) => bytes[0] === 1);
    assert.deepEqual(begun.map(({ to }) => to), [bob.endpoint], "and who had none gets none");
    const numbers = alice.sent.filter(({ bytes }) => bytes[0] === 4)
      .map(({ bytes }) => bytes.subarray(4, 16).toHex());
    assert.equal(new Set(numbers).size, numbers.length, "no number is used twice");
  }
});

Deno.test("R63: after a sleep that the boot clock counted, the old session is not used", () => {
  const { lab, alice, bob } = connected();
  lab.bend.boot = lab.bend.wall = 600_000;
  alice.say(bob);
  lab.run(50);
  assert.equal(alice.sentAt(1).length, 2);
  assert.equal(bob.delivered.length, 1);
});

Deno.test("R61, R63: after a sleep of hours the first handshake is answered, though it began before the old keys were zeroed", () => {
  const { lab, alice, bob, bobAtAlice } = connected();
  lab.bend.boot = lab.bend.wall = 4 * 3_600_000;
  const before = alice.sentAt(1).length;
  alice.step((now, out) =>
    alice.tunnels.edge(now, { kind: "sessionNeeded", peer: bobAtAlice }, out)
  );
  alice.tick(); // All that was due meanwhile is done before the answer comes.
  alice.say(bob);
  lab.run(100);
  assert.equal(bob.delivered.length, 1);
  assert.equal(alice.sentAt(1).length, before + 1);
});

Deno.test("R64: a boot clock that steps back ends all sessions, and the next packet makes a new one", () => {
  const { lab, alice, bob, bobAtAlice } = connected();
  alice.say(bob);
  until(lab, 100_000);
  alice.tick();
  lab.bend.boot = -90_000;
  alice.say(bob);
  alice.step((now, out) => alice.tunnels.startHandshake(now, bobAtAlice, out));
  bob.step((now, out) => bob.tunnels.due(now, bob.plane.facts, out));
  assert.ok(alice.events.some((e) => e.kind === "clockWentBack" && e.byMs > 80_000));
  assert.ok(alice.commands.some(({ kind, at }) => kind === "clearSessions" && at === 100_000));
  alice.say(bob);
  lab.run(50);
  assert.equal(alice.sentAt(1).length, 2, "at once: R38's 5 s do not last for ever");
  assert.ok(bob.delivered.length >= 2);
  until(lab, 190_000);
  alice.say(bob);
  until(lab, 206_000);
  assert.equal(bob.keepalivesAt().at(-1), 200_010, "timers go on");
});

Deno.test("R64: persistent keepalives survive a step back, whatever the facts say of the future", () => {
  const { lab, alice, bobAtAlice } = connected();
  alice.step((now, out) => alice.tunnels.setPersistentKeepalive(now, bobAtAlice, 25, out));
  until(lab, 500_000);
  lab.isLost = () => true;
  lab.bend.boot = -400_000;
  const before = alice.sentAt(1).length;
  alice.tick();
  lab.run(300_000);
  assert.ok(alice.sentAt(1).length - before >= 40);
});

Deno.test("R64: an hour's jitter of less than a second between readings changes nothing", () => {
  const { lab, alice, bob } = connected();
  until(lab, 50_000);
  alice.say(bob);
  for (let i = 0; i < 3_000; i++) {
    lab.bend.boot = i % 2 ? -900 : 0;
    if (i % 10 === 0) alice.say(bob);
    bob.tick();
    lab.run(10);
  }
  assert.deepEqual(alice.events.concat(bob.events).filter((e) => e.kind === "clockWentBack"), []);
  assert.ok(bob.delivered.length > 290);
});

Deno.test("bulk traffic does not wake the machine: 20,000 packets, a few deadlines", () => {
  const { lab, alice, bob } = connected();
  const ticks = alice.ticks + bob.ticks;
  for (let i = 0; i < 2_000; i++) {
    for (let k = 0; k < 5; k++) alice.say(bob);
    for (let k = 0; k < 5; k++) bob.say(alice);
    lab.run(10);
  }
  assert.equal(bob.delivered.length, 10_000);
  assert.ok(alice.ticks + bob.ticks - ticks <= 10);
  assert.ok(alice.edges.length + bob.edges.length <= 12);
});

Deno.test("an idle session costs one wake-up, its zeroing", () => {
  const { lab, alice, bob } = connected();
  const ticks = [alice.ticks, bob.ticks];
  until(lab, 2_000_000);
  assert.deepEqual([alice.ticks, bob.ticks], ticks.map((count) => count + 1));
});

Deno.test("each deadline has a reason", () => {
  const { lab, alice, bob } = connected();
  assert.deepEqual(alice.tunnels.deadline, { at: 541_020, why: "zero keys of peer 1" });
  until(lab, 50_000);
  alice.say(bob);
  lab.run(20);
  assert.deepEqual(bob.tunnels.deadline, { at: 60_010, why: "passive keepalive of peer 1" });
});

Deno.test("ICMP that says the endpoint takes nothing makes a handshake after a silent second, and moves nothing", () => {
  const { lab, alice, bobAtAlice } = connected();
  const before = alice.tunnels.peer(bobAtAlice)?.endpoint;
  const refuse = () =>
    alice.step((now, out) => alice.tunnels.edge(now, { kind: "refused", peer: bobAtAlice }, out));
  until(lab, 10_000);
  const known = alice.sentAt(1).length;
  refuse();
  until(lab, 10_999);
  assert.equal(alice.sentAt(1).length, known);
  until(lab, 11_001);
  assert.deepEqual(alice.sentAt(1).slice(known), [11_000]);
  assert.deepEqual(alice.tunnels.peer(bobAtAlice)?.endpoint, before);
});

Deno.test("ICMP about a peer that is heard all the same changes nothing", () => {
  const { lab, alice, bob, bobAtAlice } = connected();
  const known = alice.sentAt(1).length;
  for (let at = 2_000; at < 20_000; at += 500) {
    until(lab, at);
    alice.step((now, out) => alice.tunnels.edge(now, { kind: "refused", peer: bobAtAlice }, out));
    bob.say(alice);
  }
  until(lab, 21_500);
  assert.equal(alice.sentAt(1).length, known);
});

Deno.test("R38: a flood of forged ICMP asks a silent peer every 5 s at most", () => {
  const { lab, alice, bobAtAlice } = connected();
  const known = alice.sentAt(1).length;
  lab.isLost = () => true;
  for (let at = 2_000; at < 62_000; at += 10) {
    until(lab, at);
    alice.step((now, out) => alice.tunnels.edge(now, { kind: "refused", peer: bobAtAlice }, out));
  }
  const times = alice.sentAt(1).slice(known);
  assert.ok(times.length >= 10 && times.length <= 13, String(times.length));
  times.forEach((time, i) => assert.ok(i === 0 || time - (times[i - 1] ?? 0) >= 5_000));
});
