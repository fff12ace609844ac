import assert from "node:assert/strict";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { Signatories } from "../sim/signatories.ts";
import { IP4_PREFIX, ip4Of, ip6Of, isInIp4Network } from "./address.ts";

const { meshId } = new Signatories(crypto);
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

Deno.test("IPv4 lies in 100.64.0.0/10, off its ends, and moves with the counter", () => {
  const seen = new Set<string>();
  for (let counter = 0; counter < 500; counter++) {
    const address = ip4Of(crypto, meshId, key(7), counter);
    assert.ok(isInIp4Network(address));
    assert.notEqual(address.join("."), "100.64.0.0");
    assert.notEqual(address.join("."), "100.127.255.255");
    seen.add(address.join("."));
  }
  assert.ok(seen.size > 495);
});

Deno.test("a key has other addresses in another mesh", () => {
  const other = new Signatories(crypto, 2).meshId;
  assert.notDeepEqual(ip4Of(crypto, meshId, key(7), 0), ip4Of(crypto, other, key(7), 0));
  assert.notDeepEqual(ip6Of(crypto, meshId, key(7)), ip6Of(crypto, other, key(7)));
});

Deno.test("an address inside is one of 100.64.0.0 to 100.127.255.255", () => {
  assert.ok(isInIp4Network(IP4_PREFIX.address));
  const inside = [[100, 64, 0, 0], [100, 127, 255, 255]];
  const outside = [[100, 63, 255, 255], [100, 128, 0, 0], [101, 64, 0, 0], [100, 64, 0], []];
  for (const address of inside) assert.ok(isInIp4Network(Uint8Array.from(address)));
  for (const address of outside) assert.ok(!isInIp4Network(Uint8Array.from(address)));
  assert.ok(!isInIp4Network(new Uint8Array(16)));
});
