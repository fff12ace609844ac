import assert from "node:assert/strict";
import type { Endpoint } from "./endpoint.ts";
import { encodeAnswer } from "./door/greeting.ts";
import { Joiner, SEEDS_MAX } from "./door/joiner.ts";
import { formatToken, parseToken } from "./door/token.ts";
import type { Datagram } from "./machine.ts";
import { meshIdOf } from "./membership/genesis.ts";
import { type Identity, identityFromSeed } from "./membership/identity.ts";
import { NO_PROOF, sequenceOf, signRecord } from "./membership/record.ts";
import { signStatement, type StatementOf } from "./membership/statement.ts";
import { nobleCrypto as crypto } from "./noble_crypto.ts";
import { type Computer, NodeLab } from "./sim/node_lab.ts";
import { done, healthOf, promote, refusalOf, village } from "./sim/people.ts";
import { doorKeyOf, openHello, readHello, sealAnswer } from "./wire/contact.ts";

const DAY = 86_400_000;

function failures(computer: Computer): string[] {
  return computer.events.flatMap((event) => event.kind === "joinFailed" ? [event.why] : []);
}

function state(computer: Computer): string {
  return computer.node.status(computer.now()).mesh.state;
}

function members(computer: Computer): number {
  return computer.node.status(computer.now()).peers.length;
}

/**
 * A rogue that knows the mesh's first keys makes a token of its own, with itself as the door, and
 * answers its hellos as a door would, with this record.
 */
function deceive(
  recordFor: (rogue: Identity, meshId: Uint8Array, founder: Computer) => Uint8Array,
): Computer {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const place = lab.computer();
  const real = parseToken(crypto, founder.token());
  assert.ok(real.ok);
  const { genesis } = real.value;
  const meshId = meshIdOf(crypto, genesis);
  const rogue = identityFromSeed(crypto, lab.random(32));
  const secret = crypto.ed25519FromSeed(lab.random(32));
  const { until, memberUntil } = real.value.statement;
  const wish = { uses: 1, groups: [], relay: false, until, memberUntil, doors: [rogue.id] };
  const draft = { kind: "token", key: secret.publicKey.toHex(), ...wish } as const;
  const numbered = { number: 1, at: founder.now().wall / 1000 };
  const signed = signStatement(crypto, meshId, rogue.signing, draft, numbered);
  const statement = signed as StatementOf<"token">;
  const token = formatToken(crypto, { genesis, statement, secret, seeds: [[place.address]] });
  const record = recordFor(rogue, meshId, founder);
  const victim = lab.computer({ token });
  const door = doorKeyOf(crypto, meshId, rogue.signing.publicKey);
  assert.ok(door);
  lab.tap = ({ bytes, to }, from) => {
    const hello = from === victim && to.address[3] === 2 ? readHello(bytes) : undefined;
    const opened = hello && openHello(crypto, door, rogue, hello);
    if (!opened) return;
    const answer = encodeAnswer({
      cookie: new Uint8Array(16),
      observed: victim.endpoint,
      verdict: { kind: "welcome", record },
    });
    const key = Uint8Array.fromHex(victim.id);
    const sealed = sealAnswer(crypto, lab.random, rogue, opened, key, answer);
    assert.ok(sealed);
    lab.world.after(2, () => victim.inject(sealed, place.endpoint));
  };
  victim.start();
  lab.run(3_000);
  return victim;
}

Deno.test("T41: a rogue door of a forged token, which knows the mesh's keys but is no member, joins nobody", () => {
  const victim = deceive((rogue, meshId) =>
    signRecord(crypto, meshId, rogue.signing, {
      key: rogue.signing.publicKey,
      sequence: sequenceOf(1, 0),
      run: "0011223344556677",
      twin: undefined,
      endpoints: [],
      capabilities: { relay: true, tunnel: true, meshKey: false, aesGcm: false, lanes: 1 },
      routes: [],
      version: "",
      proof: NO_PROOF,
    }).bytes
  );
  assert.equal(state(victim), "joining");
  assert.equal(members(victim), 0);
  const said =
    /192\.0\.2\.2:51820 is no member of the mesh that we join \(nobody has certified [0-9a-f]{64}\)/;
  assert.match(failures(victim)[0] ?? "", said);
});

Deno.test("T41: a rogue door that shows a true member's record joins nobody", () => {
  const victim = deceive((_rogue, _meshId, founder) => {
    const other = founder.lab.joiner(founder);
    founder.lab.run(5_000);
    const [member] = founder.disk?.members ?? [];
    assert.ok(member && other.node);
    return Uint8Array.fromBase64(member.record, { alphabet: "base64url" });
  });
  assert.equal(state(victim), "joining");
  assert.equal(members(victim), 0);
  assert.match(failures(victim)[0] ?? "", /it shows another node's record/);
});

Deno.test("T41: an answer that is replayed to a later start joins nobody", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const answers: Uint8Array[] = [];
  lab.tap = ({ bytes }) => void (bytes[0] === 0xc4 && answers.push(bytes));
  const joiner = lab.joiner(founder);
  lab.run(1_000);
  assert.equal(state(joiner), "member");
  joiner.crash();
  founder.crash();
  joiner.disk = undefined;
  joiner.start();
  assert.ok(answers.length > 0);
  for (const bytes of answers) joiner.inject(bytes, founder.endpoint);
  lab.run(100);
  assert.equal(state(joiner), "joining");
});

Deno.test("a seed of another mesh stays silent, and the joiner says so after 10 s", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const stranger = lab.founder({ name: "stranger" });
  const joiner = lab.computer({ token: founder.token({ seeds: [stranger.address] }) });
  let said = 0;
  lab.tap = (_, from) => void (said += from === stranger ? 1 : 0);
  joiner.start();
  lab.run(11_000);
  assert.equal(said, 0);
  assert.equal(failures(joiner).length, 1, "once, not at every try");
  assert.match(
    failures(joiner)[0] ?? "",
    /seed 192\.0\.2\.2:51820 did not answer in 10 s \(\d tries\): is UDP port 51820 open there/,
  );
});

Deno.test("T41, T34: a replayed hello is a copy that nobody answers; after a restart of the door it earns no more bytes than it has", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const heard: Uint8Array[] = [];
  lab.tap = ({ bytes }) => void (bytes[0] === 0xc2 && heard.push(bytes));
  const joiner = lab.computer({ token: founder.token() });
  joiner.start();
  lab.run(1);
  joiner.crash(); // it never hears the answer
  lab.run(20_000);
  const elsewhere: Endpoint = { address: Uint8Array.of(198, 51, 100, 9), port: 9, scope: 0 };
  const sent: Datagram[] = [];
  lab.tap = (datagram) => void (datagram.to.port === 9 && sent.push(datagram));
  const replay = () => {
    for (const bytes of heard) founder.inject(bytes, elsewhere);
    lab.run(20_000);
  };
  replay();
  assert.ok(heard.length > 0);
  assert.equal(sent.length, 0, "it was opened before");
  founder.crash();
  founder.start();
  replay();
  assert.equal(members(founder), 0);
  assert.equal(sent.length, heard.length);
  for (const { bytes } of sent) assert.ok(bytes.length <= 1232);
  // The same against one who is a member by now: its place stays where it is.
  joiner.start();
  lab.run(1_000);
  assert.equal(founder.sees(joiner)?.endpoint, joiner.address);
  for (const bytes of heard) founder.inject(bytes, elsewhere);
  lab.run(1_000);
  assert.equal(founder.sees(joiner)?.endpoint, joiner.address);
});

Deno.test("T41: of two that join with one one-time token in the same millisecond, one is let in", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const token = founder.token({ uses: 1 });
  const both = [lab.computer({ token }), lab.computer({ token })];
  for (const one of both) one.start();
  lab.run(5_000);
  assert.equal(members(founder), 1);
  const [loser, ...more] = both.filter((one) => state(one) !== "member");
  assert.ok(loser !== undefined && more.length === 0, "the other does not believe that it is in");
  assert.match(failures(loser)[0] ?? "", /refused us: the token is used up/);
  const late = lab.computer({ token });
  late.start();
  lab.run(5_000);
  assert.equal(members(founder), 1);
  assert.match(
    failures(late)[0] ?? "",
    /refused us: the token is used up: ask an admin for a new one/,
  );
});

Deno.test("a token with three uses lets three in, and the one that returns needs none", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const token = founder.token({ uses: 3 });
  const four = [1, 2, 3, 4].map(() => lab.computer({ token }));
  for (const one of four) {
    one.start();
    lab.run(2_000);
  }
  assert.equal(members(founder), 3);
  const [first] = four;
  assert.ok(first);
  first.crash();
  first.disk = undefined; // the whole state but the identity is lost
  first.start();
  // Its datagrams count as old ones until it has jumped beyond the run that the door knows.
  assert.ok(lab.until(20_000, () => state(first) === "member"));
  assert.equal(members(founder), 3);
});

Deno.test("invariant 6: one token used at two doors that cannot talk: one joiner stays, both doors name the other", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const second = lab.joiner(founder);
  lab.run(2_000);
  const token = founder.token({ uses: 1 });
  const seeds = [founder.address, second.address];
  lab.network.partition([founder.address, "192.0.2.3:51820"], [second.address, "192.0.2.4:51820"]);
  const both = [
    lab.computer({ token, seeds, name: "x" }),
    lab.computer({ token, seeds, name: "y" }),
  ];
  for (const one of both) one.start();
  lab.run(2_000);
  assert.deepEqual(both.map(state), ["member", "member"], "each door has counted one");
  lab.network.heal();
  const [x, y] = both;
  assert.ok(x && y);
  const isSettled = () => second.sees(x)?.standing === "certified" && second.sees(y) === undefined;
  assert.ok(lab.until(90_000, isSettled), "what the admin has certified counts first");
  lab.run(30_000);
  assert.deepEqual([founder, second].map(members), [2, 2]);
  const line = /^the invite [0-9a-f]{8} for 1 was used by more \((.*)\): those beyond are refused/;
  for (const door of [founder, second]) {
    const lines = healthOf(door).filter((one) => line.test(one));
    assert.equal(lines.length, 1, healthOf(door).join());
    assert.match(lines[0] ?? "", new RegExp(y.id.slice(0, 16)), "it is named");
  }
  assert.match(
    healthOf(y).join("\n"),
    /^seed .* refused us: the token is used up: ask an admin for a new one/m,
  );
  const third = lab.computer({ token, seeds });
  third.start();
  lab.run(5_000);
  assert.equal(state(third), "joining");
});

Deno.test("T41: clocks may differ by minutes, and not by a year", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  for (const skew of [-290_000, 290_000]) {
    const joiner = lab.computer({ token: founder.token() }, skew);
    joiner.start();
    lab.run(1_000);
    assert.equal(founder.sees(joiner)?.state, "alive", `${skew} ms`);
  }
  const early = lab.computer({ token: founder.token() }, -400 * DAY);
  early.start();
  lab.run(1_000);
  assert.match(
    failures(early)[0] ?? "",
    /signed 2026-01-01.* and it is 2024-11-27.* compare the clocks/,
  );
});

Deno.test("T41: a token's end is judged by the clock of its door", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const slow = lab.computer({ token: founder.token({ expiresInS: 60 }) }, -299_000);
  lab.run(61_000);
  slow.start(); // by its clock the token is good
  lab.run(12_000);
  assert.equal(founder.sees(slow), undefined);
  assert.match(
    failures(slow)[0] ?? "",
    /refused us: the token has expired: ask an admin for a new one/,
  );
});

Deno.test("T41: what an admin signs by a clock that is a day ahead counts there alone, until a person approves", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const admin = lab.computer({ name: "admin", token: founder.token() }, DAY);
  admin.start();
  lab.run(1_000);
  promote(founder, admin);
  lab.run(3_000);
  const guest = lab.computer({ name: "guest", token: admin.token() });
  lab.network.mute(guest.address, founder.address);
  lab.network.mute(founder.address, guest.address);
  guest.start();
  lab.run(3_000);
  lab.network.heal();
  lab.run(60_000);
  assert.equal(founder.sees(guest), undefined, "signed by a clock a day ahead");
  assert.equal(admin.sees(guest)?.state, "alive");
  assert.ok(founder.step((now, out) => founder.node.approve(now, guest.id, out)).ok);
  assert.ok(lab.until(60_000, () => founder.sees(guest)?.state === "alive"));
});

Deno.test("a token that is altered or for another mesh changes nothing and says what to do", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const token = founder.token();
  const stranger = lab.founder({ name: "stranger" });
  stranger.crash();
  stranger.wish = { ...stranger.wish, token };
  assert.match(
    stranger.start() ?? "",
    /^token: it is for the mesh [0-9a-f]{16} \(\S+\) and this node belongs to [0-9a-f]{16} \(\S+\): use another state/,
  );
  const altered = lab.computer({ token: token.slice(0, -9) });
  assert.match(
    altered.start() ?? "",
    /^token: what was given, \d+ characters, was altered or cut short/,
  );
  assert.equal(altered.disk, undefined);
});

Deno.test("who knocks with a membership that has ended is told the command that renews it", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const short = lab.computer({ name: "short", token: founder.token({ memberDays: 0.001 }) });
  short.start();
  lab.run(2_000);
  assert.equal(founder.sees(short)?.state, "alive");
  lab.run(450_000);
  short.crash();
  short.start();
  lab.run(60_000);
  assert.match(failures(short).join(), new RegExp(`with \`shoal approve ${short.id}\``));
});

Deno.test("a token that has expired is refused by the door, whose clock decides", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const late = lab.computer({ token: founder.token({ expiresInS: 60 }) });
  lab.run(90_000_000); // beyond the grace that a token has
  late.start();
  const refusal = () => late.events.find(({ kind }) => kind === "joinFailed");
  assert.ok(lab.until(1_000, () => refusal() !== undefined));
  const failed = refusal();
  assert.ok(failed?.kind === "joinFailed" && !failed.isOfClock);
  assert.match(failed.why, /the token has expired: ask an admin for a new one/);
  assert.equal(late.node.isMember, false);
});

Deno.test("a joiner whose seed is down tries for ever and joins when it comes up", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const token = founder.token({ expiresInS: 7 * 86_400 });
  founder.crash();
  const joiner = lab.computer({ token });
  joiner.start();
  let tries = 0;
  lab.tap = (_, from) => void (tries += from === joiner ? 1 : 0);
  lab.run(3_600_000);
  assert.ok(tries > 40 && tries < 100, `${tries} tries in an hour: backed off to a minute`);
  founder.start();
  lab.run(80_000);
  assert.equal(state(joiner), "member");
});

Deno.test("a host name is asked for anew at every try", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const joiner = lab.computer({ token: founder.token({ seeds: ["lyon.example:51820"] }) });
  joiner.start();
  const asked = () => joiner.events.filter(({ kind }) => kind === "resolve").length;
  assert.equal(asked(), 1);
  joiner.step((_, out) => joiner.node.resolved(joiner.now(), "lyon.example:51820", [], out));
  assert.match(
    failures(joiner)[0] ?? "",
    /seed lyon\.example:51820 has no address: does the name exist/,
  );
  lab.run(1_000);
  assert.equal(asked(), 2);
  const { endpoint } = founder;
  joiner.step((now, out) => joiner.node.resolved(now, "lyon.example:51820", [endpoint], out));
  lab.run(100);
  assert.equal(state(joiner), "member");
});

Deno.test("a seed that is no HOST:PORT is refused before anything starts", () => {
  const lab = new NodeLab(crypto);
  for (const seed of ["lyon", "1.2.3:5", "lyon:0", "lyon:70000", "[::1]", "a b:1"]) {
    assert.match(
      lab.computer({ seeds: [seed] }).start() ?? "",
      /^join: ".*" is no HOST:PORT/,
      seed,
    );
  }
  assert.match(lab.computer({}).start() ?? "", /^join: there is no mesh, no token and no seed/);
  const named = lab.computer({ name: "Lyon!", seeds: ["a.b:1"] });
  assert.match(named.start() ?? "", /^name: "Lyon!" is no host name/);
});

Deno.test("no mesh is founded whose domain is others', also where it would be called after its founder", () => {
  const lab = new NodeLab(crypto);
  const founding = (wish: { readonly name: string; readonly meshName?: string }) => {
    const recoveryKey = crypto.ed25519FromSeed(lab.random(32)).publicKey;
    return lab.computer({ meshSeed: lab.random(32), recoveryKey, ...wish }).start();
  };
  assert.equal(
    founding({ name: "host", meshName: "docker" }),
    "mesh name: docker.internal is a domain of others, in which machines look for names by themselves: " +
      "found the mesh with another name (--mesh-name)",
  );
  assert.match(founding({ name: "google" }) ?? "", /^mesh name: google\.internal /);
  assert.equal(founding({ name: "google", meshName: "lyon" }), undefined);
});

Deno.test("two that joined in different halves of a mesh meet with the first push-pull after it heals", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const second = lab.joiner(founder);
  lab.run(2_000);
  const token = founder.token({ uses: 2 });
  lab.network.partition([founder.address, "192.0.2.3:51820"], [second.address, "192.0.2.4:51820"]);
  const seeds = [founder.address, second.address];
  const [one, two] = [lab.computer({ token, seeds }), lab.computer({ token, seeds })];
  one.start();
  two.start();
  lab.run(2_000);
  lab.network.heal();
  const all = [founder, second, one, two];
  const know = () => all.every((a) => all.every((b) => a === b || a.sees(b) !== undefined));
  // What was sent before has used up what a place that never answered gets in its first minute.
  assert.ok(lab.until(40_000, know), "one push-pull");
});

Deno.test("32 seeds are knocked at; further ones are left out", () => {
  const joiner = new Joiner(crypto, (length) => new Uint8Array(length), identity(1));
  for (let n = 0; n < SEEDS_MAX; n++) assert.ok(joiner.add(`host-${n}.example:1`));
  assert.ok(!joiner.add("one-more.example:1"));
  assert.ok(joiner.add("host-0.example:1"), "known already");
  assert.equal(joiner.seeds().length, SEEDS_MAX);
});

function identity(n: number) {
  return identityFromSeed(crypto, new Uint8Array(32).fill(n));
}

Deno.test("a seed that is named now has room before 32 that are remembered", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const seeds = Array.from({ length: SEEDS_MAX }, (_, i) => `10.0.0.${i + 1}:1`);
  const guest = lab.computer({ seeds });
  guest.start();
  guest.disk = guest.node.snapshot();
  guest.crash();
  guest.wish = { ...guest.wish, seeds: [founder.address] };
  guest.start();
  assert.ok(guest.node.snapshot().seeds.some(({ seed }) => seed === founder.address));
  assert.equal(guest.node.snapshot().seeds.length, SEEDS_MAX);
});

Deno.test("a founder whose mesh key is gone goes on as an admin, and says what it cannot do", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const member = lab.joiner(founder, { name: "lyon" });
  lab.run(2_000);
  founder.crash();
  founder.wish = { name: "founder" };
  assert.equal(founder.start(), undefined);
  lab.run(3_000);
  assert.equal(founder.sees(member)?.state, "alive");
  assert.ok(founder.token().length > 0);
  const refused = founder.step((now, out) => founder.node.promote(now, "lyon", {}, out));
  assert.match(
    refusalOf(refused),
    /^promote: no member shows that it has the mesh key: `shoal mesh-key import`.*`shoal recover`/,
  );
});

Deno.test("who has a new key and remembers nobody says so, and does not wait for nobody", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  founder.crash();
  assert.ok(founder.disk);
  founder.wish = { name: "founder" };
  founder.identitySeed = lab.random(32);
  founder.disk = { ...founder.disk, boot: 0, members: [], seeds: [] };
  assert.match(founder.start() ?? "", /^state: it knows no other member and no seed: .*mesh key/);
});

Deno.test("who has a new key waits for an admin: its status says that, and blames neither network nor port", () => {
  const { lab, founder, others: [lyon, oslo] } = village(crypto, ["lyon", "oslo"], 12);
  assert.ok(lyon && oslo);
  lab.run(10_000);
  lyon.crash();
  assert.ok(lyon.disk);
  lyon.identitySeed = lab.random(32);
  lyon.wish = { name: "lyon" };
  lyon.disk = { ...lyon.disk, boot: 0, admissions: [] };
  assert.equal(lyon.start(), undefined);
  for (let n = 0; n < 6; n++) {
    lab.run(10_000);
    const [first, ...more] = healthOf(lyon);
    assert.match(first ?? "", /^out: .*`shoal approve --name lyon [0-9a-f]{64}`$/);
    assert.doesNotMatch(more.join("\n"), /did not answer|no member answers|no seed/);
  }
  done(founder.step((now, out) => founder.node.approve(now, lyon.id, out, { name: "lyon-new" })));
  assert.ok(lab.until(120_000, () => lyon.node.status(lyon.now()).self.standing === "certified"));
  assert.doesNotMatch(healthOf(lyon).join("\n"), /^out:/m);
  assert.ok(lab.until(30_000, () => founder.sees(lyon)?.state === "alive"));
});

Deno.test("T34: strangers get nothing, whatever they send", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  let sent = 0;
  lab.tap = (_, from) => void (sent += from === founder ? 1 : 0);
  const nowhere: Endpoint = { address: Uint8Array.of(198, 51, 100, 1), port: 7, scope: 0 };
  for (const type of [0xc1, 0xc2, 0xc3, 0xc4, 0, 1, 2, 3, 4, 0x53]) {
    for (const length of [4, 40, 67, 148, 1232]) {
      const bytes = lab.random(length);
      bytes.set([type, 0, 0, 0]);
      founder.inject(bytes, nowhere);
    }
  }
  lab.run(5_000);
  assert.equal(sent, 0);
});

Deno.test("T34: what a member sealed before our restart earns no more bytes than it has", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const member = lab.joiner(founder);
  const recorded: Uint8Array[] = [];
  lab.tap = ({ bytes }, from) =>
    void (from === member && bytes[0] === 0xc1 && recorded.push(bytes));
  lab.run(20_000);
  for (let i = 0; i < 2; i++) {
    member.crash();
    member.start();
    lab.run(2_000);
  }
  member.crash();
  founder.crash();
  founder.start();
  const nowhere: Endpoint = { address: Uint8Array.of(198, 51, 100, 1), port: 7, scope: 0 };
  const answers: number[] = [];
  lab.tap = ({ bytes, to }) => void (to.port === 7 && answers.push(bytes.length));
  const sizes: number[] = [];
  for (const bytes of recorded) {
    lab.run(1_100);
    const before = answers.length;
    founder.inject(bytes, nowhere);
    if (answers.length > before) sizes.push(bytes.length - (answers.at(-1) ?? 0));
  }
  assert.ok(recorded.some(({ length }) => length < 400), "short ones were among them");
  assert.ok(sizes.every((more) => more >= 0), `${sizes}`);
  assert.equal(founder.sees(member)?.endpoint, member.address);
});
