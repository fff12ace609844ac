import assert from "node:assert/strict";
import { nobleCrypto } from "./noble_crypto.ts";
import { type Computer, NodeLab } from "./sim/node_lab.ts";
import { areMutual } from "./sim/people.ts";

interface Scene {
  readonly lab: NodeLab;
  /** Has a session with `other`, which will start anew. */
  readonly talker: Computer;
  readonly other: Computer;
  /** Datagrams with handshakes that were sent since the session. */
  readonly handshakes: { readonly from: Computer; readonly at: number }[];
}

function scene(): Scene {
  const lab = new NodeLab(nobleCrypto);
  const founder = lab.founder();
  const token = founder.token({ uses: 2 });
  const [talker, other] = [lab.computer({ token }), lab.computer({ token })];
  talker.start();
  other.start();
  assert.ok(lab.until(10_000, () => areMutual([founder, talker, other])));
  lab.run(3_000); // what they know is on their disks
  talker.say(other);
  assert.ok(lab.until(1_000, () => other.delivered.length === 1));
  other.say(talker);
  assert.ok(lab.until(1_000, () => talker.delivered.length === 1));
  const handshakes: Scene["handshakes"] = [];
  lab.tap = ({ bytes }, from) => {
    if (bytes[0] === 1 && bytes[1] === 0) handshakes.push({ from, at: lab.world.now });
  };
  return { lab, talker, other, handshakes };
}

/** Says something each 100 ms until it arrives. @returns after how many ms */
function gap(lab: NodeLab, from: Computer, to: Computer): number {
  const before = to.delivered.length;
  const start = lab.world.now;
  while (to.delivered.length === before) {
    from.say(to);
    lab.until(100, () => to.delivered.length > before);
    if (lab.world.now - start > 60_000) break;
  }
  return lab.world.now - start;
}

for (const how of ["is killed", "says good-bye"] as const) {
  Deno.test(`a member that ${how} and starts anew is reached again within a second`, () => {
    const { lab, talker, other, handshakes } = scene();
    if (how === "says good-bye") other.step((now, out) => other.node.leave(now, out));
    lab.run(100);
    other.crash();
    lab.run(1_000); // R38: less than 5 s after the last handshake
    other.start();
    const ms = gap(lab, talker, other);
    assert.ok(ms < 1_000, `${ms} ms`);
    assert.ok(handshakes.length <= 4, `${handshakes.length} initiations`);
  });
}

/** A restart of which only the tunnels know: what is sealed, and each hello, is lost on its way to the talker. */
function restartUnheard({ lab, talker, other }: Scene): void {
  other.crash();
  lab.run(1_000);
  const { deliver } = talker.host;
  talker.host.deliver = (from, bytes) => {
    if ((bytes[0] ?? 0) <= 4) deliver.call(talker.host, from, bytes);
  };
  other.start();
}

/** Data of no session. */
function junkOf(lab: NodeLab): Uint8Array {
  const bytes = lab.random(64);
  bytes.set([4, 0, 0, 0]);
  return bytes;
}

const STRANGER = { address: Uint8Array.of(203, 0, 113, 7), port: 4000, scope: 0 };

Deno.test("data of a forgotten session leads to a handshake, though no news reaches the talker", () => {
  const one = scene();
  const { lab, talker, other, handshakes } = one;
  restartUnheard(one);
  const ms = gap(lab, talker, other);
  assert.ok(ms < 1_000, `${ms} ms`);
  assert.equal(handshakes[0]?.from, other);
});

Deno.test("data of a forgotten session is told of though a stranger sends a thousand a second", () => {
  const one = scene();
  const { lab, talker, other, handshakes } = one;
  restartUnheard(one);
  const timer = () => {
    other.inject(junkOf(lab), STRANGER);
    lab.world.after(1, timer);
  };
  timer();
  const ms = gap(lab, talker, other);
  assert.ok(ms < 1_000, `${ms} ms`);
  assert.equal(handshakes[0]?.from, other);
});

Deno.test("a member that starts anew all the time costs two handshakes in five seconds (R38)", () => {
  const { lab, talker, other, handshakes } = scene();
  const start = lab.world.now;
  for (let i = 0; i < 60; i++) {
    other.crash();
    other.start();
    lab.run(500);
  }
  const byTalker = handshakes.filter(({ from }) => from === talker).length;
  const most = Math.ceil((lab.world.now - start) / 2_500) + 1;
  assert.ok(byTalker > 1 && byTalker <= most, `${byTalker} initiations, at most ${most}`);
});

Deno.test("data of no session from where nobody of ours is starts nothing", () => {
  const { lab, other, handshakes } = scene();
  for (let i = 0; i < 50; i++) {
    other.inject(junkOf(lab), STRANGER);
    lab.run(100);
  }
  assert.equal(handshakes.length, 0);
});
