/** Nodes with several workers each: many streams between two of them go by lanes, and every byte arrives. */
import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import type { StatusDocument } from "../src/status.ts";
import { exchange } from "./exchange.ts";
import { Machines, meet } from "./machines.ts";
import { MeshNode } from "./node.ts";
import { missingRight } from "./right.ts";

const BYTES = 4_000_000;
const STREAMS = 8;
/** Milliseconds: a bound. */
const SOON = 20_000;

const lanesAre = (lanes: number) => ({ peers }: StatusDocument) => peers[0]?.lanes === lanes;

testUnless(
  { right: await missingRight() },
  "lanes: streams of two nodes are spread over sessions, survive a restart with fewer, and go by one without",
  async () => {
    await using machines = await Machines.open();
    const lyon = await machines.found("lyon", "--workers", "3");
    const [oslo] = await machines.join(lyon, "oslo");
    assert.ok(oslo !== undefined);
    const restart = async (node: MeshNode, ...options: string[]) => {
      await node.kill("SIGKILL");
      const again = MeshNode.start(node.host, ...options);
      await meet([lyon, again], 1);
      return again;
    };
    const streams = async (node: MeshNode) => {
      const { self: { ip4 } } = await node.status();
      const all = Array.from(
        { length: STREAMS },
        (_, i) => exchange(lyon.host, node.host, ip4, BYTES, { port: 6000 + i }),
      );
      await Promise.all(all);
    };
    await streams(oslo);
    const single = await lyon.status();
    assert.deepEqual([single.peers[0]?.lanes, single.peers[0]?.lanes_max], [1, 1]);

    let other = await restart(oslo, "--workers", "2");
    for (const node of [lyon, other]) {
      assert.equal((await node.status()).peers[0]?.lanes_max, 2);
    }
    await streams(other);
    for (const node of [lyon, other]) await node.statusWhen("has two lanes", SOON, lanesAre(2));
    await streams(other);

    other = await restart(other, "--workers", "3");
    await streams(other);
    for (const node of [lyon, other]) await node.statusWhen("has three lanes", SOON, lanesAre(3));

    other = await restart(other, "--workers", "3", "--without", "lanes");
    await streams(other);
    for (const node of [lyon, other]) {
      const { peers } = await node.status();
      assert.deepEqual([peers[0]?.lanes, peers[0]?.lanes_max], [1, 1]);
    }
  },
);
