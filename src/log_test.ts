import { getLogger } from "@logtape/logtape";
import assert from "node:assert/strict";
import { Exit, Failure } from "./exit.ts";
import { configureLog, parseLogLevel } from "./log.ts";

function capture(level: string, terminal = false): string[] {
  const lines: string[] = [];
  configureLog({ level: parseLogLevel(level), terminal, write: (line) => lines.push(line) });
  return lines;
}

Deno.test("a line carries its values as fields, and stays one line whatever a peer is called", () => {
  const lines = capture("info");
  getLogger(["shoal", "node"]).info("peer {name} is {state}", { name: "a\nb", state: "dead" });
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? "", /level=info .*state=dead\n$/);
  assert.equal(lines[0]?.split("\n").length, 2);

  const shown = capture("info", true);
  getLogger(["shoal", "node"]).info("peer {name} is {state}", { name: "a\nb", state: "dead" });
  assert.match(shown[0] ?? "", /^\d\d:\d\d:\d\d\.\d{3} info peer a\\nb is dead\n$/);
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
