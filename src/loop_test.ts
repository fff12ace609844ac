import assert from "node:assert/strict";
import { parseEndpoint } from "../mesh/endpoint.ts";
import { Loop } from "./loop.ts";

const at = (boot: number) => ({ boot, wall: 0 });

Deno.test("a loop is in the health from its beginning until a minute after its last datagram", () => {
  const to = parseEndpoint("203.0.113.9:51820");
  assert.ok(to);
  const loop = new Loop();
  assert.deepEqual(loop.health(at(0), 0), []);
  loop.begin(at(1_000), to);
  const [line] = loop.health(at(1_000), 1);
  assert.match(line ?? "", /own datagrams to 203\.0\.113\.9:51820 into the tunnel.*route outside/);
  assert.equal(loop.health(at(900_000), 2).length, 1, "it goes on");
  assert.equal(loop.health(at(960_000), 2).length, 1);
  assert.deepEqual(loop.health(at(960_001), 2), []);
});
