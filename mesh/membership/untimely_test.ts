import assert from "node:assert/strict";
import type { NodeRecord } from "./record.ts";
import type { Judgement, Refusal } from "./judge.ts";
import { KEPT, Untimely } from "./untimely.ts";

const record = (id: string) => ({ id }) as NodeRecord;
const refused = (why: Refusal): Judgement => ({ kind: "refused", why, detail: "" });
const member = { kind: "member" } as Judgement;

Deno.test("at the limit the one kept longest makes room, and is counted", () => {
  const untimely = new Untimely(2);
  for (const id of ["a", "b", "a", "c"]) untimely.keep(record(id), "expired", 0);
  assert.deepEqual([...untimely.records()].map(({ id }) => id), ["a", "c"]);
  assert.equal(untimely.dropped, 1);
});

Deno.test("whoever is void takes a quarter of the places, and none of one that the clock keeps out", () => {
  const untimely = new Untimely(8);
  const kept = () => [...untimely.records()].map(({ id }) => id);
  for (const id of ["a", "b", "c"]) untimely.keep(record(id), "stranger", 0);
  assert.deepEqual(kept(), ["b", "c"]);
  for (let i = 0; i < 8; i++) untimely.keep(record(`${i}`), "notYetValid", 0);
  assert.deepEqual(kept(), Array.from({ length: 8 }, (_, i) => `${i}`));
  assert.equal(untimely.dropped, 3);
});

Deno.test("whoever is void for a month is forgotten, by a clock that is not in doubt", () => {
  const untimely = new Untimely(9);
  const judge = () => refused("stranger");
  const review = (seconds: number, isTimely: boolean) => {
    untimely.review(judge, isTimely ? judge : undefined, () => true, seconds);
    return untimely.size;
  };
  untimely.keep(record("a"), "stranger", 1000);
  untimely.keep(record("a"), "stranger", 2000); // A newer record: void since the same time.
  assert.equal(review(1000 + KEPT, true), 1);
  assert.equal(review(1001 + KEPT, false), 1);
  assert.equal(review(1001 + KEPT, true), 0);
});

Deno.test("whose clock is out may become void as well, and the other way round", () => {
  const untimely = new Untimely(8);
  untimely.keep(record("a"), "expired", 0);
  untimely.keep(record("b"), "stranger", 0);
  const now: Record<string, Judgement> = { a: refused("stranger"), b: refused("expired") };
  untimely.review(({ id }) => now[id] ?? member, undefined, () => true, 0);
  for (const id of ["c", "d"]) untimely.keep(record(id), "stranger", 0);
  assert.deepEqual([...untimely.records()].map(({ id }) => id), ["b", "c", "d"]);
});

Deno.test("members are handed out once; the removed, the long ended and strangers are forgotten", () => {
  const untimely = new Untimely(9);
  const all = ["member", "early", "ended", "long ended", "removed", "void", "stranger"];
  for (const id of all) untimely.keep(record(id), "expired", 0);
  const now: Record<string, Judgement> = {
    member,
    early: refused("notYetValid"),
    ended: refused("expired"),
    "long ended": refused("expired"),
    removed: refused("removed"),
    void: refused("stranger"),
    stranger: refused("stranger"),
  };
  const wasMember = (id: string) => id === "void";
  const earlier: Record<string, Judgement> = { ...now, ended: member };
  const judge = ({ id }: NodeRecord) => now[id] ?? member;
  const judgeEarlier = ({ id }: NodeRecord) => earlier[id] ?? member;
  const back = untimely.review(judge, undefined, wasMember, 0);
  assert.deepEqual(back.map(({ id }) => id), ["member"]);
  const kept = () => [...untimely.records()].map(({ id }) => id);
  assert.deepEqual(kept(), ["early", "ended", "long ended", "void"], "our own clock is in doubt");
  assert.deepEqual(untimely.review(judge, judgeEarlier, wasMember, 0), []);
  assert.deepEqual(kept(), ["early", "ended", "void"]);
});
