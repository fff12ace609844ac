import assert from "node:assert/strict";
import type { Endpoint } from "../endpoint.ts";
import { type Now, secondsOf } from "../machine.ts";
import { nobleCrypto } from "../noble_crypto.ts";
import { flipped } from "../sim/forgery.ts";
import { Signatories } from "../sim/signatories.ts";
import { toyCrypto } from "../sim/toy_crypto.ts";
import { JUMPS, OwnRecord, type Self } from "./own_record.ts";
import {
  BOOT_MAX,
  NO_PROOF,
  type NodeRecord,
  type RecordBody,
  RECORDS_PER_BOOT,
  sequenceOf,
  signRecord,
} from "./record.ts";

const [OURS, THEIRS, THIRD] = ["11", "22", "33"].map((byte) => byte.repeat(8)) as [
  string,
  string,
  string,
];
const MINUTE = 60_000;

function at(boot: number): Now {
  return { boot, wall: 1_800_000_000_000 + boot };
}

function place(n: number): Endpoint {
  return { address: Uint8Array.of(192, 0, 2, n), port: 51820, scope: 0 };
}

function setUp(boot = 5, crypto = toyCrypto, perBoot = RECORDS_PER_BOOT) {
  const society = new Signatories(crypto);
  const { meshId } = society;
  const self: Self = {
    identity: society.person(1),
    proof: NO_PROOF,
    endpoints: [place(1)],
    capabilities: { relay: false, tunnel: true, meshKey: false, aesGcm: false, lanes: 1 },
    version: "1",
  };
  const own = new OwnRecord(crypto, meshId, OURS, self, boot, perBoot);
  /** A record of our key that we have not made. */
  const foreign = (sequence: number, run = THEIRS, by = self.identity): NodeRecord =>
    signRecord(crypto, meshId, by.signing, {
      key: by.signing.publicKey,
      sequence,
      run,
      twin: undefined,
      endpoints: [place(9)],
      capabilities: self.capabilities,
      routes: [],
      version: "1",
      proof: NO_PROOF,
    });
  const sign = (body: RecordBody) => signRecord(crypto, meshId, self.identity.signing, body);
  /** How others hold something of ours, one record beyond what we hold. */
  const beyond = (run = THEIRS) => foreign(own.record.sequence + 1, run).bytes;
  return { society, own, self, foreign, sign, beyond };
}

Deno.test("our record is renewed when something changed, once a second at most", () => {
  const { own } = setUp();
  assert.equal(own.settle(at(0))?.sequence, sequenceOf(5, 1), "nobody has seen the first");
  assert.equal(own.due(), undefined);
  assert.equal(own.settle(at(5000)), undefined);
  own.describe({ endpoints: [place(2)] });
  const renewed = own.settle(at(5000));
  assert.deepEqual(renewed?.endpoints, [place(2)]);
  assert.equal(renewed?.sequence, sequenceOf(5, 2));
  own.describe({ version: "2" });
  assert.equal(own.due(), 6000);
  assert.equal(own.settle(at(5999)), undefined);
  assert.equal(own.settle(at(6000))?.version, "2");
});

Deno.test("after the last record of a start counting goes on as if after another start, and ends silently", () => {
  const { own } = setUp(BOOT_MAX - 1, toyCrypto, 3);
  const next = (ms: number) => {
    own.describe({});
    return own.settle(at(ms))?.sequence;
  };
  const sequences = [0, 1000, 2000, 3000, 4000].map(next);
  const [before, last] = [BOOT_MAX - 1, BOOT_MAX];
  assert.deepEqual(sequences, [
    sequenceOf(before, 1),
    sequenceOf(before, 2),
    sequenceOf(last, 0),
    sequenceOf(last, 1),
    sequenceOf(last, 2),
  ]);
  const { record } = own;
  assert.equal(next(5000), undefined);
  assert.equal(own.record, record, "no number is used twice, and nothing fails");
});

Deno.test("a record of ours that we made, or older than ours, tells nothing new", () => {
  const { society, own, foreign } = setUp();
  assert.equal(own.recall(at(0), own.record.bytes), "known");
  own.settle(at(0));
  assert.equal(own.recall(at(0), foreign(sequenceOf(5, 0), OURS).bytes), "known", "of this run");
  assert.equal(own.recall(at(0), foreign(sequenceOf(4, 99)).bytes), "known");
  const another = foreign(sequenceOf(9, 0), THEIRS, society.person(2));
  assert.equal(own.recall(at(0), another.bytes), "known");
  for (const bytes of [new Uint8Array(0), new Uint8Array(200)]) {
    assert.equal(own.recall(at(0), bytes), "known");
  }
  assert.deepEqual([own.boot, own.twin], [5, undefined]);
});

Deno.test("T41: a forged record of ours moves nothing", () => {
  const { own, foreign } = setUp(5, nobleCrypto);
  const forged = flipped(foreign(sequenceOf(9, 0)).bytes, 3);
  assert.equal(own.recall(at(0), forged), "known");
  assert.equal(own.boot, 5);
});

Deno.test("a state that is older than it should be jumps beyond what it finds of itself, at once", () => {
  const { own, foreign } = setUp();
  own.settle(at(0));
  assert.equal(own.recall(at(1), foreign(sequenceOf(8, 3)).bytes), "jumped");
  assert.equal(own.boot, 9);
  assert.equal(own.twin, undefined, "it may be we ourselves, before");
  assert.equal(own.settle(at(1))?.sequence, sequenceOf(9, 1), "not at the pace of records");
});

Deno.test("another record with our own sequence makes us jump, too", () => {
  const { own, foreign } = setUp();
  assert.equal(own.recall(at(0), foreign(own.record.sequence).bytes), "jumped");
  assert.equal(own.boot, 6);
});

Deno.test("a run that goes on after we have jumped beyond it is a machine with our key", () => {
  const { own, beyond } = setUp();
  assert.equal(own.recall(at(0), beyond()), "jumped");
  own.settle(at(0));
  assert.equal(own.recall(at(10), beyond()), "twin");
  assert.equal(own.twin?.run, THEIRS);
  assert.deepEqual(own.twin?.endpoint, place(9));
  const declared = own.settle(at(10));
  const seenAt = secondsOf(at(10));
  assert.deepEqual(
    declared?.twin,
    { run: THEIRS, endpoint: place(9), at: seenAt },
    "others are told",
  );
});

Deno.test("item 11: a record of our key that names our run as another machine's is of such a machine, whatever its number", () => {
  for (const ago of [0, 599, 600]) {
    const { own, foreign, sign } = setUp();
    const body = foreign(sequenceOf(1, 1));
    const twin = { run: OURS, endpoint: place(1), at: secondsOf(at(0)) - ago };
    assert.equal(own.recall(at(0), sign({ ...body, twin }).bytes), ago < 600 ? "twin" : "known");
    assert.equal(own.boot, 5, "nobody has to be outrun");
  }
});

Deno.test("a record with our run that we have not made makes us go on in another run, once", () => {
  const { own, foreign, beyond } = setUp();
  const before = own.settle(at(0));
  assert.equal(own.recall(at(0), foreign(own.record.sequence, OURS).bytes), "forked");
  own.startRun(THIRD);
  const renewed = own.settle(at(0));
  assert.deepEqual([renewed?.run, renewed?.sequence], [THIRD, sequenceOf(6, 1)]);
  assert.deepEqual(renewed?.twin?.endpoint, place(9), "others are told where the other is");
  assert.ok(![OURS, THIRD].includes(renewed?.twin?.run ?? ""));
  assert.equal(own.recall(at(1), before?.bytes ?? new Uint8Array()), "known", "our own of before");
  assert.equal(
    own.recall(at(1), beyond(OURS)),
    "twin",
    "the other goes on in the run that we left",
  );
  own.settle(at(2_000));
  assert.equal(own.recall(at(2_001), beyond(THIRD)), "twin", "and comes after us");
  assert.equal(own.boot, 6, "which would have no end");
});

Deno.test("item 11: one that is ahead of us in another run each time is named as soon as we cannot go beyond it", () => {
  const { own, foreign } = setUp();
  own.settle(at(0));
  const runs = ["44", "55", "66", "77", "88"].map((byte) => byte.repeat(8));
  const told = runs.map((run, i) =>
    own.recall(at(i), foreign(own.record.sequence + 2 ** 21, run).bytes)
  );
  assert.deepEqual(told, ["jumped", "jumped", "jumped", "jumped", "twin"]);
  assert.deepEqual(own.settle(at(1_000))?.twin?.endpoint, place(9));
});

Deno.test("a third run is no sign of the second", () => {
  const { own, beyond } = setUp();
  assert.equal(own.recall(at(0), beyond(THEIRS)), "jumped");
  own.settle(at(0));
  assert.equal(own.recall(at(10), beyond(THIRD)), "jumped");
  assert.equal(own.twin, undefined);
});

Deno.test("another machine that is silent for ten minutes is gone, and our record says so", () => {
  const { own, foreign, beyond } = setUp();
  own.recall(at(0), beyond());
  own.settle(at(0));
  own.recall(at(0), beyond());
  own.settle(at(0));
  const [next, later] = [1, 2].map((n) => foreign(own.record.sequence + n).bytes);
  assert.ok(next && later);
  assert.equal(own.recall(at(5 * MINUTE), next), "twin", "a record that follows is a sign of life");
  assert.ok(own.settle(at(5 * MINUTE))?.twin, "said again, since others forget it, too");
  assert.equal(own.recall(at(5 * MINUTE + 59_000), later), "twin");
  assert.equal(own.settle(at(5 * MINUTE + 59_000)), undefined, "once a minute");
  for (let ms = 6 * MINUTE; ms < 16 * MINUTE; ms += MINUTE) own.recall(at(ms), later);
  assert.ok(own.twin, "one that was seen before is none");
  const renewed = own.settle(at(16 * MINUTE));
  assert.equal(own.twin, undefined);
  assert.ok(renewed && renewed.twin === undefined);
});

Deno.test("two machines do not chase each other: who knows of the other names it, and leaves its numbers as they are", () => {
  const { own, beyond } = setUp();
  for (let ms = 0; ms < 9 * MINUTE; ms += 1000) {
    own.recall(at(ms), beyond());
    own.settle(at(ms));
  }
  assert.equal(own.boot, 6);
  assert.equal(own.twin?.run, THEIRS);
  own.settle(at(20 * MINUTE));
  assert.equal(own.twin, undefined);
  assert.equal(own.boot, 7, "when it is gone, whoever holds its last record hears us again");
});

Deno.test("invariant 8: who claims the last start of all for our key stops nothing", () => {
  const { own, foreign } = setUp();
  const last = foreign(sequenceOf(BOOT_MAX, 7)).bytes;
  assert.equal(own.recall(at(0), last), "twin", "no start of ours goes there");
  assert.equal(own.boot, 5);
  const far = foreign(sequenceOf(5 + 4_097, 7), THIRD).bytes;
  assert.equal(setUp().own.recall(at(0), far), "twin", "nor so far at once");
  const near = setUp().own;
  assert.equal(near.recall(at(0), foreign(sequenceOf(5 + 4_096, 7), THIRD).bytes), "jumped");
  assert.equal(near.boot, 5 + 4_097);
  own.describe({ version: "2" });
  assert.ok(own.settle(at(2 * MINUTE)), "and we go on telling what we have to");
});

Deno.test("invariant 8: who only says that we had a later start moves our number by few, and seldom", () => {
  const isAlone = [[true, JUMPS.burst + 20], [false, 3]] as const;
  for (const [alone, most] of isAlone) {
    const { own } = setUp();
    own.settle(at(0));
    assert.ok(own.catchUp(at(0), 6, alone));
    assert.equal(own.boot, 7);
    let jumps = 1;
    for (let ms = 1_000; ms < 20 * MINUTE; ms += 1_000) {
      const before: number = own.boot;
      if (!own.catchUp(at(ms), BOOT_MAX - 1, alone)) continue;
      jumps++;
      assert.equal(own.boot, before + 17);
    }
    assert.ok(jumps > 1 && jumps <= most, `${jumps} jumps`);
    assert.ok(own.boot < 1_000, "the end is not near");
  }
});
