/** A member that hears of another mesh key, and not of what that key signs anew, before its network parts. */
import assert from "node:assert/strict";
import { fromBase64url } from "./base64url.ts";
import { decodeStatement, encodeStatements, hashOf } from "./membership/statement.ts";
import { Insider } from "./sim/insider.ts";
import { areMutual, done, village } from "./sim/people.ts";
import { toyCrypto as crypto } from "./sim/toy_crypto.ts";

Deno.test("invariant 5: a member that knows of a recovery, and of nobody's new certificate, finds them again", () => {
  for (let seed = 1; seed <= 3; seed++) {
    const recovery = crypto.blake2s(new Uint8Array([seed]));
    const { publicKey: recoveryKey } = crypto.ed25519FromSeed(recovery);
    const { lab, founder, others } = village(crypto, ["lyon", "oslo", "mole"], seed, {
      recoveryKey,
    });
    const [lyon, oslo, mole] = others;
    assert.ok(lyon && oslo && mole);
    const insider = new Insider(mole);
    lab.network.partition([founder.address]);
    for (const [one, other] of [[lyon, oslo], [oslo, lyon]] as const) {
      lab.network.mute(one.address, other.address);
    }
    const recover = (by: typeof lyon) => {
      const keys = { recovery, meshKey: lab.random(32) };
      done(by.step((now, out) => by.node.recover(now, keys, { yes: true }, out)));
    };
    recover(founder);
    const successor = founder.node.snapshot().statements
      .map(({ bytes }) => fromBase64url(bytes) ?? new Uint8Array())
      .map((bytes) => decodeStatement(bytes, hashOf(crypto, bytes)))
      .flatMap((one) => one.ok && one.value.kind === "successor" ? [one.value] : []);
    assert.equal(successor.length, 1);
    founder.crash(); // What it has signed anew is lost.
    for (const one of [lyon, oslo]) {
      insider.send(one, "statements", encodeStatements(successor, 1_200));
    }
    mole.host.crash();
    lab.run(90_000);
    for (const one of [lyon, oslo]) {
      assert.equal(one.node.status(one.now()).peers.length, 0, "nobody's certificate counts there");
    }
    recover(oslo);
    // A person settles what the lost machine has signed.
    done(oslo.step((now, out) => oslo.node.approve(now, lyon.id, out)));
    lab.network.heal();
    assert.ok(lab.until(240_000, () => areMutual([lyon, oslo])), `seed ${seed}`);
  }
});
