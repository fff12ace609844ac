/**
 * What a node must remember to come back without anybody's help, as plain JSON. It holds no secret:
 * the identity's seed and the mesh key are files of their own. Keys and ids are lower-case
 * hexadecimal, longer byte strings base64url, times unix seconds.
 */
import type { MemberId } from "./trust/identity.ts";

export interface MemberSnapshot {
  /** The member's last record, base64url. Verified again when it is read. */
  readonly record: string;
  /** Where authenticated traffic came from last, as `formatEndpoint` writes it. */
  readonly endpoint?: string;
  /** The incarnation with which it said good-bye; absent for everybody else, the dead as well. */
  readonly leftAt?: number;
}

export interface NodeSnapshot {
  readonly v: 1;
  readonly name: string;
  /** The mesh's public key; absent while the node waits to be admitted to one. */
  readonly meshKey?: string;
  /** The node's own chain, base64url; absent without one. */
  readonly chain?: string;
  /** How often the node has started; the next start takes the next number. */
  readonly boot: number;
  readonly ip4Counter: number;
  readonly incarnation: number;
  readonly members: readonly MemberSnapshot[];
  /** Individually trusted keys with their names. */
  readonly trusted: readonly { readonly key: MemberId; readonly name: string }[];
  /** Signed revocations, base64url. */
  readonly revocations: readonly string[];
  /** Chains that redeemed a token which has not expired yet, base64url. */
  readonly redeemed: readonly string[];
  /** `HOST:PORT` that were given with --join or stood in the token. */
  readonly seeds: readonly string[];
}

/** Starts, incarnations and addresses that a node counts, as wide as their fields on the wire. */
const COUNT_MAX = 0xffff_ffff;
const IP4_COUNTER_MAX = 0xffff;

/**
 * What was written as JSON, or undefined when it cannot have been: a value of another shape would
 * fail somewhere inside. Whether what is signed in it still holds is judged where it is used.
 */
export function readSnapshot(json: unknown): NodeSnapshot | undefined {
  if (!isObject(json)) return undefined;
  const { v, name, meshKey, chain, boot, ip4Counter, incarnation } = json;
  const { members, trusted, revocations, redeemed, seeds } = json;
  const isSound = v === 1 && isText(name) && isTextOrNone(meshKey) && isTextOrNone(chain) &&
    // The next start counts on from these.
    isCount(boot, COUNT_MAX - 1) && isCount(incarnation, COUNT_MAX - 1) &&
    isCount(ip4Counter, IP4_COUNTER_MAX) &&
    isListOf(
      members,
      (one) =>
        isObject(one) && isText(one["record"]) && isTextOrNone(one["endpoint"]) &&
        (one["leftAt"] === undefined || isCount(one["leftAt"], COUNT_MAX)),
    ) &&
    isListOf(trusted, (one) => isObject(one) && isText(one["key"]) && isText(one["name"])) &&
    isListOf(revocations, isText) && isListOf(redeemed, isText) && isListOf(seeds, isText);
  return isSound ? json as unknown as NodeSnapshot : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

function isTextOrNone(value: unknown): boolean {
  return value === undefined || isText(value);
}

function isCount(value: unknown, max: number): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= max;
}

function isListOf(value: unknown, isOne: (one: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isOne);
}
