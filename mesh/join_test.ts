import assert from "node:assert/strict";
import { sealAnswer } from "./control.ts";
import type { Endpoint } from "./endpoint.ts";
import { encodeAnswer } from "./greeting.ts";
import { Joiner, SEEDS_MAX } from "./join.ts";
import type { Datagram } from "./machine.ts";
import { nobleCrypto as crypto } from "./noble_crypto.ts";
import { sequenceOf, signRecord } from "./record.ts";
import { type Computer, NodeLab } from "./sim/node_lab.ts";
import { EMPTY_CHAIN } from "./trust/certificate.ts";
import { type Identity, identityFromSeed, meshIdOf } from "./trust/identity.ts";
import { parseToken } from "./trust/token.ts";

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

/** A seed that answers a token's hellos as a door would, with a key of its own and this record. */
function deceive(
  recordFor: (rogue: Identity, meshId: Uint8Array, founder: Computer) => Uint8Array,
) {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const place = lab.computer();
  const token = founder.token({ seeds: [place.address] });
  const parsed = parseToken(crypto, token);
  assert.ok(parsed.ok);
  const meshId = meshIdOf(crypto, parsed.value.meshKey);
  const rogue = identityFromSeed(crypto, lab.random(32));
  const record = recordFor(rogue, meshId, founder);
  const victim = lab.computer({ token });
  lab.tap = ({ bytes }, from) => {
    if (from !== victim || bytes[0] !== 0xc2) return;
    const answer = encodeAnswer({
      challenge: challengeIn(meshId, bytes), // whoever knows the mesh's key can read it
      cookie: new Uint8Array(16),
      observed: victim.endpoint,
      verdict: { kind: "welcome", record },
    });
    const key = Uint8Array.fromHex(victim.id);
    const sealed = sealAnswer(crypto, lab.random, meshId, rogue, key, answer);
    assert.ok(sealed);
    lab.world.after(2, () => victim.inject(sealed, place.endpoint));
  };
  victim.start();
  lab.run(3_000);
  return victim;
}

Deno.test("T41: a rogue seed that knows the mesh's key but is no member joins nobody", () => {
  const victim = deceive((rogue, meshId) =>
    signRecord(crypto, meshId, rogue.signing, {
      key: rogue.signing.publicKey,
      sequence: sequenceOf(1, 0),
      endpoints: [],
      ip4Counter: 0,
      capabilities: { relay: true, tunnel: true },
      routes: [],
      version: "",
      chain: EMPTY_CHAIN,
    }).bytes
  );
  assert.equal(state(victim), "joining");
  assert.equal(members(victim), 0);
  const said =
    /192\.0\.2\.2:51820 is no member of the mesh that we join \(.* shows no certificate\)/;
  assert.match(failures(victim)[0] ?? "", said);
});

Deno.test("T41: a rogue seed that shows a true member's record joins nobody", () => {
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

function challengeIn(meshId: Uint8Array, hello: Uint8Array): Uint8Array {
  const boxKey = crypto.hmacBlake2s(meshId, new TextEncoder().encode("shoal hello 1"));
  const content = crypto.xchacha20poly1305Open(
    boxKey,
    hello.slice(4, 28),
    hello.slice(0, 4),
    hello.slice(28),
  );
  assert.ok(content);
  return content.slice(0, 16);
}

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

Deno.test("T41: a replayed hello moves nobody, joins nobody and earns no more bytes than it has", () => {
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
  for (const bytes of heard) founder.inject(bytes, elsewhere);
  lab.run(20_000);
  assert.equal(members(founder), 0);
  assert.equal(sent.length, heard.length);
  for (const { bytes } of sent) assert.ok(bytes.length <= 1232, "T34");
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
  lab.run(3_000);
  assert.equal(state(first), "member");
  assert.equal(members(founder), 3);
});

Deno.test("one token used at two doors that cannot talk is over-used by one, and everybody says so", () => {
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
  lab.network.heal();
  const isTold = () => [founder, second].every((door) => members(door) === 3);
  assert.ok(lab.until(90_000, isTold), "both are members: their certificates are good");
  for (const door of [founder, second]) {
    const { health } = door.node.status(door.now());
    assert.ok(
      health.some((line) => /a token for 1 was used by 2 \((x, y|y, x)\)/.test(line)),
      health[0],
    );
  }
  const third = lab.computer({ token, seeds });
  third.start();
  lab.run(5_000);
  assert.equal(state(third), "joining");
});

Deno.test("T41: clocks may differ by minutes, and a token's end is judged by the door's", () => {
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
    /begins 2026-01-01.* and it is 2024-11-27.* compare the clocks/,
  );
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

Deno.test("T41: a certificate that begins in the future is refused and both clocks are named", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const admin = lab.computer({ name: "admin", token: founder.token({ admin: true }) }, DAY);
  admin.start();
  lab.run(1_000);
  const guest = lab.joiner(admin, { name: "guest", seeds: [founder.address] });
  lab.run(3_000);
  assert.equal(founder.sees(guest), undefined, "issued by a clock a day ahead");
  assert.equal(admin.sees(guest)?.state, "alive");
});

Deno.test("a token that is expired, altered or for another mesh changes nothing and says what to do", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  const token = founder.token({ expiresInS: 60 });
  const stranger = lab.founder({ name: "stranger" });
  stranger.crash();
  stranger.wish = { ...stranger.wish, token };
  assert.match(
    stranger.start() ?? "",
    /^token: it is for the mesh [0-9a-f]{16} and this node belongs to [0-9a-f]{16}: use another state/,
  );
  const altered = lab.computer({ token: token.slice(0, -9) });
  assert.match(altered.start() ?? "", /^token: \d+ characters were altered or cut short/);
  lab.run(500_000);
  const late = lab.computer({ token });
  assert.match(
    late.start() ?? "",
    /^token: it expired 2026-01-01T00:01:00Z and it is 2026-01-01T00:08:20Z here: ask an admin/,
  );
  assert.equal(late.disk, undefined);
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

Deno.test("two that joined in different halves of a mesh meet as soon as it heals", () => {
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
  assert.ok(lab.until(8_000, know), "a push-pull comes after half a minute only");
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
  assert.ok(guest.node.snapshot().seeds.includes(founder.address));
  assert.equal(guest.node.snapshot().seeds.length, SEEDS_MAX);
});

Deno.test("a founder whose mesh key is gone says so, and does not wait for nobody", () => {
  const lab = new NodeLab(crypto);
  const founder = lab.founder();
  founder.crash();
  founder.wish = { name: "founder" };
  assert.match(founder.start() ?? "", /^state: it knows no other member and no seed: .*mesh key/);
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
