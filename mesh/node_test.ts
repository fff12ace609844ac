import assert from "node:assert/strict";
import { nobleCrypto } from "./noble_crypto.ts";
import { formatEndpoint, parseAddress } from "./endpoint.ts";
import { ROUGH } from "./sim/network.ts";
import { type Computer, NodeLab } from "./sim/node_lab.ts";
import { areMutual, told } from "./sim/people.ts";
import { toyCrypto } from "./sim/toy_crypto.ts";

/** A founder and members that all see each other. */
function village(size: number, seed = 1): { lab: NodeLab; all: Computer[] } {
  const lab = new NodeLab(toyCrypto, seed);
  const founder = lab.founder();
  const token = founder.token({ uses: size });
  const all = [founder];
  for (let i = 1; i < size; i++) {
    const one = lab.computer({ token });
    one.start();
    all.push(one);
  }
  assert.ok(lab.until(30_000, () => areMutual(all)), "not all see each other");
  return { lab, all };
}

Deno.test("a second node joins with a token in a couple of round trips, and both see each other", () => {
  const lab = new NodeLab(nobleCrypto);
  const founder = lab.founder();
  const joiner = lab.joiner(founder, { name: "second" });
  const isMutual = () =>
    founder.sees(joiner)?.state === "alive" && joiner.sees(founder)?.state === "alive";
  assert.ok(lab.until(50, isMutual), "not within 50 ms at 1-2 ms of delay");
  assert.equal(founder.sees(joiner)?.name, "second");
  assert.equal(joiner.sees(founder)?.name, "founder");
  assert.equal(founder.sees(joiner)?.endpoint, "192.0.2.2:51820");
});

Deno.test("the first packet crosses the tunnel right after the join", () => {
  const lab = new NodeLab(nobleCrypto);
  const founder = lab.founder();
  const joiner = lab.joiner(founder);
  lab.run(50);
  joiner.say(founder);
  assert.ok(lab.until(100, () => founder.delivered.length === 1));
  founder.say(joiner);
  assert.ok(lab.until(100, () => joiner.delivered.length === 1));
  assert.equal(joiner.sees(founder)?.path, "direct");
  assert.ok((joiner.sees(founder)?.tx_bytes ?? 0) > 0);
});

Deno.test("own addresses that mean nothing to others are not told to them", () => {
  const founder = new NodeLab(nobleCrypto).founder();
  const good = ["192.0.2.1", "10.1.2.3", "2001:db8::1", "fd00::1"];
  const bad = [
    "127.0.0.1",
    "0.0.0.0",
    "169.254.1.1",
    "224.0.0.1",
    "::",
    "::1",
    "fe80::1",
    "ff02::1",
  ];
  const endpoints = [...bad, ...good].map((text) => {
    const address = parseAddress(text);
    assert.ok(address, text);
    return { address, port: 51820, scope: 0 };
  });
  founder.step((now, out) => founder.node.interfaces(now, endpoints, out));
  const invitation = founder.step((now, out) => founder.node.invite(now, {}, out));
  assert.ok(invitation.ok);
  const told = endpoints.slice(bad.length).map(formatEndpoint);
  assert.deepEqual(invitation.value.seeds, told);
});

Deno.test("five that join at once all see each other within seconds, with one address each", () => {
  const { all } = village(5);
  assert.equal(new Set(all.map(({ ip4 }) => ip4.join("."))).size, 5);
  for (const one of all) assert.equal(told(one, "memberSuspected"), 0);
});

Deno.test("any two members can talk at once, also those that did not meet at the join", () => {
  const lab = new NodeLab(nobleCrypto);
  const founder = lab.founder();
  const token = founder.token({ uses: 2 });
  const [second, third] = [lab.computer({ token }), lab.computer({ token })];
  second.start();
  lab.run(5_000);
  third.start();
  const haveMet = () => third.sees(second) !== undefined && second.sees(third) !== undefined;
  assert.ok(lab.until(1_000, haveMet));
  third.say(second);
  assert.ok(
    lab.until(1_000, () => second.delivered.length === 1),
    "no handshake had to be repeated",
  );
});

Deno.test("a node restarts from its disk and re-joins without seeds and without anybody's help", () => {
  const { lab, all: [founder, second, third] } = village(3);
  assert.ok(founder && second && third);
  second.crash();
  lab.run(60_000);
  assert.equal(founder.sees(second)?.state, "dead");
  second.wish = { name: "second" }; // no token and no seed
  assert.equal(second.start(), undefined);
  assert.ok(lab.until(5_000, () => areMutual([founder, second, third])));
  assert.equal(told(founder, "memberReturned"), 1);
  assert.equal(told(founder, "memberDied"), 1);
  const { boot } = second.disk ?? { boot: 0 };
  assert.equal(boot, 2);
});

Deno.test("what is sent to a member that is not there is answered at once, until it is there again", () => {
  const { lab, all: [founder, second, third] } = village(3);
  assert.ok(founder && second && third);
  const said = (by: Computer) =>
    by.commands.filter((one) => one.kind === "setOffline").map((one) => one.isOffline);
  const before = said(third).length;
  second.crash();
  lab.run(60_000);
  assert.deepEqual(said(third).slice(before), [true], "dead");
  second.start();
  assert.ok(lab.until(5_000, () => areMutual([founder, second, third])));
  assert.deepEqual(said(third).slice(before), [true, false]);
  second.step((now, out) => second.node.leave(now, out));
  lab.run(5_000);
  assert.deepEqual(said(third).slice(before), [true, false, true], "left");
  third.crash();
  third.start();
  assert.deepEqual(said(third).at(-1), true, "as it was remembered");
  third.say({ ip4: second.ip4 });
  assert.equal(third.drops.get("tx_offline"), 1);
});

Deno.test("a node that is killed at any moment of its start has lost nobody", () => {
  const { lab, all: [founder, second, third] } = village(3);
  assert.ok(founder && second && third);
  lab.run(5_000);
  for (const ms of [0, 1, 500, 1_999, 2_001]) {
    founder.crash();
    founder.start();
    assert.equal(founder.disk?.members.length, 2, "as it starts");
    lab.run(ms);
    founder.crash();
    assert.equal(founder.disk?.members.length, 2, `${ms} ms later`);
  }
  founder.start();
  assert.ok(lab.until(5_000, () => areMutual([founder, second, third])));
});

Deno.test("the whole mesh restarts at once, founder included", () => {
  const { lab, all } = village(4);
  for (const one of all) one.crash();
  lab.run(30_000);
  for (const one of all) assert.equal(one.start(), undefined);
  assert.ok(lab.until(10_000, () => areMutual(all)));
});

Deno.test("all at once under loss, delay, duplicates and reordering see each other in the end", () => {
  const lab = new NodeLab(nobleCrypto, 7, ROUGH);
  const founder = lab.founder();
  const token = founder.token({ uses: 3 });
  const all = [founder, ...[1, 2, 3].map(() => lab.computer({ token }))];
  for (const one of all.slice(1)) one.start();
  assert.ok(lab.until(60_000, () => areMutual(all)));
});

Deno.test("a node that lost its counters is told so, takes higher ones, and is heard again", () => {
  const { lab, all: [founder, second] } = village(2);
  assert.ok(founder && second);
  const old = second.disk;
  for (let i = 0; i < 3; i++) {
    second.crash();
    second.start();
    lab.run(3_000);
  }
  second.crash();
  assert.ok(old);
  second.disk = { ...old, boot: 0 };
  second.start();
  assert.ok(lab.until(10_000, () => (second.disk?.boot ?? 0) > 4), `boot ${second.disk?.boot}`);
  lab.run(20_000);
  assert.ok(areMutual([founder, second]));
});

Deno.test("a death, a return and a farewell are events on every other node", () => {
  const { lab, all: [founder, second, third] } = village(3);
  assert.ok(founder && second && third);
  third.crash();
  lab.run(40_000);
  for (const one of [founder, second]) {
    assert.equal(told(one, "memberDied"), 1);
    assert.equal(one.sees(third)?.state, "dead");
    assert.match(
      one.node.status(one.now()).peers.find((p) => p.state === "dead")?.reason ?? "",
      /does not answer/,
    );
  }
  third.start();
  lab.run(5_000);
  third.step((now, out) => third.node.leave(now, out));
  lab.run(3_000);
  for (const one of [founder, second]) {
    assert.equal(told(one, "memberReturned"), 1);
    assert.equal(told(one, "memberLeft"), 1);
    assert.equal(one.sees(third)?.state, "left");
    assert.equal(told(one, "memberDied"), 1, "who leaves does not die");
  }
  let sent = 0;
  lab.tap = (_, from) => void (sent += from === third ? 1 : 0);
  lab.run(10_000);
  assert.equal(sent, 0, "who has left is silent");
});

/** Leaves the mesh as a person's Ctrl-C does, and is switched off. */
function leave(computer: Computer): void {
  computer.step((now, out) => computer.node.leave(now, out));
  computer.lab.run(3_000);
  computer.crash();
}

Deno.test("who has left is known to have left by whoever joins later, and suspected by nobody", () => {
  const { lab, all: [founder, second, third] } = village(3);
  assert.ok(founder && second && third);
  leave(third);
  const newcomer = lab.joiner(founder);
  assert.ok(lab.until(10_000, () => newcomer.sees(third) !== undefined));
  lab.run(60_000);
  for (const one of [founder, second, newcomer]) assert.equal(one.sees(third)?.state, "left");
  assert.equal(told(newcomer, "memberSuspected") + told(newcomer, "memberDied"), 0);
});

Deno.test("a restarted node remembers who has left, and takes it back when it returns", () => {
  const { lab, all: [founder, second] } = village(2);
  assert.ok(founder && second);
  leave(second);
  founder.crash();
  founder.events.length = 0;
  founder.start();
  lab.run(60_000);
  assert.equal(founder.sees(second)?.state, "left");
  assert.equal(told(founder, "memberSuspected") + told(founder, "memberDied"), 0);
  second.start();
  assert.ok(lab.until(5_000, () => areMutual([founder, second])));
});

Deno.test("who was gone before a restart is no news after it, and its age goes on", () => {
  const { lab, all: [founder, second, third] } = village(3);
  assert.ok(founder && second && third);
  second.crash();
  lab.run(3_600_000);
  const before = founder.sees(second);
  assert.ok(
    before?.state === "dead" && Math.abs(before.since_s - 3_600) < 120,
    `${before?.since_s}`,
  );
  founder.crash();
  founder.events.length = 0;
  founder.start();
  lab.run(120_000);
  const after = founder.sees(second);
  assert.equal(after?.state, "dead");
  assert.ok(Math.abs((after?.since_s ?? 0) - 3_720) < 180, `${after?.since_s} s`);
  assert.equal(told(founder, "memberSuspected") + told(founder, "memberDied"), 0);
  assert.equal(founder.sees(third)?.state, "alive");
  third.crash();
  lab.run(120_000);
  assert.equal(told(founder, "memberDied"), 1, "that is news");
  second.start();
  assert.ok(lab.until(30_000, () => founder.sees(second)?.state === "alive"));
  assert.ok((founder.sees(second)?.since_s ?? Infinity) < 60);
});

Deno.test("a mesh whose members all left comes together again when they start", () => {
  const { lab, all } = village(4);
  for (const one of all) leave(one);
  for (const one of all) assert.equal(one.start(), undefined);
  assert.ok(lab.until(10_000, () => areMutual(all)));
});

Deno.test("ping by name, key, beginning of a key and both addresses is answered with a round trip", () => {
  const { lab, all: [founder, second] } = village(2);
  assert.ok(founder && second);
  const peer = founder.sees(second);
  assert.ok(peer);
  const domain = `${founder.node.status(founder.now()).mesh?.name}.internal`;
  const dns = [`${peer.name}.${domain}`, `${peer.name}.${domain}.`.toUpperCase()];
  for (const who of [peer.name, peer.key, peer.key.slice(0, 8), peer.ip4, peer.ip6, ...dns]) {
    const asked = founder.step((now, out) =>
      founder.node.ping(now, who, { timeoutMs: 1_000, size: 64 }, out)
    );
    assert.ok(asked.ok, who);
    lab.run(100);
    const event = founder.events.findLast(({ kind }) => kind === "pong");
    assert.ok(event?.kind === "pong" && event.nonce === asked.value.nonce);
    assert.ok(event.rttMs >= 2 && event.rttMs <= 4, `${event.rttMs}`);
  }
  const nobody = founder.step((now, out) =>
    founder.node.ping(now, "paris", { timeoutMs: 1_000, size: 64 }, out)
  );
  assert.match(
    nobody.ok ? "" : nobody.error,
    /^ping: paris: no member has this name, key or address/,
  );
  second.crash();
  founder.step((now, out) => founder.node.ping(now, peer.name, { timeoutMs: 700, size: 64 }, out));
  lab.run(699);
  assert.equal(told(founder, "pingLost"), 0);
  lab.run(2);
  assert.equal(told(founder, "pingLost"), 1);
});

Deno.test("item 12, invariant 7: two members never bear one name: the later is certified for the next free one", () => {
  const lab = new NodeLab(nobleCrypto);
  const founder = lab.founder();
  const twin = lab.joiner(founder, { name: "founder" });
  const other = lab.joiner(founder, { name: "founder" });
  assert.ok(lab.until(10_000, () => areMutual([founder, twin, other])));
  lab.run(3_000);
  for (const one of [founder, twin, other]) {
    const status = one.node.status(one.now());
    const names = [status.self.name, ...status.peers.map(({ name }) => name)];
    assert.deepEqual(names.sort(), ["founder", "founder-2", "founder-3"]);
    assert.deepEqual(status.health, []);
  }
  const ping = founder.step((now, out) =>
    founder.node.ping(now, founder.id, { timeoutMs: 100, size: 0 }, out)
  );
  assert.match(ping.ok ? "" : ping.error, /^ping: .*: that is this node itself/);
});

Deno.test("authenticated tunnel traffic counts as a sign of life", () => {
  const { lab, all: [founder, second] } = village(2);
  assert.ok(founder && second);
  lab.run(40_000); // what the join spreads has been spread
  const probes = () => {
    let count = 0;
    lab.tap = ({ bytes }) => void (count += bytes[0] === 0xc1 ? 1 : 0);
    return () => count;
  };
  const quiet = probes();
  lab.run(20_000);
  const idle = quiet();
  const busy = probes();
  for (let i = 0; i < 100; i++) {
    founder.say(second);
    second.say(founder);
    lab.run(200);
  }
  assert.ok(busy() < idle / 2, `${busy()} control datagrams when busy, ${idle} when idle`);
});

Deno.test("R53: a session's endpoint does not move by control datagrams", () => {
  const { lab, all: [founder, second] } = village(2);
  assert.ok(founder && second);
  founder.say(second);
  lab.run(100);
  const moves = () => founder.commands.filter((command) => command.kind === "setEndpoint").length;
  const before = moves();
  // The same member's control datagrams come from elsewhere, as after a NAT's rebinding.
  const elsewhere = { address: Uint8Array.of(198, 51, 100, 7), port: 7, scope: 0 };
  const captured: Uint8Array[] = [];
  lab.tap = ({ bytes }, from) =>
    void (from === second && bytes[0] === 0xc1 && captured.push(bytes));
  lab.network.partition([founder.address]);
  lab.run(3_000);
  assert.ok(captured.length > 0);
  for (const bytes of captured) founder.inject(bytes, elsewhere);
  assert.equal(moves(), before);
  assert.equal(founder.sees(second)?.endpoint, second.address);
});

Deno.test("R53: a node that moves is found again in the middle of a session, within seconds, by who only sends", () => {
  const { lab, all: [founder, second] } = village(2);
  assert.ok(founder && second);
  founder.say(second);
  lab.run(20_000);
  let greetings = 0;
  lab.tap = (_, from) => void (greetings += from === second ? 1 : 0);
  lab.move(second, Uint8Array.of(198, 51, 100, 22));
  assert.ok(greetings > 0, "who has a tunnel with it hears of it at once");
  second.delivered.length = 0;
  for (let i = 0; i < 10 && second.delivered.length === 0; i++) {
    founder.say(second);
    lab.run(500);
  }
  assert.ok(second.delivered.length > 0, "not within 5 s");
  assert.equal(founder.sees(second)?.endpoint, "198.51.100.22:51820");
});

Deno.test("of several moves in one moment the last is told, at once, and of a hundred in two seconds ten or so", () => {
  const { lab, all: [founder, second] } = village(2);
  assert.ok(founder && second);
  founder.say(second);
  lab.run(20_000);
  let sent = 0;
  lab.tap = (_, from) => void (sent += from === second ? 1 : 0);
  const moveTo = (last: number) => lab.move(second, Uint8Array.of(198, 51, 100, last));
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < 3; i++) {
      moveTo(10 * round + i);
      lab.run(20);
    }
    sent = 0;
    lab.run(250);
    assert.ok(sent > 0, `round ${round}: from the last place nothing was sent`);
    lab.run(10_000);
  }
  sent = 0;
  for (let i = 100; i < 200; i++) {
    moveTo(i);
    lab.run(20);
  }
  assert.ok(sent < 30, `${sent} datagrams in two seconds`);
});

Deno.test("an expired member is out, and is warned of it thirty days before", () => {
  const lab = new NodeLab(nobleCrypto);
  const founder = lab.founder();
  const token = founder.token({ memberDays: 0.001 }); // 86.4 s
  const short = lab.computer({ token, name: "short" });
  short.start();
  lab.run(2_000);
  const health = () => short.node.status(short.now()).health.join();
  assert.match(
    health(),
    /the membership ends 2026-01-01T00:01:27Z, in 1 days: an admin renews it/,
  );
  const renewed = founder.step((now, out) => founder.node.approve(now, "short", out));
  assert.ok(renewed.ok);
  lab.run(3_000);
  assert.equal(health(), "");
  lab.run(500_000);
  assert.equal(founder.sees(short)?.state, "alive", "renewed");
  const other = lab.computer({ token: founder.token({ memberDays: 0.001 }), name: "other" });
  other.start();
  lab.run(2_000);
  assert.equal(founder.sees(other)?.state, "alive");
  lab.run(450_000);
  assert.equal(founder.sees(other), undefined, "86 s and 300 s of tolerance are over");
  assert.match(other.node.status(other.now()).health.join(), /expired: the membership ended/);
});

Deno.test("a snapshot holds no secret", () => {
  const { all: [founder, second] } = village(2);
  assert.ok(founder && second);
  for (const one of [founder, second]) {
    const text = JSON.stringify(one.node.snapshot());
    for (const secret of [one.identitySeed, one.wish.meshSeed]) {
      if (!secret) continue;
      assert.ok(!text.includes(secret.toHex()));
      assert.ok(!text.includes(secret.toBase64({ alphabet: "base64url", omitPadding: true })));
    }
    if (one.wish.token) assert.ok(!text.includes(one.wish.token));
  }
});

Deno.test("one seed gives one run, to the byte", () => {
  const run = (seed: number) => {
    const lab = new NodeLab(nobleCrypto, seed, ROUGH);
    let hash: Uint8Array = new Uint8Array(32);
    lab.tap = ({ bytes }, from) => {
      hash = nobleCrypto.blake2s(hash, from.endpoint.address, bytes);
    };
    const founder = lab.founder();
    lab.joiner(founder);
    lab.run(10_000);
    return hash.toHex();
  };
  assert.equal(run(3), run(3));
  assert.notEqual(run(3), run(4));
});

Deno.test("at the limit of members the one dead longest makes room, and the living never do", () => {
  const lab = new NodeLab(nobleCrypto);
  const founder = lab.founder({ membersMax: 2 });
  const token = founder.token({ uses: 5 });
  const [one, two, three] = [1, 2, 3].map(() => lab.computer({ token, membersMax: 2 }));
  assert.ok(one && two && three);
  one.start();
  two.start();
  lab.run(3_000);
  three.start();
  lab.run(12_000);
  assert.equal(founder.sees(three), undefined);
  const failure = three.events.find((event) => event.kind === "joinFailed");
  assert.match(
    failure?.kind === "joinFailed" ? failure.why : "",
    /refused us: one of its tables is full/,
  );
  one.crash();
  assert.ok(lab.until(120_000, () => founder.sees(three)?.state === "alive"));
  assert.equal(founder.sees(one), undefined);
  assert.equal(founder.sees(two)?.state, "alive");
});
