import assert from "node:assert/strict";
import { diaryOf, playHistory } from "./history.ts";
import { type HistoryPlan, planOf, wordsOf } from "./history_plan.ts";
import { shrunk } from "./history_shrink.ts";
import { seedsUpTo } from "./seeds.ts";
import { toyCrypto } from "./toy_crypto.ts";

/** SHOAL_SEEDS=N plays that many of the storms of swim, and this share here. */
const COUNT = Number(Deno.env.get("SHOAL_SEEDS") ?? 1000) / 50;
const SEEDS = seedsUpTo(COUNT, Deno.env.get("SHOAL_THIRD"));

/**
 * Seeds that found something once: approvals and recoveries by clocks that are ahead, a newcomer whose door shows a
 * certificate to come, members that nobody looks for, a key that one member alone trusts.
 */
const FOUND = [2210, 5660, 8607, 9061, 20020, 20181, 21143, 30042, 30300, 30519, 30703];

Deno.test("whole nodes: after any history the honest agree with each other and with the oracle, are reached, and are quiet", () => {
  const total = { steps: 0, done: 0, members: 0, virtual: 0 };
  const seeds = [...SEEDS, ...FOUND];
  for (const seed of seeds) {
    try {
      const { steps, done, members, virtual } = playHistory(toyCrypto, planOf(seed));
      total.steps += steps;
      total.done += done;
      total.members += members;
      total.virtual += virtual;
    } catch (error) {
      const replay = `replay it: ./run lab sim histories --seed ${seed} --seeds 1`;
      throw new Error(replay, { cause: error });
    }
  }
  // Histories in which nobody does anything, or nobody is left, would find nothing.
  assert.ok(total.done > 4 * seeds.length, `${total.done} acts of people`);
  assert.ok(total.members > 2 * seeds.length, `${total.members} members at the end`);
  const hours = (total.virtual / 3_600_000).toFixed(1);
  console.log(`${seeds.length} histories, ${total.steps} steps, ${hours} virtual hours`);
});

Deno.test("one seed gives one history, another seed another", () => {
  assert.deepEqual(planOf(5), planOf(5));
  assert.notDeepEqual(planOf(5), planOf(6));
  const plan = planOf(5);
  assert.deepEqual(playHistory(toyCrypto, plan), playHistory(toyCrypto, plan));
  assert.equal(diaryOf(plan).split("\n").length, 1 + plan.steps.length);
});

Deno.test("a failing history is shortened to what it needs, and everything happens when it did", () => {
  const plan = planOf(7);
  const times = (one: HistoryPlan) => {
    let at = 0;
    return new Map(one.steps.map((step) => [wordsOf({ ...step, after: 0 }), at += step.after]));
  };
  const all = times(plan);
  const [first, second] = [plan.steps[9], plan.steps[30]].map((step) =>
    step && wordsOf({ ...step, after: 0 })
  );
  assert.ok(first && second);
  const small = shrunk(plan, (one) => times(one).has(first) && times(one).has(second), 500);
  const left = times(small);
  assert.deepEqual([...left.keys()], [first, second]);
  assert.deepEqual([left.get(first), left.get(second)], [all.get(first), all.get(second)]);
  let tries = 0;
  assert.equal(shrunk(plan, () => ++tries < 0, 3), plan);
  assert.equal(tries, 3);
});
