/**
 * One machine on one computer of the simulation: calls it when a datagram comes or its deadline has
 * come, and late while the computer is slow. The computer can stand still, crash and start again.
 */
import type { Deadline, Now } from "../machine.ts";
import type { Address } from "./network.ts";
import type { World } from "./world.ts";

/** What the simulation needs of a machine; its effects are carried out by whoever made it. */
export interface Simulated<M> {
  readonly deadline: () => Deadline;
  readonly tick: (now: Now) => void;
  readonly receive: (now: Now, from: Address, payload: M) => void;
}

/** Virtual unix time of a simulation's beginning: 2026-01-01. */
export const EPOCH = Date.UTC(2026, 0, 1);

export class Host<M> {
  #machine: Simulated<M> | undefined;
  /** Until when the computer is slow, and by how many ms it is late then. */
  #slowUntil = 0;
  #lag = 0;
  /** Nothing is processed before what came earlier. */
  #busyUntil = 0;
  /** When the next call is arranged for. */
  #arranged = Infinity;
  #life = 0;

  /** `bootedAt`: virtual ms at which its boot clock was zero; `skew`: error of its wall clock. */
  constructor(
    private readonly world: World,
    readonly address: Address,
    private readonly bootedAt = 0,
    private readonly skew = 0,
  ) {}

  get isUp(): boolean {
    return this.#machine !== undefined;
  }

  now(): Now {
    return { boot: this.world.now - this.bootedAt, wall: EPOCH + this.world.now + this.skew };
  }

  start(machine: Simulated<M>): void {
    this.#machine = machine;
    this.#life++;
    this.#arranged = Infinity;
    this.arrange();
  }

  /** Without a word. */
  crash(): void {
    this.#machine = undefined;
    this.#life++;
  }

  /** For `ms` from now everything is processed `lag` ms late. */
  slow(ms: number, lag: number): void {
    this.#slowUntil = this.world.now + ms;
    this.#lag = lag;
  }

  deliver(from: Address, payload: M): void {
    this.#soon((machine) => machine.receive(this.now(), from, payload));
  }

  /** To be called after anything that may have moved the machine's deadline. */
  arrange(): void {
    if (this.#machine === undefined) return;
    const at = this.#machine.deadline().at + this.bootedAt;
    if (at >= this.#arranged || at === Infinity) return;
    this.#arranged = at;
    const life = this.#life;
    this.world.at(at, () => {
      if (life !== this.#life || this.#arranged !== at) return;
      this.#soon((machine) => {
        this.#arranged = Infinity;
        const { boot, wall } = this.now();
        const due = machine.deadline().at;
        // The sum and difference of two times may miss by a rounding.
        if (due <= boot + 1e-6) machine.tick({ boot: Math.max(boot, due), wall });
      });
    });
  }

  #soon(act: (machine: Simulated<M>) => void): void {
    const { world } = this;
    const life = this.#life;
    const run = () => {
      if (this.#machine === undefined || life !== this.#life) return;
      act(this.#machine);
      this.arrange();
    };
    const at = Math.max(this.#busyUntil, world.now < this.#slowUntil ? world.now + this.#lag : 0);
    if (at <= world.now) return run();
    this.#busyUntil = at;
    world.at(at, run);
  }
}
