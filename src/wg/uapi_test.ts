import assert from "node:assert/strict";
import fc from "fast-check";
import { formatAddress, parseEndpoint } from "../../mesh/endpoint.ts";
import {
  type DeviceChange,
  type DeviceReport,
  LINE_MAX,
  type PeerChange,
  UapiReader,
  type UapiRequest,
  writeReport,
  writeStatus,
} from "./uapi.ts";

const KEY = "ab".repeat(32);
const OTHER = "cd".repeat(32);

/** Feeds whole lines and gives back every request that they made. */
function read(...lines: readonly string[]): UapiRequest[] {
  const reader = new UapiReader((name) => name === "eth0" ? 7 : undefined);
  return lines.map((line) => reader.line(line)).filter((request) => request !== undefined);
}

function readSet(...lines: readonly string[]): DeviceChange {
  const [request, ...more] = read("set=1", ...lines, "");
  assert.deepEqual(more, []);
  assert.equal(request?.kind, "set", JSON.stringify(request));
  return request.change;
}

function readFault(...lines: readonly string[]): string {
  const [request, ...more] = read("set=1", ...lines, "");
  assert.deepEqual(more, []);
  assert.equal(request?.kind, "fault", `accepted: ${lines.join(" ")}`);
  assert.equal(request.isLost, false);
  return request.fault.errno;
}

function onlyPeer(...lines: readonly string[]): PeerChange {
  const [peer, ...more] = readSet(`public_key=${KEY}`, ...lines).peers;
  assert.deepEqual(more, []);
  assert.ok(peer);
  return peer;
}

Deno.test("get=1 and an empty line are a get", () => {
  assert.deepEqual(read("get=1", ""), [{ kind: "get" }]);
});

Deno.test("several requests follow one another on a connection", () => {
  const kinds = read("get=1", "", "set=1", "listen_port=1", "", "get=1", "").map(({ kind }) =>
    kind
  );
  assert.deepEqual(kinds, ["get", "set", "get"]);
});

Deno.test("every key of a device is understood", () => {
  const change = readSet(
    `private_key=${KEY}`,
    "listen_port=51820",
    "fwmark=4294967295",
    "replace_peers=true",
  );
  assert.deepEqual(change, {
    privateKey: Uint8Array.fromHex(KEY),
    listenPort: 51820,
    fwmark: 0xffffffff,
    replacesPeers: true,
    peers: [],
  });
  assert.equal(readSet("fwmark=").fwmark, 0, "an empty fwmark takes it away");
  assert.deepEqual(readSet(), { replacesPeers: false, peers: [] });
});

Deno.test("every key of a peer is understood", () => {
  const peer = onlyPeer(
    "protocol_version=1",
    "update_only=true",
    `preshared_key=${OTHER}`,
    "endpoint=192.0.2.7:51820",
    "persistent_keepalive_interval=25",
    "replace_allowed_ips=true",
    "allowed_ip=10.0.0.0/8",
    "allowed_ip=+fd00::/8",
    "allowed_ip=-192.168.0.1/24",
  );
  assert.deepEqual(peer, {
    publicKey: Uint8Array.fromHex(KEY),
    isRemoved: false,
    isUpdateOnly: true,
    presharedKey: Uint8Array.fromHex(OTHER),
    endpoint: parseEndpoint("192.0.2.7:51820"),
    persistentKeepalive: 25,
    prefixes: [
      { kind: "clear" },
      { kind: "add", prefix: { address: Uint8Array.of(10, 0, 0, 0), length: 8 } },
      {
        kind: "add",
        prefix: { address: Uint8Array.from([0xfd, ...Array<number>(15).fill(0)]), length: 8 },
      },
      // Bits beyond the length are cut, as wireguard-go's table does.
      { kind: "remove", prefix: { address: Uint8Array.of(192, 168, 0, 0), length: 24 } },
    ],
  });
  assert.equal(onlyPeer("remove=true").isRemoved, true);
});

Deno.test("endpoints are IPv4, IPv6 in brackets, or link-local with an interface", () => {
  assert.equal(onlyPeer("endpoint=[2001:db8::1]:1").endpoint?.port, 1);
  assert.equal(onlyPeer("endpoint=[fe80::1%eth0]:1").endpoint?.scope, 7);
  for (
    const wrong of [
      "host:1",
      "1.2.3.4",
      "1.2.3.4:x0",
      ":0",
      "[fe80::1%nope]:1",
      "2001:db8::1:1",
      "",
    ]
  ) {
    assert.equal(readFault(`public_key=${KEY}`, `endpoint=${wrong}`), "EINVAL", wrong);
  }
});

Deno.test("port 0 names no place, and costs a request nothing else, as on Linux", () => {
  for (const nowhere of ["1.2.3.4:0", "[2001:db8::1]:0", "1.2.3.4:00000"]) {
    const peer = onlyPeer(`endpoint=${nowhere}`, "allowed_ip=10.0.0.0/8");
    assert.equal(peer.endpoint, undefined, nowhere);
    assert.equal(peer.prefixes.length, 1);
  }
});

Deno.test("RFC 4291 2.5.5.2: an IPv4-mapped network is one of IPv6, whatever its length", () => {
  const mapped = (length: number) => onlyPeer(`allowed_ip=::ffff:10.20.0.0/${length}`).prefixes;
  const whole = Uint8Array.fromHex("00000000000000000000ffff0a140000");
  assert.deepEqual(mapped(120), [{ kind: "add", prefix: { address: whole, length: 120 } }]);
  const none = new Uint8Array(16);
  assert.deepEqual(mapped(24), [{ kind: "add", prefix: { address: none, length: 24 } }]);
});

Deno.test("a value that is out of its range, or a key that does not exist, is EINVAL", () => {
  const device = [
    "private_key=00",
    `private_key=${KEY}0`,
    `private_key=${"zz".repeat(32)}`,
    "listen_port=65536",
    "listen_port=-1",
    "listen_port= 1",
    "listen_port=",
    "fwmark=4294967296",
    "fwmark=0x10",
    "replace_peers=yes",
    "protocol_version=2",
    "endpoint=1.2.3.4:5",
    "nonsense=1",
    "public_key=",
    `public_key=${KEY.slice(1)}`,
  ];
  for (const line of device) assert.equal(readFault(line), "EINVAL", line);
  const peer = [
    "remove=1",
    "update_only=",
    "preshared_key=abc",
    "persistent_keepalive_interval=65536",
    "persistent_keepalive_interval=off",
    "replace_allowed_ips=false",
    "allowed_ip=10.0.0.0",
    "allowed_ip=10.0.0.0/33",
    "allowed_ip=fd00::/129",
    "allowed_ip=*10.0.0.0/8",
    "allowed_ip=10.0.0/8",
    "protocol_version=0",
    "listen_port=1",
    "private_key=" + KEY,
  ];
  for (const line of peer) assert.equal(readFault(`public_key=${KEY}`, line), "EINVAL", line);
});

Deno.test("a line without '=' is EPROTO", () => {
  assert.equal(readFault("listen_port"), "EPROTO");
});

Deno.test("the first fault decides, the rest of the request is skipped, the next one is read", () => {
  const requests = read(
    "set=1",
    "listen_port=1",
    "bogus",
    "listen_port=99999",
    `public_key=${KEY}`,
    "",
    "get=1",
    "",
  );
  assert.deepEqual(requests.map(({ kind }) => kind), ["fault", "get"]);
  assert.equal(requests[0]?.kind === "fault" && requests[0].fault.errno, "EPROTO");
});

Deno.test("a request that ends before its empty line is void", () => {
  const reader = new UapiReader();
  for (const line of ["set=1", "listen_port=1"]) assert.equal(reader.line(line), undefined);
  const request = reader.cut("the end");
  assert.deepEqual(request, {
    kind: "fault",
    fault: { errno: "EPROTO", what: "the end" },
    isLost: true,
  });
  assert.equal(new UapiReader().cut("nothing was begun"), undefined);
});

Deno.test("anything but get=1 and set=1 loses the connection", () => {
  for (const line of ["", "get=2", "GET / HTTP/1.1", "set=1 ", "\0\0\0"]) {
    const [request] = read(line);
    assert.ok(request?.kind === "fault" && request.isLost, line);
  }
});

Deno.test("R66: no fault repeats a key", () => {
  const secret = "5ec2e7".repeat(10) + "zzzz";
  for (const key of ["private_key", "public_key"]) {
    const [request] = read("set=1", `${key}=${secret}`, "");
    assert.ok(request?.kind === "fault" && !request.fault.what.includes("5ec2e7"));
  }
  const [request] = read("set=1", `public_key=${KEY}`, `preshared_key=${secret}`, "");
  assert.ok(request?.kind === "fault" && !request.fault.what.includes("5ec2e7"));
  // Not even when the '=' or the key's name is mistyped.
  for (const line of [`private_key ${secret}`, `privatekey=${secret}`, secret]) {
    const [request] = read("set=1", line, "");
    assert.ok(request?.kind === "fault" && !request.fault.what.includes("5ec2e7"), line);
  }
  const [lost] = read(`private_key=${secret}`);
  assert.ok(lost?.kind === "fault" && !lost.fault.what.includes("5ec2e7"));
});

Deno.test("a request names at most 65,536 peers and 1,048,576 allowed IPs (R17)", () => {
  const reader = new UapiReader();
  reader.line("set=1");
  for (let i = 0; i < 65_537; i++) reader.line(`public_key=${i.toString(16).padStart(64, "0")}`);
  const peers = reader.line("");
  assert.ok(peers?.kind === "fault" && peers.fault.errno === "E2BIG");
  reader.line("set=1");
  reader.line(`public_key=${KEY}`);
  for (let i = 0; i <= 1_048_576; i++) reader.line("allowed_ip=10.0.0.1/32");
  const prefixes = reader.line("");
  assert.ok(prefixes?.kind === "fault" && prefixes.fault.errno === "E2BIG");
  // Each request is counted anew.
  for (const text of ["set=1", `public_key=${KEY}`, "allowed_ip=10.0.0.1/32"]) reader.line(text);
  assert.equal(reader.line("")?.kind, "set");
});

Deno.test("errno is 0 or negative, as wireguard-go writes and wg reads it", () => {
  assert.equal(writeStatus(undefined), "errno=0\n\n");
  assert.equal(writeStatus("EINVAL"), "errno=-22\n\n");
  assert.equal(writeStatus("EADDRINUSE"), "errno=-98\n\n");
  assert.equal(writeStatus("EPROTO"), "errno=-71\n\n");
});

/** Objects as the subject makes them. */
const PLAIN = { noNullPrototype: true } as const;

const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const prefix = fc.oneof(
  fc.record({ address: octets(4), length: fc.integer({ min: 0, max: 32 }) }, PLAIN),
  fc.record({ address: octets(16), length: fc.integer({ min: 0, max: 128 }) }, PLAIN),
).map(({ address, length }) => ({
  length,
  address: address.map((byte, i) =>
    byte & (0xff << (8 - Math.min(8, Math.max(0, length - 8 * i)))) | 0
  ),
})).filter(({ address }) => address.length === 4 || !formatAddress(address).startsWith("::ffff"));

const endpoint = fc.record({
  address: fc.oneof(octets(4), octets(16)),
  port: fc.integer({ min: 1, max: 65535 }),
  scope: fc.constant(0),
}, PLAIN).filter(({ address }) =>
  address.length === 4 || !formatAddress(address).startsWith("::ffff")
);

const peerReport = fc.record({
  publicKey: octets(32),
  presharedKey: octets(32),
  endpoint: fc.option(endpoint, { nil: undefined }),
  lastHandshake: fc.integer({ min: 0, max: 2 ** 43 }),
  txBytes: fc.maxSafeNat(),
  rxBytes: fc.maxSafeNat(),
  persistentKeepalive: fc.integer({ min: 0, max: 65535 }),
  prefixes: fc.array(prefix, { maxLength: 5 }),
});

const report: fc.Arbitrary<DeviceReport> = fc.record({
  privateKey: fc.option(octets(32), { nil: undefined }),
  listenPort: fc.integer({ min: 0, max: 65535 }),
  fwmark: fc.integer({ min: 0, max: 0xffffffff }),
  peers: fc.array(peerReport, { maxLength: 4 }),
});

const FACTS = /^(last_handshake_time_n?sec|[rt]x_bytes)=/;

Deno.test("what get prints, set understands and means the same", () => {
  fc.assert(
    fc.property(report, (device) => {
      const lines = [...writeReport(device)].join("").split("\n");
      const change = readSet(...lines.filter((line) => line !== "" && !FACTS.test(line)));
      assert.deepEqual(change.privateKey, device.privateKey);
      assert.equal(change.listenPort ?? 0, device.listenPort);
      assert.equal(change.fwmark ?? 0, device.fwmark);
      const peers = [...device.peers];
      assert.equal(change.peers.length, peers.length);
      for (const [i, peer] of peers.entries()) {
        const read = change.peers[i];
        assert.deepEqual(read?.publicKey, peer.publicKey);
        assert.deepEqual(read.presharedKey, peer.presharedKey);
        assert.deepEqual(read.endpoint, peer.endpoint);
        assert.equal(read.persistentKeepalive, peer.persistentKeepalive);
        assert.deepEqual(
          read.prefixes,
          [...peer.prefixes].map((prefix) => ({ kind: "add", prefix })),
        );
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("the time of a handshake is whole seconds and nanoseconds below one", () => {
  const lines = [...writeReport({
    privateKey: undefined,
    listenPort: 0,
    fwmark: 0,
    peers: [{
      publicKey: new Uint8Array(32),
      presharedKey: new Uint8Array(32),
      endpoint: undefined,
      lastHandshake: 1_700_000_000_250,
      txBytes: 1,
      rxBytes: 2,
      persistentKeepalive: 0,
      prefixes: [],
    }],
  })].join("");
  assert.match(lines, /^last_handshake_time_sec=1700000000$/m);
  assert.match(lines, /^last_handshake_time_nsec=250000000$/m);
  assert.doesNotMatch(lines, /endpoint=|listen_port=|fwmark=|private_key=/);
});

const line = fc.oneof(
  fc.constantFrom(
    "",
    "set=1",
    "get=1",
    `public_key=${KEY}`,
    `private_key=${KEY}`,
    "replace_peers=true",
    "remove=true",
    "allowed_ip=0.0.0.0/0",
    "allowed_ip=-::/0",
    "endpoint=[::1]:9",
  ),
  fc.string({ maxLength: LINE_MAX, unit: "binary" }),
  fc.tuple(fc.constantFrom("listen_port", "fwmark", "allowed_ip", "endpoint"), fc.string())
    .map(([key, value]) => `${key}=${value}`),
);

Deno.test("T16: no sequence of lines throws, and each empty line ends what was begun", () => {
  fc.assert(
    fc.property(fc.array(line, { maxLength: 40 }), (lines) => {
      const reader = new UapiReader();
      for (const text of lines) {
        const wasWithin = reader.isWithin;
        const request = reader.line(text);
        if (wasWithin && text === "") assert.ok(request !== undefined && !reader.isWithin);
        if (request?.kind === "set") {
          assert.ok((request.change.listenPort ?? 0) <= 65535);
          for (const peer of request.change.peers) assert.equal(peer.publicKey.length, 32);
        }
      }
    }),
    { numRuns: 3000 },
  );
});
