import assert from "node:assert/strict";
import { nobleCrypto } from "./noble_crypto.ts";
import { NodeLab } from "./sim/node_lab.ts";

Deno.test("a second node joins with a token in a couple of round trips, and both see each other", () => {
  const lab = new NodeLab(nobleCrypto);
  const founder = lab.founder();
  const joiner = lab.joiner(founder, { name: "second" });
  const isMutual = () =>
    founder.sees(joiner)?.state === "alive" && joiner.sees(founder)?.state === "alive";
  assert.ok(lab.until(50, isMutual), "not within 50 ms at 1-2 ms of delay");
  assert.equal(founder.sees(joiner)?.name, "second");
  assert.equal(joiner.sees(founder)?.name, "founder");
  assert.equal(founder.sees(joiner)?.endpoint, "192.0.2.2:51820");
});

Deno.test("the first packet crosses the tunnel right after the join", () => {
  const lab = new NodeLab(nobleCrypto);
  const founder = lab.founder();
  const joiner = lab.joiner(founder);
  lab.run(50);
  joiner.say(founder);
  assert.ok(lab.until(100, () => founder.delivered.length === 1));
  founder.say(joiner);
  assert.ok(lab.until(100, () => joiner.delivered.length === 1));
  assert.equal(joiner.sees(founder)?.path, "direct");
  assert.ok((joiner.sees(founder)?.tx_bytes ?? 0) > 0);
});
