/** The resolver over real sockets of loopback, which stands for a mesh of 127.0.0.0/8. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import * as net from "node:net";
import { Buffer } from "node:buffer";
import type { Directory } from "../../mesh/report/directory.ts";
// @ts-types="./dns_packet.d.ts"
import * as packet from "npm:dns-packet@5.6.1";
import { Resolver } from "./server.ts";

const MESH: Directory = {
  mesh: "lab",
  self: "lyon",
  networks: [{ address: Uint8Array.of(127, 0, 0, 0), length: 8 }],
  entries: [{ name: "oslo", ip4: "127.0.0.9", ip6: "fd00::9" }],
};

/** A port that nobody has just now, for UDP and TCP. */
async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

interface World {
  readonly resolver: Resolver;
  readonly port: number;
  directory: Directory | undefined;
  boot: number;
}

async function serving(body: (world: World) => Promise<void>): Promise<void> {
  const port = await freePort();
  const world = { directory: MESH as Directory | undefined, boot: 1_000, port };
  const resolver = new Resolver({
    directory: () => world.directory,
    clock: () => ({ boot: world.boot, wall: 0 }),
  }, port);
  resolver.serve(["127.0.0.1"]);
  await new Promise((resolve) => setTimeout(resolve, 50));
  try {
    await body(Object.assign(world, { resolver }));
  } finally {
    resolver.close();
  }
}

function question(name = "oslo.lab.internal"): Buffer {
  return packet.encode({ id: 3, type: "query", questions: [{ name, type: "A", class: "IN" }] });
}

/** @returns the answer; undefined: none within 300 ms */
function askUdp(
  port: number,
  bytes: Uint8Array,
  from?: string,
): Promise<packet.Packet | undefined> {
  const socket = createSocket("udp4");
  return new Promise((resolve) => {
    const timer = setTimeout(() => done(undefined), 300);
    const done = (answer: packet.Packet | undefined) => {
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    socket.on("message", (answer) => done(packet.decode(Buffer.from(answer))));
    socket.bind(0, from, () => socket.send(bytes, port, "127.0.0.1"));
  });
}

function framed(bytes: Uint8Array): Buffer {
  const size = Buffer.alloc(2);
  size.writeUInt16BE(bytes.length);
  return Buffer.concat([size, bytes]);
}

/** Everything that comes before the other side hangs up, or is silent for 300 ms. */
function converse(port: number, ...chunks: Uint8Array[]): Promise<Buffer> {
  return new Promise((resolve) => {
    let all = Buffer.alloc(0);
    const socket = net.createConnection(port, "127.0.0.1", () => {
      for (const chunk of chunks) socket.write(chunk);
    });
    socket.setTimeout(300, () => socket.destroy());
    socket.on("data", (chunk: Buffer) => all = Buffer.concat([all, chunk]));
    socket.on("error", () => {});
    socket.on("close", () => resolve(all));
  });
}

Deno.test("a question is answered over UDP and TCP, several in one connection, in pieces", () =>
  serving(async ({ port, resolver }) => {
    assert.equal((await askUdp(port, question()))?.answers?.[0]?.data, "127.0.0.9");
    const two = Buffer.concat([framed(question()), framed(question("nobody.lab.internal"))]);
    const said = await converse(port, two.subarray(0, 5), two.subarray(5));
    const first = said.readUInt16BE(0);
    assert.equal(packet.decode(said.subarray(2, 2 + first)).answers?.length, 1);
    assert.equal(packet.decode(said.subarray(4 + first)).answers?.length, 0);
    assert.equal(resolver.answered, 3);
    assert.deepEqual(resolver.health(), []);
  }));

Deno.test("who asks from outside the mesh, or a node that knows none, gets nothing", () =>
  serving(async (world) => {
    const { port, resolver } = world;
    world.directory = { ...MESH, networks: [{ address: Uint8Array.of(10, 0, 0, 0), length: 8 }] };
    assert.equal(await askUdp(port, question()), undefined);
    assert.equal((await converse(port, framed(question()))).length, 0);
    world.boot += 1_000;
    world.directory = undefined;
    assert.equal(await askUdp(port, question()), undefined);
    assert.equal(resolver.refused.strangers, 3);
  }));

Deno.test("a member that is renamed is answered so within a second", () =>
  serving(async (world) => {
    await askUdp(world.port, question());
    world.directory = { ...MESH, entries: [{ name: "rome", ip4: "127.0.0.9", ip6: "fd00::9" }] };
    world.boot += 1_000;
    assert.deepEqual((await askUdp(world.port, question()))?.answers, []);
    assert.equal((await askUdp(world.port, question("rome.lab.internal")))?.answers?.length, 1);
  }));

Deno.test("one source has 200 answers at once and 100 a second; another has its own", () =>
  serving(async (world) => {
    const { port, resolver } = world;
    const all = Buffer.concat(Array.from({ length: 250 }, () => framed(question())));
    await converse(port, all);
    assert.equal(resolver.answered, 200);
    assert.equal(resolver.refused.rate, 1, "who asks too much over TCP is cut off");
    assert.equal(await askUdp(port, question()), undefined);
    assert.ok(await askUdp(port, question(), "127.0.0.7"));
    world.boot += 10;
    assert.ok(await askUdp(port, question()));
  }));

Deno.test("nonsense, a message that is too long and a crowd are counted and cost nobody an answer", () =>
  serving(async ({ port, resolver }) => {
    assert.equal(await askUdp(port, new Uint8Array(3)), undefined);
    assert.ok(await askUdp(port, question().subarray(0, 20)), "a code");
    assert.equal((await converse(port, Buffer.from([0xff, 0xff, 1]))).length, 0);
    assert.equal(resolver.refused.nonsense, 2);
    const crowd = Array.from({ length: 40 }, () => net.createConnection(port, "127.0.0.1"));
    for (const one of crowd) one.on("error", () => {});
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(resolver.refused.connections, 8);
    assert.ok(await askUdp(port, question()));
    for (const one of crowd) one.destroy();
  }));

Deno.test("where the port is taken the health says so, and it is had as soon as it is free", () =>
  serving(async (world) => {
    const { resolver, port } = world;
    const rival = createSocket("udp4");
    resolver.serve([]);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await new Promise<void>((resolve) => rival.bind(port, "127.0.0.1", resolve));
    resolver.serve(["127.0.0.1"]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.match(
      resolver.health().join(),
      /names are not answered at 127\.0\.0\.1.*taken \(EADDRINUSE\).*--no-dns/,
    );
    await new Promise<void>((resolve) => rival.close(() => resolve()));
    world.boot += 9_999;
    resolver.mend();
    assert.equal(resolver.health().length, 1);
    world.boot += 1;
    resolver.mend();
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.deepEqual(resolver.health(), []);
    assert.ok(await askUdp(port, question()));
  }));
