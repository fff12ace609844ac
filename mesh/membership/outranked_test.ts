/** What a thief hides by using an admin's numbers again is signed anew all the same. */
import assert from "node:assert/strict";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { Insider } from "../sim/insider.ts";
import { promote, revoke, secondsAt, village } from "../sim/people.ts";

Deno.test("item 3: a certificate that a thief hid is signed anew by revoke --since, also after a restart", () => {
  const { lab, founder, others: [admin, other] } = village(crypto, ["admin", "other"], 4);
  assert.ok(admin && other);
  promote(founder, admin);
  lab.run(5_000);
  const newcomer = lab.computer({ name: "newcomer", token: admin.token() });
  lab.network.partition([founder.address]); // So it is the admin that certifies it.
  newcomer.start();
  lab.run(8_000);
  lab.network.heal();
  lab.run(60_000);
  assert.equal(founder.sees(newcomer)?.state, "alive");
  const top = admin.disk?.numbers.own ?? 0;
  const since = secondsAt(founder);
  lab.run(2_000);
  const thief = new Insider(admin);
  for (let number = 1; number <= top; number++) {
    const junk = { kind: "removed", key: thief.newIdentity().id } as const;
    thief.tell(founder, thief.sign(junk, undefined, number));
  }
  lab.run(4_000);
  founder.crash();
  lab.run(1_000);
  founder.start();
  lab.run(12_000);
  revoke(founder, admin, since);
  lab.run(60_000);
  assert.equal(founder.sees(newcomer)?.state, "alive", "it was certified long before the theft");
});
