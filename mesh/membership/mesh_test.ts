import assert from "node:assert/strict";
import type { NodeEvent } from "../event.ts";
import { Effects, type Now } from "../machine.ts";
import { flipped } from "../sim/forgery.ts";
import { Seeded } from "../sim/random.ts";
import { adminDraft, memberDraft, NOW, Signatories, tokenDraft } from "../sim/signatories.ts";
import { toyCrypto as crypto } from "../sim/toy_crypto.ts";
import { decode, encode, type Message, type Rumour } from "../swim/messages.ts";
import { Tunnels } from "../tunnel/tunnels.ts";
import { PAYLOAD_MAX } from "../wire/seal.ts";
import { endorse, requestAdmission } from "./admission.ts";
import type { Identity } from "./identity.ts";
import { APPROVALS_MAX } from "./approvals.ts";
import { Mesh } from "./mesh.ts";
import { KIND, recordRumour, statementRumour } from "./news.ts";
import { NO_PROOF, type NodeRecord, sequenceOf, signRecord } from "./record.ts";
import { encodeStatements } from "./statement.ts";
import { UNPROVEN_EACH, UNPROVEN_MAX } from "./unproven.ts";

const now: Now = { boot: 1_000, wall: NOW * 1000 };

/** The mesh as its founder has it, and what others say to it. */
function setUp() {
  const { bytes: random } = new Seeded(1);
  const society = new Signatories(crypto);
  const [self, run] = [society.person(1), "11".repeat(8)];
  const capabilities = { relay: false, tunnel: true, meshKey: false, aesGcm: false, lanes: 1 };
  const mesh = new Mesh(now, {
    crypto,
    random,
    tunnels: new Tunnels({ crypto, random }),
    genesis: society.genesis,
    self: { identity: self, proof: NO_PROOF, endpoints: [], capabilities, version: "" },
    run,
    name: "founder",
    meshSigning: undefined,
    numbers: { own: 0, mesh: 0 },
    boot: 1,
    incarnation: 0,
  }, undefined);
  const out = new Effects<NodeEvent>();
  mesh.begin(now, [society.sign(society.mesh, adminDraft(self)).bytes]);
  mesh.noteStart();
  const recordOf = (who: Identity): NodeRecord =>
    signRecord(crypto, society.meshId, who.signing, {
      key: who.signing.publicKey,
      sequence: sequenceOf(1, 1),
      run,
      twin: undefined,
      endpoints: [],
      capabilities,
      routes: [],
      version: "",
      proof: NO_PROOF,
    });
  const come = (who: Identity) =>
    assert.equal(mesh.take(now, recordOf(who), out).kind, "new", who.id);
  /** A member that is here. */
  const member = (n: number): Identity => {
    const who = society.person(n);
    mesh.learn(now, society.sign(society.mesh, memberDraft(who)).bytes, out);
    come(who);
    return who;
  };
  const gossip = (from: Identity, rumour: Rumour) => {
    const rest = { incarnation: 1, view: undefined, claims: [] };
    const message = { ...rest, body: { kind: "news" }, rumours: [rumour] } as const;
    mesh.gossip(now, from.id, gossiped(encode(message, PAYLOAD_MAX)), out);
    mesh.digest(now, out);
  };
  return { society, mesh, out, come, member, gossip, recordOf };
}

/** So many certificates that somebody without an office has signed. */
function unproven(society: Signatories, by: Identity, count: number): Rumour[] {
  return Array.from(
    { length: count },
    (_, n) => statementRumour(society.sign(by, memberDraft(society.person(10_000 + n)))),
  );
}

Deno.test("what nobody entitled has signed yet waits, and counts when the statement about its signer comes", () => {
  const { society, mesh, member, gossip } = setUp();
  const [lyon, later] = [member(2), society.person(3)];
  const [rumour] = unproven(society, later, 1);
  assert.ok(rumour);
  gossip(lyon, rumour);
  const subject = society.person(10_000).id;
  assert.equal(mesh.statements.certificate(subject), undefined);
  gossip(lyon, statementRumour(society.sign(society.mesh, adminDraft(later))));
  assert.ok(mesh.statements.certificate(subject));
  assert.equal(mesh.counters()["unproven"], 0);
});

Deno.test("invariant 13: 8 unproven things of one member wait; the oldest makes room", () => {
  const { society, mesh, member, gossip } = setUp();
  const [lyon, nice, later] = [member(2), member(3), society.person(4)];
  const all = unproven(society, later, UNPROVEN_EACH + 3);
  const [ofNice, ...ofLyon] = all;
  assert.ok(ofNice);
  gossip(nice, ofNice);
  for (const rumour of ofLyon) gossip(lyon, rumour);
  for (const rumour of ofLyon.slice(-1)) gossip(lyon, rumour);
  assert.equal(mesh.counters()["unproven"], ofLyon.length - UNPROVEN_EACH);
  gossip(nice, statementRumour(society.sign(society.mesh, adminDraft(later))));
  const certified = all.map((_, n) =>
    mesh.statements.certificate(society.person(10_000 + n).id) !== undefined
  );
  const lost = [1, 2];
  assert.deepEqual(certified, all.map((_, n) => !lost.includes(n)), "those of others stay");
});

Deno.test("invariant 13: 256 unproven things wait in all; the oldest makes room", () => {
  const { society, mesh, member, gossip } = setUp();
  const later = society.person(3);
  const all = unproven(society, later, UNPROVEN_MAX + 2);
  const senders = Array.from({ length: all.length / UNPROVEN_EACH + 1 }, (_, n) => member(100 + n));
  for (const [n, rumour] of all.entries()) {
    const sender = senders[Math.floor(n / UNPROVEN_EACH)];
    assert.ok(sender);
    gossip(sender, rumour);
  }
  assert.equal(mesh.counters()["unproven"], 2);
  const [first] = senders;
  assert.ok(first);
  gossip(first, statementRumour(society.sign(society.mesh, adminDraft(later))));
  const certified = all.filter((_, n) =>
    mesh.statements.certificate(society.person(10_000 + n).id) !== undefined
  );
  assert.deepEqual(certified, all.slice(2));
});

Deno.test("invariant 13: the farewell of a provisional member is news to nobody until its signer is certified", () => {
  const { society, mesh, out, come, member, gossip, recordOf } = setUp();
  const [founder, lyon, guest, token] = [1, 2, 3, 4].map((n) => society.person(n));
  assert.ok(founder && lyon && guest && token);
  member(2);
  mesh.noteStart(); // it has to compare first, and certifies nobody on sight
  mesh.learn(now, society.sign(founder, tokenDraft(token, [founder])).bytes, out);
  const wish = { subject: guest.id, name: "guest" };
  const request = requestAdmission(crypto, society.meshId, token.signing, wish);
  const admission = endorse(crypto, society.meshId, request, founder.signing, NOW);
  assert.equal(mesh.judge.admit(admission, NOW).kind, "member");
  come(guest);
  const farewell = society.sign(guest, { kind: "left" });
  const sent: { to: string; kind: string; payload: Uint8Array }[] = [];
  mesh.send = (_, to, kind, payload) => Math.min(1, sent.push({ to, kind, payload }));
  /** Whether whoever asks is given the farewell. */
  const isGiven = () => {
    sent.length = 0;
    const body = { kind: "want", rumours: [{ kind: KIND.statement, tag: guest.id.slice(0, 32) }] };
    const message = { incarnation: 1, view: undefined, body, claims: [], rumours: [] } as const;
    const bytes = encode(message as Message, PAYLOAD_MAX);
    mesh.gossip(now, lyon.id, gossiped(bytes), out);
    return sent.some(({ kind, payload }) => {
      const read = kind === "gossip" ? decode(payload, PAYLOAD_MAX) : undefined;
      return read?.ok && read.value.rumours.some(({ key }) => key === guest.id);
    });
  };
  gossip(lyon, statementRumour(farewell));
  assert.ok(mesh.statements.hasLeft(guest.id));
  assert.equal(mesh.roster.get(guest.id), undefined, "it is believed here");
  assert.ok(!isGiven(), "who has not met the guest would refuse it, and be offered it for ever");
  sent.length = 0;
  gossip(lyon, recordRumour(recordOf(guest)));
  const expected = {
    to: lyon.id,
    kind: "statements",
    payload: encodeStatements([farewell], 1_000),
  };
  assert.deepEqual(sent, [expected], "who has met it is told");
  const other = society.person(5);
  mesh.learn(now, society.sign(society.mesh, adminDraft(other)).bytes, out);
  mesh.learn(now, society.sign(other, memberDraft(guest)).bytes, out);
  assert.ok(isGiven(), "by its certificate everybody can tell");
  mesh.learn(now, society.sign(society.mesh, { kind: "demoted", key: other.id }).bytes, out);
  assert.ok(!isGiven(), "its certificate counts no more");
  assert.ok(mesh.statements.hasLeft(guest.id));
});

Deno.test("64 approvals of keys that were not met are waited for; the oldest is not any more", () => {
  const { society, mesh, out, come } = setUp();
  const people = Array.from({ length: APPROVALS_MAX + 1 }, (_, n) => society.person(200 + n));
  assert.equal(mesh.isAwaiting(now), false);
  for (const who of people) assert.ok(mesh.say(now, "own", memberDraft(who), out).ok);
  for (const who of people.slice(1)) {
    assert.ok(mesh.isAwaiting(now));
    come(who);
  }
  assert.equal(mesh.isAwaiting(now), false, "the first has not come, and closes the door only");
  come(people[0] ?? society.person(200));
});

Deno.test("an approval is waited for during one day", () => {
  const { society, mesh, out } = setUp();
  assert.ok(mesh.say(now, "own", memberDraft(society.person(200)), out).ok);
  const after = (seconds: number) => ({ boot: now.boot, wall: now.wall + seconds * 1000 });
  assert.ok(mesh.isAwaiting(after(86_400)));
  assert.ok(!mesh.isAwaiting(after(86_401)));
});

Deno.test("a certificate costs no more judgements, and no more looks at others, for all that its token has certified before", () => {
  for (const uses of [1_000, 5]) {
    const { society, mesh, out, come } = setUp();
    const token = { key: society.person(500).id, uses };
    const { statements, judge } = mesh;
    let [judgements, looks] = [0, 0];
    const judgeOne = judge.judge.bind(judge);
    judge.judge = (...args) => {
      judgements++;
      return judgeOne(...args);
    };
    const counts = statements.counts.bind(statements);
    statements.counts = (...args) => {
      looks++;
      return counts(...args);
    };
    /** What the n-th certificate of the token costs. */
    const costs: (readonly [number, number])[] = [];
    for (let n = 0; n < 200; n++) {
      const who = society.person(1_000 + n);
      // Those that came later count as earlier: each puts out the last within the uses.
      const draft = memberDraft(who, { since: NOW - n, token });
      const { bytes } = society.sign(society.mesh, draft);
      [judgements, looks] = [0, 0];
      assert.equal(mesh.learn(now, bytes, out).kind, "new");
      costs.push([judgements, looks]);
      come(who);
    }
    const [first, last] = [costs[20], costs[199]];
    assert.ok(first && last);
    assert.ok(last[0] <= first[0] + 2, `${last[0]} judgements, ${first[0]} at first`);
    assert.ok(last[1] <= first[1] + 10, `${last[1]} looks, ${first[1]} at first`);
    const ids = Array.from({ length: 200 }, (_, n) => society.person(1_000 + n).id);
    const certified = ids.filter((id) => statements.certificate(id) !== undefined);
    assert.equal(certified.length, Math.min(uses, 200));
    for (const id of ids) {
      const standing = judgeOne(id, NOW).kind === "member";
      assert.equal(standing, certified.includes(id));
    }
  }
});

Deno.test("whom an earlier certificate of its token puts out is judged at once", () => {
  const { society, mesh, out, come } = setUp();
  const token = { key: society.person(500).id, uses: 2 };
  const certify = (n: number, since: number) => {
    const who = society.person(n);
    const draft = memberDraft(who, { since, token });
    mesh.learn(now, society.sign(society.mesh, draft).bytes, out);
    return who;
  };
  const both = [1_001, 1_002].map((n) => certify(n, NOW - 1));
  for (const one of both) come(one);
  const here = () => both.filter(({ id }) => mesh.roster.get(id) !== undefined).length;
  assert.equal(here(), 2);
  certify(1_003, NOW - 2);
  assert.equal(here(), 1);
});

Deno.test("invariant 6: a record with a false signature costs its token no use, and the next one is let in", () => {
  const { society, mesh, out, recordOf } = setUp();
  const [self, token, stranger] = [society.person(1), society.person(5), society.person(9)];
  const invite = society.sign(self, tokenDraft(token, [self], { uses: 1 }));
  // Nobody has given its signer an office: its signature is not looked at when it is learned.
  const certificate = society.sign(stranger, memberDraft(society.person(8)));
  const knock = (n: number, ...more: Uint8Array[]) => {
    const who = society.person(n);
    const wish = { subject: who.id, name: `p${n}` };
    const admission = requestAdmission(crypto, society.meshId, token.signing, wish);
    const proof = { statements: [invite.bytes, ...more], admission };
    return mesh.letIn(
      now,
      signRecord(crypto, society.meshId, who.signing, {
        ...recordOf(who),
        key: who.signing.publicKey,
        proof,
      }),
      out,
    );
  };
  assert.equal(
    knock(2, flipped(certificate.bytes, 8 * certificate.bytes.length - 1)).kind,
    "refused",
  );
  assert.equal(knock(3).kind, "new");
  assert.equal(knock(4).kind, "refused", "it was for one");
});

Deno.test("what waits for its proof is judged again when that may have come, and not at each word of an admin", () => {
  const { society, mesh, out, member, gossip, recordOf } = setUp();
  const [self, lyon, guest, stranger] = [
    society.person(1),
    member(2),
    society.person(6),
    society.person(9),
  ];
  const [waiting] = unproven(society, stranger, 1);
  assert.ok(waiting);
  gossip(lyon, waiting);
  gossip(lyon, recordRumour(recordOf(guest)));
  let looks = 0;
  const { mayLook } = mesh.scrutiny.forgers;
  mesh.scrutiny.forgers.mayLook = (...args) => {
    looks++;
    return mayLook.apply(mesh.scrutiny.forgers, args);
  };
  const say = (draft: Parameters<Signatories["sign"]>[1]) => {
    looks = 0;
    mesh.learn(now, society.sign(self, draft).bytes, out);
    mesh.digest(now, out);
    return looks;
  };
  assert.equal(say({ kind: "removed", key: society.person(70).id }), 0);
  assert.equal(say(memberDraft(society.person(71))), 0);
  assert.equal(say(memberDraft(guest)), 1, "the guest's record");
  assert.ok(mesh.roster.get(guest.id));
  mesh.learn(now, society.sign(society.mesh, adminDraft(stranger)).bytes, out);
  mesh.digest(now, out);
  assert.ok(mesh.statements.certificate(society.person(10_000).id));
});

Deno.test("invariant 13: the word of an office costs as much where thousands have a certificate and are not here as where few have", () => {
  const looks = [4, 64].map((absent) => {
    const { society, mesh, out } = setUp();
    const by = society.person(2);
    mesh.learn(now, society.sign(society.mesh, adminDraft(by)).bytes, out);
    for (let n = 0; n < absent; n++) {
      mesh.learn(now, society.sign(by, memberDraft(society.person(100 + n))).bytes, out);
    }
    const judge = mesh.judge.judge.bind(mesh.judge);
    let judged = 0;
    mesh.judge.judge = (...of) => {
      judged++;
      return judge(...of);
    };
    mesh.learn(now, society.sign(society.mesh, adminDraft(society.person(3))).bytes, out);
    return judged;
  });
  assert.equal(looks[0], looks[1]);
});

Deno.test("invariant 7: with the office of a signer the names end that it gave, also to those who are not here", () => {
  const { society, mesh, out } = setUp();
  const [by, token] = [society.person(2), society.person(3)];
  const use = { key: token.id, uses: 1 };
  const say = (one: { readonly bytes: Uint8Array }) => mesh.learn(now, one.bytes, out);
  const [first, second] = [society.person(4), society.person(5)];
  say(society.sign(society.mesh, adminDraft(by)));
  say(society.sign(by, memberDraft(first, { name: "first", since: NOW - 2, token: use })));
  const later = { name: "second", since: NOW - 1, token: use };
  say(society.sign(society.mesh, memberDraft(second, later)));
  const holders = () => ["first", "second"].map((name) => [...mesh.roster.namesakes(name)]);
  assert.deepEqual(holders(), [[first.id], []], "the invite admits one");
  say(society.sign(society.mesh, { kind: "demoted", key: by.id }));
  assert.deepEqual(holders(), [[], [second.id]]);
});

/** A payload of gossip, as it has come. */
function gossiped(payload: Uint8Array) {
  const place = { address: Uint8Array.of(192, 0, 2, 1), port: 51820, scope: 0 };
  return { payload, run: "aa".repeat(4), place };
}
