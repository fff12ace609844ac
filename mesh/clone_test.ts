/** A machine whose disk is a copy of another's, over whole nodes on a virtual wire (issue 7, item 11; T44). */
import assert from "node:assert/strict";
import { nobleCrypto as crypto } from "./noble_crypto.ts";
import { type Computer, NodeLab } from "./sim/node_lab.ts";

const SEEDS = 4;

interface Copied {
  readonly lab: NodeLab;
  readonly original: Computer;
  readonly copy: Computer;
  readonly others: readonly Computer[];
}

/** A mesh in which the disk of a running member is copied and started on another computer. */
function copied(seed: number): Copied {
  const lab = new NodeLab(crypto, seed);
  const founder = lab.founder();
  const token = founder.token({ uses: 4 });
  const [original, ...others] = [1, 2, 3, 4].map(() => lab.computer({ token }));
  assert.ok(original);
  for (const one of [original, ...others]) one.start();
  lab.run(20_000);
  const copy = lab.computer({ identitySeed: original.identitySeed, name: "node-2" });
  copy.disk = original.disk;
  assert.equal(copy.start(), undefined);
  return { lab, original, copy, others: [founder, ...others] };
}

function health(computer: Computer): string {
  return computer.node.status(computer.now()).health.join("\n");
}

Deno.test("item 11: within 10 s every member names the key that two machines use, and both places", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { lab, original, copy, others } = copied(seed);
    lab.run(10_000);
    const expected =
      `key: the key of node-2 is used by two machines, ${original.address} and ${copy.address}: `;
    for (const other of others) {
      assert.ok(health(other).includes(expected), `seed ${seed}: ${health(other)}`);
    }
    assert.ok(health(original).includes(`another machine at ${copy.address} uses this node's key`));
    assert.ok(health(copy).includes(`another machine at ${original.address} uses this node's key`));
  }
});

Deno.test("item 11: the mesh goes on talking with the first machine, and only with that", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { lab, original, copy, others } = copied(seed);
    lab.run(60_000);
    for (const other of others) {
      const peer = other.sees(original);
      assert.equal(peer?.state, "alive", `seed ${seed}`);
      assert.equal(peer?.endpoint, original.address, `seed ${seed}`);
      assert.equal(original.sees(other)?.state, "alive", `seed ${seed}: and the other way`);
      const before = [original.delivered.length, copy.delivered.length];
      other.say(original);
      lab.run(3_000);
      const now = [original.delivered.length, copy.delivered.length];
      assert.deepEqual(now, [(before[0] ?? 0) + 1, before[1]], `seed ${seed}: a packet`);
    }
  }
});

Deno.test("item 11: a machine that starts again at another place is no copy", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { lab, original, copy, others } = copied(seed + 100);
    original.crash();
    lab.run(60_000);
    for (const other of others) {
      assert.equal(other.sees(copy)?.endpoint, copy.address, `seed ${seed}`);
      assert.equal(health(other).includes("used by two machines"), false, `seed ${seed}`);
    }
    assert.equal(health(copy).includes("another machine"), false, `seed ${seed}`);
  }
});
