import assert from "node:assert/strict";
import type { Host } from "./host.ts";
import { configuration, since } from "./nebula.ts";

Deno.test("nebula: a version is compared by its numbers", () => {
  assert.equal(since("1.11.0", 1, 12), false);
  assert.equal(since("1.9.7", 1, 12), false);
  assert.equal(since("v1.12.0", 1, 12), true);
  assert.equal(since("2.0.0", 1, 12), true);
});

Deno.test("nebula: buffers and offloads are left to it unless they are asked for", () => {
  const other = { host: {} as Host, outer: "10.0.0.2", inner: "10.7.0.2/24" };
  const plain = configuration("a", other, { cipher: "aes", mtu: 1420 });
  assert.deepEqual(plain.listen, { host: "0.0.0.0", port: 4242 });
  assert.deepEqual(plain.tun, { dev: "nebula0", mtu: 1420 });
  assert.deepEqual(plain.static_host_map, { "10.7.0.2": ["10.0.0.2:4242"] });
  const more = configuration("a", other, {
    cipher: "chachapoly",
    buffers: 8388608,
    offloads: true,
    mtu: 1420,
  });
  assert.equal(more.cipher, "chachapoly");
  assert.equal(more.listen.read_buffer, 8388608);
  assert.equal(more.listen.udp_offloads, true);
  assert.equal(more.tun.use_offloads, true);
});
