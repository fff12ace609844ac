/** Items 3 and 5: a thief of the mesh key that a recovery has named, and a machine that had not heard of that recovery. */
import assert from "node:assert/strict";
import type { RecoverOptions } from "./recovery.ts";
import { Insider } from "../sim/insider.ts";
import type { Computer } from "../sim/node_lab.ts";
import { done, promote, refusalOf, secondsAt, village } from "../sim/people.ts";
import { toyCrypto as crypto } from "../sim/toy_crypto.ts";

const RECOVERY = new Uint8Array(32).fill(77);
const HOUR = 3_600_000;

function meshKeyOf(n: number): Uint8Array {
  return new Uint8Array(32).fill(100 + n);
}

/** @param n which new mesh key it is */
function recover(by: Computer, n: number, options: RecoverOptions) {
  const keys = { recovery: RECOVERY, meshKey: meshKeyOf(n) };
  return by.step((now, out) => by.node.recover(now, keys, options, out));
}

/**
 * `second` recovers without the founder, and is stolen with the new mesh key later: the thief removes `fourth`, and ends the
 * office and the membership of `fifth`. `third` recovers then; before the first recovery `lost` was removed.
 */
function secondTheft(how: "on" | "off" | "restored", dating: "honest" | "backdated", seed: number) {
  const { lab, founder, others } = village(
    crypto,
    ["second", "third", "fourth", "fifth", "sixth", "lost"],
    seed,
    { recoveryKey: crypto.ed25519FromSeed(RECOVERY).publicKey },
  );
  const [second, third, fourth, fifth, sixth, lost] = others;
  assert.ok(second && third && fourth && fifth && sixth && lost);
  promote(founder, second);
  lab.run(2_000);
  promote(founder, fifth);
  done(founder.step((now, out) => founder.node.revoke(now, lost.id, {}, out)));
  lab.run(60_000);
  const copy = structuredClone(third.disk);
  if (how === "off") third.crash();
  lab.run(HOUR / 6);
  founder.crash();
  const recoveredAt = secondsAt(second);
  done(recover(second, 1, { without: ["founder"], since: recoveredAt - 60, yes: true }));
  lab.run(HOUR);
  const theft = secondsAt(second);
  lab.run(10_000);
  const thief = new Insider(second);
  const meshKey = crypto.ed25519FromSeed(meshKeyOf(1));
  const drafts = [
    { kind: "removed", key: fourth.id },
    { kind: "demoted", key: fifth.id },
    { kind: "removed", key: fifth.id },
  ] as const;
  for (const [i, draft] of drafts.entries()) {
    const at = dating === "backdated" ? recoveredAt : undefined;
    const said = thief.sign(draft, meshKey, 9_000 + i, at);
    for (const one of [sixth, fourth]) thief.tell(one, said);
  }
  lab.run(HOUR / 6);
  thief.computer.host.crash();
  if (how === "restored") {
    third.crash();
    third.disk = copy;
  }
  lab.run(HOUR / 6);
  if (how !== "on") assert.equal(third.start(), undefined);
  lab.run(120_000);
  return { lab, founder, third, fourth, fifth, sixth, lost, theft };
}

for (const dating of ["honest", "backdated"] as const) {
  for (const how of ["on", "off", "restored"] as const) {
    Deno.test(`item 3, invariant 5: a second theft, its ends ${dating}, and who recovers was ${how} during the first recovery: it is asked about the office, and whom the thief put out is a member again`, () => {
      const { lab, founder, third, fourth, fifth, sixth, lost, theft } = secondTheft(
        how,
        dating,
        41,
      );
      const wish = { without: ["second"], since: theft };
      const question = /the office of fifth ended: say --keep fifth if a thief did it/;
      assert.match(refusalOf(recover(third, 2, wish)), question);
      const plan = done(recover(third, 2, { ...wish, keep: ["fifth"] }));
      assert.match(plan.warnings.join("\n"), /again \(.*fourth.*\): `shoal revoke` each/);
      done(recover(third, 2, { ...wish, keep: ["fifth"], yes: true }));
      lab.run(300_000);
      for (const by of [third, sixth]) {
        assert.equal(by.sees(fourth)?.standing, "certified");
        assert.equal(by.sees(fifth)?.standing, "admin");
        assert.equal(by.sees(lost), undefined, "who was removed before both thefts stays out");
        assert.equal(by.sees(founder), undefined, "the first thief stays out");
      }
    });
  }
}
