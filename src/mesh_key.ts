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

  /** Keeps the mesh key on this machine from now on, or no more. @throws {Failure} when it is another's */
  set(seed: Uint8Array | undefined): void {
    const before = this.state.meshSeed?.slice();
    this.state.setMeshSeed(seed);
    try {
      this.ask((machine, now, out) => machine.setMeshKey(now, seed, out));
    } catch (error) {
      this.state.setMeshSeed(before);
      throw error;
    } finally {
      before?.fill(0);
    }
  }

  /** Replaces the mesh key by the recovery key. @throws {Failure} when that is not this mesh's */
  recover(recovery: Uint8Array, options: RecoverOptions): Planned {
    const meshKey = random(KEY_LENGTH);
    const seeds = { recovery, meshKey };
    // It is on disk before anything that it signs leaves, beside the old one until the state that
    // names it is written: a start after a cut between the two finds the one that counts.
    if (options.yes) this.state.proposeMeshSeed(meshKey);
    let isDone = false;
    try {
      const planned = this.ask((machine, now, out) => machine.recover(now, seeds, options, out));
      isDone = true;
      return planned;
    } finally {
      if (options.yes) this.state.settleMeshSeed(isDone);
      meshKey.fill(0);
    }
  }

  /** A recovery was cut off: whether its mesh key is the mesh's now, the statements say. */
  finishRecovery(): void {
    const seed = this.state.nextMeshSeed;
    if (!seed) return;
    let isMeshKey = true;
    try {
      this.ask((machine, now, out) => machine.setMeshKey(now, seed, out));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      isMeshKey = false;
    }
    this.state.settleMeshSeed(isMeshKey);
  }
}
