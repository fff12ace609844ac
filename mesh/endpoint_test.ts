import assert from "node:assert/strict";
import fc from "fast-check";
import {
  formatAddress,
  formatEndpoint,
  parseAddress,
  parseEndpoint,
  sameEndpoint,
} from "./endpoint.ts";

Deno.test("RFC 5952: IPv6 text is canonical", () => {
  for (
    const [text, canonical] of [
      ["2001:db8:0:0:0:0:2:1", "2001:db8::2:1"],
      ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
      ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
      ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
      ["::", "::"],
      ["0:0:0:0:0:0:0:1", "::1"],
      ["FE80::", "fe80::"],
      ["::192.0.2.1", "::c000:201"],
      ["::ffff:192.0.2.1", "192.0.2.1"],
      ["192.0.2.1", "192.0.2.1"],
    ] as const
  ) {
    const address = parseAddress(text);
    assert.ok(address, text);
    assert.equal(formatAddress(address), canonical);
  }
});

Deno.test("every address is read back from its text", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
    if (bytes.subarray(0, 10).every((b) => b === 0)) return;
    assert.deepEqual(parseAddress(formatAddress(bytes)), bytes);
  }));
  fc.assert(fc.property(fc.ipV6(), (text) => assert.ok(parseAddress(text), text)));
  fc.assert(fc.property(fc.ipV4(), (text) => {
    assert.equal(formatAddress(parseAddress(text) ?? new Uint8Array(4)), text);
  }));
});

Deno.test("what is no address is refused", () => {
  for (
    const text of [
      "",
      "1.2.3",
      "1.2.3.4.5",
      "1.2.3.256",
      "01.2.3.4",
      "1.2.3.-1",
      ":",
      ":::",
      "1::2::3",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "1:2:3:4:5:6:7::8",
      "12345::",
      "g::",
      "::1.2.3",
      "1.2.3.4::",
      "::1%eth0",
      " ::1",
      "example.org",
    ]
  ) assert.equal(parseAddress(text), undefined, text);
});

Deno.test("endpoints of both families, with zone, are read and written", () => {
  const names = (name: string) => name === "eth0" ? 3 : undefined;
  for (
    const [text, written] of [
      ["192.0.2.1:51820", "192.0.2.1:51820"],
      ["[2001:db8::1]:1", "[2001:db8::1]:1"],
      ["[fe80::1%eth0]:65535", "[fe80::1%3]:65535"],
      ["[fe80::1%7]:65535", "[fe80::1%7]:65535"],
      ["[::ffff:192.0.2.1]:9", "192.0.2.1:9"],
    ] as const
  ) {
    const endpoint = parseEndpoint(text, names);
    assert.ok(endpoint, text);
    assert.equal(formatEndpoint(endpoint), written);
  }
  for (
    const text of [
      "192.0.2.1",
      "192.0.2.1:0",
      "192.0.2.1:65536",
      "192.0.2.1:",
      ":51820",
      "2001:db8::1:51820",
      "[2001:db8::1]",
      "[192.0.2.1]:5",
      "[fe80::1%eth9]:5",
      "[fe80::1%]:5",
      "localhost:5",
      "[fe80::1%4294967296]:5",
    ]
  ) assert.equal(parseEndpoint(text, names), undefined, text);
});

Deno.test("endpoints are the same place when address, port and interface agree", () => {
  const a = { address: Uint8Array.of(1, 2, 3, 4), port: 5, scope: 0 };
  assert.ok(sameEndpoint(a, { ...a, address: a.address.slice() }));
  assert.ok(!sameEndpoint(a, { ...a, port: 6 }));
  assert.ok(!sameEndpoint(a, { ...a, scope: 1 }));
  assert.ok(!sameEndpoint(a, { ...a, address: Uint8Array.of(1, 2, 3, 5) }));
  assert.ok(!sameEndpoint(a, { ...a, address: new Uint8Array(16) }));
});
