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
