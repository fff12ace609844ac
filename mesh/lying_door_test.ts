/** A lying door that holds a used-up invite, against somebody who joins. */
import assert from "node:assert/strict";
import { parseToken } from "./door/token.ts";
import { encodeAdmission } from "./membership/admission.ts";
import { encodeStatements } from "./membership/statement.ts";
import { nobleCrypto as crypto } from "./noble_crypto.ts";
import { Insider } from "./sim/insider.ts";
import { healthOf, village } from "./sim/people.ts";
import { PAYLOAD_MAX } from "./wire/seal.ts";

for (const isLying of [false, true]) {
  Deno.test(`a newcomer whom one door of its invite gives ${isLying ? "an admission by another invite" : "none"} gets in at the next door`, () => {
    const { lab, founder, others: [mole] } = village(crypto, ["mole"], 4);
    assert.ok(mole);
    lab.run(5_000);
    // An invite for one that is used up; the member that lies has kept its line.
    const text = founder.token();
    const first = lab.computer({ name: "first", token: text });
    first.start();
    lab.run(20_000);
    assert.equal(founder.sees(first)?.standing, "certified");
    const token = founder.token();
    lab.run(2_000);
    const spent = parseToken(crypto, text);
    assert.ok(spent.ok);
    const late = lab.computer({ name: "late", token });
    // It meets the liar first, which answers its hello and lets it wait.
    lab.network.partition([founder.address, first.address]);
    const { deliver } = late.host;
    late.host.deliver = (from, bytes) => {
      if (bytes[0] !== 0xc1) deliver.call(late.host, from, bytes);
    };
    late.start();
    lab.run(1_000);
    late.host.deliver = deliver;
    const insider = new Insider(mole);
    insider.know(late);
    if (isLying) {
      const { secret, statement } = spent.value;
      insider.send(late, "statements", encodeStatements([statement], PAYLOAD_MAX));
      lab.run(50);
      const admission = insider.admit({ ...insider.identity, id: late.id }, secret, "evil");
      insider.send(late, "admission", encodeAdmission(admission));
    }
    lab.run(2_000);
    lab.network.heal();
    insider.computer.host.crash();
    lab.run(180_000);
    late.crash();
    assert.equal(late.start(), undefined);
    lab.run(180_000);
    assert.equal(founder.sees(late)?.state, "alive", healthOf(late).join("\n"));
  });
}
