import { getLogger } from "npm:@logtape/logtape@2.4.2";
import assert from "node:assert/strict";
import { inWordsOf } from "./cli/typed.ts";
import { Exit, Failure } from "./exit.ts";
import { noteEvent } from "./journal.ts";
import { configureLog, type LogReader, parseLogLevel } from "./log.ts";

const READERS = ["terminal", "journal", "program"] as const;

function capture(
  level: string,
  reader: LogReader = "program",
  words = (line: string) => line,
): string[] {
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  configureLog({ level: parseLogLevel(level), reader, words, write });
  return lines;
}

Deno.test("a line carries its values as fields, and stays one line whatever a peer is called", () => {
  const lines = capture("info");
  getLogger(["shoal", "node"]).info("peer {name} is {state}", { name: "a\nb", state: "dead" });
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? "", /level=info .*state=dead\n$/);
  assert.equal(lines[0]?.split("\n").length, 2);

  const shown = capture("info", "terminal");
  getLogger(["shoal", "node"]).info("peer {name} is {state}", { name: "a\nb", state: "dead" });
  assert.match(shown[0] ?? "", /^\d\d:\d\d:\d\d\.\d{3} info peer a\\nb is dead\n$/);
});

Deno.test("T44: no sign of what a peer wrote moves a cursor, turns a line or hides, in a value or in a message", () => {
  for (const reader of READERS) {
    const lines = capture("info", reader);
    const name = "x\x1b[2J\x9b1A\x07\u202ey\u200bz";
    getLogger(["shoal", "node"]).info("peer {name}", { name });
    getLogger(["shoal", "node"]).info(`peer ${name}`);
    assert.equal(lines.length, 2);
    for (const line of lines) assert.doesNotMatch(line.slice(0, -1), /[\p{Cc}\p{Cf}]/u);
  }
});

Deno.test("a line names commands as this person starts them, whoever reads", () => {
  const io = { out: () => {}, err: () => {}, env: () => undefined, color: false };
  for (const reader of READERS) {
    const lines = capture("info", reader, (line) => inWordsOf(io, line));
    const log = getLogger(["shoal", "node"]);
    log.warn("{why}", { why: "not a member yet: `shoal status` says what it waits for" });
    noteEvent({
      kind: "request",
      who: { id: "ab".repeat(32), name: "bob" },
      endpoint: { address: Uint8Array.of(203, 0, 113, 7), port: 51820, scope: 0 },
    });
    assert.match(lines[0] ?? "", /: `\.\/run shoal status` says/);
    assert.match(lines[1] ?? "", /`\.\/run shoal approve --name bob (ab){32}`/);
  }
});

Deno.test("log and status have one word each for who stopped, who is offline and who left for good", () => {
  const lines = capture("info", "terminal");
  const who = { id: "ab".repeat(32), name: "bob" };
  for (const kind of ["memberLeft", "memberDied", "memberGone", "memberSuspected"] as const) {
    noteEvent({ kind, who });
  }
  const said = lines.map((line) => /bob (.*)\n$/.exec(line)?.[1] ?? "");
  assert.match(said[0] ?? "", /^is stopped: .* a member still$/);
  assert.match(said[1] ?? "", /^is offline: /);
  assert.match(said[2] ?? "", /^has left the mesh for good$/);
  assert.match(said[3] ?? "", /^is suspect: /);
  assert.equal(said.filter((line) => /\bleft\b/.test(line)).length, 1);
});

Deno.test("a key whose name is not known any more is called a key, and the line does not begin with nothing", () => {
  const lines = capture("info", "terminal");
  const who = { id: "ab".repeat(32), name: "" };
  noteEvent({ kind: "demoted", who, isHistory: false });
  noteEvent({ kind: "promoted", who, isHistory: false });
  noteEvent({ kind: "removed", who, by: who, isHistory: false });
  assert.equal(lines.length, 3);
  for (const line of lines) {
    assert.match(line, / a key (is (no|an) admin|\(abab)| has revoked a key \(abab/);
  }
});

Deno.test("who is an admin, or was revoked, before this node joined is no warning", () => {
  const who = { id: "ab".repeat(32), name: "bob" };
  for (const [isHistory, level] of [[true, "info"], [false, "warn"]] as const) {
    const lines = capture("info", "terminal");
    for (const kind of ["promoted", "demoted"] as const) noteEvent({ kind, who, isHistory });
    noteEvent({ kind: "removed", who, by: who, isHistory });
    noteEvent({ kind: "meshKeyReplaced", key: who.id, isHistory });
    assert.equal(lines.length, 4);
    for (const line of lines) assert.match(line, new RegExp(`^\\S+ ${level}`));
  }
});

Deno.test("in the journal each line begins with its priority, and leaves time and level to the journal", () => {
  const lines = capture("trace", "journal");
  const log = getLogger(["shoal", "node"]);
  log.fatal("a");
  log.error("b");
  log.warn("peer {name} is {state}", { name: "a\nb", state: "dead", ifname: "lab" });
  log.info("d");
  log.debug("e");
  log.trace("<3>f");
  assert.deepEqual(lines, [
    "<2>a\n",
    "<3>b\n",
    "<4>lab: peer a\\nb is dead\n",
    "<6>d\n",
    "<7>e\n",
    "<7><3>f\n",
  ]);
});

Deno.test("below the level nothing is written, and silent writes nothing at all", () => {
  const lines = capture("error");
  getLogger(["shoal", "node"]).info("quiet");
  assert.equal(lines.length, 0);
  getLogger(["shoal", "node"]).error("loud");
  assert.equal(lines.length, 1);
  const none = capture("silent");
  getLogger(["shoal", "node"]).fatal("nothing");
  assert.equal(none.length, 0);
});

Deno.test("a line that repeats is written 20 times and then counted", () => {
  const lines = capture("info");
  for (let i = 0; i < 500; i++) getLogger(["shoal", "node"]).warn("drop from {peer}", { peer: i });
  assert.equal(lines.length, 20);
  configureLog({ level: null }); // Ends the window: the filter tells what it left out.
  assert.equal(lines.length, 21);
  assert.match(lines[20] ?? "", /left out 480 more like: drop from <peer>/);
});

Deno.test("a level that is not known is named, with those that are", () => {
  assert.throws(() => parseLogLevel("loud"), (error) => {
    assert(error instanceof Failure);
    assert.equal(error.code, Exit.usage);
    assert.match(error.message, /'loud'.*verbose.*silent/);
    return true;
  });
});
