/** What starts handshakes at once after a restart, in the hands of a member without scruple. */
import assert from "node:assert/strict";
import { bootOf, sequenceOf } from "./membership/record.ts";
import { nobleCrypto as crypto } from "./noble_crypto.ts";
import { Insider } from "./sim/insider.ts";
import { village } from "./sim/people.ts";
import { encode } from "./swim/messages.ts";
import { PAYLOAD_MAX, Seal } from "./wire/seal.ts";

const VICTIM = { address: Uint8Array.of(198, 51, 100, 66), port: 4444, scope: 0 };

function junk(random: (n: number) => Uint8Array, size = 64): Uint8Array {
  const bytes = random(size);
  bytes.set([4, 0, 0, 0]);
  return bytes;
}

Deno.test("a member that raises its boot number ten times a second, in seals and records, costs two handshakes in five seconds", () => {
  const { lab, founder, others: [mole] } = village(crypto, ["mole"], 4);
  assert.ok(mole);
  mole.say(founder);
  lab.run(2_000);
  founder.say(mole);
  lab.run(2_000);
  const insider = new Insider(mole);
  const key = crypto.ed25519FromSeed(founder.identitySeed).publicKey;
  const news = {
    incarnation: 1,
    view: undefined,
    body: { kind: "news" },
    claims: [],
    rumours: [],
  } as const;
  let sent = 0;
  lab.tap = ({ bytes }, from) =>
    void (from === founder && bytes[0] === 1 && bytes[1] === 0 && sent++);
  const first = bootOf(insider.record.sequence) + 10;
  for (let n = 0; n < 600; n++) {
    const seal = new Seal(
      crypto,
      lab.random,
      insider.meshId,
      insider.identity,
      first + n,
      lab.random(8).toHex(),
    );
    seal.know(founder.id, key, founder.disk?.boot ?? 1);
    const record = insider.describe({ sequence: sequenceOf(first + n, 1) });
    const payload = n % 2 ? encode(news, PAYLOAD_MAX) : record.bytes;
    const bytes = seal.seal(founder.id, n % 2 ? "gossip" : "record", payload);
    if (bytes) founder.inject(bytes, mole.endpoint);
    lab.run(100);
  }
  assert.ok(sent <= 26, `${sent} initiations in a minute`);
});

Deno.test("data of no session from a place that a member claims sends three datagrams there", () => {
  const { lab, founder, others: [mole] } = village(crypto, ["mole"], 4);
  assert.ok(mole);
  const insider = new Insider(mole);
  insider.isPolite = false;
  insider.send(founder, "record", insider.describe({ endpoints: [VICTIM] }).bytes);
  lab.run(200_000);
  let out = 0;
  lab.tap = ({ to }) => void (to.address[0] === 198 && out++);
  for (let n = 0; n < 600; n++) {
    founder.inject(junk(lab.random), VICTIM);
    lab.run(100);
  }
  assert.ok(out <= 3, `${out} datagrams`);
});

Deno.test("invariant 10: what a member gets by repeating its confirmation is bounded by the second", () => {
  const { lab, founder, others: [mole] } = village(crypto, ["mole"], 4);
  assert.ok(mole);
  const insider = new Insider(mole);
  lab.run(10_000);
  let [bytesIn, bytesOut] = [0, 0];
  lab.tap = ({ bytes }, from) => void (from === founder && (bytesOut += bytes.length));
  for (let n = 0; n < 10_000; n++) {
    const bytes = insider.sealed(founder, "confirm", new Uint8Array(16));
    bytesIn += bytes.length;
    founder.inject(bytes, mole.endpoint);
    if (n % 10 === 0) lab.run(10);
  }
  const most = Math.max(bytesIn, 256_000 + 10 * 64_000);
  assert.ok(bytesOut <= most, `${bytesOut} bytes in ten seconds for ${bytesIn}`);
});
