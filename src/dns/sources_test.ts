import assert from "node:assert/strict";
import { Sources, SOURCES_MAX } from "./sources.ts";

const at = (boot: number) => ({ boot, wall: 0 });

function taken(
  sources: Sources,
  source: string,
  boot: number,
  tries: number,
  isOwn = false,
): number {
  return Array.from({ length: tries }, () => sources.take(source, at(boot), isOwn))
    .filter((is) => is).length;
}

Deno.test("a source has 200 questions at once, then 100 a second, whatever others ask", () => {
  const sources = new Sources();
  assert.equal(taken(sources, "a", 0, 250), 200);
  assert.equal(taken(sources, "b", 0, 250), 200);
  assert.equal(taken(sources, "a", 1_000, 250), 100);
  assert.equal(taken(sources, "a", 60_000, 250), 200);
});

Deno.test("this machine, whose users are one source together, has twenty times as many", () => {
  const sources = new Sources();
  assert.equal(taken(sources, "a", 0, 5_000, true), 4_000);
  assert.equal(taken(sources, "a", 1_000, 5_000, true), 2_000);
});

Deno.test("at the limit the source that was silent longest is forgotten, and no other", () => {
  const sources = new Sources();
  taken(sources, "first", 0, 200);
  taken(sources, "second", 0, 200);
  for (let n = 2; n < SOURCES_MAX; n++) sources.take(`${n}`, at(0), false);
  assert.equal(sources.size, SOURCES_MAX);
  assert.equal(
    sources.take("first", at(0), false),
    false,
    "it is known, and now the last that asked",
  );
  assert.equal(sources.take("new", at(0), false), true);
  assert.equal(sources.size, SOURCES_MAX);
  assert.equal(sources.take("first", at(0), false), false);
  assert.equal(sources.take("second", at(0), false), true, "it was forgotten");
  assert.equal(sources.size, SOURCES_MAX);
});
