import assert from "node:assert/strict";
import type { Crypto } from "../crypto.ts";
import type { Endpoint } from "../endpoint.ts";
import type { NodeEvent } from "../event.ts";
import { Effects, type Now } from "../machine.ts";
import { requestAdmission } from "../membership/admission.ts";
import type { Identity } from "../membership/identity.ts";
import { Judge, type Judgement } from "../membership/judge.ts";
import {
  NO_PROOF,
  type NodeRecord,
  type Proof,
  sequenceOf,
  signRecord,
} from "../membership/record.ts";
import { nobleCrypto } from "../noble_crypto.ts";
import { Seeded } from "../sim/random.ts";
import { adminDraft, memberDraft, NOW, Signatories, tokenDraft } from "../sim/signatories.ts";
import { toyCrypto } from "../sim/toy_crypto.ts";
import { openOffer, openReply, sealAsk, sealRequest } from "../wire/ask.ts";
import { doorKeyOf, openAnswer, sealHello, type SentHello } from "../wire/contact.ts";
import { Door, HALF_OPEN_MAX } from "./door.ts";
import { decodeAnswer, decodeGrant, encodeIntroduction } from "./greeting.ts";
import { REQUESTS_MAX } from "./requests.ts";

function at(boot: number): Now {
  return { boot, wall: NOW * 1000 + boot };
}

/** An address of a network of its own for each number. */
function place(n: number): Endpoint {
  return { address: Uint8Array.of(11 + (n >> 8), n & 255, 0, 1), port: 1000, scope: 0 };
}

/** A door of an admin's node, which judges by what it holds, and knows these as members. */
function setUp(crypto: Crypto = toyCrypto) {
  const { bytes: random } = new Seeded(1);
  const society = new Signatories(crypto);
  const { meshId } = society;
  const self = society.person(1);
  const judge = new Judge(crypto, society.genesis);
  const add = ({ bytes }: { readonly bytes: Uint8Array }) =>
    assert.equal(judge.statements.add(bytes, NOW).kind, "new");
  add(society.sign(society.mesh, adminDraft(self)));
  const recordOf = (who: Identity, proof: Proof = NO_PROOF): NodeRecord =>
    signRecord(crypto, meshId, who.signing, {
      key: who.signing.publicKey,
      sequence: sequenceOf(1, 0),
      run: "00".repeat(8),
      twin: undefined,
      endpoints: [],
      capabilities: { relay: false, tunnel: false, meshKey: false, aesGcm: false, lanes: 1 },
      routes: [],
      version: "",
      proof,
    });
  const house = {
    statements: judge.statements,
    record: recordOf(self),
    isKnown: (_: string) => false,
    hasRoom: () => true,
    // As Mesh.judgeAtDoor does, for records whose statements are known already.
    judge: ({ id, proof: { admission } }: NodeRecord): Judgement | undefined => {
      const judgement = judge.judge(id, NOW);
      const isOut = judgement.kind === "refused" && judgement.why === "stranger";
      return isOut && admission?.subject === id
        ? judge.mayAdmit(admission, self.id, NOW)
        : judgement;
    },
    isAwaiting: false,
    wasMember: (_: string) => false,
    isDecided: (_: string) => false,
    genesis: society.genesis,
  };
  const door = new Door(at(0), crypto, random, meshId, self);
  const doorKey = doorKeyOf(crypto, meshId, self.signing.publicKey);
  assert.ok(doorKey);
  const out = new Effects<NodeEvent>();
  const sent = () => out.datagrams.splice(0).map(({ bytes }) => bytes);
  const told = () => out.events.splice(0);
  const knock = (now: Now, record: NodeRecord, from = place(1), in_ = house) => {
    const hello = sealHello(crypto, random, doorKey, record.bytes, undefined);
    assert.ok(hello);
    return { hello, ...door.hello(now, { bytes: hello.bytes, from }, in_, out) };
  };
  /** What the door has answered to a hello; undefined: nothing. */
  const read = (hello: SentHello, who: Identity) => {
    const [bytes] = sent();
    const content = bytes && openAnswer(crypto, who, hello, bytes);
    const answer = content && decodeAnswer(content);
    return answer?.ok ? answer.value : undefined;
  };
  const verdictOn = (who: Identity, proof?: Proof, now = at(0), in_ = house) => {
    const { hello, expected } = knock(now, recordOf(who, proof), undefined, in_);
    const verdict = read(hello, who)?.verdict;
    assert.equal(expected?.id, verdict?.kind === "welcome" ? who.id : undefined);
    return verdict?.kind === "refused" ? verdict.why : verdict?.kind;
  };
  /** Somebody without a token asks; the door's reply, undefined: none. */
  const ask = (now: Now, who: Identity, from = place(1), in_ = house, name = "lyon") => {
    const first = sealAsk(crypto, random);
    door.ask(now, { bytes: first.bytes, from }, in_, out);
    const [offered] = sent();
    const offer = offered && openOffer(crypto, first, offered);
    if (!offer) return undefined;
    const content = encodeIntroduction({ key: who.id, name, version: "1" });
    const request = sealRequest(crypto, random, offer, content);
    door.ask(now, { bytes: request.bytes, from }, in_, out);
    const [bytes] = sent();
    return bytes && openReply(crypto, who, request, bytes)?.reply;
  };
  const invite = (token: Identity, doors = [self], wish: Parameters<typeof tokenDraft>[2] = {}) =>
    add(society.sign(self, tokenDraft(token, doors, wish)));
  const withToken = (who: Identity, token: Identity): Proof => ({
    statements: [],
    admission: requestAdmission(crypto, meshId, token.signing, { subject: who.id, name: "lyon" }),
  });
  const tools = { crypto, random, society, self, judge, add, recordOf, house, door, out };
  return { ...tools, told, knock, read, verdictOn, ask, invite, withToken };
}

// ---- Hellos -----------------------------------------------------------------------------------

for (const [name, crypto] of [["noble", nobleCrypto], ["toy", toyCrypto]] as const) {
  Deno.test(`a member is welcomed with the door's record, where it was seen and a cookie (${name})`, () => {
    const { society, add, house, door, knock, read, recordOf } = setUp(crypto);
    const member = society.person(2);
    add(society.sign(society.mesh, memberDraft(member)));
    const record = recordOf(member);
    const { hello, expected } = knock(at(0), record);
    assert.deepEqual(expected, record);
    const answer = read(hello, member);
    assert.deepEqual(answer?.verdict, { kind: "welcome", record: house.record.bytes });
    assert.deepEqual(answer?.observed, place(1));
    assert.deepEqual(
      door.confirm(at(1), member.id, answer?.cookie ?? new Uint8Array(0), place(1)),
      record,
    );
  });
}

Deno.test("T34, invariant 11: who shows no proof of membership gets no answer at all", () => {
  const { society, door, verdictOn, withToken, invite } = setUp();
  const stranger = society.person(2);
  assert.equal(verdictOn(stranger), undefined);
  const unknown = society.person(8);
  assert.equal(verdictOn(stranger, withToken(stranger, unknown)), undefined, "nobody's token");
  const token = society.person(9);
  invite(token);
  const { admission } = withToken(society.person(3), token);
  assert.ok(admission);
  const stolen = { statements: [], admission: { ...admission, subject: stranger.id } };
  assert.equal(verdictOn(stranger, stolen), undefined, "a token signed for somebody else");
  assert.equal(door.drops.stranger, 3);
});

Deno.test("invariant 6: a token admits at a door that it names, and at no other", () => {
  const { society, verdictOn, withToken, invite } = setUp();
  const [joiner, here, elsewhere] = [society.person(2), society.person(8), society.person(9)];
  invite(here);
  invite(elsewhere, [society.person(3)]);
  assert.equal(verdictOn(joiner, withToken(joiner, here)), "welcome");
  assert.equal(verdictOn(joiner, withToken(joiner, elsewhere)), undefined);
});

Deno.test("a token that is used up, expired or revoked is refused with its reason", () => {
  const { society, self, judge, add, verdictOn, withToken, invite } = setUp();
  const [joiner, other] = [society.person(2), society.person(3)];
  const [usedUp, expired, revoked] = [7, 8, 9].map((n) => society.person(n));
  assert.ok(usedUp && expired && revoked);
  for (const token of [usedUp, revoked]) invite(token);
  invite(expired, [self], { until: NOW - 1 });
  const use = { key: usedUp.id, uses: 1 };
  add(society.sign(self, memberDraft(other, { token: use })));
  add(society.sign(self, { kind: "withdrawn", key: revoked.id }));
  assert.equal(judge.used(usedUp.id), 1);
  assert.equal(verdictOn(joiner, withToken(joiner, usedUp)), "tokenUsedUp");
  assert.equal(verdictOn(joiner, withToken(joiner, expired)), "tokenExpired");
  assert.equal(verdictOn(joiner, withToken(joiner, revoked)), "tokenRevoked");
});

Deno.test("who was a member hears why it is none any more", () => {
  const { society, self, add, verdictOn } = setUp();
  const [removed, ended, gone] = [2, 3, 4].map((n) => society.person(n));
  assert.ok(removed && ended && gone);
  for (const who of [removed, gone]) add(society.sign(self, memberDraft(who)));
  add(society.sign(self, memberDraft(ended, { until: NOW - 301 })));
  add(society.sign(self, { kind: "removed", key: removed.id }));
  add(society.sign(gone, { kind: "left" }));
  assert.equal(verdictOn(removed), "removed");
  assert.equal(verdictOn(ended), "expired");
  assert.equal(verdictOn(gone), "left");
});

Deno.test("who was certified once hears that no certificate of it counts, and a stranger nothing", () => {
  const { society, self, add, house, door, verdictOn } = setUp();
  const [admin, former, stranger] = [2, 3, 4].map((n) => society.person(n));
  assert.ok(admin && former && stranger);
  add(society.sign(society.mesh, adminDraft(admin)));
  add(society.sign(admin, memberDraft(former)));
  const wasMember = (id: string) => house.statements.wasCertified(id);
  const real = { ...house, wasMember };
  assert.equal(verdictOn(former, undefined, at(0), real), "welcome");
  add(society.sign(society.mesh, { kind: "demoted", key: admin.id }));
  add(society.sign(self, memberDraft(admin)));
  assert.equal(verdictOn(former, undefined, at(0), real), "stranger");
  assert.equal(door.drops.stranger, 0);
  assert.equal(verdictOn(stranger, undefined, at(0), real), undefined);
  assert.equal(door.drops.stranger, 1);
});

Deno.test("a full house refuses newcomers and welcomes whom it knows", () => {
  const { society, self, add, house, verdictOn } = setUp();
  const member = society.person(2);
  add(society.sign(self, memberDraft(member)));
  const full = { ...house, hasRoom: () => false };
  assert.equal(verdictOn(member, undefined, at(0), full), "full");
  const known = { ...full, isKnown: (id: string) => id === member.id };
  assert.equal(verdictOn(member, undefined, at(0), known), "welcome");
});

Deno.test("what is no record, or our own, is dropped and counted", () => {
  const { door, recordOf, self, knock, society, out } = setUp();
  knock(at(0), recordOf(self));
  const { bytes } = recordOf(society.person(2));
  knock(at(0), { bytes: bytes.subarray(1) } as NodeRecord);
  assert.equal(out.datagrams.length, 0);
  assert.equal(door.drops.invalid, 2);
  assert.equal(door.counters["invalid"], 2);
});

Deno.test("only the cookie of the answer confirms, from where it was sent to, and once", () => {
  const { society, self, add, random, door, knock, read, recordOf } = setUp();
  const member = society.person(2);
  add(society.sign(self, memberDraft(member)));
  const { hello } = knock(at(0), recordOf(member));
  const cookie = read(hello, member)?.cookie;
  assert.ok(cookie);
  for (const wrong of [new Uint8Array(16), random(16), new Uint8Array(0)]) {
    assert.equal(door.confirm(at(1), member.id, wrong, place(1)), undefined);
  }
  assert.equal(door.confirm(at(1), society.person(3).id, cookie, place(1)), undefined);
  for (const elsewhere of [place(2), { ...place(1), port: 1001 }]) {
    const confirmed = door.confirm(at(1), member.id, cookie, elsewhere);
    assert.equal(confirmed, undefined, "whoever is there has not read it");
  }
  assert.equal(door.confirm(at(1), member.id, cookie, place(1))?.id, member.id);
  assert.equal(door.confirm(at(1), member.id, cookie, place(1)), undefined, "once");
});

Deno.test("a repeated hello gets the same cookie: the confirmation of the first may be under way", () => {
  const { society, self, add, knock, read, recordOf } = setUp();
  const member = society.person(2);
  add(society.sign(self, memberDraft(member)));
  const cookies = [0, 500].map((ms) => read(knock(at(ms), recordOf(member)).hello, member)?.cookie);
  assert.ok(cookies[0]);
  assert.deepEqual(cookies[1], cookies[0]);
});

Deno.test("a half-open acquaintance ends after ten seconds", () => {
  const { society, self, add, door, knock, read, recordOf } = setUp();
  const one = society.person(2);
  add(society.sign(self, memberDraft(one)));
  const cookie = read(knock(at(0), recordOf(one)).hello, one)?.cookie;
  assert.ok(cookie);
  assert.deepEqual(door.expire(at(10_000), () => false), []);
  assert.equal(door.confirm(at(10_001), one.id, cookie, place(1)), undefined);
  assert.deepEqual(door.expire(at(10_001), () => false), [one.id]);
});

Deno.test("256 strangers can be half-open; the next one takes the place of the oldest", () => {
  const { society, self, add, knock, recordOf } = setUp();
  const all = Array.from({ length: HALF_OPEN_MAX + 1 }, (_, n) => society.person(100 + n));
  for (const who of all) add(society.sign(self, memberDraft(who)));
  const dropped = all.map((who, n) => knock(at(n * 20), recordOf(who), place(n)).dropped);
  assert.ok(dropped.slice(0, -1).every((one) => one === undefined));
  assert.equal(dropped.at(-1), all[0]?.id);
});

// ---- Asks -------------------------------------------------------------------------------------

Deno.test("invariant 11: a request without a token is answered only while a person has opened the door", () => {
  const { society, door, told, ask } = setUp();
  const asker = society.person(2);
  assert.equal(ask(at(0), asker), undefined);
  assert.deepEqual([door.list(), told()], [[], []]);
  door.requests.open(at(0), 60_000);
  assert.deepEqual(ask(at(1), asker), { kind: "pending" });
  assert.deepEqual(told(), [
    { kind: "request", who: { id: asker.id, name: "lyon" }, endpoint: place(1) },
  ]);
  assert.deepEqual(ask(at(5_000), asker), { kind: "pending" });
  assert.deepEqual(told(), [], "people hear of it once");
  assert.deepEqual(door.list().map(({ who }) => who.id), [asker.id]);
  assert.equal(ask(at(60_000), asker), undefined);
});

Deno.test("item 9: while somebody is awaited who was approved, nobody else is heard at a closed door", () => {
  const { society, door, house, told, ask } = setUp();
  const [asker, other] = [society.person(2), society.person(3)];
  const awaiting = { ...house, isAwaiting: true, isDecided: (id: string) => id === asker.id };
  assert.equal(ask(at(0), other, place(1), awaiting), undefined);
  assert.deepEqual([door.list(), told(), door.drops.stranger], [[], [], 1]);
  assert.equal(ask(at(0), asker, place(1), awaiting)?.kind, "granted");
});

Deno.test("who was decided is granted the keys of the founding, shown no more and told of no more", () => {
  const { society, door, house, told, ask } = setUp();
  const asker = society.person(2);
  door.requests.open(at(0), 60_000);
  ask(at(0), asker);
  told();
  const decided = { ...house, isAwaiting: true, isDecided: (id: string) => id === asker.id };
  const reply = ask(at(100), asker, place(1), decided);
  assert.ok(reply?.kind === "granted");
  const grant = decodeGrant(reply.payload);
  assert.deepEqual(grant.ok && grant.value.genesis, society.genesis);
  assert.deepEqual([door.list(), told()], [[], []]);
});

Deno.test("a request in our own name, or by a name that is none, is dropped", () => {
  const { society, self, door, house, ask } = setUp();
  door.requests.open(at(0), 60_000);
  assert.equal(ask(at(0), self), undefined);
  assert.equal(ask(at(0), society.person(2), place(1), house, "no label"), undefined);
  assert.equal(door.drops.invalid, 2);
  assert.deepEqual(door.list(), []);
});

Deno.test("64 requests wait for a person; a further one makes another make room", () => {
  const { society, door, ask } = setUp();
  door.requests.open(at(0), 3_600_000);
  for (let n = 0; n <= REQUESTS_MAX; n++) {
    const reply = ask(at(n * 1000), society.person(100 + n), place(256 * n));
    assert.deepEqual(reply, { kind: "pending" });
  }
  assert.equal(door.list().length, REQUESTS_MAX);
  assert.equal(door.counters["displaced"], 1);
  const ids = door.list().map(({ who }) => who.id);
  assert.ok(!ids.includes(society.person(100).id), "it was not repeated for longest");
});
