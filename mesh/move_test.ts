/** Members that come to be at another place, as a machine that changes its network does. */
import assert from "node:assert/strict";
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
