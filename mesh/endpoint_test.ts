import assert from "node:assert/strict";
import fc from "fast-check";
import {
  formatAddress,
  formatEndpoint,
  isAnswerable,
  isReachable,
  parseAddress,
  parseEndpoint,
  sameEndpoint,
  whyUnreachable,
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

/** 16 bytes from 32 hexadecimal digits: {@link parseAddress} makes a mapped address IPv4. */
function raw(hex: string): Uint8Array {
  return Uint8Array.fromHex(hex);
}

function at(address: string | Uint8Array, port = 51820) {
  const bytes = typeof address === "string" ? parseAddress(address) : address;
  assert.ok(bytes, `${address}`);
  return { address: bytes, port, scope: 0 };
}

Deno.test("each class of places that a record may not name is refused, from its first to its last address", () => {
  const mapped = raw("00000000000000000000ffffc0000201"); // ::ffff:192.0.2.1
  const translated = raw("0000000000000000ffff0000c0000201"); // ::ffff:0:192.0.2.1
  const embedded = "an IPv4 address written as IPv6";
  for (
    const [what, ...addresses] of [
      ["no address of a machine", "0.0.0.0", "0.255.255.255"],
      ["loopback", "127.0.0.0", "127.0.0.1", "127.255.255.255"],
      ["link-local", "169.254.0.0", "169.254.169.254", "169.254.255.255"],
      ["multicast", "224.0.0.0", "239.255.255.255"],
      ["reserved, or the limited broadcast", "240.0.0.0", "255.255.255.255"],
      [`unspecified, loopback, or ${embedded}`, "::", "::1", "::192.0.2.1", "::ffff:ffff"],
      [embedded, mapped, translated],
      ["link-local", "fe80::", "fe80::1", "febf:ffff::"],
      ["site-local", "fec0::", "feff:ffff::"],
      ["multicast", "ff00::", "ff02::1", "ffff::"],
      ["for an IPv4 address that is loopback", "64:ff9b::127.0.0.1", "2002:7f00:1::"],
      ["for an IPv4 address that is multicast", "64:ff9b::224.0.0.1", "2002:e000:1::"],
    ] as const
  ) {
    for (const address of addresses) {
      assert.equal(whyUnreachable(at(address)), what, `${address}`);
      assert.ok(!isReachable(at(address)));
    }
  }
  for (const address of ["192.0.2.1", "2001:db8::1"]) {
    assert.equal(whyUnreachable(at(address, 0)), "port 0");
  }
});

Deno.test("the neighbours of those classes, and private addresses, can be reached", () => {
  for (
    const address of [
      "1.0.0.0",
      "10.0.0.1",
      "100.63.255.255",
      "100.128.0.0",
      "126.255.255.255",
      "128.0.0.0",
      "169.253.255.255",
      "169.255.0.0",
      "172.16.0.1",
      "192.168.0.1",
      "223.255.255.255",
      "::1:0:0",
      "64:ff9b::192.0.2.1",
      "2002:c000:201::1",
      "2001:db8::1",
      "fd00::1",
      "fe7f:ffff::",
    ]
  ) {
    assert.equal(whyUnreachable(at(address, 1)), undefined, address);
    assert.ok(isReachable(at(address, 65535)));
  }
});

Deno.test("an answer can go to what has a family and a port, and is no IPv4 written as IPv6", () => {
  for (const address of ["192.0.2.1", "127.0.0.1", "fe80::1", "::1"]) {
    assert.ok(isAnswerable(at(address)), address);
    assert.ok(!isAnswerable(at(address, 0)), address);
  }
  assert.ok(!isAnswerable(at(raw("00000000000000000000ffffc0000201"))));
  assert.ok(!isAnswerable(at(new Uint8Array(0))));
  assert.ok(!isAnswerable(at(new Uint8Array(5))));
  assert.ok(!isAnswerable(at("192.0.2.1", 65536)));
});
