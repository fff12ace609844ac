import assert from "node:assert/strict";
import { headOf, VERSION } from "../datagram.ts";
import { type Endpoint, formatEndpoint } from "../endpoint.ts";
import { RESERVE } from "../membership/sight.ts";
import { NUMBER_MAX } from "../membership/statement.ts";
import { NodeLab } from "../sim/node_lab.ts";
import { healthOf, promote, revoke, village } from "../sim/people.ts";
import { toyCrypto } from "../sim/toy_crypto.ts";
import { PLACES_MAX } from "../wire/other_versions.ts";

function place(n: number): Endpoint {
  return { address: Uint8Array.of(203, n, 113, 7), port: 51820, scope: 0 };
}

/** What a node of another version sends first. */
function helloOf(version: number): Uint8Array {
  const bytes = new Uint8Array(1232);
  bytes.set(headOf("hello"));
  bytes[1] = version;
  return bytes;
}

Deno.test("a machine that speaks another version is named in status with what to do, four of them at most", () => {
  const founder = new NodeLab(toyCrypto).founder();
  const named = () => {
    const { health } = founder.node.status(founder.now());
    return health.filter((line) => line.startsWith("a machine at"));
  };
  assert.deepEqual(named(), []);
  founder.inject(helloOf(0), place(1));
  assert.deepEqual(named(), [
    `a machine at ${formatEndpoint(place(1))} speaks version 1 of shoal's protocol, which this ` +
    "node does not: update shoal there",
  ]);
  for (let n = 0; n < 50; n++) founder.inject(helloOf(VERSION + 1), place(n));
  assert.equal(named().length, PLACES_MAX);
  assert.ok(
    named().every((line) =>
      line.endsWith(
        `speaks version ${VERSION + 1} of shoal's protocol, which ` +
          "this node does not: update shoal here",
      )
    ),
  );
  const { control } = founder.node.status(founder.now());
  assert.equal(control["other_version"], 51);
  assert.equal(control["foreign"], 0);
  founder.lab.run(11 * 60_000);
  assert.deepEqual(named(), []);
});

Deno.test("invariant 13: an admin that has numbers for people alone says that it certifies nobody by itself", () => {
  const lab = new NodeLab(toyCrypto);
  const founder = lab.founder();
  const line = /^numbers: this admin can sign \d+ more statements, and certifies nobody by itself/;
  const isSaid = () => founder.node.status(founder.now()).health.some((one) => line.test(one));
  assert.ok(!isSaid());
  founder.crash();
  assert.ok(founder.disk);
  const numbers = { ...founder.disk.numbers, own: NUMBER_MAX - RESERVE };
  founder.disk = { ...founder.disk, numbers };
  founder.start();
  assert.ok(isSaid());
});

Deno.test("whose signer's office ended is no matter of clocks, and is met again as soon as somebody approves it", () => {
  const { lab, founder, others: [lyon] } = village(toyCrypto, ["lyon"], 6);
  assert.ok(lyon);
  promote(founder, lyon);
  lab.run(10_000);
  founder.crash(); // so that the other admin certifies it
  const one = lab.joiner(lyon, { name: "one" });
  lab.run(30_000);
  founder.start();
  assert.ok(lab.until(60_000, () => founder.sees(one)?.state === "alive"));
  revoke(founder, lyon, 1);
  assert.ok(lab.until(60_000, () => founder.sees(one) === undefined));
  const health = healthOf(founder).join("\n");
  assert.match(health, /^the certificate.* of one do(es)? not count any more/m);
  assert.doesNotMatch(health, /clock/);
  assert.equal(founder.node.snapshot().members.length, 1, "its record is remembered");
  one.crash(); // so that it does not knock itself
  const approved = founder.step((now, out) => founder.node.approve(now, one.id, out));
  assert.ok(approved.ok);
  assert.ok(founder.sees(one), "where it was is known");
});
