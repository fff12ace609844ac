/**
 * The secret keys in the state folder: 32 bytes each, in hexadecimal, in a file of their own. They are
 * written once, and stand in nothing else that is written.
 */
import { checksumOf, unwrap, wrap } from "./envelope.ts";
import { Exit, Failure } from "./exit.ts";
import type { Store } from "./store.ts";

/** The file of each key; what its envelope says it is, too. */
export const KEY_FILE = {
  identity: "identity",
  meshKey: "mesh-key",
  recoveryKey: "recovery-key",
} as const;

/** A renewed identity, until the state that belongs to it is written. */
export const NEXT_IDENTITY = "identity.next";
/** A mesh key that is to take the place of the old one, until the mesh has heard of it. */
export const NEXT_MESH_KEY = "mesh-key.next";

export const KEY_LENGTH = 32;

export type KeyName = keyof typeof KEY_FILE;

/** What a person can do who has no copy of a damaged key. */
const WITHOUT: Readonly<Record<KeyName, string>> = {
  identity: "move the folder away and join anew",
  meshKey: "move it away: the node then goes on without the mesh key",
  recoveryKey:
    "move it away: the node then goes on, and the recovery key is only where else it was kept",
};

/** The keys that are on the disk. */
export interface Keys extends Readonly<Record<KeyName, Uint8Array | undefined>> {
  readonly nextIdentity: Uint8Array | undefined;
  readonly nextMeshKey: Uint8Array | undefined;
}

/** @throws {Failure} when one is damaged */
export function readKeys(store: Store): Keys {
  const sound = (name: KeyName) => {
    const seed = readKey(store, KEY_FILE[name], name);
    if (seed !== "damaged") return seed;
    throw new Failure(
      Exit.stuck,
      `state: ${store.dir}/${KEY_FILE[name]} is damaged: restore it from a copy, or ${
        WITHOUT[name]
      }`,
    );
  };
  // A damaged one was never finished, or the state says that it is missing.
  const next = (file: string, name: KeyName) => {
    const seed = readKey(store, file, name);
    return seed === "damaged" ? undefined : seed;
  };
  return {
    identity: sound("identity"),
    nextIdentity: next(NEXT_IDENTITY, "identity"),
    nextMeshKey: next(NEXT_MESH_KEY, "meshKey"),
    meshKey: sound("meshKey"),
    recoveryKey: sound("recoveryKey"),
  };
}

function readKey(store: Store, file: string, name: KeyName): Uint8Array | "damaged" | undefined {
  const bytes = store.read(file);
  if (bytes === undefined) return undefined;
  const [, hex] = /^"([0-9a-f]{64})"$/.exec(unwrap(KEY_FILE[name], bytes) ?? "") ?? [];
  return hex === undefined ? "damaged" : Uint8Array.fromHex(hex);
}

function keyText(seed: Uint8Array): string {
  return JSON.stringify(seed.toHex());
}

export function wrapKey(name: KeyName, seed: Uint8Array): Uint8Array {
  return wrap(KEY_FILE[name], keyText(seed));
}

/** By what a state names the identity that it belongs to: the checksum in that identity's file. */
export function ownerMark(seed: Uint8Array): string {
  return checksumOf(KEY_FILE.identity, keyText(seed));
}
