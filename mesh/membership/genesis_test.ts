import assert from "node:assert/strict";
import fc from "fast-check";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import {
  decodeGenesis,
  DEFAULT_POOL,
  encodeGenesis,
  formatPool,
  type Genesis,
  hostsOf,
  meshIdOf,
  poolOf,
  readPool,
} from "./genesis.ts";

const genesis: Genesis = {
  meshKey: new Uint8Array(32).fill(1),
  recoveryKey: new Uint8Array(32).fill(2),
  name: "lab",
  pool: DEFAULT_POOL,
};

Deno.test("the mesh id follows from everything that a mesh is founded with, and names the pool", () => {
  const pool = readPool("10.77.0.0/16");
  assert.ok(pool.ok);
  const changes: Partial<Genesis>[] = [
    {},
    { meshKey: new Uint8Array(32).fill(3) },
    { recoveryKey: new Uint8Array(32).fill(3) },
    { name: "lap" },
    { pool: pool.value },
  ];
  const ids = changes.map((change) => meshIdOf(crypto, { ...genesis, ...change }));
  assert.ok(ids.every((id) => id.length === 32));
  // By the hash alone, too: the pool in it makes no two alike.
  assert.equal(new Set(ids.map((id) => id.toHex().slice(0, 54))).size, changes.length);
  assert.equal(formatPool(poolOf(ids[0] ?? assert.fail())), "100.64.0.0/10");
  assert.equal(formatPool(poolOf(ids[4] ?? assert.fail())), "10.77.0.0/16");
});

Deno.test("a pool is a private IPv4 network from /8 to /24, and what is wrong is said", () => {
  for (
    const good of ["10.0.0.0/8", "10.77.0.0/16", "192.168.7.0/24", "100.64.0.0/10", "198.18.0.0/15"]
  ) {
    const pool = readPool(good);
    assert.equal(pool.ok && formatPool(pool.value), good);
  }
  for (
    const [bad, why] of [
      ["10.77.0.0", /'10\.77\.0\.0' is no IPv4 network, for example/],
      ["fd00::/64", /is no IPv4 network/],
      ["10.77.0.0/33", /is too small/],
      ["192.168.7.0/25", /is too small: a pool is a \/8 to a \/24 \(254 addresses\)/],
      ["10.0.0.0/7", /is too large/],
      ["10.77.1.5/16", /inside a network: did you mean 10\.77\.0\.0\/16\?/],
      ["8.8.0.0/16", /belongs to others on the Internet: choose within 10\.0\.0\.0\/8/],
      ["172.16.0.0/11", /inside a network|belongs to others/],
      ["127.0.0.0/8", /belongs to others/],
      ["224.0.0.0/8", /belongs to others/],
    ] as const
  ) {
    const pool = readPool(bad);
    assert.match(pool.ok ? "taken" : pool.error, why, bad);
  }
  assert.equal(hostsOf({ address: Uint8Array.of(10, 0, 0, 0), length: 24 }), 254);
});

Deno.test("T18: no bytes make the decoder throw, and what it reads has one encoding and is a mesh's", () => {
  const bytes = encodeGenesis(genesis);
  assert.deepEqual(decodeGenesis(bytes), { ok: true, value: genesis });
  const random = fc.uint8Array({ maxLength: 140 }).map((all) => Uint8Array.from(all));
  const changed = fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)).map(([at, byte]) =>
    bytes.with(at, byte)
  );
  fc.assert(fc.property(fc.oneof(random, changed), (input) => {
    const read = decodeGenesis(input);
    if (!read.ok) return;
    assert.deepEqual(encodeGenesis(read.value), input);
    const pool = readPool(formatPool(read.value.pool));
    assert.ok(pool.ok);
  }));
});
