import assert from "node:assert/strict";
import fc from "fast-check";
import { Reader, Writer } from "../codec.ts";
import { type Endpoint, parseAddress } from "../endpoint.ts";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { flipped } from "../sim/forgery.ts";
import { adminDraft, memberDraft, NOW, Signatories, tokenDraft } from "../sim/signatories.ts";
import { toyCrypto } from "../sim/toy_crypto.ts";
import { endorse, requestAdmission } from "./admission.ts";
import {
  BOOT_MAX,
  bootOf,
  NO_PROOF,
  openRecord,
  type Proof,
  readEndpoint,
  RECORD_MAX,
  type RecordBody,
  RECORDS_PER_BOOT,
  sequenceOf,
  signRecord,
  writeEndpoint,
} from "./record.ts";
import { STATEMENT_MAX } from "./statement.ts";

const society = new Signatories(crypto);
const { meshId } = society;
const [anna, bert, door, token] = [1, 2, 3, 4].map((n) => society.person(n));
assert.ok(anna && bert && door && token);
const { signing } = anna;

function place(n: number): Endpoint {
  return { address: Uint8Array.of(198, 51, 100, n), port: 51820, scope: 0 };
}

const certified: Proof = {
  statements: [memberDraft(anna), adminDraft(bert)]
    .map((draft, i) => society.sign(i === 0 ? bert : society.mesh, draft).bytes),
  admission: undefined,
};
const admission = endorse(
  crypto,
  meshId,
  requestAdmission(crypto, meshId, token.signing, { subject: anna.id, name: "lyon" }),
  door.signing,
  NOW,
);
const provisional: Proof = {
  statements: [tokenDraft(token, [door]), adminDraft(bert)]
    .map((draft, i) => society.sign(i === 0 ? bert : society.mesh, draft).bytes),
  admission,
};
const body: RecordBody = {
  key: signing.publicKey,
  sequence: sequenceOf(3, 7),
  run: "0123456789abcdef",
  twin: undefined,
  endpoints: [
    { address: Uint8Array.of(192, 0, 2, 1), port: 51820, scope: 0 },
    { address: new Uint8Array(16).fill(0x20), port: 1, scope: 0 },
  ],
  capabilities: { relay: true, tunnel: false, meshKey: true, aesGcm: false, lanes: 1 },
  meshKeyClaim: new Uint8Array(64).fill(7),
  routes: [{ address: Uint8Array.of(10, 1, 0, 0), length: 16 }],
  version: "0.1.0",
  proof: certified,
};
const record = signRecord(crypto, meshId, signing, body);

function signed(change: Partial<RecordBody>) {
  return signRecord(crypto, meshId, signing, { ...body, ...change });
}

function errorOf(change: Partial<RecordBody>): string {
  const opened = openRecord(crypto, meshId, signed(change).bytes);
  return opened.ok ? "no error" : opened.error;
}

Deno.test("a record says what its subject signed", () => {
  const opened = openRecord(crypto, meshId, record.bytes);
  assert.ok(opened.ok);
  assert.deepEqual(opened.value, record);
  assert.equal(opened.value.id, anna.id);
  assert.equal(bootOf(opened.value.sequence), 3);
});

Deno.test("it carries the proof of a certified and of a provisional member, and another machine with its key", () => {
  const twins = [undefined, { run: "ff".repeat(8), endpoint: undefined, at: 1_800_000_000 }, {
    run: "ff".repeat(8),
    endpoint: place(9),
    at: 2 ** 48 - 1,
  }];
  for (const proof of [NO_PROOF, certified, provisional]) {
    for (const twin of twins) {
      for (const meshKey of [true, false]) {
        const made = signed({ proof, twin, capabilities: { ...body.capabilities, meshKey } });
        assert.deepEqual(openRecord(crypto, meshId, made.bytes), { ok: true, value: made });
        assert.deepEqual(made.proof, proof, "nothing had to be dropped");
      }
    }
  }
});

Deno.test("it says how many lanes its subject takes, one to four, beside what else it can", () => {
  for (const lanes of [1, 2, 3, 4]) {
    for (const aesGcm of [true, false]) {
      const capabilities = { ...body.capabilities, aesGcm, lanes };
      const { bytes } = signed({ capabilities });
      assert.equal(bytes.length, record.bytes.length);
      const opened = openRecord(crypto, meshId, bytes);
      assert.deepEqual(opened.ok && opened.value.capabilities, capabilities);
    }
  }
  assert.equal(
    errorOf({ capabilities: { ...body.capabilities, lanes: 5 } }),
    "unknown capabilities 69",
  );
});

Deno.test("nobody else can make or alter one, or carry it to another mesh", () => {
  const forged = signRecord(crypto, meshId, bert.signing, body);
  const opened = openRecord(crypto, meshId, forged.bytes);
  assert.ok(!opened.ok);
  assert.match(opened.error, /signature of the record of .* does not fit/);
  assert.ok(!openRecord(crypto, new Signatories(crypto, 2).meshId, record.bytes).ok);
  for (let at = 0; at < record.bytes.length; at += 3) {
    assert.ok(!openRecord(crypto, meshId, flipped(record.bytes, 8 * at + 4)).ok, `byte ${at}`);
  }
});

Deno.test("T41: a record with any one bit the other way is refused", () => {
  const { bytes } = signRecord(toyCrypto, meshId, signing, { ...body, proof: provisional });
  assert.ok(openRecord(toyCrypto, meshId, bytes).ok);
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    assert.ok(!openRecord(toyCrypto, meshId, flipped(bytes, bit)).ok, `bit ${bit}`);
  }
  for (let length = 0; length < bytes.length; length++) {
    assert.ok(!openRecord(toyCrypto, meshId, bytes.subarray(0, length)).ok, `${length} bytes`);
  }
});

Deno.test("an address' interface number stays at home", () => {
  const address = new Uint8Array(16).fill(0x20);
  const made = signed({ endpoints: [{ address, port: 9, scope: 4 }] });
  const opened = openRecord(crypto, meshId, made.bytes);
  assert.ok(opened.ok);
  assert.equal(opened.value.endpoints[0]?.scope, 0);
});

const BAD_PLACES = [
  ["192.0.2.1", 0, "port 0"],
  ["127.0.0.1", 9, "loopback"],
  ["169.254.169.254", 80, "link-local"],
  ["224.0.0.251", 5353, "multicast"],
  ["255.255.255.255", 9, "reserved, or the limited broadcast"],
  ["fe80::1", 9, "link-local"],
] as const;

Deno.test("invariant 10: a record with one place that nothing may be sent to is refused whole, a twin's too", () => {
  const placeOf = (text: string, port: number) => {
    const address = parseAddress(text);
    assert.ok(address, text);
    return { address, port, scope: 0 };
  };
  for (const [text, port, what] of BAD_PLACES) {
    const bad = placeOf(text, port);
    const error = `an endpoint that is ${what}`;
    assert.equal(errorOf({ endpoints: [...body.endpoints, bad] }), error, text);
    assert.equal(errorOf({ twin: { run: "00".repeat(8), endpoint: bad, at: 0 } }), error, text);
  }
  // The last is in the pool of the mesh, which a provider's network may use, too: core sends past the tunnel there.
  for (const text of ["198.51.100.9", "10.1.2.3", "100.64.0.1"]) {
    assert.equal(errorOf({ endpoints: [placeOf(text, 9)] }), "no error", text);
  }
});

Deno.test("where somebody saw us is read whatever it is: it is judged before it is adopted", () => {
  const loopback = { address: Uint8Array.of(127, 0, 0, 1), port: 0, scope: 0 };
  const writer = new Writer();
  writeEndpoint(writer, loopback);
  const reader = new Reader(writer.finish());
  assert.deepEqual(reader.finish(readEndpoint(reader)), { ok: true, value: loopback });
});

Deno.test("what does not fit goes: routes, endpoints beyond two, what others know of the proof, that it has the mesh key, the last endpoints", () => {
  const route = { address: new Uint8Array(16), length: 0 };
  const far = (n: number) => ({
    address: new Uint8Array(16).fill(0x20 + n),
    port: n,
    scope: 0,
  });
  const reached = new Set<string>();
  for (let size = 0; size <= STATEMENT_MAX; size += 4) {
    const made = signRecord(toyCrypto, meshId, signing, {
      ...body,
      routes: new Array(17).fill(route),
      endpoints: [1, 2, 3, 4, 5, 6, 7, 8, 9].map(far),
      proof: { statements: new Array(4).fill(new Uint8Array(size)), admission },
    });
    assert.ok(made.bytes.length <= RECORD_MAX);
    assert.deepEqual(openRecord(toyCrypto, meshId, made.bytes), { ok: true, value: made });
    assert.ok(made.endpoints.every(({ port }, i) => port === i + 1), "the best ones stay");
    const routes = made.routes.length;
    const endpoints = made.endpoints.length;
    const statements = made.proof.statements.length;
    const last = endpoints < 2
      ? "last endpoints"
      : statements < 3
      ? "proof"
      : endpoints < 8
      ? "endpoints"
      : routes < 16
      ? "routes"
      : "nothing";
    reached.add(last);
    if (endpoints < 8) assert.equal(routes, 0, last);
    if (statements < 3) assert.ok(endpoints <= 2, last);
    if (endpoints < 2) assert.equal(statements, 1, last);
    assert.ok(statements >= 1);
  }
  const stages = ["nothing", "routes", "endpoints", "proof"];
  assert.deepEqual([...reached], stages);
  const wide = signRecord(toyCrypto, meshId, signing, {
    ...body,
    version: "v".repeat(255),
    endpoints: [1, 2].map(far),
    proof: { statements: [new Uint8Array(390)], admission },
  });
  assert.equal(wide.endpoints.length, 1);
  assert.ok(!wide.capabilities.meshKey && wide.meshKeyClaim === undefined);
});

Deno.test("what cannot fit at all is misuse", () => {
  const statements = [new Uint8Array(RECORD_MAX)];
  assert.throws(() => signed({ proof: { statements, admission } }), RangeError);
});

Deno.test("routes with host bits, wrong lengths or families are refused", () => {
  const wrong = [
    { address: Uint8Array.of(10, 1, 0, 1), length: 16 },
    { address: Uint8Array.of(10, 1, 0, 0), length: 33 },
    { address: Uint8Array.of(10, 1, 0), length: 8 },
  ];
  for (const route of wrong) assert.match(errorOf({ routes: [route] }), /^a route /);
});

Deno.test("a record counts its starts and records in one number, and none beyond the last start", () => {
  assert.equal(bootOf(sequenceOf(7, RECORDS_PER_BOOT - 1)), 7);
  assert.equal(sequenceOf(7, RECORDS_PER_BOOT - 1) + 1, sequenceOf(8, 0));
  assert.equal(errorOf({ sequence: sequenceOf(BOOT_MAX, RECORDS_PER_BOOT - 1) }), "no error");
  assert.match(errorOf({ sequence: sequenceOf(BOOT_MAX + 1, 0) }), /^a sequence of /);
});

Deno.test("unknown capabilities, a third form of twin, too long a version or an unsound admission are refused", () => {
  const bytes = signed({ twin: undefined, routes: [], proof: NO_PROOF }).bytes.subarray(0, -64);
  const again = (at: number, byte: number) => {
    const changed = bytes.slice();
    changed[at] = byte;
    const label = new TextEncoder().encode("shoal record 3\0");
    const part = new Writer().bytes(label).bytes(meshId).bytes(changed).finish();
    const signature = crypto.ed25519Sign(signing, part);
    const opened = openRecord(
      crypto,
      meshId,
      new Writer().bytes(changed).bytes(signature).finish(),
    );
    return opened.ok ? "no error" : opened.error;
  };
  const [bitsAt, twinAt] = [32 + 6 + 8, bytes.length - 64 - 4];
  assert.equal(bytes[bitsAt], 0b101);
  assert.equal(again(bitsAt, 0b1111), "no error");
  assert.equal(again(bitsAt, 0b110100), "no error");
  assert.equal(again(bitsAt, 0b001), "64 bytes too many", "what says nothing proves nothing");
  for (const bits of [0b1000000, 0b1001111, 0b11111111]) {
    assert.equal(again(bitsAt, bits), `unknown capabilities ${bits}`);
  }
  assert.equal(bytes[twinAt], 0);
  assert.equal(again(twinAt, 3), "a twin is there or not");
  assert.notEqual(errorOf({ version: "v".repeat(33) }), "no error");
  const nameless = { ...admission, name: "No Label" };
  assert.equal(
    errorOf({ proof: { statements: [], admission: nameless } }),
    "a name that is no DNS label",
  );
});

Deno.test("T18: no bytes make it throw", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 1100 }), (bytes) => {
    assert.ok(!openRecord(crypto, meshId, Uint8Array.from(bytes)).ok);
  }));
});
