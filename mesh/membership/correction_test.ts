import assert from "node:assert/strict";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { Insider } from "../sim/insider.ts";
import { type Computer, NodeLab } from "../sim/node_lab.ts";
import { promote, revoke, secondsAt, village } from "../sim/people.ts";

const HOUR = 3_600_000;

function approve(by: Computer, who: Computer, name: string): void {
  const approved = by.step((now, out) =>
    by.node.approve(now, who.id, out, { name, groups: [], yes: true })
  );
  assert.ok(approved.ok, approved.ok ? "" : approved.error);
}

Deno.test("a member that lost its name gets another, once its certifier's clock is past the last certificate", () => {
  const lab = new NodeLab(crypto, 1);
  const founder = lab.founder();
  const earlier = lab.joiner(founder, { name: "earlier" });
  lab.run(3_000);
  const other = lab.joiner(founder, { name: "other" });
  lab.run(3_000);
  const later = lab.joiner(founder, { name: "later" });
  lab.run(3_000);
  assert.ok(
    founder.step((now, out) => founder.node.promote(now, "other", { yes: true }, out)).ok,
  );
  lab.run(3_000);
  lab.network.partition([other.address, earlier.address]);
  founder.host.skew = 200_000; // as far ahead as is tolerated
  approve(founder, later, "x");
  founder.host.skew = 0;
  approve(other, earlier, "x");
  const signed = () => founder.node.snapshot().numbers.own;
  const before = signed();
  lab.network.heal();
  lab.run(60_000);
  assert.equal(founder.sees(earlier)?.name, "x", "who came first has the name");
  assert.match(founder.sees(later)?.name ?? "", /^x-[0-9a-f]{32}$/);
  assert.equal(signed(), before, "what would not count is not signed");
  assert.ok(lab.until(HOUR, () => founder.sees(later)?.name === "x-2"));
  assert.equal(signed(), before + 1);
});

Deno.test("invariant 7: what a thief with an admin's key dates back costs nobody its name or address for good", () => {
  const { lab, founder, others: [admin, victim] } = village(crypto, ["admin", "victim"], 4);
  assert.ok(admin && victim);
  promote(founder, admin);
  lab.run(10_000);
  const address = founder.sees(victim)?.ip4;
  const before = founder.node.snapshot().numbers.own;
  const since = secondsAt(founder);
  lab.run(2_000);
  const thief = new Insider(admin);
  for (const name of ["victim", "victim-2", "victim-2-2"]) {
    const self = thief.newIdentity();
    const certificate = { key: self.id, groups: [], relay: false, ip4Counter: 0, name, since: 1 };
    const until = secondsAt(founder) + 10_000;
    const signed = thief.sign({ kind: "member", certificate, until, token: undefined });
    const proof = { statements: [signed.bytes], admission: undefined };
    thief.tell(founder, signed);
    lab.run(300);
    thief.spread(founder, thief.describe({ proof, endpoints: [] }, self));
    lab.run(5_000);
  }
  assert.match(founder.sees(victim)?.name ?? "", /^victim-[0-9a-f]{32}$/, "a person sees it");
  lab.run(120_000);
  assert.equal(
    founder.node.snapshot().numbers.own,
    before,
    "nothing is signed at the thief's word",
  );
  revoke(founder, admin, since);
  lab.run(60_000);
  assert.equal(founder.sees(victim)?.name, "victim");
  assert.equal(founder.sees(victim)?.ip4, address);
});
