/** Members that come to be at another place, as a machine that changes its network does. */
import assert from "node:assert/strict";
import { formatEndpoint } from "./endpoint.ts";
import type { Computer, NodeLab } from "./sim/node_lab.ts";
import { told, village } from "./sim/people.ts";
import { toyCrypto } from "./sim/toy_crypto.ts";

Deno.test("a member that moves in a mesh of eight proves its new place, and is suspected no more after a minute", () => {
  for (let seed = 1; seed <= 3; seed++) {
    const names = Array.from({ length: 7 }, (_, i) => `n${i + 1}`);
    const { lab, all, others: [moved] } = village(toyCrypto, names, seed);
    assert.ok(moved);
    lab.run(60_000);
    lab.move(moved, Uint8Array.of(198, 51, 100, 22));
    lab.run(60_000);
    const before = moved.node.snapshot().incarnation;
    const suspicions = () => all.map((one) => told(one, "memberSuspected"));
    const toldBefore = suspicions();
    lab.run(600_000);
    assert.equal(moved.node.snapshot().incarnation, before, `seed ${seed}: it denies its death`);
    assert.deepEqual(suspicions(), toldBefore, `seed ${seed}`);
    for (const one of all) {
      if (one !== moved) assert.equal(one.sees(moved)?.endpoint, "198.51.100.22:51820");
    }
  }
});

Deno.test("a member that moves while data goes both ways is followed within a fraction of a second", () => {
  const { lab, founder, others: [moved] } = village(toyCrypto, ["n1", "n2"], 5);
  assert.ok(moved);
  founder.say(moved);
  lab.run(61_000);
  founder.say(moved);
  lab.run(1_000);
  lab.move(moved, Uint8Array.of(198, 51, 100, 22));
  moved.delivered.length = 0;
  let sent = 0;
  for (let ms = 0; ms < 3_000; ms += 10, sent++) {
    founder.say(moved);
    if (ms % 50 === 0) moved.say(founder);
    lab.run(10);
  }
  lab.run(100);
  const lost = sent - moved.delivered.length;
  assert.ok(lost <= 20, `${lost} packets of 10 ms each`);
});

Deno.test("a member without a tunnel that moves gets the packet that is sent to it at the moment at which it is heard there", () => {
  for (let seed = 1; seed <= 5; seed++) {
    const { lab, founder, others: [moved] } = village(toyCrypto, ["n1", "n2"], seed);
    assert.ok(moved);
    lab.run(61_000);
    lab.move(moved, Uint8Array.of(198, 51, 100, 22));
    assert.ok(lab.until(60_000, () => founder.sees(moved)?.endpoint === moved.address));
    founder.say(moved);
    lab.run(500);
    assert.equal(moved.delivered.length, 1, `seed ${seed}`);
  }
});

/** A NAT gives what a computer sends another place, of which the computer itself is not told. */
function rebind(lab: NodeLab, computer: Computer, last: number): void {
  const tell = computer.node.interfaces;
  computer.node.interfaces = () => {};
  lab.move(computer, Uint8Array.of(198, 51, 100, last));
  computer.node.interfaces = tell;
}

/** Two members between whom data goes, which a NAT is about to move. */
function talking(seed: number) {
  const { lab, founder, others: [moved] } = village(toyCrypto, ["n1", "n2"], seed);
  assert.ok(moved);
  for (let s = 0; s < 65; s++) {
    founder.say(moved);
    moved.say(founder);
    lab.run(1_000);
  }
  moved.delivered.length = 0;
  return { lab, founder, moved };
}

Deno.test("a member that a NAT moves twice within half a second is followed at once each time", () => {
  for (let seed = 1; seed <= 3; seed++) {
    const { lab, founder, moved } = talking(seed);
    for (const last of [22, 23, 24]) {
      rebind(lab, moved, last);
      moved.say(founder);
      lab.run(150);
      moved.delivered.length = 0;
      founder.say(moved);
      lab.run(100);
      assert.equal(moved.delivered.length, 1, `seed ${seed}, place ${last}`);
    }
  }
});

Deno.test("a place from which one packet came is asked three times in a second, and no more in a minute", () => {
  const { lab, founder, moved } = talking(1);
  const place = { address: Uint8Array.of(198, 51, 100, 22), port: 51820, scope: 0 };
  const from = { ...moved.endpoint };
  rebind(lab, moved, 22);
  moved.say(founder);
  // As where the question is lost, or where somebody has written an invented source on the packet.
  rebind(lab, moved, from.address.at(-1) ?? 0);
  const asked: number[] = [];
  const begun = lab.world.now;
  lab.attach(place, (_, by) => {
    if (formatEndpoint(by) === founder.address) asked.push(lab.world.now - begun);
  });
  lab.run(1_200);
  assert.equal(asked.length, 3, asked.join());
  const [first = 0, second = 0, third = 0] = asked;
  assert.ok(second - first >= 250 && second - first < 350, asked.join());
  assert.ok(third - first >= 1_000 && third - first < 1_100, asked.join());
  lab.run(57_000);
  assert.equal(asked.length, 3, asked.join());
});
