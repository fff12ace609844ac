import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Body,
  bodySize,
  BUCKETS,
  type Claim,
  claimSize,
  decode,
  encode,
  HASH_BYTES,
  INCARNATION_MAX,
  type Item,
  itemSize,
  type Message,
  type Rumour,
  rumourFault,
  rumourSize,
  type Status,
} from "./messages.ts";

const LIMIT = 60_000;

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const hex = (length: number) => bytes(length).map((one) => one.toHex());
const u32 = fc.nat({ max: 0xffff_ffff });
const tag = hex(16);
const status = fc.constantFrom<Status>("alive", "suspect", "dead", "left");
const cursor = fc.record({ tag, kind: fc.nat({ max: 255 }) });
const settled = fc.constantFrom("alive", "dead", "left");
const suspect = fc.constant("suspect");
const claim: fc.Arbitrary<Claim> = fc.oneof(
  fc.record({ subject: tag, status: settled, incarnation: u32 }),
  fc.record({ subject: tag, status: suspect, incarnation: u32, origin: tag }),
  fc.record({ subject: tag, status: settled, incarnation: u32, proof: bytes(64) }),
  fc.record({ subject: tag, status: suspect, incarnation: u32, origin: tag, proof: bytes(64) }),
);
const rumour: fc.Arbitrary<Rumour> = fc.record({
  kind: fc.integer({ min: 1, max: 255 }),
  key: fc.integer({ min: 16, max: 32 }).chain(hex),
  version: fc.nat({ max: 2 ** 48 - 1 }),
  bytes: fc.uint8Array({ maxLength: 300 }),
});
const item: fc.Arbitrary<Item> = fc.oneof(
  fc.record({ kind: fc.constant(0 as const), tag, status, incarnation: u32 }),
  fc.record({ kind: fc.integer({ min: 1, max: 255 }), tag, version: fc.nat({ max: 2 ** 48 - 1 }) }),
);
const mask = bytes(BUCKETS / 8);
const body: fc.Arbitrary<Body> = fc.oneof(
  fc.record({ kind: fc.constantFrom("ping", "ack", "nack"), seq: u32 }),
  fc.record({ kind: fc.constant("ask"), seq: u32, target: tag, patience: fc.nat({ max: 65_535 }) }),
  fc.record({ kind: fc.constant("forward"), seq: u32, target: tag, incarnation: u32 }),
  fc.record({ kind: fc.constant("digest"), seq: u32, hashes: bytes(BUCKETS * HASH_BYTES) }),
  fc.record({ kind: fc.constant("differ"), seq: u32, mask }),
  fc.record({
    kind: fc.constant("pull"),
    seq: u32,
    mask,
    after: fc.option(cursor, { nil: undefined }),
  }),
  fc.record({
    kind: fc.constant("page"),
    seq: u32,
    after: fc.option(cursor, { nil: undefined }),
    upto: fc.option(cursor, { nil: undefined }),
    items: fc.array(item, { maxLength: 60 }),
  }),
  fc.record({ kind: fc.constant("want"), rumours: fc.array(cursor, { maxLength: 60 }) }),
  fc.record({ kind: fc.constantFrom("news", "leave") }),
) as fc.Arbitrary<Body>;
const message: fc.Arbitrary<Message> = fc.record({
  incarnation: u32,
  view: fc.option(fc.record({ status, incarnation: u32 }), { nil: undefined }),
  body,
  claims: fc.array(claim, { maxLength: 50 }),
  rumours: fc.array(rumour, { maxLength: 10 }),
});

Deno.test("T18: every message comes back as it went", () => {
  fc.assert(
    fc.property(message, (sent) => {
      const read = decode(encode(sent, LIMIT), LIMIT);
      assert.ok(read.ok);
      assert.deepEqual(read.value, structuredClone(sent));
    }),
    { numRuns: 2000 },
  );
});

Deno.test("T18: sizes are known before encoding", () => {
  fc.assert(
    fc.property(message, (sent) => {
      let size = bodySize(sent.body);
      for (const one of sent.claims) size += claimSize(one);
      for (const one of sent.rumours) size += rumourSize(one);
      assert.equal(encode(sent, LIMIT).length, size);
    }),
    { numRuns: 500 },
  );
  fc.assert(fc.property(item, (one) => {
    const page = (items: Item[]): Body => ({
      kind: "page",
      seq: 0,
      after: undefined,
      upto: undefined,
      items,
    });
    assert.equal(bodySize(page([one])) - bodySize(page([])), itemSize(one));
  }));
});

/** What reading may keep: strings and numbers of what was read, never what was only announced. */
function weight(value: unknown): number {
  if (typeof value === "string") return value.length / 2;
  if (value instanceof Uint8Array) return value.length;
  if (typeof value !== "object" || value === null) return 1;
  return Object.values(value).reduce((sum: number, one) => sum + weight(one), 0);
}

Deno.test("T18: bytes of a stranger never throw, never cost more than four times their length, and have one meaning", () => {
  let understood = 0;
  const check = (input: Uint8Array) => {
    const read = decode(input, LIMIT);
    if (!read.ok) {
      assert.ok(read.error.length > 0);
      return;
    }
    understood++;
    assert.ok(weight(read.value) <= 4 * input.length + 4096);
    assert.deepEqual(encode(read.value, LIMIT), input, "two encodings of one message");
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 1300 }), check), { numRuns: 20_000 });
  // Damaged messages come much further than noise.
  fc.assert(
    fc.property(message, fc.nat(), fc.nat({ max: 255 }), fc.nat(), (sent, at, value, cut) => {
      const whole = encode(sent, LIMIT);
      const damaged = whole.slice();
      damaged[at % damaged.length] = value;
      check(damaged);
      check(whole.subarray(0, cut % (whole.length + 1)));
      check(Uint8Array.of(...whole, value));
    }),
    { numRuns: 5000 },
  );
  assert.ok(understood > 100, "nothing was understood: the test shows nothing");
});

Deno.test("T18: a message over the limit is refused both ways", () => {
  const sent: Message = {
    incarnation: 1,
    view: undefined,
    body: { kind: "ping", seq: 1 },
    claims: [],
    rumours: [{ kind: 1, key: "ab".repeat(32), version: 1, bytes: new Uint8Array(1200) }],
  };
  assert.throws(() => encode(sent, 1150), /over the limit of 1150/);
  const read = decode(encode(sent, LIMIT), 1150);
  assert.ok(!read.ok && /over the limit of 1150/.test(read.error));
});

Deno.test("a rumour that cannot be sent is refused with what is wrong", () => {
  const good: Rumour = { kind: 1, key: "ab".repeat(32), version: 0, bytes: new Uint8Array(0) };
  assert.equal(rumourFault(good, 1150), undefined);
  assert.match(rumourFault({ ...good, kind: 0 }, 1150) ?? "", /no kind 0/);
  assert.match(rumourFault({ ...good, key: "abcd" }, 1150) ?? "", /2 bytes/);
  assert.match(rumourFault({ ...good, key: "AB".repeat(32) }, 1150) ?? "", /0 bytes/);
  assert.match(rumourFault({ ...good, version: 2 ** 48 }, 1150) ?? "", /no version/);
  assert.match(rumourFault({ ...good, bytes: new Uint8Array(1150) }, 1150) ?? "", /1150/);
  assert.equal(INCARNATION_MAX, 2 ** 32 - 1);
});
