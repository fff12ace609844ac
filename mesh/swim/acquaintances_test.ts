import assert from "node:assert/strict";
import { Seeded } from "../sim/random.ts";
import { Acquaintances } from "./acquaintances.ts";
import type { Member } from "./membership.ts";

const member = (id: string, heardAt = -Infinity) => ({ id, heardAt }) as unknown as Member;
const always = () => true;

Deno.test("whoever was heard is drawn before all that were not, however many those are", () => {
  const acquaintances = new Acquaintances(new Seeded(1).bytes);
  for (let n = 0; n < 1_000; n++) acquaintances.insert(member(`puppet ${n}`));
  const [lyon, oslo] = [member("lyon", 5), member("oslo")];
  acquaintances.insert(lyon);
  acquaintances.insert(oslo);
  oslo.heardAt = 7;
  acquaintances.meet(oslo);
  assert.equal(acquaintances.heard, 2);
  for (let n = 0; n < 50; n++) {
    assert.deepEqual(new Set(acquaintances.some(2, always)), new Set([lyon, oslo]));
    assert.deepEqual(new Set([0, 1].map(() => acquaintances.next(always))), new Set([lyon, oslo]));
  }
  const three = acquaintances.some(3, always);
  assert.equal(new Set(three).size, 3);
  assert.ok(three.includes(lyon) && three.includes(oslo));
});

Deno.test("whoever was never heard has turns of its own, and nobody is left out of either", () => {
  const acquaintances = new Acquaintances(new Seeded(2).bytes);
  const silent = Array.from({ length: 20 }, (_, n) => member(`${n}`));
  for (const one of silent) acquaintances.insert(one);
  acquaintances.insert(member("lyon", 1));
  const asked = new Set(Array.from({ length: 39 }, () => acquaintances.nextUnheard(always)?.id));
  assert.equal(asked.size, 20);
  assert.deepEqual(acquaintances.oneOfEach(always).map(({ heardAt }) => heardAt), [1, -Infinity]);
  for (const one of silent) acquaintances.remove(one);
  assert.equal(acquaintances.nextUnheard(always), undefined);
  assert.deepEqual(acquaintances.oneOfEach(always).map(({ id }) => id), ["lyon"]);
});
