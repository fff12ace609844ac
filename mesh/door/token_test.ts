import assert from "node:assert/strict";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { EMPTY_CHAIN, verifyChain } from "./certificate.ts";
import { formatToken, issueToken, parseToken, redeemToken } from "./token.ts";

const seed = (n: number) => new Uint8Array(32).fill(n);
const mesh = crypto.ed25519FromSeed(seed(1));
const joiner = crypto.ed25519FromSeed(seed(2));
const NOW = 1_800_000_000;

const token = issueToken(
  crypto,
  mesh.publicKey,
  { chain: EMPTY_CHAIN, signing: mesh },
  {
    uses: 3,
    expires: NOW + 3600,
    memberUntil: NOW + 86_400,
    groups: ["web", "db", "web"],
    flags: { relay: true, admin: false },
  },
  ["203.0.113.9:51820", "[2001:db8::1]:51820"],
  seed(9),
  NOW,
);
const text = formatToken(crypto, token);

function errorOf(line: string): string {
  const parsed = parseToken(crypto, line);
  return parsed.ok ? "no error" : parsed.error;
}

Deno.test("a token is one line of letters, digits, - and _, and is read back whole", () => {
  assert.match(text, /^shoal1[A-Za-z0-9_-]+$/);
  const parsed = parseToken(crypto, text);
  assert.ok(parsed.ok);
  assert.equal(formatToken(crypto, parsed.value), text);
  assert.deepEqual(parsed.value.seeds, ["203.0.113.9:51820", "[2001:db8::1]:51820"]);
  assert.deepEqual(parsed.value.grant.groups, ["db", "web"]);
});

Deno.test("line breaks and blanks that a terminal added do not matter", () => {
  assert.equal(errorOf(` ${text.slice(0, 80)}\n  ${text.slice(80)}\r\n`), "no error");
});

Deno.test("T41: a token with any character altered, missing or added is refused with its length", () => {
  const last = text.at(-1) === "A" ? "Q" : "A";
  for (let i = 6; i < text.length; i += 5) {
    const other = text[i] === "A" ? "B" : "A";
    const altered = text.slice(0, i) + other + text.slice(i + 1);
    assert.match(errorOf(altered), /altered or cut short.*copy the token again/, `character ${i}`);
  }
  assert.match(errorOf(text.slice(0, -1)), new RegExp(`token: ${text.length - 1} characters`));
  assert.match(errorOf(text + "A"), /altered or cut short/);
  assert.match(errorOf(text.slice(0, -1) + last), /altered or cut short/);
  assert.match(errorOf(text + "=".repeat(3)), /not base64url/);
});

Deno.test("something else than a token is told by its beginning", () => {
  assert.match(errorOf("tskey-abcdef"), /starts with "tskey-" instead of "shoal1"/);
  assert.match(errorOf("shoal1"), /too short/);
  assert.match(errorOf("shoal1" + "A".repeat(5000)), /at most 4096/);
});

Deno.test("a joiner's certificate under a token holds without anybody's help", () => {
  const subject = { key: joiner.publicKey, name: "lyon", expires: NOW + 10 * 86_400 };
  const chain = redeemToken(crypto, token, subject);
  const membership = verifyChain(crypto, mesh.publicKey, chain);
  assert.ok(membership.ok);
  assert.equal(membership.value.expires, NOW + 86_400, "cut to what the token allows");
  assert.deepEqual(membership.value.groups, ["db", "web"]);
});
