/**
 * What a mesh is founded with, and never changes: two public keys, its name, and the pool of its IPv4
 * addresses. All members agree on it, since the mesh id follows from it.
 *
 * ```
 * genesis  mesh key 32 | recovery key 32 | name 1 + n | pool 4 + 1
 * mesh id  BLAKE2s(label, genesis) 27 | pool 4 + 1
 * ```
 *
 * The pool stands in the mesh id itself, so that whoever knows the id knows which addresses are inside
 * the mesh. 27 bytes of hash keep two meshes apart.
 */
import { type Decoded, Reader, refusal, Writer } from "../codec.ts";
import { type Crypto, KEY_LENGTH } from "../crypto.ts";
import { formatAddress, isWithin, parseAddress, sameBytes } from "../endpoint.ts";
import type { Prefix } from "../machine.ts";
import { networkOf } from "../prefix.ts";
import { isName } from "./statement.ts";

export interface Genesis {
  /** Signs admins, until a successor is named. */
  readonly meshKey: Uint8Array;
  /** Names the successor of a mesh key that was stolen or lost. */
  readonly recoveryKey: Uint8Array;
  /** A DNS label: members are NAME.MESH.internal to a resolver. */
  readonly name: string;
  readonly pool: Prefix;
}

/** 100.64.0.0/10 (RFC 6598) */
export const DEFAULT_POOL: Prefix = { address: Uint8Array.of(100, 64, 0, 0), length: 10 };
/** A pool has 254 addresses at least: which of them a member has follows from a hash. */
const POOL_LENGTH_MAX = 24;
const POOL_LENGTH_MIN = 8;
/** Networks that belong to nobody on the Internet: RFC 1918, RFC 6598, RFC 2544. */
const PRIVATE = [
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "100.64.0.0/10",
  "198.18.0.0/15",
];
const POOL_SIZE = 5;
const NAME_MAX = 63;
const MESH_ID = new TextEncoder().encode("shoal mesh id 3\0");

/**
 * 32 bytes that follow from the genesis, so that they outlive the mesh key. They separate the
 * signatures, seals and addresses of one mesh from those of every other.
 */
export function meshIdOf(crypto: Crypto, genesis: Genesis): Uint8Array {
  const id = crypto.blake2s(MESH_ID, encodeGenesis(genesis));
  const { address, length } = genesis.pool;
  id.set(address, id.length - POOL_SIZE);
  id[id.length - 1] = length;
  return id;
}

/** The IPv4 network that the members of a mesh have their addresses in. */
export function poolOf(meshId: Uint8Array): Prefix {
  const at = meshId.length - POOL_SIZE;
  return { address: meshId.subarray(at, at + 4), length: meshId[at + 4] ?? 0 };
}

export function encodeGenesis(genesis: Genesis): Uint8Array {
  const { meshKey, recoveryKey, name, pool } = genesis;
  return new Writer().bytes(meshKey).bytes(recoveryKey).text(name).bytes(pool.address)
    .u8(pool.length).finish();
}

/** Reads what {@link encodeGenesis} wrote; a name or a pool that no mesh can have fails the reader. */
export function readGenesis(reader: Reader): Genesis {
  const meshKey = reader.bytes(KEY_LENGTH);
  const recoveryKey = reader.bytes(KEY_LENGTH);
  const name = reader.text(NAME_MAX);
  const pool = { address: reader.bytes(POOL_SIZE - 1), length: reader.u8() };
  if (reader.error === undefined && !isName(name)) reader.fail("a mesh name that is no DNS label");
  if (reader.error === undefined && !isPool(pool)) reader.fail("a pool that no mesh can have");
  return { meshKey, recoveryKey, name, pool };
}

export function decodeGenesis(bytes: Uint8Array): Decoded<Genesis> {
  const reader = new Reader(bytes);
  return reader.finish(readGenesis(reader));
}

/** Reads `10.77.0.0/16`. What is wrong is said without the name of an option. */
export function readPool(text: string): Decoded<Prefix> {
  const match = /^([0-9.]+)\/(\d{1,2})$/.exec(text);
  const address = match && parseAddress(match[1] ?? "");
  if (!match || address?.length !== 4) {
    return refusal(`'${text}' is no IPv4 network, for example 10.77.0.0/16`);
  }
  const length = Number(match[2]);
  if (length < POOL_LENGTH_MIN || length > POOL_LENGTH_MAX) {
    return refusal(
      `'${text}' is too ${length > POOL_LENGTH_MAX ? "small" : "large"}: a pool is a ` +
        `/${POOL_LENGTH_MIN} to a /${POOL_LENGTH_MAX} (254 addresses)`,
    );
  }
  const pool = networkOf({ address, length });
  if (!sameBytes(pool.address, address)) {
    return refusal(`'${text}' is an address inside a network: did you mean ${formatPool(pool)}?`);
  }
  if (!isPool(pool)) {
    return refusal(
      `'${text}' belongs to others on the Internet: choose within ${PRIVATE.join(", ")}`,
    );
  }
  return { ok: true, value: pool };
}

export function formatPool({ address, length }: Prefix): string {
  return `${formatAddress(address)}/${length}`;
}

/** How many members can have an address of a pool: neither its own nor the broadcast address. */
export function hostsOf({ length }: Prefix): number {
  return 2 ** (32 - length) - 2;
}

function isPool(pool: Prefix): boolean {
  if (pool.length < POOL_LENGTH_MIN || pool.length > POOL_LENGTH_MAX) return false;
  if (!sameBytes(networkOf(pool).address, pool.address)) return false;
  return PRIVATE.some((text) => {
    const [address = "", length = ""] = text.split("/");
    const network = { address: parseAddress(address) ?? new Uint8Array(), length: Number(length) };
    return pool.length >= network.length && isWithin(pool.address, network);
  });
}
