import assert from "node:assert/strict";
import fc from "fast-check";
import { Agenda } from "./agenda.ts";

Deno.test("what is due comes in order of time, and what was cancelled never", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat({ max: 1000 }), fc.boolean())), (plans) => {
      const agenda = new Agenda();
      const done: number[] = [];
      for (const [at, isCancelled] of plans) {
        const entry = agenda.add(at, "test", () => done.push(at));
        entry.cancelled = isCancelled;
      }
      const expected = plans.filter(([, isCancelled]) => !isCancelled).map(([at]) => at);
      expected.sort((a, b) => a - b);
      assert.equal(agenda.next()?.at, expected[0]);
      for (let entry; (entry = agenda.due(1000)) !== undefined;) entry.act();
      assert.deepEqual(done, expected);
    }),
  );
});

Deno.test("nothing is due before its time, and postponing keeps the order", () => {
  const agenda = new Agenda();
  const done: string[] = [];
  for (const [at, name] of [[30, "c"], [10, "a"], [20, "b"]] as const) {
    agenda.add(at, name, () => done.push(name));
  }
  assert.equal(agenda.due(9), undefined);
  agenda.postpone(5);
  assert.equal(agenda.due(14), undefined);
  for (let entry; (entry = agenda.due(25)) !== undefined;) entry.act();
  assert.deepEqual(done, ["a", "b"]);
  assert.equal(agenda.next()?.at, 35);
});
