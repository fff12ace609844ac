import assert from "node:assert/strict";
import { counted, duration, printable, printableIn, printableLines, size } from "./words.ts";

Deno.test("sizes and durations keep two digits and one unit", () => {
  assert.deepEqual([0, 1023, 1024, 1536, 150 * 1024].map(size), [
    "0",
    "1023",
    "1.0K",
    "1.5K",
    "150K",
  ]);
  assert.deepEqual([0.4, 59, 60, 7199, 90_000].map(duration), ["0s", "59s", "1m", "1h", "1d"]);
  assert.deepEqual([0, 1, 2].map((n) => counted(n, "worker")), [
    "0 workers",
    "1 worker",
    "2 workers",
  ]);
});

Deno.test("of foreign words no sign moves the cursor, breaks the line or turns its direction", () => {
  assert.equal(
    printable("a\x1b[31m\n\x7f\x9b\u202eé–🐟"),
    "a\\u001b[31m\\u000a\\u007f\\u009b\\u202eé–🐟",
  );
  assert.equal(
    printable("\u200e\u061c\u00ad\u{e0041}\ud800"),
    "\\u200e\\u061c\\u00ad\\udb40\\udc41\\ud800",
  );
  assert.equal(printableLines("a\x1b\nb\r\n"), "a\\u001b\nb\\u000d\n");
  const document = { "k\x1b": ["\u202e", { n: 1, no: null }], ok: true };
  assert.deepEqual(printableIn(document), {
    "k\\u001b": ["\\u202e", { n: 1, no: null }],
    ok: true,
  });
  assert.deepEqual(JSON.parse(printable(JSON.stringify(document))), document);
});
