import assert from "node:assert/strict";
import { planOf, turn } from "./peers.ts";

const OPTIONS = { repetitions: 5, seconds: undefined, full: false, only: [] };

Deno.test("peers: each repetition begins with another contender", () => {
  const names = ["a", "b", "c"];
  assert.deepEqual([0, 1, 2, 3].map((n) => turn(names, n).join("")), ["abc", "bca", "cab", "abc"]);
  assert.deepEqual(turn([], 3), []);
});

Deno.test("peers: a run as it is takes about a quarter of an hour, a full one hours", () => {
  const minutes = (full: boolean) => {
    const plan = planOf({ ...OPTIONS, full });
    return plan.lasts(plan.names.length) / 60;
  };
  assert.ok(minutes(false) > 10 && minutes(false) < 25, `${minutes(false)}`);
  assert.ok(minutes(true) > 60 && minutes(true) < 300, `${minutes(true)}`);
});

Deno.test("peers: only those that are named are measured, also when they belong to a full run", () => {
  const { names } = planOf({ ...OPTIONS, only: ["shoal-wg", "nebula-8m"] });
  assert.deepEqual(names, ["nebula-8m", "shoal-wg"]);
});

Deno.test("peers: a name of nobody is told with the names that there are", () => {
  assert.throws(
    () => planOf({ ...OPTIONS, only: ["wiregard-go"] }),
    /^Refusal: there is no contender "wiregard-go"; there are: veth, kernel, wireguard-go, /,
  );
});

Deno.test("peers: every figure has a key of its own", () => {
  const keys = planOf({ ...OPTIONS, full: true }).measures.flatMap(({ figures }) =>
    figures.map(({ key }) => key)
  );
  assert.equal(new Set(keys).size, keys.length);
});
