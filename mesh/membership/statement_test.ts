import assert from "node:assert/strict";
import fc from "fast-check";
import { U48_MAX, Writer } from "../codec.ts";
import { nobleCrypto } from "../noble_crypto.ts";
import { flipped } from "../sim/forgery.ts";
import {
  adminDraft,
  guestDraft,
  memberDraft,
  NOW,
  Signatories,
  tokenDraft,
} from "../sim/signatories.ts";
import { toyCrypto } from "../sim/toy_crypto.ts";
import {
  canonicalGroups,
  decodeStatement,
  decodeStatements,
  DOORS_MAX,
  type Draft,
  encodeStatements,
  GROUPS_BYTES_MAX,
  GROUPS_MAX,
  groupsFault,
  hashOf,
  isGroup,
  isName,
  isSigned,
  type Kind,
  kindIn,
  NUMBER_MAX,
  signerOf,
  signStatement,
  STATEMENT_MAX,
  subjectOf,
  SUCCESSOR_MAX,
  USES_MAX,
} from "./statement.ts";

const society = new Signatories(toyCrypto);
const { meshId } = society;
const [anna, bert, carl, dora] = [1, 2, 3, 4].map((n) => society.person(n));
assert.ok(anna && bert && carl && dora);
const signer = anna;

/** One of each kind. */
const DRAFTS: readonly Draft[] = [
  { kind: "successor", key: anna.id },
  adminDraft(anna, { name: "lyon", groups: ["db", "web"] }),
  { kind: "demoted", key: anna.id },
  memberDraft(anna, { relay: true, token: { key: bert.id, uses: 3 } }),
  { kind: "removed", key: anna.id },
  { kind: "withdrawn", key: anna.id },
  tokenDraft(anna, [bert, carl], { groups: ["web"], uses: 9 }),
  { kind: "left" },
  guestDraft(anna, bert, { groups: ["web"] }),
];

function read(bytes: Uint8Array, crypto = toyCrypto) {
  return decodeStatement(bytes, hashOf(crypto, bytes));
}

function isGood(bytes: Uint8Array, crypto = toyCrypto, mesh = meshId): boolean {
  const decoded = read(bytes, crypto);
  return decoded.ok && isSigned(crypto, mesh, decoded.value);
}

function errorOf(draft: Draft, number = 1): string {
  const { bytes } = society.sign(signer, draft, { number });
  const decoded = read(bytes);
  return decoded.ok ? "no error" : decoded.error;
}

// ---- Any content ------------------------------------------------------------------------------

const key = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => bytes.toHex());
const time = fc.oneof(fc.constantFrom(0, U48_MAX), fc.maxSafeNat().map((n) => n % U48_MAX));
const uses = fc.integer({ min: 1, max: USES_MAX });
const groups = fc.uniqueArray(fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,10}$/), { maxLength: 8 })
  .map(canonicalGroups);
const certificate = fc.record({
  key,
  name: fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/).filter(isName),
  relay: fc.boolean(),
  ip4Counter: fc.nat(0xffff),
  since: time,
  groups,
});
const draft: fc.Arbitrary<Draft> = fc.oneof(
  ...(["successor", "demoted", "removed", "withdrawn"] as const)
    .map((kind) => fc.record({ kind: fc.constant(kind), key })),
  fc.record({ kind: fc.constant("admin" as const), certificate }),
  fc.record({
    kind: fc.constant("member" as const),
    certificate,
    until: time,
    token: fc.option(fc.record({ key, uses }), { nil: undefined }),
  }),
  fc.record({
    kind: fc.constant("token" as const),
    key,
    uses,
    relay: fc.boolean(),
    groups,
    until: time,
    memberUntil: time,
    doors: fc.array(key, { minLength: 1, maxLength: DOORS_MAX }),
  }),
  fc.record({
    kind: fc.constant("guest" as const),
    certificate: certificate.map((one) => ({ ...one, relay: false })),
    until: time,
    host: key,
  }),
  fc.record({ kind: fc.constant("left" as const) }),
);

function numberOf(kind: Kind, nat: number): number {
  if (kind === "left") return 0;
  return 1 + nat % (kind === "successor" ? SUCCESSOR_MAX : NUMBER_MAX);
}

Deno.test("a statement of any content is read as it was signed, and its signature fits", () => {
  fc.assert(fc.property(draft, fc.nat(), time, (draft, nat, at) => {
    const number = numberOf(draft.kind, nat);
    const signed = signStatement(toyCrypto, meshId, anna.signing, draft, { number, at });
    assert.ok(signed.bytes.length <= STATEMENT_MAX);
    const decoded = read(signed.bytes);
    // fast-check makes objects without a prototype.
    assert.deepEqual(decoded, { ok: true, value: structuredClone(signed) });
    assert.ok(isSigned(toyCrypto, meshId, signed));
    assert.equal(signerOf(signed.bytes), anna.id);
    assert.equal(kindIn(signed.bytes), draft.kind);
  }));
});

for (const [name, crypto] of [["noble", nobleCrypto], ["toy", toyCrypto]] as const) {
  Deno.test(`each kind of statement is signed and read (${name})`, () => {
    const society = new Signatories(crypto);
    for (const draft of DRAFTS) {
      const { bytes } = society.sign(society.mesh, draft);
      assert.ok(isGood(bytes, crypto, society.meshId), draft.kind);
    }
  });
}

// ---- Forgery ----------------------------------------------------------------------------------

Deno.test("T41: a statement with any one bit the other way is refused", () => {
  for (const draft of DRAFTS) {
    const { bytes } = society.sign(society.mesh, draft);
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      assert.ok(!isGood(flipped(bytes, bit)), `${draft.kind}, bit ${bit}`);
    }
  }
});

Deno.test("T41: a statement with a byte altered is refused by its real signature, too", () => {
  const society = new Signatories(nobleCrypto);
  const { bytes } = society.sign(society.mesh, memberDraft(society.person(1)));
  for (let at = 0; at < bytes.length; at++) {
    const altered = flipped(bytes, 8 * at + at % 8);
    assert.ok(!isGood(altered, nobleCrypto, society.meshId), `byte ${at}`);
  }
});

Deno.test("T41: a signature has one form: nobody else can give a statement another hash", () => {
  const society = new Signatories(nobleCrypto);
  const { bytes } = society.sign(society.mesh, { kind: "removed", key: anna.id });
  // S + L, which a lax verifier takes for S.
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const scalar = bytes.slice(-32).reverse();
  const malleated = BigInt(`0x${scalar.toHex()}`) + order;
  const altered = bytes.slice();
  altered.set(
    Uint8Array.fromHex(malleated.toString(16).padStart(64, "0")).reverse(),
    -32 + bytes.length,
  );
  assert.ok(isGood(bytes, nobleCrypto, society.meshId));
  assert.ok(!isGood(altered, nobleCrypto, society.meshId));
});

Deno.test("a statement that is cut short anywhere, or longer, is refused", () => {
  for (const draft of DRAFTS) {
    const { bytes } = society.sign(society.mesh, draft);
    for (let length = 0; length < bytes.length; length++) {
      assert.ok(!isGood(bytes.subarray(0, length)), `${draft.kind}, ${length} bytes`);
    }
    assert.ok(!isGood(Uint8Array.of(...bytes, 0)), draft.kind);
  }
});

Deno.test("a statement means nothing in another mesh", () => {
  const other = new Signatories(toyCrypto, 2);
  for (const draft of DRAFTS) {
    const { bytes } = society.sign(anna, draft);
    assert.ok(isGood(bytes));
    assert.ok(!isGood(bytes, toyCrypto, other.meshId), draft.kind);
  }
});

Deno.test("invariant 14: the version of the protocol stands inside the signature", () => {
  const { bytes } = society.sign(anna, { kind: "left" });
  const body = bytes.subarray(0, -64);
  const signedAs = (version: number) => {
    const label = new TextEncoder().encode(`shoal statement ${version}\0`);
    const part = new Writer().bytes(label).bytes(meshId).bytes(body).finish();
    const signature = toyCrypto.ed25519Sign(anna.signing, part);
    return new Writer().bytes(body).bytes(signature).finish();
  };
  assert.deepEqual(signedAs(3), bytes);
  assert.ok(!isGood(signedAs(1)));
  assert.ok(!isGood(signedAs(2)));
});

Deno.test("T18: no bytes make the decoder throw, and what it reads has one encoding", () => {
  const any = fc.uint8Array({ maxLength: STATEMENT_MAX + 8 }).map((bytes) =>
    Uint8Array.from(bytes)
  );
  const altered = fc.tuple(
    fc.constantFrom(...DRAFTS),
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
  ).map(([draft, changes]) => {
    const bytes = society.sign(anna, draft).bytes.slice();
    for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
    return bytes;
  });
  let good = 0;
  fc.assert(
    fc.property(fc.oneof(any, altered), (bytes) => {
      const decoded = read(bytes);
      if (!decoded.ok) return;
      good++;
      const { number, at } = decoded.value;
      const again = signStatement(toyCrypto, meshId, bert.signing, decoded.value, { number, at });
      assert.deepEqual(again.bytes.subarray(33, -64), bytes.subarray(33, -64));
    }),
    { numRuns: 2000 },
  );
  assert.ok(good > 100, "otherwise nothing was looked at");
});

// ---- Bounds -----------------------------------------------------------------------------------

Deno.test("invariant 13: a signer has the numbers 1 to 16,384, a successor 1 to 65,535, a farewell 0", () => {
  assert.equal(NUMBER_MAX, 16_384);
  for (const draft of DRAFTS) {
    const { kind } = draft;
    const [least, most] = kind === "left"
      ? [0, 0]
      : kind === "successor"
      ? [1, SUCCESSOR_MAX]
      : [1, NUMBER_MAX];
    for (const number of [0, 1, NUMBER_MAX, NUMBER_MAX + 1, SUCCESSOR_MAX]) {
      const isRight = number >= least && number <= most;
      const error = isRight ? "no error" : `a ${kind} of number ${number}`;
      assert.equal(errorOf(draft, number), error);
    }
  }
});

Deno.test("a name is a DNS label in lower case, and not one that ends like a name made of a key", () => {
  for (const name of ["a", "lyon-2", "0", "a".repeat(63), "xn--bcher-kva"]) {
    assert.ok(isName(name), name);
    assert.equal(errorOf(memberDraft(anna, { name })), "no error", name);
  }
  const ofKey = `lyon-${anna.id.slice(0, 32)}`;
  for (
    const name of ["", "-a", "a-", "Lyon", "a.b", "a b", "ü", "a\n", ofKey, `-${"0".repeat(32)}`]
  ) {
    assert.ok(!isName(name), name);
    assert.match(errorOf(memberDraft(anna, { name })), /no DNS label/, name);
  }
  assert.ok(isName(ofKey.slice(0, -1)), "31 digits make no name of a key");
  assert.ok(!isName("a".repeat(64)));
  assert.notEqual(errorOf(adminDraft(anna, { name: "a".repeat(64) })), "no error");
});

Deno.test("groups are up to 8 sorted names of 96 bytes together", () => {
  const many = Array.from({ length: GROUPS_MAX + 1 }, (_, i) => `g${i}`);
  const long = ["a", "b", "c"].map((letter) => letter.repeat(32));
  for (const good of [[], ["web"], many.slice(1), long.slice(1)]) {
    assert.equal(groupsFault(good), undefined);
    assert.equal(errorOf(memberDraft(anna, { groups: good })), "no error");
  }
  const faults = [
    [["Web"], /group "Web": use up to 32 of a-z/],
    [["a".repeat(33)], /use up to 32/],
    [[""], /group ""/],
    [many, /^9 groups: a member has up to 8$/],
    [long, /^groups of 99 bytes together: a member has up to 96$/],
  ] as const;
  for (const [bad, sentence] of faults) {
    assert.match(groupsFault(bad) ?? "", sentence);
    assert.notEqual(errorOf(memberDraft(anna, { groups: bad })), "no error", String(bad));
    assert.notEqual(errorOf(tokenDraft(anna, [bert], { groups: bad })), "no error", String(bad));
  }
  assert.equal(groupsFault([...many.slice(1), "g1"]), undefined, "a group named twice is one");
  assert.equal(GROUPS_BYTES_MAX, 96);
  assert.ok(isGroup("a_b-c") && !isGroup("-a") && !isGroup("a b"));
});

Deno.test("groups that are not in the one order that is signed are refused", () => {
  for (const groups of [["web", "db"], ["web", "web"]]) {
    assert.match(errorOf(memberDraft(anna, { groups })), /groups are not sorted names/);
    assert.deepEqual(canonicalGroups(groups), [...new Set(groups)].toSorted());
  }
});

Deno.test("a token has 1 to 3 doors and at least one use", () => {
  const doors = [anna, bert, carl, dora];
  for (const count of [1, 2, 3]) {
    assert.equal(errorOf(tokenDraft(anna, doors.slice(0, count))), "no error");
  }
  assert.equal(errorOf(tokenDraft(anna, [])), "a token with 0 doors");
  assert.equal(errorOf(tokenDraft(anna, doors)), "a token with 4 doors");
  assert.equal(errorOf(tokenDraft(anna, [bert], { uses: 0 })), "a token without uses");
  assert.equal(errorOf(tokenDraft(anna, [bert], { uses: USES_MAX })), "no error");
  const token = { key: anna.id, uses: 0 };
  assert.equal(errorOf(memberDraft(anna, { token })), "a token without uses");
});

Deno.test("what is yes or no is written as 1 or 0, and a kind is one of nine", () => {
  const member = society.sign(anna, memberDraft(bert, { name: "lyon" })).bytes.slice();
  const relayAt = 41 + 32 + 5;
  assert.equal(member[relayAt], 0);
  member[relayAt] = 2;
  assert.deepEqual(read(member), { ok: false, error: "2 where 0 or 1 is meant" });
  assert.equal(
    errorOf(guestDraft(anna, bert, { relay: true })),
    "a guest that carries the traffic of others",
  );
  const left = society.sign(anna, { kind: "left" }).bytes.slice();
  for (const kind of [DRAFTS.length, 255]) {
    left[0] = kind;
    assert.deepEqual(read(left), { ok: false, error: "a statement of unknown kind" });
  }
});

Deno.test("the longest statements fit, and no longer bytes are looked at", () => {
  const wish = { name: "a".repeat(63), groups: ["a".repeat(32), "b".repeat(32), "c".repeat(29)] };
  const token = { key: bert.id, uses: 1 };
  const drafts = [
    memberDraft(anna, { ...wish, token }),
    adminDraft(anna, wish),
    guestDraft(anna, bert, wish),
  ];
  for (const draft of drafts) {
    assert.ok(isGood(society.sign(anna, draft).bytes));
  }
  assert.deepEqual(read(new Uint8Array(STATEMENT_MAX + 1)), {
    ok: false,
    error: `${STATEMENT_MAX + 1} bytes are no statement`,
  });
  assert.deepEqual(read(new Uint8Array(64)), { ok: false, error: "64 bytes are no statement" });
});

// ---- Together ---------------------------------------------------------------------------------

Deno.test("a statement is about the key that it names, and a farewell about its signer", () => {
  for (const draft of DRAFTS) {
    const subject: string = draft.kind === "left" ? bert.id : anna.id;
    assert.equal(subjectOf(society.sign(bert, draft)), subject, draft.kind);
  }
});

Deno.test("as many statements as fit go into one datagram, and damaged ones into none", () => {
  const all = DRAFTS.map((draft) => society.sign(anna, draft));
  const whole = encodeStatements(all, 4096);
  assert.deepEqual(decodeStatements(whole), all.map(({ bytes }) => bytes));
  for (let limit = 0; limit <= whole.length; limit++) {
    const some = encodeStatements(all, limit);
    assert.ok(some.length <= limit);
    const read = decodeStatements(some).map((bytes) => bytes.toHex());
    const rest = all.filter(({ bytes }) => !read.includes(bytes.toHex()));
    assert.ok(rest.every(({ bytes }) => some.length + 2 + bytes.length > limit), `${limit} bytes`);
  }
  assert.deepEqual(decodeStatements(whole.subarray(0, -1)), []);
  assert.deepEqual(decodeStatements(Uint8Array.of(255, 255, 0)), []);
  assert.deepEqual(decodeStatements(new Uint8Array(0)), []);
  assert.equal(kindIn(new Uint8Array(0)), undefined);
  assert.equal(NOW, all[0]?.at);
});
