import assert from "node:assert/strict";
import { parseEndpoint } from "../mesh/endpoint.ts";
import { Loop } from "./loop.ts";

const at = (boot: number) => ({ boot, wall: 0 });

const MESH = [
  { address: Uint8Array.of(100, 64, 0, 7), length: 10 },
  { address: Uint8Array.of(0xfd, ...Array(15).fill(7)), length: 64 },
];

Deno.test("a stranger who forges an address of the mesh has nobody lead what is meant for it past the tunnel", () => {
  const loop = new Loop();
  for (const text of ["100.127.1.2:51820", "[fd07:707:707:707::1]:51820"]) {
    const to = parseEndpoint(text);
    assert.ok(to);
    assert.ok(!loop.begin(at(1_000), to, MESH), text);
    assert.deepEqual(loop.health(at(1_000), 1), []);
  }
});

Deno.test("a loop is in the health from its beginning until a minute after its last datagram", () => {
  const to = parseEndpoint("203.0.113.9:51820");
  assert.ok(to);
  const loop = new Loop();
  assert.deepEqual(loop.health(at(0), 0), []);
  assert.ok(loop.begin(at(1_000), to, MESH));
  const [line] = loop.health(at(1_000), 1);
  assert.match(line ?? "", /own datagrams to 203\.0\.113\.9:51820 into the tunnel.*route outside/);
  assert.equal(loop.health(at(900_000), 2).length, 1, "it goes on");
  assert.equal(loop.health(at(960_000), 2).length, 1);
  assert.deepEqual(loop.health(at(960_001), 2), []);
});
