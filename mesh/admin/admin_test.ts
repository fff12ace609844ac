import assert from "node:assert/strict";
import type { Endpoint } from "./endpoint.ts";
import { nobleCrypto as crypto } from "./noble_crypto.ts";
import { type Computer, NodeLab } from "./sim/node_lab.ts";

function failures(computer: Computer): string[] {
  return computer.events.flatMap((event) => event.kind === "joinFailed" ? [event.why] : []);
}

function state(computer: Computer): string {
  return computer.node.status(computer.now()).mesh.state;
}

function members(computer: Computer): number {
  return computer.node.status(computer.now()).peers.length;
}

Deno.test("T41: a revoked key is out everywhere, whatever certificate it shows", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const friend = lab.joiner(founder, { name: "friend" });
  const thief = lab.joiner(founder, { name: "thief" });
  lab.run(3_000);
  assert.equal(members(friend), 2);
  const { id } = thief;
  assert.ok(founder.step((now, out) => founder.node.revoke(now, "thief", out)).ok);
  lab.run(3_000);
  assert.equal(founder.sees(thief), undefined);
  assert.equal(friend.sees(thief), undefined, "the revocation has been gossiped");
  assert.ok(thief.events.some(({ kind }) => kind === "revoked"), "the revoked node is told");
  const ownHealth = thief.node.status(thief.now()).health;
  assert.ok(ownHealth.some((line) => /^revoked: this node's key was revoked/.test(line)));
  const disk = thief.disk;
  thief.crash();
  assert.match(thief.start() ?? "", /^state: the key of this node was revoked in the mesh/);
  thief.disk = disk;
  const again = founder.step((now, out) => founder.node.approve(now, id, out));
  assert.match(again.ok ? "" : again.error, /approve: the key .* is revoked for good/);
  thief.crash();
  thief.disk = undefined;
  thief.wish = { ...thief.wish, token: founder.token() };
  thief.start();
  lab.run(12_000);
  assert.equal(founder.sees(thief), undefined);
  assert.match(failures(thief)[0] ?? "", /refused us: our key, .* was revoked/);
  const refused = thief.node.status(thief.now()).health;
  assert.ok(refused.some((line) => /^seed .* refused us: our key/.test(line)), "a person sees why");
  // A restart of the others forgets nothing.
  friend.crash();
  friend.start();
  lab.run(3_000);
  assert.equal(friend.sees(thief), undefined);
});

Deno.test("revoking an admin voids those that it invited", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const admin = lab.computer({ name: "admin", token: founder.token({ admin: true }) });
  admin.start();
  lab.run(1_000);
  const guest = lab.joiner(admin, { name: "guest" });
  lab.run(3_000);
  assert.equal(founder.sees(guest)?.state, "alive");
  assert.ok(founder.step((now, out) => founder.node.revoke(now, "admin", out)).ok);
  assert.equal(members(founder), 0);
  lab.run(3_000);
  guest.crash();
  guest.wish = { ...guest.wish, token: founder.token() };
  guest.start();
  assert.ok(
    lab.until(5_000, () => founder.sees(guest)?.state === "alive"),
    "a token of another admin lets it back in",
  );
});

Deno.test("only an admin can invite, approve and revoke", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const member = lab.joiner(founder);
  lab.run(1_000);
  const invited = member.node.invite(member.now(), {});
  assert.match(invited.ok ? "" : invited.error, /^invite: this node is no admin: run it on one/);
  for (const what of ["approve", "revoke"] as const) {
    const result = member.step((now, out) => member.node[what](now, "founder", out));
    assert.match(result.ok ? "" : result.error, new RegExp(`^${what}: this node is no admin`));
  }
  assert.equal(member.sees(founder)?.state, "alive");
});

Deno.test("without a token a node asks, is shown, and joins once it is approved by name", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const guest = lab.computer({ name: "guest", seeds: [founder.address] });
  guest.start();
  lab.run(1_000);
  assert.equal(state(guest), "pending");
  const { requests, health } = founder.node.status(founder.now());
  assert.deepEqual(requests.map(({ name, key }) => [name, key]), [["guest", guest.id]]);
  assert.ok(
    health.some((line) => /^1 machine asks for admission: `shoal approve NAME`/.test(line)),
  );
  assert.equal(members(founder), 0);
  const approved = founder.step((now, out) => founder.node.approve(now, "guest", out));
  assert.deepEqual(approved, { ok: true, value: { id: guest.id, name: "guest" } });
  lab.run(3_000);
  assert.equal(state(guest), "member");
  assert.equal(founder.sees(guest)?.state, "alive");
  assert.equal(founder.node.status(founder.now()).requests.length, 0);
  guest.crash();
  guest.start();
  lab.run(2_000);
  assert.equal(founder.sees(guest)?.state, "alive", "after a restart nobody has to approve again");
});

Deno.test("a stranger that asks by a member's name is not approved by it", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const lyon = lab.joiner(founder, { name: "lyon" });
  lab.run(1_000);
  const strangers = ["lyon", "founder"].map((name) => {
    const stranger = lab.computer({ name, seeds: [founder.address] });
    stranger.start();
    return stranger;
  });
  lab.run(2_000);
  const approve = (who: string) => founder.step((now, out) => founder.node.approve(now, who, out));
  for (const name of ["lyon", "founder"]) {
    const refusal = approve(name);
    assert.match(
      refusal.ok ? "" : refusal.error,
      /is a member \([0-9a-f]{64}\), and another machine asks by that name \([0-9a-f]{64}\): say/,
    );
  }
  assert.deepEqual(approve(lyon.id), { ok: true, value: { id: lyon.id, name: "lyon" } });
  for (const stranger of strangers) assert.ok(approve(stranger.id).ok, "its key says who is meant");
});

Deno.test("a ping to somebody who is expelled meanwhile ends as lost", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const other = lab.joiner(founder, { name: "other" });
  lab.run(1_000);
  other.crash();
  const options = { timeoutMs: 2_000, size: 0 };
  assert.ok(founder.step((now, out) => founder.node.ping(now, "other", options, out)).ok);
  assert.ok(founder.step((now, out) => founder.node.revoke(now, "other", out)).ok);
  lab.run(3_000);
  const [lost] = founder.events.filter(({ kind }) => kind === "pingLost");
  assert.deepEqual(lost && "who" in lost && lost.who, { id: other.id, name: "other" });
});

Deno.test("a revocation that is refused changes nothing, individual trust included", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const member = lab.joiner(founder);
  const other = lab.joiner(founder, { name: "other" });
  lab.run(3_000);
  assert.ok(member.step((now, out) => member.node.trust(now, other.id, "other", out)).ok);
  const refusal = member.step((now, out) => member.node.revoke(now, "other", out));
  assert.match(refusal.ok ? "" : refusal.error, /^revoke: this node is no admin/);
  assert.equal(member.node.snapshot().trusted.length, 1);
});

Deno.test("an approval on another admin reaches the door that was knocked at", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const door = lab.joiner(founder);
  const guest = lab.computer({ name: "guest", seeds: [door.address] });
  guest.start();
  lab.run(2_000);
  assert.equal(state(guest), "pending");
  assert.deepEqual(door.node.status(door.now()).health, [
    "1 machine asks for admission, and this node is no admin: on founder, " +
    "`shoal approve KEY --name NAME` admits one that you know",
  ]);
  assert.ok(founder.step((now, out) => founder.node.approve(now, guest.id, out)).ok);
  lab.run(6_000);
  assert.equal(state(guest), "member");
  assert.equal(founder.sees(guest)?.state, "alive");
});

Deno.test("requests have a limit per source and in all, and are forgotten when not repeated", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const one = lab.computer({ seeds: [founder.address] });
  lab.network.partition([one.address]);
  const asks: Uint8Array[] = [];
  lab.tap = ({ bytes }) => void (bytes[0] === 0xc3 && asks.push(bytes));
  for (let i = 0; i < 70; i++) {
    one.wish = { ...one.wish, name: `n${i}` };
    one.identitySeed = lab.random(32);
    one.disk = undefined;
    one.start();
    one.crash();
  }
  const requests = () => founder.node.status(founder.now()).requests.length;
  const from = (n: number): Endpoint => ({
    address: Uint8Array.of(10, 0, n, 1),
    port: 1,
    scope: 0,
  });
  for (const bytes of asks.slice(0, 10)) {
    lab.run(100);
    founder.inject(bytes, from(1));
  }
  assert.equal(requests(), 4);
  for (const [i, bytes] of asks.entries()) {
    lab.run(100);
    founder.inject(bytes, from(i + 2));
  }
  assert.equal(requests(), 64);
  assert.ok((founder.node.status(founder.now()).control["door_full"] ?? 0) > 0);
  lab.run(700_000);
  assert.equal(requests(), 0);
});

Deno.test("an open node admits whoever asks, and every status says so", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder({ open: true });
  const guest = lab.computer({ seeds: [founder.address] });
  guest.start();
  lab.run(4_000);
  assert.equal(founder.sees(guest)?.state, "alive");
  assert.match(founder.node.status(founder.now()).health[0] ?? "", /^OPEN: everybody who asks/);
});

Deno.test("a key that one node trusts is a member for this node alone", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const other = lab.joiner(founder);
  lab.run(1_000);
  const guest = lab.computer({ name: "guest", seeds: [founder.address] });
  guest.start();
  assert.ok(founder.step((now, out) => founder.node.trust(now, guest.id, "pal", out)).ok);
  const trusted = () => founder.node.status(founder.now()).trusted;
  assert.deepEqual(trusted(), [{ key: guest.id, name: "pal" }], "before it is met, it is listed");
  lab.run(6_000);
  assert.deepEqual(trusted(), []);
  assert.equal(founder.sees(guest)?.name, "pal");
  assert.equal(guest.sees(founder)?.state, "alive");
  assert.equal(other.sees(guest), undefined);
  assert.ok(founder.step((now, out) => founder.node.revoke(now, "pal", out)).ok);
  assert.equal(founder.sees(guest), undefined);
});

Deno.test("T41: a point of low order, for which anybody can sign, is neither trusted nor approved", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  for (const first of ["00", "01"]) {
    const key = first + "00".repeat(31);
    const trusted = founder.step((now, out) => founder.node.trust(now, key, "x", out));
    const approved = founder.step((now, out) => founder.node.approve(now, key, out));
    for (const result of [trusted, approved]) {
      assert.ok(!result.ok && /is no public key of anybody/.test(result.error), key);
    }
  }
});

Deno.test("T41: a revocation reaches everybody within 3 log2 n periods", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const token = founder.token({ uses: 16 });
  const all = Array.from({ length: 15 }, (_, i) => lab.computer({ token, name: `m${i}` }));
  for (const one of all) one.start();
  const [thief, ...honest] = all;
  assert.ok(thief);
  assert.ok(lab.until(60_000, () => honest.every((one) => one.sees(thief) !== undefined)));
  assert.ok(founder.step((now, out) => founder.node.revoke(now, thief.id, out)).ok);
  const isOut = () => honest.every((one) => one.sees(thief) === undefined);
  assert.ok(lab.until(3 * Math.log2(16) * 1_000, isOut), "while records still go round");
});

Deno.test("a token stays used up when its user was revoked, also at a door that never met it", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const token = founder.token({ uses: 1 });
  const thief = lab.computer({ token, name: "thief" });
  thief.start();
  lab.run(2_000);
  assert.ok(founder.step((now, out) => founder.node.revoke(now, "thief", out)).ok);
  const late = lab.joiner(founder);
  lab.run(3_000);
  founder.crash();
  const again = lab.computer({ token, seeds: [late.address] });
  again.start();
  lab.run(5_000);
  assert.equal(late.sees(again), undefined);
  assert.match(failures(again)[0] ?? "", /refused us: the token is used up/);
});

Deno.test("a renewal reaches a member that was away when it was approved", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const member = lab.computer({ token: founder.token({ memberDays: 10 }), name: "member" });
  member.start();
  lab.run(3_000);
  const expires = () => founder.sees(member)?.expires ?? "";
  assert.match(expires(), /^2026-01-11/);
  member.crash();
  lab.run(1_000);
  assert.ok(founder.step((now, out) => founder.node.approve(now, "member", out)).ok);
  lab.run(30_000);
  member.start();
  assert.ok(lab.until(60_000, () => expires().startsWith("2027-01-01")));
});
