import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
// @ts-types="./dns_packet.d.ts"
import * as packet from "npm:dns-packet@5.6.1";
import { QUESTION_MAX, Rcode, readQuery, writeAnswer, writeFault } from "./message.ts";
import { Zone } from "./zone.ts";

/** The longest name. */
const MESH = "m".repeat(63);
const ZONE = new Zone({
  mesh: MESH,
  self: "lyon",
  networks: [{ address: Uint8Array.of(100, 64, 0, 0), length: 10 }],
  entries: [{ name: "lyon", ip4: "100.64.0.7", ip6: "fd00::7" }],
});

interface Wish {
  readonly name?: string;
  readonly type?: string;
  readonly class?: string;
  readonly flags?: number;
  readonly edns?: { readonly size: number; readonly version?: number };
}

function question(
  { name = "oslo.lab.internal", type = "A", flags = 1 << 8, edns, ...rest }: Wish = {},
) {
  const option = edns &&
    {
      name: ".",
      type: "OPT",
      udpPayloadSize: edns.size,
      ednsVersion: edns.version ?? 0,
      options: [],
    };
  return packet.encode({
    id: 7,
    type: "query",
    flags,
    questions: [{ name, type, class: rest.class ?? "IN" }],
    additionals: option ? [option] : [],
  });
}

function queryOf(bytes: Uint8Array) {
  const reading = readQuery(bytes);
  assert.ok(reading?.kind === "query", JSON.stringify(reading));
  return reading.query;
}

Deno.test("a question keeps its number, the case of its name, and what EDNS says of its sender", () => {
  assert.deepEqual(queryOf(question({ name: "OsLo.Lab.Internal", type: "AAAA" })), {
    id: 7,
    name: "OsLo.Lab.Internal",
    type: "AAAA",
    isRecursionDesired: true,
    udpSize: undefined,
  });
  // RFC 6891, section 6.2.3: less than 512 is 512; more than fits one datagram is not used.
  for (const [said, used] of [[100, 512], [1_000, 1_000], [4_096, 1_232]] as const) {
    assert.equal(queryOf(question({ edns: { size: said } })).udpSize, used);
  }
  assert.equal(queryOf(question({ type: "UNKNOWN_65" })).type, "UNKNOWN_65");
});

Deno.test("what is no question of one name in the Internet's class is told by its code", () => {
  const faults: [string, Uint8Array, number][] = [
    ["an update (opcode 5)", question({ flags: 5 << 11 }), Rcode.notImplemented],
    ["the class CHAOS", question({ class: "CH" }), Rcode.refused],
    ["EDNS version 1", question({ edns: { size: 512, version: 1 } }), Rcode.badVersion],
    ["a name that is cut off", question().subarray(0, 20), Rcode.malformed],
  ];
  const two = question();
  two.writeUInt16BE(2, 4);
  faults.push(["two questions announced", two, Rcode.malformed]);
  const dotted = question({ name: "a.b" });
  // One label "a.b" instead of two.
  Buffer.from([3, 0x61, 0x2e, 0x62, 0]).copy(dotted, 12);
  faults.push(["a dot inside a label", dotted, Rcode.malformed]);
  for (const [what, bytes, rcode] of faults) {
    assert.deepEqual(readQuery(bytes), { kind: "faulty", id: 7, rcode }, what);
  }
  const response = question();
  response.writeUInt16BE(1 << 15, 2);
  assert.equal(readQuery(response), undefined, "a response is answered by nobody");
  assert.equal(readQuery(new Uint8Array(11)), undefined);
  assert.equal(readQuery(new Uint8Array(QUESTION_MAX + 1)), undefined);
});

Deno.test("an answer repeats the question as it came, and is authoritative unless it refuses", () => {
  const query = queryOf(question({ name: "OsLo.lab.internal", edns: { size: 1_232 } }));
  const record = { name: query.name, type: "A", ttl: 10, data: "100.64.0.7" } as const;
  const answer = { rcode: Rcode.done, answers: [record], authorities: [] };
  const read = packet.decode(Buffer.from(writeAnswer(query, answer, "udp")));
  assert.equal(read.id, 7);
  assert.equal(read.questions?.[0]?.name, "OsLo.lab.internal");
  assert.equal(read.answers?.[0]?.data, "100.64.0.7");
  assert.equal(read.additionals?.[0]?.type, "OPT");
  assert.equal((read.flags ?? 0) & (1 << 10 | 1 << 8), 1 << 10 | 1 << 8);
  const refused = { rcode: Rcode.refused, answers: [], authorities: [] };
  const no = packet.decode(Buffer.from(writeAnswer(query, refused, "udp")));
  assert.equal((no.flags ?? 0) & (1 << 10 | 15), Rcode.refused);
  const version = packet.decode(Buffer.from(writeFault(9, Rcode.badVersion)));
  assert.deepEqual([version.id, (version.flags ?? 0) & 15], [9, 0]);
  assert.equal(version.additionals?.[0]?.extendedRcode, 1);
});

Deno.test("RFC 2181, section 9: what does not fit a datagram is left out whole, and asked for over TCP", () => {
  const query = queryOf(question({ type: "ANY" }));
  const answers = Array.from({ length: 60 }, (_, i) => ({
    name: query.name,
    type: "A" as const,
    ttl: 10,
    data: `100.64.0.${i}`,
  }));
  const answer = { rcode: Rcode.done, answers, authorities: [] };
  const udp = writeAnswer(query, answer, "udp");
  assert.ok(udp.length <= 512);
  const read = packet.decode(Buffer.from(udp));
  assert.equal((read.flags ?? 0) & (1 << 9), 1 << 9);
  assert.deepEqual(read.answers, []);
  const tcp = packet.decode(Buffer.from(writeAnswer(query, answer, "tcp")));
  assert.equal(tcp.answers?.length, 60);
  assert.equal((tcp.flags ?? 0) & (1 << 9), 0);
});

Deno.test("whatever arrives is read without an exception, and what is read can be answered", () => {
  const whole = [
    question(),
    question({ name: "7.0.64.100.in-addr.arpa", type: "PTR" }),
    question({ name: `${"y".repeat(57)}.`.repeat(3) + `z.${MESH}.internal`, type: "MX" }),
    question({ edns: { size: 900 } }),
    question({ name: "x.".repeat(120) + "y" }),
  ];
  const mutated = fc.tuple(
    fc.constantFrom(...whole),
    fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { maxLength: 6 }),
    fc.constantFrom(0, 0, 0, 1, 9),
  ).map(([bytes, changes, cut]) => {
    const copy = Uint8Array.from(bytes).subarray(0, Math.max(12, bytes.length - cut));
    for (const [at, value] of changes) if (at < copy.length) copy[at] = value;
    return copy;
  });
  let answered = 0;
  const take = (bytes: Uint8Array) => {
    const reading = readQuery(bytes);
    if (reading?.kind !== "query") return;
    answered++;
    const { query } = reading;
    const written = writeAnswer(query, ZONE.answer(query), "udp");
    assert.ok(written.length <= (query.udpSize ?? 512));
    const { id, questions } = packet.decode(Buffer.from(written));
    assert.deepEqual([id, questions?.[0]?.type], [query.id, query.type]);
    assert.equal(questions?.[0]?.name, query.name === "" ? "." : query.name);
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), take), { numRuns: 2_000, seed: 1 });
  fc.assert(fc.property(mutated, take), { numRuns: 5_000, seed: 2 });
  assert.ok(answered > 500, `${answered}`);
});
