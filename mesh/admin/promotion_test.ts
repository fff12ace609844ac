/** Who makes and unmakes admins (invariants 1, 3), and an admin whose disk is older than it should be (14). */
import assert from "node:assert/strict";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import type { Computer } from "../sim/node_lab.ts";
import {
  areMutual,
  demote,
  done,
  promote,
  refusalOf,
  revoke,
  told,
  village,
} from "../sim/people.ts";

Deno.test("item 12, invariant 3: promote makes an admin on sight of everybody, and only where the mesh key is", () => {
  const { lab, founder, others: [lyon, paris] } = village(crypto, ["lyon", "paris"], 31);
  assert.ok(lyon && paris);
  const address = lyon.ip4.join(".");
  const wrong = paris.step((now, out) => paris.node.promote(now, "lyon", {}, out));
  assert.equal(refusalOf(wrong), "promote: the mesh key is on founder: run it there");
  promote(founder, lyon);
  lab.run(5_000);
  for (const one of [founder, paris]) {
    assert.equal(one.sees(lyon)?.standing, "admin");
    assert.equal(one.sees(lyon)?.expires, "", "an office has no end");
    assert.equal(one.sees(lyon)?.ip4, address);
    assert.ok(told(one, "promoted") >= 1);
  }
  const status = lyon.node.status(lyon.now()).self;
  assert.deepEqual([status.admin, status.mesh_key, status.name], [true, false, "lyon"]);
  const again = founder.step((now, out) => founder.node.promote(now, "lyon", {}, out));
  assert.match(refusalOf(again), /^promote: lyon is an admin already/);
  const nobody = founder.step((now, out) => founder.node.promote(now, "rome", {}, out));
  assert.match(refusalOf(nobody), /^promote: rome: no member has this name/);
  const guest = lab.joiner(lyon, { name: "guest" });
  assert.ok(lab.until(10_000, () => paris.sees(guest)?.standing === "certified"));
  // What was before it joined is told as that; what happens from then on is news.
  const histories = (of: Computer) =>
    of.events.flatMap((event) => event.kind === "promoted" ? [event.isHistory] : []);
  assert.deepEqual(histories(guest), [true, true], "founder and lyon");
  assert.deepEqual(histories(paris), [true, false]);
  lab.run(2_000);
  promote(founder, paris);
  lab.run(5_000);
  assert.deepEqual(histories(guest), [true, true, false]);
  assert.equal(histories(paris).at(-1), false, "its own office is always news");
});

Deno.test("whoever joins is told of each office and each removal what is so, in whatever order it hears of them", () => {
  const names = ["lyon", "paris", "rome", "oslo", "bern", "kyiv"];
  const { lab, founder, others } = village(crypto, names, 36);
  const bad = lab.joiner(founder, { name: "bad" });
  for (const one of others) promote(founder, one);
  lab.run(10_000);
  revoke(others[0] as Computer, bad);
  lab.run(5_000);
  for (const one of others) demote(founder, one);
  lab.run(10_000);
  const guest = lab.joiner(founder, { name: "guest" });
  lab.run(30_000);
  for (const { id } of others) {
    const said = guest.events.flatMap((event) =>
      (event.kind === "promoted" || event.kind === "demoted") && event.who.id === id
        ? [event.kind]
        : []
    );
    assert.equal(said.at(-1), "demoted", `${said}`);
    assert.equal(said.filter((kind) => kind === "demoted").length, 1, `${said}`);
  }
  assert.equal(told(guest, "removed"), 1);
});

Deno.test("item 12, invariant 3: an office that was ended is ended for good: only a new identity can have one", () => {
  const { lab, founder, others: [lyon, paris] } = village(crypto, ["lyon", "paris"], 32);
  assert.ok(lyon && paris);
  promote(founder, lyon);
  lab.run(5_000);
  demote(founder, lyon);
  lab.run(5_000);
  assert.equal(paris.sees(lyon)?.standing, "certified");
  const again = founder.step((now, out) => founder.node.promote(now, "lyon", {}, out));
  assert.match(
    refusalOf(again),
    /^promote: lyon was an admin and its office was ended for good: .*`shoal identity renew`/,
  );
  const refused = lyon.step((now, out) => lyon.node.invite(now, {}, out));
  assert.match(refusalOf(refused), /^invite: this node is no admin: run it on founder/);
});

Deno.test("invariant 14: an admin restarted from an older disk signs nothing before it has compared; its numbers then go on beyond", () => {
  const { lab, founder, others: [lyon, paris], all } = village(crypto, ["lyon", "paris"], 33);
  assert.ok(lyon && paris);
  promote(founder, lyon);
  lab.run(10_000);
  const old = lyon.disk;
  lyon.token({ uses: 3 });
  const bad = lab.joiner(founder, { name: "bad" });
  lab.run(5_000);
  revoke(lyon, bad);
  lab.run(10_000);
  const used = lyon.disk?.numbers.own ?? 0;
  assert.ok(old && used > old.numbers.own);
  lyon.crash();
  lyon.disk = old;
  lab.network.partition([lyon.address]);
  lyon.start();
  lab.run(30_000);
  const asked = lyon.step((now, out) => lyon.node.invite(now, {}, out));
  assert.match(
    refusalOf(asked),
    /^invite: no member has answered since this node was started, .* insist with --yes/,
  );
  const revoked = lyon.step((now, out) => lyon.node.revoke(now, "paris", {}, out));
  assert.match(refusalOf(revoked), /^revoke: no member has answered since/);
  assert.equal(lyon.disk.numbers.own, old.numbers.own, "nothing was signed");
  lab.network.heal();
  assert.ok(lab.until(60_000, () => lyon.node.hasCompared));
  lab.run(5_000);
  assert.equal(lyon.sees(bad), undefined, "it has heard of its own removal");
  lyon.token();
  assert.ok((lyon.disk?.numbers.own ?? 0) > used, `${lyon.disk?.numbers.own} after ${used}`);
  lab.run(10_000);
  for (const one of all) {
    assert.equal(
      one.node.status(one.now()).control["statement_pairs"],
      0,
      "no number was used twice",
    );
  }
  assert.ok(areMutual(all));
});

Deno.test("invariant 14: an admin's node that has not compared certifies nobody on sight either", () => {
  const { lab, founder, others: [lyon, paris] } = village(crypto, ["lyon", "paris"], 34);
  assert.ok(lyon && paris);
  const token = founder.token({ uses: 1 });
  lab.run(5_000);
  founder.crash();
  lab.network.partition([founder.address, "192.0.2.4:51820"]);
  founder.start();
  const guest = lab.computer({ name: "guest", token });
  guest.start();
  lab.run(20_000);
  assert.equal(founder.sees(guest)?.standing, "provisional", "the door lets it in, and no more");
  lab.network.heal();
  assert.ok(lab.until(60_000, () => paris.sees(guest)?.standing === "certified"));
});

Deno.test("invariant 13: a disk that was restored and signed on by --yes is shown as two things under one number", () => {
  const { lab, founder, others: [lyon, paris] } = village(crypto, ["lyon", "paris"], 35);
  assert.ok(lyon && paris);
  promote(founder, lyon);
  lab.run(10_000);
  const old = lyon.disk;
  lyon.token({ uses: 3 });
  lab.run(10_000);
  lyon.crash();
  lyon.disk = old;
  lab.network.partition([lyon.address]);
  lyon.start();
  lab.run(1_000);
  done(lyon.step((now, out) => lyon.node.invite(now, { yes: true }, out)));
  lab.network.heal();
  lab.run(90_000);
  // Whoever has heard of both: of two under one number the one that does not count goes no further.
  for (const one of [founder, lyon]) {
    const { health } = one.node.status(one.now());
    assert.match(health.join("\n"), /^lyon has signed two things under one number \(\d+\): /m);
  }
});
