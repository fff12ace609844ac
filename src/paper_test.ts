import assert from "node:assert/strict";
import { paperOf, withoutHeading } from "./paper.ts";

const WORDS = Array.from({ length: 24 }, (_, i) => "abcdefg".slice(0, 3 + i % 5)).join(" ");

Deno.test("a key on paper has a heading, and its words are numbered, four a row in columns", () => {
  const [heading, ...rows] = paperOf("mesh key of the mesh lyon", WORDS).split("\n");
  assert.equal(heading, "mesh key of the mesh lyon:");
  assert.equal(rows.length, 6);
  assert.match(rows[0] ?? "", /^ 1 [a-z]+ +2 [a-z]+ +3 [a-z]+ +4 [a-z]+$/);
  assert.match(rows[5] ?? "", /^21 [a-z]+ +22 [a-z]+ +23 [a-z]+ +24 [a-z]+$/);
  const columns = rows.map((row) => Array.from(row.matchAll(/[a-z]+/g), ({ index }) => index));
  for (const one of columns) assert.deepEqual(one, columns[0]);
  assert.deepEqual(rows.join(" ").match(/[a-z]+/g), WORDS.split(" "));
});

Deno.test("the heading of a paper is not of the words, whatever line ends a terminal makes of it", () => {
  const paper = paperOf("recovery key of the mesh lyon", WORDS);
  for (const text of [paper, paper.replaceAll("\n", "\r\n"), `\n${paper}\n`]) {
    assert.deepEqual(withoutHeading(text).match(/[a-z]+/g), WORDS.split(" "));
  }
  assert.equal(withoutHeading(WORDS), WORDS);
});
