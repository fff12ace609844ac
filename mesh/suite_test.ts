import assert from "node:assert/strict";
import { nobleCrypto } from "./noble_crypto.ts";
import { type Computer, NodeLab, type NodeWish } from "./sim/node_lab.ts";
import { areMutual } from "./sim/people.ts";

const AES = { aesGcm: true };

/** A founder and a joiner that know each other and have said something. */
function pair(founderWish: NodeWish, joinerWish: NodeWish): {
  readonly lab: NodeLab;
  readonly founder: Computer;
  readonly joiner: Computer;
} {
  const lab = new NodeLab(nobleCrypto);
  const founder = lab.founder(founderWish);
  const joiner = lab.joiner(founder, joinerWish);
  assert.ok(lab.until(10_000, () => areMutual([founder, joiner])));
  lab.run(3_000);
  talk(lab, founder, joiner, 1_000);
  return { lab, founder, joiner };
}

/** Something is said until it arrives, for so many ms at most. */
function talk(lab: NodeLab, from: Computer, to: Computer, ms: number): void {
  const before = to.delivered.length;
  const end = lab.world.now + ms;
  while (to.delivered.length === before && lab.world.now < end) {
    from.say(to);
    lab.until(100, () => to.delivered.length > before);
  }
  assert.ok(to.delivered.length > before, `nothing arrived in ${ms} ms`);
  lab.run(100); // that a session was confirmed is news a moment later
}

/** Lets no handshake that another begins reach this computer. */
function dropInitiations(at: Computer): { end(): void } {
  const { deliver } = at.host;
  at.host.deliver = (from, bytes) => {
    if (bytes[0] !== 1 || bytes[1] !== 0) deliver.call(at.host, from, bytes);
  };
  return { end: () => void (at.host.deliver = deliver) };
}

/** What the status of one says of its tunnel with the other. */
function suiteOf(at: Computer, other: Computer): string | undefined {
  return at.node.status(at.now()).peers.find(({ key }) => key === other.id)?.suite;
}

Deno.test("two members speak AES-256-GCM exactly when the records of both say so", () => {
  for (const [a, b] of [[AES, AES], [AES, {}], [{}, AES], [{}, {}]] as const) {
    const { founder, joiner } = pair(a, b);
    const suite = a === AES && b === AES ? "aes-256-gcm" : "chacha20-poly1305";
    assert.equal(suiteOf(founder, joiner), suite);
    assert.equal(suiteOf(joiner, founder), suite);
  }
});

Deno.test("a member that comes back without AES is spoken to in the other suite, both ways", () => {
  for (const speaker of ["founder", "joiner"] as const) {
    const { lab, founder, joiner } = pair(AES, AES);
    joiner.crash();
    lab.run(2_000);
    joiner.wish = { ...joiner.wish, aesGcm: false };
    joiner.start();
    const [from, to] = speaker === "founder" ? [founder, joiner] : [joiner, founder];
    const mute = dropInitiations(from); // it has to shake hands itself
    talk(lab, from, to, 6_000);
    mute.end();
    assert.equal(suiteOf(founder, joiner), "chacha20-poly1305");
    assert.equal(suiteOf(joiner, founder), "chacha20-poly1305");
    joiner.crash(); // and with it again
    lab.run(2_000);
    joiner.wish = { ...joiner.wish, aesGcm: true };
    joiner.start();
    talk(lab, from, to, 6_000);
    for (let i = 0; i < 130 && suiteOf(founder, joiner) !== "aes-256-gcm"; i++) {
      from.say(to);
      lab.run(1_000);
    }
    assert.equal(suiteOf(founder, joiner), "aes-256-gcm");
  }
});

Deno.test("whoever drops handshakes does not choose the suite: nothing else is tried", () => {
  const lab = new NodeLab(nobleCrypto);
  const founder = lab.founder(AES);
  const joiner = lab.joiner(founder, AES);
  assert.ok(lab.until(10_000, () => areMutual([founder, joiner])));
  lab.run(3_000);
  const { deliver } = joiner.host;
  let dropped = 0;
  joiner.host.deliver = (from, bytes) => {
    if ((bytes[0] ?? 0) <= 4 && (bytes[1] ?? 0) === 0) dropped++;
    else deliver.call(joiner.host, from, bytes);
  };
  for (let i = 0; i < 60; i++) {
    founder.say(joiner);
    lab.run(1_000);
  }
  assert.ok(dropped >= 10, `${dropped} handshakes were dropped`);
  joiner.host.deliver = deliver;
  talk(lab, founder, joiner, 6_000);
  assert.equal(suiteOf(founder, joiner), "aes-256-gcm");
});
