import assert from "node:assert/strict";
import fc from "fast-check";
import { isWithin, parseAddress } from "../../mesh/endpoint.ts";
import { readPool } from "../../mesh/membership/genesis.ts";
import { networkOf } from "../../mesh/prefix.ts";
import { networkNamed, reverseZoneOf, reverseZones } from "./reverse.ts";

function network(text: string) {
  const [address = "", length = ""] = text.split("/");
  const bytes = parseAddress(address);
  assert.ok(bytes);
  return networkOf({ address: bytes, length: Number(length) });
}

const zones = (text: string) => reverseZones(network(text));

Deno.test("the zones of a network are as many as its length asks for", () => {
  assert.deepEqual(
    zones("100.64.0.0/10"),
    Array.from({ length: 64 }, (_, i) => `${64 + i}.100.in-addr.arpa`),
  );
  assert.deepEqual(zones("10.0.0.0/8"), ["10.in-addr.arpa"]);
  assert.deepEqual(zones("10.77.0.0/16"), ["77.10.in-addr.arpa"]);
  assert.deepEqual(zones("10.77.32.0/22"), [32, 33, 34, 35].map((n) => `${n}.77.10.in-addr.arpa`));
  assert.deepEqual(zones("fd00:1:2::/64"), ["0.0.0.0.2.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa"]);
});

Deno.test("a name stands for a network only as RFC 1035, section 3.5, and RFC 3596, section 2.5, write it", () => {
  const named = (name: string) => {
    const found = networkNamed(name);
    return found && `${[...found.address]}/${found.length}`;
  };
  assert.equal(named("7.0.64.100.in-addr.arpa"), "100,64,0,7/32");
  assert.equal(named("100.in-addr.arpa"), "100,0,0,0/8");
  assert.equal(named("d.f.ip6.arpa"), `253,${Array(15).fill(0)}/8`);
  for (
    const name of [
      "in-addr.arpa",
      "ip6.arpa",
      "",
      "xin-addr.arpa",
      "256.in-addr.arpa",
      "07.in-addr.arpa",
      "-1.in-addr.arpa",
      "1e1.in-addr.arpa",
      ".in-addr.arpa",
      "5.4.3.2.1.in-addr.arpa",
      "10.ip6.arpa",
      "g.ip6.arpa",
      "0.".repeat(33) + "ip6.arpa",
    ]
  ) {
    assert.equal(named(name), undefined, name);
  }
});

Deno.test("each address of each pool is in one zone of it, and no address outside is in any", () => {
  const pool = fc.tuple(
    fc.constantFrom(10, 100, 172, 192, 198),
    fc.nat(0xffffff),
    fc.integer({ min: 8, max: 24 }),
  )
    .map(([first, rest, length]) =>
      networkOf({
        address: Uint8Array.of(first, rest >> 16, rest >> 8 & 255, rest & 255),
        length,
      })
    )
    .filter(({ address, length }) => readPool(`${address.join(".")}/${length}`).ok);
  const bytes = fc.uint8Array({ minLength: 4, maxLength: 4 });
  let inside = 0;
  fc.assert(
    fc.property(pool, bytes, fc.boolean(), (one, noise, isMeantInside) => {
      const address = noise.map((byte, i) => {
        const mask = Math.min(8, Math.max(0, one.length - i * 8));
        const kept = 0xff << (8 - mask) & 0xff;
        return isMeantInside ? (one.address[i] ?? 0) & kept | byte & ~kept : byte;
      });
      const name = `${[...address].reverse().join(".")}.in-addr.arpa`;
      const zone = reverseZoneOf(name, one);
      const all = reverseZones(one);
      assert.ok(all.length <= 128);
      if (isWithin(address, one)) inside++;
      assert.equal(
        zone !== undefined,
        isWithin(address, one),
        `${name} ${one.address}/${one.length}`,
      );
      assert.equal(
        all.filter((each) => name.endsWith(`.${each}`)).length,
        zone === undefined ? 0 : 1,
      );
      if (zone !== undefined) assert.ok(all.includes(zone));
    }),
    { numRuns: 1_000, seed: 3 },
  );
  assert.ok(inside > 300, `${inside}`);
});
