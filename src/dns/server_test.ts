/** The resolver over real sockets of loopback, which stands for a mesh of 127.0.0.0/8. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import * as net from "node:net";
import { Buffer } from "node:buffer";
import type { Directory } from "../../mesh/report/directory.ts";
// @ts-types="./dns_packet.d.ts"
import * as packet from "npm:dns-packet@5.6.1";
import { Resolver, type ResolverNews } from "./server.ts";

/** Members that ask: addresses below 127.0. */
const ASKERS = ["0.1", "0.2", "0.7", ...Array.from({ length: 10 }, (_, i) => `1.${1 + i}`)].map(
  (host, i) => ({ name: `asker${i}`, ip4: `127.0.${host}`, ip6: `fd00::a${i}` }),
);

const MESH: Directory = {
  mesh: "lab",
  self: "lyon",
  networks: [{ address: Uint8Array.of(127, 0, 0, 0), length: 8 }],
  entries: [{ name: "oslo", ip4: "127.0.0.9", ip6: "fd00::9" }, ...ASKERS],
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
  readonly news: ResolverNews[];
  directory: Directory | undefined;
  isMember: boolean;
  boot: number;
  /** Raised instead of saying what the directory is. */
  fault: Error | undefined;
}

async function serving(body: (world: World) => Promise<void>): Promise<void> {
  const port = await freePort();
  const world: Omit<World, "resolver"> = {
    directory: MESH,
    isMember: true,
    boot: 1_000,
    port,
    news: [],
    fault: undefined,
  };
  const resolver = new Resolver({
    directory: () => {
      if (world.fault) throw world.fault;
      return world.directory;
    },
    clock: () => ({ boot: world.boot, wall: 0 }),
    isMember: () => world.isMember,
    onNews: (news) => world.news.push(news),
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

/** Connections from these addresses that say nothing, while something is tried. */
async function crowd(port: number, from: string[], body: () => Promise<void>): Promise<void> {
  const all = from.map((localAddress) => {
    const one = net.createConnection({ port, host: "127.0.0.1", localAddress });
    return one.on("error", () => {});
  });
  await new Promise((resolve) => setTimeout(resolve, 300));
  try {
    await body();
  } finally {
    for (const one of all) one.destroy();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function converse(port: number, ...chunks: Uint8Array[]): Promise<Buffer> {
  return converseFrom("127.0.0.1", port, ...chunks);
}

/** Everything that comes before the other side hangs up, or is silent for 300 ms. */
function converseFrom(
  localAddress: string,
  port: number,
  ...chunks: Uint8Array[]
): Promise<Buffer> {
  return new Promise((resolve) => {
    let all = Buffer.alloc(0);
    const socket = net.createConnection({ port, host: "127.0.0.1", localAddress }, () => {
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
    assert.deepEqual(resolver.health("shoal0"), []);
  }));

Deno.test("who asks from an address that no member has, though it is of the mesh's network, or a node that knows none, gets nothing", () =>
  serving(async (world) => {
    const { port, resolver } = world;
    assert.equal(await askUdp(port, question(), "127.0.0.77"), undefined);
    assert.equal((await converseFrom("127.0.0.77", port, framed(question()))).length, 0);
    assert.ok(await askUdp(port, question()));
    world.directory = undefined;
    world.boot += 1_000;
    assert.equal(await askUdp(port, question()), undefined);
    assert.equal((await converse(port, framed(question()))).length, 0);
    assert.equal(resolver.refused.strangers, 4);
    assert.equal(resolver.answered, 1);
  }));

Deno.test("strangers hold no connections: members come in however many of them try", () =>
  serving(async (world) => {
    const { port, resolver } = world;
    await crowd(port, Array(40).fill("127.0.0.77"), async () => {
      assert.equal(resolver.refused.strangers, 40);
      assert.notEqual((await converseFrom("127.0.0.7", port, framed(question()))).length, 0);
    });
  }));

Deno.test("a member that is renamed is answered so at once, and in a mesh of 10,000 within a second", () =>
  serving(async (world) => {
    const { port } = world;
    const called = (name: string, others = 0) => ({
      ...MESH,
      entries: [
        { name, ip4: "127.0.0.9", ip6: "fd00::9" },
        ...ASKERS,
        ...Array.from({ length: others }, (_, i) => ({
          name: `m${i}`,
          ip4: undefined,
          ip6: `fd00::${i.toString(16)}`,
        })),
      ],
    });
    const others = 9_999 - ASKERS.length;
    const found = async (name: string) =>
      (await askUdp(port, question(`${name}.lab.internal`)))?.answers?.length;
    for (const name of ["rome", "bonn", "nice"]) {
      world.directory = called(name);
      world.boot += 2;
      assert.deepEqual([await found(name), await found("oslo")], [1, 0]);
    }
    world.directory = called("rome", others);
    world.boot += 2;
    assert.equal(await found("rome"), 1);
    world.directory = called("bonn", others);
    world.boot += 999;
    assert.equal(await found("bonn"), 0);
    world.boot += 1;
    assert.deepEqual([await found("bonn"), await found("rome")], [1, 0]);
  }));

Deno.test("one source has 200 answers at once and 100 a second; another has its own", () =>
  serving(async (world) => {
    const { port, resolver } = world;
    const all = Buffer.concat(Array.from({ length: 250 }, () => framed(question())));
    await converseFrom("127.0.0.2", port, all);
    assert.equal(resolver.answered, 200);
    assert.equal(resolver.refused.rate, 1, "who asks too much over TCP is cut off");
    assert.equal(await askUdp(port, question(), "127.0.0.2"), undefined);
    assert.ok(await askUdp(port, question(), "127.0.0.7"));
    world.boot += 10;
    assert.ok(await askUdp(port, question(), "127.0.0.2"));
  }));

Deno.test("nonsense and a message that is too long are counted and cost nobody an answer", () =>
  serving(async ({ port, resolver }) => {
    assert.equal(await askUdp(port, new Uint8Array(3)), undefined);
    assert.ok(await askUdp(port, question().subarray(0, 20)), "a code");
    assert.equal((await converse(port, Buffer.from([0xff, 0xff, 1]))).length, 0);
    assert.equal((await converse(port, Buffer.from([0, 0]))).length, 0, "a message of no bytes");
    assert.equal(resolver.refused.nonsense, 3);
    assert.ok(await askUdp(port, question()));
  }));

Deno.test("one source has 4 connections, and all together have 32", () =>
  serving(async ({ port, resolver }) => {
    await crowd(port, Array(10).fill("127.0.0.2"), async () => {
      assert.equal(resolver.refused.connections, 6);
      assert.notEqual((await converseFrom("127.0.0.7", port, framed(question()))).length, 0);
    });
    const many = Array.from({ length: 40 }, (_, i) => `127.0.1.${1 + (i >> 2)}`);
    await crowd(port, many, async () => {
      assert.equal(resolver.refused.connections, 6 + 8);
      assert.equal((await converseFrom("127.0.0.2", port, framed(question()))).length, 0);
      assert.ok(await askUdp(port, question()));
    });
    assert.notEqual((await converse(port, framed(question()))).length, 0, "they went");
  }));

Deno.test("this machine itself, which is one source whoever asks, has 16 connections and twenty times the questions", () =>
  serving(async ({ port, resolver }) => {
    await crowd(port, Array(20).fill("127.0.0.1"), async () => {
      assert.equal(resolver.refused.connections, 4);
      assert.notEqual((await converseFrom("127.0.0.7", port, framed(question()))).length, 0);
    });
    const all = Buffer.concat(Array.from({ length: 250 }, () => framed(question())));
    await converse(port, all);
    assert.equal(resolver.refused.rate, 0);
  }));

Deno.test("an exception over a question is told and counted, and ends nothing", () =>
  serving(async (world) => {
    const { port, resolver } = world;
    world.fault = new Error("a defect");
    world.boot += 1_000;
    assert.equal(await askUdp(port, question()), undefined);
    assert.equal(resolver.refused.faults, 1);
    assert.deepEqual(world.news.at(-1), { kind: "namesFault", cause: "Error: a defect" });
    world.fault = undefined;
    assert.ok(await askUdp(port, question()));
  }));

Deno.test("it says once, when UDP and TCP answer, where the names are", () =>
  serving(async ({ resolver, news }) => {
    assert.deepEqual(resolver.servers, ["127.0.0.1"]);
    assert.deepEqual(news, [{ kind: "namesAnswered", zone: "lab.internal", address: "127.0.0.1" }]);
    resolver.serve(["127.0.0.1", "127.0.0.2"]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.deepEqual(resolver.servers, ["127.0.0.1", "127.0.0.2"]);
    resolver.serve(["127.0.0.2"]);
    assert.deepEqual(resolver.servers, ["127.0.0.2"]);
    assert.equal(news.length, 1);
  }));

Deno.test("it names the IPv4 address where it has one, though the socket of IPv6 may be there first", () =>
  serving(async ({ port }) => {
    const news: object[] = [];
    const both = new Resolver({
      directory: () => MESH,
      clock: () => ({ boot: 1_000, wall: 0 }),
      isMember: () => true,
      onNews: (one) => news.push(one),
    }, port);
    both.serve(["::1", "127.0.0.3"]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.deepEqual(both.servers, ["127.0.0.3", "::1"]);
    assert.deepEqual(news, [{ kind: "namesAnswered", zone: "lab.internal", address: "127.0.0.3" }]);
    both.close();
  }));

Deno.test("it says nothing of names before the node is a member, and then at the next look", () =>
  serving(async (world) => {
    const { resolver, news } = world;
    news.length = 0;
    world.isMember = false;
    const early = new Resolver({
      directory: () => MESH,
      clock: () => ({ boot: 1_000, wall: 0 }),
      isMember: () => world.isMember,
      onNews: (one) => news.push(one),
    }, world.port);
    early.serve(["127.0.0.3"]);
    await new Promise((resolve) => setTimeout(resolve, 50));
    early.mend();
    assert.deepEqual([early.servers, news], [["127.0.0.3"], []]);
    world.isMember = true;
    for (const one of [early, early, resolver]) one.mend();
    assert.deepEqual(news, [{ kind: "namesAnswered", zone: "lab.internal", address: "127.0.0.3" }]);
    early.close();
  }));

Deno.test("where the port is taken the health says so, and it is had as soon as it is free", () =>
  serving(async (world) => {
    const { resolver, port } = world;
    const rival = createSocket("udp4");
    resolver.serve([]);
    await new Promise((resolve) => setTimeout(resolve, 50));
    // As dnsmasq does where nobody told it to bind the interfaces one by one.
    await new Promise<void>((resolve) => rival.bind(port, "0.0.0.0", resolve));
    resolver.serve(["127.0.0.1"]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.match(
      resolver.health("shoal0").join(),
      /names are not answered at 127\.0\.0\.1.*taken \(EADDRINUSE\).*except-interface=shoal0.*--no-dns/,
    );
    await new Promise<void>((resolve) => rival.close(() => resolve()));
    world.boot += 9_999;
    resolver.mend();
    assert.equal(resolver.health("shoal0").length, 1);
    world.boot += 1;
    resolver.mend();
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.deepEqual(resolver.health("shoal0"), []);
    assert.deepEqual(resolver.servers, ["127.0.0.1"]);
    assert.ok(await askUdp(port, question()));
  }));

Deno.test("a mesh whose domain is others' has no servers of names, and the health says why once", () =>
  serving(async (world) => {
    const { resolver, port, news } = world;
    world.directory = { ...MESH, mesh: "google" };
    world.boot += 1_000;
    assert.deepEqual(resolver.servers, []);
    assert.deepEqual(resolver.report().servers, []);
    const [line = "", ...more] = resolver.health("shoal0");
    assert.match(line, /^names are not answered: .* google\.internal .* others'/);
    assert.deepEqual(more, []);
    const answer = await askUdp(port, question("oslo.google.internal"));
    assert.equal((answer as { rcode?: string }).rcode, "REFUSED");
    assert.deepEqual(news.map(({ kind }) => kind), ["namesAnswered"], "of the mesh before");
  }));

Deno.test("where only TCP is taken nothing is answered: a long answer would have nowhere to be asked for", () =>
  serving(async ({ resolver, port }) => {
    const rival = net.createServer();
    await new Promise<void>((resolve) => rival.listen(port, "127.0.0.2", resolve));
    resolver.serve(["127.0.0.1", "127.0.0.2"]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.deepEqual(resolver.servers, ["127.0.0.1"]);
    const [line = "", ...more] = resolver.health("shoal0");
    assert.match(line, /^names are not answered at 127\.0\.0\.2: .*EADDRINUSE/);
    assert.deepEqual(more, []);
    await new Promise<void>((resolve) => rival.close(() => resolve()));
  }));
