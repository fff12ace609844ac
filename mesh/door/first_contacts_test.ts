import assert from "node:assert/strict";
import fc from "fast-check";
import type { Endpoint } from "../endpoint.ts";
import { Seeded } from "../sim/random.ts";
import {
  CREDIT_MAX,
  CREDIT_TIME,
  CREDITS_MAX,
  FIRST_MINUTE,
  FirstContacts,
  LATER,
  PER_CLAIMANT,
  PER_ORIGIN,
  PROOF_TIME,
  PROVEN_MAX,
  PROVEN_PER_MEMBER,
  PROVEN_TIME,
  REMEMBERED_TIME,
  RENEWAL_PACE,
  RENEWAL_TIME,
  SILENT,
  UNPROVEN_MAX,
  UNPROVEN_TIME,
} from "./first_contacts.ts";

const at = (boot: number) => ({ boot, wall: 0 });
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const place = (n: number, port = 51820): Endpoint => ({
  address: Uint8Array.of(10, n >> 16 & 255, n >> 8 & 255, n & 255),
  port,
  scope: 0,
});
const HERE = place(1);

/** How many of so many tries, one each `every` ms from `from` on, are allowed. */
function sent(
  contacts: FirstContacts,
  from: number,
  until: number,
  every: number,
  where = HERE,
): number {
  let count = 0;
  for (let ms = from; ms < until; ms += every) {
    if (contacts.may(at(ms), where, "bert")) count++;
  }
  return count;
}

Deno.test("I10: a place that is not proven gets 3 datagrams in the first minute, then 1 in 10 minutes", () => {
  const contacts = new FirstContacts();
  assert.equal(sent(contacts, 0, MINUTE, 100), FIRST_MINUTE);
  assert.equal(sent(contacts, MINUTE, LATER, 100), 0);
  for (let n = 0; n < 20; n++) {
    assert.ok(sent(contacts, MINUTE + n * LATER, MINUTE + (n + 1) * LATER, 1000) <= 1);
  }
  assert.equal(contacts.counts.first, FIRST_MINUTE + 20);
  assert.equal(contacts.size.unproven, 1);
});

Deno.test("I10: whenever tries come, no place gets more than its share, forgotten or not", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 40 * MINUTE }), { maxLength: 60 }), (gaps) => {
      const contacts = new FirstContacts();
      const times: number[] = [];
      let ms = 0;
      for (const gap of gaps) {
        if (contacts.may(at(ms += gap), HERE, "bert")) times.push(ms);
      }
      for (const [i, first] of times.entries()) {
        const within = (span: number) =>
          times.slice(i).filter((time) => time < first + span).length;
        assert.ok(within(MINUTE) <= FIRST_MINUTE);
        // One in ten minutes in the long run, and the first minute's beside it.
        for (const span of [LATER, 3 * LATER, 20 * LATER]) {
          assert.ok(within(span) <= FIRST_MINUTE + Math.ceil(span / LATER), `${within(span)}`);
        }
      }
    }),
  );
});

Deno.test("a place is forgotten when three datagrams again are no more than one in ten minutes", () => {
  const contacts = new FirstContacts();
  assert.equal(sent(contacts, 0, MINUTE, 1), FIRST_MINUTE);
  assert.equal(sent(contacts, UNPROVEN_TIME - 1, UNPROVEN_TIME, 1), 1);
  const last = UNPROVEN_TIME - 1;
  assert.ok(!contacts.may(at(last + LATER - 1), HERE, "bert"));
  assert.equal(sent(contacts, last + UNPROVEN_TIME, last + UNPROVEN_TIME + MINUTE, 1), 3);
});

Deno.test("a proven place has no limit for 60 s, and each sign of life renews that", () => {
  const contacts = new FirstContacts();
  assert.equal(sent(contacts, 0, 1000, 1), 3);
  contacts.proven(at(1000), HERE, "bert");
  assert.equal(sent(contacts, 1000, 1000 + PROVEN_TIME, 10), PROVEN_TIME / 10);
  assert.ok(contacts.heard(at(60_000), HERE, "bert"));
  assert.equal(sent(contacts, 61_000, 60_000 + PROVEN_TIME, 10), (PROVEN_TIME - 1000) / 10);
  assert.ok(!contacts.isProven(at(60_000 + PROVEN_TIME), HERE, "bert"));
  assert.deepEqual(contacts.size, { proven: 1, unproven: 0, credits: 0 });
});

Deno.test("what is heard renews a place for ten minutes after its proof, then only another proof does", () => {
  const contacts = new FirstContacts();
  const asked: number[] = [];
  contacts.proven(at(0), HERE, "bert");
  for (let ms = 1000; ms < HOUR; ms += 1000) {
    assert.equal(contacts.heard(at(ms), HERE, "bert"), ms < PROOF_TIME);
    assert.equal(contacts.isProven(at(ms), HERE, "bert"), ms < PROOF_TIME - 1000 + PROVEN_TIME);
    assert.ok(!contacts.mustRenew(at(ms), HERE, "anna"), "it is not hers");
    if (contacts.mustRenew(at(ms), HERE, "bert")) asked.push(ms);
  }
  assert.deepEqual(asked.slice(0, 3), [0, 1, 2].map((n) => RENEWAL_TIME + n * RENEWAL_PACE));
  assert.equal(asked.length, (HOUR - RENEWAL_TIME) / RENEWAL_PACE);
  contacts.proven(at(HOUR), HERE, "bert");
  assert.ok(!contacts.mustRenew(at(HOUR + RENEWAL_TIME - 1), HERE, "bert"));
  assert.ok(contacts.heard(at(HOUR + PROOF_TIME - 1), HERE, "bert"));
  assert.ok(contacts.isProven(at(HOUR + PROOF_TIME), HERE, "bert"));
  contacts.recall(at(0), place(2), "anna");
  assert.ok(contacts.mustRenew(at(0), place(2), "anna"), "what a restart recalls is due at once");
});

Deno.test("a place proven once gets 4 datagrams at once and 1 in 15 s, for a day", () => {
  const contacts = new FirstContacts();
  contacts.proven(at(0), HERE, "bert");
  assert.equal(sent(contacts, PROVEN_TIME, PROVEN_TIME + 100, 1), SILENT.burst);
  const hour = sent(contacts, PROVEN_TIME + 100, PROVEN_TIME + 100 + HOUR, 100);
  assert.ok(hour === 240 || hour === 239, `${hour}`);
  const late = sent(contacts, REMEMBERED_TIME - HOUR, REMEMBERED_TIME, 100);
  assert.ok(late >= 240 && late <= 240 + SILENT.burst, `${late}`);
  assert.equal(sent(contacts, REMEMBERED_TIME, REMEMBERED_TIME + MINUTE, 100), FIRST_MINUTE);
  assert.equal(contacts.size.proven, 0);
});

Deno.test("what was proven before a restart is silent, not unknown", () => {
  const contacts = new FirstContacts();
  contacts.recall(at(0), HERE, "bert");
  assert.ok(!contacts.isProven(at(0), HERE, "bert"));
  assert.equal(sent(contacts, 0, 100, 1), SILENT.burst);
  contacts.proven(at(100), HERE, "bert");
  contacts.recall(at(101), HERE, "bert");
  assert.ok(contacts.isProven(at(102), HERE, "bert"), "it is no step back");
});

Deno.test("a place that one member proved is not proven for another, whoever seems to be there", () => {
  const contacts = new FirstContacts();
  contacts.proven(at(0), HERE, "anna");
  assert.ok(contacts.isProven(at(1), HERE, "anna"));
  assert.ok(!contacts.isProven(at(1), HERE, "bert"));
  assert.ok(!contacts.isRemembered(HERE, "bert"));
  assert.ok(!contacts.mayAnswer(at(1), HERE, "bert", 1));
  assert.equal(sent(contacts, 0, MINUTE, 100), FIRST_MINUTE, "as a place never proven");
  assert.ok(!contacts.heard(at(MINUTE - 1), HERE, "bert"));
  assert.ok(!contacts.isProven(at(PROVEN_TIME), HERE, "anna"), "that was no sign of hers");
  contacts.proven(at(MINUTE), HERE, "anna");
  assert.equal(sent(contacts, MINUTE, LATER, 100), 0, "her proof is no new share for him");
  contacts.recall(at(MINUTE), HERE, "bert");
  assert.ok(contacts.isProven(at(MINUTE), HERE, "anna"), "nor is what he proved there before");
});

Deno.test("T34: an unproven place is answered with no more bytes than came from it", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 1232 })), { maxLength: 200 }),
      (steps) => {
        const contacts = new FirstContacts();
        let [bytesIn, bytesOut] = [0, 0];
        for (const [i, [isIn, bytes]] of steps.entries()) {
          if (isIn) contacts.owe(at(i), HERE, bytes);
          if (isIn) bytesIn += bytes;
          else if (contacts.mayAnswer(at(i), HERE, "bert", bytes)) bytesOut += bytes;
          assert.ok(bytesOut <= bytesIn);
        }
      },
    ),
  );
  const contacts = new FirstContacts();
  contacts.owe(at(0), HERE, 1232);
  assert.ok(contacts.mayAnswer(at(CREDIT_TIME - 1), HERE, "bert", 1000));
  assert.ok(!contacts.mayAnswer(at(CREDIT_TIME - 1), HERE, "bert", 233), "what is left is less");
  assert.ok(!contacts.mayAnswer(at(CREDIT_TIME - 1), place(1, 5), "bert", 1), "another port");
  assert.ok(!contacts.mayAnswer(at(CREDIT_TIME), HERE, "bert", 1), "too late");
  assert.equal(contacts.counts.unearned, 3);
  contacts.proven(at(CREDIT_TIME), HERE, "bert");
  assert.ok(contacts.mayAnswer(at(CREDIT_TIME), HERE, "bert", 100_000));
});

Deno.test("1,024 places are owed answers, of 64 KB at most; the one heard longest ago is forgotten", () => {
  const contacts = new FirstContacts();
  for (let n = 0; n < 100; n++) contacts.owe(at(0), HERE, 1232);
  for (let n = 1; n <= CREDITS_MAX; n++) contacts.owe(at(n), place(n + 10), 10);
  assert.equal(contacts.size.credits, CREDITS_MAX);
  assert.ok(!contacts.mayAnswer(at(2000), HERE, "bert", 1));
  for (let n = 0; n < 100; n++) contacts.owe(at(3000), HERE, 1232);
  assert.ok(!contacts.mayAnswer(at(3000), HERE, "bert", CREDIT_MAX + 1));
  assert.ok(contacts.mayAnswer(at(3000), HERE, "bert", CREDIT_MAX));
});

Deno.test("8 unproven places at one address are sent to; the ninth waits until one is proven", () => {
  const contacts = new FirstContacts();
  for (let port = 1; port <= PER_ORIGIN; port++) {
    assert.ok(contacts.may(at(0), place(1, port), `member ${port}`));
  }
  assert.ok(!contacts.may(at(0), place(1, 9), "member 9"));
  assert.equal(contacts.counts.origin, 1);
  contacts.proven(at(1), place(1, 3), "member 3");
  assert.ok(contacts.may(at(1), place(1, 9), "member 9"));
});

Deno.test("T42: a member that changes its record every second has 16 unproven places", () => {
  const contacts = new FirstContacts();
  let count = 0;
  for (let n = 0; n < 1000; n++) if (contacts.may(at(n * 1000), place(n), "liar")) count++;
  assert.equal(count, PER_CLAIMANT);
  assert.equal(contacts.counts.claimant, 1000 - PER_CLAIMANT);
  const ms = 1_000_000;
  assert.ok(contacts.may(at(ms), place(5000), "bert"), "nobody else's places");
  contacts.proven(at(ms), place(3), "liar");
  assert.ok(contacts.may(at(ms), place(6000), "liar"), "one of them is proven");
  assert.ok(!contacts.may(at(ms), place(6001), "liar"));
});

Deno.test("16,384 unproven places are remembered; at the limit new ones are refused, none starts anew", () => {
  const contacts = new FirstContacts();
  const may = (ms: number, n: number) => contacts.may(at(ms), place(n), `member ${n >> 3}`);
  for (let n = 0; n < UNPROVEN_MAX; n++) for (let i = 0; i < 3; i++) assert.ok(may(0, n));
  assert.ok(!may(1, UNPROVEN_MAX));
  assert.equal(contacts.counts.full, 1);
  assert.equal(contacts.size.unproven, UNPROVEN_MAX);
  assert.ok(!may(2, 0), "the flood gave nobody a new share");
  assert.ok(may(UNPROVEN_TIME, UNPROVEN_MAX), "there is room when they are forgotten");
});

Deno.test("16,384 proven places are remembered, 8 of one member; those heard longest ago make room", () => {
  const contacts = new FirstContacts();
  for (let n = 0; n <= PROVEN_PER_MEMBER; n++) contacts.proven(at(n), place(n), "liar");
  assert.equal(contacts.size.proven, PROVEN_PER_MEMBER);
  assert.ok(!contacts.isProven(at(9), place(0), "liar"));
  assert.ok(contacts.isProven(at(9), place(1), "liar"));
  for (let n = 0; n < PROVEN_MAX; n++) contacts.proven(at(10), place(1000 + n), `member ${n}`);
  assert.equal(contacts.size.proven, PROVEN_MAX);
  assert.equal(contacts.counts.displaced, 1 + PROVEN_PER_MEMBER);
  contacts.proven(at(11), place(1000), "another");
  assert.equal(contacts.size.proven, PROVEN_MAX, "a place has one member");
});

/**
 * Two halves of a mesh of `size` nodes that were apart for so long, each node asking one of the dead
 * every five seconds, as swim does. @returns ms from the healing until any datagram has crossed.
 */
function healing(seed: number, size: number, apart: number, remembers = true): number {
  const random = new Seeded(seed);
  const nodes = Array.from({ length: size }, (_, n) => ({
    contacts: new FirstContacts(),
    dead: Array.from({ length: size }, (_, other) => other).filter((other) =>
      (other < size / 2) !== (n < size / 2)
    ),
    next: random.between(0, 5000),
  }));
  if (remembers) {
    for (const { contacts, dead } of nodes) {
      for (const other of dead) contacts.proven(at(0), place(other), `member ${other}`);
    }
  }
  for (;;) {
    const node = nodes.reduce((first, other) => other.next < first.next ? other : first);
    const [other = 0] = random.some(node.dead, 1);
    const isSent = node.contacts.may(at(node.next), place(other), `member ${other}`);
    if (isSent && node.next >= apart) return node.next - apart;
    node.next += 5000;
  }
}

Deno.test("T37: halves that were apart for ten minutes, or for an hour, are in touch within 16 s", () => {
  for (const apart of [10 * MINUTE, HOUR]) {
    for (const size of [2, 6, 50]) {
      const seeds = Array.from({ length: size === 50 ? 2 : 10 }, (_, seed) => seed);
      const worst = Math.max(...seeds.map((seed) => healing(seed, size, apart)));
      console.log(`${size} nodes, apart ${apart / MINUTE} min: ${(worst / 1000).toFixed(1)} s`);
      assert.ok(worst <= 16_000);
    }
  }
});

Deno.test("two nodes that have forgotten each other's places are in touch within ten minutes", () => {
  const seeds = Array.from({ length: 20 }, (_, seed) => seed);
  const worst = Math.max(...seeds.map((seed) => healing(seed, 2, 25 * MINUTE, false)));
  console.log(`without memory: ${(worst / 1000).toFixed(1)} s`);
  assert.ok(worst > MINUTE, "which is why places are remembered");
  assert.ok(worst <= LATER + 5000);
});
