import assert from "node:assert/strict";
import type { Endpoint } from "../endpoint.ts";
import { NodeLab } from "../sim/node_lab.ts";
import { secondsAt } from "../sim/people.ts";
import { toyCrypto } from "../sim/toy_crypto.ts";
import { Seal } from "../wire/seal.ts";
import { fromBase64url } from "../base64url.ts";
import { decodeGenesis, meshIdOf } from "./genesis.ts";
import { identityFromSeed } from "./identity.ts";
import { NO_PROOF, type NodeRecord, sequenceOf, signRecord } from "./record.ts";
import { PLACES_MAX, Twins } from "./twins.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const [A, B, C] = ["aa", "bb", "cc"] as const;

const WALL = 1_800_000_000_000;
const at = (boot: number) => ({ boot, wall: WALL + boot });

function place(n: number): Endpoint {
  return { address: Uint8Array.of(192, 0, 2, n), port: 51820, scope: 0 };
}

/** Where the machine of each run is. */
const HOME = new Map([[A, place(1)], [B, place(2)], [C, place(3)]]);

let signed = 0;

/** Newer than all before. @param declares a run that it names as another machine's, seen at boot ms */
function recordOf(run: string, declares?: string, ms = 0): NodeRecord {
  const endpoints = [HOME.get(run as typeof A) ?? place(99)];
  const twin = declares && {
    run: declares,
    endpoint: HOME.get(declares as typeof A),
    at: (WALL + ms) / 1000,
  };
  return { id: "member", run, sequence: ++signed, endpoints, twin } as unknown as NodeRecord;
}

function setUp() {
  const twins = new Twins();
  const take = (ms: number, run: string, declares?: string) =>
    twins.record(at(ms), recordOf(run, declares, ms));
  const declare = (ms: number, run: string, of: string) =>
    twins.declared(at(ms), recordOf(run, of, ms));
  const first = () => twins.alarm("member")?.first;
  return { twins, take, declare, first };
}

/** Two machines whose records took turns: the alarm is on, and A is believed. */
function alarmed() {
  const { twins, take, declare, first } = setUp();
  take(0, A);
  take(1 * SECOND, B);
  assert.ok(take(2 * SECOND, A));
  assert.equal(first(), A);
  return { twins, take, declare, first };
}

Deno.test("a restart is no alarm, nor is the next one", () => {
  const { take, first } = setUp();
  for (
    const [ms, run] of [[0, A], [SECOND, A], [2 * SECOND, B], [3 * SECOND, B], [9 * SECOND, C]]
  ) {
    assert.ok(take(ms as number, run as string));
    assert.equal(first(), undefined);
  }
});

Deno.test("records of two runs that take turns within a minute are two machines, and the first is kept", () => {
  const { twins } = alarmed();
  const alarm = twins.alarm("member");
  assert.deepEqual(alarm, {
    id: "member",
    first: A,
    second: B,
    record: alarm?.record,
    firstPlace: place(1),
    otherPlace: place(2),
    places: [place(2)],
    mayBeOurs: false,
  });
  assert.deepEqual([...twins.alarms()], [alarm]);
});

Deno.test("a run that comes back after a minute or more is no sign of two machines", () => {
  const { take, first } = setUp();
  take(0, A);
  take(SECOND, B);
  assert.ok(take(SECOND + MINUTE, A));
  assert.equal(first(), undefined);
});

Deno.test("while the first lives, records of the other are not taken", () => {
  const { twins, take, first } = alarmed();
  for (let ms = 3 * SECOND; ms < 5 * MINUTE; ms += 10 * SECOND) {
    twins.heard(at(ms), "member", place(1), A);
    assert.equal(take(ms, B), false);
    assert.equal(first(), A);
  }
  assert.ok(take(5 * MINUTE, A), "the first's own are");
});

Deno.test("when the first is silent for two minutes and does not answer either, the other takes its place, and the alarm ends", () => {
  const { twins, take, first } = alarmed();
  const gone = 2 * SECOND + 2 * MINUTE;
  assert.equal(take(gone - 1, B), false);
  assert.deepEqual(twins.takeSilent(), []);
  assert.equal(take(gone, B), false);
  assert.deepEqual(twins.takeSilent(), ["member"]);
  assert.equal(take(gone + SECOND, B), false);
  assert.deepEqual(twins.takeSilent(), ["member"], "each second");
  assert.deepEqual(twins.takeSuccessors(at(gone + 5 * SECOND - 1)), []);
  const [successor] = twins.takeSuccessors(at(gone + 5 * SECOND));
  assert.equal(successor?.run, B);
  assert.ok(take(gone + 5 * SECOND, B));
  assert.equal(first(), undefined);
  assert.deepEqual([...twins.alarms()], []);
});

Deno.test("the second takes that place also where it says nothing new, and not while a third run is there", () => {
  for (const isThere of [false, true]) {
    const { twins, take } = alarmed();
    take(3 * SECOND, B);
    if (isThere) assert.equal(take(2 * MINUTE, C), false);
    for (let ms = 3 * SECOND; ms < 3 * MINUTE; ms += SECOND) {
      twins.otherHeard(at(ms), "member", place(2));
    }
    const [successor] = twins.takeSuccessors(at(3 * MINUTE));
    assert.equal(successor?.run, isThere ? C : B);
  }
});

Deno.test("a first that answers when it is asked stays the first, however seldom it is heard otherwise", () => {
  const { twins, take, first } = alarmed();
  for (let ms = 3 * MINUTE; ms < 60 * MINUTE; ms += 3 * MINUTE) {
    assert.equal(take(ms, B), false);
    assert.deepEqual(twins.takeSilent(), ["member"]);
    twins.heard(at(ms + SECOND), "member", place(1), A);
    assert.deepEqual(twins.takeSuccessors(at(ms + 5 * SECOND)), []);
    assert.equal(first(), A);
  }
});

Deno.test("a newcomer that declares the run that we hear is the second machine", () => {
  const { twins, take, first } = setUp();
  take(0, A);
  twins.heard(at(20 * SECOND), "member", place(1), A);
  assert.equal(take(40 * SECOND, B, A), false);
  assert.equal(first(), A);
  assert.deepEqual(twins.alarm("member")?.otherPlace, place(2));
});

Deno.test("a newcomer that declares a run that was not heard for long is the second machine until that does not answer", () => {
  const { twins, take, first } = setUp();
  take(0, A);
  assert.equal(take(10 * MINUTE, B, A), false);
  assert.equal(first(), A);
  assert.equal(take(10 * MINUTE + SECOND, B, A), false);
  assert.deepEqual(twins.takeSilent(), ["member"]);
  assert.equal(take(10 * MINUTE + 6 * SECOND, B, A), true);
  assert.equal(first(), undefined);
});

Deno.test("the run that is held to may declare another machine, and so may the first record of all", () => {
  for (const before of [[], [A]]) {
    const { twins, take, first } = setUp();
    for (const run of before) take(0, run);
    assert.ok(take(SECOND, A, B));
    assert.equal(first(), A);
    assert.deepEqual(twins.alarm("member")?.places, [place(2)]);
  }
});

Deno.test("item 11: who names another machine with its key is believed, however low its numbers are", () => {
  // Whichever of the two is known here, and whichever of them says it.
  for (const [known, by, of] of [[A, A, B], [A, B, A], [A, B, C]] as const) {
    const { twins, take, declare, first } = setUp();
    take(0, known);
    assert.equal(declare(SECOND, by, of), false);
    assert.equal(first(), A, `${by} says it of ${of}`);
    assert.deepEqual(twins.alarm("member")?.otherPlace, place(2));
  }
});

Deno.test("item 11: where the first was taken to have started anew, it is the first again by what it says", () => {
  const { take, declare, first } = setUp();
  take(0, A);
  take(MINUTE, B);
  take(MINUTE + SECOND, C);
  assert.equal(first(), undefined);
  assert.equal(declare(MINUTE + 2 * SECOND, A, B), true);
  assert.equal(first(), A, "of the two that followed it within a minute the first did");
  assert.equal(take(MINUTE + 3 * SECOND, C), false);
});

Deno.test("item 11: what was said of another machine counts for ten minutes, whoever shows it when", () => {
  const { twins, take, first } = setUp();
  take(0, A);
  const said = recordOf(A, B);
  const { twin } = said;
  twins.declared(at(4 * MINUTE), said);
  assert.equal(first(), A);
  assert.deepEqual(twins.expire(at(10 * MINUTE)), ["member"], "from when it was seen on");
  twins.declared(at(10 * MINUTE), said);
  assert.equal(first(), undefined, "it begins nothing again");
  assert.ok(twin);
  const inAnHour = { ...said, twin: { ...twin, at: twin.at + 3_600 } };
  twins.declared(at(10 * MINUTE), inAnHour);
  assert.equal(first(), undefined, "nor does what was seen in the future");
  assert.equal(twins.declared(at(0), { ...said, id: "nobody" }), false);
});

Deno.test("item 11: what names another machine has a silent first one asked, and takes no place by itself", () => {
  const { twins, declare, first } = alarmed();
  for (const ms of [3 * MINUTE, 3 * MINUTE + 6 * SECOND]) {
    assert.equal(declare(ms, B, A), false);
    assert.equal(first(), A, "its numbers are not the newest");
  }
  const [successor] = twins.takeSuccessors(at(3 * MINUTE + 6 * SECOND));
  assert.equal(successor?.run, B);
});

Deno.test("item 11: a copy that is started soon after its original was started anew is the second", () => {
  const { take, declare, first } = setUp();
  take(0, A);
  take(MINUTE, B);
  assert.ok(take(MINUTE + 20 * SECOND, C), "it may be a restart");
  assert.ok(take(MINUTE + 21 * SECOND, B));
  assert.equal(first(), B);
  const later = setUp();
  later.take(0, A);
  later.take(MINUTE, B);
  later.take(MINUTE + 20 * SECOND, C);
  assert.equal(later.take(MINUTE + 22 * SECOND, C, B), false);
  assert.equal(later.first(), B, "which it says itself");
  assert.equal(declare(MINUTE + 30 * SECOND, C, B), false);
});

Deno.test("item 11: however many runs somebody begins within a minute, the one before them is the first again", () => {
  const { take, declare, first } = setUp();
  take(0, A);
  for (let n = 0; n < 100; n++) assert.ok(take(MINUTE + 100 * n, `${n}`));
  assert.ok(declare(MINUTE + 11 * SECOND, A, "99"));
  assert.equal(first(), A);
});

Deno.test("item 11: a newcomer that names a machine that nobody knows is the second itself", () => {
  for (const isLater of [false, true]) {
    const { twins, take, declare, first } = setUp();
    take(0, A);
    if (isLater) take(SECOND, B);
    take(2 * SECOND, B, C);
    declare(3 * SECOND, A, B);
    assert.equal(first(), A, `it names it later: ${isLater}`);
    assert.equal(twins.alarm("member")?.second, B);
    assert.ok(twins.alarm("member")?.places.some((one) => one.address[3] === 2));
  }
});

Deno.test("item 11: what the second machine has signed before is no sign that it lives", () => {
  const { twins } = alarmed();
  const last = recordOf(B);
  twins.record(at(3 * SECOND), last);
  for (let ms = MINUTE; ms < 10 * MINUTE; ms += MINUTE) {
    twins.heard(at(ms - 1), "member", place(1), A);
    twins.record(at(ms), last);
  }
  assert.deepEqual(twins.expire(at(10 * MINUTE + 3 * SECOND)), ["member"]);
});

Deno.test("a run that declares itself is no alarm", () => {
  for (const before of [[], [A]]) {
    const { take, first } = setUp();
    for (const run of before) take(0, run);
    assert.ok(take(SECOND, A, A));
    assert.equal(first(), undefined);
  }
});

Deno.test("an alarm ends ten minutes after the last sign of the second machine", () => {
  const { twins } = alarmed();
  twins.otherHeard(at(5 * MINUTE), "member", place(7));
  assert.deepEqual(twins.expire(at(15 * MINUTE - 1)), []);
  assert.deepEqual(twins.alarm("member")?.otherPlace, place(7));
  assert.deepEqual(twins.expire(at(15 * MINUTE)), ["member"]);
  assert.equal(twins.alarm("member"), undefined);
  assert.deepEqual(twins.expire(at(99 * MINUTE)), []);
});

Deno.test("8 places of a second machine are remembered, each once; the oldest makes room", () => {
  const { twins } = alarmed();
  for (let n = 10; n < 10 + PLACES_MAX; n++) {
    for (const _ of [1, 2]) twins.otherHeard(at(3 * SECOND), "member", place(n));
  }
  const hosts = twins.alarm("member")?.places.map(({ address }) => address[3]);
  assert.deepEqual(hosts, [10, 11, 12, 13, 14, 15, 16, 17]);
  twins.otherHeard(at(3 * SECOND), "member", { ...place(17), port: 9 });
  assert.equal(twins.alarm("member")?.places.length, PLACES_MAX);
  assert.equal(twins.alarm("member")?.places.at(-1)?.port, 9);
});

Deno.test("who is forgotten, or has no alarm, is not watched", () => {
  const { twins, take } = alarmed();
  twins.forget("member");
  assert.equal(twins.alarm("member"), undefined);
  take(3 * SECOND, B);
  twins.otherHeard(at(3 * SECOND), "member", place(9));
  twins.heard(at(3 * SECOND), "nobody", place(9), A);
  assert.equal(twins.alarm("member"), undefined);
});

Deno.test("invariant 7: a member that declares another's place to be its second machine shuts nobody else out", () => {
  const lab = new NodeLab(toyCrypto);
  const founder = lab.founder();
  const insider = lab.joiner(founder, { name: "insider" });
  const victim = lab.joiner(founder, { name: "victim" });
  assert.ok(lab.until(60_000, () => founder.sees(insider)?.standing === "certified"));
  assert.ok(lab.until(60_000, () => victim.sees(founder)?.state === "alive"));
  const { genesis, boot } = founder.disk ?? {};
  assert.ok(genesis && boot);
  const founded = decodeGenesis(fromBase64url(genesis) ?? new Uint8Array());
  assert.ok(founded.ok);
  const meshId = meshIdOf(toyCrypto, founded.value);
  const identity = identityFromSeed(toyCrypto, insider.identitySeed);
  const [run, other] = ["aa".repeat(8), "bb".repeat(8)];
  const record = signRecord(toyCrypto, meshId, identity.signing, {
    key: identity.signing.publicKey,
    sequence: sequenceOf(9, 1),
    run,
    twin: { run: other, endpoint: { ...victim.endpoint }, at: secondsAt(founder) },
    endpoints: [insider.endpoint],
    capabilities: { relay: false, tunnel: true, meshKey: false, aesGcm: false, lanes: 1 },
    routes: [],
    version: "",
    proof: NO_PROOF,
  });
  const seal = new Seal(toyCrypto, lab.random, meshId, identity, 9, run);
  seal.know(founder.id, Uint8Array.fromHex(founder.id), boot);
  insider.crash();
  const bytes = seal.seal(founder.id, "record", record.bytes);
  assert.ok(bytes);
  founder.inject(bytes, insider.endpoint);
  const { health } = founder.node.status(founder.now());
  assert.ok(health.some((line) => line.startsWith("key: ")), health.join());
  victim.crash(); // It has to shake hands anew.
  victim.start();
  const { length } = founder.delivered;
  const arrives = () => (victim.say(founder), founder.delivered.length > length);
  assert.ok(lab.until(10_000, arrives), "the victim's packets arrive");
  assert.equal(founder.node.status(founder.now()).control["twin_handshake"], 0);
});

Deno.test("a copy that says later that the machine known before it lives is not the first", () => {
  const { take, first } = setUp();
  take(0, A);
  assert.ok(take(SECOND, B), "it may be a restart");
  assert.equal(take(2 * SECOND, B, A), false, "its record does not stand for the key");
  assert.equal(first(), A);
  assert.ok(take(3 * SECOND, A));
});

Deno.test("item 11: the alarm ends when another member proves to be where the copy was, and the copy is silent then", () => {
  const { twins, first } = alarmed();
  const ends = (ms: number) => twins.endVacant(at(MINUTE + ms));
  twins.vacate(at(MINUTE), place(2), "member"); // Its own key is no other member.
  twins.vacate(at(MINUTE), place(1), "bb");
  assert.deepEqual(ends(10 * SECOND), []);
  twins.vacate(at(MINUTE + 10 * SECOND), place(2), "bb");
  assert.deepEqual(ends(14 * SECOND), []);
  assert.equal(first(), A);
  assert.deepEqual(ends(15 * SECOND), ["member"]);
  assert.equal(first(), undefined);
});

Deno.test("an accomplice that proves the place of a copy again and again ends no alarm while the copy is heard", () => {
  const { twins, take, first } = alarmed();
  for (let second = 10; second < 300; second++) {
    const now = second * SECOND;
    twins.vacate(at(now), place(2), "bb");
    if (second % 2 === 0) twins.otherHeard(at(now + 1), "member", place(2));
    else take(now + 1, B);
    twins.heard(at(now + 2), "member", place(1), A);
    assert.deepEqual(twins.endVacant(at(now + 900)), []);
    assert.equal(first(), A);
  }
});

Deno.test("a first machine that starts anew is asked for at once, and its new run held to when the old one does not answer", () => {
  const { twins, take, first } = alarmed();
  twins.heard(at(3 * SECOND), "member", place(1), A);
  assert.equal(take(4 * SECOND, C), false);
  assert.deepEqual(twins.takeSilent(), ["member"]);
  assert.deepEqual(twins.takeSuccessors(at(9 * SECOND - 1)), []);
  const [successor] = twins.takeSuccessors(at(9 * SECOND));
  assert.equal(successor?.run, C);
  assert.ok(successor && twins.record(at(9 * SECOND), successor));
  assert.equal(first(), C);
  assert.equal(twins.alarm("member")?.second, B, "the copy may still be there");
});

Deno.test("where the first machine is heard its second is not, whatever address that writes on what it sends", () => {
  const { twins } = alarmed();
  twins.otherHeard(at(3 * SECOND), "member", place(7));
  twins.heard(at(4 * SECOND), "member", place(7), A);
  assert.deepEqual(twins.alarm("member")?.places, [place(2)]);
  assert.deepEqual(twins.alarm("member")?.otherPlace, place(2));
  twins.otherHeard(at(5 * SECOND), "member", place(7));
  assert.deepEqual(twins.alarm("member")?.places, [place(2)]);
  twins.otherHeard(at(4 * SECOND + 30 * SECOND), "member", place(7));
  assert.deepEqual(
    twins.alarm("member")?.places,
    [place(2), place(7)],
    "when the first was silent",
  );
});

Deno.test("people hear of the alarms of one key once in ten minutes, however often they begin", () => {
  const { twins, take } = setUp();
  let told = 0;
  for (let round = 0; round < 60; round++) {
    const start = round * 33 * SECOND;
    const [one, two] = round % 2 === 0 ? [A, B] : [B, A];
    for (const [n, run] of [one, two, one].entries()) take(start + 300 * n, run);
    if (twins.alarm("member") && twins.isWorthTelling(at(start + SECOND), "member")) told++;
  }
  assert.ok(told >= 2 && told <= 4, `${told} in 33 minutes`);
  assert.equal(twins.isWorthTelling(at(0), "somebody else"), false);
});

/** A record of run {@link A}, and then a sealed datagram of {@link B}: A is asked. */
function strayed() {
  const { twins, take } = setUp();
  take(0, A);
  twins.heard(at(SECOND), "member", place(1), A);
  assert.equal(twins.heard(at(2 * SECOND), "member", place(2), B), true);
  return { twins, take };
}

Deno.test("a run that answers a question that was put after another has sealed something is of two machines", () => {
  const { twins } = strayed();
  assert.ok(twins.answered(at(2 * SECOND + 50), "member", A, 2 * SECOND));
  twins.tookTurns("member");
  const { first, second, otherPlace, places } = twins.alarm("member") ?? {};
  assert.deepEqual([first, second, otherPlace, places], [A, B, place(2), [place(2)]]);
  twins.expire(at(2 * SECOND + 10 * MINUTE));
  assert.equal(twins.alarm("member"), undefined, "nothing has come from the second since");
});

Deno.test("a run of which something comes after another has sealed something is no sign of that: it may have been kept", () => {
  const { twins } = strayed();
  for (let ms = 2 * SECOND; ms < 2 * MINUTE; ms += 500) {
    twins.heard(at(ms), "member", place(1), A);
    assert.equal(twins.answered(at(ms), "member", A, 2 * SECOND - 1), false, "asked before");
    assert.equal(twins.answered(at(ms), "member", B, ms - 100), false, "the other has answered");
  }
  assert.equal(twins.alarm("member"), undefined);
});

Deno.test("an answer a minute after another has sealed something is no sign of that", () => {
  const { twins } = strayed();
  const late = 2 * SECOND + MINUTE;
  assert.equal(twins.answered(at(late), "member", A, late - 50), false);
});

Deno.test("the first is asked once a second, as long as something has come from another within a minute", () => {
  const { twins } = strayed();
  let asked = 0;
  for (let ms = 2 * SECOND; ms < 5 * MINUTE; ms += 100) {
    if (twins.heard(at(ms), "member", place(1), A)) asked++;
  }
  assert.equal(asked, 59);
});

Deno.test("datagrams of which each names another run are counted together, and the last of their places are kept", () => {
  const { twins } = strayed();
  const seen = 20;
  for (let n = 1; n <= seen; n++) {
    twins.heard(at((2 + n) * SECOND), "member", place(2 + n), `${n}`.padStart(8, "0"));
  }
  assert.ok(twins.answered(at(30 * SECOND), "member", A, 2 * SECOND));
  twins.tookTurns("member");
  const { second, places } = twins.alarm("member") ?? {};
  assert.equal(second, `${seen}`.padStart(8, "0"));
  const last = Array.from({ length: PLACES_MAX }, (_, i) => place(2 + seen - PLACES_MAX + 1 + i));
  assert.deepEqual(places, last);
});

Deno.test("a start is no second machine, though what it seals comes before its record", () => {
  const { twins, take } = strayed();
  take(3 * SECOND, B);
  for (let ms = 4 * SECOND; ms < 2 * MINUTE; ms += SECOND) {
    assert.equal(twins.heard(at(ms), "member", place(2), B), false);
    assert.equal(twins.answered(at(ms), "member", B, ms - 50), false);
  }
});

Deno.test("another run that writes the first one's address on what it seals takes that from nobody", () => {
  const { twins, take } = setUp();
  take(0, A);
  twins.heard(at(SECOND), "member", place(1), A);
  twins.heard(at(2 * SECOND), "member", place(1), B);
  assert.ok(twins.answered(at(20 * SECOND), "member", A, 19 * SECOND));
  twins.tookTurns("member");
  assert.deepEqual(twins.alarm("member")?.places, []);
});

Deno.test("a run that has sealed something and then signs a record is one machine, and it is the member's key", () => {
  const [first, second] = ["aa".repeat(8), "bb".repeat(8)];
  const { twins, take } = setUp();
  take(0, first);
  twins.heard(at(2 * SECOND), "member", place(2), second.slice(0, 8));
  assert.ok(twins.answered(at(20 * SECOND), "member", first.slice(0, 8), 19 * SECOND));
  twins.tookTurns("member");
  assert.equal(twins.alarm("member")?.mayBeOurs, true);
  assert.equal(take(30 * SECOND, second), false, "the first lives");
  assert.deepEqual(twins.takeSilent(), [], "and need not be asked, as it would for a third");
  const alarm = twins.alarm("member");
  assert.deepEqual([alarm?.second, alarm?.mayBeOurs], [second, false]);
});
