/** Whether the first join of a node has failed: a member waits for its mesh for ever, a first join ends with a reason. */
import type { NodeEvent } from "../mesh/event.ts";
import { Exit, Failure } from "./exit.ts";

/** What it needs to know of the node. */
interface Joiner {
  readonly isFirstStart: boolean;
  /** `HOST:PORT` of those that are asked. */
  readonly seeds: readonly string[];
}

export class FirstJoin {
  /** The seed that shows our request, once one does. */
  askedAt: string | undefined;
  hasJoined = false;
  /** Seeds that did not let us in, before the first one did. */
  readonly #failed = new Map<string, string>();

  hear(event: NodeEvent): void {
    switch (event.kind) {
      case "joined":
        this.hasJoined = true;
        break;
      case "joinPending":
        this.askedAt ??= event.seed;
        break;
      case "joinFailed":
        // A machine without a clock of its own gets the time later.
        if (event.isOfClock) this.#failed.delete(event.seed);
        else this.#failed.set(event.seed, event.why);
    }
  }

  /** Why those did not let us in that have said so, or were silent for too long. */
  get reasons(): readonly string[] {
    return [...this.#failed.values()];
  }

  /** Those that have not said no yet; none once somebody has said yes, or shows our request. */
  stillAsked({ isFirstStart, seeds }: Joiner): readonly string[] {
    if (!isFirstStart || this.hasJoined || this.askedAt !== undefined) return [];
    return seeds.filter((seed) => !this.#failed.has(seed));
  }

  /** Why nobody lets us in; undefined: somebody may do so yet. */
  failure({ isFirstStart, seeds }: Joiner): Failure | undefined {
    if (!isFirstStart || this.hasJoined || this.askedAt !== undefined) return undefined;
    const reasons = seeds.flatMap((seed) => this.#failed.get(seed) ?? []);
    if (seeds.length === 0 || reasons.length < seeds.length) return undefined;
    const [first = "", ...below] = reasons;
    return new Failure(Exit.failed, first, { below });
  }
}
