/** The machine's network changes under a tunnel: the way out moves, its addresses stay. */

import { Lab } from "../lab.ts";
import { meet } from "../machines.ts";
import { MeshNode } from "../node.ts";
import { Pinger } from "../pinger.ts";
import type { Sample } from "./kind.ts";
import { devicePair, PORT } from "./pair.ts";
import { twoWires, type Wires } from "./wires.ts";

/** Milliseconds in which a node founds its mesh: a bound, not an expectation. */
const START = 20_000;
/** Answers after which traffic goes on. */
const ENOUGH = 50;

interface Moved extends Sample {
  /** Places at which `b` finds `a` afterwards, in text. */
  readonly places: string;
}

/** Milliseconds without an answer while the first wire loses its carrier and the route goes to the second. */
async function gapOf({ a, first, second }: Wires, inner: string): Promise<number> {
  const pinger = await Pinger.open(a, inner);
  await a.ip(`route add 10.0.0.2/32 via 10.1.0.2 dev ${second.device}`);
  await a.ip(`link set dev ${first.device} down`);
  await pinger.more(ENOUGH);
  return await pinger.close();
}

export async function routeMovesUnderDevices(): Promise<Moved> {
  await using lab = await Lab.open();
  const wires = await twoWires(lab);
  await devicePair([wires.a, wires.b]);
  const value = await gapOf(wires, "10.7.0.2");
  const { stdout } = await wires.b.run(["wg", "show", "wg0", "endpoints"]);
  return { value, places: stdout };
}

export async function routeMovesUnderNodes(): Promise<Moved> {
  await using lab = await Lab.open();
  const wires = await twoWires(lab);
  const there = MeshNode.start(wires.b, "--listen", String(PORT));
  const { self } = await there.statusWhen("founds a mesh", START, () => true);
  const { token } = await there.invite();
  const here = MeshNode.start(wires.a, "--join", `10.0.0.2:${PORT}`, "--token", token);
  await meet([there, here], 1);
  const value = await gapOf(wires, self.ip4);
  const { peers } = await there.status();
  return { value, places: peers.map(({ endpoint }) => endpoint).join(" ") };
}
