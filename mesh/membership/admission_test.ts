import assert from "node:assert/strict";
import fc from "fast-check";
import { nobleCrypto } from "../noble_crypto.ts";
import { flipped } from "../sim/forgery.ts";
import { NOW, Signatories } from "../sim/signatories.ts";
import { toyCrypto } from "../sim/toy_crypto.ts";
import {
  type Admission,
  ADMISSION_MAX,
  decodeAdmission,
  encodeAdmission,
  endorse,
  isSound,
  requestAdmission,
} from "./admission.ts";

function setUp(crypto = toyCrypto) {
  const society = new Signatories(crypto);
  const { meshId } = society;
  const [joiner, door] = [society.person(1), society.person(2)];
  const [token, thief] = [society.person(3), society.person(4)];
  const request = requestAdmission(crypto, meshId, token.signing, {
    subject: joiner.id,
    name: "lyon",
  });
  const endorsed = endorse(crypto, meshId, request, door.signing, NOW);
  return { crypto, meshId, joiner, door, token, thief, request, endorsed };
}

for (const [name, crypto] of [["noble", nobleCrypto], ["toy", toyCrypto]] as const) {
  Deno.test(`a request and an endorsed admission are read as they were signed (${name})`, () => {
    const { meshId, request, endorsed, door, joiner } = setUp(crypto);
    assert.equal(request.subject, joiner.id);
    assert.deepEqual([endorsed.endorsement?.door, endorsed.endorsement?.at], [door.id, NOW]);
    for (const admission of [request, endorsed]) {
      assert.ok(isSound(crypto, meshId, admission));
      const bytes = encodeAdmission(admission);
      assert.deepEqual(decodeAdmission(bytes), { ok: true, value: admission });
    }
  });
}

Deno.test("the longest admission fits", () => {
  const { crypto, meshId, token, door, joiner } = setUp();
  const wish = { subject: joiner.id, name: "a".repeat(63) };
  const request = requestAdmission(crypto, meshId, token.signing, wish);
  const longest = encodeAdmission(endorse(crypto, meshId, request, door.signing, NOW));
  assert.equal(longest.length, ADMISSION_MAX);
});

Deno.test("T41: an admission with any one bit the other way is refused", () => {
  const { crypto, meshId, request, endorsed } = setUp();
  for (const admission of [request, endorsed]) {
    const bytes = encodeAdmission(admission);
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const decoded = decodeAdmission(flipped(bytes, bit));
      assert.ok(!decoded.ok || !isSound(crypto, meshId, decoded.value), `bit ${bit}`);
    }
    for (let length = 0; length < bytes.length; length++) {
      assert.ok(!decodeAdmission(bytes.subarray(0, length)).ok, `${length} bytes`);
    }
    assert.ok(!decodeAdmission(Uint8Array.of(...bytes, 0)).ok);
  }
});

Deno.test("invariant 6: nobody is admitted under a token whose secret it has not, nor by a door that did not sign", () => {
  const { crypto, meshId, endorsed, thief, door, token } = setUp();
  const { endorsement } = endorsed;
  assert.ok(endorsement);
  const wrong: Admission[] = [
    { ...endorsed, subject: thief.id },
    { ...endorsed, token: thief.id },
    { ...endorsed, name: "paris" },
    { ...endorsed, endorsement: { ...endorsement, door: thief.id } },
    { ...endorsed, endorsement: { ...endorsement, at: NOW - 1 } },
    { ...endorsed, signature: endorsement.signature },
    endorse(crypto, meshId, { ...endorsed, subject: thief.id }, door.signing, NOW),
  ];
  for (const one of wrong) assert.ok(!isSound(crypto, meshId, one));
  const other = requestAdmission(crypto, meshId, token.signing, {
    subject: thief.id,
    name: "lyon",
  });
  assert.ok(!isSound(crypto, meshId, { ...other, endorsement }), "the door let in another");
});

Deno.test("an admission means nothing in another mesh", () => {
  const { crypto, request, endorsed } = setUp();
  const { meshId } = new Signatories(crypto, 2);
  for (const one of [request, endorsed]) assert.ok(!isSound(crypto, meshId, one));
});

Deno.test("a name that is no DNS label, or a third kind of endorsement, is refused", () => {
  const { crypto, meshId, token, joiner, request } = setUp();
  for (const name of ["", "Lyon", "a b", `lyon-${joiner.id.slice(0, 32)}`]) {
    const wish = { subject: joiner.id, name };
    const bytes = encodeAdmission(requestAdmission(crypto, meshId, token.signing, wish));
    assert.deepEqual(decodeAdmission(bytes), { ok: false, error: "a name that is no DNS label" });
  }
  const bytes = encodeAdmission(request);
  bytes[bytes.length - 1] = 2;
  assert.deepEqual(decodeAdmission(bytes), {
    ok: false,
    error: "an endorsement is there or not",
  });
});

Deno.test("T18: no bytes make the decoder throw, and what it reads has one encoding", () => {
  const { request, endorsed } = setUp();
  const altered = fc.tuple(
    fc.constantFrom(request, endorsed),
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
  ).map(([admission, changes]) => {
    const bytes = encodeAdmission(admission);
    for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
    return bytes;
  });
  const any = fc.uint8Array({ maxLength: ADMISSION_MAX + 8 }).map((bytes) =>
    Uint8Array.from(bytes)
  );
  let good = 0;
  fc.assert(
    fc.property(fc.oneof(any, altered), (bytes) => {
      const decoded = decodeAdmission(bytes);
      if (!decoded.ok) return;
      good++;
      assert.deepEqual(encodeAdmission(decoded.value), bytes);
    }),
    { numRuns: 1000 },
  );
  assert.ok(good > 100, "otherwise nothing was looked at");
});
