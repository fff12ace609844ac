/** Nodes whose packets several threads move: every byte arrives, wherever its peer's worker is. */
import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import { exchange } from "./exchange.ts";
import { Machines, meet } from "./machines.ts";
import { MeshNode } from "./node.ts";
import { missingRight } from "./right.ts";

const right = await missingRight();
const BYTES = 8_000_000;

testUnless(
  { right },
  "workers: a node with three carries checked streams with members of each of them at once",
  async () => {
    await using machines = await Machines.open();
    const lyon = await machines.found("lyon", "--workers", "3");
    const others = await machines.join(lyon, "oslo", "rome", "bern");
    const { dataplane } = await lyon.status();
    assert.equal(dataplane.workers, 3);
    assert.equal(dataplane.queues, 3);
    // Root outside of any user namespace may load programs; elsewhere they hand packets on.
    assert.equal(dataplane.steered, dataplane.steer_error === "");
    const all = async (node: MeshNode) => {
      const streams = others.map(async (other) => {
        const { self: { ip4 } } = await other.status();
        return await exchange(node.host, other.host, ip4, BYTES);
      });
      return await Promise.all(streams);
    };
    await all(lyon);
    // A restart gives the members other workers, and their sessions other indices.
    await lyon.kill("SIGKILL");
    const again = MeshNode.start(lyon.host, "--workers", "2");
    await meet([again, ...others], 3);
    await all(again);
    const { workers, drops } = (await again.status()).dataplane;
    assert.equal(workers, 2);
    assert.equal(drops["handoff_full"], 0);
  },
);
