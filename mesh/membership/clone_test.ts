/** Item 11: a computer whose disk was copied while the original runs, over whole nodes. */
import assert from "node:assert/strict";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import type { Computer, NodeLab } from "../sim/node_lab.ts";
import { areMutual, done, healthOf, promote, village } from "../sim/people.ts";

/** A computer with the same disk and identity at an address of its own. It is switched off. */
function copyOf(lab: NodeLab, original: Computer): Computer {
  const clone = lab.computer({
    name: original.wish.name ?? "",
    identitySeed: original.identitySeed,
  });
  assert.ok(original.disk);
  clone.disk = structuredClone(original.disk);
  return clone;
}

/** The snapshot that `shoal identity renew` leaves (src/node.ts), with the seed that goes with it. */
function renewIdentity(computer: Computer): void {
  const { admission: _, ...kept } = computer.node.snapshot();
  computer.crash();
  computer.identitySeed = computer.lab.random(32);
  computer.disk = {
    ...kept,
    boot: 0,
    incarnation: 0,
    numbers: { own: 0, mesh: kept.numbers.mesh },
  };
}

function alarmOf(computer: Computer): string {
  return healthOf(computer).filter((line) => line.startsWith("key: ")).join("\n");
}

/** A copy that has run beside its original until others noticed. */
function noticedCopy(lab: NodeLab, original: Computer, witness: Computer): Computer {
  const clone = copyOf(lab, original);
  clone.start();
  lab.run(15_000);
  assert.match(alarmOf(witness), /is used by two machines/);
  return clone;
}

/** It starts with an identity of its own, and asks at the door. */
function startsAnew(clone: Computer): void {
  renewIdentity(clone);
  assert.equal(clone.start(), undefined);
  clone.lab.run(15_000);
}

/** Inner packets from one to another in so many seconds, one every 200 ms. */
function packets(from: Computer, to: Computer, at: Computer, seconds: number): number {
  const before = at.delivered.length;
  for (let i = 0; i < 5 * seconds; i++) {
    from.say(to);
    from.lab.run(200);
  }
  return at.delivered.length - before;
}

for (const seed of [51, 52, 53]) {
  Deno.test(`item 11: within 10 s every member names the key that two machines use and both places; tunnels stay with the original (seed ${seed})`, () => {
    const { lab, founder, others: [original, third, fourth] } = village(crypto, [
      "original",
      "third",
      "fourth",
    ], seed);
    assert.ok(original && third && fourth);
    packets(third, original, original, 2);
    lab.run(20_000);
    const clone = copyOf(lab, original);
    clone.start();
    const began = lab.world.now;
    const members = [founder, third, fourth];
    const line = (text: string) =>
      text.includes("original is used by two machines") && text.includes(original.address) &&
      text.includes(clone.address) && text.includes("`shoal identity renew`");
    let reached = 0;
    let strayed: number | undefined;
    while (lab.world.now - began < 10_000) {
      reached += packets(third, original, original, 1);
      if (alarmOf(third) !== "") strayed ??= clone.delivered.length;
    }
    for (const one of members) assert.ok(line(alarmOf(one)), `${one.wish.name}: ${healthOf(one)}`);
    assert.match(
      alarmOf(original),
      /another machine at 192\.0\.2\.\d+:51820 uses this node's key, too/,
    );
    assert.match(
      alarmOf(clone),
      /another machine .*uses this node's key.*on the copy, `shoal identity renew`/,
    );
    for (const one of [original, ...members]) {
      assert.doesNotMatch(healthOf(one).join("\n"), /^alone/m, `${one.wish.name}`);
    }
    assert.ok(reached >= 40, `${reached} of 50 packets reached the original`);
    assert.ok((strayed ?? Infinity) <= 10, `${strayed} packets went astray before the alarm`);
    assert.equal(clone.delivered.length, strayed, "and none since");
    // For a minute more, while the clone talks and asks for tunnels.
    reached = 0;
    const stale = () => members.map((one) => one.node.status(one.now()).control["stale"] ?? 0);
    const before = stale();
    for (let i = 0; i < 60; i++) {
      clone.say(third);
      reached += packets(third, original, original, 1);
      original.say(third);
    }
    assert.ok(reached >= 290, `${reached} of 300`);
    assert.equal(clone.delivered.length, strayed);
    const grown = stale().map((now, i) => now - (before[i] ?? 0));
    assert.ok(Math.max(...grown) <= 10, `what the original says looks old: ${grown}`);
    assert.ok(areMutual([...members, original]));
  });
}

Deno.test("item 11: after `shoal identity renew` one approve makes the clone a member of its own, and the alarm ends", () => {
  const { lab, founder, others: [original, third] } = village(crypto, ["original", "third"], 54);
  assert.ok(original && third);
  lab.run(20_000);
  const clone = noticedCopy(lab, original, third);
  startsAnew(clone);
  assert.equal(founder.sees(clone), undefined);
  const { name } = done(
    founder.step((now, out) => founder.node.approve(now, clone.id, out, { name: "copy" })),
  );
  assert.equal(name, "copy");
  assert.ok(lab.until(120_000, () => areMutual([founder, original, third, clone])));
  assert.equal(third.sees(clone)?.name, "copy");
  assert.equal(third.sees(original)?.name, "original");
  lab.run(11 * 60_000);
  for (const one of [founder, original, third, clone]) {
    assert.equal(alarmOf(one), "", `${one.wish.name}`);
  }
});

Deno.test("item 11: the clone of a founder, which never had a seed, asks the members that it remembers and is let in", () => {
  const { lab, founder, others: [second, third] } = village(crypto, ["second", "third"], 56);
  assert.ok(second && third);
  lab.run(20_000);
  assert.deepEqual(founder.disk?.seeds, []);
  const clone = noticedCopy(lab, founder, third);
  startsAnew(clone);
  done(founder.step((now, out) => founder.node.approve(now, clone.id, out, { name: "copy" })));
  assert.ok(lab.until(120_000, () => areMutual([founder, second, third, clone])));
});

Deno.test("item 11, invariant 14: a clone of an admin's machine is named too, and its statements under used numbers are shown", () => {
  const { lab, founder, others: [lyon, third] } = village(crypto, ["lyon", "third"], 55);
  assert.ok(lyon && third);
  promote(founder, lyon);
  lab.run(20_000);
  const clone = copyOf(lab, lyon);
  clone.start();
  lab.run(10_000);
  assert.match(alarmOf(third), /the key of lyon is used by two machines/);
  lyon.token();
  clone.step((now, out) => clone.node.invite(now, { yes: true }, out));
  lab.run(60_000);
  assert.match(
    healthOf(third).join("\n"),
    /^the key of lyon is used|^lyon has signed two things under one number|^key: /m,
  );
  assert.ok(areMutual([founder, lyon, third]));
});

Deno.test("item 11: a restart, a restored older disk and a move to another address are no alarm", () => {
  const { lab, founder, others: [one, third] } = village(crypto, ["one", "third"], 56);
  assert.ok(one && third);
  const old = structuredClone(one.disk);
  const quiet = (what: string) => {
    for (const each of [founder, one, third]) {
      assert.equal(alarmOf(each), "", what);
      assert.ok(each.events.every(({ kind }) => kind !== "twin"), what);
    }
  };
  for (let i = 0; i < 5; i++) {
    one.crash();
    one.start();
    lab.run(4_000);
  }
  quiet("five restarts in twenty seconds");
  one.crash();
  assert.ok(old);
  one.disk = old;
  one.start();
  lab.run(30_000);
  quiet("an older disk");
  assert.ok(areMutual([founder, one, third]));
  lab.move(one, Uint8Array.of(198, 51, 100, 9));
  lab.run(60_000);
  quiet("another address");
  one.crash();
  lab.run(1_000);
  // The disk goes into another machine for good.
  const heir = copyOf(lab, one);
  heir.start();
  lab.run(60_000);
  for (const each of [founder, heir, third]) assert.equal(alarmOf(each), "", "another machine");
  assert.ok(areMutual([founder, heir, third]));
});
