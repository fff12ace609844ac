import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import { Capture, contains } from "./capture.ts";
import { exchange } from "./exchange.ts";
import { dropShare } from "./fault.ts";
import { Lab } from "./lab.ts";
import { missingRight } from "./right.ts";

const lack = { right: await missingRight() };
const STREAM = new URL("stream.ts", import.meta.url).pathname;

async function pair(lab: Lab) {
  const [a, b] = [await lab.host("a"), await lab.host("b")];
  const [left, right] = await lab.link(a, b, {
    a: { addresses: ["10.0.0.1/24"] },
    b: { addresses: ["10.0.0.2/24"] },
  });
  return { a, b, left, right };
}

testUnless(
  lack,
  "exchange: a capture of the wire shows what crossed it, and nothing else",
  async () => {
    await using lab = await Lab.open();
    const { a, b, left } = await pair(lab);
    const capture = await Capture.open(a, left.device);
    await exchange(a, b, "10.0.0.2", 1 << 20, { marker: "the words that were sent" });
    const seen = await capture.close();
    assert(seen.length > 2 << 20);
    assert(contains(seen, "the words that were sent"));
    assert(!contains(seen, "the words that were not sent"));
  },
);

testUnless(
  lack,
  "capture: one that had to leave packets out says how many instead of pretending",
  async () => {
    await using lab = await Lab.open();
    const { a, b, left } = await pair(lab);
    const capture = await Capture.open(a, left.device);
    await exchange(a, b, "10.0.0.2", 40 << 20); // both ways, more than the 64 MiB that a capture keeps
    await assert.rejects(capture.close(), /not whole: \{"packets":\d+,"lost":[1-9]\d*\}/);
  },
);

testUnless(lack, "exchange: a stream that cannot connect fails within its time", async () => {
  await using lab = await Lab.open();
  const { a, b, right } = await pair(lab);
  await dropShare(right, 1);
  await assert.rejects(exchange(a, b, "10.0.0.2", 1000, { timeout: 1000 }), /no end after 1000 ms/);
});

// Two sides that do not expect the same: what one sends is wrong for the other.
for (
  const { what, server, client, says } of [
    {
      what: "a byte that differs",
      server: ["100", "abc"],
      client: ["100", "abd"],
      says: /byte 2 differs/,
    },
    {
      what: "a byte too few",
      server: ["99", "abc"],
      client: ["100", "abc"],
      says: /99 bytes arrived of 100/,
    },
    {
      what: "a byte too many",
      server: ["101", "abc"],
      client: ["100", "abc"],
      says: /101 bytes arrived of 100/,
    },
  ]
) {
  testUnless(lack, `exchange: ${what} is found`, async () => {
    await using lab = await Lab.open();
    const { a, b } = await pair(lab);
    const program = [Deno.execPath(), "run", "--quiet", "--no-config", "--allow-net", STREAM];
    const serving = b.spawn([...program, "serve", "10.0.0.2", "5001", ...server], {
      stdout: "piped",
      stderr: "null",
    });
    const reader = serving.stdout.getReader();
    await reader.read();
    const connecting = a.run([...program, "connect", "10.0.0.2", "5001", ...client]);
    await assert.rejects(connecting, says);
    await reader.cancel();
    assert.equal((await serving.status).code, 1);
  });
}

Deno.test("capture: a text is found wherever it stands", () => {
  const bytes = new TextEncoder().encode("aab");
  assert(contains(bytes, "aab"));
  assert(contains(bytes, "ab"));
  assert(!contains(bytes, "aba"));
  assert(!contains(bytes, "b "));
});
