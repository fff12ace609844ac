import assert from "node:assert/strict";
import * as fs from "node:fs";
import { inFolder } from "../../.ci/folder.ts";
import { isJournal, isRecorded, withPriority } from "./journald.ts";

function env(values: Readonly<Record<string, string>>) {
  return (name: string) => values[name];
}

Deno.test("a descriptor is the journal's when JOURNAL_STREAM has its device and inode, and not by the variable alone", () =>
  inFolder((dir) => {
    const [one, two] = ["one", "two"].map((name) => fs.openSync(`${dir}/${name}`, "w"));
    assert(one !== undefined && two !== undefined);
    const { dev, ino } = fs.fstatSync(one, { bigint: true });
    const stream = env({ JOURNAL_STREAM: `${dev}:${ino}` });
    assert(isJournal(one, stream));
    assert(!isJournal(two, stream), "its output was led elsewhere");
    assert(!isJournal(one, env({})));
    assert(!isJournal(one, env({ JOURNAL_STREAM: "" })));
    assert(!isJournal(one, env({ JOURNAL_STREAM: `${dev}:${ino}0` })));
    for (const fd of [one, two]) fs.closeSync(fd);
    assert(!isJournal(one, stream), "a closed one");
  }));

Deno.test("what is written is recorded when either output is the journal's, and in a service in any case", () => {
  const stat = (fd: number) => `7:${fd}`;
  for (const [stream, recorded] of [["7:0", false], ["7:1", true], ["7:2", true]] as const) {
    assert.equal(isRecorded(env({ JOURNAL_STREAM: stream }), stat), recorded, stream);
  }
  assert(!isRecorded(env({}), stat));
  assert(!isRecorded(env({ SHOAL_SERVICE: "" }), stat));
  assert(isRecorded(env({ SHOAL_SERVICE: "lab" }), stat));
});

Deno.test("each line of a text has its priority, an empty one has nothing to say", () => {
  assert.equal(withPriority("error", "a\nb\n\nc\n"), "<3>a\n<3>b\n\n<3>c\n");
  assert.equal(withPriority("warning", "<2>not mine"), "<4><2>not mine");
});
