/** T3 where the subject is a handshake and the session that comes of it. */
import assert from "node:assert/strict";
import { decodeHandshakeMessage, encodeCookieReply } from "../noise/messages.ts";
import { flipped, initiation, withMac1 } from "../sim/forgery.ts";
import { type TunnelHost, TunnelLab } from "../sim/tunnel_lab.ts";

function two(seed = 1) {
  const lab = new TunnelLab(seed);
  return { lab, ...lab.pair() };
}

Deno.test("a packet makes a session and arrives: 1 RTT, then data both ways", () => {
  const { lab, alice, bob } = two();
  alice.say(bob);
  lab.run(29);
  assert.equal(bob.delivered.length, 0);
  lab.run(1);
  assert.equal(bob.delivered.length, 1, "initiation, response and data take 10 ms each");
  bob.say(alice);
  lab.run(10);
  assert.equal(alice.delivered.length, 1);
  assert.deepEqual(alice.tunnels.peers()[0]?.lastHandshakeBoot, 1020);
  assert.deepEqual(bob.tunnels.peers()[0]?.lastHandshakeBoot, 1030, "confirmed by data");
});

Deno.test("R19: handshakes are marked AF41 without ECN", () => {
  const { lab, alice, bob } = two();
  alice.say(bob);
  lab.run(100);
  for (const { tos, bytes } of [...alice.sent, ...bob.sent]) {
    assert.equal(tos ?? 0, bytes[0] === 4 ? 0 : 0x88);
  }
});

Deno.test("R24: a preshared key must agree; a change leaves the live session and counts with the next", () => {
  const { lab, alice, bob, bobAtAlice, aliceAtBob } = two();
  const psk = lab.random(32);
  alice.tunnels.setPresharedKey(bobAtAlice, psk);
  alice.say(bob);
  lab.run(100);
  assert.equal(bob.delivered.length, 0);
  assert.equal(alice.tunnels.counters.dropUnauthentic, 1);
  bob.tunnels.setPresharedKey(aliceAtBob, psk);
  lab.run(6_000);
  assert.equal(bob.delivered.length, 1, "by the retry");
  alice.tunnels.setPresharedKey(bobAtAlice, undefined);
  alice.say(bob);
  lab.run(100);
  assert.equal(bob.delivered.length, 2, "the session lives on");
  lab.run(180_000);
  alice.say(bob);
  lab.run(1_000);
  assert.equal(bob.delivered.length, 2, "the next handshake fails");
});

Deno.test("R26: the session keeps its handshake's index; each initiation has a new one", () => {
  const { lab, alice, bob } = two();
  lab.isLost = () => true;
  alice.say(bob);
  lab.run(30_000);
  lab.isLost = () => false;
  lab.run(6_000);
  const senders = alice.sent.filter(({ bytes }) => bytes[0] === 1)
    .map(({ bytes }) => decodeHandshakeMessage(bytes))
    .map((message) => message?.kind === "initiation" ? message.sender : undefined);
  assert.equal(new Set(senders).size, senders.length);
  assert.deepEqual(alice.plane.indices, [senders.at(-1)]);
  assert.deepEqual(
    senders.map((sender) => knowsIndex(alice, sender ?? 0)),
    senders.map((_, i) => i === senders.length - 1),
    "earlier ones are free again",
  );
});

Deno.test("R27: a response is taken once, by the handshake that waits for it, and by no other", () => {
  const { lab, alice, bob } = two();
  alice.say(bob);
  lab.run(100);
  const before = alice.state();
  const response = bob.first(2);
  alice.arrive(response, bob.endpoint);
  assert.equal(alice.tunnels.counters.dropUnexpected, 1, "a second time");
  alice.arrive(withMac1(flipped(response, 8 * 8), alice), bob.endpoint);
  assert.equal(alice.tunnels.counters.dropUnexpected, 2, "another index");
  bob.arrive(withMac1(response, bob), alice.endpoint);
  assert.equal(bob.tunnels.counters.dropUnexpected, 1, "by its own sender");
  assert.equal(alice.state(), before);
});

Deno.test("R27: a response for a session's index is unexpected, even while an initiation waits", () => {
  const { lab, alice, bob } = two();
  alice.say(bob);
  lab.run(10_000);
  lab.isLost = () => true;
  alice.step((now, out) => alice.tunnels.startHandshake(now, 1, out));
  alice.arrive(bob.first(2), bob.endpoint);
  const { dropUnexpected, dropUnauthentic } = alice.tunnels.counters;
  assert.deepEqual([dropUnexpected, dropUnauthentic], [1, 0]);
});

Deno.test("R27: the answer to an initiation that a retry replaced is dropped", () => {
  const { lab, alice, bob } = two();
  lab.isLost = ({ bytes }) => bytes[0] === 2;
  alice.say(bob);
  lab.run(6_000);
  assert.equal(alice.sentAt(1).length, 2);
  alice.arrive(bob.first(2), bob.endpoint);
  assert.deepEqual(
    [alice.tunnels.counters.responsesTaken, alice.tunnels.counters.dropUnexpected],
    [0, 1],
  );
});

Deno.test("R34: a cookie reply is kept for the retry, not answered, and never moves the endpoint", () => {
  const { lab, alice, bob, bobAtAlice } = two();
  bob.plane.isLoaded = true;
  alice.say(bob);
  lab.run(10);
  assert.equal(bob.sent.length, 1);
  const elsewhere = { address: Uint8Array.of(203, 0, 113, 9), port: 1, scope: 0 };
  alice.arrive(bob.first(3), elsewhere);
  lab.run(4_900);
  assert.equal(alice.tunnels.counters.cookiesTaken, 1);
  assert.equal(alice.tunnels.counters.dropUnauthentic, 1, "the true one came second");
  assert.equal(alice.sent.length, 1, "nothing is sent for it");
  assert.deepEqual(alice.tunnels.peer(bobAtAlice)?.endpoint, bob.endpoint);
  lab.run(500);
  assert.equal(bob.delivered.length, 1, "the retry passes with its MAC2");
  assert.equal(bob.sentAt(3).length, 1);
});

Deno.test("R34: a cookie reply for an index that nobody has is dropped", () => {
  const { lab, alice, bob } = two();
  bob.plane.isLoaded = true;
  lab.isLost = ({ bytes }) => bytes[0] === 3;
  alice.say(bob);
  lab.run(100);
  alice.arrive(flipped(bob.first(3), 32), bob.endpoint);
  assert.equal(alice.tunnels.counters.dropUnexpected, 1);
  assert.equal(alice.tunnels.counters.cookiesTaken, 0);
});

Deno.test("R38: initiations of ours are 5 s apart at least, whoever asks", () => {
  const { lab, alice, bob } = two();
  lab.isLost = () => true;
  for (let i = 0; i < 300; i++) {
    alice.say(bob);
    alice.step((now, out) => alice.tunnels.startHandshake(now, 1, out));
    lab.run(100);
  }
  const times = alice.sentAt(1);
  assert.ok(times.length === 6);
  times.forEach((time, i) => assert.ok(i === 0 || time - (times[i - 1] ?? 0) >= 5_000));
});

Deno.test("R38: a response counts too: the wish waits its 5 s, to the millisecond", () => {
  const { lab, alice, bob } = two();
  lab.isLost = ({ bytes }) => bytes[0] === 2;
  alice.say(bob);
  lab.run(10);
  const [responded] = bob.sentAt(2);
  assert.equal(responded, 1010);
  lab.isLost = ({ bytes, host }) => host === alice && bytes[0] !== 2;
  bob.say(alice);
  lab.run(4_999);
  assert.deepEqual(bob.sentAt(1), []);
  lab.run(1);
  assert.deepEqual(bob.sentAt(1), [6_010]);
  lab.run(50);
  assert.equal(alice.delivered.length, 1);
});

Deno.test("R38: a wish that came true meanwhile sends nothing", () => {
  const { lab, alice, bob } = two();
  alice.say(bob);
  lab.run(15); // the response is on its way, bob must not send on it yet
  bob.say(alice);
  lab.run(20_000);
  assert.equal(alice.delivered.length, 1, "staged, and flushed by the confirmation (R43)");
  assert.deepEqual(bob.sentAt(1), []);
});

Deno.test("R38: a wish for data that is gone sends nothing, and the next data makes a new one", () => {
  const { lab, alice, bob, aliceAtBob } = two();
  lab.isLost = ({ host }) => host === bob;
  alice.say(bob);
  lab.run(10);
  bob.say(alice);
  lab.run(10);
  bob.plane.execute(lab.now, { kind: "dropStaged", peer: aliceAtBob });
  lab.isLost = () => true;
  lab.run(20_000);
  assert.deepEqual(bob.sentAt(1), []);
  bob.say(alice);
  lab.run(0);
  assert.deepEqual(bob.sentAt(1), [21_020]);
});

Deno.test("R40: index table and slots agree with core's after every handshake", () => {
  const { lab, alice, bob } = two();
  const given = new Map([alice, bob].map((host) => [host, new Set<number>()]));
  for (let i = 0; i < 12; i++) {
    const [from, to] = i % 3 === 0 ? [bob, alice] : [alice, bob];
    from.step((now, out) => from.tunnels.startHandshake(now, 1, out));
    lab.run(6_000);
    from.say(to);
    lab.run(6_000);
    for (const [host, indices] of given) {
      for (const index of host.plane.indices) indices.add(index);
      assert.ok(host.plane.indices.length <= 3);
      for (const index of indices) {
        assert.equal(knowsIndex(host, index), host.plane.indices.includes(index));
      }
    }
  }
  assert.equal(given.get(alice)?.size, 11, "bob did not know at first where alice is");
});

Deno.test("R41: the initiator sends at once: what is staged, else one keepalive", () => {
  const { lab, alice, bob } = two();
  alice.step((now, out) => alice.tunnels.startHandshake(now, 1, out));
  lab.run(100);
  assert.deepEqual(alice.keepalivesAt(), [1020]);
  assert.equal(bob.tunnels.peers()[0]?.lastHandshakeBoot, 1030, "which confirms the session");
  const other = two(2);
  other.alice.say(other.bob);
  other.lab.run(100);
  assert.deepEqual(other.alice.sentAt(4), [1020]);
  assert.deepEqual(other.alice.keepalivesAt(), [], "not both");
});

Deno.test("R42, R43: the responder does not send before the first packet of the initiator", () => {
  const { lab, alice, bob } = two();
  lab.isLost = ({ bytes, host }) => host === alice && bytes[0] === 4;
  alice.say(bob);
  lab.run(20);
  bob.say(alice);
  lab.run(2_000);
  assert.deepEqual(bob.sentAt(4), []);
  assert.equal(bob.tunnels.peers()[0]?.lastHandshakeBoot, 0);
  lab.isLost = () => false;
  alice.say(bob);
  lab.run(20);
  assert.equal(bob.sentAt(4).length, 1, "staged packets leave with the confirmation");
  assert.equal(bob.events.filter(({ kind }) => kind === "handshakeDone").length, 1);
});

Deno.test("two that start in the same moment both have a session after one round trip", () => {
  const lab = new TunnelLab();
  const alice = lab.host(1);
  const bob = lab.host(2);
  alice.meet(bob);
  bob.meet(alice);
  alice.say(bob);
  bob.say(alice);
  lab.run(31);
  assert.deepEqual([alice.delivered.length, bob.delivered.length], [1, 1]);
  for (let i = 0; i < 20; i++) {
    alice.say(bob);
    bob.say(alice);
    lab.run(1_000);
  }
  assert.deepEqual([alice.delivered.length, bob.delivered.length], [21, 21]);
  assert.deepEqual([alice.sentAt(1).length, bob.sentAt(1).length], [1, 1]);
});

Deno.test("R53: types 1 and 2 move the endpoint once authentic, and data does through core", () => {
  const { lab, alice, bob, bobAtAlice, aliceAtBob } = two();
  const endpoint = () => bob.tunnels.peer(aliceAtBob)?.endpoint;
  const place = (n: number) => ({ address: Uint8Array.of(203, 0, 113, n), port: n, scope: 0 });
  bob.arrive(withMac1(flipped(initiation(alice, bob), 100 * 8), bob), place(1));
  assert.equal(endpoint(), undefined, "not by a false one");
  bob.arrive(initiation(alice, bob), place(2));
  assert.deepEqual(endpoint(), place(2), "type 1");

  lab.isLost = ({ bytes }) => bytes[0] === 2;
  lab.run(20);
  alice.say(bob);
  lab.run(10);
  const response = bob.sent.at(-1)?.bytes ?? new Uint8Array();
  alice.arrive(response, place(3));
  assert.deepEqual(alice.tunnels.peer(bobAtAlice)?.endpoint, place(3), "type 2");
  assert.equal(alice.events.filter(({ kind }) => kind === "endpointMoved").length, 1);

  const data = alice.sent.at(-1)?.bytes ?? new Uint8Array();
  assert.equal(data[0], 4);
  bob.arrive(data, place(4));
  lab.run(0);
  assert.deepEqual(endpoint(), place(4), "type 4");
  bob.arrive(data, place(5));
  lab.run(0);
  assert.deepEqual(endpoint(), place(4), "a replay does not");
});

Deno.test("R53, T34: a peer that stays is followed to where it has received something of ours, and nowhere else", () => {
  const { lab, alice, bob, bobAtAlice, aliceAtBob } = two();
  const place = (n: number) => ({ address: Uint8Array.of(203, 0, 113, n), port: n, scope: 0 });
  const ofAlice = () => bob.tunnels.peer(aliceAtBob)?.endpoint;
  bob.step((_, out) => bob.tunnels.stay(aliceAtBob, out));
  alice.step((_, out) => alice.tunnels.stay(bobAtAlice, out));
  alice.say(bob);
  lab.run(30);
  assert.deepEqual(
    ofAlice(),
    alice.endpoint,
    "without a session nothing is sent that it has not asked for",
  );

  alice.say(bob);
  lab.run(10);
  const data = alice.sent.at(-1)?.bytes ?? new Uint8Array();
  bob.arrive(data, place(4));
  lab.run(0);
  assert.deepEqual(ofAlice(), alice.endpoint, "type 4 does not move it");

  lab.run(10_000);
  lab.isLost = ({ bytes }) => (bytes[0] ?? 0) < 4;
  alice.step((now, out) => alice.tunnels.startHandshake(now, bobAtAlice, out));
  lab.run(20);
  const asked = alice.sent.at(-1)?.bytes ?? new Uint8Array();
  bob.arrive(asked, place(1));
  const response = bob.sent.at(-1);
  assert.deepEqual([response?.bytes[0], response?.to], [2, place(1)]);
  assert.deepEqual(ofAlice(), alice.endpoint, "nor does type 1");
  alice.arrive(response?.bytes ?? new Uint8Array(), place(3));
  assert.deepEqual(
    alice.tunnels.peer(bobAtAlice)?.endpoint,
    bob.endpoint,
    "of type 2 the question went elsewhere",
  );
  lab.run(30);
  assert.deepEqual(ofAlice(), place(1), "who confirms the session has received its response there");
  bob.step((now, out) => bob.tunnels.move(now, aliceAtBob, alice.endpoint, undefined, out));
  assert.deepEqual(ofAlice(), alice.endpoint, "and where its caller says");
});

Deno.test("R53: with a live session a hint moves nothing; without one it does", () => {
  const { lab, alice, bob, bobAtAlice } = two();
  const hint = { address: Uint8Array.of(203, 0, 113, 7), port: 7, scope: 0 };
  const suggest = () =>
    alice.step((now, out) => alice.tunnels.suggestEndpoint(now, bobAtAlice, hint, out));
  alice.say(bob);
  lab.run(100);
  assert.equal(suggest(), false);
  assert.deepEqual(alice.tunnels.peer(bobAtAlice)?.endpoint, bob.endpoint);
  lab.run(200_000);
  assert.equal(suggest(), true);
  assert.deepEqual(alice.tunnels.peer(bobAtAlice)?.endpoint, hint);
});

Deno.test("R53: where a live session has gone silent, a handshake finds the peer at the place where it is heard", () => {
  const { lab, alice, bob, bobAtAlice } = two();
  alice.say(bob);
  lab.run(10_000);
  const there = { address: Uint8Array.of(198, 51, 100, 9), port: 9, scope: 0 };
  const suggest = () =>
    alice.step((now, out) => alice.tunnels.suggestEndpoint(now, bobAtAlice, there, out));
  const initiations = () =>
    alice.events.flatMap((e) => e.kind === "handshakeSent" ? e.endpoint.address[3] : []);
  const before = initiations().length;
  suggest();
  lab.run(500);
  bob.say(alice);
  lab.run(2_000);
  assert.equal(initiations().length, before, "data still comes from the old place");
  suggest();
  lab.run(1_100);
  assert.deepEqual(initiations().slice(before), [9], "nothing came: the new place is asked");
  assert.deepEqual(alice.tunnels.peer(bobAtAlice)?.endpoint, bob.endpoint, "and nothing moved");
  lab.run(12_000);
  assert.deepEqual(initiations().slice(before), [9, 2], "then the old one, where it is after all");
  assert.deepEqual(alice.tunnels.peer(bobAtAlice)?.endpoint, bob.endpoint);
});

Deno.test("R54, R55: answers leave from where the question came to, retries from anywhere", () => {
  const { lab, alice, bob, bobAtAlice } = two();
  alice.say(bob);
  lab.run(100);
  assert.deepEqual(bob.sent[0]?.from, bob.source, "the response");
  assert.deepEqual(alice.tunnels.peer(bobAtAlice)?.source, alice.source);
  lab.isLost = () => true;
  lab.run(10_000);
  alice.step((now, out) => alice.tunnels.startHandshake(now, bobAtAlice, out));
  assert.deepEqual(alice.sent.at(-1)?.from, alice.source, "the first attempt is sticky");
  lab.run(5_400);
  assert.equal(alice.sent.at(-1)?.bytes[0], 1);
  assert.equal(alice.sent.at(-1)?.from, undefined, "the second is not");
  assert.ok(alice.commands.some(({ kind }) => kind === "clearSource"));
});

Deno.test("R45: at 180 s a session sends no more; the packet waits for the next session", () => {
  const { lab, alice, bob } = two();
  alice.say(bob);
  lab.run(20);
  assert.equal(alice.tunnels.peers()[0]?.sessionUntil, 181_020);
  lab.run(181_020 - lab.now - 1);
  lab.isLost = ({ bytes }) => bytes[0] === 1;
  alice.say(bob);
  lab.run(1);
  const data = alice.sentAt(4).length;
  alice.say(bob);
  lab.run(0);
  assert.equal(alice.sentAt(4).length, data, "staged");
  lab.isLost = () => false;
  lab.run(6_000);
  assert.equal(alice.sentAt(4).length, data + 1);
  for (let session = 3; session < 6; session++) {
    lab.run(200_000);
    alice.say(bob);
    lab.run(50);
    assert.equal(alice.tunnels.counters.responsesTaken, session, "and so every time");
  }
});

/** Whether an index names a peer: then a cookie reply for it is looked at, if only to be refused. */
function knowsIndex(host: TunnelHost, index: number): boolean {
  const { dropUnexpected } = host.tunnels.counters;
  const reply = encodeCookieReply(index, new Uint8Array(24), new Uint8Array(32));
  host.arrive(reply, host.endpoint);
  return host.tunnels.counters.dropUnexpected === dropUnexpected;
}
