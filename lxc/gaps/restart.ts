/** A member starts anew while another one, that is not the founder, keeps sending to it (issue 8, kind 2). */

import { Machines, meet } from "../machines.ts";
import { MeshNode } from "../node.ts";
import { Pinger } from "../pinger.ts";
import type { Sample } from "./kind.ts";

/** Milliseconds for which the machine is without a node. */
const PAUSE = 1_000;
const START = 10_000;
/** Answers after which traffic goes on. */
const ENOUGH = 50;

/**
 * Milliseconds without an answer beyond the restart itself, which is from the signal until the new node answers a
 * question of `status`; 0 when traffic went on before that.
 */
export async function restartAfter(signal: "SIGKILL" | "SIGTERM"): Promise<Sample> {
  await using machines = await Machines.open();
  const lyon = await machines.found("lyon");
  const [oslo, rome] = await machines.join(lyon, "oslo", "rome");
  if (oslo === undefined || rome === undefined) throw new TypeError("two were to join");
  await meet([lyon, oslo, rome], 2);
  const { self } = await oslo.status();
  const pinger = await Pinger.open(rome.host, self.ip4);
  const down = Date.now();
  await oslo.kill(signal);
  await new Promise((resolve) => setTimeout(resolve, PAUSE));
  const again = MeshNode.start(oslo.host);
  await again.statusWhen("is there again", START, () => true);
  const restart = Date.now() - down;
  await pinger.more(ENOUGH);
  const silence = await pinger.close();
  const note = `${Math.round(silence)} ms without an answer, of which the restart took ${restart}`;
  return { value: Math.max(0, silence - restart), note };
}
