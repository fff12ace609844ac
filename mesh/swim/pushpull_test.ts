/** Two machines that level everything, and partners that do not play by the rules. */
import assert from "node:assert/strict";
import { Seeded } from "../sim/random.ts";
import { toyAnnouncements, toyProof } from "../sim/toy_announcements.ts";
import {
  type Body,
  type Cursor,
  encode,
  type MemberId,
  type Message,
  type Rumour,
} from "./messages.ts";
import type { SwimOutbox } from "./outbox.ts";
import { Swim } from "./swim.ts";

const LIMIT = 1150;
/** Boot time of both sides, which {@link levelOut} moves on. */
const NOW = { boot: 1000, wall: 0 };

/** The name of the n-th member: digits that spread over the buckets. */
function name(n: number): MemberId {
  return new Seeded(n, 7).bytes(32).toHex();
}

function recordOf(n: number, version: number): Rumour {
  return { kind: 1, key: name(n), version, bytes: new Uint8Array(300) };
}

/** A machine that believes every record, and what it wants to send. */
class Side {
  readonly swim: Swim;
  readonly box: Message[] = [];
  /** Everything that it has ever sent, and to whom. */
  readonly sent: Message[] = [];
  readonly letters: { readonly to: MemberId; readonly message: Message }[] = [];
  readonly versions = new Map<string, number>();

  constructor(readonly id: MemberId, seed: number) {
    const random = new Seeded(seed).bytes;
    const announcements = toyAnnouncements(id);
    this.swim = new Swim({ self: id, random, announcements, limit: LIMIT, queueMax: 1 }, NOW);
  }

  readonly out: SwimOutbox = {
    message: (to, message) => {
      this.letters.push({ to, message });
      assert.ok(encode(message, LIMIT).length <= LIMIT);
      this.box.push(message);
      this.sent.push(message);
      return 1;
    },
    rumour: (_, rumour) => void this.#inbox.push(rumour),
    event: () => {},
  };
  readonly #inbox: Rumour[] = [];

  learn(rumour: Rumour): void {
    if (rumour.key !== this.id) this.swim.admit(NOW, rumour.key, this.out);
    if (this.swim.spread(NOW, rumour, this.out)) this.versions.set(rumour.key, rumour.version);
  }

  receive(from: Side, message: Message): void {
    this.swim.receive(NOW, from.id, message, this.out);
    for (const rumour of this.#inbox.splice(0)) this.learn(rumour);
  }
}

/** Carries messages between both until none is left; the most that one message made one send. */
function converse(a: Side, b: Side): { datagrams: number; burst: number } {
  let datagrams = 0;
  let burst = 0;
  while (a.box.length + b.box.length > 0) {
    for (const [from, to] of [[a, b], [b, a]] as const) {
      const message = from.box.shift();
      if (message === undefined) continue;
      datagrams++;
      const before = to.box.length;
      to.receive(from, message);
      burst = Math.max(burst, to.box.length - before);
    }
  }
  return { datagrams, burst };
}

/** The same, until the one that has begun asks for nothing more: what is refused now it gets later. */
function levelOut(a: Side, b: Side): { readonly datagrams: number; readonly burst: number } {
  const all = converse(a, b);
  // A member that has missed many answers waits nine times as long for each.
  for (let quiet = 0; quiet < 10; quiet++) {
    pass(1000, a, b);
    if (a.box.some(({ body }) => body.kind === "pull")) quiet = -1;
    const { datagrams, burst } = converse(a, b);
    if (quiet < 0) all.datagrams += datagrams;
    all.burst = Math.max(all.burst, burst);
  }
  return all;
}

/** Lets time pass for some. */
function pass(ms: number, ...sides: readonly Side[]): void {
  const end = NOW.boot + ms;
  for (let boot; (boot = Math.min(...sides.map(({ swim }) => swim.deadline().at))) < end;) {
    NOW.boot = Math.max(NOW.boot, boot);
    for (const { swim, out } of sides) swim.tick(NOW, out);
  }
  NOW.boot = end;
}

function pair(): [Side, Side] {
  const sides: [Side, Side] = [new Side(name(0), 1), new Side(name(1), 2)];
  for (const side of sides) {
    side.learn(recordOf(0, 1));
    side.learn(recordOf(1, 1));
  }
  return sides;
}

function begin(a: Side, b: Side): void {
  a.swim.pushPull(NOW, b.id, a.out);
}

for (const who of ["the one that begins", "the other", "both"]) {
  Deno.test(`a push–pull levels everything when ${who} know${who === "both" ? "" : "s"} more`, () => {
    const [a, b] = pair();
    for (let n = 2; n < 1000; n++) {
      if (who !== "the other") a.learn(recordOf(n, 1 + n % 3));
      if (who !== "the one that begins") b.learn(recordOf(n + (who === "both" ? 500 : 0), 2));
    }
    begin(a, b);
    const { datagrams, burst } = levelOut(a, b);
    assert.equal(a.versions.size, b.versions.size);
    for (const [key, version] of a.versions) assert.equal(b.versions.get(key), version);
    assert.ok(a.versions.size >= 1000);
    assert.ok(burst <= 12, `one datagram was answered with ${burst}`);
    begin(a, b);
    assert.equal(converse(a, b).datagrams, 2, "level: one question and one answer");
    assert.ok(datagrams > 100);
  });
}

Deno.test("one difference among a thousand costs a handful of datagrams", () => {
  const [a, b] = pair();
  for (let n = 2; n < 1000; n++) for (const side of [a, b]) side.learn(recordOf(n, 1));
  b.learn(recordOf(77, 2));
  begin(a, b);
  assert.ok(converse(a, b).datagrams <= 8);
  assert.equal(a.versions.get(name(77)), 2);
});

Deno.test("halves that gave each other up: what one buried the other suspects, and the one asks whom the other hears", () => {
  const [a, b] = pair();
  a.swim.admit(NOW, name(9), a.out, { status: "dead", incarnation: 3 });
  b.swim.admit(NOW, name(9), b.out, { status: "alive", incarnation: 3 });
  for (const [first, second] of [[a, b], [b, a]] as const) {
    begin(first, second);
    converse(first, second);
  }
  assert.equal(b.swim.member(name(9))?.status, "suspect");
  assert.equal(a.swim.member(name(9))?.status, "dead", "no hearsay brings the dead back");
  for (let boot; (boot = a.swim.deadline().at) <= NOW.boot + 1000;) {
    a.swim.tick({ boot, wall: 0 }, a.out);
  }
  const asked = a.sent.filter(({ body }) => body.kind === "ping");
  assert.ok(asked.some(({ view }) => view?.status === "dead"));
});

Deno.test("a partner that is silent is asked three times and let go", () => {
  const [a, b] = pair();
  begin(a, b);
  let now = NOW;
  let asked = 0;
  for (let i = 0; i < 20; i++) {
    asked += a.box.splice(0).filter(({ body }) => body.kind === "digest").length;
    now = { boot: a.swim.deadline().at, wall: 0 };
    if (now.boot > NOW.boot + 8000) break;
    a.swim.tick(now, a.out);
  }
  assert.equal(asked, 3);
});

Deno.test("pages out of order, out of range or without end do not hold us", () => {
  const tag = (n: number) => n.toString(16).padStart(32, "0");
  const item = (n: number) => ({ kind: 9, tag: tag(n), version: 1 });
  const at = (n: number) => ({ tag: tag(n), kind: 9 });
  const everything = new Uint8Array(8).fill(255);
  const bad: Partial<Body & { kind: "page" }>[] = [
    { items: [item(2), item(1)], upto: at(3) },
    { items: [item(1), item(1)], upto: at(3) },
    { items: [item(5)], upto: at(3) },
    { items: [], upto: at(3) },
    { items: [item(1), item(2)], upto: at(3) },
  ];
  const many = Array.from({ length: 40 }, (_, n) => item(n + 1));
  for (
    const [page, isGood] of [
      ...bad.map((one) => [one, false] as const),
      [{ items: many, upto: at(40) }, true] as const,
    ]
  ) {
    const [a, b] = pair();
    begin(a, b);
    const seq = seqOf(a.box.splice(0));
    tell(b, a, { kind: "differ", seq, mask: everything });
    a.box.length = 0;
    tell(b, a, { kind: "page", seq, after: undefined, upto: undefined, items: [], ...page });
    assert.equal(a.box.length > 0, isGood, "it went on");
    assert.equal(a.swim.counters()["brokenPushPulls"], isGood ? 0 : 1);
  }
});

/** A partner that has ever more items, and gives them as slowly as we wait; how long it held us. */
function heldBy(many: number): { readonly ms: number; readonly broken: number | undefined } {
  const [a, b] = pair();
  for (let n = 2; n < 10; n++) a.learn(recordOf(n, 1));
  const item = (n: number) => ({ kind: 9, tag: n.toString(16).padStart(32, "0"), version: 1 });
  begin(a, b);
  const seq = seqOf(a.box.splice(0));
  tell(b, a, { kind: "differ", seq, mask: new Uint8Array(8).fill(255) });
  const began = NOW.boot;
  let last = began;
  let after: Cursor | undefined;
  for (let n = 1; NOW.boot < began + 600_000; n += many) {
    // Just before it is asked for the last time.
    pass(2900, a);
    for (const { body } of a.sent.splice(0)) {
      if (body.kind !== "pull" || body.seq !== seq) continue;
      last = NOW.boot;
      after = body.after;
    }
    const items = Array.from({ length: many }, (_, i) => item(n + i));
    const upto = items.at(-1);
    tell(b, a, { kind: "page", seq, after, upto, items });
  }
  return { ms: last - began, broken: a.swim.counters()["brokenPushPulls"] };
}

Deno.test("T39, trust.md 10: a partner that gives its pages slowly and without end is let go after half a minute", () => {
  const { ms, broken } = heldBy(40);
  assert.ok(ms >= 20_000 && ms <= 34_000, `held for ${ms} ms`);
  assert.equal(broken, 1);
});

Deno.test("T39, trust.md 10: a partner that gives one item a page is let go at once", () => {
  assert.ok(heldBy(1).ms <= 3000);
});

Deno.test("T39, trust.md 10: one slow partner, and one that leaves and returns all the time, keep us from nobody", () => {
  for (const returns of [false, true]) {
    const [a, b] = pair();
    for (let n = 2; n < 40; n++) a.learn(recordOf(n, 1));
    begin(a, b);
    const began = NOW.boot;
    let others = 0;
    for (let second = 1; second <= 300; second++) {
      pass(1000, a);
      for (const { to, message: { body } } of a.letters.splice(0)) {
        if (body.kind !== "digest" && body.kind !== "pull") continue;
        if (to !== b.id) others += body.kind === "digest" ? 1 : 0;
        else if (body.kind === "digest") {
          tell(b, a, { kind: "differ", seq: body.seq, mask: new Uint8Array(8).fill(255) });
        } else if (second % 2 === 0) {
          const after = body.after ?? { tag: "0".repeat(32), kind: 9 };
          const from = parseInt(after.tag.slice(24), 16);
          const items = Array.from({ length: 40 }, (_, i) => ({
            kind: 9,
            tag: (from + i + 1).toString(16).padStart(32, "0"),
            version: 1,
          }));
          const upto = items.at(-1);
          tell(b, a, { kind: "page", seq: body.seq, after: body.after, upto, items });
        }
      }
      if (returns) {
        tell(b, a, { kind: "leave" }, second - 1);
        const claim = { subject: b.id.slice(0, 32), status: "alive", incarnation: second } as const;
        const proof = toyProof(b.id, second);
        const message = { view: undefined, body: { kind: "news" }, rumours: [] } as const;
        a.receive(b, { ...message, incarnation: second, claims: [{ ...claim, proof }] });
      }
    }
    const most = (NOW.boot - began) / (returns ? 12_000 : 90_000);
    assert.ok(others >= most / 2, `${others} others had their turn`);
    assert.ok(a.swim.counters()["brokenPushPulls"] ?? 0 >= 1);
  }
});

function seqOf([first]: Message[]): number {
  assert.ok(first?.body.kind === "digest");
  return first.body.seq;
}

function tell(from: Side, to: Side, body: Body, incarnation = 0): void {
  to.receive(from, { incarnation, view: undefined, body, claims: [], rumours: [] });
}

Deno.test("invariant 14: with whom one compares in turn waits for nobody that answers slowly: four at once, beside the turns", () => {
  const a = new Side(name(1), 1);
  for (let n = 2; n <= 7; n++) a.swim.admit(NOW, name(n), a.out);
  for (let n = 2; n <= 7; n++) a.swim.pushPull(NOW, name(n), a.out);
  a.swim.pushPull(NOW, name(2), a.out);
  const asked = () =>
    a.letters.filter(({ message }) => message.body.kind === "digest").map(({ to }) => to);
  assert.deepEqual(asked(), [2, 3, 4, 5].map(name), "each once");
  const [first] = a.letters;
  assert.ok(first?.message.body.kind === "digest");
  const { seq } = first.message.body;
  const body = { kind: "differ", seq, mask: new Uint8Array(first.message.body.hashes.length / 8) };
  const message = { incarnation: 0, view: undefined, body, claims: [], rumours: [] } as Message;
  a.swim.receive(NOW, name(2), message, a.out);
  a.swim.pushPull(NOW, name(6), a.out);
  assert.deepEqual(asked().at(-1), name(6), "one has ended");
});
