/** One direction of a member's network is dead (issue 8, kind 11): it is named, and not "suspect" for ever. */
import assert from "node:assert/strict";
import { nobleCrypto } from "./noble_crypto.ts";
import { type Computer, NodeLab } from "./sim/node_lab.ts";
import { areMutual, healthOf } from "./sim/people.ts";

function village(size: number): { lab: NodeLab; all: Computer[]; last: Computer } {
  const lab = new NodeLab(nobleCrypto);
  const all = [lab.founder()];
  const token = all[0]?.token({ uses: size });
  assert.ok(token);
  for (let i = 1; i < size; i++) {
    const one = lab.computer({ token });
    one.start();
    all.push(one);
  }
  assert.ok(lab.until(30_000, () => areMutual(all)));
  lab.run(10_000);
  return { lab, all, last: all.at(-1) ?? assert.fail() };
}

const peersOf = (one: Computer) => one.node.status(one.now()).peers;

for (const size of [2, 3, 10]) {
  Deno.test(`of ${size}, a member that hears nothing says so after 40 s, and calls nobody suspect`, () => {
    const { lab, all, last } = village(size);
    const { deliver } = last.host;
    last.host.deliver = () => {};
    lab.run(40_000);
    for (const peer of peersOf(last)) {
      assert.deepEqual([peer.state, peer.path], ["dead", "none"]);
      if (size < 10) continue; // Each had its turn.
      assert.match(peer.reason, /nothing comes from any member/);
      assert.ok(peer.since_s >= 39 && peer.since_s <= 42, `since ${peer.since_s} s`);
    }
    const alone = size < 10 ? /no member answers/ : /nothing has come from any member for 4\d s/;
    assert.match(healthOf(last).join("\n"), alone);
    for (const other of all) {
      if (other === last) continue;
      const seen = other.sees(last);
      assert.equal(seen?.state, "dead");
      if (size === 10) assert.match(seen.reason, /is heard here and answers nobody/);
    }
    last.host.deliver = deliver;
    assert.ok(lab.until(70_000, () => areMutual(all)), "all are found again");
    assert.deepEqual(healthOf(last), []);
  });
}

Deno.test("a member that has crashed is not said to be heard", () => {
  const { lab, all: [founder], last } = village(3);
  last.crash();
  for (let i = 0; i < 12; i++) {
    lab.run(5_000);
    assert.doesNotMatch(founder?.sees(last)?.reason ?? "", /is heard here/);
  }
});

Deno.test("who is alone by its own will, or sleeps, is not deaf", () => {
  const { lab, all: [founder, other] } = village(2);
  assert.ok(founder && other);
  other.step((now, out) => other.node.leave(now, out));
  lab.run(100_000);
  assert.doesNotMatch(healthOf(founder).join("\n"), /nothing has come/);
  assert.equal(founder.sees(other)?.state, "left");
});
