import assert from "node:assert/strict";
import { absences, parse } from "./roads.ts";

Deno.test("a line of the program is one figure of Shoal and of the other road", () => {
  assert.deepEqual(
    parse("af-xdp wire receiver 265.166 186.441\nqueue-aes-gcm seals rate 39.783 11.512\n"),
    {
      measured: [
        { road: "af-xdp", way: "wire", figure: "receiver", ours: 265.166, theirs: 186.441 },
        { road: "queue-aes-gcm", way: "seals", figure: "rate", ours: 39.783, theirs: 11.512 },
      ],
      lacks: [],
    },
  );
});

Deno.test("what the machine lacks is no figure, and keeps its errno and its words", () => {
  assert.deepEqual(parse("af-alg chacha20 lacks 97 socket(AF_ALG): Address family not supported"), {
    measured: [],
    lacks: [{
      road: "af-alg",
      way: "chacha20",
      why: "socket(AF_ALG): Address family not supported (errno 97)",
    }],
  });
});

Deno.test("what several repetitions lack is told once", () => {
  const lack = { road: "af-xdp", way: "zero-copy", why: "bind: no (errno 95)" };
  assert.deepEqual(absences([lack, lack]), [
    { contender: "af-xdp, zero-copy", why: "bind: no (errno 95)" },
  ]);
});

Deno.test("a line that is no measurement is an error that shows it", () => {
  for (
    const line of [
      "",
      "af-moon wire receiver 1 1",
      "af-xdp moon receiver 1 1",
      "af-xdp wire moon 1 1",
      "af-xdp wire receiver 1",
      "af-xdp wire receiver 1 0",
      "af-xdp wire receiver 1 1 1",
      "af-xdp wire lacks no device",
      "af-xdp wire lacks 19",
      "af-xdp moon lacks 19 no device",
    ]
  ) assert.throws(() => parse(line), new RegExp(`no measurement: "${line}"`));
});
