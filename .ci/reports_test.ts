import assert from "node:assert/strict";
import { readJunit, readTap } from "./reports.ts";

Deno.test("JUnit: passed, failed, skipped with its reason, and a step that fails", () => {
  const xml = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="5" failures="2" errors="0" time="0.006">
    <testsuite name="./x_test.ts" tests="5" disabled="1" errors="0" failures="2">
        <testcase name="a &lt;&quot;q&quot;&gt; (skipped: no TUN (here))" classname="./x_test.ts" time="0.000" line="1" col="6">
            <skipped/>
        </testcase>
        <testcase name="b" classname="./x_test.ts" time="0.000" line="2" col="6">
        </testcase>
        <testcase name="c &gt; two" classname="./x_test.ts" time="0.000" line="3" col="66">
            <failure message="Uncaught Error: x &lt;&amp;">Error: x &lt;skipped/&gt;</failure>
        </testcase>
        <testcase name="silent" classname="./x_test.ts" time="0.000" line="1" col="6">
            <skipped/>
        </testcase>
    </testsuite>
</testsuites>`;
  assert.deepEqual(readJunit(xml), [
    { name: 'a <"q"> (skipped: no TUN (here))', result: "skipped", why: "no TUN (here)" },
    { name: "b", result: "passed", why: "" },
    { name: "c > two", result: "failed", why: "" },
    { name: "silent", result: "skipped", why: "" },
  ]);
});

Deno.test("TAP: passed, failed, and cmocka's skip with the reason printed before it", () => {
  const tap =
    "1..3\nok 1 - a\nskipped: no TUN\nnot ok 2 # SKIP b\nnot ok 3 - c\n# 0x1 != 0x2\n# not ok - t";
  assert.deepEqual(readTap("x", tap, 1), [
    { name: "x: a", result: "passed", why: "" },
    { name: "x: b", result: "skipped", why: "no TUN" },
    { name: "x: c", result: "failed", why: "" },
  ]);
});

Deno.test("TAP: a reason belongs to the next skip only", () => {
  const tap = "skipped: why\nnot ok 1 # SKIP a\nnot ok 2 # SKIP b";
  assert.deepEqual(readTap("x", tap, 0).map(({ why }) => why), ["why", ""]);
});

Deno.test("a program that dies after its cases, or without any, has failed", () => {
  assert.deepEqual(readTap("x", "ok 1 - a", 139).map(({ result }) => result), ["passed", "failed"]);
  assert.deepEqual(readTap("x", "", 1), [{ name: "x", result: "failed", why: "" }]);
});

Deno.test("a program without cases passes by its exit code, and 77 is a skip", () => {
  assert.deepEqual(readTap("x", "", 0), [{ name: "x", result: "passed", why: "" }]);
  assert.deepEqual(readTap("x", "no kernel support", 77), [
    { name: "x", result: "skipped", why: "no kernel support" },
  ]);
});
