/**
 * One machine on one computer of the simulation: calls it when a datagram comes or its deadline has
 * come. The computer can be slow to process what comes, stand still, crash and start again.
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

/** Ticks at one moment after which a machine is taken for one whose deadline does not move: it would be busy without end. */
const TICKS_MAX = 10_000;

/** Virtual unix time of a simulation's beginning: 2026-01-01. */
const EPOCH = Date.UTC(2026, 0, 1);

export class Host<M> {
  #machine: Simulated<M> | undefined;
  /** Until when datagrams are processed late, and by how many ms. */
  #slowUntil = 0;
  #lag = 0;
  /** Until when nothing runs at all. */
  #frozenUntil = 0;
  /** No datagram is processed before those that came earlier. */
  #busyUntil = 0;
  /** When the next call is arranged for. */
  #arranged = Infinity;
  #life = 0;
  /** How often the machine has acted at this moment because something was due. */
  #tickedAt = -Infinity;
  #ticks = 0;

  /** `bootedAt`: virtual ms at which its boot clock was zero; `skew`: error of its wall clock. */
  constructor(
    private readonly world: World,
    readonly address: Address,
    private readonly bootedAt = 0,
    public skew = 0,
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

  /** For `ms` from now datagrams are processed `lag` ms late; timers are on time. */
  slow(ms: number, lag: number): void {
    this.#slowUntil = this.world.now + ms;
    this.#lag = lag;
  }

  /** For `ms` from now nothing runs; then everything that came meanwhile does, in order. */
  freeze(ms: number): void {
    this.#frozenUntil = this.world.now + ms;
  }

  deliver(from: Address, payload: M): void {
    const { world } = this;
    const late = world.now < this.#slowUntil ? world.now + this.#lag : 0;
    this.#busyUntil = Math.max(this.#busyUntil, late);
    this.#soon(this.#busyUntil, (machine) => machine.receive(this.now(), from, payload));
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
      this.#soon(0, (machine) => {
        this.#arranged = Infinity;
        const { boot, wall } = this.now();
        const { at: due, why } = machine.deadline();
        this.#ticks = boot === this.#tickedAt ? this.#ticks + 1 : 0;
        this.#tickedAt = boot;
        if (this.#ticks > TICKS_MAX) {
          throw new Error(`sim: ${this.address} is due again and again: ${why}`);
        }
        // The sum and difference of two times may miss by a rounding.
        if (due <= boot + 1e-6) machine.tick({ boot: Math.max(boot, due), wall });
      });
    });
  }

  /** Lets the machine act at a time, or as soon after as the computer runs. */
  #soon(time: number, act: (machine: Simulated<M>) => void): void {
    const { world } = this;
    const life = this.#life;
    const run = () => {
      if (this.#machine === undefined || life !== this.#life) return;
      if (world.now < this.#frozenUntil) {
        world.at(this.#frozenUntil, run);
        return;
      }
      act(this.#machine);
      this.arrange();
    };
    if (time <= world.now) run();
    else world.at(time, run);
  }
}
