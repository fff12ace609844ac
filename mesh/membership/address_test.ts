import assert from "node:assert/strict";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { Signatories } from "../sim/signatories.ts";
import { ip4Of, ip6Of, isInside } from "./address.ts";
import { meshIdOf, readPool } from "./genesis.ts";

const { genesis, meshId } = new Signatories(crypto);
const key = (n: number) => new Uint8Array(32).fill(n);

Deno.test("IPv6 is fd, 40 bits of the mesh id, 16 zero bits, 64 bits of the key's hash", () => {
  const address = ip6Of(crypto, meshId, key(5));
  assert.equal(address.length, 16);
  assert.equal(address[0], 0xfd);
  assert.deepEqual(address.slice(1, 6), meshId.slice(0, 5));
  assert.deepEqual(address.slice(6, 8), new Uint8Array(2));
  const hashed = [5, 6, 7].map((n) => ip6Of(crypto, meshId, key(n)).slice(8));
  for (let at = 0; at < 8; at++) assert.ok(new Set(hashed.map((bytes) => bytes[at])).size > 1);
});

for (
  const [text, last] of [
    ["100.64.0.0/10", "100.127.255.255"],
    ["10.0.0.0/8", "10.255.255.255"],
    ["172.20.0.0/15", "172.21.255.255"],
    ["192.168.7.0/24", "192.168.7.255"],
  ] as const
) {
  Deno.test(`IPv4 lies in the pool ${text}, off its ends, and moves with the counter`, () => {
    const pool = readPool(text);
    assert.ok(pool.ok);
    const id = meshIdOf(crypto, { ...genesis, pool: pool.value });
    const seen = new Set<string>();
    for (let counter = 0; counter < 2_000; counter++) {
      const address = ip4Of(crypto, id, key(7), counter);
      assert.ok(isInside(id, address), address.join("."));
      assert.notEqual(address.join("."), text.split("/")[0]);
      assert.notEqual(address.join("."), last);
      seen.add(address.join("."));
    }
    assert.ok(seen.size > (text.endsWith("/24") ? 253 : 1_950), `${seen.size}`);
  });
}

Deno.test("a key has other addresses in another mesh", () => {
  const other = new Signatories(crypto, 2).meshId;
  assert.notDeepEqual(ip4Of(crypto, meshId, key(7), 0), ip4Of(crypto, other, key(7), 0));
  assert.notDeepEqual(ip6Of(crypto, meshId, key(7)), ip6Of(crypto, other, key(7)));
});

Deno.test("an address inside is one of the pool, or of the mesh's IPv6 network", () => {
  const inside = [[100, 64, 0, 0], [100, 127, 255, 255], [...ip6Of(crypto, meshId, key(1))]];
  const outside = [[100, 63, 255, 255], [100, 128, 0, 0], [101, 64, 0, 0], [100, 64, 0], []];
  for (const address of inside) assert.ok(isInside(meshId, Uint8Array.from(address)));
  for (const address of outside) assert.ok(!isInside(meshId, Uint8Array.from(address)));
  assert.ok(!isInside(meshId, new Uint8Array(16)));
});

Deno.test("nobody's address is one at which machines look for a service, whatever its key", () => {
  const pool = readPool("100.100.100.0/24");
  assert.ok(pool.ok);
  const id = meshIdOf(crypto, { ...genesis, pool: pool.value });
  const seen = new Set<string>();
  for (let counter = 0; counter < 4_000; counter++) {
    seen.add(ip4Of(crypto, id, key(7), counter).join("."));
  }
  assert.equal(seen.size, 252, "all 254 but two");
  assert.ok(!seen.has("100.100.100.200") && !seen.has("100.100.100.100"));
});
