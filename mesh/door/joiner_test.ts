import assert from "node:assert/strict";
import { type Endpoint, formatEndpoint } from "../endpoint.ts";
import type { NodeEvent } from "../event.ts";
import { type Datagram, Effects, type Now } from "../machine.ts";
import { type Identity, identityFromSeed } from "../membership/identity.ts";
import { Seeded } from "../sim/random.ts";
import { toyCrypto as crypto } from "../sim/toy_crypto.ts";
import { type Reply, sealReply } from "../wire/ask.ts";
import { doorKeyOf, openHello, readHello, sealAnswer, sealRetry } from "../wire/contact.ts";
import { encodeAnswer, encodeIntroduction } from "./greeting.ts";
import { Joiner, type Knocking, SEEDS_MAX } from "./joiner.ts";
import { Knocks } from "./knocks.ts";

const SEED = "192.0.2.1:51820";
const HOST = "lyon.example.org:51820";

function at(boot: number): Now {
  return { boot, wall: 1_800_000_000_000 };
}

function place(n: number): Endpoint {
  return { address: Uint8Array.of(192, 0, 2, n), port: 51820, scope: 0 };
}

function setUp() {
  const { bytes: random } = new Seeded(1);
  const meshId = random(32);
  const [self, lyon, nice, paris] = [0, 0, 0, 0].map(() => identityFromSeed(crypto, random(32)));
  assert.ok(self && lyon && nice && paris);
  const joiner = new Joiner(crypto, random, self);
  const out = new Effects<NodeEvent>();
  const hello = (candidates: readonly Identity[] = []): Knocking => ({
    type: "hello",
    meshId,
    record: Uint8Array.of(1, 2, 3),
    candidates: candidates.map(({ id }) => id),
  });
  const introduction = { key: self.id, name: "self", version: "1" };
  const ask: Knocking = { type: "ask", introduction: encodeIntroduction(introduction) };
  /** What was sent since this was asked last. */
  const sent = () => out.datagrams.splice(0);
  const told = () => out.events.splice(0);
  /** Which of the members can open a hello. */
  const isFor = (bytes: Uint8Array, who: Identity) => opened(bytes, who) !== undefined;
  const opened = (bytes: Uint8Array, who: Identity) => {
    const door = doorKeyOf(crypto, meshId, who.signing.publicKey);
    const read = readHello(bytes);
    return door && read && openHello(crypto, door, who, read);
  };
  /** A member's answer to a hello. */
  const answer = (bytes: Uint8Array, who: Identity): Uint8Array => {
    const hello = opened(bytes, who);
    assert.ok(hello);
    const content = encodeAnswer({
      cookie: random(16),
      observed: place(9),
      verdict: { kind: "welcome", record: Uint8Array.of(7) },
    });
    const made = sealAnswer(crypto, random, who, hello, self.signing.publicKey, content);
    assert.ok(made);
    return made;
  };
  const retry = (bytes: Uint8Array, who: Identity): Uint8Array => {
    const door = doorKeyOf(crypto, meshId, who.signing.publicKey);
    const read = readHello(bytes);
    assert.ok(door && read);
    return sealRetry(crypto, random, door, read, random(16));
  };
  const people = { self, lyon, nice, paris };
  return { random, meshId, joiner, out, hello, ask, sent, told, isFor, answer, retry, ...people };
}

/** A door that a person has opened, as somebody without a token meets it. */
function askedDoor({ random, meshId, lyon, self }: ReturnType<typeof setUp>) {
  const key = doorKeyOf(crypto, meshId, lyon.signing.publicKey);
  assert.ok(key);
  const knocks = new Knocks(at(0), crypto, random, key, lyon);
  return {
    offer(ask: Datagram, ms: number): Uint8Array {
      const heard = knocks.ask(at(ms), { bytes: ask.bytes, from: place(200) }, true);
      assert.ok(heard?.kind === "reply");
      return heard.bytes;
    },
    reply(request: Datagram, ms: number, reply: Reply): Uint8Array {
      const heard = knocks.ask(at(ms), { bytes: request.bytes, from: place(200) }, true);
      assert.ok(heard?.kind === "request");
      const to = self.signing.publicKey;
      const bytes = sealReply(crypto, random, lyon, heard.request, to, reply);
      assert.ok(bytes);
      return bytes;
    },
  };
}

// ---- Hellos -----------------------------------------------------------------------------------

Deno.test("a seed is knocked at with a hello for the member that is there, and its answer is recognised", () => {
  const { joiner, out, hello, sent, isFor, answer, lyon, nice } = setUp();
  assert.ok(joiner.add(SEED, lyon.id));
  joiner.knockWith(at(0), hello());
  joiner.poll(at(0), out);
  const [knock, ...others] = sent();
  assert.ok(knock && others.length === 0);
  assert.equal(formatEndpoint(knock.to), SEED);
  assert.ok(isFor(knock.bytes, lyon) && !isFor(knock.bytes, nice));
  const arrival = { bytes: answer(knock.bytes, lyon), from: place(1) };
  const answered = joiner.answered(at(10), arrival, out);
  assert.ok(answered?.kind === "answer");
  assert.deepEqual([answered.seed, answered.key], [SEED, lyon.signing.publicKey]);
  assert.deepEqual(answered.answer.observed, place(9));
  assert.ok(answered.isThere);
  assert.equal(joiner.answered(at(11), arrival, out), undefined, "once");
});

Deno.test("an answer from elsewhere than the hello went to is told from one that proves the place", () => {
  const { joiner, out, hello, sent, answer, lyon } = setUp();
  joiner.add(SEED, lyon.id);
  joiner.knockWith(at(0), hello());
  joiner.poll(at(0), out);
  const [knock] = sent();
  assert.ok(knock);
  const bytes = answer(knock.bytes, lyon);
  const answered = joiner.answered(at(10), { bytes, from: place(2) }, out);
  assert.ok(answered?.kind === "answer" && !answered.isThere);
});

Deno.test("where nobody knows who is at a seed, those who may be are tried in turn", () => {
  const { joiner, out, hello, sent, isFor, lyon, nice, paris } = setUp();
  joiner.add(SEED);
  joiner.knockWith(at(0), hello([lyon, nice, paris]));
  const tried: string[] = [];
  for (let ms = 0; ms < 30_000; ms += 100) {
    joiner.poll(at(ms), out);
    for (const { bytes } of sent()) {
      const who = [lyon, nice, paris].find((one) => isFor(bytes, one));
      tried.push(who?.id ?? "nobody");
    }
  }
  assert.deepEqual(tried.slice(0, 4), [lyon.id, nice.id, paris.id, lyon.id]);
});

Deno.test("who answered last is tried every other time, and others in between: it may have moved", () => {
  const { joiner, out, hello, sent, isFor, lyon, nice, paris } = setUp();
  joiner.add(SEED, nice.id);
  joiner.knockWith(at(0), hello([lyon, nice, paris]));
  const tried: string[] = [];
  for (let ms = 0; ms < 60_000; ms += 100) {
    joiner.poll(at(ms), out);
    for (const { bytes } of sent()) {
      tried.push([lyon, nice, paris].find((one) => isFor(bytes, one))?.id ?? "nobody");
    }
  }
  assert.deepEqual(tried.slice(0, 5), [nice.id, lyon.id, nice.id, paris.id, nice.id]);
});

Deno.test("who has answered at a seed is remembered with it", () => {
  const { joiner, out, hello, sent, answer, lyon } = setUp();
  joiner.add(SEED);
  joiner.knockWith(at(0), hello([lyon]));
  joiner.poll(at(0), out);
  const [knock] = sent();
  assert.ok(knock);
  assert.deepEqual(joiner.seeds(), [{ seed: SEED }]);
  joiner.answered(at(1), { bytes: answer(knock.bytes, lyon), from: place(1) }, out);
  assert.deepEqual(joiner.seeds(), [{ seed: SEED, key: lyon.id }]);
});

Deno.test("a busy door gets another hello at once, where its retry came from", () => {
  const { joiner, out, hello, sent, retry, answer, lyon } = setUp();
  joiner.add(SEED, lyon.id);
  joiner.knockWith(at(0), hello());
  joiner.poll(at(0), out);
  const [knock] = sent();
  assert.ok(knock);
  const arrival = { bytes: retry(knock.bytes, lyon), from: place(1) };
  assert.equal(joiner.answered(at(1), arrival, out), undefined);
  const [again] = sent();
  assert.ok(again);
  assert.deepEqual(again.to, place(1));
  const answered = joiner.answered(
    at(2),
    { bytes: answer(again.bytes, lyon), from: place(1) },
    out,
  );
  assert.equal(answered?.kind, "answer");
});

Deno.test("tries follow after half a second, one, two … a minute, each 25 % more or less, for ever", () => {
  const { joiner, out, hello, lyon } = setUp();
  joiner.add(SEED, lyon.id);
  joiner.knockWith(at(0), hello());
  const times: number[] = [];
  let now = 0;
  for (let i = 0; i < 16; i++) {
    out.datagrams.length = 0;
    joiner.poll(at(now), out);
    if (out.datagrams.length > 0) times.push(now);
    const due = joiner.deadline();
    assert.ok(due && due.at > now);
    now = due.at;
  }
  const waits = times.slice(1).map((time, i) => time - (times[i] ?? 0));
  const nominal = [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000];
  for (const [i, wait] of nominal.entries()) {
    const ratio = (waits[i] ?? 0) / wait;
    assert.ok(ratio >= 0.75 && ratio < 1.25, `wait ${i}: ${waits[i]}`);
  }
  assert.ok(new Set(waits.slice(7).map((wait) => wait / 60_000)).size > 1, "jittered");
});

Deno.test("with another address of this machine every seed is tried at once, and then at the pace of the beginning", () => {
  const { joiner, out, hello, sent, lyon } = setUp();
  joiner.add(SEED, lyon.id);
  joiner.knockWith(at(0), hello());
  let now = 0;
  for (let i = 0; i < 9; i++) {
    joiner.poll(at(now), out);
    now = joiner.deadline()?.at ?? now;
  }
  const late = at(now - 30_000);
  joiner.poll(late, out);
  sent();
  joiner.hurry(late);
  assert.equal(joiner.deadline()?.at, late.boot);
  joiner.poll(late, out);
  assert.equal(sent().length, 1);
  const wait = (joiner.deadline()?.at ?? 0) - late.boot;
  assert.ok(wait >= 375 && wait < 625, `${wait} ms`);
});

// ---- Names ------------------------------------------------------------------------------------

Deno.test("a host name is resolved at each try, and up to four of its addresses get a hello each of its own", () => {
  const { joiner, out, hello, sent, told, lyon } = setUp();
  joiner.add(HOST, lyon.id);
  joiner.knockWith(at(0), hello());
  joiner.poll(at(0), out);
  assert.deepEqual(told(), [{ kind: "resolve", seed: HOST }]);
  assert.deepEqual(sent(), []);
  joiner.resolved(at(5), HOST, [1, 2, 3, 4, 5].map(place), out);
  const knocks = sent();
  assert.deepEqual(knocks.map(({ to }) => to.address[3]), [1, 2, 3, 4]);
  assert.equal(new Set(knocks.map(({ bytes }) => bytes.toHex())).size, 4);
  joiner.resolved(at(6), HOST, [place(6)], out);
  joiner.resolved(at(6), "other.example.org:1", [place(6)], out);
  assert.deepEqual(sent(), [], "nobody asked");
  joiner.poll(at(1000), out);
  assert.deepEqual(told(), [{ kind: "resolve", seed: HOST }]);
});

Deno.test("a name without an address is said once", () => {
  const { joiner, out, hello, told, lyon } = setUp();
  joiner.add(HOST, lyon.id);
  joiner.knockWith(at(0), hello());
  for (const ms of [0, 1000, 4000]) {
    joiner.poll(at(ms), out);
    joiner.resolved(at(ms), HOST, [], out);
  }
  const why = `seed ${HOST} has no address: does the name exist, and does DNS answer here?`;
  const failures = told().filter(({ kind }) => kind === "joinFailed");
  assert.deepEqual(failures, [{ kind: "joinFailed", seed: HOST, why }]);
  assert.deepEqual(joiner.complaints(), [why]);
});

Deno.test("a name server that is silent is said as such, and the seed is blamed only once something was sent to it", () => {
  const { joiner, out, ask, told, sent } = setUp();
  joiner.add(HOST);
  joiner.knockWith(at(0), ask);
  const failures = () => told().flatMap((one) => one.kind === "joinFailed" ? [one.why] : []);
  const pollUntil = (end: number, start: number) => {
    for (let ms = start; ms < end; ms += 250) joiner.poll(at(ms), out);
  };
  pollUntil(60_000, 0);
  const why = `seed ${HOST} has no address: does the name exist, and does DNS answer here?`;
  assert.deepEqual(failures(), [why], "no seed was asked, so none is silent");
  assert.deepEqual([sent(), joiner.complaints()], [[], [why]]);
  joiner.resolved(at(60_000), HOST, [place(1)], out);
  assert.equal(sent().length, 1);
  assert.deepEqual(joiner.complaints(), [], "it has an address now");
  pollUntil(69_750, 60_000);
  assert.deepEqual(failures(), []);
  pollUntil(75_000, 70_000);
  assert.match(failures().join(), /did not answer in 10 s \(1 try\): is UDP port/);
});

// ---- Asks -------------------------------------------------------------------------------------

Deno.test("who knows no mesh asks, takes the offer, requests, and asks again every two seconds while it waits", () => {
  const lab = setUp();
  const { joiner, out, ask, sent, lyon } = lab;
  const door = askedDoor(lab);
  joiner.add(SEED);
  joiner.knockWith(at(0), ask);
  joiner.poll(at(0), out);
  const [first] = sent();
  assert.ok(first);
  const offer = { bytes: door.offer(first, 10), from: place(1) };
  assert.equal(joiner.answered(at(20), offer, out), undefined);
  const [request] = sent();
  assert.ok(request);
  assert.deepEqual(request.to, place(1));
  const pending = { bytes: door.reply(request, 30, { kind: "pending" }), from: place(1) };
  const answered = joiner.answered(at(40), pending, out);
  assert.ok(answered?.kind === "reply");
  assert.deepEqual([answered.seed, answered.reply.kind, answered.key], [
    SEED,
    "pending",
    lyon.signing.publicKey,
  ]);
  assert.equal(joiner.answered(at(41), pending, out), undefined, "once");
  const waits: number[] = [];
  let now = 40;
  for (let i = 0; i < 10; i++) {
    const due = joiner.deadline()?.at ?? 0;
    waits.push(due - now);
    now = due;
    joiner.poll(at(now), out);
    const [again] = sent();
    assert.ok(again);
    assert.deepEqual(again.to, place(1), "a request: the offer is still good");
    const reply = { bytes: door.reply(again, now, { kind: "pending" }), from: place(1) };
    const isLost = i % 3 === 2;
    if (!isLost) assert.equal(joiner.answered(at(now), reply, out)?.kind, "reply");
  }
  assert.ok(waits.every((wait) => wait >= 1500 && wait <= 2500), waits.join());
});

Deno.test("an offer is good for 90 seconds; then it asks anew", () => {
  const lab = setUp();
  const { joiner, out, ask, sent } = lab;
  const door = askedDoor(lab);
  joiner.add(SEED);
  joiner.knockWith(at(0), ask);
  joiner.poll(at(0), out);
  const [first] = sent();
  assert.ok(first);
  const bytes = door.offer(first, 0);
  joiner.answered(at(0), { bytes, from: place(7) }, out);
  sent();
  const placesUntil = (end: number, start: number) => {
    const places = new Set<number | undefined>();
    for (let ms = start; ms < end; ms += 500) {
      joiner.poll(at(ms), out);
      for (const { to } of sent()) places.add(to.address[3]);
    }
    return [...places];
  };
  assert.deepEqual(placesUntil(90_000, 500), [7]);
  assert.deepEqual(placesUntil(300_000, 90_000), [1]);
});

Deno.test("what a door grants or refuses is handed on with the key that the door has proven", () => {
  for (
    const reply of [{ kind: "granted", payload: Uint8Array.of(5) }, { kind: "refused" }] as const
  ) {
    const lab = setUp();
    const { joiner, out, ask, sent, lyon } = lab;
    const door = askedDoor(lab);
    joiner.add(SEED);
    joiner.knockWith(at(0), ask);
    joiner.poll(at(0), out);
    const [first] = sent();
    assert.ok(first);
    joiner.answered(at(1), { bytes: door.offer(first, 1), from: place(1) }, out);
    const [request] = sent();
    assert.ok(request);
    const bytes = door.reply(request, 2, reply);
    assert.deepEqual(joiner.answered(at(3), { bytes, from: place(1) }, out), {
      kind: "reply",
      seed: SEED,
      key: lyon.signing.publicKey,
      reply,
    });
    assert.deepEqual(joiner.seeds(), [{ seed: SEED, key: lyon.id }]);
  }
});

// ---- What people hear -------------------------------------------------------------------------

Deno.test("a seed that is silent for ten seconds is reported once, with what to look at", () => {
  for (const kind of ["hello", "ask"] as const) {
    const { joiner, out, hello, ask, told, lyon } = setUp();
    joiner.add(SEED, lyon.id);
    joiner.knockWith(at(0), kind === "hello" ? hello() : ask);
    for (let ms = 0; ms < 10_000; ms += 100) joiner.poll(at(ms), out);
    assert.deepEqual(told(), []);
    for (let ms = 10_000; ms < 100_000; ms += 100) joiner.poll(at(ms), out);
    const next = kind === "hello"
      ? "is UDP port 51820 open there, and is that node of this mesh?"
      : "is UDP port 51820 open there, and has somebody there opened the door (`shoal door open`)?";
    const [event, ...others] = told();
    assert.deepEqual(others, []);
    assert.ok(event?.kind === "joinFailed");
    assert.match(event.why, /^seed 192\.0\.2\.1:51820 did not answer in 10 s \([45] tries\): /);
    assert.ok(event.why.endsWith(next), event.why);
    assert.deepEqual(joiner.complaints(), [event.why]);
  }
});

Deno.test("the same complaint about a seed is said once, another one again, none about others", () => {
  const { joiner, out, hello, told, lyon } = setUp();
  joiner.add(SEED, lyon.id);
  joiner.knockWith(at(0), hello());
  for (const why of ["one", "one", "two"]) joiner.complain(SEED, why, out);
  joiner.complain("elsewhere:1", "three", out);
  assert.deepEqual(told().map((event) => event.kind === "joinFailed" && event.why), ["one", "two"]);
  assert.deepEqual(joiner.complaints(), ["two"]);
});

// ---- Beginning and ending ---------------------------------------------------------------------

Deno.test("who stops knocking has nothing to do, complains about nobody and takes no answer", () => {
  const { joiner, out, hello, sent, answer, lyon } = setUp();
  joiner.add(SEED, lyon.id);
  assert.equal(joiner.deadline(), undefined);
  joiner.knockWith(at(0), hello());
  joiner.poll(at(0), out);
  const [knock] = sent();
  assert.ok(knock);
  joiner.complain(SEED, "one", out);
  joiner.knockWith(at(1), undefined);
  assert.equal(joiner.deadline(), undefined);
  assert.deepEqual(joiner.complaints(), []);
  joiner.poll(at(9999), out);
  assert.deepEqual(sent(), []);
  const arrival = { bytes: answer(knock.bytes, lyon), from: place(1) };
  assert.equal(joiner.answered(at(9999), arrival, out), undefined);
});

Deno.test("the same kind of knocking keeps the pace, another kind begins anew", () => {
  const { joiner, out, hello, ask, sent, lyon } = setUp();
  joiner.add(SEED, lyon.id);
  joiner.knockWith(at(0), ask);
  for (let ms = 0; ms < 5000; ms += 100) joiner.poll(at(ms), out);
  const due = joiner.deadline()?.at ?? 0;
  assert.ok(due > 5000);
  sent();
  joiner.knockWith(at(5000), ask);
  joiner.poll(at(5000), out);
  assert.deepEqual(sent(), []);
  assert.equal(joiner.deadline()?.at, due);
  joiner.knockWith(at(5000), hello());
  joiner.poll(at(5000), out);
  assert.equal(sent().length, 1);
});

Deno.test("32 seeds are knocked at and a further one is refused; a seed named twice is one, with its key", () => {
  const { joiner, out, hello, sent, lyon } = setUp();
  for (let n = 1; n <= SEEDS_MAX; n++) assert.ok(joiner.add(`192.0.2.${n}:51820`));
  assert.equal(joiner.add("198.51.100.1:51820"), false);
  assert.ok(joiner.add(SEED, lyon.id), "it is known");
  assert.deepEqual(joiner.seeds()[0], { seed: SEED, key: lyon.id });
  joiner.knockWith(at(0), hello([lyon]));
  joiner.poll(at(0), out);
  assert.equal(sent().length, SEEDS_MAX);
});
