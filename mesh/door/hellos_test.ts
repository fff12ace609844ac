import assert from "node:assert/strict";
import { identityFromSeed } from "../membership/identity.ts";
import { nobleCrypto } from "../noble_crypto.ts";
import { Seeded } from "../sim/random.ts";
import { toyCrypto } from "../sim/toy_crypto.ts";
import { doorKeyOf, openHello, readHello, sealAnswer, sealRetry } from "../wire/contact.ts";
import { Hellos, HELLOS_MAX } from "./hellos.ts";

const HELLO = Uint8Array.of(1, 2, 3);
const ANSWER = Uint8Array.of(4, 5, 6);

function setUp(crypto = toyCrypto) {
  const { bytes: random } = new Seeded(1);
  const meshId = random(32);
  const [self, member] = [0, 0].map(() => identityFromSeed(crypto, random(32)));
  assert.ok(self && member);
  const door = doorKeyOf(crypto, meshId, member.signing.publicKey);
  assert.ok(door);
  const hellos = new Hellos<string>(crypto, random, meshId, self);
  const seal = (about = "seed") => {
    const bytes = hellos.seal(member.signing.publicKey, HELLO, about);
    assert.ok(bytes);
    return bytes;
  };
  /** The door's answer; undefined where it cannot open the hello. */
  const answer = (bytes: Uint8Array, by = member) => {
    const read = readHello(bytes);
    const opened = read && openHello(crypto, door, member, read);
    return opened && sealAnswer(crypto, random, by, opened, self.signing.publicKey, ANSWER);
  };
  const retry = (bytes: Uint8Array) => {
    const read = readHello(bytes);
    assert.ok(read);
    return sealRetry(crypto, random, door, read, random(16));
  };
  return { crypto, random, self, member, hellos, seal, answer, retry };
}

for (const [name, crypto] of [["noble", nobleCrypto], ["toy", toyCrypto]] as const) {
  Deno.test(`an answer tells what the hello was for, and is taken once (${name})`, () => {
    const { member, hellos, seal, answer } = setUp(crypto);
    const answered = answer(seal("lyon"));
    assert.ok(answered);
    assert.deepEqual(hellos.reply(answered), {
      kind: "answer",
      about: "lyon",
      key: member.signing.publicKey,
      content: ANSWER,
    });
    assert.equal(hellos.reply(answered), undefined, "a replay is no answer");
    assert.equal(hellos.size, 0);
  });

  Deno.test(`a busy door is answered with a hello that repeats its cookie, once (${name})`, () => {
    const { hellos, seal, answer, retry } = setUp(crypto);
    const first = seal("lyon");
    const again = hellos.reply(retry(first));
    assert.ok(again?.kind === "again");
    assert.equal(again.about, "lyon");
    assert.equal(hellos.reply(retry(first)), undefined, "the first hello is forgotten");
    assert.equal(hellos.reply(retry(again.bytes)), undefined, "there is no second retry");
    const answered = answer(again.bytes);
    assert.ok(answered);
    assert.equal(hellos.reply(answered)?.kind, "answer");
  });
}

Deno.test("an answer that is altered, or to nothing of ours, changes nothing", () => {
  const { hellos, seal, answer, random } = setUp();
  const answered = answer(seal());
  assert.ok(answered);
  for (let at = 4; at < answered.length; at++) {
    const altered = answered.slice();
    altered[at] = (altered[at] ?? 0) ^ 1;
    assert.equal(hellos.reply(altered), undefined, `byte ${at}`);
  }
  for (const bytes of [random(100), new Uint8Array(0), answered.subarray(0, 30)]) {
    assert.equal(hellos.reply(bytes), undefined);
  }
  assert.equal(hellos.reply(answered)?.kind, "answer", "the true one still counts");
});

Deno.test("256 hellos wait for an answer; the oldest is forgotten", () => {
  const { hellos, seal, answer, retry } = setUp();
  const all = Array.from({ length: HELLOS_MAX + 1 }, (_, i) => seal(String(i)));
  const [first, second] = all;
  assert.ok(first && second);
  assert.equal(hellos.size, HELLOS_MAX);
  const [lost, kept] = [answer(first), answer(second)];
  assert.ok(lost && kept);
  assert.equal(hellos.reply(lost), undefined);
  assert.equal(hellos.reply(retry(first)), undefined);
  const reply = hellos.reply(kept);
  assert.ok(reply?.kind === "answer" && reply.about === "1");
});

Deno.test("nobody can hold a key that is no valid point (R25)", () => {
  const { hellos } = setUp(nobleCrypto);
  assert.equal(hellos.seal(new Uint8Array(32), HELLO, "x"), undefined);
  assert.equal(hellos.size, 0);
});
