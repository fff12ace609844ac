import assert from "node:assert/strict";
import type { NodeRecord } from "./record.ts";
import type { Judgement, Refusal } from "./judge.ts";
import { Untimely } from "./untimely.ts";

const record = (id: string) => ({ id }) as NodeRecord;
const refused = (why: Refusal): Judgement => ({ kind: "refused", why, detail: "" });
const member = { kind: "member" } as Judgement;

Deno.test("at the limit the one kept longest makes room, and is counted", () => {
  const untimely = new Untimely(2);
  for (const id of ["a", "b", "a", "c"]) untimely.keep(record(id));
  assert.deepEqual([...untimely.records()].map(({ id }) => id), ["a", "c"]);
  assert.equal(untimely.dropped, 1);
});

Deno.test("members are handed out once; the removed, the long ended and strangers are forgotten", () => {
  const untimely = new Untimely(9);
  const all = ["member", "early", "ended", "long ended", "removed", "void", "stranger"];
  for (const id of all) untimely.keep(record(id));
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
  const back = untimely.review(judge, undefined, wasMember);
  assert.deepEqual(back.map(({ id }) => id), ["member"]);
  const kept = () => [...untimely.records()].map(({ id }) => id);
  assert.deepEqual(kept(), ["early", "ended", "long ended", "void"], "our own clock is in doubt");
  assert.deepEqual(untimely.review(judge, judgeEarlier, wasMember), []);
  assert.deepEqual(kept(), ["early", "ended", "void"]);
});
