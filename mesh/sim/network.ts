/**
 * A network that does what networks do: it loses, delays, reorders and duplicates datagrams, drops
 * what is too long, falls apart and heals, and carries in one direction only.
 */
import type { World } from "./world.ts";

/** Where a host can be reached. */
export type Address = string;

export interface Conditions {
  /** Probability that a datagram is lost. */
  readonly loss: number;
  /** One-way delay in ms, and how much may be added to it at random. */
  readonly delay: number;
  readonly jitter: number;
  /** Probability that a datagram comes twice, or is overtaken by those up to `late` ms behind. */
  readonly duplicate: number;
  readonly reorder: number;
  readonly late: number;
  /** Longer payloads are dropped, in bytes. */
  readonly mtu: number;
}

/** A good local network. */
export const CALM: Conditions = {
  loss: 0,
  delay: 1,
  jitter: 1,
  duplicate: 0,
  reorder: 0,
  late: 0,
  mtu: 1232,
};

/** Everything goes wrong now and then. */
export const ROUGH: Conditions = {
  loss: 0.1,
  delay: 10,
  jitter: 60,
  duplicate: 0.05,
  reorder: 0.05,
  late: 400,
  mtu: 1232,
};

export class Network<M> {
  #sent = 0;
  #lost = 0;
  /** Side of each host; hosts of different sides do not hear each other. Absent: side 0. */
  readonly #sides = new Map<Address, number>();
  /** Directions that carry nothing, as "from>to". */
  readonly #mute = new Set<string>();

  constructor(
    private readonly world: World,
    public conditions: Conditions,
    private readonly deliver: (to: Address, from: Address, payload: M) => void,
  ) {}

  get sent(): number {
    return this.#sent;
  }

  get lost(): number {
    return this.#lost;
  }

  /** Cuts the network into sides; hosts not named are on side 0. */
  partition(...sides: readonly (readonly Address[])[]): void {
    this.#sides.clear();
    for (const [i, side] of sides.entries()) {
      for (const address of side) this.#sides.set(address, i + 1);
    }
  }

  /** Lets nothing pass in this direction; the other is not touched. */
  mute(from: Address, to: Address): void {
    this.#mute.add(`${from}>${to}`);
  }

  /** Ends all partitions and one-way links. */
  heal(): void {
    this.#sides.clear();
    this.#mute.clear();
  }

  /** `size` in bytes. */
  send(from: Address, to: Address, payload: M, size: number): void {
    const { loss, duplicate, mtu } = this.conditions;
    const { random } = this.world;
    this.#sent++;
    const cut = (this.#sides.get(from) ?? 0) !== (this.#sides.get(to) ?? 0) ||
      this.#mute.size > 0 && this.#mute.has(`${from}>${to}`);
    if (cut || size > mtu || random.chance(loss)) {
      this.#lost++;
      return;
    }
    for (let copies = random.chance(duplicate) ? 2 : 1; copies > 0; copies--) {
      this.world.after(this.#delay(), () => this.deliver(to, from, payload));
    }
  }

  #delay(): number {
    const { delay, jitter, reorder, late } = this.conditions;
    const { random } = this.world;
    const more = random.chance(reorder) ? random.between(0, late) : 0;
    return delay + random.between(0, jitter) + more;
  }
}
