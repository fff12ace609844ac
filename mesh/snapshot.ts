/**
 * What a node must remember to come back without anybody's help, as plain JSON. It holds no secret:
 * the seeds of keys are files of their own. Keys and ids are lower-case hexadecimal, longer byte
 * strings base64url, times unix seconds.
 */
import type { MemberId } from "./membership/identity.ts";

export interface MemberSnapshot {
  /** The member's last record, base64url. Verified again when it is read. */
  readonly record: string;
  /** Where authenticated traffic came from last, as `formatEndpoint` writes it. */
  readonly endpoint?: string;
  /** The incarnation with which it said good-bye; absent for everybody else, the dead as well. */
  readonly leftAt?: number;
  /** When it was last known to live. */
  readonly aliveAt?: number;
  /** For how many seconds this node had heard others and not it; absent: none. */
  readonly silentFor?: number;
}

export interface NodeSnapshot {
  readonly v: 3;
  readonly name: string;
  /** What the mesh was founded with, base64url; absent while the node waits to be admitted to one. */
  readonly genesis?: string;
  /** The admission of this node as long as no admin has certified it, base64url. */
  readonly admission?: string;
  /** How often the node has started; the next start takes the next number. */
  readonly boot: number;
  readonly incarnation: number;
  /** The highest numbers of statements that this node has used. */
  readonly numbers: { readonly own: number; readonly mesh: number };
  /** Statements, base64url, also those that lost their number, and when this node heard of each first. */
  readonly statements: readonly { readonly bytes: string; readonly seen: number }[];
  /** Whom tokens have let in, in the order in which this node took them, base64url. */
  readonly admissions: readonly string[];
  readonly members: readonly MemberSnapshot[];
  /** Where the guests that this node serves were last, as `formatEndpoint` writes it; absent: nowhere. */
  readonly guests?: readonly { readonly key: string; readonly endpoint: string }[];
  /** Individually trusted keys with their names. */
  readonly trusted: readonly { readonly key: MemberId; readonly name: string }[];
  /** Where to knock: `HOST:PORT`, and the key of the member that is there, where it is known. */
  readonly seeds: readonly { readonly seed: string; readonly key?: MemberId }[];
}

/** Starts and incarnations that a node counts, as wide as their fields on the wire. */
const COUNT_MAX = 0xffff_ffff;
/** As wide as the field of a number on the wire; a key may use fewer (statement.ts). */
const NUMBER_FIELD_MAX = 0xffff;

/**
 * What was written as JSON, or undefined when it cannot have been: a value of another shape would
 * fail somewhere inside. Whether what is signed in it still holds is judged where it is used.
 */
export function readSnapshot(json: unknown): NodeSnapshot | undefined {
  if (!isObject(json)) return undefined;
  const { v, name, genesis, admission, boot, incarnation, numbers } = json;
  const { statements, admissions, members, trusted, seeds, guests } = json;
  const isSound = v === 3 && isText(name) && isTextOrNone(genesis) && isTextOrNone(admission) &&
    isCount(boot, COUNT_MAX) && isCount(incarnation, COUNT_MAX) &&
    isRecordOf(numbers, { own: isNumber, mesh: isNumber }) &&
    isListOf(statements, (one) => isRecordOf(one, { bytes: isText, seen: isTime })) &&
    isListOf(admissions, isText) &&
    isListOf(
      members,
      (one) =>
        isRecordOf(one, {
          record: isText,
          endpoint: isTextOrNone,
          leftAt: (at) => at === undefined || isCount(at, COUNT_MAX),
          aliveAt: (at) => at === undefined || isTime(at),
          silentFor: (seconds) => seconds === undefined || isTime(seconds),
        }),
    ) &&
    (guests === undefined ||
      isListOf(guests, (one) => isRecordOf(one, { key: isKey, endpoint: isText }))) &&
    isListOf(trusted, (one) => isRecordOf(one, { key: isKey, name: isText })) &&
    isListOf(seeds, (one) =>
      isRecordOf(one, {
        seed: isText,
        key: (key) => key === undefined || isKey(key),
      }));
  return isSound ? json as unknown as NodeSnapshot : undefined;
}

type Check = (value: unknown) => boolean;

function isRecordOf(value: unknown, fields: Readonly<Record<string, Check>>): boolean {
  return isObject(value) && Object.entries(fields).every(([name, check]) => check(value[name]));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

function isKey(value: unknown): boolean {
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
}

function isTextOrNone(value: unknown): boolean {
  return value === undefined || isText(value);
}

function isNumber(value: unknown): boolean {
  return isCount(value, NUMBER_FIELD_MAX);
}

function isTime(value: unknown): boolean {
  return isCount(value, Number.MAX_SAFE_INTEGER);
}

function isCount(value: unknown, max: number): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= max;
}

function isListOf(value: unknown, isOne: Check): boolean {
  return Array.isArray(value) && value.every(isOne);
}
