/** Real nodes and devices that receive by io_uring: the same packets, and status says which way they come. */
import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import { exchange } from "./exchange.ts";
import { Machines, meet } from "./machines.ts";
import { MeshNode } from "./node.ts";
import { missingRight } from "./right.ts";

const right = await missingRight();
const BYTES = 8_000_000;
const URING = ["--io", "uring"];

/** Whether this kernel grants it, by its own word. */
async function isGranted(node: MeshNode): Promise<boolean> {
  const { io, io_error } = (await node.status()).dataplane;
  assert.equal(io, io_error === "" ? "uring" : "poll");
  return io_error === "";
}

testUnless(
  { right },
  "T29: nodes that receive by io_uring carry checked streams with each other and with one that polls",
  async () => {
    await using machines = await Machines.open();
    const lyon = await machines.found("lyon", ...URING);
    const { token } = await lyon.invite(2);
    const started = async (name: string, ...options: string[]) => {
      const { host } = await machines.add(name);
      return MeshNode.start(host, "--token", token, ...options);
    };
    const oslo = await started("oslo", ...URING, "--workers", "2");
    const rome = await started("rome");
    await meet([lyon, oslo, rome], 2);
    const granted = await isGranted(lyon);
    assert.equal(await isGranted(oslo), granted);
    assert.equal((await rome.status()).dataplane.io, "poll");
    const stream = async (from: MeshNode, to: MeshNode) =>
      await exchange(from.host, to.host, (await to.status()).self.ip4, BYTES);
    await Promise.all([stream(lyon, oslo), stream(oslo, rome), stream(rome, lyon)]);
    // A restart: sessions are new, and the ring of the program that was killed is gone with it.
    await oslo.kill("SIGKILL");
    const again = MeshNode.start(oslo.host, ...URING);
    await meet([lyon, again, rome], 2);
    await Promise.all([stream(lyon, again), stream(again, rome)]);
  },
);
