import assert from "node:assert/strict";
import { Seeded } from "../sim/random.ts";
import { toyCrypto as crypto } from "../sim/toy_crypto.ts";
import { identityFromSeed } from "./identity.ts";
import { NO_PROOF, openRecord, sequenceOf, signRecord } from "./record.ts";
import { RECORDS_BURST } from "./record_pace.ts";
import { Scrutiny } from "./scrutiny.ts";

const SECONDS = 1_000_000;
const NOW = { boot: 0, wall: 1000 * SECONDS };
const OUT = { send: () => {}, event: () => {} };

/** A node that holds a member's record; `drowned` counts how often that one's own word was one too many. */
function setUp() {
  const seeded = new Seeded(1);
  const random = (length: number) => Uint8Array.from({ length }, () => seeded.below(256));
  const [meshId, identity] = [random(32), identityFromSeed(crypto, random(32))];
  const recordOf = (count: number, isNote: boolean) => {
    const { bytes } = signRecord(crypto, meshId, identity.signing, {
      key: identity.signing.publicKey,
      sequence: sequenceOf(1, count),
      run: "aa".repeat(8),
      twin: isNote ? { run: "bb".repeat(8), endpoint: undefined, at: SECONDS - count } : undefined,
      endpoints: [],
      capabilities: { relay: false, tunnel: true, meshKey: false, aesGcm: false, lanes: 1 },
      routes: [],
      version: "",
      proof: NO_PROOF,
    });
    const opened = openRecord(crypto, meshId, bytes);
    assert.ok(opened.ok);
    return opened.value;
  };
  const held = recordOf(0, false);
  let drowned = 0;
  const scrutiny = new Scrutiny(
    {
      crypto,
      judge: { meshId },
      roster: { get: () => ({ record: held }) },
      copies: { note: () => undefined, drowned: () => void drowned++ },
    } as unknown as ConstructorParameters<typeof Scrutiny>[0],
  );
  const open = (count: number, isCopy: boolean) =>
    scrutiny.open(NOW, held.id, recordOf(count, true).bytes, OUT as never, isCopy);
  return { open, drowned: () => drowned };
}

Deno.test("item 11: what may be a copy of a member's datagrams, however much, is not its own word", () => {
  const { open, drowned } = setUp();
  for (let n = 1; n <= 2 * RECORDS_BURST; n++) open(n, true);
  assert.equal(drowned(), 0);
  assert.ok(open(99, false), "and its own word is still looked at");
});

Deno.test("item 11: more words of a member on another machine than it says itself are a sign of one", () => {
  const { open, drowned } = setUp();
  for (let n = 1; n <= RECORDS_BURST; n++) assert.ok(open(n, false));
  assert.equal(drowned(), 0);
  assert.equal(open(99, false), undefined);
  assert.equal(drowned(), 1);
});
