import assert from "node:assert/strict";
import fc from "fast-check";
import { AddressBook, type Claim, ip4Of, ip6Of } from "./address.ts";
import { nobleCrypto as crypto } from "./noble_crypto.ts";
import { meshIdOf } from "./trust/identity.ts";

const meshId = meshIdOf(crypto, new Uint8Array(32).fill(1));
const key = (n: number) => new Uint8Array(32).fill(n);
const taken = Uint8Array.of(100, 64, 0, 1);

Deno.test("IPv6 is fd, 40 bits of the mesh id, 16 zero bits, 64 bits of the key's hash", () => {
  const address = ip6Of(crypto, meshId, key(5));
  assert.equal(address.length, 16);
  assert.equal(address[0], 0xfd);
  assert.deepEqual(address.slice(1, 6), meshId.slice(0, 5));
  assert.deepEqual(address.slice(6, 8), new Uint8Array(2));
  assert.notDeepEqual(address.slice(8), ip6Of(crypto, meshId, key(6)).slice(8));
});

Deno.test("IPv4 lies in 100.64.0.0/10, off its ends, and moves with the counter", () => {
  const seen = new Set<string>();
  for (let counter = 0; counter < 500; counter++) {
    const address = ip4Of(crypto, meshId, key(7), counter);
    assert.equal(address[0], 100);
    assert.equal((address[1] ?? 0) & 0xc0, 64);
    assert.notEqual(address.join("."), "100.64.0.0");
    assert.notEqual(address.join("."), "100.127.255.255");
    seen.add(address.join("."));
  }
  assert.ok(seen.size > 495);
});

Deno.test("a forced clash: the earlier issued keeps the address, then the lower key", () => {
  const book = new AddressBook();
  book.claim({ id: "bb", issuedAt: 20, ip4: taken });
  assert.equal(book.holder(taken), "bb");
  book.claim({ id: "cc", issuedAt: 10, ip4: taken });
  assert.equal(book.holder(taken), "cc");
  book.claim({ id: "aa", issuedAt: 10, ip4: taken });
  assert.equal(book.holder(taken), "aa");
  assert.equal(book.addressOf("bb"), undefined);
  assert.deepEqual(book.rivals("bb").sort(), ["aa", "cc"]);
});

Deno.test("who steps aside gets its next address, and the one after inherits", () => {
  const book = new AddressBook();
  const next = Uint8Array.of(100, 64, 0, 2);
  book.claim({ id: "aa", issuedAt: 1, ip4: taken });
  book.claim({ id: "bb", issuedAt: 2, ip4: taken });
  book.claim({ id: "bb", issuedAt: 2, ip4: next });
  assert.deepEqual(book.addressOf("bb"), next);
  book.claim({ id: "cc", issuedAt: 3, ip4: taken });
  book.release("aa");
  assert.equal(book.holder(taken), "cc");
  book.release("cc");
  assert.equal(book.holder(taken), undefined);
});

Deno.test("every node resolves every clash the same way, whatever the order of news", () => {
  const claims = fc.uniqueArray(
    fc.record({ id: fc.stringMatching(/^[0-9a-f]{4}$/), issuedAt: fc.nat(3), host: fc.nat(3) }),
    { selector: ({ id }) => id, maxLength: 12 },
  );
  fc.assert(fc.property(claims, fc.infiniteStream(fc.nat()), (wishes, shuffle) => {
    const all: Claim[] = wishes.map(({ id, issuedAt, host }) => ({
      id,
      issuedAt,
      ip4: Uint8Array.of(100, 64, 0, host),
    }));
    const order = new Map(all.map((claim) => [claim.id, shuffle.next().value]));
    const other = all.toSorted((a, b) => (order.get(a.id) ?? 0) - (order.get(b.id) ?? 0));
    const [one, two] = [all, other].map((list) => {
      const book = new AddressBook();
      for (const claim of list) book.claim(claim);
      return all.map(({ id }) => book.addressOf(id)?.join("."));
    });
    assert.deepEqual(one, two);
  }));
});
