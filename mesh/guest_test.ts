/** Guests over whole nodes: a stock WireGuard device, its host, and the members that it reaches. */
import assert from "node:assert/strict";
import type { GuestWay } from "./admin/guest.ts";
import type { Crypto } from "./crypto.ts";
import { formatAddress } from "./endpoint.ts";
import { MANY } from "./guest_tunnels.ts";
import { GUESTS_PER_HOST } from "./membership/guests.ts";
import { encodeStatements } from "./membership/statement.ts";
import { nobleCrypto as crypto } from "./noble_crypto.ts";
import { GuestDevice } from "./sim/guest_device.ts";
import { Insider } from "./sim/insider.ts";
import type { Computer, NodeLab } from "./sim/node_lab.ts";
import {
  canTalk,
  demote,
  done,
  healthOf,
  promote,
  refusalOf,
  revoke,
  secondsAt,
  told,
  village,
} from "./sim/people.ts";
import { toyCrypto } from "./sim/toy_crypto.ts";

type Options = Partial<Parameters<Computer["node"]["addGuest"]>[2]>;

function ask(host: Computer, name: string, key: Uint8Array, options: Options = {}) {
  return host.step((now, out) => host.node.addGuest(now, name, { key, ...options }, out));
}

function add(host: Computer, name: string, key: Uint8Array, options: Options = {}): GuestWay {
  return done(ask(host, name, key, options));
}

function remove(by: Computer, who: string) {
  return by.step((now, out) => by.node.removeGuest(now, who, {}, out));
}

function guestsOf(computer: Computer) {
  return computer.node.status(computer.now()).guests;
}

function guestNamed(computer: Computer, name: string) {
  return guestsOf(computer).find((guest) => guest.name === name);
}

/** What a command about a member says that it does, without doing it. */
function linesOf(plan: { readonly lines: readonly string[] }): string {
  return plan.lines.join("\n");
}

function hears(
  by: { readonly delivered: Uint8Array[] },
  from: { readonly ip4: readonly number[] },
): boolean {
  const source = from.ip4.join(".");
  return by.delivered.some((packet) => packet.subarray(12, 16).join(".") === source);
}

type Talker = { readonly ip4: readonly number[]; readonly delivered: Uint8Array[] };

/** Whether packets cross in both directions within some seconds. */
function talk(lab: NodeLab, guest: GuestDevice, other: Computer | GuestDevice, seconds = 10) {
  const [a, b]: Talker[] = [guest, other];
  if (!a || !b) return false;
  a.delivered.length = b.delivered.length = 0;
  for (let second = 0; second < seconds; second++) {
    if (!hears(b, a)) guest.say(other);
    if (!hears(a, b)) other.say(guest);
    lab.run(1_000);
    if (hears(a, b) && hears(b, a)) return true;
  }
  return false;
}

/** A village whose founder serves a phone, which runs. */
function withPhone(names: readonly string[] = ["lyon", "oslo"]) {
  const { lab, founder, others } = village(crypto, names);
  const phone = new GuestDevice(lab, 1);
  const way = add(founder, "phone", phone.publicKey);
  phone.start(way);
  lab.run(3_000);
  return { lab, founder, others, phone, way, all: [founder, ...others] };
}

Deno.test("a guest reaches every member through its host, and every member reaches it", () => {
  const { lab, founder, others, phone, way, all } = withPhone();
  for (const member of all) assert.ok(talk(lab, phone, member), member.wish.name);
  for (const member of others) {
    const seen = guestNamed(member, "phone");
    assert.deepEqual([seen?.host, seen?.state, seen?.endpoint], ["founder", "elsewhere", ""]);
    assert.equal(seen?.ip4, way.ip4.join("."));
    assert.equal(told(member, "guestAdded"), 1);
  }
  const own = guestNamed(founder, "phone");
  assert.deepEqual([own?.state, own?.endpoint], ["active", "198.51.100.1:5555"]);
  assert.ok((own?.rx_bytes ?? 0) > 0);
  assert.equal(own?.key, phone.publicKey.toBase64());
});

Deno.test("who asks for a guest as for a member is told what it is", () => {
  const { founder, way } = withPhone(["lyon"]);
  const about = "phone: that is a guest and no member:";
  const ping = { timeoutMs: 100, size: 0 };
  assert.equal(
    refusalOf(founder.step((now, out) => founder.node.ping(now, "phone", ping, out))),
    `ping: ${about} it runs no node that could be asked; its address answers where the device does (ping ${
      formatAddress(way.ip4)
    })`,
  );
  const revoked = founder.step((now, out) => founder.node.revoke(now, "phone", {}, out));
  assert.equal(refusalOf(revoked), `revoke: ${about} \`shoal guest remove phone\` ends it`);
  const promoted = founder.step((now, out) => founder.node.promote(now, "phone", {}, out));
  assert.equal(refusalOf(promoted), `promote: ${about} only a member can be an admin`);
});

Deno.test("guests of one host, and of two hosts, reach each other", () => {
  const { lab, founder, others: [lyon], phone } = withPhone();
  assert.ok(lyon);
  promote(founder, lyon);
  lab.run(3_000);
  const [tv, car] = [new GuestDevice(lab, 2), new GuestDevice(lab, 3)];
  tv.start(add(founder, "tv", tv.publicKey));
  car.start(add(lyon, "car", car.publicKey));
  lab.run(3_000);
  assert.ok(talk(lab, phone, tv));
  assert.ok(talk(lab, phone, car));
});

Deno.test("a guest that roams is found at its new place, and proves it by the next handshake", () => {
  const { lab, founder, others: [lyon], phone } = withPhone();
  assert.ok(lyon);
  phone.move(9);
  assert.ok(talk(lab, phone, lyon, 3));
  assert.equal(guestNamed(founder, "phone")?.endpoint, "198.51.100.9:5555");
  lab.run(150_000);
  assert.deepEqual(founder.disk?.guests, [
    { key: phone.publicKey.toHex(), endpoint: "198.51.100.9:5555" },
  ]);
});

Deno.test("a guest is removed at once, everywhere, by any admin and for ever", () => {
  const { lab, founder, others: [lyon, oslo], phone } = withPhone();
  assert.ok(lyon && oslo);
  assert.ok(talk(lab, phone, oslo));
  assert.match(
    refusalOf(remove(lyon, "phone")),
    /^guest: this node is no admin: run it on founder/,
  );
  promote(founder, lyon);
  lab.run(3_000);
  done(remove(lyon, "phone"));
  lab.run(500);
  for (const member of [founder, lyon, oslo]) {
    assert.deepEqual(guestsOf(member), []);
    assert.equal(told(member, "guestGone"), 1);
  }
  assert.equal(talk(lab, phone, oslo, 5), false);
  assert.ok((oslo.drops.get("tx_no_route") ?? 0) > 0, "its address is nobody's");
  assert.match(refusalOf(ask(founder, "phone", phone.publicKey)), /was removed for good/);
  const again = new GuestDevice(lab, 2);
  again.start(add(founder, "phone", again.publicKey));
  lab.run(3_000);
  assert.ok(talk(lab, again, oslo), "with a new key it may have its name");
  assert.match(refusalOf(remove(founder, "nobody")), /no guest has this name, key or address/);
});

Deno.test("a guest is meant by its address, in both families, and by its name in DNS, where a name is taken", () => {
  const { lab, founder, way } = withPhone(["lyon"]);
  const renew = (who: string) =>
    founder.step((now, out) => founder.node.renewGuest(now, who, {}, out));
  for (const address of [way.ip4, way.ip6]) {
    assert.equal(done(renew(formatAddress(address))).who.name, "phone");
  }
  const dns = `phone.${founder.node.genesis?.name}.internal`;
  assert.equal(done(renew(dns)).who.name, "phone");
  const member = formatAddress(Uint8Array.from(founder.ip4));
  assert.match(refusalOf(remove(founder, member)), /no guest has this name, key or address/);
  done(remove(founder, formatAddress(way.ip6)));
  assert.deepEqual(guestsOf(founder), []);
  const again = add(founder, "phone", crypto.x25519PublicKey(lab.random(32)));
  done(remove(founder, dns));
  assert.deepEqual(guestsOf(founder), []);
  assert.match(refusalOf(remove(founder, formatAddress(again.ip4))), /no guest has this name/);
});

Deno.test("a guest speaks for nobody else, nor anybody but its host for it", () => {
  const { lab, founder, others: [lyon, oslo], phone } = withPhone();
  assert.ok(lyon && oslo);
  assert.ok(talk(lab, phone, lyon));
  lyon.delivered.length = founder.delivered.length = 0;
  for (const address of [founder.ip4, oslo.ip4, [8, 8, 8, 8]]) phone.say(lyon, address);
  lab.run(2_000);
  assert.equal(founder.drops.get("rx_source"), 3);
  assert.deepEqual(lyon.delivered, []);
  // A member that has the guest's address in a packet of its own.
  oslo.sendPacket(Uint8Array.from(oslo === lyon ? [] : forged(phone.ip4, lyon.ip4)));
  lab.run(2_000);
  assert.equal(lyon.drops.get("rx_source"), 1);
  assert.deepEqual(lyon.delivered, []);
});

function forged(from: readonly number[], to: readonly number[]): Uint8Array {
  const packet = new Uint8Array(20);
  packet.set([0x45, 0, 0, 20]);
  packet[8] = 64;
  packet.set(from, 12);
  packet.set(to, 16);
  return packet;
}

Deno.test("a guest ends with the membership of its host, and a key that is no member's serves nobody", () => {
  const { lab, founder, others: [lyon, oslo], phone: _ } = withPhone();
  assert.ok(lyon && oslo);
  promote(founder, lyon);
  lab.run(3_000);
  const car = new GuestDevice(lab, 3);
  car.start(add(lyon, "car", car.publicKey));
  lab.run(3_000);
  assert.ok(talk(lab, car, oslo));
  const plan = revoke(founder, lyon, secondsAt(founder) + 1);
  assert.match(linesOf(plan), /^1 guest of lyon ends: car$/m);
  assert.doesNotMatch(linesOf(plan), /guest of lyon signed anew/);
  lab.run(30_000);
  assert.equal(guestNamed(oslo, "car"), undefined);
  assert.equal(guestNamed(founder, "car"), undefined);
  assert.ok(guestNamed(oslo, "phone"), "those of others stay");
  assert.equal(talk(lab, car, oslo, 3), false);
});

Deno.test("a host that starts anew serves its guests again, and looks for them where they were", () => {
  const { lab, founder, others: [lyon], phone } = withPhone();
  assert.ok(lyon);
  assert.ok(talk(lab, phone, lyon));
  lab.run(35_000);
  founder.crash();
  lab.run(1_000);
  founder.start();
  lab.run(2_000);
  // Without a word of the guest, which would not notice for two minutes: it keeps its session.
  phone.delivered.length = 0;
  lyon.say(phone);
  lab.run(1_000);
  lyon.say(phone);
  lab.run(1_000);
  assert.ok(hears(phone, lyon));
  assert.equal(guestNamed(founder, "phone")?.state, "active");
  assert.equal(told(founder, "guestAdded"), 1, "what is remembered is no news");
});

Deno.test("of a host that is off the guests are offline, and of a silent guest its host says so", () => {
  const { lab, founder, others: [lyon], phone } = withPhone();
  assert.ok(lyon);
  assert.ok(talk(lab, phone, lyon));
  phone.stop();
  lab.run(95_000);
  const own = guestNamed(founder, "phone");
  assert.deepEqual([own?.state, (own?.heard_s ?? 0) > 90], ["silent", true]);
  const commands = founder.commands.filter((one) => one.kind === "setOffline");
  assert.equal(commands.at(-1)?.kind === "setOffline" && commands.at(-1)?.isOffline, true);
  founder.crash();
  lab.run(60_000);
  assert.equal(guestNamed(lyon, "phone")?.state, "offline");
});

Deno.test("by the same key another member takes a guest over: it keeps its name and addresses", () => {
  const { lab, founder, others: [lyon, oslo], phone, way } = withPhone();
  assert.ok(lyon && oslo);
  promote(founder, lyon);
  lab.run(3_000);
  assert.match(
    refusalOf(ask(lyon, "other", phone.publicKey)),
    /this key is that of the guest phone/,
  );
  lab.run(1_000);
  phone.stop();
  const moved = add(lyon, "phone", phone.publicKey);
  assert.deepEqual([moved.ip4, moved.ip6, moved.host], [way.ip4, way.ip6, "lyon"]);
  phone.start(moved);
  lab.run(3_000);
  for (const member of [founder, lyon, oslo]) {
    assert.equal(guestNamed(member, "phone")?.host, "lyon");
    assert.ok(talk(lab, phone, member), member.wish.name);
  }
});

Deno.test("a guest ends when its time is over, unless it is renewed", () => {
  const { lab, founder, others: [lyon] } = withPhone();
  assert.ok(lyon);
  const [visitor, friend] = [new GuestDevice(lab, 2), new GuestDevice(lab, 3)];
  visitor.start(add(founder, "visitor", visitor.publicKey, { expiresInS: 1_000 }));
  friend.start(add(founder, "friend", friend.publicKey, { expiresInS: 1_000 }));
  lab.run(3_000);
  assert.ok(healthOf(founder).some((line) => /^guest friend: it is served until/.test(line)));
  done(
    founder.step((now, out) =>
      founder.node.renewGuest(now, "friend", { expiresInS: 90 * 86_400 }, out)
    ),
  );
  assert.ok(talk(lab, visitor, lyon));
  lab.run(1_400_000); // its time, what clocks may differ, and a review
  assert.deepEqual(guestsOf(lyon).map(({ name }) => name), ["friend", "phone"]);
  assert.deepEqual(guestsOf(founder).map(({ name }) => name), ["friend", "phone"]);
  assert.equal(talk(lab, visitor, lyon, 3), false);
  assert.ok(talk(lab, friend, lyon));
  // It is looked for where it was, and need not speak first.
  add(founder, "visitor", visitor.publicKey);
  lab.run(3_000);
  visitor.delivered.length = 0;
  lyon.say(visitor);
  lab.run(1_000);
  assert.ok(hears(visitor, lyon));
});

Deno.test("a guest gets no name and no address of a member, and a member none of a guest's", () => {
  const { lab, founder, others: [lyon], way } = withPhone();
  assert.ok(lyon);
  const key = crypto.x25519PublicKey(lab.random(32));
  for (const name of ["lyon", "founder", "phone"]) {
    const what = name === "phone" ? "guest: choose another; `shoal guest renew phone`" : "member: ";
    assert.match(refusalOf(ask(founder, name, key)), new RegExp(`is the name of a ${what}`));
  }
  const joiner = lab.joiner(founder, { name: "phone" });
  assert.ok(
    lab.until(30_000, () => joiner.node.status(joiner.now()).self.standing === "certified"),
  );
  assert.equal(joiner.node.status(joiner.now()).self.name, "phone-2");
  assert.notEqual(joiner.ip4.join("."), way.ip4.join("."));
  assert.equal(guestNamed(founder, "phone")?.ip4, way.ip4.join("."));
});

Deno.test("what cannot be a guest is refused, and changes nothing", () => {
  const { lab, founder, others: [lyon] } = village(crypto, ["lyon"]);
  assert.ok(lyon);
  const key = crypto.x25519PublicKey(lab.random(32));
  const image = crypto.ed25519ToX25519Public(Uint8Array.fromHex(lyon.id));
  const own = crypto.ed25519ToX25519Public(Uint8Array.fromHex(founder.id));
  assert.ok(image && own);
  const statements = founder.node.snapshot().statements.length;
  const cases: [string, Uint8Array, Options, RegExp][] = [
    ["Phone", key, {}, /"Phone" is no host name/],
    ["phone", key.slice(1), {}, /32 bytes, not 31/],
    ["phone", new Uint8Array(32), {}, /this public key is nobody's/],
    ["phone", image, {}, /this public key is that of a member/],
    ["phone", own, {}, /this public key is that of a member/],
    ["phone", key, { place: "nowhere" }, /"nowhere" is no HOST:PORT/],
    ["phone", key, { expiresInS: 0 }, /an expiry in 0 s/],
    ["phone", key, { groups: ["A"] }, /group "A"/],
  ];
  for (const [name, bytes, options, why] of cases) {
    assert.match(refusalOf(ask(founder, name, bytes, options)), why);
  }
  assert.match(
    refusalOf(ask(lyon, "phone", key)),
    /^guest: this node is no admin: run it on founder/,
  );
  assert.equal(founder.node.snapshot().statements.length, statements);
  assert.deepEqual(guestsOf(founder), []);
});

Deno.test("without an address that a device elsewhere reaches a node serves nobody, unless a person names one", () => {
  const { lab, founder } = village(crypto, []);
  const key = crypto.x25519PublicKey(lab.random(32));
  const home = { address: Uint8Array.of(192, 168, 1, 5), port: 51820, scope: 0 };
  founder.step((now, out) => founder.node.interfaces(now, [home], out));
  assert.match(
    refusalOf(ask(founder, "phone", key)),
    /no address that a device elsewhere could reach \(its own: 192\.168\.1\.5:51820\): .*--endpoint/,
  );
  const way = add(founder, "phone", key, { place: "home.example:4500" });
  assert.equal(way.endpoint, "home.example:4500");
  const world = { address: Uint8Array.of(203, 0, 113, 5), port: 51820, scope: 0 };
  const world6 = {
    address: Uint8Array.fromHex(`20010db8${"0".repeat(23)}1`),
    port: 51820,
    scope: 0,
  };
  founder.step((now, out) => founder.node.interfaces(now, [world6, home, world], out));
  assert.equal(add(founder, "phone", key).endpoint, "203.0.113.5:51820");
});

Deno.test("a node without an interface serves nobody", () => {
  const { lab, founder } = village(crypto, [], 1, { tunnel: false });
  const key = crypto.x25519PublicKey(lab.random(32));
  assert.match(refusalOf(ask(founder, "phone", key)), /this node has no interface \(--no-tun\)/);
});

Deno.test(`a member serves ${GUESTS_PER_HOST} guests and refuses another`, () => {
  const { lab, founder } = village(crypto, []);
  const keys = Array.from(
    { length: GUESTS_PER_HOST + 1 },
    () => crypto.x25519PublicKey(lab.random(32)),
  );
  for (const [i, key] of keys.slice(0, -1).entries()) add(founder, `phone-${i}`, key);
  assert.equal(guestsOf(founder).length, GUESTS_PER_HOST);
  const last = keys.at(-1);
  assert.ok(last);
  assert.match(refusalOf(ask(founder, "one-more", last)), /serves 64 guests, which is all/);
  done(remove(founder, "phone-0"));
  add(founder, "one-more", last);
  assert.equal(guestsOf(founder).length, GUESTS_PER_HOST);
});

Deno.test("the guests of an admin whose office ends are signed anew, those since a theft are not", () => {
  const { lab, founder, others: [lyon, oslo], phone: _ } = withPhone();
  assert.ok(lyon && oslo);
  promote(founder, lyon);
  lab.run(3_000);
  const [car, thief, gone] = [1, 2, 3].map((n) => new GuestDevice(lab, 10 + n));
  assert.ok(car && thief && gone);
  car.start(add(lyon, "car", car.publicKey));
  add(lyon, "gone", gone.publicKey);
  done(remove(lyon, "gone"));
  lab.run(3_000);
  assert.match(linesOf(demote(founder, lyon)), /^1 guest of lyon signed anew by you$/m);
  lab.run(3_000);
  for (const member of [founder, lyon, oslo]) {
    assert.deepEqual(guestsOf(member).map(({ name }) => name), ["car", "phone"]);
  }
  assert.ok(talk(lab, car, oslo), "its host is a member still");
  assert.match(linesOf(revoke(founder, lyon)), /^1 guest of lyon ends: car$/m);
  lab.run(3_000);
  assert.deepEqual(guestsOf(oslo).map(({ name }) => name), ["phone"]);
});

Deno.test("invariant 5: a recovery keeps the guests as they were before a theft", () => {
  const recovery = new Uint8Array(32).fill(77);
  const meshKey = new Uint8Array(32).fill(78);
  const recoveryKey = crypto.ed25519FromSeed(recovery).publicKey;
  const { lab, founder, others: [lyon, oslo] } = village(crypto, ["lyon", "oslo"], 3, {
    recoveryKey,
  });
  assert.ok(lyon && oslo);
  promote(founder, lyon);
  lab.run(3_000);
  const [a, b, c] = [1, 2, 3].map(() => crypto.x25519PublicKey(lab.random(32)));
  assert.ok(a && b && c);
  add(founder, "phone", a);
  add(founder, "gone", b);
  done(remove(founder, "gone"));
  lab.run(3_000);
  const renew = (expiresInS: number) =>
    done(lyon.step((now, out) => lyon.node.renewGuest(now, "phone", { expiresInS }, out)));
  renew(700 * 86_400);
  lab.run(3_000);
  const { expires } = guestNamed(oslo, "phone") ?? {};
  const since = secondsAt(founder);
  lab.run(3_000);
  // A thief has lyon now.
  renew(10 * 86_400);
  add(lyon, "thief", c);
  lab.run(3_000);
  assert.equal(guestsOf(oslo).length, 2);
  const options = { yes: true, without: ["lyon"], since };
  const plan = done(
    founder.step((now, out) => founder.node.recover(now, { recovery, meshKey }, options, out)),
  );
  assert.match(linesOf(plan), /^1 guest signed anew$/m);
  lab.run(5_000);
  for (const member of [founder, oslo]) {
    assert.deepEqual(guestsOf(member).map(({ name }) => name), ["phone"]);
    assert.equal(guestNamed(member, "phone")?.expires, expires);
  }
});

Deno.test("a guest that was certified by a member's key yields to the member", () => {
  const { lab, founder, others: [lyon] } = village(crypto, ["lyon"]);
  assert.ok(lyon);
  const newcomer = lab.computer({ name: "rome", token: founder.token() });
  const image = crypto.ed25519ToX25519Public(Uint8Array.fromHex(newcomer.id));
  assert.ok(image);
  add(founder, "rome", image);
  lab.run(1_000);
  newcomer.start();
  assert.ok(
    lab.until(30_000, () => newcomer.node.status(newcomer.now()).self.standing === "certified"),
  );
  lab.run(3_000);
  assert.ok(canTalk([founder, lyon, newcomer]));
  assert.equal(newcomer.node.status(newcomer.now()).self.name, "rome-2");
  done(remove(founder, "rome"));
  lab.run(3_000);
  assert.ok(canTalk([founder, lyon, newcomer]), "its end is not the member's");
});

Deno.test("a guest whose IPv6 address is a member's does without it: nothing is taken from the member", () => {
  const utf8 = new TextEncoder();
  const guestLabel = utf8.encode("shoal guest ip6 3\0").toHex();
  const victim: { key?: Uint8Array } = {};
  const clashing: Crypto = {
    ...crypto,
    blake2s: (label, meshId, key, ...more) =>
      label && meshId && victim.key && label.toHex() === guestLabel
        ? crypto.blake2s(utf8.encode("shoal ip6 3\0"), meshId, victim.key)
        : crypto.blake2s(...[label, meshId, key, ...more].filter((part) => part !== undefined)),
  };
  const { lab, founder, others: [lyon, oslo] } = village(clashing, ["lyon", "oslo"]);
  assert.ok(lyon && oslo);
  victim.key = Uint8Array.fromHex(lyon.id);
  const phone = new GuestDevice(lab, 1);
  phone.start(add(founder, "phone", phone.publicKey));
  lab.run(3_000);
  const { ip6 } = lyon.node.status(lyon.now()).self;
  assert.equal(guestNamed(oslo, "phone")?.ip6, ip6);
  for (const member of [founder, oslo]) {
    const routes = member.commands.filter((one) =>
      one.kind === "addRoute" && formatAddress(one.prefix.address) === ip6
    );
    assert.equal(routes.length, 1, "lyon's own");
  }
  assert.ok(talk(lab, phone, oslo));
});

Deno.test("a guest that is to be served for a part of a second more is served for the whole one, as it is told", () => {
  const { lab, founder, others: [lyon] } = village(crypto, ["lyon"]);
  const [phone] = [new GuestDevice(lab, 1)];
  assert.ok(lyon);
  const { until } = add(founder, "phone", phone.publicKey, { expiresInS: 600.25 });
  assert.equal(until, secondsAt(founder) + 601);
  lab.run(3_000);
  const expires = guestNamed(lyon, "phone")?.expires;
  assert.equal(expires, new Date(until * 1000).toISOString().replace(".000", ""));
  const renewed = done(
    founder.step((now, out) => founder.node.renewGuest(now, "phone", { expiresInS: 900.5 }, out)),
  );
  assert.equal(renewed.until, secondsAt(founder) + 901);
  lab.run(3_000);
  assert.equal(Date.parse(guestNamed(lyon, "phone")?.expires ?? ""), renewed.until * 1000);
});

Deno.test("a stolen admin that certifies thousands of guests costs its host no more than 64, which people see", () => {
  const { lab, founder, others: [lyon, oslo] } = village(toyCrypto, ["lyon", "oslo"]);
  assert.ok(lyon && oslo);
  promote(founder, lyon);
  lab.run(5_000);
  const [phone] = [new GuestDevice(lab, 1)];
  phone.start(add(founder, "phone", phone.publicKey));
  lab.run(3_000);
  const thief = new Insider(lyon);
  const peers = () => founder.commands.filter(({ kind }) => kind === "addPeer").length;
  const before = peers();
  for (let i = 0; i < MANY + 400; i++) {
    const key = crypto.blake2s(new Uint8Array([i & 255, i >> 8])).toHex();
    const since = secondsAt(founder) + 1;
    const certificate = { key, name: `g${i}`, groups: [], relay: false, ip4Counter: 0, since };
    const draft = { kind: "guest", certificate, until: since + 1e6, host: founder.id } as const;
    thief.send(founder, "statements", encodeStatements([thief.sign(draft)], 1_200));
    if (i % 50 === 0) lab.run(100);
  }
  lab.run(3_000);
  assert.equal(guestsOf(founder).length, GUESTS_PER_HOST);
  assert.ok(guestNamed(founder, "phone"), "it was first");
  assert.ok(peers() - before < 5 * GUESTS_PER_HOST, `${peers() - before} peers were made`);
  const { control } = founder.node.status(founder.now());
  assert.equal(control["guests_surplus"], MANY + 401 - GUESTS_PER_HOST);
  assert.ok(
    healthOf(founder).some((line) => /^guests: 1361 beyond the 64 that this node/.test(line)),
  );
  assert.ok(talk(lab, phone, oslo));
  revoke(founder, lyon, secondsAt(founder) - 60);
  lab.run(3_000);
  assert.deepEqual(guestsOf(founder).map(({ name }) => name), ["phone"]);
  assert.deepEqual(guestsOf(oslo).map(({ name }) => name), ["phone"]);
});

Deno.test("whoever joins, or comes back, learns of the guests", () => {
  const { lab, founder, others: [lyon], phone } = withPhone();
  assert.ok(lyon);
  lyon.crash();
  const rome = lab.joiner(founder, { name: "rome" });
  assert.ok(lab.until(30_000, () => guestNamed(rome, "phone") !== undefined));
  lab.run(3_000);
  assert.ok(talk(lab, phone, rome));
  const [tv] = [new GuestDevice(lab, 2)];
  tv.start(add(founder, "tv", tv.publicKey));
  done(remove(founder, "phone"));
  lab.run(5_000);
  lyon.start();
  assert.ok(lab.until(40_000, () => guestsOf(lyon).map(({ name }) => name).join() === "tv"));
  lab.run(2_000);
  assert.ok(talk(lab, tv, lyon));
});

Deno.test("a guest has a name for a resolver as members have, at every member, until it is removed", () => {
  const { founder, lab, phone, all } = withPhone();
  for (const computer of all) {
    const named = guestNamed(computer, "phone");
    const entry = computer.node.directory()?.entries.find(({ name }) => name === "phone");
    assert.deepEqual(entry, { name: "phone", ip4: named?.ip4, ip6: named?.ip6 });
    assert.equal(entry?.ip4, phone.ip4.join("."));
  }
  done(remove(founder, "phone"));
  lab.run(3_000);
  for (const computer of all) {
    const names = computer.node.directory()?.entries.map(({ name }) => name) ?? [];
    assert.deepEqual([names.length, names.includes("phone")], [all.length, false]);
  }
});
