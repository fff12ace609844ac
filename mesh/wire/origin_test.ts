import assert from "node:assert/strict";
import { networkOf, originOf, regionOf } from "./origin.ts";

const four = Uint8Array.of(192, 0, 2, 1);
const six = Uint8Array.from({ length: 16 }, (_, i) => i);

Deno.test("an origin is an address or a /64, a network a /24 or /48, a region a /16 or /32", () => {
  for (const [of, ip4, ip6] of [[originOf, 4, 8], [networkOf, 3, 6], [regionOf, 2, 4]] as const) {
    for (const [address, size] of [[four, ip4], [six, ip6]] as const) {
      assert.notEqual(of({ address: address.with(size - 1, 99) }), of({ address }));
      if (size === address.length) continue;
      assert.equal(of({ address: address.with(size, 99) }), of({ address }));
    }
  }
});

Deno.test("no IPv4 address shares an origin, a network or a region with an IPv6 address", () => {
  const address = Uint8Array.of(0, 1, 2, 3);
  for (const partOf of [originOf, networkOf, regionOf]) {
    assert.notEqual(partOf({ address }), partOf({ address: six }));
  }
});
