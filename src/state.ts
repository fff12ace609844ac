/**
 * What a mesh node remembers over a restart: its identity, the mesh key where this machine founded
 * the mesh, what it knew of the mesh, and the port that others expect it at.
 *
 * What is on disk and when: a member's state is written before the datagrams leave that depend on
 * it. A node that is not a member of anything yet writes nothing, so that a first start that fails
 * (a token for another mesh, a seed that is silent) leaves the state folder as it was. The first
 * write of a start counts that start, without which nothing may be sent: where it fails, the node
 * does. Any later one that fails loses news at most (mesh/event.ts): it is a line of the health, and
 * tried again until it works.
 */
import { SEEDS_MAX } from "../mesh/join.ts";
import { RECORD_MAX } from "../mesh/record.ts";
import { MEMBERS_MAX } from "../mesh/roster.ts";
import { type NodeSnapshot, readSnapshot } from "../mesh/snapshot.ts";
import { CHAIN_MAX } from "../mesh/trust/certificate.ts";
import { REDEMPTIONS_MAX, REVOCATIONS_MAX, TRUSTED_MAX } from "../mesh/trust/trust.ts";
import { DEFAULT_PORT } from "./config.ts";
import { Exit, Failure } from "./exit.ts";
import { random } from "./random.ts";
import { Store } from "./store.ts";

const FILE = {
  identity: "identity",
  meshKey: "mesh-key",
  state: "state.json",
  port: "port",
} as const;

const KEY_LENGTH = 32;

/** Bytes that a first join needs on the disk: its keys, its chain, and the members that it is told of at first. */
const JOIN_ROOM = 64 * 1024;

/** Characters of one thing beside its signed bytes: names of fields, an endpoint, a name, a key. */
const BESIDE = 256;
/** Bytes of a revocation beside its chain: who, when, until when, a signature. */
const REVOCATION_BESIDE = 128;
/** A host name and its port. */
const SEED_MAX = 260;

function textOf(things: number, bytes: number): number {
  return things * (Math.ceil((4 * bytes) / 3) + BESIDE);
}

/** Every table of the mesh full, and the node's own name, chain and seeds: about 92 million bytes. */
const FILE_MAX = textOf(MEMBERS_MAX, RECORD_MAX) +
  textOf(REVOCATIONS_MAX, REVOCATION_BESIDE + CHAIN_MAX) +
  textOf(REDEMPTIONS_MAX, CHAIN_MAX) +
  textOf(TRUSTED_MAX, 0) +
  textOf(SEEDS_MAX, SEED_MAX) + textOf(1, CHAIN_MAX);

export type StateNews =
  /** The state could not be written; told once, until it can be again. */
  | { readonly kind: "stateUnsaved"; readonly reason: string }
  | { readonly kind: "stateSaved" };

interface StateOptions {
  readonly dir: string;
  /** Without a state a new mesh is founded. */
  readonly founds: boolean;
  readonly onNews: (news: StateNews) => void;
}

/** What is remembered beside the secrets. */
export interface Memory {
  readonly snapshot: NodeSnapshot;
  /** Undefined: the node has one that nobody should expect it at. */
  readonly port: number | undefined;
}

export class NodeState {
  /** 32 bytes, secret. */
  readonly identitySeed: Uint8Array;
  /** 32 bytes, secret; undefined: another machine founded the mesh. */
  readonly meshSeed: Uint8Array | undefined;
  /** Undefined: there was no state before. */
  readonly snapshot: NodeSnapshot | undefined;
  /** The port that other members and firewalls expect: that of the last start, else the usual one. */
  readonly usualPort: number;

  readonly #store: Store;
  readonly #onNews: (news: StateNews) => void;
  #isKept: boolean;
  #isOnDisk = false;
  #unsaved: Failure | undefined;

  /** @throws {Failure} naming what is wrong with the folder, which is left as it was */
  static open(options: StateOptions): NodeState {
    const store = Store.open(options.dir, FILE_MAX);
    try {
      return new NodeState(store, options);
    } catch (error) {
      store.close();
      throw error;
    }
  }

  private constructor(store: Store, { founds, onNews }: StateOptions) {
    this.#store = store;
    this.#onNews = onNews;
    this.snapshot = readMemory(store);
    const identitySeed = readKey(store, FILE.identity);
    const meshSeed = readKey(store, FILE.meshKey);
    if (this.snapshot !== undefined && identitySeed === undefined) {
      throw new Failure(
        Exit.failed,
        `state: ${store.dir}/${FILE.identity} is missing: restore it, or remove the folder to start anew`,
      );
    }
    const isFounding = this.snapshot === undefined && founds;
    if (this.snapshot === undefined && (identitySeed ?? meshSeed) !== undefined) {
      refuseForgetful(store, { founds, hasFounded: meshSeed !== undefined });
    }
    this.identitySeed = identitySeed ?? random(KEY_LENGTH);
    this.meshSeed = meshSeed ?? (isFounding ? random(KEY_LENGTH) : undefined);
    this.usualPort = readPort(store);
    // A token is used up before its use is written down: a full disk must be found out before.
    if (this.snapshot === undefined && !founds) store.needRoom(JOIN_ROOM);
    // A joiner of whom nobody has heard yet has nothing to lose.
    this.#isKept = this.snapshot !== undefined || this.meshSeed !== undefined;
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
    if (!this.#isKept) return;
    try {
      this.#write(memory());
    } catch (error) {
      if (!(error instanceof Failure) || !this.#isOnDisk) throw error;
      if (this.#unsaved === undefined) {
        this.#onNews({ kind: "stateUnsaved", reason: error.message });
      }
      this.#unsaved = error;
      return;
    }
    this.#isOnDisk = true;
    if (this.#unsaved !== undefined) this.#onNews({ kind: "stateSaved" });
    this.#unsaved = undefined;
  }

  /** Tries again what failed, if something did. */
  mend(memory: () => Memory): void {
    if (this.#unsaved !== undefined) this.save(memory);
  }

  health(): string[] {
    if (this.#unsaved === undefined) return [];
    return [
      `the folder ${this.#store.dir} cannot be written, so a restart would forget what the node ` +
      `learnt since: ${this.#unsaved.message}`,
    ];
  }

  /** Wipes the keys and gives the folder back. */
  close(): void {
    this.#store.close();
    this.identitySeed.fill(0);
    this.meshSeed?.fill(0);
  }

  #write({ snapshot, port }: Memory): void {
    const store = this.#store;
    const { identitySeed, meshSeed } = this;
    if (store.read(FILE.identity) === undefined) store.create(FILE.identity, identitySeed);
    if (meshSeed && store.read(FILE.meshKey) === undefined) store.create(FILE.meshKey, meshSeed);
    store.write(FILE.state, utf8(JSON.stringify(snapshot)));
    // Last, and always: by it a founding that ended is told from one that did not.
    const last = text(store.read(FILE.port));
    const usual = String(port ?? last ?? this.usualPort);
    if (last !== usual) store.write(FILE.port, utf8(usual));
  }
}

function readKey(store: Store, file: string): Uint8Array | undefined {
  const seed = store.read(file);
  if (seed === undefined || seed.length === KEY_LENGTH) return seed;
  throw new Failure(
    Exit.failed,
    `state: ${store.dir}/${file} has ${seed.length} bytes instead of ${KEY_LENGTH}: ` +
      `restore it from a copy`,
  );
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
  const isUnfinished = hasFounded ? founds && store.read(FILE.port) === undefined : !founds;
  if (isUnfinished) return;
  const join = hasFounded ? "" : "start with the --join line again, ";
  throw new Failure(
    Exit.failed,
    `state: ${store.dir}/${FILE.state} is missing: restore it from a copy, ${join}` +
      `or remove the folder to start anew`,
  );
}

function readMemory(store: Store): NodeSnapshot | undefined {
  const bytes = store.read(FILE.state);
  if (bytes === undefined) return undefined;
  try {
    const snapshot = readSnapshot(JSON.parse(text(bytes) ?? ""));
    if (snapshot !== undefined) return snapshot;
  } catch {
    // Said below.
  }
  throw new Failure(
    Exit.failed,
    `state: ${store.dir}/${FILE.state} is damaged or of another version: restore it from a copy, ` +
      `or remove the folder to start anew`,
  );
}

function readPort(store: Store): number {
  const last = Number(text(store.read(FILE.port)) ?? DEFAULT_PORT);
  return last > 0 && last < 65_536 ? last : DEFAULT_PORT;
}

function utf8(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes && new TextDecoder().decode(bytes);
}
