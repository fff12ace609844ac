/**
 * Plays a random history of whole nodes: several people act at once, on machines that crash at any write, in networks
 * that part, by clocks that are wrong. Then everything heals, every clock is right and nobody does anything: then the
 * honest must agree, and be quiet (history_checks.ts).
 */
import type { Crypto } from "../crypto.ts";
import { parseToken, type Token } from "../door/token.ts";
import type { Datagram } from "../machine.ts";
import type { NodeSnapshot } from "../snapshot.ts";
import type { GuestDevice } from "./guest_device.ts";
import { complaintsOf, isCertain, type Settled, whatSettles } from "./history_checks.ts";
import { HISTORY_ACTS } from "./history_acts.ts";
import { type HistoryPlan, MACHINES_MAX, type Step, wordsOf } from "./history_plan.ts";
import type { Mischief } from "./mischief.ts";
import { CALM } from "./network.ts";
import { type Computer, NodeLab, type NodeWish } from "./node_lab.ts";
import { areMutual, promote, revoke } from "./people.ts";
import { Seeded } from "./random.ts";

/**
 * Virtual ms that the honest have to agree in, once everything is well. Two whose places nobody has proven try each other
 * once in ten minutes (door/first_contacts.ts), and what they hear then has to come to the others.
 */
const CALMING = 720_000;
/** Virtual ms between the calm's beginning and what people do about a thief. */
const NOTICED = 60_000;
/** Datagrams of the past that can be sent again. */
const KEPT = 256;

/** A machine of a history. */
export interface Machine {
  readonly computer: Computer;
  /** A clone has the identity and the disk of another; an insider says what it likes. */
  role: "honest" | "clone" | "insider";
  /** Nobody switches it on any more: it left for good. */
  isGone: boolean;
  /** A copy of its disk. */
  backup: NodeSnapshot | undefined;
}

/** A guest that has read the file of its host, which names a place. */
export interface Device {
  readonly device: GuestDevice;
  readonly host: Computer;
  readonly place: string;
}

export interface HistoryReport {
  readonly seed: number;
  readonly machines: number;
  readonly steps: number;
  /** Those of people that were carried out, not refused. */
  readonly done: number;
  /** Honest members at the end. */
  readonly members: number;
  /** Virtual ms of the whole history, and from the calm's beginning until all agreed. */
  readonly virtual: number;
  readonly healed: number;
}

/** A history that is being played: what its acts change. */
export class History {
  readonly lab: NodeLab;
  readonly random: Seeded;
  readonly machines: Machine[] = [];
  readonly devices: Device[] = [];
  /** Every token that was printed. */
  readonly tokens: string[] = [];
  readonly past: { readonly datagram: Datagram; readonly from: string }[] = [];
  readonly recoverySeed: Uint8Array;
  meshSeed: Uint8Array;
  mischief: Mischief | undefined;
  /** Unix seconds at which a machine was stolen. */
  stolenAt = 0;
  /** What people asked for and got. */
  done = 0;
  #datagrams = 0;

  constructor(readonly crypto: Crypto, readonly plan: HistoryPlan) {
    const { seed } = plan;
    this.lab = new NodeLab(crypto, seed);
    this.random = new Seeded(seed, 2);
    this.recoverySeed = this.lab.random(32);
    this.meshSeed = this.lab.random(32);
    this.lab.tap = (datagram, { address }) => {
      const at = this.#datagrams++;
      if (this.past.length < KEPT) this.past.push({ datagram, from: address });
      // Old ones stay as likely as new ones.
      else if (at % 7 === 0) this.past[this.random.below(KEPT)] = { datagram, from: address };
    };
    this.#settle();
  }

  add(wish: NodeWish, role: Machine["role"] = "honest", skew = 0): Machine | undefined {
    if (this.machines.length >= MACHINES_MAX) return undefined;
    const computer = this.lab.computer(wish, skew);
    const machine = { computer, role, isGone: false, backup: undefined };
    this.machines.push(machine);
    return machine;
  }

  /** Switches a machine on, where it is off and anybody would. A node may say why it does not start. */
  start({ computer, role, isGone }: Machine): void {
    if (computer.host.isUp || isGone || role === "insider") return;
    computer.start();
  }

  /** Honest machines that run. */
  running(): Machine[] {
    return this.machines.filter(({ computer, role }) => role === "honest" && computer.host.isUp);
  }

  /** A token in somebody's hands, opened. */
  token(how: number): Token | undefined {
    const text = this.tokens[how % Math.max(1, this.tokens.length)];
    const token = text === undefined ? undefined : parseToken(this.crypto, text);
    return token?.ok ? token.value : undefined;
  }

  /** The founder and the first members, as the plan wants them. */
  #settle(): void {
    const { lab, plan, crypto } = this;
    const founder = this.add({
      name: "founder",
      meshSeed: this.meshSeed,
      recoveryKey: crypto.ed25519FromSeed(this.recoverySeed).publicKey,
    });
    if (!founder) return;
    this.start(founder);
    const token = founder.computer.token({ uses: plan.size });
    this.tokens.push(token);
    for (let i = 1; i < plan.size; i++) {
      const machine = this.add({ name: `n${i}`, token });
      if (machine) this.start(machine);
    }
    const all = this.machines.map(({ computer }) => computer);
    const isWhole = () => all.every((one) => isCertain(one)) && areMutual(all);
    for (let waited = 0; !isWhole(); waited += 500) {
      if (waited >= 60_000) throw new Error("history: the first members do not find each other");
      lab.run(500);
    }
    for (const one of all.slice(1, 1 + plan.admins)) promote(founder.computer, one);
    const second = plan.hasTwoHolders ? all[1] : undefined;
    if (second) this.giveMeshKey(second);
    lab.run(5_000);
    for (const [i, { computer }] of this.machines.entries()) {
      computer.host.skew = plan.skews[i] ?? 0;
    }
  }

  /** The words of the mesh key are typed in at a machine. */
  giveMeshKey(computer: Computer): void {
    const given = computer.step((now, out) => computer.node.setMeshKey(now, this.meshSeed, out));
    if (given.ok) computer.wish = { ...computer.wish, meshSeed: this.meshSeed };
  }

  play(step: Step): void {
    this.lab.run(step.after);
    HISTORY_ACTS[step.act](this, step);
  }

  /** Everything heals, and all clocks are right. */
  calm(): void {
    const { lab } = this;
    lab.network.heal();
    lab.network.conditions = CALM;
    for (const machine of this.machines) {
      const { computer, role } = machine;
      computer.host.skew = 0;
      computer.failsAtWrite = undefined;
      if (role !== "honest") {
        computer.host.crash();
        machine.isGone = true;
      } else this.start(machine);
    }
  }

  /** Whoever has the mesh key puts out the admin whose machine was stolen. */
  putThiefOut(): void {
    const thief = this.mischief?.insider.computer;
    if (!thief) return;
    for (const { computer } of this.running()) {
      if (!computer.node.isMember || computer.id === thief.id) continue;
      const { self } = computer.node.status(computer.now());
      const isAdmin = computer.sees(thief)?.admin ?? false;
      if (!self.mesh_key || !isAdmin) continue;
      return void revoke(computer, thief, this.stolenAt - 1);
    }
  }
}

/** Plays one history; what went wrong is thrown. */
export function playHistory(crypto: Crypto, plan: HistoryPlan): HistoryReport {
  const history = new History(crypto, plan);
  const { lab } = history;
  for (const [i, step] of plan.steps.entries()) {
    try {
      history.play(step);
    } catch (error) {
      throw new Error(`history: step ${i}: ${wordsOf(step)}`, { cause: error });
    }
  }
  history.calm();
  const began = lab.world.now;
  if (history.mischief) {
    lab.run(NOTICED);
    history.putThiefOut();
  }
  let settled: Settled = { complaint: "it has not begun", members: [] };
  while (lab.world.now - began < CALMING) {
    lab.run(2_000);
    settled = whatSettles(history);
    if (settled.complaint === "") break;
  }
  if (settled.complaint !== "") {
    throw new Error(`history: ${CALMING} ms after all was well: ${settled.complaint}`);
  }
  const healed = lab.world.now - began;
  for (const complaint of complaintsOf(history, settled)) throw new Error(`history: ${complaint}`);
  return {
    seed: plan.seed,
    machines: history.machines.length,
    steps: plan.steps.length,
    done: history.done,
    members: settled.members.length,
    virtual: lab.world.now,
    healed,
  };
}

/** What was done, one line a step, for who looks for the cause. */
export function diaryOf(plan: HistoryPlan): string {
  const { seed, size, admins, hasTwoHolders, skews, steps } = plan;
  const head = `seed ${seed}: ${size} members, ${admins + 1} admins, ${
    hasTwoHolders ? "two" : "one"
  } with the mesh key, clocks ${skews.join(" ")}`;
  return [head, ...steps.map(wordsOf)].join("\n");
}
