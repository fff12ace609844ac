import assert from "node:assert/strict";
import { SHOAL_AES, SHOAL_AES_LANE, SHOAL_LANE, WIREGUARD } from "../noise/handshake.ts";
import { LANES_MAX, type PeerId } from "../machine.ts";
import { type LabOptions, type TunnelHost, TunnelLab } from "../sim/tunnel_lab.ts";

const DIALECTS = [WIREGUARD, SHOAL_LANE];
const FOUR: LabOptions = { workers: 4, dialects: DIALECTS };

interface Pair {
  readonly lab: TunnelLab;
  readonly alice: TunnelHost;
  readonly bob: TunnelHost;
  readonly bobAtAlice: PeerId;
  readonly aliceAtBob: PeerId;
}

/** Two that take as many lanes of each other, and have a session. */
function pair(atAlice = 4, atBob = atAlice, options = FOUR): Pair {
  const lab = new TunnelLab(1, undefined, options);
  const made = lab.pair();
  const { alice, bob, bobAtAlice, aliceAtBob } = made;
  alice.step((_, out) => alice.tunnels.stay(bobAtAlice, out));
  bob.step((_, out) => bob.tunnels.stay(aliceAtBob, out));
  alice.step((now, out) => alice.tunnels.setLanes(now, bobAtAlice, atAlice, out));
  bob.step((now, out) => bob.tunnels.setLanes(now, aliceAtBob, atBob, out));
  alice.say(bob);
  lab.run(100);
  assert.equal(bob.delivered.length, 1);
  return { lab, ...made };
}

/** Flows whose ports name each of four lanes, in the model of core. */
function sayByAll({ lab, alice, bob }: Pick<Pair, "lab" | "alice" | "bob">): void {
  for (let flow = 0; flow < LANES_MAX; flow++) alice.say(bob, flow);
  lab.run(100);
}

/** Sessions of a peer that may send. */
function lanesOf({ lab, tunnels }: TunnelHost, peer: PeerId): number {
  const { sessionUntil = 0, lanesUntil = [] } = tunnels.peer(peer) ?? {};
  return [sessionUntil, ...lanesUntil].filter((until) => until > lab.clock().boot).length;
}

/** Receiver indexes of data messages that a host has sent since it had sent so many datagrams. */
function indexesSince(host: TunnelHost, since: number): Set<number> {
  const data = host.sent.slice(since).filter(({ bytes }) => bytes[0] === 4);
  return new Set(data.map(({ bytes }) => new DataView(bytes.buffer).getUint32(4, true)));
}

Deno.test("flows get a session for each lane, and nothing is lost meanwhile", () => {
  const made = pair();
  const { alice, bob, bobAtAlice, aliceAtBob } = made;
  assert.equal(lanesOf(alice, bobAtAlice), 1, "who needs none has none");
  sayByAll(made);
  assert.equal(bob.delivered.length, 5, "by the first session");
  assert.equal(lanesOf(alice, bobAtAlice), 4);
  const before = alice.sent.length;
  sayByAll(made);
  assert.equal(bob.delivered.length, 9);
  assert.equal(indexesSince(alice, before).size, 4, "each by its own");
  assert.equal(lanesOf(bob, aliceAtBob), 4, "and confirmed");
  assert.ok(bob.delivered.every(({ peer }) => peer === aliceAtBob), "one peer all the same");
  const sent = bob.sent.length;
  for (let flow = 0; flow < 4; flow++) bob.say(alice, flow);
  made.lab.run(100);
  assert.equal(alice.delivered.length, 4);
  assert.equal(indexesSince(bob, sent).size, 4, "the other way by the same lanes");
  assert.equal(alice.sent.concat(bob.sent).filter(({ bytes }) => bytes[0] === 1).length, 4);
});

Deno.test("flows are spread over a lane from when it has a session, and no more when it needs another", () => {
  const made = pair();
  const { lab, alice, bob, bobAtAlice } = made;
  const told = () =>
    alice.commands.filter((command) => command.kind === "spreadLanes")
      .map(({ peer, lanes }) => (assert.equal(peer, bobAtAlice), lanes));
  lab.isLost = ({ bytes }) => bytes[0] === 1;
  sayByAll(made);
  assert.equal(told().at(-1), 1, "what would go by lanes goes by the first session");
  const edges = alice.edges.length;
  for (let i = 0; i < 50; i++) alice.say(bob, i);
  assert.equal(alice.edges.length, edges);
  lab.isLost = () => false;
  lab.run(7_000);
  assert.equal(told().at(-1), 4);
  lab.run(170_000);
  for (let i = 0; i < 30; i++) { // only the first two have flows
    alice.say(bob, 0);
    alice.say(bob, 1);
    lab.run(1_000);
  }
  const before = told().length;
  alice.say(bob, 3);
  lab.run(0);
  assert.deepEqual(told().slice(before), [3]);
  lab.run(1_000);
  assert.equal(told().at(-1), 4);
});

Deno.test("there are as many lanes as both take, and never more than workers", () => {
  const counts = [[4, 2, 2], [2, 4, 2], [1, 4, 1], [4, 1, 1], [9, 9, 4]] as const;
  for (const [atAlice, atBob, both] of counts) {
    const made = pair(Math.min(atAlice, atBob));
    for (let i = 0; i < 3; i++) sayByAll(made);
    assert.equal(lanesOf(made.alice, made.bobAtAlice), both);
    assert.equal(made.alice.plane.indices.length, both);
  }
  const made = pair(4, 4, { ...FOUR, workers: 3 });
  for (let i = 0; i < 3; i++) sayByAll(made);
  assert.equal(lanesOf(made.alice, made.bobAtAlice), 3);
});

Deno.test("a lane that a peer may not have is refused, and its flows go by the first session", () => {
  for (const atBob of [1, 2, 3]) {
    const made = pair(4, atBob);
    const { lab, alice, bob, bobAtAlice, aliceAtBob } = made;
    for (let i = 0; i < 60; i++) {
      sayByAll(made);
      lab.run(1_000);
    }
    assert.equal(bob.delivered.length, 1 + 4 * 60, "all of it");
    assert.ok(bob.tunnels.counters.dropLane > 0);
    assert.equal(lanesOf(bob, aliceAtBob), atBob);
    assert.equal(lanesOf(alice, bobAtAlice), atBob);
    const tries = alice.sent.filter(({ bytes }) => bytes[0] === 1).length;
    assert.ok(tries <= 4 + 4 * (4 - atBob), `${tries} initiations`);
    assert.ok(bob.plane.indices.length <= atBob);
  }
});

Deno.test("who speaks WireGuard alone opens no handshake of a lane, and answers none", () => {
  const made = pair();
  const { lab, alice, bob } = made;
  const plain = new TunnelLab(7, undefined, { workers: 4 });
  const { bob: stock } = plain.pair();
  alice.say(bob, 1);
  lab.run(100);
  const [, ofLane] = alice.sent.filter(({ bytes }) => bytes[0] === 1);
  assert.ok(ofLane);
  const before = stock.sent.length;
  stock.step((now, out) => stock.tunnels.setPrivateKey(now, bob.secretKey, out));
  const arrival = { bytes: ofLane.bytes, from: alice.endpoint };
  stock.step((now, out) => stock.tunnels.receive(now, arrival, out));
  assert.equal(stock.sent.length, before);
  assert.equal(stock.tunnels.counters.dropUnauthentic, 1);
});

Deno.test("a copy of a lane's initiation begins nothing, though the lane has gone and come since", () => {
  const made = pair();
  const { lab, alice, bob, aliceAtBob } = made;
  sayByAll(made);
  const copies = alice.sent.filter(({ bytes }) => bytes[0] === 1).map(({ bytes }) => bytes);
  bob.step((now, out) => bob.tunnels.setLanes(now, aliceAtBob, 1, out));
  bob.step((now, out) => bob.tunnels.setLanes(now, aliceAtBob, 4, out));
  const { initiationsTaken, dropReplay } = bob.tunnels.counters;
  const before = bob.plane.indices;
  const elsewhere = { address: Uint8Array.of(203, 0, 113, 9), port: 9, scope: 0 };
  lab.run(1_000);
  for (const bytes of copies.slice(1)) {
    bob.step((now, out) => bob.tunnels.receive(now, { bytes, from: elsewhere }, out));
  }
  assert.equal(bob.tunnels.counters.initiationsTaken, initiationsTaken);
  assert.equal(bob.tunnels.counters.dropReplay, dropReplay + 3);
  assert.deepEqual(bob.plane.indices, before);
});

Deno.test("lanes are no peers of their own: no list has them", () => {
  const made = pair();
  sayByAll(made);
  const numbers = made.alice.tunnels.peers().map(({ id }) => id);
  assert.deepEqual(numbers, [made.bobAtAlice], "lanes are no peers");
  assert.equal(made.alice.tunnels.size, 1);
});

Deno.test("a lane is where its peer is: it moves along, and no message of its own moves it", () => {
  const made = pair();
  const { lab, alice, bob, bobAtAlice } = made;
  sayByAll(made);
  bob.endpoint = { ...bob.endpoint, port: 6000 };
  for (let flow = 0; flow < 4; flow++) bob.say(alice, flow);
  lab.run(100);
  const told = alice.edges.filter(({ kind }) => kind === "endpointMoved").map(({ peer }) => peer);
  assert.ok(told.some((peer) => peer !== bobAtAlice), "it is told of a lane");
  assert.deepEqual([...new Set(told.map((peer) => alice.tunnels.firstOf(peer)))], [bobAtAlice]);
  const before = alice.sent.length;
  sayByAll(made);
  assert.ok(alice.sent.slice(before).every(({ to }) => to.port === 51820));
  alice.step((now, out) => alice.tunnels.move(now, bobAtAlice, bob.endpoint, undefined, out));
  const moved = alice.sent.length;
  sayByAll(made);
  assert.equal(indexesSince(alice, moved).size, 4);
  assert.ok(alice.sent.slice(moved).every(({ to }) => to.port === 6000));
});

Deno.test("each lane is renewed by itself, and carries data for as long as the peer is there", () => {
  const made = pair();
  const { lab, alice, bob, bobAtAlice } = made;
  for (let second = 0; second < 400; second++) {
    for (let flow = 0; flow < 4; flow++) {
      alice.say(bob, flow);
      bob.say(alice, flow);
    }
    lab.run(1_000);
  }
  assert.equal(bob.delivered.length, 1 + 1600);
  assert.equal(alice.delivered.length, 1600);
  assert.equal(lanesOf(alice, bobAtAlice), 4);
  assert.ok(alice.plane.indices.length <= 8, "a current and a previous session each");
});

Deno.test("lanes end with the sessions of their peer, and come again with the next", () => {
  const made = pair();
  const { lab, alice, bob, bobAtAlice } = made;
  sayByAll(made);
  const ends: ((now: number) => void)[] = [
    () => alice.step((now, out) => alice.tunnels.endSessions(now, bobAtAlice, out)),
    () => alice.step((now, out) => alice.tunnels.down(now, out)),
    () => lab.run(700_000), // it was renewed once for its lanes
  ];
  for (const end of ends) {
    end(lab.now);
    assert.equal(alice.plane.indices.length, 0);
    alice.step((now, out) => alice.tunnels.up(now, out));
    lab.run(6_000);
    alice.say(bob);
    lab.run(1_000);
    sayByAll(made);
    sayByAll(made);
    assert.equal(lanesOf(alice, bobAtAlice), 4);
  }
  alice.step((now, out) => alice.tunnels.removePeer(now, bobAtAlice, out));
  assert.equal(alice.plane.indices.length, 0);
  assert.equal(alice.tunnels.deadline, undefined);
});

Deno.test("a peer that has started anew is sent nothing by the lanes of its earlier run", () => {
  const made = pair();
  const { lab, alice, bob, bobAtAlice } = made;
  sayByAll(made);
  bob.step((now, out) => bob.tunnels.down(now, out)); // it has forgotten all of it
  bob.step((now, out) => bob.tunnels.up(now, out));
  alice.step((now, out) => alice.tunnels.startedAnew(now, bobAtAlice, out));
  lab.run(100);
  const before = bob.delivered.length;
  sayByAll(made);
  assert.equal(bob.delivered.length, before + 4);
});

Deno.test("data of a lane's lost session is answered with a handshake of that lane", () => {
  const made = pair();
  const { lab, bob, aliceAtBob } = made;
  sayByAll(made);
  sayByAll(made);
  bob.step((now, out) => bob.tunnels.setLanes(now, aliceAtBob, 1, out)); // and has them no more
  bob.step((now, out) => bob.tunnels.setLanes(now, aliceAtBob, 4, out));
  lab.run(6_000);
  const before = bob.delivered.length;
  sayByAll(made);
  assert.equal(bob.delivered.length, before + 1, "three go to sessions that bob has not");
  bob.step((now, out) => bob.tunnels.mendLanes(now, aliceAtBob, out));
  lab.run(100);
  sayByAll(made);
  assert.equal(bob.delivered.length, before + 5);
});

Deno.test("lanes speak the suite of their peer", () => {
  const dialects = [SHOAL_AES, WIREGUARD, SHOAL_LANE, SHOAL_AES_LANE];
  for (const suite of ["aes-256-gcm", "chacha20-poly1305"] as const) {
    const made = pair(4, 4, { workers: 4, dialects });
    const { alice, bob, bobAtAlice, aliceAtBob } = made;
    alice.tunnels.setSuite(bobAtAlice, suite);
    bob.tunnels.setSuite(aliceAtBob, suite);
    sayByAll(made);
    const suites = alice.commands.filter((command) => command.kind === "installSession")
      .map(({ session }) => session.suite);
    assert.deepEqual(suites.slice(1), [suite, suite, suite]);
  }
});

Deno.test("what is known of a peer counts what went by its lanes", () => {
  const made = pair();
  const { alice, bobAtAlice } = made;
  sayByAll(made);
  sayByAll(made);
  const facts = alice.tunnels.facts(bobAtAlice, alice.plane.facts);
  const own = alice.plane.facts(bobAtAlice);
  const data = alice.sent.filter(({ bytes }) => bytes[0] === 4);
  assert.equal(facts?.txPackets, data.length);
  assert.equal(facts?.txBytes, data.reduce((sum, { bytes }) => sum + bytes.length, 0));
  assert.ok((own?.txPackets ?? 0) < data.length);
});

Deno.test("the table of peers has its limit with lanes: they leave room for peers", () => {
  const made = pair(4, 4, { ...FOUR, maxPeers: 4 });
  const { lab, alice, bob, bobAtAlice } = made;
  for (let i = 0; i < 3; i++) sayByAll(made);
  assert.equal(lanesOf(alice, bobAtAlice), 3);
  assert.equal(bob.delivered.length, 13);
  const kinds: string[] = [];
  for (let i = 0; i < 2; i++) {
    const key = lab.random(32);
    alice.step((now, out) => void kinds.push(alice.tunnels.addPeer(now, key, out).kind));
  }
  assert.deepEqual(kinds, ["added", "full"]);
});

Deno.test("R37, R64: a lane's timestamps grow, though it has gone and come, and the clock was set back", () => {
  const made = pair();
  const { lab, alice, bob, bobAtAlice } = made;
  sayByAll(made);
  lab.run(20_000);
  lab.bend.wall -= 3_600_000;
  alice.step((now, out) => alice.tunnels.look(now, out)); // ends all sessions
  bob.step((now, out) => bob.tunnels.look(now, out));
  lab.run(10_000);
  alice.say(bob);
  lab.run(1_000);
  sayByAll(made);
  sayByAll(made);
  assert.equal(lanesOf(alice, bobAtAlice), 4);
  assert.equal(bob.tunnels.counters.dropReplay, 0);
});

Deno.test("a peer has a session for as long as one of its lanes is used, and status says so", () => {
  for (const [begins, isBoth] of [[0, true], [100, true], [150, false], [170, true]] as const) {
    const made = pair();
    const { lab, alice, bob, bobAtAlice, aliceAtBob } = made;
    lab.run(begins * 1_000);
    for (let second = 0; second < 900; second++) {
      alice.say(bob, 1);
      if (isBoth) bob.say(alice, 1);
      lab.run(1_000);
      const { boot } = lab.clock();
      const until = alice.tunnels.sessionUntil(bobAtAlice);
      assert.ok(until > boot, `at ${begins}: none after ${second} s at alice`);
      assert.ok(bob.tunnels.sessionUntil(aliceAtBob) > boot, `${begins}, ${second} s at bob`);
    }
    assert.equal(bob.delivered.length, 1 + 900);
    const gone = alice.commands.filter(({ kind }) => kind === "removePeer");
    assert.equal(gone.length, 0, "no lane went");
    lab.run(700_000);
    assert.equal(alice.tunnels.sessionUntil(bobAtAlice), 0, "and not without end");
    assert.equal(alice.plane.indices.length, 0);
  }
});

Deno.test("peers are dealt out to workers by turns, whatever numbers lanes have", () => {
  const lab = new TunnelLab(1, undefined, { ...FOUR, workers: 2 });
  const alice = lab.host(1);
  const workers = [2, 3, 4, 5].map((number) => {
    const bob = lab.host(number);
    const [bobAtAlice, aliceAtBob] = [alice.meet(bob), bob.meet(alice, "unknown")];
    alice.step((now, out) => alice.tunnels.setLanes(now, bobAtAlice, 2, out));
    bob.step((now, out) => bob.tunnels.setLanes(now, aliceAtBob, 2, out));
    alice.say(bob);
    lab.run(100);
    return bobAtAlice % 2;
  });
  assert.deepEqual(workers, [1, 0, 1, 0]);
});

Deno.test("what went by lanes is counted though they have gone", () => {
  const made = pair();
  const { lab, alice, bob, bobAtAlice } = made;
  sayByAll(made);
  sayByAll(made);
  for (let flow = 0; flow < 4; flow++) bob.say(alice, flow);
  lab.run(100);
  const before = alice.tunnels.facts(bobAtAlice, alice.plane.facts);
  assert.ok(before);
  alice.step((now, out) => alice.tunnels.setLanes(now, bobAtAlice, 1, out));
  const after = alice.tunnels.facts(bobAtAlice, alice.plane.facts);
  for (const name of ["txBytes", "rxBytes", "txPackets", "rxPackets"] as const) {
    assert.ok(after && after[name] >= before[name] && before[name] > 0, name);
  }
});

Deno.test("R38: a peer that says over and over that it has started anew gets no more handshakes for its lanes", () => {
  const made = pair();
  const { lab, alice, bob, bobAtAlice } = made;
  sayByAll(made);
  lab.run(7_000);
  const initiations = () => alice.sent.filter(({ bytes }) => bytes[0] === 1).length;
  const before = initiations();
  for (let i = 0; i < 50; i++) { // 5 s
    alice.step((now, out) => alice.tunnels.startedAnew(now, bobAtAlice, out));
    alice.step((now, out) => alice.tunnels.setLanes(now, bobAtAlice, 4, out));
    sayByAll({ lab, alice, bob });
  }
  const sent = initiations() - before;
  assert.ok(sent <= 2 * 4, `${sent} initiations`);
});
