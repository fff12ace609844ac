/** What people ask of nodes about others: approving, trusting, pinging, over whole nodes. */
import assert from "node:assert/strict";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { NodeLab } from "../sim/node_lab.ts";
import {
  done,
  healthOf,
  promote,
  refusalOf,
  revoke,
  secondsAt,
  told,
  village,
} from "../sim/people.ts";
import type { Computer } from "../sim/node_lab.ts";

function state(computer: Computer): string {
  return computer.node.status(computer.now()).mesh.state;
}

function members(computer: Computer): number {
  return computer.node.status(computer.now()).peers.length;
}

function openDoor(computer: Computer, ms = 600_000): void {
  done(computer.step((now) => computer.node.openDoor(now, ms)));
}

function approve(by: Computer, who: string, name?: string) {
  return by.step((now, out) => by.node.approve(now, who, out, name === undefined ? {} : { name }));
}

Deno.test("invariant 3: a member that is no admin can invite, approve, revoke, promote and demote nobody", () => {
  const { founder, others: [member] } = village(crypto, ["lyon"]);
  assert.ok(member);
  const { node } = member;
  const asked = {
    invite: member.step((now, out) => node.invite(now, {}, out)),
    approve: member.step((now, out) => node.approve(now, founder.id, out)),
    revoke: member.step((now, out) => node.revoke(now, "f".repeat(64), {}, out)),
  };
  for (const [what, result] of Object.entries(asked)) {
    if (what === "approve") continue; // an admin's certificate is the mesh key's
    assert.match(
      refusalOf(result),
      new RegExp(`^${what}: this node is no admin: run it on founder`),
    );
  }
  assert.match(
    refusalOf(asked.approve),
    /^approve: an admin .*: the mesh key is on founder: run it there/,
  );
  for (const what of ["promote", "demote"] as const) {
    const result = member.step((now, out) => node[what](now, "founder", { yes: true }, out));
    assert.match(
      refusalOf(result),
      new RegExp(`^${what}: the mesh key is on founder: run it there`),
    );
  }
  assert.equal(member.sees(founder)?.state, "alive");
});

Deno.test("without a token a node asks at a door that a person opened, is shown, and joins once it is approved by name", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  openDoor(founder);
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
  const approved = done(approve(founder, "guest"));
  assert.deepEqual([approved.id, approved.name, approved.before], [guest.id, "guest", undefined]);
  assert.ok(lab.until(5_000, () => state(guest) === "member"));
  assert.equal(founder.sees(guest)?.state, "alive");
  assert.equal(founder.sees(guest)?.standing, "certified");
  assert.equal(founder.node.status(founder.now()).requests.length, 0);
  guest.crash();
  guest.start();
  lab.run(2_000);
  assert.equal(founder.sees(guest)?.state, "alive", "after a restart nobody has to approve again");
});

Deno.test("a stranger that asks by a member's name is not approved by it", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  openDoor(founder);
  const lyon = lab.joiner(founder, { name: "lyon" });
  lab.run(1_000);
  const strangers = ["lyon", "founder"].map((name) => {
    const stranger = lab.computer({ name, seeds: [founder.address] });
    stranger.start();
    return stranger;
  });
  lab.run(2_000);
  for (const name of ["lyon", "founder"]) {
    assert.match(
      refusalOf(approve(founder, name)),
      /is a member \([0-9a-f]{64}\), and another machine asks by that name \([0-9a-f]{64}\): say/,
    );
  }
  assert.equal(done(approve(founder, lyon.id)).name, "lyon");
  const names = strangers.map((stranger) => done(approve(founder, stranger.id)).name);
  assert.deepEqual(
    names,
    ["lyon-2", "founder-2"],
    "its key says who is meant, and no name is borne twice",
  );
});

Deno.test("a ping to somebody who is put out meanwhile ends as lost", () => {
  const { lab, founder, others: [other] } = village(crypto, ["other"]);
  assert.ok(other);
  other.crash();
  const options = { timeoutMs: 2_000, size: 0 };
  done(founder.step((now, out) => founder.node.ping(now, "other", options, out)));
  revoke(founder, other);
  lab.run(3_000);
  const [lost] = founder.events.filter(({ kind }) => kind === "pingLost");
  assert.deepEqual(lost && "who" in lost && lost.who, { id: other.id, name: "other" });
});

Deno.test("a command that is refused changes nothing, individual trust included", () => {
  const { lab, others: [member, other] } = village(crypto, ["lyon", "other"]);
  assert.ok(member && other);
  const friend = crypto.ed25519FromSeed(lab.random(32)).publicKey.toHex();
  done(member.step((now, out) => member.node.trust(now, friend, "friend", out)));
  const refusal = member.step((now, out) => member.node.revoke(now, "other", {}, out));
  assert.match(refusalOf(refusal), /^revoke: this node is no admin/);
  assert.equal(member.node.snapshot().trusted.length, 1);
});

Deno.test("invariant 11: an approval on another admin opens the closed door that was knocked at", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const door = lab.joiner(founder, { name: "door" });
  lab.run(3_000);
  const guest = lab.computer({ name: "guest", seeds: [door.address] });
  guest.start();
  lab.run(12_000);
  assert.equal(state(guest), "joining", "nobody has opened the door");
  assert.deepEqual(healthOf(door), []);
  assert.match(healthOf(guest).join("\n"), /^seed .* did not answer in 10 s .*`shoal door open`/m);
  done(approve(founder, guest.id, "guest"));
  assert.ok(lab.until(60_000, () => founder.sees(guest)?.state === "alive"));
  assert.equal(state(guest), "member");
  assert.equal(founder.sees(guest)?.name, "guest");
});

Deno.test("a member that is no admin shows who asks, and says where it can be approved", () => {
  const { lab, others: [door] } = village(crypto, ["door"]);
  assert.ok(door);
  openDoor(door);
  const guest = lab.computer({ name: "guest", seeds: [door.address] });
  guest.start();
  lab.run(2_000);
  assert.equal(state(guest), "pending");
  assert.deepEqual(healthOf(door), [
    "1 machine asks for admission, and this node is no admin: on founder, " +
    "`shoal approve KEY --name NAME` admits one that you know",
  ]);
});

Deno.test("an approval of a member renews its membership for a year, and may rename it; an admin's lasts as its office", () => {
  const { lab, founder, others: [admin, plain] } = village(crypto, ["admin", "plain"]);
  assert.ok(admin && plain);
  promote(founder, admin);
  lab.run(60_000);
  const year = secondsAt(founder) + 365 * 86_400;
  assert.deepEqual(done(approve(founder, "plain")), {
    id: plain.id,
    name: "plain",
    before: "plain",
    taken: undefined,
    isTakenHere: false,
    until: year,
  });
  const renamed = done(approve(founder, plain.id, "bern"));
  assert.deepEqual([renamed.before, renamed.name], ["plain", "bern"]);
  const { before, until } = done(approve(founder, "admin"));
  assert.deepEqual([before, until], ["admin", undefined]);
  const stranger = crypto.ed25519FromSeed(lab.random(32)).publicKey.toHex();
  const { before: none, until: first } = done(approve(founder, stranger, "late"));
  assert.deepEqual([none, first], [undefined, year]);
  assert.equal(done(approve(founder, stranger)).before, "late", "it has not come yet");
});

Deno.test("a member is not renamed to a name that is taken: nothing changes, whoever has the name", () => {
  const { lab, founder, others: [bern, kiel] } = village(crypto, ["bern", "kiel"]);
  assert.ok(bern && kiel);
  const key = crypto.x25519PublicKey(lab.random(32));
  done(founder.step((now, out) => founder.node.addGuest(now, "phone", { key }, out)));
  const before = founder.node.snapshot().statements.length;
  for (const who of ["kiel", kiel.id]) {
    assert.equal(
      refusalOf(approve(founder, who, "bern")),
      `approve: kiel keeps its name, for bern is the name of another member (${
        bern.id.slice(0, 16)
      }): choose another`,
    );
  }
  assert.match(refusalOf(approve(founder, "kiel", "founder")), /is the name of this node: choose/);
  assert.match(refusalOf(approve(founder, "kiel", "phone")), /is the name of a guest: choose/);
  assert.equal(founder.node.snapshot().statements.length, before);
  lab.run(10_000);
  assert.deepEqual([bern, kiel].map((one) => founder.sees(one)?.name), ["bern", "kiel"]);
  const newcomer = () => crypto.ed25519FromSeed(lab.random(32)).publicKey.toHex();
  const next = (name: string) => done(approve(founder, newcomer(), name));
  const [other, own] = [next("bern"), next("founder")];
  assert.deepEqual([other.name, other.taken, other.isTakenHere], ["bern-2", "bern", false]);
  assert.deepEqual([own.name, own.taken, own.isTakenHere], ["founder-2", "founder", true]);
});

Deno.test("trust of a member, and by the name of another, is refused, and nothing is done", () => {
  const { lab, founder, others: [bern, kiel] } = village(crypto, ["bern", "kiel"]);
  assert.ok(bern && kiel);
  const stranger = () => crypto.ed25519FromSeed(lab.random(32)).publicKey.toHex();
  const trust = (key: string, name: string) =>
    refusalOf(bern.step((now, out) => bern.node.trust(now, key, name, out)));
  assert.equal(
    trust(kiel.id, "q"),
    `trust: ${kiel.id} is a member already, kiel: all members know it`,
  );
  const unmet = stranger();
  done(approve(founder, unmet, "late"));
  lab.run(5_000);
  assert.match(trust(unmet, "q"), /was approved already, as late: it is a member as soon as/);
  for (const name of ["kiel", "bern", "late"]) {
    assert.equal(
      trust(stranger(), name),
      `trust: another has the name ${name}: choose one by --name`,
    );
  }
  assert.deepEqual(bern.node.status(bern.now()).trusted, []);
  const friend = stranger();
  assert.equal(trust(friend, "pal"), "");
  assert.match(trust(stranger(), "pal"), /another has the name pal/);
  assert.equal(trust(friend, "friend"), "", "it is called otherwise here from now on");
});

Deno.test("an open node admits whoever asks, and every status says so", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder({ open: true });
  openDoor(founder);
  const guest = lab.computer({ seeds: [founder.address] });
  guest.start();
  assert.ok(lab.until(6_000, () => founder.sees(guest)?.state === "alive"));
  assert.match(healthOf(founder)[0] ?? "", /^OPEN: everybody who asks/);
});

Deno.test("item 12: a key that one node trusts is a member for this node alone, until untrust", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const other = lab.joiner(founder);
  lab.run(1_000);
  const guest = lab.computer({ name: "guest", seeds: [founder.address] });
  guest.start();
  done(founder.step((now, out) => founder.node.trust(now, guest.id, "pal", out)));
  const trusted = () => founder.node.status(founder.now()).trusted;
  assert.deepEqual(trusted(), [{ key: guest.id, name: "pal" }], "before it is met, it is listed");
  assert.ok(lab.until(70_000, () => founder.sees(guest)?.state === "alive"));
  assert.deepEqual(trusted(), []);
  assert.equal(founder.sees(guest)?.name, "pal");
  assert.equal(founder.sees(guest)?.standing, "individual");
  lab.run(10_000);
  assert.equal(guest.sees(founder)?.state, "alive");
  assert.equal(other.sees(guest), undefined);
  const revoked = founder.step((now, out) => founder.node.revoke(now, "pal", {}, out));
  assert.match(
    refusalOf(revoked),
    /`shoal untrust pal` ends that/,
    "it was never a member of the mesh",
  );
  done(founder.step((now, out) => founder.node.untrust(now, "pal", out)));
  assert.equal(founder.sees(guest), undefined);
  const again = founder.step((now, out) => founder.node.untrust(now, "pal", out));
  assert.match(
    refusalOf(again),
    /^untrust: this node trusts no key pal: `shoal status` lists them/,
  );
  // It can be certified afterwards: untrust is no removal.
  done(approve(founder, guest.id, "pal"));
  assert.ok(lab.until(70_000, () => other.sees(guest)?.state === "alive"));
});

Deno.test("T38: to whom the others do not answer, since one member alone trusts it, nobody denies that it is dead", () => {
  const names = ["other", "third", "a", "b", "c", "d", "e"];
  const { lab, founder, others: [other, third] } = village(crypto, names);
  assert.ok(other && third);
  const guest = lab.computer({ name: "guest", seeds: [founder.address] });
  guest.start();
  done(founder.step((now, out) => founder.node.trust(now, guest.id, "pal", out)));
  assert.ok(lab.until(70_000, () => founder.sees(guest)?.state === "alive"));
  assert.ok(lab.until(60_000, () => guest.sees(other) !== undefined));
  for (const one of [founder, third]) one.events.length = 0;
  const before = other.node.snapshot().incarnation;
  lab.run(600_000);
  for (const one of [founder, third]) assert.equal(told(one, "memberSuspected"), 0);
  assert.equal(other.node.snapshot().incarnation, before);
});

Deno.test("a request is gone once its key is decided: trusted here, or approved on another admin", () => {
  const { lab, founder, others: [door] } = village(crypto, ["door"]);
  assert.ok(door);
  const asksAt = (name: string) => {
    const guest = lab.computer({ name, seeds: [door.address] });
    guest.start();
    lab.run(2_000);
    assert.deepEqual(keysAsking(), [guest.id]);
    guest.crash(); // What it asks again would be answered, and forgotten by that.
    return guest.id;
  };
  const keysAsking = () => door.node.status(door.now()).requests.map(({ key }) => key);
  openDoor(door);
  const trusted = asksAt("trusted");
  done(door.step((now, out) => door.node.trust(now, trusted, "pal", out)));
  assert.deepEqual(keysAsking(), []);
  const approved = asksAt("approved");
  done(approve(founder, approved));
  lab.run(40_000);
  assert.deepEqual(keysAsking(), []);
});

Deno.test("T41: a point of low order, for which anybody can sign, is neither trusted nor approved", () => {
  const founder = new NodeLab(crypto).founder();
  for (const first of ["00", "01"]) {
    const key = first + "00".repeat(31);
    const trusted = founder.step((now, out) => founder.node.trust(now, key, "x", out));
    for (const result of [trusted, approve(founder, key)]) {
      assert.match(refusalOf(result), /is no public key of anybody/, key);
    }
  }
});

Deno.test("a renewal reaches a member that was away when it was approved", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const member = lab.computer({ token: founder.token({ memberDays: 10 }), name: "member" });
  member.start();
  lab.run(3_000);
  const expires = () => founder.sees(member)?.expires ?? "";
  assert.match(expires(), /^2026-01-11/);
  const address = founder.sees(member)?.ip4;
  member.crash();
  lab.run(1_000);
  done(approve(founder, "member"));
  assert.match(expires(), /^2027-01-01/);
  lab.run(30_000);
  member.start();
  const own = () => member.node.status(member.now()).self;
  assert.ok(lab.until(60_000, () => own().expires.startsWith("2027-01-01")));
  assert.equal(own().ip4, address, "invariant 7: a renewal moves no address");
});

Deno.test("item 12: a new name by approve is an event everywhere, and a name that is borne is not given again", () => {
  const { lab, founder, others: [lyon, paris] } = village(crypto, ["lyon", "paris"]);
  assert.ok(lyon && paris);
  const address = lyon.ip4.join(".");
  for (const one of [founder, lyon, paris]) one.events.length = 0;
  assert.match(refusalOf(approve(founder, "lyon", "paris")), /paris is the name of another/);
  const renamed = done(approve(founder, "lyon", "nantes"));
  assert.deepEqual([renamed.name, renamed.taken], ["nantes", undefined]);
  lab.run(5_000);
  for (const one of [founder, paris]) {
    assert.equal(one.sees(lyon)?.name, "nantes");
    const renamed = one.events.find((event) => event.kind === "renamed");
    assert.deepEqual(renamed?.kind === "renamed" && [renamed.who.name, renamed.before], [
      "nantes",
      "lyon",
    ]);
    assert.equal(told(one, "renamed"), 1);
  }
  assert.equal(lyon.node.status(lyon.now()).self.name, "nantes");
  assert.equal(lyon.ip4.join("."), address);
});
