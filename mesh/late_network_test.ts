/** A machine that starts before its network: what the node could not reach it tries as soon as there is an address. */
import assert from "node:assert/strict";
import { nobleCrypto } from "./noble_crypto.ts";
import { type Computer, NodeLab } from "./sim/node_lab.ts";
import { areMutual } from "./sim/people.ts";

/** Milliseconds after which a seed is tried about twice a minute. */
const LONG = 50_000;

function elsewhere(lab: NodeLab, computer: Computer): void {
  lab.move(computer, Uint8Array.of(192, 0, 2, 200));
}

Deno.test("a first join goes on at once when the machine gets an address, whatever its pace was", () => {
  const lab = new NodeLab(nobleCrypto);
  const founder = lab.founder();
  lab.run(1_000);
  const joiner = lab.computer({ token: founder.token() });
  founder.crash(); // Nobody is reached, as without a network.
  joiner.start();
  lab.run(LONG);
  founder.start();
  elsewhere(lab, joiner);
  assert.ok(lab.until(1_000, () => areMutual([founder, joiner])));
});

Deno.test("a member that is alone is back at once when the machine gets an address", () => {
  const lab = new NodeLab(nobleCrypto);
  const founder = lab.founder();
  const member = lab.joiner(founder);
  assert.ok(lab.until(5_000, () => areMutual([founder, member])));
  lab.run(5_000);
  member.crash();
  founder.crash();
  member.start();
  lab.run(LONG);
  founder.start();
  elsewhere(lab, member);
  assert.ok(lab.until(1_000, () => areMutual([founder, member])));
});

Deno.test("a node that starts without a network says of nobody that others hear it", () => {
  const lab = new NodeLab(nobleCrypto);
  const founder = lab.founder();
  const member = lab.joiner(founder);
  const third = lab.joiner(founder);
  assert.ok(lab.until(5_000, () => areMutual([founder, member, third])));
  lab.run(5_000);
  for (const computer of [member, founder, third]) computer.crash();
  member.start();
  lab.run(100);
  const reasons = () => new Set(member.node.status(member.now()).peers.map(({ reason }) => reason));
  assert.deepEqual([...reasons()], ["nothing has come from it to us yet, nor from any member"]);
  founder.start();
  assert.ok(lab.until(60_000, () => member.sees(founder)?.path === "direct"));
  assert.ok(![...reasons()].some((reason) => reason.includes("nor from any")));
});
