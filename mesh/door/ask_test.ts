/** Items 8 and 9, invariant 11: a stranger learns nothing and keeps nobody out, over whole nodes. */
import assert from "node:assert/strict";
import type { Endpoint } from "../endpoint.ts";
import { meshIdOf } from "../membership/genesis.ts";
import { identityFromSeed } from "../membership/identity.ts";
import { NO_PROOF, sequenceOf, signRecord } from "../membership/record.ts";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { type Computer, NodeLab } from "../sim/node_lab.ts";
import { done, healthOf, invite, promote, village } from "../sim/people.ts";
import { sealAsk } from "../wire/ask.ts";
import { doorKeyOf, sealHello } from "../wire/contact.ts";

const utf8 = new TextEncoder();

function spoofed(n: number): Endpoint {
  return {
    address: Uint8Array.of(11 + (n >> 16), n >> 8 & 255, n & 255, 1),
    port: 1 + n,
    scope: 0,
  };
}

function openDoor(computer: Computer, ms = 3_600_000): void {
  done(computer.step((now) => computer.node.openDoor(now, ms)));
}

function requestsOf(computer: Computer): string[] {
  return computer.node.status(computer.now()).requests.map(({ key }) => key);
}

/** Bytes that a computer sends to anybody but these. */
function countBytes(lab: NodeLab, from: Computer, ...but: Computer[]): () => number {
  let bytes = 0;
  const known = new Set(but.map(({ address }) => address));
  lab.tap = (datagram, sender) => {
    const to = `${datagram.to.address.join(".")}:${datagram.to.port}`;
    if (sender === from && !known.has(to)) bytes += datagram.bytes.length;
  };
  return () => bytes;
}

Deno.test("item 8: 3,000 asks from spoofed addresses take no place and keep the true asker out for no more than seconds", () => {
  const lab = new NodeLab(crypto, 61);
  const founder = lab.founder();
  openDoor(founder);
  const flood = (count: number) => {
    for (let n = 0; n < count; n++) {
      founder.inject(
        sealAsk(crypto, lab.random).bytes,
        spoofed(Math.floor(lab.world.random.between(0, 60_000))),
      );
    }
  };
  flood(1_000);
  assert.deepEqual(requestsOf(founder), [], "none has shown that it receives where it asks from");
  const guest = lab.computer({ name: "guest", seeds: [founder.address] });
  guest.start();
  for (let i = 0; i < 100; i++) {
    flood(20);
    lab.run(50);
  }
  assert.deepEqual(requestsOf(founder), [guest.id]);
  const { mesh, health } = guest.node.status(guest.now());
  assert.equal(mesh.state, "pending");
  const line = "pending: a seed shows our request: an admin admits us with " +
    `\`shoal approve --name guest ${guest.id}\``;
  assert(health.includes(line), health.join("\n"));
  lab.run(1_200_000);
  assert.deepEqual(requestsOf(founder), [guest.id], "it repeats itself and stays");
  guest.crash();
  lab.run(700_000);
  assert.deepEqual(requestsOf(founder), [], "what is not repeated is forgotten");
});

Deno.test("item 9, invariant 11: a closed door answers nothing, an opened one closes by itself", () => {
  const lab = new NodeLab(crypto, 62);
  const founder = lab.founder();
  const bytes = countBytes(lab, founder);
  const guest = lab.computer({ name: "guest", seeds: [founder.address] });
  guest.start();
  lab.run(120_000);
  assert.equal(bytes(), 0);
  assert.deepEqual(requestsOf(founder), []);
  assert.match(
    healthOf(guest).join("\n"),
    /^seed .* did not answer in 10 s \(\d tries\): is UDP port 51820 open there, and has somebody there opened the door/m,
  );
  openDoor(founder, 90_000);
  assert.equal(founder.node.status(founder.now()).mesh.door_open_s, 90);
  lab.run(80_000);
  assert.deepEqual(requestsOf(founder), [guest.id]);
  lab.run(20_000);
  assert.equal(founder.node.status(founder.now()).mesh.door_open_s, 0);
  const before = bytes();
  lab.run(120_000);
  assert.equal(bytes(), before, "not even to whom it has answered before");
});

Deno.test("a machine with a new key asks at the doors that it knows, as one that joins first, and the approval lets it in within seconds", () => {
  const { lab, founder, others: [bern, kiel] } = village(crypto, ["bern", "kiel"], 64);
  assert.ok(bern?.disk && kiel);
  bern.crash();
  const { token: __, ...wish } = bern.wish;
  bern.wish = wish;
  bern.identitySeed = lab.random(32);
  const { admission: _, ...kept } = bern.disk;
  bern.disk = { ...kept, numbers: { own: 0, mesh: kept.numbers.mesh }, boot: 0, incarnation: 0 };
  assert.equal(bern.start(), undefined);
  lab.run(30_000);
  assert.deepEqual(requestsOf(kiel), [], "the door is closed");
  assert.match(healthOf(bern).join("\n"), /`shoal approve --name bern /);
  const whys = bern.events.flatMap((one) => one.kind === "joinFailed" ? [one.why] : []);
  assert.match(whys.join("\n"), /answer in 10 s .*: it answers this machine's key once an admin/);
  openDoor(kiel);
  lab.run(65_000);
  assert.deepEqual(requestsOf(kiel), [bern.id]);
  assert.equal(bern.node.status(bern.now()).mesh.state, "pending");
  assert.equal(bern.events.filter(({ kind }) => kind === "joinPending").length, 1);
  const options = { name: "bern-b" };
  done(founder.step((now, out) => founder.node.approve(now, bern.id, out, options)));
  lab.run(6_000);
  assert.equal(bern.node.status(bern.now()).mesh.state, "member");
  assert.deepEqual(requestsOf(kiel), [], "it is decided");
});

Deno.test("item 9, invariant 11: who has neither token nor memory gets no byte, whatever it knows of the mesh or of the door's key", () => {
  const { lab, founder, others: [lyon] } = village(crypto, ["lyon"], 63);
  assert.ok(lyon);
  const bytes = countBytes(lab, founder, lyon);
  const genesis = founder.node.genesis;
  assert.ok(genesis);
  const meshId = meshIdOf(crypto, genesis);
  const stranger = identityFromSeed(crypto, lab.random(32));
  const key = Uint8Array.fromHex(founder.id);
  const otherMesh = meshIdOf(crypto, { ...genesis, meshKey: stranger.signing.publicKey });
  const shown = Uint8Array.fromBase64(lyon.disk?.members[0]?.record ?? "", {
    alphabet: "base64url",
  });
  const own = signRecord(crypto, meshId, stranger.signing, {
    key: stranger.signing.publicKey,
    sequence: sequenceOf(1, 0),
    run: "0011223344556677",
    twin: undefined,
    endpoints: [],
    capabilities: { relay: true, tunnel: true, meshKey: false, aesGcm: false, lanes: 1 },
    routes: [],
    version: "",
    proof: NO_PROOF,
  }).bytes;
  const doors = [
    doorKeyOf(crypto, meshId, key), // knows both, brings no proof
    doorKeyOf(crypto, otherMesh, key), // knows the door's key only
    doorKeyOf(crypto, meshId, stranger.signing.publicKey), // knows the mesh only
  ];
  let sent = 0;
  for (const door of doors) {
    assert.ok(door);
    for (const content of [own, shown.slice(0, 100), lab.random(200), new Uint8Array(0)]) {
      const hello = sealHello(crypto, lab.random, door, content);
      assert.ok(hello);
      founder.inject(hello.bytes, spoofed(sent++));
    }
  }
  founder.inject(sealAsk(crypto, lab.random).bytes, spoofed(sent++));
  for (const type of [0xc1, 0xc2, 0xc3, 0xc4, 0, 1, 2, 3, 4, 0x53]) {
    for (const version of [0, 1, 2, 3]) {
      for (const length of [4, 40, 64, 67, 92, 148, 1232]) {
        const datagram = lab.random(length);
        datagram.set([type, version, 0, 0]);
        founder.inject(datagram, spoofed(sent++));
      }
    }
  }
  lab.run(5_000);
  assert.equal(bytes(), 0);
  assert.equal(founder.node.status(founder.now()).peers.length, 1);
});

Deno.test("item 9, invariant 11: neither name, key nor version of an asker or a joiner, nor the door's key or mesh, is in a byte on the wire", () => {
  const lab = new NodeLab(crypto, 64);
  const founder = lab.founder({ version: "9.8.7-door" });
  openDoor(founder);
  const seen: Uint8Array[] = [];
  lab.tap = ({ bytes }) => void seen.push(bytes);
  const asker = lab.computer({
    name: "secret-asker",
    version: "1.2.3-asker",
    seeds: [founder.address],
  });
  asker.start();
  const joiner = lab.computer({
    name: "secret-joiner",
    version: "1.2.3-joiner",
    token: founder.token(),
  });
  joiner.start();
  lab.run(3_000);
  done(founder.step((now, out) => founder.node.approve(now, asker.id, out)));
  lab.run(10_000);
  assert.equal(founder.node.status(founder.now()).peers.length, 2);
  const { mesh } = founder.node.status(founder.now());
  const secrets = [
    ...["secret-asker", "secret-joiner", "1.2.3-asker", "1.2.3-joiner", "9.8.7-door", "founder"]
      .map((text) => utf8.encode(text)),
    ...[asker.id, joiner.id, founder.id, mesh.id, mesh.key].map((hex) => Uint8Array.fromHex(hex)),
    ...[asker, joiner, founder].map(({ identitySeed }) =>
      identityFromSeed(crypto, identitySeed).tunnelPublic
    ),
  ].map((bytes) => bytes.toHex());
  assert.ok(seen.length > 20);
  for (const bytes of seen) {
    const text = bytes.toHex();
    for (const secret of secrets) {
      assert.ok(!text.includes(secret), `${text.slice(0, 8)} holds ${secret}`);
    }
  }
});

Deno.test("item 9: the same token, the same place: no two hellos of a joiner can be linked by their bytes", () => {
  const lab = new NodeLab(crypto, 65);
  const founder = lab.founder();
  const joiner = lab.computer({ token: founder.token() });
  founder.crash();
  const hellos: Uint8Array[] = [];
  lab.tap = ({ bytes }) => void hellos.push(bytes);
  joiner.start();
  lab.run(60_000);
  joiner.crash();
  joiner.start();
  lab.run(60_000);
  assert.ok(hellos.length >= 8);
  const pieces = new Set<string>();
  for (const bytes of hellos) {
    assert.equal(bytes.length, 1232);
    // Every window of eight bytes behind the head and the pass, which says "no cookie".
    const rest = bytes.slice(36).toHex();
    for (let at = 0; at + 16 <= rest.length; at += 16) {
      const piece = rest.slice(at, at + 16);
      assert.ok(!pieces.has(piece), "eight bytes came twice");
      pieces.add(piece);
    }
  }
});

Deno.test("a node of an older version that knocks is named in status, with its place, and gets no answer", () => {
  const lab = new NodeLab(crypto, 66);
  const founder = lab.founder();
  const bytes = countBytes(lab, founder);
  const old = lab.random(1232);
  old.set([0xc2, 0, 0, 0]);
  for (let n = 0; n < 20; n++) founder.inject(old, spoofed(n));
  const named = healthOf(founder).filter((line) =>
    /^a machine at .* speaks version 1 of shoal's protocol, which this node does not: update shoal there$/
      .test(line)
  );
  assert.equal(named.length, 4, "the last four places");
  assert.ok(named.some((line) => line.includes("11.0.19.1:20")));
  assert.equal(founder.node.status(founder.now()).control["other_version"], 20);
  lab.run(11 * 60_000);
  assert.deepEqual(healthOf(founder), []);
  assert.equal(bytes(), 0);
});

Deno.test("invariant 11: a former member knows the doors, and learns from their answers no more than that it is out", () => {
  const { lab, founder, others: [bad, lyon] } = village(crypto, ["bad", "lyon"], 67);
  assert.ok(bad && lyon);
  promote(founder, lyon);
  lab.run(3_000);
  done(founder.step((now, out) => founder.node.revoke(now, "bad", {}, out)));
  lab.run(5_000);
  const newcomer = lab.joiner(founder, { name: "newcomer" });
  lab.run(5_000);
  bad.crash();
  bad.start();
  lab.run(30_000);
  assert.equal(bad.sees(newcomer), undefined);
  assert.match(healthOf(bad).join("\n"), /^revoked: /m);
});

Deno.test("invariant 13: who was restarted while it waited for approval keeps what it learns and signs from then on", () => {
  const lab = new NodeLab(crypto, 64);
  const founder = lab.founder();
  openDoor(founder);
  const guest = lab.computer({ name: "guest", seeds: [founder.address] });
  guest.start();
  assert.ok(lab.until(10_000, () => requestsOf(founder).length === 1));
  guest.crash();
  guest.start();
  lab.run(5_000);
  done(founder.step((now, out) => founder.node.approve(now, guest.id, out)));
  assert.ok(lab.until(30_000, () => guest.node.isMember));
  promote(founder, guest);
  lab.run(5_000);
  invite(guest);
  const { numbers, statements, members } = guest.node.snapshot();
  assert.ok(numbers.own > 0, "the invite has a number");
  assert.deepEqual(guest.disk?.numbers, numbers);
  assert.ok(statements.length >= 3, "its certificate, its office, its invite");
  assert.equal(members.length, 1);
  guest.crash();
  guest.start();
  lab.run(5_000);
  invite(guest);
  assert.ok((guest.disk?.numbers.own ?? 0) > numbers.own, "no number is used twice");
  lab.run(30_000);
  assert.doesNotMatch(healthOf(founder).join(), /twice/);
});
