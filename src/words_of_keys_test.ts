import assert from "node:assert/strict";
import { Exit, Failure } from "./exit.ts";
import { paperOf } from "./paper.ts";
import { hasAllWords, seedOf, wordsOf } from "./words_of_keys.ts";

const SEED = Uint8Array.from({ length: 32 }, (_, i) => i * 7);
const HEADING = "recovery key of the mesh lyon, 845e2c6c751c3a28, shown 2026-11-28T03:04:42Z";

function refused(text: string, why: RegExp): void {
  assert.throws(
    () => seedOf(text),
    (error) => error instanceof Failure && error.code === Exit.usage && why.test(error.message),
    text,
  );
}

Deno.test("words are accepted as they were printed, with heading and numbers, without them, and as people write lists", () => {
  const words = wordsOf(SEED);
  const list = words.split(" ");
  const ways = [
    words,
    paperOf(HEADING, words),
    ` ${paperOf(HEADING, words).toUpperCase()} \n`,
    list.map((word, i) => `${i + 1}. ${word}`).join("\n"),
    list.map((word, i) => `${i + 1}) ${word}`).join("\t"),
    list.map((word, i) => `${String(i + 1).padStart(2, "0")}:${word}`).join("  "),
    list.map((word, i) => i === 4 ? `5 ${word}` : word).join(" "),
  ];
  for (const way of ways) assert.deepEqual(seedOf(way), SEED, way);
});

Deno.test("a paper whose heading has lost its colon is accepted, and is whole only at its last row", () => {
  const paper = paperOf(HEADING, wordsOf(SEED)).replace("Z:", "Z");
  assert.deepEqual(seedOf(paper), SEED);
  const rows = paper.split("\n");
  for (let n = 0; n < rows.length; n++) assert(!hasAllWords(rows.slice(0, n).join("\n")), `${n}`);
  assert(hasAllWords(paper));
});

Deno.test("only words of the list make a text whole, whatever else is in it", () => {
  const list = wordsOf(SEED).split(" ");
  assert(hasAllWords(list.join("\n")));
  assert(!hasAllWords(list.with(3, "shoal").join(" ")));
  assert(!hasAllWords(`this, these and lyon ${"xyzzy ".repeat(30)}`));
  assert(hasAllWords(`xyzzy ${list.map((word, i) => `${i + 1}.${word}`).join(" ")}`));
});

Deno.test("words out of the order of their numbers, too few and wrong ones are refused, and none is quoted", () => {
  const list = wordsOf(SEED).split(" ");
  const numbered = list.map((word, i) => `${i + 1} ${word}`);
  const byColumn = [0, 1, 2, 3].flatMap((first) => numbered.filter((_, i) => i % 4 === first));
  refused(byColumn.join(" "), /^words: the number 5 stands before word 2: /);
  refused(numbered.toSpliced(6, 1).join(" "), /^words: the number 8 stands before word 7: /);
  refused(list.slice(1).join(" "), /^words: 23 words were given and a key has 24/);
  refused("", /^words: 0 words were given/);
  refused(list[0] ?? "", /^words: 1 word was given and a key has 24/);
  refused("1".repeat(4_096), /^words: 0 words were given/);
  refused(
    "1".repeat(60_000),
    /^words: 60000 characters were given, and 24 words have a few hundred/,
  );
  refused(list.with(2, "shoal").join(" "), /^words: word 3 is not in the list/);
  refused(list.with(0, list[1] ?? "").with(1, list[0] ?? "").join(" "), /do not fit together/);
});
