/** Losing one machine never closes the mesh (invariant 5): the founder lost, and the mesh key stolen. */
import assert from "node:assert/strict";
import { parseToken } from "../door/token.ts";
import { decodeStatement, type Draft, hashOf, subjectOf } from "../membership/statement.ts";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { GuestDevice } from "../sim/guest_device.ts";
import { Insider } from "../sim/insider.ts";
import type { Computer } from "../sim/node_lab.ts";
import {
  areMutual,
  canTalk,
  demote,
  done,
  healthOf,
  promote,
  refusalOf,
  revoke,
  secondsAt,
  told,
  village,
} from "../sim/people.ts";

const RECOVERY = new Uint8Array(32).fill(77);
const NEW_KEY = new Uint8Array(32).fill(78);

function hamlet(names: readonly string[], seed: number) {
  const recoveryKey = crypto.ed25519FromSeed(RECOVERY).publicKey;
  return village(crypto, names, seed, { recoveryKey });
}

function recover(
  by: Computer,
  options: { without?: string[]; keep?: string[]; since?: number; yes?: boolean },
  recovery = RECOVERY,
) {
  return by.step((now, out) => by.node.recover(now, { recovery, meshKey: NEW_KEY }, options, out));
}

function lookOf(by: Computer, of: Computer) {
  const peer = by.sees(of);
  return peer && [peer.name, peer.ip4, peer.ip6];
}

Deno.test("invariant 5: the founder is lost: another admin invites, approves and revokes, and all restart without it", () => {
  const { lab, founder, others } = hamlet(["second", "third", "fourth"], 21);
  const [second, third, fourth] = others;
  assert.ok(second && third && fourth);
  promote(founder, second);
  lab.run(10_000);
  founder.crash();
  lab.run(60_000);
  const fifth = lab.joiner(second, { name: "fifth" });
  assert.ok(lab.until(60_000, () => areMutual([...others, fifth])));
  revoke(second, fourth);
  lab.run(5_000);
  assert.equal(third.sees(fourth), undefined);
  const kept = [second, third, fifth];
  for (const one of kept) one.crash();
  for (const one of kept) assert.equal(one.start(), undefined);
  assert.ok(lab.until(60_000, () => areMutual(kept)));
  lab.run(20_000);
  done(second.step((now, out) => second.node.approve(now, "fifth", out)));
  assert.ok(canTalk(kept, 40));
  const promoted = second.step((now, out) => second.node.promote(now, "third", {}, out));
  assert.match(refusalOf(promoted), /^promote: (the mesh key is on founder|no member says)/);
});

Deno.test("item 3, invariant 5: the mesh key is lost: recovery says first what it signs, and then every member keeps its name, addresses and office", () => {
  const { lab, founder, others } = hamlet(["second", "third", "fourth"], 22);
  const [second, third, fourth] = others;
  assert.ok(second && third && fourth);
  promote(founder, second);
  lab.run(10_000);
  founder.crash();
  lab.run(1_000);
  const before = others.map((by) => others.map((of) => by === of ? undefined : lookOf(by, of)));
  const meshId = second.node.status(second.now()).mesh.id;
  assert.match(
    refusalOf(recover(third, { yes: true }, NEW_KEY)),
    /^recover: these are not the recovery words of this mesh, [a-z]+$/,
  );
  const mistaken = third.step((now, out) => {
    const seeds = { recovery: founder.wish.meshSeed ?? NEW_KEY, meshKey: NEW_KEY };
    return third.node.recover(now, seeds, { yes: true }, out);
  });
  assert.match(refusalOf(mistaken), /^recover: these are the words of the mesh key: /);
  const kept = third.step((now, out) => third.node.setMeshKey(now, RECOVERY, out));
  assert.match(refusalOf(kept), /^mesh-key: these are the recovery words: .*`shoal recover`/);
  const strange = third.step((now, out) => third.node.setMeshKey(now, NEW_KEY, out));
  assert.match(refusalOf(strange), /^mesh-key: it is not the mesh key of this mesh/);
  const asked = done(recover(third, {}));
  assert.equal(asked.isDone, false);
  assert.equal(
    asked.lines[0],
    "a new mesh key is made and kept on this machine; the old one is void",
  );
  assert.equal(asked.lines[1], "3 admins signed anew: founder, second, third");
  assert.ok(asked.lines.includes("third, this node, becomes an admin"));
  assert.ok(!third.node.status(third.now()).self.mesh_key, "nothing was done");
  assert.ok(done(recover(third, { yes: true })).isDone);
  lab.run(60_000);
  assert.ok(areMutual(others));
  for (const [i, by] of others.entries()) {
    for (const [j, of] of others.entries()) {
      if (by !== of) assert.deepEqual(lookOf(by, of), before[i]?.[j]);
    }
    assert.equal(by.node.status(by.now()).mesh.id, meshId, "the mesh is the same");
    assert.equal(told(by, "meshKeyReplaced"), 1);
    assert.equal(told(by, "memberOut"), 0);
  }
  assert.equal(third.node.status(third.now()).self.mesh_key, true);
  promote(third, fourth);
  lab.run(5_000);
  assert.equal(second.sees(fourth)?.admin, true, "the new key makes admins");
  // The founder comes back: its mesh key is good for nothing, and it says so.
  founder.start();
  assert.ok(lab.until(90_000, () => areMutual([founder, ...others])));
  lab.run(40_000);
  assert.match(
    healthOf(founder).join("\n"),
    /^the mesh key on this machine was replaced by another/m,
  );
  const old = founder.step((now, out) => founder.node.demote(now, "second", { yes: true }, out));
  assert.match(refusalOf(old), /^demote: the mesh key is on third: run it there/);
});

Deno.test("item 3, invariant 5: the mesh key is stolen; the thief demotes, promotes and removes: recovery brings back whom it put out, with names and addresses, and puts out whom it promoted", () => {
  const { lab, founder, others } = hamlet(["second", "third", "fourth", "mole"], 23);
  const [second, third, fourth, mole] = others;
  assert.ok(second && third && fourth && mole);
  promote(founder, second);
  lab.run(20_000);
  const honest = [founder, second, third, fourth];
  const before = honest.map((by) => honest.map((of) => by === of ? undefined : lookOf(by, of)));
  const stolen = secondsAt(second);
  lab.run(60_000);
  const meshSeed = founder.wish.meshSeed;
  assert.ok(meshSeed);
  const meshKey = crypto.ed25519FromSeed(meshSeed);
  const thief = new Insider(mole);
  const own = founder.sees(mole);
  assert.ok(own);
  const certificate = {
    key: mole.id,
    name: "mole",
    groups: [],
    relay: true,
    ip4Counter: 0,
    since: secondsAt(mole),
  };
  const acts = [
    { kind: "admin", certificate } as const,
    { kind: "demoted", key: second.id } as const,
    { kind: "demoted", key: founder.id } as const,
    ...[founder, second, third].map(({ id }) => ({ kind: "removed", key: id }) as const),
  ];
  for (const [i, draft] of acts.entries()) {
    const statement = thief.sign(draft, meshKey, 100 + i);
    for (const one of honest) thief.tell(one, statement);
    lab.run(200);
  }
  lab.run(30_000);
  assert.equal(fourth.sees(third), undefined, "whoever has the mesh key can do that");
  assert.match(healthOf(third).join("\n"), /^revoked: /m);
  // `fourth` is left among the honest: its person has the recovery words.
  const question =
    /the office of founder, second ended: say --keep founder,second if a thief did it; if it was right, --without founder,second to put out for ever, or --keep founder,second and, after the recovery, `shoal demote founder`, `shoal demote second`: a plain member then$/;
  assert.match(refusalOf(recover(fourth, { without: ["mole"], since: stolen + 30 })), question);
  const wish = { without: ["mole"], keep: ["founder", "second"], since: stolen + 30 };
  const { since, without } = wish;
  assert.match(
    refusalOf(recover(fourth, { without, keep: ["founder", "second", "third"], since })),
    /^recover: --keep names third: this node heard of no office there that ended since .*: leave it out$/,
  );
  assert.match(
    refusalOf(recover(fourth, { without: ["mole", "second"], keep: ["founder", "second"], since })),
    /^recover: --without and --keep both name second: /,
  );
  assert.match(
    refusalOf(recover(fourth, { without, keep: ["founder", "second"] })),
    /^recover: --keep is about offices that ended since the time of --since: say that time, too$/,
  );
  const warned = /^without --since, all that was signed with the mesh key until now counts/m;
  assert.match(done(recover(fourth, { without })).warnings.join("\n"), warned);
  const asked = done(recover(fourth, wish));
  assert.doesNotMatch(asked.warnings.join("\n"), warned);
  assert.equal(asked.isDone, false);
  assert.match(asked.lines.join("\n"), /^3 admins signed anew: founder, fourth, second$/m);
  assert.match(asked.lines.join("\n"), /^put out for ever: mole$/m);
  assert.ok(done(recover(fourth, { ...wish, yes: true })).isDone);
  assert.ok(lab.until(300_000, () => areMutual(honest)), "whom the thief put out is in again");
  lab.run(60_000);
  for (const [i, by] of honest.entries()) {
    for (const [j, of] of honest.entries()) {
      if (by !== of) assert.deepEqual(lookOf(by, of), before[i]?.[j]);
    }
    assert.equal(by.sees(mole), undefined, "the thief is out");
  }
  assert.equal(third.sees(second)?.admin, true);
  // Whose demotion was right after all becomes a plain member.
  assert.ok(demote(fourth, second).isDone);
  lab.run(10_000);
  assert.equal(third.sees(second)?.standing, "certified");
  // The thief goes on with the old key, and nobody listens.
  for (const one of honest) {
    thief.tell(one, thief.sign({ kind: "removed", key: third.id }, meshKey, 300));
    thief.tell(one, thief.sign({ kind: "demoted", key: second.id }, meshKey, 301));
  }
  lab.run(30_000);
  assert.ok(areMutual(honest));
  assert.ok(canTalk(honest, 60));
});

Deno.test("item 3, invariants 5 and 13: a thief that hides what the mesh key signed by using its numbers again, and signs false names, undoes nothing for good", () => {
  const { lab, founder, others } = hamlet(["second", "third", "fourth", "mole"], 25);
  const [second, third, fourth, mole] = others;
  assert.ok(second && third && fourth && mole);
  promote(founder, second);
  // No admin is left but `second`: all others have their certificates from the mesh key itself.
  demote(founder, founder);
  lab.run(30_000);
  const honest = [founder, second, third, fourth];
  const before = honest.map((by) => honest.map((of) => by === of ? undefined : lookOf(by, of)));
  const since = secondsAt(second);
  lab.run(60_000);
  const meshKey = crypto.ed25519FromSeed(founder.wish.meshSeed ?? new Uint8Array(0));
  const old = Array.from(founder.disk?.statements ?? [], ({ bytes }) => {
    const encoded = Uint8Array.fromBase64(bytes, { alphabet: "base64url" });
    return decodeStatement(encoded, hashOf(crypto, encoded));
  }).flatMap((one) => one.ok && one.value.signer === meshKey.publicKey.toHex() ? [one.value] : []);
  assert.ok(old.some(({ kind }) => kind === "admin") && old.some(({ kind }) => kind === "member"));
  const thief = new Insider(mole);
  const until = since + 100_000;
  const everybody = (draft: Draft, number: number) => {
    const statement = thief.sign(draft, meshKey, number);
    for (const one of honest) thief.tell(one, statement);
    lab.run(50);
  };
  for (const one of old) {
    const key = subjectOf(one);
    if (one.kind === "admin") everybody({ kind: "demoted", key }, one.number);
    else if (one.kind === "member" && key !== mole.id) {
      everybody({ kind: "removed", key }, one.number);
    }
  }
  const certificate = {
    key: fourth.id,
    name: "pwned",
    groups: [],
    relay: true,
    ip4Counter: 9,
    since: 0,
  };
  everybody({ kind: "member", certificate, until, token: undefined }, 900);
  everybody({ kind: "admin", certificate: { ...certificate, key: mole.id, name: "boss" } }, 901);
  lab.run(40_000);
  assert.equal(fourth.sees(third), undefined);
  assert.ok(
    done(
      recover(fourth, {
        without: [`BOSS.${fourth.node.genesis?.name}.internal.`],
        keep: ["second"],
        since: since + 30,
        yes: true,
      }),
    ).isDone,
  );
  assert.ok(lab.until(300_000, () => areMutual(honest)));
  lab.run(60_000);
  for (const [i, by] of honest.entries()) {
    for (const [j, of] of honest.entries()) {
      if (by !== of) assert.deepEqual(lookOf(by, of), before[i]?.[j]);
    }
    assert.equal(by.sees(mole), undefined);
  }
  assert.equal(third.sees(second)?.admin, true);
  assert.equal(third.sees(founder)?.admin, false, "what a person had ended stays ended");
});

Deno.test("invariant 5: of two recoveries that did not hear each other the same one counts everywhere", () => {
  const { lab, others, all } = hamlet(["second", "third"], 24);
  const [second, third] = others;
  assert.ok(second && third);
  lab.network.partition([second.address]);
  done(recover(second, { yes: true }));
  const other = new Uint8Array(32).fill(79);
  done(
    third.step((now, out) =>
      third.node.recover(now, { recovery: RECOVERY, meshKey: other }, { yes: true }, out)
    ),
  );
  lab.run(10_000);
  lab.network.heal();
  lab.run(200_000);
  const keys = new Set(all.map((one) => one.node.status(one.now()).mesh.key));
  assert.equal(keys.size, 1);
  assert.ok(areMutual(all));
});

Deno.test("item 3, invariants 4 and 5: whom an admin certified whose office is not kept is signed anew, or named as out", () => {
  const { lab, founder, others } = hamlet(["second", "third"], 26);
  const [second, third] = others;
  assert.ok(second && third);
  lab.run(5_000);
  const stolen = secondsAt(third);
  lab.run(60_000);
  // The office is news of after the theft, and so is whom it lets in.
  promote(founder, second);
  lab.run(10_000);
  founder.crash();
  const late = lab.joiner(second, { name: "late" });
  assert.ok(lab.until(60_000, () => areMutual([second, third, late])));
  lab.run(5_000);
  const options = { without: ["founder"], since: stolen };
  const { lines } = done(recover(third, options));
  assert.ok(lines.includes("1 admin signed anew: third"), lines.join("\n"));
  assert.ok(
    lines.includes("1 member out until you `shoal approve` each: late"),
    lines.join("\n"),
  );
  assert.ok(done(recover(third, { ...options, yes: true })).isDone);
  lab.run(60_000);
  assert.ok(areMutual([second, third]), "whose office is not kept stays a member");
  assert.equal(third.sees(late), undefined);
  done(third.step((now, out) => third.node.approve(now, "late", out)));
  assert.ok(lab.until(120_000, () => areMutual([second, third, late])));
});

Deno.test("invariant 5: whom a thief of the mesh key promoted out of nothing is no member after a recovery, whatever its name", () => {
  const { lab, founder, others: [second, third] } = hamlet(["second", "third"], 27);
  assert.ok(second && third);
  promote(founder, second);
  lab.run(20_000);
  const since = secondsAt(second);
  lab.run(5_000);
  assert.ok(founder.wish.meshSeed);
  const thief = new Insider(founder);
  const meshKey = crypto.ed25519FromSeed(founder.wish.meshSeed);
  const puppet = thief.newIdentity();
  const certificate = {
    key: puppet.id,
    name: "third",
    groups: ["root"],
    relay: false,
    ip4Counter: 0,
    since: 1,
  };
  thief.tell(second, thief.sign({ kind: "admin", certificate }, meshKey));
  lab.run(5_000);
  const plan = done(recover(second, { since, yes: true }));
  assert.match(plan.lines.join("\n"), /^1 member out until you `shoal approve` each: third/m);
  lab.run(60_000);
  assert.equal(third.node.status(third.now()).self.name, "third");
  for (const one of [second, third]) {
    const seen = one.node.status(one.now()).peers.find(({ key }) => key === puppet.id);
    assert.notEqual(seen?.standing, "certified");
  }
});

const THEFTS = [
  ["of the mesh key's thief", "token"],
  ["that the thief says anew, with more uses,", "reused"],
  ["of the mesh key's thief, who promoted them afterwards,", "admin"],
  ["of the mesh key's thief, who signed for them once more,", "member"],
] as const;
for (const [what, act] of THEFTS) {
  const isReused = act === "reused";
  Deno.test(`invariant 5: whom honest admins certified on sight for an invite ${what} is named at the recovery`, () => {
    const { lab, founder, others } = hamlet(["second", "third"], 23);
    const [second, third] = others;
    assert.ok(second && third);
    promote(founder, second);
    const invited = founder.token();
    lab.run(60_000);
    const since = secondsAt(second);
    lab.run(2_000);
    const thief = new Insider(founder);
    const meshKey = crypto.ed25519FromSeed(founder.wish.meshSeed ?? new Uint8Array());
    const parsed = parseToken(crypto, invited);
    assert.ok(parsed.ok);
    const secret = isReused ? parsed.value.secret : crypto.ed25519FromSeed(lab.random(32));
    const at = secondsAt(second);
    const draft: Draft = {
      kind: "token",
      key: secret.publicKey.toHex(),
      uses: 10,
      relay: true,
      groups: ["root"],
      until: at + 100_000,
      memberUntil: at + 1_000_000,
      doors: [founder.id],
    };
    const token = thief.sign(draft, meshKey, 700);
    for (const one of [second, third]) thief.tell(one, token);
    lab.run(1_000);
    const puppets = ["a", "b"].map((name) => {
      const self = thief.newIdentity();
      const proof = { statements: [token.bytes], admission: thief.admit(self, secret, name) };
      const record = thief.describe({ proof, endpoints: [] }, self);
      for (const one of [second, third]) thief.send(one, "record", record.bytes);
      return self.id;
    });
    lab.run(60_000);
    const standings = puppets.map((id) =>
      third.node.status(third.now()).peers.find(({ key }) => key === id)?.standing
    );
    assert.deepEqual(standings, ["certified", "certified"]);
    for (const [ip4Counter, key] of puppets.entries()) {
      const name = `c${ip4Counter}`;
      const certificate = { key, name, groups: ["root"], relay: true, ip4Counter, since: at };
      const until = at + 1_000_000;
      if (act !== "admin" && act !== "member") break;
      const said = act === "admin"
        ? thief.sign({ kind: "admin", certificate }, meshKey, 800 + ip4Counter)
        : thief.sign(
          { kind: "member", certificate, until, token: undefined },
          meshKey,
          800 + ip4Counter,
        );
      for (const one of [second, third]) thief.tell(one, said);
    }
    lab.run(20_000);
    const { lines } = done(recover(second, { without: ["founder"], since }));
    assert.ok(
      lines.includes(
        "2 members came by invites that were made since then (a, b): `shoal revoke` those that you do not know",
      ),
      lines.join("\n"),
    );
    assert.ok(!lines.some((line) => line.includes("out until")), "they are not said to be out");
    const all = done(recover(second, { without: ["founder"] }));
    assert.ok(!all.lines.some((line) => line.includes("came by invites")), "nothing is in doubt");
    done(recover(second, { without: ["founder"], since, yes: true }));
    lab.run(120_000);
    const { peers } = third.node.status(third.now());
    const after = puppets.map((id) => peers.find(({ key }) => key === id)?.standing);
    assert.deepEqual(after, standings, "they stay, as it says, until somebody revokes them");
  });
}

Deno.test("a recovery says truly which guests go on: those of a host that is put out end, and those that were removed are not signed anew", () => {
  const { lab, founder, others: [second, third] } = hamlet(["second", "third"], 28);
  assert.ok(second && third);
  promote(founder, second);
  lab.run(5_000);
  const add = (host: Computer, name: string, n: number) => {
    const { publicKey: key } = new GuestDevice(lab, n);
    done(host.step((now, out) => host.node.addGuest(now, name, { key }, out)));
  };
  add(founder, "phone", 1);
  add(founder, "tab", 2);
  add(founder, "lost", 3);
  add(second, "tv", 4);
  lab.run(5_000);
  done(second.step((now, out) => second.node.removeGuest(now, "lost", {}, out)));
  lab.run(5_000);
  const guests = () => third.node.status(third.now()).guests.map(({ name }) => name).sort();
  assert.deepEqual(guests(), ["phone", "tab", "tv"]);
  const ofGuests = ({ lines }: { readonly lines: readonly string[] }) =>
    lines.filter((line) => line.includes("guest"));
  assert.deepEqual(
    ofGuests(done(recover(third, {}))),
    [],
    "those of an admin that goes on are its own",
  );
  const without = done(recover(third, { without: ["founder"], yes: true }));
  assert.deepEqual(ofGuests(without), ["2 guests end: phone, tab"]);
  lab.run(30_000);
  assert.deepEqual(guests(), ["tv"]);
});
