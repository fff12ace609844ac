/** Items 3 and 5: what a machine heard by a wrong clock counts as heard when it was, once the clock is right. */
import assert from "node:assert/strict";
import { Insider } from "../sim/insider.ts";
import type { Computer } from "../sim/node_lab.ts";
import { done, healthOf, promote, revoke, secondsAt, village } from "../sim/people.ts";
import { toyCrypto as crypto } from "../sim/toy_crypto.ts";

const RECOVERY = new Uint8Array(32).fill(77);
const HOUR = 3_600_000;

/** @returns what was shown, and done: `admin` is stolen since `since` */
function believe(by: Computer, how: "revoke" | "recover", admin: Computer, since: number) {
  if (how === "revoke") {
    const plan = revoke(by, admin, since, false);
    revoke(by, admin, since);
    return plan;
  }
  const keys = { recovery: RECOVERY, meshKey: new Uint8Array(32).fill(101) };
  const options = { without: ["admin"], since };
  const plan = done(by.step((now, out) => by.node.recover(now, keys, options, out)));
  done(by.step((now, out) => by.node.recover(now, keys, { ...options, yes: true }, out)));
  return plan;
}

/** By how many ms the clock is wrong, for how many, and how many it is right before the command: by some nobody is a member. */
const CLOCKS = {
  "of its shutdown": [() => -0.6 * HOUR, 30_000, 0],
  "of its shutdown, for an hour": [() => -0.6 * HOUR, HOUR, 0],
  "of 1970": [(wall: number) => 1_000 - wall, 30_000, 180_000],
  "of the next century": [() => 100 * 365 * 24 * HOUR, 30_000, 180_000],
} as const;

for (const how of ["revoke", "recover"] as const) {
  for (const [what, [skewOf, wrongFor, rightFor]] of Object.entries(CLOCKS)) {
    Deno.test(`item 3, invariant 4: ${how} --since believes nothing of a thief that was heard by the clock ${what}, and all that was heard before`, () => {
      const { lab, founder, others: [admin, x, y] } = village(crypto, ["admin", "x", "y"], 4, {
        recoveryKey: crypto.ed25519FromSeed(RECOVERY).publicKey,
      });
      assert.ok(admin && x && y);
      promote(founder, admin);
      lab.run(60_000);
      const friend = lab.joiner(admin, { name: "friend" });
      lab.run(HOUR / 2);
      assert.equal(founder.sees(friend)?.standing, "certified");
      founder.crash();
      lab.run(60_000);
      const since = secondsAt(founder);
      lab.run(60_000);
      const thief = new Insider(admin);
      const puppet = lab.computer({ name: "puppet" });
      const certificate = {
        key: puppet.id,
        name: "puppet",
        groups: [],
        relay: true,
        ip4Counter: 0,
        since,
      };
      const until = since + 10_000_000;
      thief.tell(x, thief.sign({ kind: "member", certificate, until, token: undefined }));
      thief.tell(x, thief.sign({ kind: "removed", key: y.id }));
      lab.run(HOUR / 2);
      founder.host.skew = skewOf(founder.now().wall);
      assert.equal(founder.start(), undefined);
      lab.run(wrongFor);
      founder.host.skew = 0;
      if (rightFor > 0) lab.run(rightFor);
      const plan = believe(founder, how, admin, since);
      assert.match(plan.warnings.join("\n"), /^1 removal .* is a member again \(y\)/m);
      lab.run(300_000);
      assert.equal(x.sees(y)?.state, "alive");
      assert.equal(x.sees(friend)?.standing, "certified");
      assert.doesNotMatch(healthOf(founder).join("\n"), /friend/);
      puppet.disk = structuredClone({
        ...x.disk,
        boot: 0,
        incarnation: 0,
        numbers: { own: 0, mesh: 0 },
      } as NonNullable<typeof x.disk>);
      assert.equal(puppet.start(), undefined);
      lab.run(60_000);
      assert.equal(x.sees(puppet), undefined, "whom the thief certified is nobody");
    });
  }
}
