import assert from "node:assert/strict";
import { parseAddress } from "../../mesh/endpoint.ts";
import { networkOf } from "../../mesh/prefix.ts";
import { type Answer, Rcode } from "./message.ts";
import { Zone } from "./zone.ts";

function network(text: string, length: number) {
  const address = parseAddress(text);
  assert.ok(address);
  return networkOf({ address, length });
}

const zone = new Zone({
  mesh: "lab",
  self: "lyon",
  networks: [network("100.64.0.0", 10), network("fd00:1:2:0::", 64)],
  entries: [
    { name: "lyon", ip4: "100.64.0.1", ip6: "fd00:1:2::1" },
    { name: "oslo", ip4: "100.127.9.8", ip6: "fd00:1:2:0:a:b:c:d" },
    { name: "rome", ip4: undefined, ip6: "fd00:1:2::3" },
  ],
});

const ask = (name: string, type = "A") => zone.answer({ name, type });
const data = ({ answers }: Answer) => answers.map(({ data }) => data);
/** The zone whose "there is none" it is; RFC 2308: by its SOA among the authorities. */
const denied = ({ rcode, answers, authorities }: Answer) => {
  assert.deepEqual(answers, []);
  const [soa, ...more] = authorities;
  assert.deepEqual(more, []);
  assert.equal(soa?.type, "SOA");
  return `${rcode} ${soa?.name}`;
};

Deno.test("a member has its addresses, by whatever case it is asked for, and the answer keeps that case", () => {
  assert.deepEqual(data(ask("oslo.lab.internal")), ["100.127.9.8"]);
  assert.deepEqual(data(ask("oslo.lab.internal", "AAAA")), ["fd00:1:2:0:a:b:c:d"]);
  assert.deepEqual(data(ask("oslo.lab.internal", "ANY")).length, 2);
  const { answers } = ask("OSLO.Lab.Internal");
  assert.equal(answers[0]?.name, "OSLO.Lab.Internal");
});

Deno.test("RFC 2308: a name that is not there is NXDOMAIN, one without that record is not", () => {
  assert.equal(denied(ask("nobody.lab.internal")), `${Rcode.noSuchName} lab.internal`);
  assert.equal(denied(ask("www.oslo.lab.internal")), `${Rcode.noSuchName} lab.internal`);
  assert.equal(denied(ask("oslo.lab.internal", "MX")), `${Rcode.done} lab.internal`);
  assert.equal(denied(ask("rome.lab.internal", "A")), `${Rcode.done} lab.internal`);
  assert.equal(denied(ask("lab.internal", "A")), `${Rcode.done} lab.internal`);
});

Deno.test("the zone names its server and its negative TTL", () => {
  assert.deepEqual(data(ask("lab.internal", "NS")), ["lyon.lab.internal"]);
  const [soa] = ask("Lab.internal", "SOA").answers;
  assert.equal((soa?.data as { minimum: number }).minimum, 5);
  assert.equal(soa?.name, "Lab.internal");
});

Deno.test("an address has the name of its member, in both families", () => {
  assert.deepEqual(data(ask("8.9.127.100.in-addr.arpa", "PTR")), ["oslo.lab.internal"]);
  const ip6 = "d.0.0.0.c.0.0.0.b.0.0.0.a.0.0.0.0.0.0.0.2.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa";
  assert.deepEqual(data(ask(ip6, "PTR")), ["oslo.lab.internal"]);
  assert.deepEqual(data(ask(ip6.toUpperCase(), "PTR")), ["oslo.lab.internal"]);
});

Deno.test("of an address that nobody has there is none", () => {
  const ip6 = "0.0.0.0.2.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa";
  for (
    const [name, zone] of [
      ["9.9.127.100.in-addr.arpa", "127.100.in-addr.arpa"],
      ["0.8.9.127.100.in-addr.arpa", "127.100.in-addr.arpa"],
      ["08.9.127.100.in-addr.arpa", "127.100.in-addr.arpa"],
      ["oslo.127.100.in-addr.arpa", "127.100.in-addr.arpa"],
      [`1.2.3.4.5.6.7.8.9.a.b.c.d.e.f.0.${ip6}`, ip6],
      [`10.${ip6}`, ip6],
    ] as const
  ) {
    assert.equal(denied(ask(name, "PTR")), `${Rcode.noSuchName} ${zone}`, name);
  }
});

Deno.test("RFC 8020: a name above an address that somebody has is there, one above none is not", () => {
  const ip4 = "127.100.in-addr.arpa";
  assert.equal(denied(ask(`9.${ip4}`, "PTR")), `${Rcode.done} ${ip4}`);
  assert.equal(denied(ask(`10.${ip4}`, "PTR")), `${Rcode.noSuchName} ${ip4}`);
  const ip6 = "0.0.0.0.2.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa";
  assert.equal(denied(ask(`0.0.0.${ip6}`, "PTR")), `${Rcode.done} ${ip6}`);
  assert.equal(denied(ask(`a.0.0.0.${ip6}`, "PTR")), `${Rcode.done} ${ip6}`);
  assert.equal(denied(ask(`b.0.0.0.${ip6}`, "PTR")), `${Rcode.noSuchName} ${ip6}`);
  assert.equal(denied(ask(`f.${ip6}`, "PTR")), `${Rcode.noSuchName} ${ip6}`);
});

Deno.test("the apex of a reverse zone has NS and SOA, as that of the names", () => {
  assert.deepEqual(data(ask("127.100.in-addr.arpa", "NS")), ["lyon.lab.internal"]);
  assert.equal(ask("127.100.in-addr.arpa", "SOA").answers.length, 1);
  assert.equal(denied(ask("127.100.in-addr.arpa", "PTR")), `${Rcode.done} 127.100.in-addr.arpa`);
});

Deno.test("RFC 4343: letters of ASCII alone have a case", () => {
  const kelvin = new Zone({
    mesh: "lab",
    self: "k",
    networks: [],
    entries: [{ name: "k", ip4: "100.64.0.1", ip6: "fd00::1" }],
  });
  assert.deepEqual(data(kelvin.answer({ name: "K.LAB.internal", type: "A" })), ["100.64.0.1"]);
  const sign = { name: "\u212a.lab.internal", type: "A" };
  assert.equal(denied(kelvin.answer(sign)), `${Rcode.noSuchName} lab.internal`);
});

Deno.test("RFC 5936: nobody gets the whole zone", () => {
  for (const name of ["lab.internal", "127.100.in-addr.arpa", "oslo.lab.internal"]) {
    for (const type of ["AXFR", "IXFR"]) assert.equal(ask(name, type).rcode, Rcode.refused);
  }
});

Deno.test("what belongs to others is refused, however near it is", () => {
  const others = [
    "example.org",
    "internal",
    "",
    "other.internal",
    "xlab.internal",
    "oslo.lab.internal.example.org",
    "1.0.128.100.in-addr.arpa",
    "1.0.63.100.in-addr.arpa",
    "100.in-addr.arpa",
    "in-addr.arpa",
    "1.1.256.100.in-addr.arpa",
    "x.64.100.in-addr.arpa.",
    "1.0.0.0.2.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa",
    "ip6.arpa",
  ];
  for (const name of others) {
    for (const type of ["A", "PTR", "SOA", "ANY"]) {
      assert.deepEqual(
        ask(name, type),
        { rcode: Rcode.refused, answers: [], authorities: [] },
        name,
      );
    }
  }
});

Deno.test("nobody is found by a name that machines look for by themselves, whoever is called so", () => {
  const names = ["wpad", "isatap", "localhost", "wpad-2"];
  const zone = new Zone({
    mesh: "lab",
    self: "lyon",
    networks: [network("100.64.0.0", 10)],
    entries: ["lyon", ...names].map((name, i) => ({
      name,
      ip4: `100.64.0.${i}`,
      ip6: `fd00:1:2::${i}`,
    })),
  });
  const ask = (name: string, type: string) => zone.answer({ name: `${name}.lab.internal`, type });
  for (const name of ["wpad", "WPAD", "isatap", "localhost"]) {
    for (const type of ["A", "AAAA", "ANY", "TXT"]) {
      assert.equal(denied(ask(name, type)), `${Rcode.noSuchName} lab.internal`, name);
    }
  }
  assert.deepEqual(data(ask("wpad-2", "A")), ["100.64.0.4"]);
  const { answers } = zone.answer({ name: "1.0.64.100.in-addr.arpa", type: "PTR" });
  assert.deepEqual(answers.map(({ data }) => data), ["wpad.lab.internal"], "its address is named");
});

Deno.test("of a mesh whose domain is others' no name is answered, nor whose an address is", () => {
  const google = new Zone({
    mesh: "google",
    self: "metadata",
    networks: [network("100.64.0.0", 10)],
    entries: [{ name: "metadata", ip4: "100.64.0.1", ip6: "fd00:1:2::1" }],
  });
  for (const name of ["metadata.google.internal", "google.internal", "1.0.64.100.in-addr.arpa"]) {
    for (const type of ["A", "AAAA", "SOA", "PTR", "ANY"]) {
      const answer = google.answer({ name, type });
      assert.deepEqual(answer, { rcode: Rcode.refused, answers: [], authorities: [] }, name);
    }
  }
});
