/** How long a new machine waits: from starting the second node of a mesh to the first ping it gets answered. */

import { Lab } from "../lxc/lab.ts";
import { MeshNode } from "../lxc/node.ts";
import { Progress } from "../lxc/progress.ts";
import { undisturbed, unrest } from "./cpu.ts";
import { describeMachine } from "./machine.ts";
import type { Figure, Result } from "./result.ts";

const PORT = 51820;

const FIGURES: readonly Figure[] = [
  {
    key: "join",
    title: "second node started → first ping answered",
    unit: "s",
    better: "lower",
    goal: { of: "value", bound: 3 },
  },
  { key: "start", title: "first node started → status answered", unit: "s", better: "lower" },
];

const METHOD = [
  "Two network namespaces joined by a veth pair, every repetition with new identities. The first node makes a mesh and an " +
  "invite; then the clock starts, `./run node --join … --token …` is started in the second namespace, and a loop there " +
  "runs the kernel's `ping` towards the first node's mesh address until it is answered. *Status*: from starting the " +
  "first node until `./run shoal status` answers, asked again as soon as it failed.",
];

export async function benchMesh(
  options: { readonly repetitions: number },
  command: string,
): Promise<Result> {
  const raw = [];
  const progress = new Progress(options.repetitions);
  for (let repetition = 1; repetition <= options.repetitions; repetition++) {
    progress.step(`repetition ${repetition}`);
    raw.push(await undisturbed(measure));
  }
  progress.end();
  const machine = await describeMachine();
  return {
    v: 1,
    name: "mesh",
    title: "Time until a new node's first ping",
    method: [...unrest(raw), ...METHOD],
    command,
    machine,
    parameters: { repetitions: options.repetitions },
    figures: FIGURES,
    series: [{
      contender: "shoal",
      version: machine.commit,
      values: {
        join: raw.map(({ join_ms }) => join_ms / 1000),
        start: raw.map(({ start_ms }) => start_ms / 1000),
      },
    }],
    raw,
  };
}

async function measure(): Promise<{ start_ms: number; join_ms: number }> {
  await using lab = await Lab.open();
  const [a, b] = [await lab.host("a"), await lab.host("b")];
  await lab.link(a, b, { a: { addresses: ["10.0.0.1/24"] }, b: { addresses: ["10.0.0.2/24"] } });
  const started = performance.now();
  const seed = MeshNode.start(a, "--listen", String(PORT));
  const { self } = await seed.statusWhen("made a mesh", 20_000, () => true);
  const start_ms = performance.now() - started;
  const { token } = await seed.invite();
  const begin = performance.now();
  const joiner = MeshNode.start(b, "--join", `10.0.0.1:${PORT}`, "--token", token);
  const loop = 'until ping -c 1 -W 0.5 "$0" > /dev/null 2>&1; do sleep 0.01; done';
  try {
    await b.run(["sh", "-c", loop, self.ip4], { timeout: 30_000 });
  } catch (error) {
    throw new Error(`no ping was answered; the joiner said last:\n${joiner.said}`, {
      cause: error,
    });
  }
  return { start_ms, join_ms: performance.now() - begin };
}
