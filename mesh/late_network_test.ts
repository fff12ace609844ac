/** A machine that starts before its network: what the node could not reach it tries as soon as there is an address. */
import assert from "node:assert/strict";
import { nobleCrypto } from "./noble_crypto.ts";
import { type Computer, NodeLab } from "./sim/node_lab.ts";
import { LONG_DEAD } from "./membership/reviewing.ts";
import { areMutual, haveMissed, healthOf, village } from "./sim/people.ts";
import { toyCrypto } from "./sim/toy_crypto.ts";

const DAY = 86_400_000;

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

/** Whoever was off for a month starts; its network, or what it needs of it, comes so many seconds later. */
function backAfterAMonth(who: "a member" | "the founder", seconds: number) {
  const { lab, founder, others, all } = village(toyCrypto, ["lyon", "oslo", "bern"], 103);
  const late = who === "the founder" ? founder : others[0];
  assert.ok(late);
  late.crash();
  lab.run(60_000);
  const rest = all.filter((one) => one !== late);
  for (const one of all) one.host.skew = 31 * DAY;
  // The others have forgotten it by now.
  for (const one of rest) haveMissed(one, [late], LONG_DEAD);
  lab.run(180_000);
  for (const one of rest) assert.equal(one.sees(late), undefined);
  lab.network.partition([late.address]);
  late.start();
  lab.run(seconds * 1_000);
  return { lab, late, all };
}

for (const who of ["a member", "the founder"] as const) {
  for (const seconds of [10, 60, 600]) {
    Deno.test(`${who} that was off for a month, and whose network comes ${seconds} s after its start, comes back by itself`, () => {
      const { lab, late, all } = backAfterAMonth(who, seconds);
      lab.network.heal();
      assert.ok(lab.until(120_000, () => areMutual(all)), healthOf(late).join());
      assert.deepEqual(healthOf(late), []);
    });
  }
}

Deno.test("a member that has run without a network for a month forgets nobody", () => {
  const { lab, late, all } = backAfterAMonth("a member", 60);
  haveMissed(late, all, LONG_DEAD);
  lab.run(600_000);
  assert.equal(late.node.status(late.now()).peers.length, all.length - 1);
});

Deno.test("a member that knows nobody any more needs no token to come back: its certificate counts", () => {
  const { lab, late, all } = backAfterAMonth("a member", 0);
  late.crash();
  assert.ok(late.disk);
  late.disk = { ...late.disk, members: [] };
  late.start();
  lab.network.heal();
  assert.ok(lab.until(120_000, () => areMutual(all)), healthOf(late).join());
});
