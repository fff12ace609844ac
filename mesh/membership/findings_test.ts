import assert from "node:assert/strict";
import { Seeded } from "../sim/random.ts";
import { adminDraft, guestDraft, memberDraft, NOW, Signatories } from "../sim/signatories.ts";
import { toyCrypto as crypto } from "../sim/toy_crypto.ts";
import { Findings } from "./findings.ts";
import { Judge } from "./judge.ts";
import type { Statement } from "./statement.ts";
import { Statements } from "./statements.ts";

Deno.test("the latest that was not signed after a time is looked for once while the time brings no other", () => {
  const findings = new Findings(0);
  const all = [10, 30, 20].map((at) => ({ at, hash: `${at}` }));
  let looks = 0;
  const at = (before: number) => findings.latest("one", before, () => (looks++, all))?.at;
  assert.deepEqual([10, 15, 19].map(at), [10, 10, 10]);
  assert.equal(looks, 1);
  assert.deepEqual([Infinity, 30, Infinity].map(at), [30, 30, 30]);
  assert.equal(looks, 2);
  assert.deepEqual([20, 29, Infinity].map(at), [20, 20, 30], "now, and whenever");
  assert.equal(looks, 3);
  assert.deepEqual(
    [9, -Infinity, 25].map(at),
    [undefined, undefined, 20],
    "a clock that was set back",
  );
});

Deno.test("invariant 13: thousands of statements about one member, or guest, cost nothing each time that it is judged", () => {
  const society = new Signatories(crypto);
  const [anna, carl, device] = [1, 2, 3].map((n) => society.person(n));
  assert.ok(anna && carl && device);
  const judge = new Judge(crypto, society.genesis);
  const { statements } = judge;
  const add = (statement: Statement) =>
    assert.equal(statements.add(statement.bytes, NOW).kind, "new");
  let looks = 0;
  const counts = statements.counts.bind(statements);
  statements.counts = (statement) => {
    looks++;
    return counts(statement);
  };
  const cost = (time: number) => {
    looks = 0;
    judge.judge(carl.id, time);
    statements.isRemoved(carl.id);
    statements.guest(device.id, time);
    statements.isWithdrawn(device.id);
    return looks;
  };
  add(society.sign(society.mesh, memberDraft(carl)));
  add(society.sign(society.mesh, guestDraft(device, carl)));
  add(society.sign(society.mesh, adminDraft(anna)));
  for (let n = 0; n < 500; n++) {
    add(society.sign(anna, memberDraft(carl, { name: `n${n}` })));
    add(society.sign(anna, guestDraft(device, carl, { name: `n${n}` })));
  }
  const ask = (what: string) => {
    assert.ok(cost(NOW) >= 1_000, "what is new is looked at");
    for (let second = 1; second < 100; second++) {
      assert.ok(cost(NOW + second) < 100, `${what}: ${looks} looks at statements`);
    }
    assert.equal(judge.judge(carl.id, NOW).kind, "member");
  };
  ask("by an admin");
  add(society.sign(society.mesh, { kind: "demoted", key: anna.id }));
  ask("by who was one");
});

Deno.test("what was found is found again after every change", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new Seeded(seed);
    const society = new Signatories(crypto, seed);
    const [anna, bert, carl, device] = [1, 2, 3, 4].map((n) => society.person(n));
    assert.ok(anna && bert && carl && device);
    const token = society.person(5);
    const said: Uint8Array[] = [];
    const asked = new Statements(crypto, society.genesis);
    const say = (statement: Statement) => {
      said.push(statement.bytes);
      asked.add(statement.bytes, NOW);
    };
    const pick = <T>(all: readonly T[]): T => all[random.below(all.length)] as T;
    say(society.sign(society.mesh, adminDraft(anna)));
    say(society.sign(society.mesh, adminDraft(bert)));
    for (let step = 0; step < 150; step++) {
      const by = pick([society.mesh, anna, bert]);
      const at = NOW + random.below(100) - 50;
      const use = pick([undefined, { key: token.id, uses: 2 }]);
      const since = at;
      const act = random.below(40);
      if (act === 0) say(society.sign(by, { kind: "removed", key: carl.id }, { at }));
      else if (act === 1) say(society.sign(by, { kind: "withdrawn", key: device.id }, { at }));
      else if (act === 2) say(society.sign(society.mesh, adminDraft(carl), { at }));
      else if (act === 3 && step > 100) {
        say(
          society.sign(society.mesh, { kind: "demoted", key: pick([anna, bert, carl]).id }, { at }),
        );
      } else if (act < 20) say(society.sign(by, guestDraft(device, carl), { at }));
      else if (act < 25) {
        say(society.sign(by, memberDraft(society.person(9 + act), { token: use, since }), { at }));
      } else say(society.sign(by, memberDraft(carl, { token: use, since }), { at }));
      const fresh = new Statements(crypto, society.genesis);
      for (const bytes of said) fresh.add(bytes, NOW, { seen: NOW });
      const answers = (statements: Statements): unknown[] => [
        ...[-60, -20, 0, 1, 20, 60, Infinity].flatMap((more) => [
          statements.certificate(carl.id, NOW + more)?.hash,
          statements.guest(device.id, NOW + more)?.hash,
        ]),
        statements.isRemoved(carl.id),
        statements.hadOffice(carl.id),
        statements.isSurplus(carl.id),
        statements.isWithdrawn(device.id),
      ];
      assert.deepEqual(answers(asked), answers(fresh), `seed ${seed}, step ${step}`);
    }
  }
});
