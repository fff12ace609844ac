import assert from "node:assert/strict";
import fc from "fast-check";
import { nobleCrypto as crypto } from "./noble_crypto.ts";
import { Reader, Writer } from "./codec.ts";
import { parseAddress } from "./endpoint.ts";
import {
  bootOf,
  openRecord,
  readEndpoint,
  type RecordBody,
  sequenceOf,
  signRecord,
  writeEndpoint,
} from "./record.ts";
import { EMPTY_CHAIN } from "./trust/certificate.ts";
import { meshIdOf } from "./trust/identity.ts";

const signing = crypto.ed25519FromSeed(new Uint8Array(32).fill(1));
const other = crypto.ed25519FromSeed(new Uint8Array(32).fill(2));
const meshId = meshIdOf(crypto, other.publicKey);

const body: RecordBody = {
  key: signing.publicKey,
  sequence: sequenceOf(3, 7),
  endpoints: [
    { address: Uint8Array.of(192, 0, 2, 1), port: 51820, scope: 0 },
    { address: new Uint8Array(16).fill(0x20), port: 1, scope: 0 },
  ],
  ip4Counter: 2,
  capabilities: { relay: true, tunnel: false },
  routes: [{ address: Uint8Array.of(10, 1, 0, 0), length: 16 }],
  version: "0.1.0",
  chain: EMPTY_CHAIN,
};
const record = signRecord(crypto, meshId, signing, body);

Deno.test("a record says what its subject signed", () => {
  const opened = openRecord(crypto, meshId, record.bytes);
  assert.ok(opened.ok);
  assert.deepEqual(opened.value, record);
  assert.equal(opened.value.id, signing.publicKey.toHex());
  assert.equal(bootOf(opened.value.sequence), 3);
});

Deno.test("nobody else can make or alter one, or carry it to another mesh", () => {
  const forged = signRecord(crypto, meshId, other, body);
  const opened = openRecord(crypto, meshId, forged.bytes);
  assert.ok(!opened.ok);
  assert.match(opened.error, /signature of the record of .* does not fit/);
  assert.ok(!openRecord(crypto, meshIdOf(crypto, signing.publicKey), record.bytes).ok);
  for (let at = 0; at < record.bytes.length; at += 3) {
    const bytes = record.bytes.slice();
    bytes[at] = (bytes[at] ?? 0) ^ 0x10;
    assert.ok(!openRecord(crypto, meshId, bytes).ok, `byte ${at}`);
  }
});

Deno.test("an address' interface number stays at home", () => {
  const address = new Uint8Array(16).fill(0x20);
  const made = signRecord(crypto, meshId, signing, {
    ...body,
    endpoints: [{ address, port: 9, scope: 4 }],
  });
  const opened = openRecord(crypto, meshId, made.bytes);
  assert.ok(opened.ok);
  assert.equal(opened.value.endpoints[0]?.scope, 0);
});

Deno.test("a record with one place that nothing may be sent to is refused whole", () => {
  const withPlace = (text: string, port: number) => {
    const address = parseAddress(text);
    assert.ok(address, text);
    const place = { address, port, scope: 0 };
    const made = signRecord(crypto, meshId, signing, {
      ...body,
      endpoints: [...body.endpoints, place],
    });
    return openRecord(crypto, meshId, made.bytes);
  };
  for (
    const [text, port, what] of [
      ["192.0.2.1", 0, "port 0"],
      ["127.0.0.1", 9, "loopback"],
      ["169.254.169.254", 80, "link-local"],
      ["224.0.0.251", 5353, "multicast"],
      ["255.255.255.255", 9, "reserved, or the limited broadcast"],
      ["100.64.0.1", 9, "inside the mesh"],
      ["fe80::1", 9, "link-local"],
    ] as const
  ) {
    const opened = withPlace(text, port);
    assert.ok(!opened.ok, `${text} port ${port}`);
    assert.equal(opened.error, `an endpoint that is ${what}`);
  }
  assert.ok(withPlace("198.51.100.9", 9).ok);
});

Deno.test("where somebody saw us is read whatever it is: it is judged before it is adopted", () => {
  const loopback = { address: Uint8Array.of(127, 0, 0, 1), port: 0, scope: 0 };
  const writer = new Writer();
  writeEndpoint(writer, loopback);
  const reader = new Reader(writer.finish());
  assert.deepEqual(reader.finish(readEndpoint(reader)), { ok: true, value: loopback });
});

Deno.test("what does not fit into 1,024 bytes is dropped from the end, endpoints last", () => {
  const route = { address: new Uint8Array(16), length: 0 };
  const endpoint = (n: number) => ({
    address: new Uint8Array(16).fill(0x20 + n),
    port: n,
    scope: 0,
  });
  const chain = { links: [], bytes: new Uint8Array(760) };
  const made = signRecord(crypto, meshId, signing, {
    ...body,
    chain,
    routes: new Array(16).fill(route),
    endpoints: [1, 2, 3, 4, 5, 6, 7, 8, 9].map(endpoint),
  });
  assert.ok(made.bytes.length <= 1024);
  assert.ok(made.routes.length < 16);
  assert.equal(made.endpoints[0]?.port, 1);
  assert.throws(() =>
    signRecord(crypto, meshId, signing, {
      ...body,
      chain: { links: [], bytes: new Uint8Array(1000) },
    }), RangeError);
});

Deno.test("routes with host bits, wrong lengths or families are refused", () => {
  const wrong = [
    { address: Uint8Array.of(10, 1, 0, 1), length: 16 },
    { address: Uint8Array.of(10, 1, 0, 0), length: 33 },
    { address: Uint8Array.of(10, 1, 0), length: 8 },
  ];
  for (const route of wrong) {
    const made = signRecord(crypto, meshId, signing, { ...body, routes: [route] });
    assert.ok(!openRecord(crypto, meshId, made.bytes).ok, `${route.address}/${route.length}`);
  }
});

Deno.test("T18: no bytes make it throw", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 1100 }), (bytes) => {
    assert.ok(!openRecord(crypto, meshId, Uint8Array.from(bytes)).ok);
  }));
});
