import assert from "node:assert/strict";
import fc from "fast-check";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import type { SigningKey } from "../crypto.ts";
import {
  appendLink,
  type Certificate,
  type Chain,
  decodeChain,
  EMPTY_CHAIN,
  type Grant,
  isName,
  verifyChain,
  verifyGrant,
} from "./certificate.ts";

const key = (n: number): SigningKey => crypto.ed25519FromSeed(new Uint8Array(32).fill(n));
const [mesh, admin, member, token, narrower] = [key(1), key(2), key(3), key(4), key(5)];

const NOW = 1_800_000_000;
const YEAR = 365 * 86_400;

function certificate(subject: SigningKey, change: Partial<Certificate> = {}): Certificate {
  return {
    kind: "certificate",
    subject: subject.publicKey,
    name: "lyon",
    groups: [],
    flags: { relay: true, admin: false },
    notBefore: NOW,
    expires: NOW + YEAR,
    ...change,
  };
}

function grant(next: SigningKey, change: Partial<Grant> = {}): Grant {
  return {
    kind: "grant",
    next: next.publicKey,
    uses: 2,
    groups: ["db", "web"],
    flags: { relay: true, admin: false },
    notBefore: NOW,
    expires: NOW + 3600,
    memberUntil: NOW + YEAR,
    ...change,
  };
}

function chain(...links: [SigningKey, Certificate | Grant][]): Chain {
  return links.reduce(
    (before, [signer, link]) => appendLink(crypto, mesh.publicKey, before, signer, link),
    EMPTY_CHAIN,
  );
}

const asAdmin = certificate(admin, { name: "root", flags: { relay: true, admin: true } });
const verify = (of: Chain, meshKey = mesh.publicKey) => verifyChain(crypto, meshKey, of);
const errorOf = (of: Chain) => {
  const verified = verify(of);
  return verified.ok ? "no error" : verified.error;
};

Deno.test("a chain from the mesh key over an admin and a token to a member is verified offline", () => {
  const made = chain(
    [mesh, asAdmin],
    [admin, grant(token)],
    [token, certificate(member, { groups: ["web"] })],
  );
  const decoded = decodeChain(made.bytes);
  assert.ok(decoded.ok);
  assert.deepEqual(decoded.value, made);
  const membership = verify(decoded.value);
  assert.ok(membership.ok);
  assert.equal(membership.value.id, member.publicKey.toHex());
  assert.deepEqual(membership.value.groups, ["web"]);
  assert.deepEqual(membership.value.grants, [
    {
      key: token.publicKey.toHex(),
      uses: 2,
      until: NOW + 3600,
      by: member.publicKey.toHex(),
    },
  ]);
  const keys = [admin, token, member].map(({ publicKey }) => publicKey.toHex());
  assert.deepEqual(membership.value.keys, keys);
});

Deno.test("a chain means nothing in another mesh", () => {
  assert.ok(!verify(chain([mesh, certificate(member)]), admin.publicKey).ok);
});

Deno.test("T41: one altered bit anywhere in a chain is refused", () => {
  const made = chain([mesh, asAdmin], [admin, certificate(member)]);
  for (let bit = 0; bit < made.bytes.length * 8; bit += 7) {
    const bytes = made.bytes.slice();
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const decoded = decodeChain(bytes);
    assert.ok(!decoded.ok || !verify(decoded.value).ok, `bit ${bit}`);
  }
});

Deno.test("T41: a signature made other by adding the group order is refused", () => {
  const made = chain([mesh, certificate(member)]);
  const bytes = made.bytes.slice();
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const s = bytes.subarray(-32);
  let value = s.reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n) + order;
  for (let i = 0; i < 32; i++, value >>= 8n) s[i] = Number(value & 255n);
  const decoded = decodeChain(bytes);
  assert.ok(decoded.ok);
  assert.match(errorOf(decoded.value), /signature of a certificate does not fit/);
});

Deno.test("a member that is no admin can sign nothing", () => {
  const other = chain([mesh, certificate(admin)], [admin, certificate(member)]);
  assert.match(errorOf(other), /no admin signed a certificate/);
  assert.match(
    errorOf(chain([mesh, certificate(admin)], [admin, grant(token)])),
    /no admin signed/,
  );
});

Deno.test("a certificate stays within its grant: groups, flags, duration, begin", () => {
  const under = (change: Partial<Certificate>) =>
    errorOf(chain([mesh, grant(token)], [token, certificate(member, change)]));
  assert.equal(under({}), "no error");
  assert.match(under({ groups: ["db", "ops"] }), /groups db,ops where db,web are granted/);
  assert.match(under({ flags: { relay: true, admin: true } }), /a flag that is not granted/);
  assert.match(under({ expires: NOW + YEAR + 1 }), /longer than granted/);
  assert.match(under({ notBefore: NOW + 3601 }), /begun after its grant expired/);
  assert.match(under({ notBefore: NOW - 1 }), /older than its grant/);
});

Deno.test("a narrowing can only take away, and binds what is under it", () => {
  const narrowed = (change: Partial<Grant>) => {
    const less = grant(narrower, { kind: "narrowing", uses: 1, groups: ["web"], ...change });
    return chain([mesh, grant(token)], [token, less]);
  };
  assert.ok(verifyGrant(crypto, mesh.publicKey, narrowed({})).ok);
  const wider: Partial<Grant>[] = [
    { uses: 3 },
    { expires: NOW + 3601 },
    { memberUntil: NOW + YEAR + 1 },
    { groups: ["db", "ops"] },
    { flags: { relay: true, admin: true } },
    { notBefore: NOW - 1 },
  ];
  for (const change of wider) {
    assert.ok(!verifyGrant(crypto, mesh.publicKey, narrowed(change)).ok, JSON.stringify(change));
  }
  const under = (groups: string[]) =>
    appendLink(crypto, mesh.publicKey, narrowed({}), narrower, certificate(member, { groups }));
  assert.ok(verify(under(["web"])).ok);
  assert.ok(!verify(under(["db"])).ok, "the wider grant before it does not count");
});

Deno.test("a token's holder cannot make grants, nor a narrowing stand alone", () => {
  assert.match(
    errorOf(chain([mesh, grant(token)], [token, grant(narrower)])),
    /signed by another grant's key/,
  );
  const alone = chain([mesh, grant(narrower, { kind: "narrowing" })]);
  assert.match(errorOf(alone), /without a grant before it/);
});

Deno.test("a grant on the way is redeemed by the admin that it made, not by those after it", () => {
  const flags = { relay: true, admin: true };
  const made = chain(
    [mesh, grant(token, { flags })],
    [token, certificate(admin, { flags })],
    [admin, grant(narrower)],
    [narrower, certificate(member)],
  );
  const membership = verify(made);
  assert.ok(membership.ok);
  const by = membership.value.grants.map((one) => one.by);
  assert.deepEqual(by, [admin.publicKey.toHex(), member.publicKey.toHex()]);
});

Deno.test("the time that decides clashes is an admin's word, not the joiner's", () => {
  const made = chain(
    [mesh, asAdmin],
    [admin, grant(token, { notBefore: NOW + 10 })],
    [token, certificate(member, { notBefore: NOW + 500 })],
  );
  const membership = verify(made);
  assert.ok(membership.ok);
  assert.equal(membership.value.issuedAt, NOW + 10);
});

Deno.test("T18: no bytes make the decoder throw, and what it takes has one encoding", () => {
  const valid = chain([mesh, asAdmin], [admin, grant(token)], [token, certificate(member)]).bytes;
  fc.assert(fc.property(
    fc.oneof(
      fc.uint8Array({ maxLength: 800 }),
      fc.tuple(fc.nat(valid.length - 1), fc.nat(255)).map(([at, byte]) => {
        const bytes = valid.slice();
        bytes[at] = byte;
        return bytes;
      }),
    ),
    (bytes) => {
      const decoded = decodeChain(Uint8Array.from(bytes));
      if (!decoded.ok) return;
      const again = decoded.value.links.reduce((before, link) => {
        const next = appendLink(crypto, mesh.publicKey, before, mesh, link);
        const links = [...next.links.slice(0, -1), link];
        return { ...next, links };
      }, EMPTY_CHAIN);
      assert.equal(again.links.length, decoded.value.links.length);
      verify(decoded.value);
    },
  ));
});

Deno.test("chains over 760 bytes or 8 links are refused", () => {
  assert.ok(!decodeChain(new Uint8Array(761)).ok);
  assert.ok(!decodeChain(Uint8Array.of(9)).ok);
});

Deno.test("a name is a DNS label in lower case", () => {
  for (const good of ["a", "lyon-2", "0x", "a".repeat(63)]) assert.ok(isName(good), good);
  for (const bad of ["", "-a", "a-", "Lyon", "a.b", "ä", "a".repeat(64), "a b"]) {
    assert.ok(!isName(bad), bad);
  }
});
