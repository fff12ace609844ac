import assert from "node:assert/strict";
import type { NodeRecord } from "./record.ts";
import type { Judgement, Refusal } from "./judge.ts";
import { KEPT, Untimely } from "./untimely.ts";

const record = (id: string) => ({ id }) as NodeRecord;
const refused = (why: Refusal): Judgement => ({ kind: "refused", why, detail: "" });
const at = (boot: number) => ({ boot, wall: 0 });
const member = { kind: "member" } as Judgement;

Deno.test("at the limit the one kept longest makes room, and is counted", () => {
  const untimely = new Untimely(2);
  for (const id of ["a", "b", "a", "c"]) untimely.keep(at(0), record(id), "expired");
  assert.deepEqual([...untimely.records()].map(({ id }) => id), ["a", "c"]);
  assert.equal(untimely.dropped, 1);
});

Deno.test("whoever is void takes a quarter of the places, and none of one that the clock keeps out", () => {
  const untimely = new Untimely(8);
  const kept = () => [...untimely.records()].map(({ id }) => id);
  for (const id of ["a", "b", "c"]) untimely.keep(at(0), record(id), "stranger");
  assert.deepEqual(kept(), ["b", "c"]);
  for (let i = 0; i < 8; i++) untimely.keep(at(0), record(`${i}`), "notYetValid");
  assert.deepEqual(kept(), Array.from({ length: 8 }, (_, i) => `${i}`));
  assert.equal(untimely.dropped, 3);
});

Deno.test("where all places are those of whom the clock keeps out a void one gets none", () => {
  const untimely = new Untimely(4);
  for (const id of ["a", "b", "c", "d"]) untimely.keep(at(0), record(id), "expired");
  untimely.keep(at(0), record("void"), "stranger");
  assert.deepEqual([...untimely.records()].map(({ id }) => id), ["a", "b", "c", "d"]);
  assert.equal(untimely.dropped, 1);
  untimely.keep(at(0), record("e"), "expired");
  assert.deepEqual([...untimely.records()].map(({ id }) => id), ["b", "c", "d", "e"]);
});

Deno.test("whoever is void for a month is forgotten, whatever the clock was when that was seen", () => {
  const untimely = new Untimely(9);
  const judge = () => refused("stranger");
  const review = (ms: number) => {
    untimely.review(at(ms), judge, judge, () => true);
    return untimely.size;
  };
  untimely.keep({ boot: 1_000, wall: 0 }, record("a"), "stranger");
  untimely.keep({ boot: 2_000, wall: 2 ** 42 }, record("a"), "stranger"); // A newer record.
  assert.equal(review(1_000 + KEPT * 1_000), 1);
  assert.equal(review(1_001 + KEPT * 1_000), 0);
});

Deno.test("whose clock is out may become void as well, and the other way round", () => {
  const untimely = new Untimely(8);
  untimely.keep(at(0), record("a"), "expired");
  untimely.keep(at(0), record("b"), "stranger");
  const now: Record<string, Judgement> = { a: refused("stranger"), b: refused("expired") };
  untimely.review(at(0), ({ id }) => now[id] ?? member, undefined, () => true);
  for (const id of ["c", "d"]) untimely.keep(at(0), record(id), "stranger");
  assert.deepEqual([...untimely.records()].map(({ id }) => id), ["b", "c", "d"]);
});

Deno.test("members are handed out once; the removed, the long ended and strangers are forgotten", () => {
  const untimely = new Untimely(9);
  const all = ["member", "early", "ended", "long ended", "removed", "void", "stranger"];
  for (const id of all) untimely.keep(at(0), record(id), "expired");
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
  const back = untimely.review(at(0), judge, undefined, wasMember);
  assert.deepEqual(back.map(({ id }) => id), ["member"]);
  const kept = () => [...untimely.records()].map(({ id }) => id);
  assert.deepEqual(kept(), ["early", "ended", "long ended", "void"], "our own clock is in doubt");
  assert.deepEqual(untimely.review(at(0), judge, judgeEarlier, wasMember), []);
  assert.deepEqual(kept(), ["early", "ended", "void"]);
});
