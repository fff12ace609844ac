/**
 * The two generations of a node's memory on the disk: the newest, and the one before it. A person is
 * asked before the previous one is taken, because what it does not know has happened nevertheless.
 */
import { NUMBER_MAX } from "../mesh/membership/statement.ts";
import { type NodeSnapshot, readSnapshot } from "../mesh/snapshot.ts";
import { unwrap, wrap } from "./envelope.ts";
import { Exit, Failure } from "./exit.ts";
import { KEY_FILE, type Keys, ownerMark } from "./keys.ts";
import type { Store } from "./store.ts";

export const STATE_FILE = "state.json";
/** As store.ts names it. */
const PREVIOUS_FILE = `${STATE_FILE}.old`;
const KIND = "state";

/**
 * Starts that are counted as gone when a node goes on from the previous generation of its state. The
 * newest generation, which nobody can read any more, may have counted starts that the previous one
 * does not know: one, where it was the first of a start; more only where other members told the node
 * of numbers that it had forgotten, and they will tell it again. Sequence numbers of records and
 * counters of control datagrams begin anew at every start, so no start may be numbered twice: that
 * would mute the node as a replay, and look like a second machine with its key. 1,024 of the 2^20
 * starts that there are is far beyond every such number, and may be done hundreds of times.
 */
const PREVIOUS_LEAP = 1024;
/**
 * Numbers of statements that a start from the previous state leaves out: of two statements with one
 * number only one counts, and a person does not sign so many between two writes of the state.
 */
const NUMBERS_LEAP = 64;

/** The content of a state file. */
export interface Remembered {
  readonly snapshot: NodeSnapshot;
  /** The identity that it belongs to: {@link ownerMark}. */
  readonly identity: string;
}

/** What a state file is found to be; undefined: it is not there. */
type Found = Remembered | "damaged" | undefined;

export function isSound(found: Found): found is Remembered {
  return typeof found === "object";
}

export function wrapMemory(identitySeed: Uint8Array, snapshot: NodeSnapshot): Uint8Array {
  const memory: Remembered = { identity: ownerMark(identitySeed), snapshot };
  return wrap(KIND, JSON.stringify(memory));
}

export function readMemory(bytes: Uint8Array | undefined): Found {
  if (bytes === undefined) return undefined;
  const json = unwrap(KIND, bytes);
  if (json === undefined) return "damaged";
  try {
    const { identity, snapshot } = JSON.parse(json);
    const sound = readSnapshot(snapshot);
    return sound && typeof identity === "string" ? { identity, snapshot: sound } : "damaged";
  } catch {
    return "damaged";
  }
}

/** @throws {Failure} when it is damaged, or lost and a previous generation is there */
export function newestMemory(store: Store, keys: Keys): Remembered | undefined {
  const newest = readMemory(store.read(STATE_FILE));
  if (isSound(newest)) return newest;
  const previous = readMemory(store.read(PREVIOUS_FILE));
  if (newest === undefined && previous === undefined) return undefined;
  const trouble = newest === undefined ? "is missing" : "is damaged or of another version";
  const isThere = isSound(previous) && seedOf(previous, keys) !== undefined;
  throw new Failure(
    Exit.stuck,
    `state: ${store.dir}/${STATE_FILE} ${trouble}: ` +
      (isThere
        ? `start once with \`shoal node --previous-state\` to go on from ${PREVIOUS_FILE}, ` +
          `which is what was written before it, or restore the folder from a copy`
        : `restore the folder from a copy, or move it away to start anew`),
  );
}

/** @throws {Failure} when it is not needed, or not there, or damaged as well */
export function previousMemory(store: Store, keys: Keys): Remembered {
  if (isSound(readMemory(store.read(STATE_FILE)))) {
    const what = `state: ${store.dir}/${STATE_FILE} is sound: leave out --previous-state`;
    throw new Failure(Exit.usage, what);
  }
  const previous = readMemory(store.read(PREVIOUS_FILE));
  if (!isSound(previous) || seedOf(previous, keys) === undefined) {
    const trouble = previous === undefined
      ? "is missing"
      : isSound(previous)
      ? "belongs to another identity"
      : "is damaged, too";
    throw new Failure(
      Exit.stuck,
      `state: ${store.dir}/${PREVIOUS_FILE} ${trouble}: ` +
        `restore the folder from a copy, or move it away to start anew`,
    );
  }
  const { snapshot } = previous;
  const leap = (number: number) => Math.min(number + NUMBERS_LEAP, NUMBER_MAX);
  const numbers = { own: leap(snapshot.numbers.own), mesh: leap(snapshot.numbers.mesh) };
  const boot = snapshot.boot + PREVIOUS_LEAP;
  return { ...previous, snapshot: { ...snapshot, boot, numbers } };
}

/** The seed of the identity that a state belongs to, if it is there. */
function seedOf(memory: Remembered, { identity, nextIdentity }: Keys): Uint8Array | undefined {
  return [identity, nextIdentity].find((seed) => seed && ownerMark(seed) === memory.identity);
}

/** The identity that a state belongs to. @throws {Failure} when it is not there */
export function ownerOf(store: Store, memory: Remembered, keys: Keys): Uint8Array {
  const seed = seedOf(memory, keys);
  if (seed !== undefined) return seed;
  const path = `${store.dir}/${KEY_FILE.identity}`;
  throw new Failure(
    Exit.stuck,
    keys.identity === undefined
      ? `state: ${path} is missing: restore it, or remove the folder to start anew`
      : `state: ${path} and ${STATE_FILE} do not belong together: restore both from one copy`,
  );
}
