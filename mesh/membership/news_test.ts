import assert from "node:assert/strict";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { memberDraft, Signatories } from "../sim/signatories.ts";
import { decode, encode } from "../swim/messages.ts";
import { PAYLOAD_MAX } from "../wire/seal.ts";
import { KIND, recordRumour, statementRumour } from "./news.ts";
import { BOOT_MAX, NO_PROOF, RECORDS_PER_BOOT, sequenceOf, signRecord } from "./record.ts";

const society = new Signatories(crypto);
const anna = society.person(1);
const record = signRecord(crypto, society.meshId, anna.signing, {
  key: anna.signing.publicKey,
  sequence: sequenceOf(2, 3),
  run: "00".repeat(8),
  twin: undefined,
  endpoints: [],
  capabilities: { relay: false, tunnel: false, meshKey: false, aesGcm: false, lanes: 1 },
  routes: [],
  version: "",
  proof: NO_PROOF,
});

Deno.test("a record travels under its subject's key; a later one has a higher version", () => {
  const rumour = recordRumour(record);
  assert.deepEqual([rumour.kind, rumour.key, rumour.bytes], [KIND.record, anna.id, record.bytes]);
  const versions = (sequence: number) =>
    Array.from(
      { length: 20 },
      (_, n) => recordRumour({ ...record, sequence, bytes: Uint8Array.of(n) }).version,
    );
  const { sequence } = record;
  assert.ok(Math.min(...versions(sequence + 1)) > Math.max(...versions(sequence)));
});

Deno.test("two records with one sequence have two versions, so that they meet", () => {
  const versions = [0, 1, 2, 3].map((n) =>
    recordRumour({ ...record, bytes: Uint8Array.of(n) }).version
  );
  assert.equal(new Set(versions).size, 4);
});

Deno.test("the last record of all can still travel", () => {
  const last = { ...record, sequence: sequenceOf(BOOT_MAX, RECORDS_PER_BOOT - 1) };
  assert.ok(recordRumour(last).version < 2 ** 48);
});

Deno.test("statements of one number travel under their hashes, so that one hides no other", () => {
  const drafts = [anna, society.person(2)].map((who) => memberDraft(who));
  const [one, two] = drafts.map((draft) => society.sign(society.mesh, draft, { number: 7 }));
  assert.ok(one && two);
  assert.deepEqual(statementRumour(one), {
    kind: KIND.statement,
    key: one.hash,
    version: 1,
    bytes: one.bytes,
  });
  assert.notEqual(statementRumour(two).key, statementRumour(one).key);
});

Deno.test("invariant 13: all farewells of a key are one piece of news, beside its record", () => {
  const both = [1, 2].map((at) => society.sign(anna, { kind: "left" }, { at }));
  for (const one of both) {
    const { kind, key, version } = statementRumour(one);
    assert.deepEqual([kind, key, version], [KIND.statement, anna.id, 1]);
  }
});

Deno.test("both kinds of rumour pass swim's messages unchanged", () => {
  const statement = society.sign(society.mesh, memberDraft(anna));
  const rumours = [recordRumour(record), statementRumour(statement)];
  const message = {
    incarnation: 1,
    view: undefined,
    body: { kind: "news" },
    claims: [],
    rumours,
  } as const;
  const decoded = decode(encode(message, PAYLOAD_MAX), PAYLOAD_MAX);
  assert.deepEqual(decoded.ok && decoded.value.rumours, rumours);
});
