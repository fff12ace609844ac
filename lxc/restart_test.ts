/** A member starts anew while another one, that is not the founder, keeps sending to it (issue 8, kind 2). */
import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import { Machines, meet } from "./machines.ts";
import { MeshNode } from "./node.ts";
import { Pinger } from "./pinger.ts";
import { missingRight } from "./right.ts";

/**
 * Milliseconds beyond the restart itself that are waited for; R12 alone would take 15,000. The bound of a second is held
 * in the simulator (mesh/restart_test.ts); here the processors may be anybody's, and what it took is printed.
 */
const GAP = 6_000;

const right = await missingRight();

for (const signal of ["SIGKILL", "SIGTERM"] as const) {
  testUnless(
    { right },
    `R38: a member that starts anew after ${signal} is reached again at once`,
    async () => {
      await using machines = await Machines.open();
      const lyon = await machines.found("lyon");
      const [oslo, rome] = await machines.join(lyon, "oslo", "rome") as [MeshNode, MeshNode];
      await meet([lyon, oslo, rome], 2);
      const { self } = await oslo.status();
      const pinger = await Pinger.open(rome.host, self.ip4);
      const down = Date.now();
      await oslo.kill(signal);
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      const again = MeshNode.start(oslo.host);
      await again.statusWhen("is there again", 10_000, () => true);
      const restart = Date.now() - down;
      const before = pinger.count;
      while (pinger.count < before + 10 && pinger.silence < 20_000) {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      const gap = await pinger.close() - restart;
      console.log(`${signal}: ${Math.round(gap)} ms beyond the restart of ${restart} ms`);
      assert.ok(gap <= GAP, `${gap} ms without an answer beyond the restart of ${restart} ms`);
    },
  );
}
