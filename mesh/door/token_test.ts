import assert from "node:assert/strict";
import fc from "fast-check";
import { toBase64url } from "../base64url.ts";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { Writer } from "../codec.ts";
import { signatureLabel } from "../membership/identity.ts";
import { adminDraft, DAY, NOW, Signatories, tokenDraft } from "../sim/signatories.ts";
import { formatToken, parseToken, placesOf, SEEDS_MAX, type Token, TOKEN_PREFIX } from "./token.ts";

const society = new Signatories(crypto);
const [anna, bert, secret] = [society.person(1), society.person(2), society.person(3)];
const statement = society.sign(
  anna,
  tokenDraft(secret, [anna, bert], { uses: 3, groups: ["db", "web"], until: NOW + DAY }),
);
const token: Token = {
  genesis: society.genesis,
  statement,
  secret: secret.signing,
  seeds: [["203.0.113.9:51820", "[2001:db8::1]:51820"], ["lyon.example.org:51820"]],
};
const text = formatToken(crypto, token);

function errorOf(line: string): string {
  const parsed = parseToken(crypto, line);
  return parsed.ok ? "no error" : parsed.error;
}

/** A token with a check sum that fits, whatever it holds. */
function forged(change: Partial<Token> & { readonly body?: Uint8Array }): string {
  const whole = { ...token, ...change };
  if (change.body === undefined) return formatToken(crypto, whole);
  const check = crypto.blake2s(signatureLabel("token"), change.body).subarray(0, 8);
  return TOKEN_PREFIX + toBase64url(new Writer().bytes(change.body).bytes(check).finish());
}

Deno.test("invariant 12: a token is one line of letters, digits, - and _, and is read back whole", () => {
  assert.match(text, /^shoal3[A-Za-z0-9_-]+$/);
  const parsed = parseToken(crypto, text);
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.value, token);
  assert.equal(formatToken(crypto, parsed.value), text);
});

Deno.test("line breaks and blanks that a terminal added do not matter", () => {
  assert.equal(errorOf(` ${text.slice(0, 80)}\n  ${text.slice(80)}\r\n`), "no error");
});

Deno.test("T41: a token with any character altered, missing or added is refused with its length", () => {
  const last = text.at(-1) === "A" ? "Q" : "A";
  for (let i = TOKEN_PREFIX.length; i < text.length; i += 5) {
    const other = text[i] === "A" ? "B" : "A";
    const altered = text.slice(0, i) + other + text.slice(i + 1);
    assert.match(errorOf(altered), /altered or cut short.*copy the token again/, `character ${i}`);
  }
  assert.match(
    errorOf(text.slice(0, -1)),
    new RegExp(`token: what was given, ${text.length - 1} characters`),
  );
  assert.match(errorOf(text + "A"), /altered or cut short/);
  assert.match(errorOf(text.slice(0, -1) + last), /altered or cut short/);
  assert.match(errorOf(text + "=".repeat(3)), /not base64url/);
});

Deno.test("something else than a token is told by its beginning, and one of an older version by its number", () => {
  assert.equal(
    errorOf("tskey-abcdef"),
    'token: it starts with "tskey-" instead of "shoal3": paste the whole token, and nothing before it',
  );
  assert.equal(
    errorOf(`shoal1${text.slice(6)}`),
    "token: it was made by an older version: update shoal there and make a new one",
  );
  assert.match(errorOf(""), /starts with "" instead/);
  assert.match(errorOf("shoal3"), /too short/);
  assert.match(errorOf("shoal3" + "A".repeat(5000)), /at most 4096/);
});

Deno.test("a token holds an invite of this mesh, its own key and nothing else, whoever made it", () => {
  const office = society.sign(society.mesh, adminDraft(anna));
  const other = new Signatories(crypto, 2);
  const wrong: [Partial<Token> & { readonly body?: Uint8Array }, RegExp][] = [
    [{ statement: office as unknown as typeof statement }, /it holds no invite/],
    [{ secret: bert.signing }, /its key is another's/],
    [{ genesis: other.genesis }, /its signature does not fit/],
    [{ body: new Uint8Array(200) }, /it holds no invite/],
    [{ seeds: [...token.seeds, []] }, /copy the token again/],
    [{ seeds: token.seeds.slice(1) }, /copy the token again/],
  ];
  for (const [change, why] of wrong) assert.match(errorOf(forged(change)), why);
});

Deno.test("invariant 12: a place that is not HOST:PORT in one form is never taken out of a token", () => {
  const hostile = [
    "203.0.113.9",
    "203.0.113.9:0",
    "203.0.113.9:0518",
    "203.0.113.9:51820 --open",
    "$(reboot):51820",
    "a;b:51820",
    "-x:51820",
    "a\u001b[2J:51820",
    "[2001:db8::1]:51820\n",
    "",
  ];
  for (const seed of hostile) {
    assert.match(errorOf(forged({ seeds: [[seed], []] })), /a place that is no HOST:PORT/, seed);
  }
  const many = (count: number) => Array(count).fill("203.0.113.9:51820");
  assert.equal(errorOf(forged({ seeds: [many(SEEDS_MAX), []] })), "no error");
  assert.match(errorOf(forged({ seeds: [many(SEEDS_MAX + 1), []] })), /9 places, over 8/);
});

Deno.test("every place belongs to a door, and the first place of each door comes first", () => {
  assert.deepEqual(placesOf(token), [
    { key: anna.id, seed: "203.0.113.9:51820" },
    { key: bert.id, seed: "lyon.example.org:51820" },
    { key: anna.id, seed: "[2001:db8::1]:51820" },
  ]);
  assert.deepEqual(placesOf({ ...token, seeds: [[], []] }), []);
});

Deno.test("T18: no text makes the parser throw", () => {
  fc.assert(fc.property(fc.string({ maxLength: 300 }), (any) => {
    assert.notEqual(errorOf(any), "no error");
    assert.notEqual(errorOf(TOKEN_PREFIX + any), "no error");
  }));
  fc.assert(fc.property(fc.uint8Array({ maxLength: 500 }), (body) => {
    assert.notEqual(errorOf(forged({ body: Uint8Array.from(body) })), "no error");
  }));
});
