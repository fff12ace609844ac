/** The mesh key on this machine: kept, given up, and replaced by a recovery. */
import type { Planned } from "../mesh/admin/plan.ts";
import type { RecoverOptions } from "../mesh/admin/recovery.ts";
import type { Decoded } from "../mesh/codec.ts";
import type { NodeEvent } from "../mesh/event.ts";
import type { Now, Outbox } from "../mesh/machine.ts";
import type { Node as Machine } from "../mesh/node.ts";
import { Failure } from "./exit.ts";
import { KEY_LENGTH } from "./keys.ts";
import { random } from "./random.ts";
import type { NodeState } from "./state.ts";

/** One step of the machine. @throws {Failure} with its sentence when it refuses */
type Ask = <T>(
  step: (machine: Machine, now: Now, out: Outbox<NodeEvent>) => Decoded<T>,
) => T;

export class MeshKey {
  constructor(private readonly state: NodeState, private readonly ask: Ask) {}

  /** Keeps the mesh key on this machine from now on. @throws {Failure} when it is another's; nothing has changed then */
  keep(seed: Uint8Array): void {
    this.#settling(seed, () => {
      this.ask((machine, now, out) => machine.setMeshKey(now, seed, out));
    });
  }

  /** Takes the mesh key off this machine. @throws {Failure} when it cannot be; it stays then */
  giveUp(): void {
    const before = this.state.meshSeed?.slice();
    const tell = (seed: Uint8Array | undefined) =>
      this.ask((machine, now, out) => machine.setMeshKey(now, seed, out));
    tell(undefined);
    try {
      this.state.eraseMeshSeed();
    } catch (error) {
      tell(before);
      throw error;
    } finally {
      before?.fill(0);
    }
  }

  /** Replaces the mesh key by the recovery key. @throws {Failure} when that is not this mesh's */
  recover(recovery: Uint8Array, options: RecoverOptions): Planned {
    const meshKey = random(KEY_LENGTH);
    const recover = () =>
      this.ask((machine, now, out) => machine.recover(now, { recovery, meshKey }, options, out));
    try {
      return options.yes ? this.#settling(meshKey, recover) : recover();
    } finally {
      meshKey.fill(0);
    }
  }

  /** A change of the mesh key was cut off: whether the new one is the mesh's, the statements say. */
  finish(): void {
    const seed = this.state.nextMeshSeed;
    if (!seed) return;
    let isMeshKey = true;
    try {
      this.ask((machine, now, out) => machine.setMeshKey(now, seed, out));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      isMeshKey = false;
    }
    // The generation before the newest may not have heard of it: a start with the newest one decides.
    if (isMeshKey || !this.state.isPrevious) this.state.settleMeshSeed(isMeshKey);
  }

  /**
   * A new key is on the disk before anything that it signs leaves, beside the old one until it is the mesh's by a state
   * that is written: a start after a cut anywhere finds the one that counts.
   */
  #settling<T>(seed: Uint8Array, change: () => T): T {
    this.state.proposeMeshSeed(seed);
    let isDone = false;
    try {
      const outcome = change();
      isDone = true;
      return outcome;
    } finally {
      this.state.settleMeshSeed(isDone);
    }
  }
}
