/**
 * What a mesh node remembers over a restart: its identity, the mesh key and the recovery key where
 * this machine holds them, what it knew of the mesh, and the port that others expect it at.
 *
 * What is on disk and when: a member's state is written before the datagrams leave that depend on
 * it. A node that no door has answered yet writes nothing, so that a first start that fails
 * (a token for another mesh, a seed that is silent) leaves the state folder as it was. What it writes
 * before it answers that door is what the door counts: a start after a kill has the same key. The first
 * write of a start counts that start, without which nothing may be sent: where it fails, the node
 * does. Any later one that fails loses news at most (mesh/event.ts): it is a line of the health, and
 * tried again until it works.
 *
 * Every file carries a checksum (envelope.ts): what the disk has changed is refused and said. Of the
 * state itself the generation before the newest is kept beside it. Keys are written once and have
 * none. The state names the identity that it belongs to by the checksum of that file, so that no
 * state is taken for another identity's, and so that an identity is renewed in one moment: the one
 * at which the state of the new identity replaces that of the old.
 */
import { SEEDS_MAX } from "../mesh/door/joiner.ts";
import { ADMISSION_MAX } from "../mesh/membership/admission.ts";
import { GUESTS_PER_HOST } from "../mesh/membership/guests.ts";
import { TRUSTED_MAX } from "../mesh/membership/judge.ts";
import { TAKEN_MAX } from "../mesh/membership/provisional.ts";
import { RECORD_MAX } from "../mesh/membership/record.ts";
import { MEMBERS_MAX } from "../mesh/membership/roster.ts";
import { NUMBER_MAX, STATEMENT_MAX } from "../mesh/membership/statement.ts";
import { ADMINS_ROOM, FAREWELLS_ROOM } from "../mesh/membership/statements.ts";
import type { Now } from "../mesh/machine.ts";
import type { NodeSnapshot } from "../mesh/snapshot.ts";
import { PORT_FILE } from "./neighbours.ts";
import { DEFAULT_PORT } from "./config.ts";
import { ENVELOPE_SIZE, isEnvelope, unwrap, wrap } from "./envelope.ts";
import { Exit, Failure } from "./exit.ts";
import {
  isSound,
  newestMemory,
  ownerOf,
  previousMemory,
  readMemory,
  STATE_FILE,
  wrapMemory,
} from "./generations.ts";
import {
  KEY_FILE,
  KEY_LENGTH,
  type KeyName,
  NEXT_IDENTITY,
  NEXT_MESH_KEY,
  readKeys,
  wrapKey,
} from "./keys.ts";
import { random } from "./random.ts";
import { Store } from "./store.ts";

/** Bytes that a first join needs on the disk: its keys, and the statements and members that it is told of at first. */
const JOIN_ROOM = 64 * 1024;

/** Characters of one thing beside its signed bytes: names of fields, an endpoint, a name, a key. */
const BESIDE = 256;
/** A host name and its port. */
const SEED_MAX = 260;

function textOf(things: number, bytes: number): number {
  return things * (Math.ceil((4 * bytes) / 3) + BESIDE);
}

/** Statements of all admins, of two mesh keys, and farewells. */
const STATEMENTS_MAX = ADMINS_ROOM + 2 * NUMBER_MAX + FAREWELLS_ROOM + 1;

/** Every table of the mesh full, the members out by the clock beside the others: about 185 million bytes. */
const FILE_MAX = textOf(2 * MEMBERS_MAX, RECORD_MAX) + textOf(STATEMENTS_MAX, STATEMENT_MAX) +
  textOf(TAKEN_MAX + 1, ADMISSION_MAX) + textOf(TRUSTED_MAX, 0) + textOf(GUESTS_PER_HOST, 0) +
  textOf(SEEDS_MAX, SEED_MAX) +
  ENVELOPE_SIZE + BESIDE;

/** Milliseconds in which somebody who has moved the folder away may put it back. */
const PUT_BACK_WITHIN = 10_000;

export type StateNews =
  /** The state could not be written; told once, until it can be again. */
  | { readonly kind: "stateUnsaved"; readonly reason: string }
  | { readonly kind: "stateSaved" }
  /** The folder was removed, and is made again. */
  | { readonly kind: "stateRemoved"; readonly dir: string };

interface StateOptions {
  readonly dir: string;
  /** Without a state a new mesh is founded. */
  readonly founds: boolean;
  /** Goes on from the generation before the newest, which is damaged or lost. */
  readonly takesPrevious?: boolean;
  /** The usual port of a node that remembers none; {@link DEFAULT_PORT} when absent. */
  readonly firstPort?: () => number;
  readonly onNews: (news: StateNews) => void;
}

/** What is remembered beside the secrets. */
export interface Memory {
  readonly snapshot: NodeSnapshot;
  /** Undefined: the node has one that nobody should expect it at. */
  readonly port: number | undefined;
}

export class NodeState {
  /** Undefined: there was no state before. */
  readonly snapshot: NodeSnapshot | undefined;
  /** The snapshot is of the previous generation: what was counted since is not known. */
  readonly isPrevious: boolean;
  /** The port that other members and firewalls expect: that of the last start, else the usual one. */
  readonly usualPort: number;
  /** Writes that failed. */
  writesFailed = 0;

  #store: Store;
  /** Boot ms at which the folder was seen to be gone. */
  #goneSince: number | undefined;
  readonly #onNews: (news: StateNews) => void;
  #identitySeed: Uint8Array;
  #meshSeed: Uint8Array | undefined;
  #nextMeshSeed: Uint8Array | undefined;
  /** On the disk `#meshSeed` stands beside an older one still. */
  #isBeside = false;
  #recoverySeed: Uint8Array | undefined;
  #isKept: boolean;
  #isOnDisk = false;
  /** The identity was renewed: the rest of this run belongs to the old one and is not written. */
  #isOver = false;
  #unsaved: Failure | undefined;

  /** @throws {Failure} naming what is wrong with the folder, which is left as it was */
  static open(options: StateOptions): NodeState {
    const store = Store.open(options.dir, FILE_MAX);
    try {
      return new NodeState(store, options);
    } catch (error) {
      store.closeUnused();
      throw error;
    }
  }

  private constructor(
    store: Store,
    { founds, takesPrevious = false, firstPort = () => DEFAULT_PORT, onNews }: StateOptions,
  ) {
    this.#store = store;
    this.#onNews = onNews;
    refuseFirstFormat(store);
    const keys = readKeys(store);
    store.finishNext(STATE_FILE, (bytes) => isSound(readMemory(bytes)));
    const memory = takesPrevious ? previousMemory(store, keys) : newestMemory(store, keys);
    const identity = memory ? ownerOf(store, memory, keys) : keys.identity;
    const isFounding = memory === undefined && founds;
    const hasFounded = (keys.meshKey ?? keys.recoveryKey) !== undefined;
    if (memory === undefined && (identity !== undefined || hasFounded)) {
      refuseForgetful(store, { founds, hasFounded });
    }
    this.snapshot = memory?.snapshot;
    this.isPrevious = takesPrevious;
    this.usualPort = usualPortOf(store, firstPort);
    this.#identitySeed = identity ?? random(KEY_LENGTH);
    this.#meshSeed = keys.meshKey ?? (isFounding ? random(KEY_LENGTH) : undefined);
    this.#nextMeshSeed = keys.nextMeshKey;
    // Erased on demand, it is not made again: only a mesh that is being founded gets one.
    this.#recoverySeed = keys.recoveryKey ?? (isFounding ? random(KEY_LENGTH) : undefined);
    finishRenewal(store, identity !== undefined && identity === keys.nextIdentity);
    // A token is used up before its use is written down: a full disk must be found out before.
    if (this.snapshot === undefined && !founds) store.needRoom(JOIN_ROOM);
    // A joiner of whom nobody has heard yet has nothing to lose.
    this.#isKept = this.snapshot !== undefined || this.#meshSeed !== undefined;
  }

  /** 32 bytes, secret; wiped by {@link close}. */
  get identitySeed(): Uint8Array {
    return this.#identitySeed;
  }

  /** 32 bytes, secret; undefined: this machine does not hold the mesh key. */
  get meshSeed(): Uint8Array | undefined {
    return this.#meshSeed;
  }

  /** 32 bytes, secret; undefined: this machine did not found the mesh, or erased the key. */
  get recoverySeed(): Uint8Array | undefined {
    return this.#recoverySeed;
  }

  /**
   * Takes the mesh key off the disk and out of memory, as far as the disk lets it (store.ts).
   * @throws {Failure} when it cannot be; then nothing has changed
   */
  eraseMeshSeed(): void {
    // The one that counts last: what fails before it has cost nothing.
    const files = [NEXT_MESH_KEY, KEY_FILE.meshKey];
    if (this.#isBeside) files.reverse();
    for (const file of files) this.#store.erase(file);
    this.#isBeside = false;
    this.#meshSeed?.fill(0);
    this.#meshSeed = undefined;
  }

  /** A mesh key that was proposed: whether it is the mesh's, the state says. */
  get nextMeshSeed(): Uint8Array | undefined {
    return this.#nextMeshSeed;
  }

  /**
   * Puts a mesh key on the disk beside the present one, before anything that it signs leaves.
   * {@link settleMeshSeed} says whether it takes the other's place.
   * @throws {Failure} when it cannot be written; then nothing has changed
   */
  proposeMeshSeed(seed: Uint8Array): void {
    this.#placeMeshKey();
    if (this.#isBeside) {
      throw new Failure(
        Exit.failed,
        `mesh-key: the mesh key was replaced already, and the state that says so cannot be written: ` +
          `make it possible to write ${this.#store.dir} first`,
      );
    }
    this.#store.writeSecret(NEXT_MESH_KEY, wrapKey("meshKey", seed));
    this.#nextMeshSeed?.fill(0);
    this.#nextMeshSeed = seed.slice();
  }

  /** @param isMeshKey whether the mesh has the key that was proposed; else it goes */
  settleMeshSeed(isMeshKey: boolean): void {
    const seed = this.#nextMeshSeed;
    if (!seed) return;
    this.#nextMeshSeed = undefined;
    if (isMeshKey) {
      this.#meshSeed?.fill(0);
      this.#meshSeed = seed;
      this.#isBeside = true;
      this.#tryToPlaceMeshKey();
      return;
    }
    seed.fill(0);
    try {
      this.#store.erase(NEXT_MESH_KEY);
    } catch (error) {
      if (!(error instanceof Failure)) throw error; // The next start does it.
    }
  }

  /**
   * The new mesh key takes the place of the old one as soon as the state that names it is on the disk: a start before
   * that knows the old one alone.
   * @throws {Failure} when it cannot be moved; it stays beside the old one then
   */
  #placeMeshKey(): void {
    if (!this.#isBeside || this.#unsaved !== undefined) return;
    this.#store.moveSecret(NEXT_MESH_KEY, KEY_FILE.meshKey);
    this.#isBeside = false;
  }

  /** The same, which is tried again: by each write, each look at the folder, and the next start. */
  #tryToPlaceMeshKey(): void {
    try {
      this.#placeMeshKey();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
    }
  }

  /**
   * Takes the recovery key off the disk and out of memory, as far as the disk lets it (store.ts).
   * @throws {Failure} when it cannot be; then nothing has changed
   */
  eraseRecovery(): void {
    this.#store.erase(KEY_FILE.recoveryKey);
    this.#recoverySeed?.fill(0);
    this.#recoverySeed = undefined;
  }

  /**
   * Gives the node another identity. From then on this state writes nothing: what the running node
   * knows of itself is the old identity's, so it has to be closed and opened again. The port, the
   * mesh key and the recovery key stay.
   *
   * The moment at which it happens is the replacement of the state: before it the new identity only
   * lies beside the old, and the next start removes it; after it the next start puts the new identity
   * in the place of the old, if a crash came between.
   * @param snapshot what the new identity begins with: nothing that counts or proves the old one
   * @throws {Failure} when it cannot be written; then the old identity stays
   */
  renewIdentity(seed: Uint8Array, snapshot: NodeSnapshot): void {
    const store = this.#store;
    if (this.#isKept) {
      store.writeSecret(NEXT_IDENTITY, wrapKey("identity", seed));
      store.writeNext(STATE_FILE, wrapMemory(seed, snapshot));
      try {
        store.moveSecret(NEXT_IDENTITY, KEY_FILE.identity);
      } catch (error) {
        // It has happened already: the next start does this, as after a crash.
        if (!(error instanceof Failure)) throw error;
      }
    }
    this.#isOver = true;
    this.#identitySeed.fill(0);
    this.#identitySeed = seed.slice();
  }

  /** From now on there is something to lose. */
  keep(): void {
    this.#isKept = true;
  }

  /**
   * Writes it, as far as there is something to lose.
   * @throws {Failure} when the first write fails, and only then
   */
  save(memory: () => Memory): void {
    if (!this.#isKept || this.#isOver) return;
    try {
      this.#write(memory());
    } catch (error) {
      if (!(error instanceof Failure) || !this.#isOnDisk) throw error;
      this.writesFailed++;
      return this.#noteUnsaved(error);
    }
    this.#isOnDisk = true;
    if (this.#unsaved !== undefined) this.#onNews({ kind: "stateSaved" });
    this.#unsaved = undefined;
    this.#tryToPlaceMeshKey();
  }

  /** Tries again what failed, if something did, and makes a folder again that somebody removed. */
  mend(now: Now, memory: () => Memory): void {
    const isGone = this.#isKept && !this.#isOver && this.#isGone(now);
    if (isGone && !this.#beginAnew()) return;
    if (this.#unsaved !== undefined) this.save(memory);
    else this.#tryToPlaceMeshKey();
  }

  /** Whether the folder has been gone for so long that nobody is about to put it back. */
  #isGone(now: Now): boolean {
    if (this.#store.isRemoved) this.#goneSince ??= now.boot;
    else this.#goneSince = undefined;
    return this.#goneSince !== undefined && now.boot - this.#goneSince >= PUT_BACK_WITHIN;
  }

  /** All of it is to be written anew: the keys, the state, the port. @returns whether that can be tried */
  #beginAnew(): boolean {
    const { dir } = this.#store;
    try {
      const store = this.#openAgain(dir);
      this.#store.close();
      this.#store = store;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.#noteUnsaved(error);
      return false;
    }
    this.#goneSince = undefined;
    this.#isBeside = false; // Nothing is there that it could stand beside.
    this.#unsaved ??= new Failure(Exit.failed, `${dir} was removed`);
    this.#onNews({ kind: "stateRemoved", dir });
    return true;
  }

  /** @throws {Failure} when the folder cannot be used, or holds keys that are not ours */
  #openAgain(dir: string): Store {
    const store = Store.open(dir, FILE_MAX);
    try {
      const found = readKeys(store);
      const own = {
        identity: this.#identitySeed,
        meshKey: this.#meshSeed,
        recoveryKey: this.#recoverySeed,
      };
      for (const name of ["identity", "meshKey", "recoveryKey"] as const) {
        if (found[name] === undefined || found[name].toHex() === own[name]?.toHex()) continue;
        throw new Failure(
          Exit.failed,
          `state: ${dir} holds another ${
            KEY_FILE[name]
          } than this node's: empty it, and this node ` +
            "writes its own again; or stop this node first, and the next start goes on from there",
        );
      }
      return store;
    } catch (error) {
      store.close();
      throw error;
    }
  }

  #noteUnsaved(error: Failure): void {
    if (this.#unsaved === undefined) {
      this.#onNews({ kind: "stateUnsaved", reason: error.message });
    }
    this.#unsaved = error;
  }

  /** Where the folder is, as far as that is not as it was at the start. */
  #folderHealth(): string[] {
    const { dir, isOurs, isRemoved } = this.#store;
    if (!this.#isOnDisk || isOurs) return [];
    return [
      isRemoved
        ? `the state folder ${dir} was removed, emptied or moved away: if it is not put back within ` +
          `${
            PUT_BACK_WITHIN / 1000
          } s, this node makes it again and writes its keys and its state into it`
        : `the disk with the state folder ${dir} is not where it was: mount it again, or stop the node`,
    ];
  }

  /** Why what happened since the last write is in memory alone; undefined: all of it is on the disk. */
  get unsaved(): string | undefined {
    return this.#unsaved?.message;
  }

  health(): string[] {
    const { unflushed } = this.#store;
    const lines: string[] = [];
    if (unflushed !== undefined) {
      lines.push(
        `the disk below ${this.#store.dir} does not confirm what is written (${unflushed.message}): a ` +
          "power cut may bring back an older state",
      );
    }
    if (this.#unsaved === undefined) return [...lines, ...this.#folderHealth()];
    return [
      ...lines,
      `the folder ${this.#store.dir} cannot be written, so a restart would forget what the node ` +
      `learnt since: ${this.#unsaved.message}`,
    ];
  }

  /** Wipes the keys and gives the folder back. */
  close(): void {
    this.#store.close();
    this.#wipe();
  }

  /** The same after a start that was refused: a folder that it made and wrote nothing into goes. */
  closeUnused(): void {
    this.#store.closeUnused();
    this.#wipe();
  }

  #wipe(): void {
    const seeds = [this.#identitySeed, this.#meshSeed, this.#nextMeshSeed, this.#recoverySeed];
    for (const seed of seeds) seed?.fill(0);
  }

  #write({ snapshot, port }: Memory): void {
    const store = this.#store;
    // In this order: an identity alone is what a first join that was cut off leaves, not a founding.
    this.#writeKey("recoveryKey", this.#recoverySeed);
    if (!this.#isBeside) this.#writeKey("meshKey", this.#meshSeed);
    this.#writeKey("identity", this.#identitySeed);
    const content = wrapMemory(this.#identitySeed, snapshot);
    // A newest generation that is damaged does not become the previous one, which is sound.
    if (this.isPrevious && !this.#isOnDisk) store.write(STATE_FILE, content);
    else store.writeNext(STATE_FILE, content);
    // Last, and always: by it a founding that ended is told from one that did not.
    const last = readPort(store);
    const usual = port ?? (last || this.usualPort);
    if (last !== usual) store.write(PORT_FILE, wrap(PORT_FILE, String(usual)));
  }

  #writeKey(name: KeyName, seed: Uint8Array | undefined): void {
    if (seed === undefined || this.#store.read(KEY_FILE[name]) !== undefined) return;
    this.#store.create(KEY_FILE[name], wrapKey(name, seed));
  }
}

/** What shoal 0.1 wrote first had no envelopes: keys of 32 bytes, and JSON that begins with its version. */
function refuseFirstFormat(store: Store): void {
  const isKey = (bytes: Uint8Array) => bytes.length === KEY_LENGTH;
  const isState = (bytes: Uint8Array) => /^\{\s*"v"/.test(text(bytes.subarray(0, 16)));
  const isFirst = (file: string, isSo: (bytes: Uint8Array) => boolean) => {
    const bytes = store.read(file);
    return bytes !== undefined && !isEnvelope(bytes) && isSo(bytes);
  };
  if (
    !isFirst(STATE_FILE, isState) && !isFirst(KEY_FILE.identity, isKey) &&
    !isFirst(KEY_FILE.meshKey, isKey)
  ) return;
  throw new Failure(
    Exit.stuck,
    `state: ${store.dir} is of shoal 0.1's first format, whose memberships cannot be carried over: ` +
      `move the folder away and found or join anew`,
  );
}

/** A new identity takes the place of the old one where its state is written already, else it goes. */
function finishRenewal(store: Store, isRenewed: boolean): void {
  if (isRenewed) store.moveSecret(NEXT_IDENTITY, KEY_FILE.identity);
  else store.erase(NEXT_IDENTITY);
}

/**
 * Keys without a state are of a first start that was cut off before anything was sent, which goes on,
 * or of a node whose state is lost. The latter must not begin anew unasked: one would find itself alone
 * in a mesh of its own, and a founder would use its boot numbers twice.
 */
function refuseForgetful(
  store: Store,
  { founds, hasFounded }: { readonly founds: boolean; readonly hasFounded: boolean },
): void {
  const isUnfinished = hasFounded ? founds && store.read(PORT_FILE) === undefined : !founds;
  if (isUnfinished) return;
  const join = hasFounded ? "" : "start with the --join line again, ";
  throw new Failure(
    Exit.stuck,
    `state: ${store.dir}/${STATE_FILE} is missing: restore it from a copy, ${join}` +
      `or remove the folder to start anew`,
  );
}

/** NaN: it is damaged. */
function readPort(store: Store): number | undefined {
  const bytes = store.read(PORT_FILE);
  return bytes && Number(unwrap(PORT_FILE, bytes) ?? NaN);
}

function usualPortOf(store: Store, firstPort: () => number): number {
  const port = readPort(store) ?? firstPort();
  if (port > 0 && port < 65_536) return port;
  throw new Failure(
    Exit.stuck,
    `state: ${store.dir}/${PORT_FILE} is damaged: remove it, and the node takes UDP port ` +
      `${DEFAULT_PORT} or that of --listen`,
  );
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
