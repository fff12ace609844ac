import assert from "node:assert/strict";
import { parse } from "./aead.ts";

Deno.test("each line of the program is one measurement", () => {
  assert.deepEqual(
    parse(
      "ChaCha20-Poly1305 shoal-avx512 seal 64 1 152.40\nAES-256-GCM openssl open 1424 45 490.00\n",
    ),
    [
      {
        suite: "ChaCha20-Poly1305",
        backend: "shoal-avx512",
        direction: "seal",
        bytes: 64,
        batch: 1,
        ns: 152.4,
      },
      {
        suite: "AES-256-GCM",
        backend: "openssl",
        direction: "open",
        bytes: 1424,
        batch: 45,
        ns: 490,
      },
    ],
  );
});

Deno.test("a line that is no measurement is an error that shows it", () => {
  for (
    const line of [
      "",
      "ROT13 openssl seal 64 1 5",
      "AES-256-GCM rot13 seal 64 1 5",
      "AES-256-GCM openssl turn 64 1 5",
      "AES-256-GCM openssl seal 64 1",
      "AES-256-GCM openssl seal 64 1 0",
      "AES-256-GCM openssl seal 64 1 5 6",
    ]
  ) assert.throws(() => parse(line), new RegExp(`no measurement: "${line}"`));
});
