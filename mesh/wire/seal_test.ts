import assert from "node:assert/strict";
import { kindOf } from "../datagram.ts";
import { identityFromSeed } from "../membership/identity.ts";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { Seeded } from "../sim/random.ts";
import { BOOT_MAX } from "../membership/record.ts";
import {
  DATAGRAM_MAX,
  encodeTop,
  FIRST_MAX,
  GO_ON_MAX,
  LEAP,
  LEAP_RATE,
  PAYLOAD_MAX,
  Seal,
  TRIES,
} from "./seal.ts";
import { WINDOW } from "./window.ts";

const seeded = new Seeded(1);
const random = (length: number) => Uint8Array.from({ length }, () => seeded.below(256));
const [anna, bert, carl] = [1, 2, 3].map((n) =>
  identityFromSeed(crypto, new Uint8Array(32).fill(n))
);
assert.ok(anna && bert && carl);
const [meshId, otherMesh] = [random(32), random(32)];
const [RUN, OTHER_RUN] = ["11".repeat(8), "22".repeat(8)];
const NOW = { boot: 0, wall: 0 };
const TEXT = new TextEncoder().encode("are you there?");

/** Two members that know each other, started `boot` times. */
function pair(bootA = 1, bootB = 1, knownA = bootA, knownB = bootB) {
  assert.ok(anna && bert);
  const a = new Seal(crypto, random, meshId, anna, bootA, RUN);
  const b = new Seal(crypto, random, meshId, bert, bootB, OTHER_RUN);
  a.know(bert.id, bert.signing.publicKey, knownB);
  b.know(anna.id, anna.signing.publicKey, knownA);
  return { a, b };
}

function sealed(seal: Seal, to: string, payload = TEXT): Uint8Array {
  const bytes = seal.seal(to, "ping", payload);
  assert.ok(bytes);
  return bytes;
}

Deno.test("what one member seals, the other opens and knows who sealed it", () => {
  const { a, b } = pair();
  const opened = b.open(NOW, sealed(a, bert.id));
  assert.deepEqual(opened, {
    kind: "opened",
    value: { from: anna.id, kind: "ping", payload: TEXT },
    isNewStart: false,
    run: RUN.slice(0, 8),
  });
  assert.equal(a.open(NOW, sealed(b, anna.id)).kind, "opened");
});

Deno.test("a sealed datagram can be taken for no other kind (R21)", () => {
  const { a } = pair();
  assert.equal(kindOf(sealed(a, bert.id)), "sealed");
});

Deno.test("a datagram is never longer than 1,232 bytes", () => {
  const { a } = pair();
  assert.equal(sealed(a, bert.id, new Uint8Array(PAYLOAD_MAX)).length, DATAGRAM_MAX);
  assert.throws(() => sealed(a, bert.id, new Uint8Array(PAYLOAD_MAX + 1)), RangeError);
});

Deno.test("an altered, foreign or cut datagram opens nowhere", () => {
  const { a, b } = pair();
  const bytes = sealed(a, bert.id);
  for (let at = 0; at < bytes.length; at++) {
    const altered = bytes.slice();
    altered[at] = (altered[at] ?? 0) ^ 1;
    assert.equal(b.open(NOW, altered).kind, "dropped", `byte ${at}`);
  }
  assert.equal(b.open(NOW, bytes.subarray(0, 60)).kind, "dropped");
  assert.equal(b.open(NOW, bytes).kind, "opened", "none of that has used the true one up");
  const elsewhere = new Seal(crypto, random, otherMesh, bert, 1, RUN);
  elsewhere.know(anna.id, anna.signing.publicKey, 1);
  assert.deepEqual(elsewhere.open(NOW, sealed(a, bert.id)), { kind: "dropped", why: "unknown" });
});

Deno.test("a datagram of our own that comes back is no other's word", () => {
  const { a } = pair();
  assert.deepEqual(a.open(NOW, sealed(a, bert.id)), { kind: "dropped", why: "unknown" });
});

Deno.test("T41: a replayed datagram is dropped, a late one is not", () => {
  const { a, b } = pair();
  const [first, second] = [sealed(a, bert.id), sealed(a, bert.id)];
  assert.equal(b.open(NOW, second).kind, "opened");
  assert.equal(b.open(NOW, first).kind, "opened");
  for (const bytes of [first, second]) {
    assert.deepEqual(b.open(NOW, bytes), { kind: "dropped", why: "replayed" });
  }
});

Deno.test("a restart of the receiver opens no gap for what was sent before it", () => {
  const { a, b } = pair();
  const recorded = sealed(a, bert.id);
  assert.equal(b.open(NOW, recorded).kind, "opened");
  const { a: a2, b: restarted } = pair(1, 2, 1, 1);
  const stale = {
    kind: "stale",
    from: anna.id,
    boot: 1,
    echo: 1,
    isBehind: false,
    isNewStart: false,
    value: { from: anna.id, kind: "ping", payload: TEXT },
  };
  assert.deepEqual(restarted.open(NOW, recorded), stale);
  assert.deepEqual(
    restarted.open(NOW, sealed(a2, bert.id)),
    stale,
    "a does not know of the restart",
  );
  const notice = restarted.seal(anna.id, "notice", new Uint8Array(0), 1);
  assert.ok(notice);
  assert.equal(a2.open(NOW, notice).kind, "opened");
  assert.equal(restarted.open(NOW, sealed(a2, bert.id)).kind, "opened", "now it does");
});

Deno.test("a restart of the sender begins a new count, and the old one ends", () => {
  const { a, b } = pair(1, 1);
  const old = sealed(a, bert.id);
  const restarted = new Seal(crypto, random, meshId, anna, 2, RUN);
  restarted.know(bert.id, bert.signing.publicKey, 1);
  const news = [sealed(restarted, bert.id), sealed(restarted, bert.id)].map((bytes) =>
    b.open(NOW, bytes)
  );
  assert.deepEqual(news.map((one) => one.kind === "opened" && one.isNewStart), [true, false]);
  const stale = {
    kind: "stale",
    from: anna.id,
    boot: 1,
    echo: 1,
    isBehind: true,
    isNewStart: false,
    value: { from: anna.id, kind: "ping", payload: TEXT },
  };
  assert.equal(b.open(NOW, old).kind, "opened", "as long as no record has proven the new one");
  const older = sealed(a, bert.id);
  b.know(anna.id, anna.signing.publicKey, 2);
  assert.deepEqual(b.open(NOW, older), stale);
  assert.equal(b.open(NOW, sealed(restarted, bert.id)).kind, "opened");
});

Deno.test("a sender that lost its state is told so by being behind", () => {
  const { a, b } = pair(1, 1, 9);
  const result = b.open(NOW, sealed(a, bert.id));
  assert.deepEqual(result, {
    kind: "stale",
    from: anna.id,
    boot: 1,
    echo: 1,
    isBehind: true,
    isNewStart: false,
    value: { from: anna.id, kind: "ping", payload: TEXT },
  });
  a.restart(10);
  assert.equal(b.open(NOW, sealed(a, bert.id)).kind, "opened");
  assert.throws(() => a.restart(10), RangeError);
});

Deno.test("the hint is another for every pair and direction, and tells no key", () => {
  const { a, b } = pair();
  a.know(carl.id, carl.signing.publicKey, 1);
  const c = new Seal(crypto, random, meshId, carl, 1, RUN);
  c.know(bert.id, bert.signing.publicKey, 1);
  const all = [sealed(a, bert.id), sealed(a, carl.id), sealed(b, anna.id), sealed(c, bert.id)];
  const hints = all.map((bytes) => bytes.slice(4, 12).toHex());
  assert.equal(new Set(hints).size, 4);
  assert.equal(sealed(a, bert.id).slice(4, 12).toHex(), hints[0]);
});

Deno.test("nothing can be sealed for or opened from somebody who is forgotten", () => {
  const { a, b } = pair();
  const bytes = sealed(a, bert.id);
  b.forget(anna.id);
  assert.deepEqual(b.open(NOW, bytes), { kind: "dropped", why: "unknown" });
  assert.equal(b.seal(anna.id, "ping", TEXT), undefined);
});

Deno.test("a key of low order gets nothing sealed (R25)", () => {
  const { a } = pair();
  const low = new Uint8Array(32);
  a.know("low", low, 1);
  assert.equal(a.seal("low", "ping", TEXT), undefined);
});

Deno.test("while two machines use a key, only datagrams of the run that was first are delivered", () => {
  const { a, b } = pair();
  const copy = new Seal(crypto, random, meshId, anna, 1, OTHER_RUN);
  copy.know(bert.id, bert.signing.publicKey, 1);
  const [ofFirst, ofCopy] = [sealed(a, bert.id), sealed(copy, bert.id)];
  b.pin(anna.id, RUN, 1, OTHER_RUN);
  const value = { from: anna.id, kind: "ping", payload: TEXT };
  assert.deepEqual(b.open(NOW, ofCopy), {
    kind: "twin",
    from: anna.id,
    boot: 1,
    value,
    isFresh: true,
  });
  assert.equal(b.open(NOW, ofFirst).kind, "opened", "the copy has not used its number up");
  b.unpin(anna.id);
  assert.equal(b.open(NOW, sealed(copy, bert.id)).kind, "opened", "any run counts again");
});

Deno.test("a second machine that has started more often does not mute the first", () => {
  const { a, b } = pair();
  const copy = new Seal(crypto, random, meshId, anna, 9, OTHER_RUN);
  copy.know(bert.id, bert.signing.publicKey, 1);
  b.pin(anna.id, RUN, 1, OTHER_RUN);
  const opened = b.open(NOW, sealed(copy, bert.id));
  assert.ok(opened.kind === "twin" && opened.boot === 9);
  assert.equal(b.open(NOW, sealed(a, bert.id)).kind, "opened");
});

Deno.test("a copy of a datagram is no sign of the second machine, nor is one of a run that nobody has named", () => {
  const { a, b } = pair();
  const starts = [[4, OTHER_RUN], [5, OTHER_RUN], [9, "33".repeat(8)]] as const;
  const [old, later, third] = starts.map(([boot, run]) => {
    const copy = new Seal(crypto, random, meshId, anna, boot, run);
    copy.know(bert.id, bert.signing.publicKey, 1);
    return [sealed(copy, bert.id), sealed(copy, bert.id)];
  });
  b.pin(anna.id, RUN, 1, OTHER_RUN);
  const isFresh = (bytes: Uint8Array | undefined) => {
    const result = b.open(NOW, bytes ?? new Uint8Array());
    assert.ok(result.kind === "twin");
    return result.isFresh;
  };
  assert.deepEqual([old?.[0], old?.[0], old?.[1]].map(isFresh), [true, false, true]);
  assert.deepEqual([later?.[0], old?.[1], later?.[0]].map(isFresh), [true, false, false]);
  assert.equal(isFresh(third?.[0]), false);
  assert.equal(b.open(NOW, sealed(a, bert.id)).kind, "opened");
});

Deno.test("item 11: a second machine that is ahead in numbers mutes the first not at all, and is heard no more than 64 times", () => {
  for (const boot of [2, 900, BOOT_MAX]) {
    const { a, b } = pair();
    const copy: Seal = new Seal(crypto, random, meshId, anna, boot, OTHER_RUN);
    copy.know(bert.id, bert.signing.publicKey, 1);
    for (let n = 0; n < TRIES; n++) {
      const kinds: string[] = [copy, a].map((one) => b.open(NOW, sealed(one, bert.id)).kind);
      assert.deepEqual(kinds, ["opened", "opened"], "a record may follow");
    }
    const result = b.open(NOW, sealed(copy, bert.id));
    assert.deepEqual([result.kind, "isBehind" in result && result.isBehind], ["stale", false]);
    assert.equal(b.open(NOW, sealed(a, bert.id)).kind, "opened");
    b.pin(anna.id, RUN, 1, OTHER_RUN);
    assert.equal(b.open(NOW, sealed(a, bert.id)).kind, "opened");
    assert.equal(b.open(NOW, sealed(copy, bert.id)).kind, "twin");
    assert.equal(b.know(anna.id, anna.signing.publicKey, boot, OTHER_RUN), false);
    assert.equal(
      b.open(NOW, sealed(a, bert.id)).kind,
      "opened",
      "its record at a door moves nothing",
    );
  }
});

Deno.test("what came before a record has proven a start is no news after it", () => {
  for (const count of [1, TRIES]) {
    const { a, b } = pair();
    const restarted: Seal = new Seal(crypto, random, meshId, anna, 2, RUN);
    restarted.know(bert.id, bert.signing.publicKey, 1);
    b.open(NOW, sealed(a, bert.id));
    const early = Array.from({ length: count }, () => sealed(restarted, bert.id));
    const first: string[] = early.map((datagram) => b.open(NOW, datagram).kind);
    assert.deepEqual(new Set(first), new Set(["opened"]));
    b.know(anna.id, anna.signing.publicKey, 2, RUN);
    for (const copy of early) {
      const again: string = b.open(NOW, copy).kind;
      assert.match(again, /^(dropped|behind)$/);
    }
    assert.equal(b.open(NOW, sealed(restarted, bert.id)).kind, "opened");
  }
});

Deno.test("a start beyond all that there can be is none", () => {
  const { b } = pair();
  const copy = new Seal(crypto, random, meshId, anna, BOOT_MAX + 1, OTHER_RUN);
  copy.know(bert.id, bert.signing.publicKey, 1);
  assert.deepEqual(b.open(NOW, sealed(copy, bert.id)), { kind: "dropped", why: "malformed" });
});

Deno.test("nobody can be held to a run that is not known", () => {
  const { a, b } = pair();
  b.pin(carl.id, RUN, 1, OTHER_RUN);
  b.unpin(carl.id);
  assert.equal(b.open(NOW, sealed(a, bert.id)).kind, "opened");
});

/** What a copy of A's disk seals for B after so many others. */
function sealedAfter(counter: number, boot = 1): Uint8Array {
  assert.ok(anna && bert);
  const copy = new Seal(crypto, random, meshId, anna, boot, OTHER_RUN);
  copy.know(bert.id, bert.signing.publicKey, 1);
  copy.goOn(bert.id, encodeTop(counter - 1), false);
  return sealed(copy, bert.id);
}

Deno.test("item 11: no datagram leads the counters further than its sender can have sent since the last one", () => {
  const { a, b } = pair();
  b.open(NOW, sealed(a, bert.id));
  const far = sealedAfter(2 + LEAP + 10 * LEAP_RATE);
  const result = b.open(NOW, far);
  assert.ok(result.kind === "behind" && result.top === 1);
  assert.equal(b.open(NOW, sealed(a, bert.id)).kind, "opened", "the owner is where it was");
  assert.equal(b.open({ boot: 10, wall: 10 }, far).kind, "opened", "its time has come");
});

Deno.test("item 11: many datagrams lead the counters no further than one, and the busiest member is never too far", () => {
  const { a, b } = pair();
  b.open(NOW, sealed(a, bert.id));
  let top = 1;
  for (let n = 0; n < 100; n++) {
    if (b.open(NOW, sealedAfter(top + LEAP / 2)).kind === "opened") top += LEAP / 2;
  }
  assert.equal(top, 1 + LEAP);
  // A thousand a millisecond for others, and one for us now and then.
  for (let n = 0, boot = 0; n < 1_000; n++) {
    const since = 1 + n % 7;
    boot += since;
    top += 1_000 * since;
    assert.equal(b.open({ boot, wall: boot }, sealedAfter(top)).kind, "opened", `${boot} ms`);
  }
});

Deno.test("item 11: whose counters were led astray is told the highest, goes on beyond it, and nothing comes twice", () => {
  const { a, b } = pair();
  const early = [sealed(a, bert.id), sealed(a, bert.id)];
  for (const bytes of early) b.open(NOW, bytes);
  assert.equal(b.open(NOW, sealedAfter(LEAP)).kind, "opened");
  const result = b.open(NOW, sealed(a, bert.id));
  assert.ok(result.kind === "behind" && result.top === LEAP && result.from === anna.id);
  assert.ok(a.goOn(bert.id, encodeTop(result.top), false) > 0);
  const late = [sealed(a, bert.id), sealed(a, bert.id)];
  assert.deepEqual(late.map((bytes) => b.open(NOW, bytes).kind), ["opened", "opened"]);
  for (const bytes of [...early, ...late]) assert.notEqual(b.open(NOW, bytes).kind, "opened");
  assert.equal(a.goOn(bert.id, encodeTop(LEAP), true), 0, "said again it is no news");
});

Deno.test("what a member says of our counters changes nothing for others, nor what is no number", () => {
  const { a, b } = pair();
  a.know(carl.id, carl.signing.publicKey, 1);
  const c = new Seal(crypto, random, meshId, carl, 1, RUN);
  c.know(anna.id, anna.signing.publicKey, 1);
  for (const bad of [new Uint8Array(5).fill(255), new Uint8Array(6).fill(255)]) {
    assert.equal(a.goOn(carl.id, bad, true), 0);
  }
  assert.equal(a.goOn(carl.id, encodeTop(GO_ON_MAX + 1), true), 0, "nobody has had so many");
  assert.ok(a.goOn(carl.id, encodeTop(GO_ON_MAX), true) > 0);
  for (let n = 0; n < 3; n++) assert.equal(b.open(NOW, sealed(a, bert.id)).kind, "opened");
  a.goOn(carl.id, encodeTop(0), false);
  assert.equal(
    c.open(NOW, sealed(a, carl.id)).kind,
    "behind",
    "a copy of a notice leads nobody back",
  );
  a.goOn(carl.id, encodeTop(0), true);
  assert.equal(c.open(NOW, sealed(a, carl.id)).kind, "opened");
});

Deno.test("item 11: who was led too far by a lie about what has come is told so, and comes back to where that is", () => {
  for (const lie of [2 * LEAP, GO_ON_MAX]) {
    const { a, b } = pair();
    for (let n = 0; n < 5; n++) b.open(NOW, sealed(a, bert.id));
    a.goOn(bert.id, encodeTop(lie), true);
    const result = b.open(NOW, sealed(a, bert.id));
    assert.ok(result.kind === "behind" && result.top === 5);
    a.goOn(bert.id, encodeTop(result.top), true);
    for (let n = 0; n < 3; n++) assert.equal(b.open(NOW, sealed(a, bert.id)).kind, "opened");
    a.goOn(bert.id, encodeTop(1), true);
    assert.equal(b.open(NOW, sealed(a, bert.id)).kind, "opened", "a late notice leads nobody back");
  }
});

Deno.test("R64: a receiver whose boot clock went back opens what comes next", () => {
  const { a, b } = pair();
  const [first, second] = [sealed(a, bert.id), sealed(a, bert.id)];
  assert.equal(b.open({ boot: 3_600_000, wall: 0 }, first).kind, "opened");
  assert.equal(b.open({ boot: 0, wall: 0 }, second).kind, "opened");
});

Deno.test("item 11: a receiver that has started anew takes what a member begins with, up to what is too far", () => {
  for (const counter of [WINDOW, FIRST_MAX]) {
    const { a, b } = pair();
    a.goOn(bert.id, encodeTop(counter - 1), false);
    assert.equal(b.open(NOW, sealed(a, bert.id)).kind, "opened");
  }
  const { a, b } = pair();
  a.goOn(bert.id, encodeTop(FIRST_MAX), false);
  const result = b.open(NOW, sealed(a, bert.id));
  assert.ok(result.kind === "behind" && result.top === -1);
  a.goOn(bert.id, encodeTop(result.top), true);
  assert.equal(b.open(NOW, sealed(a, bert.id)).kind, "opened", "it counts as it has sent");
});

Deno.test("what was sealed for several places is answered by nothing where it comes again", () => {
  const { a, b } = pair();
  const bytes = sealed(a, bert.id);
  b.open(NOW, bytes);
  assert.deepEqual(b.open(NOW, bytes), { kind: "dropped", why: "replayed" });
  for (let n = 0; n < 8; n++) b.open(NOW, sealed(a, bert.id));
  assert.equal(
    b.open(NOW, bytes).kind,
    "behind",
    "it may be its sender, where somebody has used its counters",
  );
});
