/** A member that has forgotten everybody else is known again, though the others take it for dead. */
import assert from "node:assert/strict";
import { areMutual, village } from "./sim/people.ts";
import { toyCrypto } from "./sim/toy_crypto.ts";

const DECADES = 55 * 365 * 86_400_000;

Deno.test("an admin whose clock was ahead by decades, and which forgot all members, is back a few minutes after it is right", () => {
  for (let seed = 1; seed <= 3; seed++) {
    const { lab, founder, all } = village(toyCrypto, ["n1", "n2", "n3", "n4"], seed);
    founder.host.skew = DECADES;
    lab.run(150_000);
    assert.equal(founder.node.status(founder.now()).peers.length, 0, "all certificates have ended");
    founder.host.skew = 0;
    assert.ok(lab.until(300_000, () => areMutual(all)), `seed ${seed}`);
  }
});
