/** Two machines that level everything, and partners that do not play by the rules. */
import assert from "node:assert/strict";
import { Seeded } from "../sim/random.ts";
import { type Body, encode, type MemberId, type Message, type Rumour } from "./messages.ts";
import type { SwimOutbox } from "./outbox.ts";
import { Swim } from "./swim.ts";

const LIMIT = 1150;
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
  /** Everything that it has ever sent. */
  readonly sent: Message[] = [];
  readonly versions = new Map<string, number>();

  constructor(readonly id: MemberId, seed: number) {
    const random = new Seeded(seed).bytes;
    this.swim = new Swim({ self: id, random, limit: LIMIT, queueMax: 1 }, NOW);
  }

  readonly out: SwimOutbox = {
    message: (_, message) => {
      assert.ok(encode(message, LIMIT).length <= LIMIT);
      this.box.push(message);
      this.sent.push(message);
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
function converse(a: Side, b: Side): { readonly datagrams: number; readonly burst: number } {
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
    const { datagrams, burst } = converse(a, b);
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
  assert.deepEqual(asked.map(({ view }) => view?.status).sort(), ["alive", "dead"]);
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
  ];
  for (const page of bad) {
    const [a, b] = pair();
    begin(a, b);
    const seq = seqOf(a.box.splice(0));
    tell(b, a, { kind: "differ", seq, mask: everything });
    a.box.length = 0;
    tell(b, a, { kind: "page", seq, after: undefined, upto: undefined, items: [], ...page });
    assert.deepEqual(a.box, [], "it went on");
  }
  const [a, b] = pair();
  begin(a, b);
  const seq = seqOf(a.box.splice(0));
  tell(b, a, { kind: "differ", seq, mask: everything });
  let pages = 0;
  for (let n = 1; a.box.length > 0; n++) {
    const after = n === 1 ? undefined : at(n - 1);
    a.box.length = 0;
    tell(b, a, { kind: "page", seq, after, upto: at(n), items: [item(n)] });
    pages++;
    assert.ok(pages < 10_000);
  }
  assert.equal(pages, 4097);
});

function seqOf([first]: Message[]): number {
  assert.ok(first?.body.kind === "digest");
  return first.body.seq;
}

function tell(from: Side, to: Side, body: Body): void {
  to.receive(from, { incarnation: 0, view: undefined, body, claims: [], rumours: [] });
}
