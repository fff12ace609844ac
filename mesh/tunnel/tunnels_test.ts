/** The tunnel machine's door: configuration and what people see; R1, R2, R4, R17, R50, R65, R66. */
import assert from "node:assert/strict";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { TunnelLab } from "../sim/tunnel_lab.ts";
import { Effects } from "../machine.ts";
import { Tunnels } from "./tunnels.ts";
import type { TunnelEvent } from "./types.ts";

const now = { boot: 1_000, wall: Date.UTC(2026, 0, 1) };

function machine(maxPeers?: number) {
  const lab = new TunnelLab();
  const tunnels = new Tunnels({
    crypto,
    random: lab.random,
    ...(maxPeers !== undefined && { maxPeers }),
  });
  return { tunnels, out: new Effects<TunnelEvent>(), random: lab.random };
}

function pair() {
  const lab = new TunnelLab();
  const { alice, bob, bobAtAlice, aliceAtBob } = lab.pair();
  alice.say(bob);
  lab.run(30);
  return { lab, alice, bob, bobAtAlice, aliceAtBob };
}

function v4(a: number, b: number, c: number, d: number, length: number) {
  return { address: Uint8Array.of(a, b, c, d), length };
}

Deno.test("R17: the table of peers has a limit; at the limit a peer is refused, and room is reused", () => {
  const { tunnels, out, random } = machine(3);
  const keys = [1, 2, 3, 4].map(() => random(32));
  const add = (i: number) => tunnels.addPeer(now, keys[i] ?? new Uint8Array(32), out);
  assert.deepEqual([add(0), add(1), add(2)].map(({ kind }) => kind), ["added", "added", "added"]);
  assert.deepEqual(add(3), { kind: "full", limit: 3 });
  assert.equal(out.commands.length, 3);
  assert.deepEqual(add(1), { kind: "exists", peer: 2 });
  tunnels.removePeer(now, 2, out);
  assert.deepEqual(add(3), { kind: "added", peer: 4 }, "numbers are never used again");
});

Deno.test("a peer with our own key is left out, and removed when the key becomes ours", () => {
  const { tunnels, out, random } = machine();
  const secret = random(32);
  const publicKey = crypto.x25519PublicKey(secret);
  assert.equal(tunnels.addPeer(now, publicKey, out).kind, "added");
  tunnels.setPrivateKey(now, secret, out);
  assert.deepEqual(tunnels.peers(), []);
  assert.deepEqual(out.commands.at(-1), { kind: "removePeer", peer: 1 });
  assert.deepEqual(tunnels.addPeer(now, publicKey, out), { kind: "self" });
  assert.deepEqual(tunnels.publicKey, publicKey);
});

Deno.test("the same private key again changes nothing; another one ends all sessions", () => {
  const { lab, alice, bob, bobAtAlice } = pair();
  const set = (key: Uint8Array | undefined) =>
    alice.step((now, out) => alice.tunnels.setPrivateKey(now, key, out));
  set(alice.secretKey);
  assert.equal(alice.plane.indices.length, 1);
  const key = lab.random(32);
  set(key);
  assert.deepEqual(alice.plane.indices, []);
  alice.say(bob);
  lab.run(20);
  assert.equal(bob.tunnels.counters.dropUnknownPeer, 1, "bob does not know the new key");
  bob.meet({ ...alice, publicKey: crypto.x25519PublicKey(key), number: 1 }, "unknown");
  lab.run(6_000);
  assert.equal(bob.delivered.length, 2);
  set(undefined);
  assert.equal(alice.tunnels.publicKey, undefined);
  const sent = alice.sent.length;
  alice.say(bob);
  lab.run(20_000);
  assert.equal(alice.sent.length, sent, "without a key nothing is sent");
  assert.equal(alice.plane.facts(bobAtAlice)?.staged, 0);
  set(key);
  alice.say(bob);
  lab.run(100);
  assert.equal(bob.delivered.length, 3, "and with one again it is");
});

Deno.test("keys of a wrong length are misuse", () => {
  const { tunnels, out } = machine();
  assert.throws(() => tunnels.addPeer(now, new Uint8Array(31), out), /public key: 31 bytes/);
  assert.throws(() => tunnels.setPrivateKey(now, new Uint8Array(33), out), /private key: 33/);
  tunnels.addPeer(now, new Uint8Array(32).fill(1), out);
  assert.throws(() => tunnels.setPresharedKey(1, new Uint8Array(0)), /preshared key: 0/);
  assert.throws(() => tunnels.setPersistentKeepalive(now, 1, 65_536, out), /65536/);
  assert.throws(() => tunnels.addRoute(1, v4(10, 0, 0, 0, 33), out), /length 33 of 32 bits/);
});

Deno.test("R50: a prefix is held by one peer; whoever gets it last has it", () => {
  const { tunnels, out, random } = machine();
  tunnels.addPeer(now, random(32), out);
  tunnels.addPeer(now, random(32), out);
  const routes = (id: number) => tunnels.peer(id)?.routes.map(({ address }) => address.join("."));
  tunnels.addRoute(1, v4(10, 0, 0, 0, 8), out);
  tunnels.addRoute(1, v4(10, 1, 2, 3, 16), out);
  tunnels.addRoute(2, v4(10, 1, 9, 9, 16), out);
  assert.deepEqual([routes(1), routes(2)], [["10.0.0.0"], ["10.1.0.0"]]);
  tunnels.removeRoute(1, v4(10, 1, 0, 0, 16), out);
  assert.deepEqual(routes(2), ["10.1.0.0"], "only its holder can lose it");
  assert.ok(!out.commands.some(({ kind }) => kind === "removeRoute"));
  tunnels.removeRoute(2, v4(10, 1, 0, 0, 16), out);
  assert.deepEqual([routes(1), routes(2)], [["10.0.0.0"], []]);
  tunnels.removePeer(now, 1, out);
  tunnels.addRoute(2, v4(10, 0, 0, 0, 8), out);
  assert.deepEqual(routes(2), ["10.0.0.0"]);
});

Deno.test("what is said again changes nothing: no command goes to core, no timer begins anew", () => {
  const { tunnels, out, random } = machine();
  tunnels.addPeer(now, random(32), out);
  tunnels.up(now, out);
  const endpoint = { address: Uint8Array.of(192, 0, 2, 1), port: 7, scope: 0 };
  const say = (at: typeof now) => {
    tunnels.addRoute(1, v4(10, 0, 0, 0, 8), out);
    tunnels.setEndpoint(at, 1, endpoint, out);
    tunnels.setPersistentKeepalive(at, 1, 25, out);
  };
  say(now);
  const before = { commands: out.commands.length, deadline: tunnels.deadline?.at };
  say({ ...now, boot: now.boot + 1_000 });
  assert.equal(out.commands.length, before.commands);
  assert.equal(tunnels.deadline?.at, before.deadline);
});

Deno.test("R65: down zeroes sessions and drops what is staged; up starts afresh", () => {
  const { lab, alice, bob, bobAtAlice } = pair();
  lab.run(200_000);
  lab.isLost = () => true;
  alice.say(bob);
  lab.run(0);
  assert.equal(alice.plane.facts(bobAtAlice)?.staged, 1);
  alice.step((now, out) => alice.tunnels.down(now, out));
  assert.equal(alice.plane.facts(bobAtAlice)?.staged, 0);
  assert.deepEqual(alice.plane.indices, []);
  assert.equal(alice.tunnels.deadline, undefined);
  const sent = alice.sent.length;
  lab.isLost = () => false;
  alice.say(bob);
  lab.run(20_000);
  assert.equal(alice.sent.length, sent, "down is down");
  alice.step((now, out) => alice.tunnels.up(now, out));
  lab.run(50);
  assert.equal(bob.delivered.length, 2, "what was staged while down goes out with up");
});

Deno.test("R65: handshakes that arrive while down are dropped and counted", () => {
  const { lab, alice, bob } = pair();
  bob.step((now, out) => bob.tunnels.down(now, out));
  alice.step((now, out) => alice.tunnels.startHandshake(now, 1, out));
  lab.run(6_000);
  assert.ok(bob.tunnels.counters.dropDown >= 1);
  assert.equal(bob.sentAt(2).length, 1);
});

Deno.test("R65: session keys, preshared keys and private keys are zero when they are given up", () => {
  const wiped: Uint8Array[] = [];
  const spy = {
    ...crypto,
    wipe: (...secrets: Uint8Array[]) => {
      wiped.push(...secrets.map((secret) => secret.slice()));
      crypto.wipe(...secrets);
    },
  };
  const lab = new TunnelLab(1, spy);
  const alice = lab.host(1);
  const bob = lab.host(2);
  const id = alice.meet(bob);
  const psk = lab.random(32);
  alice.tunnels.setPresharedKey(id, psk);
  const isWiped = (secret: Uint8Array) => wiped.some((bytes) => crypto.equal(bytes, secret));
  alice.tunnels.setPresharedKey(id, undefined);
  assert.ok(isWiped(psk));
  const staticStatic = crypto.x25519(alice.secretKey, bob.publicKey) ?? new Uint8Array();
  alice.say(bob);
  lab.run(0);
  alice.step((now, out) => alice.tunnels.removePeer(now, id, out));
  assert.ok(isWiped(staticStatic));
  alice.step((now, out) => alice.tunnels.setPrivateKey(now, undefined, out));
  assert.ok(isWiped(alice.secretKey));
});

Deno.test("R66: no event holds a secret", () => {
  const { lab, alice, bob } = pair();
  lab.run(1_000);
  const secrets = [alice.secretKey, bob.secretKey].map((key) => JSON.stringify(key));
  const said = JSON.stringify([alice.events, bob.events]);
  for (const secret of secrets) assert.ok(!said.includes(secret));
});

Deno.test("R1, R2, R4: core is told every limit of a session, an initiator's and a responder's", () => {
  const { alice, bob } = pair();
  const limits = (host: typeof alice) =>
    host.commands.flatMap((command) => {
      if (command.kind !== "installSession") return [];
      const { birth, rekeyAfterTime, rekeyOnReceive, rekeyAfterMessages } = command.session;
      return [[birth, rekeyAfterTime, rekeyOnReceive, rekeyAfterMessages]];
    });
  assert.deepEqual(limits(alice), [[1_020, 121_020, 166_020, 2n ** 60n]]);
  assert.deepEqual(limits(bob), [[1_010, 0, 0, 2n ** 60n]]);
});

Deno.test("R1: core's word that the counter is high makes a handshake, for the current session only", () => {
  const { lab, alice, bobAtAlice } = pair();
  lab.run(10_000);
  const [index = 0] = alice.plane.indices;
  const due = (of: number) =>
    alice.step((now, out) =>
      alice.tunnels.edge(
        now,
        { kind: "rekeyDue", peer: bobAtAlice, index: of, why: "messages" },
        out,
      )
    );
  due(index + 1);
  assert.equal(alice.sentAt(1).length, 1);
  due(index);
  assert.equal(alice.sentAt(1).length, 2);
});

Deno.test("news about a peer that is gone is void", () => {
  const { lab, alice, bob, bobAtAlice } = pair();
  alice.step((now, out) => alice.tunnels.removePeer(now, bobAtAlice, out));
  const before = alice.commands.length;
  const peer = bobAtAlice;
  alice.step((now, out) => {
    alice.tunnels.edge(now, { kind: "sessionNeeded", peer }, out);
    alice.tunnels.edge(now, { kind: "unansweredData", peer, at: lab.now }, out);
    alice.tunnels.edge(now, { kind: "unsentReply", peer, at: lab.now }, out);
    alice.tunnels.edge(now, { kind: "sessionConfirmed", peer, index: 1 }, out);
    alice.tunnels.setEndpoint(now, peer, bob.endpoint, out);
    alice.tunnels.startHandshake(now, peer, out);
    alice.tunnels.removePeer(now, peer, out);
    alice.tunnels.due(now, alice.plane.facts, out);
  });
  alice.arrive(bob.sent[0]?.bytes ?? new Uint8Array(), bob.endpoint);
  assert.equal(alice.commands.length, before);
  assert.equal(alice.tunnels.deadline, undefined);
  assert.equal(alice.tunnels.counters.dropUnexpected, 1);
});

Deno.test("what wg show prints is there", () => {
  const { lab, alice, bob, bobAtAlice } = pair();
  lab.run(5_000);
  const view = alice.tunnels.peer(bobAtAlice);
  assert.ok(view);
  assert.deepEqual(view.publicKey, bob.publicKey);
  assert.deepEqual(view.endpoint, bob.endpoint);
  assert.deepEqual(view.routes, [v4(10, 0, 0, 2, 32)]);
  assert.equal(view.lastHandshakeWall, Date.UTC(2026, 0, 1) + 1_020);
  assert.equal(view.sessionUntil, 181_020);
  assert.equal(view.isShakingHands, false);
  assert.equal(alice.tunnels.peerByKey(bob.publicKey), bobAtAlice);
  assert.equal(alice.tunnels.peerByKey(alice.publicKey), undefined);
  assert.deepEqual(alice.tunnels.peers(), [view]);
});

Deno.test("thousands of peers: a deadline costs no scan, and what is due is done in order", () => {
  const lab = new TunnelLab();
  const host = lab.host(1);
  const endpoint = { address: Uint8Array.of(192, 0, 2, 99), port: 1, scope: 0 };
  const peers = 3_000;
  for (let i = 0; i < peers; i++) {
    const publicKey = lab.random(32);
    const added = host.step((now, out) => host.tunnels.addPeer(now, publicKey, out));
    assert.ok(added.kind === "added");
    host.step((now, out) => host.tunnels.setPersistentKeepalive(now, added.peer, 60, out));
    lab.run(1);
  }
  const read: number[] = [];
  const facts = (id: number) => (read.push(id), undefined);
  lab.run(0);
  assert.equal(host.tunnels.deadline?.at, 61_000);
  const { boot, wall } = lab.clock();
  const at = { boot: 61_009, wall: wall + 61_009 - boot };
  host.step((_, out) => host.tunnels.due(at, facts, out));
  assert.deepEqual(read, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "only those that are due are read");
  host.step((_, out) => host.tunnels.setEndpoint(at, 1, endpoint, out));
  assert.equal(host.tunnels.deadline?.at, 61_010);
});
