/**
 * What a member without scruple costs a node that it floods with forged claims about another member: each a datagram of
 * its own, sealed with its good key.
 */

import { loadSodium } from "../ffi/sodium.ts";
import { Progress } from "../lxc/progress.ts";
import { Insider } from "../mesh/sim/insider.ts";
import { type Computer, NodeLab } from "../mesh/sim/node_lab.ts";
import { tagOf } from "../mesh/swim/membership.ts";
import { type Claim, INCARNATION_MAX } from "../mesh/swim/messages.ts";
import { type Undisturbed, undisturbed, unrest } from "./cpu.ts";
import { describeMachine } from "./machine.ts";
import type { Figure, Result } from "./result.ts";

const RATE = 3_000;
/** Claims between two steps of the simulated clock, which takes what is due meanwhile. */
const BATCH = 30;
/** Milliseconds between two probes of swim: a subject may use one number more in each. */
const PERIOD = 1_000;

const FIGURES: readonly Figure[] = [
  {
    key: "witness",
    title: `CPU of a node that hears ${RATE} claims a second about another`,
    unit: "% of a core",
    better: "lower",
    goal: { of: "value", bound: 25 },
  },
  {
    key: "victim",
    title: `CPU of a node that hears ${RATE} claims a second about itself`,
    unit: "% of a core",
    better: "lower",
    goal: { of: "value", bound: 25 },
  },
  {
    key: "numbers",
    title: "numbers that the victim uses after the first",
    unit: "a period",
    better: "lower",
    goal: { of: "value", bound: 1 },
  },
  {
    key: "dead",
    title: "members that hold the victim dead or gone at the end",
    unit: "members",
    better: "lower",
    goal: { of: "value", bound: 0 },
  },
];

const METHOD = [
  "Four whole nodes of the simulator with the cryptography of production; a fifth member, whose keys are good, sends. The " +
  "claims say in turn that the victim is suspect, dead, gone and alive, at its own number, at higher ones and at the " +
  "greatest; every fifth brings a false signature. The sender's work is done beforehand. *CPU* is the time in which the " +
  "flooded node takes in the datagrams, in one thread, divided by the simulated time; that of its timers is not in it. " +
  "`mesh/sim/liar_test.ts` asserts the numbers over ten minutes.",
];

interface Measured {
  readonly witness: number;
  readonly victim: number;
  readonly numbers: number;
  readonly dead: number;
}

export async function benchFlood(
  options: { readonly repetitions: number; readonly seconds: number },
  command: string,
): Promise<Result> {
  const { repetitions, seconds } = options;
  const raw: Undisturbed<Measured>[] = [];
  const progress = new Progress(repetitions);
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    progress.step(`repetition ${repetition}`);
    raw.push(await undisturbed(() => Promise.resolve(flood(repetition, seconds))));
  }
  progress.end();
  const machine = await describeMachine();
  const values = (key: keyof Measured) => raw.map((one) => one[key]);
  return {
    v: 1,
    name: "flood",
    title: "A flood of forged claims",
    method: [...unrest(raw), ...METHOD],
    command,
    machine,
    parameters: { repetitions, simulated_seconds: seconds, rate: RATE },
    figures: FIGURES,
    series: [{
      contender: "shoal",
      version: machine.commit,
      values: {
        witness: values("witness"),
        victim: values("victim"),
        numbers: values("numbers"),
        dead: values("dead"),
      },
    }],
    raw,
  };
}

function flood(seed: number, seconds: number): Measured {
  const lab = new NodeLab(loadSodium(), seed);
  const founder = lab.founder();
  const [sender, victim, witness] = ["sender", "victim", "witness"].map((name) =>
    lab.joiner(founder, { name })
  ) as [Computer, Computer, Computer];
  const all = [founder, victim, witness];
  const isWhole = () =>
    [...all, sender].every((one) => one.node.status(one.now()).peers.length === 3);
  if (!lab.until(60_000, isWhole)) throw new Error("the mesh did not come together");
  lab.run(10_000);
  const insider = new Insider(sender);
  // Each is heard from where the sender is: sealed for one node, given to it alone.
  const spent = { witness: 0, victim: 0 };
  const before = incarnationOf(victim);
  for (let sent = 0; sent < RATE * seconds; sent += BATCH) {
    const number = incarnationOf(victim);
    for (const [key, target] of [["witness", witness], ["victim", victim]] as const) {
      const datagrams = Array.from({ length: BATCH }, (_, i) => {
        const claims = [claimAbout(victim, founder, number, sent + i)];
        return insider.sealedGossip(target, { kind: "news" }, { claims });
      });
      const begin = performance.now();
      for (const bytes of datagrams) target.inject(bytes, sender.endpoint);
      spent[key] += performance.now() - begin;
    }
    lab.run(1_000 * BATCH / RATE);
  }
  const { control } = witness.node.status(witness.now());
  const looked = control["swim_unannounced"] ?? 0;
  if (looked < RATE * seconds / 2) throw new Error(`only ${looked} claims were looked at`);
  const others = [founder, witness];
  return {
    witness: spent.witness / (10 * seconds),
    victim: spent.victim / (10 * seconds),
    numbers: (incarnationOf(victim) - before - 1) / (1_000 * seconds / PERIOD),
    dead:
      others.filter((one) => !["alive", "suspect"].includes(one.sees(victim)?.state ?? "")).length,
  };
}

function incarnationOf({ node }: Computer): number {
  return node.snapshot().incarnation;
}

/** The n-th lie about a member whose number this is. */
function claimAbout(victim: Computer, origin: Computer, number: number, n: number): Claim {
  const status = (["suspect", "dead", "left", "alive"] as const)[n % 4] ?? "dead";
  return {
    subject: tagOf(victim.id),
    status,
    incarnation: [number, number + n % 70, INCARNATION_MAX][n % 7 % 3] ?? number,
    ...(status === "suspect" ? { origin: tagOf(origin.id) } : {}),
    ...(n % 5 === 0 ? { proof: new Uint8Array(64) } : {}),
  };
}
