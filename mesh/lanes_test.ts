/** Lanes between members: what records say of them, and what becomes of them as members come and go. */
import assert from "node:assert/strict";
import { LANES_MAX } from "./machine.ts";
import { nobleCrypto } from "./noble_crypto.ts";
import { type Computer, NodeLab, type NodeWish } from "./sim/node_lab.ts";
import { areMutual } from "./sim/people.ts";

const FOUR: NodeWish = { workers: 4, lanes: 4 };

/** A founder and a joiner that know each other. */
function pair(founderWish: NodeWish, joinerWish: NodeWish) {
  const lab = new NodeLab(nobleCrypto);
  const founder = lab.founder(founderWish);
  const joiner = lab.joiner(founder, joinerWish);
  assert.ok(lab.until(10_000, () => areMutual([founder, joiner])));
  lab.run(3_000);
  return { lab, founder, joiner };
}

/** Four flows in each direction, some seconds long. @returns how many of the packets arrived */
function talk(lab: NodeLab, a: Computer, b: Computer, seconds = 5): number {
  const before = a.delivered.length + b.delivered.length;
  for (let i = 0; i < seconds; i++) {
    for (let flow = 0; flow < LANES_MAX; flow++) {
      a.say(b, flow);
      b.say(a, flow);
    }
    lab.run(1_000);
  }
  return a.delivered.length + b.delivered.length - before;
}

function statusOf(at: Computer, other: Computer) {
  const found = at.node.status(at.now()).peers.find(({ key }) => key === other.id);
  assert.ok(found);
  return found;
}

function lanesOf(at: Computer, other: Computer): number {
  return statusOf(at, other).lanes;
}

Deno.test("members have as many lanes as the records of both say, and status says how many and why", () => {
  const wishes: readonly (readonly [NodeWish, NodeWish, number])[] = [
    [FOUR, FOUR, 4],
    [FOUR, { workers: 2, lanes: 2 }, 2],
    [{ workers: 3, lanes: 3 }, FOUR, 3],
    [FOUR, {}, 1],
    [{}, FOUR, 1],
    [FOUR, { workers: 4, lanes: 1 }, 1], // several workers, and switched off
    [{}, {}, 1],
  ];
  for (const [a, b, both] of wishes) {
    const { lab, founder, joiner } = pair(a, b);
    assert.equal(talk(lab, founder, joiner), 40);
    for (const [at, other] of [[founder, joiner], [joiner, founder]] as const) {
      assert.equal(lanesOf(at, other), both);
      assert.equal(statusOf(at, other).lanes_max, both);
    }
    assert.ok(statusOf(founder, joiner).tx_bytes >= 20 * 60, "all lanes are counted");
  }
});

Deno.test("lanes speak AES-256-GCM where both do", () => {
  const { lab, founder, joiner } = pair({ ...FOUR, aesGcm: true }, { ...FOUR, aesGcm: true });
  talk(lab, founder, joiner);
  assert.equal(lanesOf(founder, joiner), 4);
  const installed = founder.commands.filter((command) => command.kind === "installSession");
  assert.ok(installed.length >= 4);
  assert.ok(installed.every(({ session }) => session.suite === "aes-256-gcm"));
});

Deno.test("a member that crashes and comes back has its lanes again, and loses no more than one without", () => {
  const lost = [FOUR, {}].map((wish) => {
    const { lab, founder, joiner } = pair(wish, wish);
    talk(lab, founder, joiner);
    joiner.crash();
    lab.run(2_000);
    joiner.start();
    const arrived = talk(lab, founder, joiner, 30);
    assert.equal(lanesOf(founder, joiner), wish.lanes ?? 1);
    return 240 - arrived;
  });
  const [withLanes = NaN, without = NaN] = lost;
  assert.ok(withLanes <= without + 8, `${withLanes} packets lost, ${without} without lanes`);
});

Deno.test("a member that comes back with fewer workers gets no more lanes than those, both ways", () => {
  const { lab, founder, joiner } = pair(FOUR, FOUR);
  talk(lab, founder, joiner);
  for (const lanes of [2, 1, 4]) {
    joiner.crash();
    lab.run(2_000);
    joiner.wish = { ...joiner.wish, workers: lanes, lanes };
    joiner.start();
    talk(lab, founder, joiner, 20);
    assert.equal(talk(lab, founder, joiner), 40);
    assert.equal(lanesOf(founder, joiner), lanes);
    assert.equal(lanesOf(joiner, founder), lanes);
  }
});

Deno.test("a member that moves takes its lanes along", () => {
  const { lab, founder, joiner } = pair(FOUR, FOUR);
  talk(lab, founder, joiner);
  lab.move(joiner, Uint8Array.of(198, 51, 100, 77));
  talk(lab, founder, joiner, 10);
  assert.equal(talk(lab, founder, joiner), 40);
  assert.equal(lanesOf(founder, joiner), 4);
  assert.match(statusOf(founder, joiner).endpoint, /^198\.51\.100\.77:/);
});

Deno.test("status counts a lane only while it has a session that may send", () => {
  const { lab, founder, joiner } = pair(FOUR, FOUR);
  talk(lab, founder, joiner);
  assert.equal(lanesOf(founder, joiner), 4);
  for (let second = 0; second < 200; second++) {
    founder.say(joiner);
    joiner.say(founder);
    lab.run(1_000);
  }
  assert.equal(lanesOf(founder, joiner), 1, "no flow has used the others");
  assert.equal(statusOf(founder, joiner).lanes_max, 4);
});
