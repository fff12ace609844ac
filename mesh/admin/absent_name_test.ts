/** Whoever is not here keeps its name and its address while its certificate counts (invariant 7). */
import assert from "node:assert/strict";
import { type Computer, type NodeLab } from "../sim/node_lab.ts";
import {
  done,
  haveMissed,
  healthOf,
  invite,
  promote,
  refusalOf,
  revoke,
  secondsAt,
  village,
} from "../sim/people.ts";
import { Insider } from "../sim/insider.ts";
import { Seeded } from "../sim/random.ts";
import { toyCrypto as crypto } from "../sim/toy_crypto.ts";

const MONTH = 31 * 86_400_000;

/** A month goes by for those that run, in which nothing happens and these are silent. */
function passMonth(running: readonly Computer[], away: readonly Computer[]): void {
  for (const one of running) {
    one.host.skew = MONTH;
    one.host.arrange();
    haveMissed(one, away, MONTH / 1_000);
  }
}

/** What a machine by that name is at all of them. */
function named(all: readonly Computer[], who: string): Set<string | undefined> {
  return new Set(all.map((one) => {
    const { self, peers } = one.node.status(one.now());
    return [self, ...peers].find(({ name }) => name === who)?.key;
  }));
}

/** Whom each node gives as the machine of that name to a resolver. */
function resolved(all: readonly Computer[], who: string): Set<string | undefined> {
  return new Set(
    all.map((one) => one.node.directory()?.entries.find(({ name }) => name === who)?.ip6),
  );
}

function unmet(lab: NodeLab): string {
  return lab.crypto.ed25519FromSeed(lab.random(32)).publicKey.toHex();
}

Deno.test("invariant 7: the name of an admin that was silent for a month is nobody else's, for promote, approve, ping and DNS", () => {
  const { lab, founder, others: [oslo, third] } = village(crypto, ["oslo", "third"], 43);
  assert.ok(oslo && third);
  promote(founder, oslo);
  lab.run(60_000);
  const { ip4, ip6 } = founder.sees(oslo) ?? {};
  oslo.crash();
  lab.run(120_000);
  const here = [founder, third];
  passMonth(here, [oslo]);
  lab.run(120_000);
  assert.deepEqual(here.map((one) => one.sees(oslo)), [undefined, undefined], "it is forgotten");
  const thief = lab.computer({ name: "oslo", token: founder.token() }, MONTH);
  thief.start();
  const all = [...here, thief];
  const isCertified = () => founder.sees(thief)?.standing === "certified";
  const bearers = new Set<string | undefined>();
  assert.ok(lab.until(60_000, () => {
    for (const one of named(here, "oslo")) bearers.add(one);
    return isCertified();
  }));
  lab.run(60_000);
  assert.deepEqual([...bearers, ...named(all, "oslo")], [undefined, undefined], "not for a moment");
  assert.deepEqual(named(here, "oslo-2"), new Set([thief.id]));
  assert.deepEqual(resolved(all, "oslo"), new Set([undefined]));
  const key = oslo.id.slice(0, 16);
  const absent = new RegExp(
    `: oslo: the member of this name \\(${key}\\) is not here: it has not come yet, or has been silent`,
  );
  assert.match(
    refusalOf(founder.step((now, out) => founder.node.promote(now, "oslo", {}, out))),
    absent,
  );
  const pinged = founder.step((now, out) =>
    founder.node.ping(now, "oslo", { timeoutMs: 100, size: 0 }, out)
  );
  assert.match(refusalOf(pinged), absent);
  assert.match(
    refusalOf(founder.step((now, out) => founder.node.approve(now, "oslo", out))),
    new RegExp(`^approve: oslo is certified, and not here now: .*: ${oslo.id}$`),
  );
  // A start remembers it, too.
  founder.crash();
  founder.start();
  lab.run(60_000);
  assert.deepEqual(named(here, "oslo"), new Set([undefined]));
  oslo.host.skew = MONTH;
  oslo.start();
  assert.ok(lab.until(120_000, () => founder.sees(oslo)?.state === "alive"));
  lab.run(30_000);
  assert.deepEqual(named([...all, oslo], "oslo"), new Set([oslo.id]));
  assert.deepEqual([founder.sees(oslo)?.ip4, founder.sees(oslo)?.admin], [ip4, true]);
  assert.deepEqual(resolved(all, "oslo"), new Set([ip6]));
  assert.equal(founder.sees(thief)?.admin, false);
});

Deno.test("invariant 7: the name of a key that was approved and has not come is nobody else's, nor a guest's, until it is revoked", () => {
  const { lab, founder } = village(crypto, ["member"], 44);
  const key = unmet(lab);
  done(founder.step((now, out) => founder.node.approve(now, key, out, { name: "printer" })));
  const joiner = lab.joiner(founder, { name: "printer" });
  assert.ok(lab.until(60_000, () => founder.sees(joiner)?.standing === "certified"));
  assert.equal(founder.sees(joiner)?.name, "printer-2");
  const bytes = crypto.x25519PublicKey(lab.random(32));
  const guest = (name: string) =>
    founder.step((now, out) => founder.node.addGuest(now, name, { key: bytes }, out));
  assert.match(
    refusalOf(guest("printer")),
    /^guest: printer is the name of a member: choose another/,
  );
  done(founder.step((now, out) => founder.node.revoke(now, "printer", {}, out)));
  const later = founder.step((now, out) =>
    founder.node.approve(now, unmet(lab), out, { name: "printer" })
  );
  assert.equal(done(later).name, "printer");
});

Deno.test("invariant 7: promote, approve and revoke want the key where two certificates that count bear one name", () => {
  const { lab, founder, others: [second, oslo] } = village(crypto, ["second", "oslo"], 45);
  assert.ok(second && oslo);
  promote(founder, second);
  lab.run(30_000);
  const thief = new Insider(second);
  const key = unmet(lab);
  const at = secondsAt(founder);
  const certificate = {
    key,
    name: "oslo",
    groups: [],
    relay: false,
    ip4Counter: 0,
    since: at - 86_400,
  };
  thief.tell(
    founder,
    thief.sign({ kind: "member", certificate, until: at + 86_400, token: undefined }),
  );
  lab.run(5_000);
  const which = new RegExp(
    `: 2 machines are certified by the name oslo: say which key: .*${oslo.id.slice(0, 16)}`,
  );
  const { node } = founder;
  assert.match(refusalOf(founder.step((now, out) => node.promote(now, "oslo", {}, out))), which);
  assert.match(refusalOf(founder.step((now, out) => node.approve(now, "oslo", out))), which);
  assert.match(refusalOf(founder.step((now, out) => node.revoke(now, "oslo", {}, out))), which);
  done(founder.step((now, out) => node.revoke(now, key, {}, out)));
  assert.equal(done(founder.step((now, out) => node.promote(now, "oslo", {}, out))).id, oslo.id);
});

Deno.test("where a certificate that does not count any more bears the name of a member, the health names keys, and a key settles it", () => {
  const { lab, founder, others: [second, oslo] } = village(crypto, ["second", "oslo"], 46);
  assert.ok(second && oslo);
  promote(founder, second);
  lab.run(30_000);
  const key = unmet(lab);
  const at = secondsAt(founder);
  const thief = new Insider(second);
  const certificate = { key, name: "oslo", groups: [], relay: false, ip4Counter: 0, since: at };
  const until = at + 86_400;
  thief.tell(founder, thief.sign({ kind: "member", certificate, until, token: undefined }));
  lab.run(5_000);
  revoke(founder, second, at - 1);
  lab.run(30_000);
  const short = key.slice(0, 16);
  const line = new RegExp(
    `^the certificates of oslo \\(${short}\\) do not count any more, .*: ` +
      "`shoal approve KEY` or `shoal revoke KEY` settles each$",
    "m",
  );
  assert.match(healthOf(founder).join("\n"), line);
  done(founder.step((now, out) => founder.node.revoke(now, short, {}, out)));
  assert.doesNotMatch(healthOf(founder).join("\n"), /the certificates of/);
  assert.ok(founder.sees(oslo), "which was another's");
});

Deno.test("invariant 7: whoever is away, comes, goes or is approved in whatever order, no name or address ever has another bearer", () => {
  for (let seed = 1; seed <= 6; seed++) {
    const random = new Seeded(seed);
    const names = ["a", "b", "c", "d"];
    const { lab, founder, others } = village(crypto, names, 100 + seed);
    const [keeper, ...may] = others;
    assert.ok(keeper);
    if (random.chance(0.5)) promote(founder, keeper);
    lab.run(30_000);
    const before = new Map(others.map((one) => [one.id, founder.sees(one)]));
    const away = may.filter(() => random.chance(0.6));
    for (const one of away) one.crash();
    lab.run(120_000);
    const here = [founder, ...others.filter((one) => !away.includes(one))];
    passMonth(here, away);
    lab.run(90_000);
    const newcomers: Computer[] = [];
    for (const name of names) {
      if (random.chance(0.3)) {
        // Refused where somebody who is away has it.
        founder.step((now, out) => founder.node.approve(now, unmet(lab), out, { name }));
      }
      if (!random.chance(0.7)) continue;
      const by = random.chance(0.5) && keeper.node.status(keeper.now()).self.admin
        ? keeper
        : founder;
      const { token } = invite(by);
      const one = lab.computer({ name, token }, MONTH);
      one.start();
      newcomers.push(one);
      lab.run(random.below(20_000));
      if (random.chance(0.3)) {
        founder.crash();
        founder.start();
        lab.run(5_000);
      }
    }
    const check = () => {
      for (const member of others) {
        const own = before.get(member.id);
        for (const one of [...here, ...newcomers]) {
          for (const peer of one.node.status(one.now()).peers) {
            if (peer.key === member.id) {
              assert.deepEqual([peer.name, peer.ip4], [own?.name, own?.ip4], `seed ${seed}`);
            } else {assert.ok(
                peer.name !== own?.name && peer.ip4 !== own?.ip4,
                `seed ${seed}: ${peer.name}`,
              );}
          }
        }
      }
    };
    // A newcomer that has heard of nothing yet knows no better; all others do at any time.
    lab.run(90_000);
    check();
    for (const one of away) {
      one.host.skew = MONTH;
      one.start();
      lab.run(random.below(20_000));
      check();
    }
    const isBack = () => away.every((one) => founder.sees(one)?.state === "alive");
    assert.ok(lab.until(180_000, isBack), `seed ${seed}: all are back`);
    lab.run(60_000);
    check();
    const [gone] = away;
    if (gone === undefined) continue;
    revoke(founder, gone);
    lab.run(10_000);
    const { name = "" } = before.get(gone.id) ?? {};
    const heir = done(
      founder.step((now, out) => founder.node.approve(now, unmet(lab), out, { name })),
    );
    assert.ok(heir.name === name || newcomers.length > 0, "who is revoked holds nothing");
  }
});
