/** One machine, spoken to by hand: no network, no other machines. */
import assert from "node:assert/strict";
import { Seeded } from "../sim/random.ts";
import { toyAnnouncements, toyProof } from "../sim/toy_announcements.ts";
import {
  type Body,
  type Claim,
  encode,
  INCARNATION_MAX,
  type MemberId,
  type Message,
  type Rumour,
} from "./messages.ts";
import type { SwimEvent, SwimOutbox } from "./outbox.ts";
import { Swim, type SwimOptions } from "./swim.ts";

/** The name of the n-th member: digits that spread over the buckets. */
function name(n: number): MemberId {
  return new Seeded(n, 7).bytes(32).toHex();
}

const tag = (id: MemberId) => id.slice(0, 32);
const SELF = name(0);
const LIMIT = 1150;

class Bench {
  readonly sent: { readonly to: MemberId; readonly message: Message }[] = [];
  readonly rumours: Rumour[] = [];
  readonly events: SwimEvent[] = [];
  readonly swim: Swim;
  /** To whom nothing may be sent. */
  unsendable: MemberId | undefined;
  boot = 1000;

  constructor(readonly others: number, options: Partial<SwimOptions> = {}) {
    this.swim = new Swim(
      {
        self: SELF,
        random: new Seeded(1).bytes,
        announcements: toyAnnouncements(SELF),
        limit: LIMIT,
        ...options,
      },
      this.now(),
    );
    for (let n = 1; n <= others; n++) this.swim.admit(this.now(), name(n), this.out);
    this.events.length = 0;
  }

  /** To how many each message goes. */
  places = 1;
  readonly out: SwimOutbox = {
    message: (to, message) => {
      if (to === this.unsendable) return 0;
      this.sent.push({ to, message });
      return this.places;
    },
    rumour: (_, rumour) => void this.rumours.push(rumour),
    event: (event) => void this.events.push(event),
  };

  now() {
    return { boot: this.boot, wall: 0 };
  }

  /** Lets time pass, doing everything when it is due. */
  pass(ms: number): void {
    const end = this.boot + ms;
    for (let at; (at = this.swim.deadline().at) <= end;) {
      this.boot = Math.max(this.boot, at);
      this.swim.tick(this.now(), this.out);
    }
    this.boot = end;
  }

  /** Lets time pass in which all but one answer; returns how often that one was pinged. */
  live(ms: number, silent: MemberId): number {
    let pings = 0;
    for (const end = this.boot + ms; this.boot < end;) {
      this.pass(10);
      for (const { to, message: { body } } of this.sent.splice(0)) {
        if (body.kind === "ping" && to === silent) pings++;
        else if (body.kind === "ping") this.hear(to, { kind: "ack", seq: body.seq });
        else if (body.kind === "ask") this.hear(to, { kind: "nack", seq: body.seq });
      }
    }
    return pings;
  }

  /** Lets time pass until a message with such a body goes out. */
  until<K extends Body["kind"]>(kind: K, ms = 10_000) {
    for (const end = this.boot + ms;;) {
      const at = this.sent.findIndex(({ message }) => message.body.kind === kind);
      const [found] = at < 0 ? [] : this.sent.splice(0, at + 1).slice(-1);
      if (found !== undefined) {
        return { ...found, body: found.message.body as Body & { kind: K } };
      }
      const next = this.swim.deadline().at;
      assert.ok(next <= end, `no ${kind} within ${ms} ms`);
      this.boot = Math.max(this.boot, next);
      this.swim.tick(this.now(), this.out);
    }
  }

  hear(from: MemberId, body: Body, more: Partial<Message> = {}): void {
    const message = { incarnation: 0, view: undefined, body, claims: [], rumours: [], ...more };
    this.swim.receive(this.now(), from, message, this.out);
  }

  /** A member announces an incarnation of its own. */
  announce(from: MemberId, incarnation: number): void {
    const claims = [announcementOf(from, incarnation)];
    this.hear(from, { kind: "news" }, { incarnation, claims });
  }

  say(from: MemberId, ...claims: Claim[]): void {
    this.hear(from, { kind: "news" }, { claims });
  }

  status(n: number) {
    return this.swim.member(name(n))?.status;
  }

  kinds(): string[] {
    return this.events.map(({ kind }) => kind);
  }
}

function rumour(n: number, version = 1, size = 100): Rumour {
  return { kind: 1, key: name(n), version, bytes: new Uint8Array(size) };
}

/** What a member signs when it uses an incarnation, as anybody may pass it on. */
function announcementOf(id: MemberId, incarnation: number): Claim & { readonly proof: Uint8Array } {
  return { subject: tag(id), status: "alive", incarnation, proof: toyProof(id, incarnation) };
}

Deno.test("one member is probed each period, and the deadline says why", () => {
  const bench = new Bench(5);
  assert.equal(bench.swim.deadline().why, "period");
  const first = bench.until("ping");
  assert.equal(bench.swim.deadline().why, "probe late");
  bench.hear(first.to, { kind: "ack", seq: first.body.seq });
  const then = bench.boot;
  const second = bench.until("ping");
  assert.notEqual(second.to, first.to);
  assert.ok(Math.abs(bench.boot - then - 1000) < 1);
});

Deno.test("a ping is acked, with news and with how we hold the asker", () => {
  const bench = new Bench(3);
  bench.say(name(2), announcementOf(name(3), 5));
  bench.sent.length = 0;
  bench.hear(name(1), { kind: "ping", seq: 77 });
  const [answer] = bench.sent;
  assert.ok(answer);
  assert.deepEqual(answer.message.body, { kind: "ack", seq: 77 });
  assert.deepEqual(answer.message.view, { status: "alive", incarnation: 0 });
  assert.deepEqual(answer.message.claims, [announcementOf(name(3), 5)]);
});

Deno.test("a late answer sends three helpers; each forwarded ack reaches the asker and clears the target", () => {
  const bench = new Bench(6);
  const { to: target, body: { seq } } = bench.until("ping");
  const asks = [bench.until("ask"), bench.until("ask"), bench.until("ask")];
  assert.equal(new Set(asks.map(({ to }) => to)).size, 3);
  for (const { to, body } of asks) {
    assert.notEqual(to, target);
    assert.equal(body.target, tag(target));
    assert.equal(body.seq, seq);
  }
  const [helper] = asks;
  assert.ok(helper);
  bench.hear(helper.to, { kind: "forward", seq, target: tag(target), incarnation: 0 });
  bench.pass(1000);
  assert.equal(bench.swim.member(target)?.status, "alive");
  assert.ok(!bench.kinds().includes("suspected"));
});

Deno.test("an ack counts only from whom was asked, a forward only from a helper, both only once asked for", () => {
  const bench = new Bench(6);
  const { to: target, body: { seq } } = bench.until("ping");
  const asks = [bench.until("ask"), bench.until("ask"), bench.until("ask")];
  const helpers = asks.map(({ to }) => to);
  const bystander = [1, 2, 3, 4, 5, 6].map(name).find((id) =>
    id !== target && !helpers.includes(id)
  );
  assert.ok(bystander);
  bench.hear(bystander, { kind: "ack", seq });
  bench.hear(bystander, { kind: "forward", seq, target: tag(target), incarnation: 0 });
  for (const helper of helpers) bench.hear(helper, { kind: "ack", seq: seq + 1 });
  bench.pass(1000);
  assert.equal(bench.swim.member(target)?.status, "suspect");
});

Deno.test("a helper probes for the asker, forwards the ack, and says so when none comes", () => {
  const bench = new Bench(3);
  bench.sent.length = 0;
  const [asker, target] = [name(1), name(2)];
  bench.hear(asker, { kind: "ask", seq: 9, target: tag(target), patience: 200 });
  const [errand] = bench.sent.splice(0);
  assert.ok(errand?.message.body.kind === "ping");
  assert.equal(errand.to, target);
  bench.announce(target, 4);
  bench.hear(target, { kind: "ack", seq: errand.message.body.seq }, { incarnation: 4 });
  const [forward] = bench.sent.splice(0);
  assert.equal(forward?.to, asker);
  assert.deepEqual(forward?.message.body, {
    kind: "forward",
    seq: 9,
    target: tag(target),
    incarnation: 4,
  });
  bench.hear(asker, { kind: "ask", seq: 10, target: tag(target), patience: 200 });
  const { to, body } = bench.until("nack", 201);
  assert.deepEqual([to, body.seq], [asker, 10]);
});

Deno.test("a helper that does not know the target says so at once", () => {
  const bench = new Bench(2);
  bench.sent.length = 0;
  bench.hear(name(1), { kind: "ask", seq: 3, target: tag(name(99)), patience: 200 });
  assert.deepEqual(bench.sent[0]?.message.body, { kind: "nack", seq: 3 });
});

Deno.test("silence of all helpers is our own trouble, one nack clears us", () => {
  for (const nacks of [0, 1]) {
    const bench = new Bench(10);
    const { body: { seq } } = bench.until("ping");
    const helper = bench.until("ask").to;
    if (nacks > 0) bench.hear(helper, { kind: "nack", seq });
    bench.pass(900);
    assert.equal(bench.swim.health, nacks > 0 ? 0 : 3);
  }
});

Deno.test("a member that sends anything authenticated needs no probe, unless gossip waits", () => {
  const bench = new Bench(4);
  for (let i = 0; i < 50; i++) {
    for (let n = 1; n <= 4; n++) bench.swim.heard(bench.now(), name(n), bench.out);
    bench.pass(500);
  }
  const pings = () => bench.sent.filter(({ message }) => message.body.kind === "ping").length;
  assert.equal(pings(), 0);
  bench.swim.spread(bench.now(), rumour(1), bench.out);
  bench.swim.heard(bench.now(), name(1), bench.out);
  bench.pass(1000);
  assert.equal(pings(), 1);
});

Deno.test("suspect, then dead: with the confirmations of two others after the shortest time, and only after asking once more", () => {
  const bench = new Bench(9);
  const accuse = (by: number) =>
    bench.say(name(by), {
      subject: tag(name(1)),
      status: "suspect",
      incarnation: 0,
      origin: tag(name(by)),
    });
  const began = bench.boot;
  for (const by of [2, 3, 4]) accuse(by);
  assert.deepEqual(bench.kinds(), ["suspected"]);
  let questions = 0;
  while (!bench.kinds().includes("died")) {
    questions = (bench.boot - began > 3000 ? questions : 0) + bench.live(10, name(1));
    assert.ok(bench.boot - began < 10_000);
  }
  assert.ok(questions > 0, "it was buried on hearsay");
  assert.ok(Math.abs(bench.boot - began - 4000) < 1100, `${bench.boot - began}`);
  assert.equal(bench.status(1), "dead");
});

Deno.test("a suspect that answers the last question is not buried, though it refutes nothing", () => {
  const bench = new Bench(9);
  for (const by of [2, 3, 4]) {
    const origin = tag(name(by));
    bench.say(name(by), { subject: tag(name(1)), status: "dead", incarnation: 0 });
    bench.say(name(by), { subject: tag(name(1)), status: "suspect", incarnation: 0, origin });
  }
  bench.live(30_000, "nobody");
  assert.equal(bench.status(1), "suspect");
  bench.announce(name(1), 1);
  assert.equal(bench.status(1), "alive");
  assert.equal(bench.kinds().at(-1), "recovered");
});

Deno.test("we refute what is said of us with one incarnation more, and gossip that first", () => {
  const bench = new Bench(3, { incarnation: 7 });
  bench.hear(name(1), { kind: "ping", seq: 1 }, { view: { status: "suspect", incarnation: 7 } });
  assert.equal(bench.swim.incarnation, 8);
  assert.deepEqual(bench.events, [{ kind: "refuted", incarnation: 8 }]);
  const answer = bench.until("ack");
  assert.equal(answer.message.incarnation, 8);
  assert.deepEqual(answer.message.claims[0], announcementOf(SELF, 8));
  bench.say(name(2), { subject: tag(SELF), status: "dead", incarnation: 7 });
  assert.equal(bench.swim.incarnation, 8, "what is refuted already needs no answer");
});

Deno.test("after a restart without memory we come back to what others hold, by our own signature alone", () => {
  const bench = new Bench(3);
  const view = { status: "dead", incarnation: 500 } as const;
  for (let i = 0; i < 20; i++) bench.hear(name(1), { kind: "news" }, { view });
  assert.equal(bench.swim.incarnation, 0);
  const claim = { ...announcementOf(SELF, 500), status: "dead" } as const;
  bench.hear(name(1), { kind: "news" }, { claims: [claim] });
  assert.equal(bench.swim.incarnation, 501);
});

Deno.test("who has forgotten an incarnation is shown its signature with the next message", () => {
  const bench = new Bench(3);
  bench.announce(name(1), 9);
  // Until it rides along no more.
  for (let seq = 0; seq < 10; seq++) bench.hear(name(2), { kind: "ping", seq });
  bench.sent.length = 0;
  bench.hear(name(1), { kind: "ping", seq: 1 }, { incarnation: 2 });
  assert.deepEqual(bench.until("ack").message.claims, [announcementOf(name(1), 9)]);
  bench.hear(name(1), { kind: "ping", seq: 2 }, { incarnation: 9 });
  const claims = bench.until("ack").message.claims.filter(({ subject }) => subject === tag(SELF));
  assert.deepEqual(claims, []);
});

Deno.test("who holds us lower than we are is shown our signature, until it does not", () => {
  const bench = new Bench(3, { incarnation: 4 });
  const shown = (view: Message["view"]) => {
    bench.hear(name(1), { kind: "ping", seq: 1 }, { view });
    return bench.until("ack").message.claims;
  };
  for (let i = 0; i < 20; i++) {
    assert.deepEqual(shown({ status: "alive", incarnation: 3 }), [announcementOf(SELF, 4)]);
  }
  assert.deepEqual(shown({ status: "alive", incarnation: 4 }), []);
});

Deno.test("the dead are asked now and then for ever, and return by their own word alone", () => {
  const bench = new Bench(2);
  bench.swim.admit(bench.now(), name(3), bench.out, { status: "dead", incarnation: 4 });
  const gone = name(3);
  assert.equal(bench.live(60_000, gone), 1 + 12, "once at once: it may be back since");
  bench.live(3_600_000, gone);
  assert.equal(bench.live(60_000, gone), 12);
  bench.hear(gone, { kind: "news" }, { incarnation: 4 });
  assert.equal(bench.status(3), "dead", "an incarnation that was given up is over");
  bench.announce(gone, 5);
  assert.equal(bench.status(3), "alive");
  assert.equal(bench.kinds().at(-1), "returned");
});

Deno.test("who has just come back and cannot be asked is accused of nothing for 16 s, and for no longer", () => {
  const bench = new Bench(4);
  const back = name(1);
  const status = () => bench.swim.member(back)?.status;
  bench.hear(back, { kind: "news" });
  bench.live(60_000, back);
  assert.equal(status(), "dead");
  bench.unsendable = back;
  bench.say(name(2), announcementOf(back, 1));
  assert.equal(status(), "alive");
  for (let ms = 0; ms < 15_000; ms += 1_000) {
    bench.live(1_000, back);
    assert.equal(status(), "alive", `${ms} ms`);
  }
  bench.live(60_000, back);
  assert.equal(status(), "dead");
});

Deno.test("a farewell counts from its subject alone, and an old one not after a return", () => {
  const bench = new Bench(3);
  bench.say(name(1), { subject: tag(name(2)), status: "left", incarnation: 0 });
  assert.equal(bench.status(2), "suspect");
  bench.hear(name(3), { kind: "leave" }, { incarnation: 2 });
  assert.equal(bench.status(3), "left");
  assert.equal(bench.kinds().at(-1), "departed");
  bench.announce(name(3), 3);
  bench.hear(name(3), { kind: "leave" }, { incarnation: 2 });
  assert.equal(bench.status(3), "alive");
});

Deno.test("a farewell that brings the signature of its incarnation is one, and no later word of that incarnation undoes it", () => {
  for (const claims of [[announcementOf(name(1), 2)], []]) {
    const bench = new Bench(3);
    bench.hear(name(1), { kind: "leave" }, { incarnation: 2, claims });
    bench.say(name(2), announcementOf(name(1), 2));
    assert.equal(bench.status(1), "left");
    bench.announce(name(1), 3);
    assert.equal(bench.status(1), "alive");
  }
});

Deno.test("who leaves tells the others and does nothing more", () => {
  const bench = new Bench(5);
  bench.sent.length = 0;
  bench.swim.leave(bench.now(), bench.out);
  assert.equal(bench.sent.filter(({ message }) => message.body.kind === "leave").length, 5);
  assert.equal(bench.swim.deadline().at, Infinity);
  bench.sent.length = 0;
  bench.hear(name(1), { kind: "ping", seq: 1 });
  assert.equal(bench.sent.length, 0);
});

Deno.test("a rumour is handed out once it is news, kept and passed on only when it was found true", () => {
  const bench = new Bench(3);
  bench.hear(name(1), { kind: "news" }, { rumours: [rumour(5)] });
  assert.equal(bench.rumours.length, 1);
  bench.sent.length = 0;
  bench.hear(name(1), { kind: "ping", seq: 1 });
  assert.deepEqual(bench.sent[0]?.message.rumours, [], "an unverified rumour is not passed on");
  assert.ok(bench.swim.spread(bench.now(), rumour(5), bench.out));
  bench.hear(name(1), { kind: "ping", seq: 2 }, { rumours: [rumour(5)] });
  assert.equal(bench.rumours.length, 1, "what is known is not handed out again");
  assert.equal(bench.sent.at(-1)?.message.rumours.length, 1);
  assert.ok(!bench.swim.spread(bench.now(), rumour(5), bench.out));
  bench.hear(name(1), { kind: "news" }, { rumours: [rumour(5, 2)] });
  assert.equal(bench.rumours.length, 2, "a higher version is news");
  assert.throws(() => bench.swim.spread(bench.now(), rumour(6, 1, LIMIT), bench.out), RangeError);
});

Deno.test("no message is longer than the limit, however much waits to ride along", () => {
  const bench = new Bench(200);
  for (let n = 1; n <= 100; n++) {
    bench.swim.spread(bench.now(), rumour(n, 1, 50 + 7 * n), bench.out);
    bench.say(name(200), announcementOf(name(n), 1));
  }
  bench.sent.length = 0;
  for (let seq = 0; seq < 300; seq++) {
    bench.hear(name(200), { kind: "ping", seq });
    bench.boot += 20;
  }
  const known = new Set<string>();
  for (const { message } of bench.sent) {
    for (const { key } of message.rumours) known.add(key);
  }
  assert.equal(known.size, 100, "every rumour has had its turn");
});

Deno.test("a waiting rumour has room in the next message, however many claims wait", () => {
  const bench = new Bench(200);
  for (let n = 1; n <= 199; n++) {
    bench.say(name(200), announcementOf(name(n), 1));
  }
  bench.swim.spread(bench.now(), rumour(1, 1, 400), bench.out);
  bench.sent.length = 0;
  bench.hear(name(200), { kind: "ping", seq: 1 });
  const { claims = [], rumours } = bench.sent[0]?.message ?? {};
  assert.equal(rumours?.length, 1);
  assert.ok(claims.length > 5);
});

Deno.test("the members' table is bounded: who is gone longest makes room, and the living keep theirs", () => {
  const bench = new Bench(0, { membersMax: 4 });
  const dead = { status: "dead", incarnation: 1 } as const;
  bench.swim.admit(bench.now(), name(1), bench.out);
  bench.swim.admit(bench.now(), name(2), bench.out, dead);
  bench.boot += 10;
  bench.swim.admit(bench.now(), name(3), bench.out, dead);
  assert.ok(bench.swim.admit(bench.now(), name(4), bench.out));
  assert.equal(bench.swim.member(name(2)), undefined);
  assert.ok(bench.swim.admit(bench.now(), name(5), bench.out));
  assert.ok(!bench.swim.admit(bench.now(), name(6), bench.out));
  assert.deepEqual([...bench.swim.members()].map(({ id }) => id), [1, 4, 5].map(name));
  const { evictedMembers, refusedMembers } = bench.swim.counters();
  assert.deepEqual([evictedMembers, refusedMembers], [2, 1]);
});

Deno.test("the rumours' table is bounded: a new key is refused, a new version is not", () => {
  const bench = new Bench(1, { rumoursMax: 3 });
  for (let n = 1; n <= 3; n++) assert.ok(bench.swim.spread(bench.now(), rumour(n), bench.out));
  assert.ok(!bench.swim.spread(bench.now(), rumour(4), bench.out));
  assert.ok(bench.swim.spread(bench.now(), rumour(2, 2), bench.out));
  assert.equal(bench.swim.counters()["refusedRumours"], 1);
  bench.swim.retract(1, name(1));
  assert.ok(bench.swim.spread(bench.now(), rumour(4), bench.out));
});

Deno.test("what waits to ride along is bounded and counted", () => {
  const bench = new Bench(30, { queueMax: 10 });
  for (let n = 1; n <= 30; n++) {
    bench.swim.spread(bench.now(), rumour(n), bench.out);
    bench.say(name(30), announcementOf(name(n), 1));
  }
  const { droppedClaims = 0, droppedRumours } = bench.swim.counters();
  assert.equal(droppedRumours, 20);
  assert.ok(droppedClaims > 0);
});

Deno.test("T39: claims about ten thousand strangers cost no more room than the limit", () => {
  const bench = new Bench(1, { strangersMax: 50 });
  for (let n = 100; n < 10_100; n++) {
    bench.say(name(1), { subject: tag(name(n)), status: "dead", incarnation: 3 });
  }
  assert.equal(bench.swim.counters()["droppedStrangers"], 9950);
  assert.equal([...bench.swim.members()].length, 1);
  const known = { status: "alive", incarnation: 3 } as const;
  for (const n of [10_099, 100]) bench.swim.admit(bench.now(), name(n), bench.out, known);
  assert.equal(bench.status(10_099), "dead", "the newest are remembered");
  assert.equal(bench.status(100), "alive");
});

Deno.test("strange claims make us ask the subject, as many as the limit says", () => {
  const bench = new Bench(30, { queueMax: 5 });
  for (let n = 1; n <= 30; n++) {
    bench.say(name(30), { subject: tag(name(n)), status: "alive", incarnation: 1_000_000 });
    assert.equal(bench.swim.member(name(n))?.incarnation, 0);
  }
  assert.equal(bench.swim.counters()["unannounced"], 30);
  assert.equal(bench.swim.counters()["refusedDoubts"], 25);
  bench.sent.length = 0;
  bench.pass(1000);
  assert.equal(bench.sent.filter(({ message: { body } }) => body.kind === "ping").length, 6);
});

Deno.test("errands are bounded, for each asker and for all, and hinder no probe of our own", () => {
  const bench = new Bench(60);
  for (let by = 1; by <= 40; by++) {
    for (let seq = 0; seq < 100; seq++) {
      bench.hear(name(by), { kind: "ask", seq, target: tag(name(60)), patience: 65_535 });
    }
    assert.equal(bench.swim.counters()["refusedProbes"], by * 100 - Math.min(by * 32, 1024));
  }
  bench.sent.length = 0;
  bench.until("ping", 1000);
  bench.pass(10_001);
  bench.sent.length = 0;
  bench.hear(name(1), { kind: "ask", seq: 0, target: tag(name(60)), patience: 200 });
  assert.equal(bench.sent.length, 1, "errands end, whatever patience was asked for");
});

Deno.test("who is no member is not heard", () => {
  const bench = new Bench(2);
  bench.sent.length = 0;
  bench.hear(name(9), { kind: "ping", seq: 1 });
  assert.equal(bench.sent.length, 0);
  assert.equal(bench.swim.counters()["strangers"], 1);
});

Deno.test("after we stood still nothing is concluded before the answers that wait are read", () => {
  const bench = new Bench(4);
  const { to, body: { seq } } = bench.until("ping");
  bench.boot += 600_000;
  bench.swim.tick(bench.now(), bench.out);
  bench.hear(to, { kind: "ack", seq });
  bench.pass(50);
  assert.equal(bench.kinds().length, 0);
  assert.equal(bench.swim.counters()["stalls"], 1);
  assert.equal(bench.swim.health, 0, "the answer shows that we are well again");
});

Deno.test("a forgotten member is gone from every queue, and can be admitted anew", () => {
  const bench = new Bench(3);
  bench.announce(name(1), 3);
  bench.swim.forget(bench.now(), name(1), bench.out);
  bench.sent.length = 0;
  bench.pass(20_000);
  for (const { to, message } of bench.sent) {
    assert.notEqual(to, name(1));
    assert.ok(!message.claims.some(({ subject }) => subject === tag(name(1))));
  }
  assert.ok(bench.swim.admit(bench.now(), name(1), bench.out));
  assert.equal(bench.swim.member(name(1))?.incarnation, 0);
});

/** Bytes of messages to one member, as they go out. */
function bytesTo(bench: Bench, id: MemberId): number {
  return bench.sent.filter(({ to }) => to === id)
    .reduce((sum, { message }) => sum + encode(message, LIMIT).length, 0);
}

function wantOf(...numbers: readonly number[]): Body {
  return { kind: "want", rumours: numbers.map((n) => ({ tag: tag(name(n)), kind: 1 })) };
}

Deno.test("T39, trust.md 10: a rumour goes to one member once in two seconds, however often it is wanted", () => {
  const bench = new Bench(3);
  bench.swim.spread(bench.now(), rumour(5, 1, 1000), bench.out);
  bench.sent.length = 0;
  const given = () => bench.sent.splice(0).filter(({ message }) => message.rumours.length > 0);
  for (let i = 0; i < 1000; i++) bench.hear(name(1), wantOf(5));
  assert.equal(given().length, 1);
  assert.equal(bench.swim.counters()["repeatedAnswers"], 999);
  bench.hear(name(2), wantOf(5));
  assert.deepEqual(given().map(({ to }) => to), [name(2)], "another gets it");
  bench.swim.spread(bench.now(), rumour(5, 2, 1000), bench.out);
  bench.hear(name(1), wantOf(5));
  assert.equal(given().length, 1, "a newer one is another");
  bench.boot += 2000;
  bench.hear(name(1), wantOf(5));
  assert.equal(given().length, 1);
});

Deno.test("T39, trust.md 10: what a member gets by asking is bounded by the second, whatever it asks for", () => {
  const bench = new Bench(3);
  for (let n = 1; n <= 2000; n++) bench.swim.spread(bench.now(), rumour(n, 1, 1000), bench.out);
  bench.sent.length = 0;
  const mask = new Uint8Array(8).fill(255);
  for (let second = 0; second < 10; second++) {
    for (let i = 0; i < 300; i++) {
      const some = Array.from({ length: 24 }, (_, j) => 1 + (24 * i + j) % 2000);
      bench.hear(name(1), wantOf(...some));
      bench.hear(name(1), { kind: "pull", seq: i, mask, after: undefined });
      bench.hear(name(1), { kind: "ping", seq: i });
      bench.boot += 1000 / 300;
    }
  }
  const most = 256_000 + 10 * 64_000 + 30_000 + 3000 * 40;
  const bytes = bytesTo(bench, name(1));
  assert.ok(bytes > 600_000 && bytes <= most, `${bytes} bytes`);
  assert.ok((bench.swim.counters()["refusedAnswers"] ?? 0) > 1000);
  bench.sent.length = 0;
  bench.hear(name(2), wantOf(1));
  assert.ok(bytesTo(bench, name(2)) > 1000, "another is not bounded by it");
});

Deno.test("what goes to several places counts at each of them: the bound is on what leaves", () => {
  const bench = new Bench(3);
  bench.places = 3;
  for (let n = 1; n <= 2000; n++) bench.swim.spread(bench.now(), rumour(n, 1, 1000), bench.out);
  bench.sent.length = 0;
  const mask = new Uint8Array(8).fill(255);
  for (let i = 0; i < 3000; i++) {
    bench.hear(name(1), { kind: "pull", seq: i, mask, after: undefined });
    bench.boot += 1000 / 300;
  }
  const bytes = bench.places * bytesTo(bench, name(1));
  assert.ok(bytes > 600_000 && bytes <= 256_000 + 10 * 64_000 + 30_000, `${bytes} bytes`);
});

Deno.test("what was given of late is remembered up to a limit, at which nothing is given", () => {
  const bench = new Bench(3, { givenMax: 2 });
  for (let n = 1; n <= 3; n++) bench.swim.spread(bench.now(), rumour(n), bench.out);
  bench.sent.length = 0;
  bench.hear(name(1), wantOf(1, 2, 3));
  const given = () => bench.sent.splice(0).flatMap(({ message }) => message.rumours).length;
  assert.equal(given(), 2);
  assert.equal(bench.swim.counters()["refusedAnswers"], 1);
  bench.boot += 2000;
  bench.hear(name(1), wantOf(3));
  assert.equal(given(), 1);
});

Deno.test("T38: a suspect is told so in a message that carries nothing else", () => {
  const bench = new Bench(3);
  bench.swim.spread(bench.now(), rumour(5, 1, 1000), bench.out);
  bench.sent.length = 0;
  const [subject, origin] = [tag(name(1)), tag(name(2))];
  bench.say(name(2), { subject, status: "suspect", incarnation: 0, origin });
  assert.deepEqual(bench.sent.map(({ to, message }) => [to, message.view?.status]), [
    [name(1), "suspect"],
  ]);
  assert.ok(bytesTo(bench, name(1)) < 30);
});

Deno.test("T38, trust.md 8: nobody is held at an incarnation that it has not announced, whatever others say", () => {
  const bench = new Bench(5);
  bench.announce(name(1), 3);
  const subject = tag(name(1));
  for (const status of ["alive", "suspect", "dead", "left"] as const) {
    for (const incarnation of [4, 5, 67, 68, INCARNATION_MAX]) {
      const origin = status === "suspect" ? { origin: tag(name(2)) } : {};
      const claim: Claim = { subject, status, incarnation, ...origin };
      bench.say(name(2), claim);
      bench.say(name(3), { ...claim, proof: toyProof(name(1), 3) });
      bench.say(name(4), { ...claim, proof: toyProof(name(2), incarnation) });
      bench.hear(name(5), { kind: "forward", seq: 1, target: subject, incarnation });
      const { status: held, incarnation: number } = bench.swim.member(name(1)) ?? {};
      assert.deepEqual([held, number], ["alive", 3]);
    }
  }
  // What it has announced counts, by whomever it comes.
  bench.say(name(2), announcementOf(name(1), 4));
  assert.equal(bench.swim.member(name(1))?.incarnation, 4);
  bench.say(name(2), { subject, status: "dead", incarnation: 4 });
  assert.equal(bench.status(1), "suspect");
});

Deno.test("T38, trust.md 8: our own number rises by one a period at most, and not at all for claims above it", () => {
  const bench = new Bench(3);
  const subject = tag(SELF);
  for (let second = 1; second <= 10; second++) {
    for (let i = 0; i < 3000; i++) {
      const { incarnation } = bench.swim;
      for (const n of [incarnation, incarnation + 1, incarnation + 64, INCARNATION_MAX]) {
        bench.say(name(1), { subject, status: "dead", incarnation: n });
        bench.hear(name(2), { kind: "news" }, { view: { status: "dead", incarnation: n } });
      }
      if (i % 30 === 0) bench.pass(10);
    }
    assert.ok(bench.swim.incarnation <= second + 1, `${bench.swim.incarnation} in ${second} s`);
  }
  assert.ok(bench.swim.incarnation >= 9, "every accusation is answered in the end");
});

Deno.test("an accusation within a period of the last answer is answered when that period is over", () => {
  const bench = new Bench(3);
  const accuse = () => {
    const { incarnation } = bench.swim;
    bench.say(name(1), { subject: tag(SELF), status: "dead", incarnation });
  };
  accuse();
  assert.equal(bench.swim.incarnation, 1);
  bench.pass(100);
  accuse();
  bench.pass(899);
  assert.equal(bench.swim.incarnation, 1);
  bench.pass(2);
  assert.equal(bench.swim.incarnation, 2);
  bench.pass(5000);
  assert.equal(bench.swim.incarnation, 2);
});

Deno.test("T38, trust.md 8: the greatest incarnation works, at the start and for ever", () => {
  for (const incarnation of [INCARNATION_MAX - 1, INCARNATION_MAX, INCARNATION_MAX + 1]) {
    const bench = new Bench(3, { incarnation });
    for (let second = 0; second < 5; second++) {
      const view = { status: "dead", incarnation: bench.swim.incarnation } as const;
      bench.hear(name(1), { kind: "ping", seq: 1 }, { view });
      bench.pass(1000);
    }
    assert.equal(bench.swim.incarnation, INCARNATION_MAX);
    const refuted = bench.events.filter(({ kind }) => kind === "refuted");
    assert.ok(refuted.length >= 4, "each accusation is answered");
  }
});

Deno.test("T38: at the greatest incarnation a member leaves and returns once a period, however fast it speaks", () => {
  const bench = new Bench(3);
  const incarnation = INCARNATION_MAX;
  bench.announce(name(1), incarnation);
  bench.pass(2_000);
  bench.events.length = 0;
  for (let ms = 0; ms < 10_000; ms += 2) {
    bench.hear(name(1), { kind: "leave" }, { incarnation });
    bench.hear(name(1), { kind: "news" }, { incarnation });
    bench.pass(2);
  }
  const count = (kind: string) => bench.kinds().filter((one) => one === kind).length;
  assert.ok(count("departed") <= 13, `${count("departed")} in ten seconds`);
  assert.ok(count("returned") <= 12, `${count("returned")} in ten seconds`);
  assert.ok(count("returned") >= 8, "its word counts all the same");
  bench.pass(2_000);
  bench.hear(name(1), { kind: "news" }, { incarnation });
  assert.equal(bench.status(1), "alive");
});

/** A bench that counts the signatures it checks. */
function checking(others: number): { readonly bench: Bench; readonly checks: () => number } {
  let checks = 0;
  const toy = toyAnnouncements(SELF);
  const isSigned: typeof toy.isSigned = (...args) => {
    checks++;
    return toy.isSigned(...args);
  };
  const bench = new Bench(others, { announcements: { ...toy, isSigned } });
  return { bench, checks: () => checks };
}

Deno.test("T38, trust.md 13: a flood of false signatures costs one check a minute, of true ones two a period", () => {
  const { bench, checks } = checking(30);
  for (let i = 0; i < 60_000; i++) {
    bench.say(name(1), { ...announcementOf(name(2 + i % 28), 1 + i), proof: new Uint8Array(64) });
    bench.boot += 2;
  }
  assert.ok(checks() <= 3, `${checks()} checks in two minutes`);
  const { forgedProofs, uncheckedProofs } = bench.swim.counters();
  assert.equal((forgedProofs ?? 0) + (uncheckedProofs ?? 0), 60_000);
  const before = checks();
  for (let i = 0; i < 30_000; i++) {
    bench.announce(name(30), 1 + i);
    bench.boot += 1;
  }
  assert.ok(checks() - before <= 32, `${checks() - before} checks in thirty seconds`);
  // Whoever else speaks is believed.
  bench.say(name(3), announcementOf(name(2), 7));
  assert.equal(bench.swim.member(name(2))?.incarnation, 7);
});

Deno.test("who speaks of an incarnation that we do not know is asked for its subject's signature", () => {
  const bench = new Bench(5);
  bench.say(name(2), { subject: tag(name(1)), status: "dead", incarnation: 3 });
  const asked = bench.until("want");
  assert.deepEqual([asked.to, asked.body.rumours], [name(2), [{ tag: tag(name(1)), kind: 0 }]]);
  bench.swim.heard(bench.now(), name(1), bench.out);
  bench.say(name(2), { ...announcementOf(name(1), 3), status: "dead" });
  assert.deepEqual([bench.status(1), bench.swim.member(name(1))?.incarnation], ["suspect", 3]);
  bench.sent.length = 0;
  bench.hear(name(4), { kind: "want", rumours: [{ tag: tag(name(1)), kind: 0 }] });
  const [given] = bench.sent.at(-1)?.message.claims ?? [];
  assert.deepEqual([given?.status, given?.proof], ["suspect", toyProof(name(1), 3)]);
});

Deno.test("of a member never heard of, a proven farewell is believed, and it is asked", () => {
  const bench = new Bench(5);
  const left = { ...announcementOf(name(1), 3), status: "left" } as const;
  bench.say(name(2), left);
  assert.equal(bench.status(1), "left");
  assert.ok(bench.live(2000, name(1)) > 0);
  bench.announce(name(3), 2);
  bench.say(name(2), { ...announcementOf(name(3), 3), status: "left" });
  assert.equal(bench.status(3), "suspect", "whoever was heard is not believed gone on hearsay");
});

Deno.test("an incarnation that a signed record announces counts as the member's own word, and as ours", () => {
  const bench = new Bench(3);
  bench.swim.announced(bench.now(), name(1), 6, bench.out);
  assert.equal(bench.swim.member(name(1))?.incarnation, 6);
  bench.swim.announced(bench.now(), name(1), 5, bench.out);
  bench.swim.announced(bench.now(), name(9), 5, bench.out);
  bench.say(name(2), { subject: tag(name(1)), status: "dead", incarnation: 6 });
  assert.equal(bench.status(1), "suspect");
  bench.swim.announced(bench.now(), name(1), 7, bench.out);
  assert.equal(bench.status(1), "alive");
  bench.swim.announced(bench.now(), SELF, 40, bench.out);
  assert.equal(bench.swim.incarnation, 40);
});
