import assert from "node:assert/strict";
import { NodeLab } from "../sim/node_lab.ts";
import { toyCrypto } from "../sim/toy_crypto.ts";

const MINUTE = 60_000;

Deno.test("a directory stays the same object while no name and no address changes, and not longer", () => {
  const lab = new NodeLab(toyCrypto);
  const founder = lab.founder();
  const names = () => founder.node.directory()?.entries.map(({ name }) => name).sort();
  assert.deepEqual(names(), ["founder"]);
  const oslo = lab.joiner(founder, { name: "oslo" });
  assert.ok(lab.until(MINUTE, () => names()?.includes("oslo") ?? false));
  lab.run(MINUTE); // It is certified.
  const before = founder.node.directory();
  lab.run(10 * MINUTE);
  assert.equal(founder.node.directory(), before, "ten minutes in which nothing happens");

  const { id } = oslo;
  const renamed = founder.step((now, out) =>
    founder.node.approve(now, id, out, { name: "bergen" })
  );
  assert.ok(renamed.ok, JSON.stringify(renamed));
  assert.deepEqual(names(), ["bergen", "founder"], "at once");

  const gone = founder.step((now, out) => founder.node.revoke(now, id, {}, out));
  assert.ok(gone.ok, JSON.stringify(gone));
  assert.deepEqual(names(), ["founder"], "at once");
});

Deno.test("of two members that claim one name, the directory calls one by it and the other by its key, too", () => {
  const lab = new NodeLab(toyCrypto);
  const founder = lab.founder();
  for (let n = 0; n < 2; n++) lab.joiner(founder, { name: "oslo" });
  const entries = () => founder.node.directory()?.entries ?? [];
  assert.ok(lab.until(MINUTE, () => entries().length === 3));
  const names = entries().map(({ name }) => name);
  assert.equal(new Set(names).size, 3);
  assert.ok(names.includes("oslo"));
  lab.run(MINUTE); // The admin certifies both, the second by a name that is free.
  const { self, peers } = founder.node.status(founder.now());
  const told = [self, ...peers].map(({ name, ip4, ip6 }) => ({ name, ip4: ip4 || undefined, ip6 }));
  const byName = (a: { name: string }, b: { name: string }) => a.name < b.name ? -1 : 1;
  assert.deepEqual([...entries()].sort(byName), told.sort(byName), "what status says");
});
