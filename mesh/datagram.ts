/**
 * What shares the one UDP port, told apart by its first four bytes: WireGuard's types 1 to 4 with
 * three zero bytes (R21), and Shoal's own in a range that neither WireGuard nor STUN uses, followed
 * by the version of the format and two zero bytes. The first format had zero where the version is.
 */

export type ControlType = "sealed" | "hello" | "ask" | "answer";
export type DatagramKind = ControlType | "handshake" | "data";

/** The version of every control datagram of this program. */
export const VERSION = 4;

/** Above 0xc0: STUN begins with two zero bits (RFC 8489 section 5). */
const CONTROL_TYPES: Readonly<Record<ControlType, number>> = {
  sealed: 0xc1,
  hello: 0xc2,
  ask: 0xc3,
  answer: 0xc4,
};

/** Bytes that say what a datagram is. */
export const HEAD_SIZE = 4;

const TUNNEL_KINDS: ReadonlyMap<number, DatagramKind> = new Map([
  [1, "handshake"],
  [2, "handshake"],
  [3, "handshake"],
  [4, "data"],
]);
const CONTROL_KINDS: ReadonlyMap<number, ControlType> = new Map(
  Object.entries(CONTROL_TYPES).map(([kind, type]) => [type, kind as ControlType]),
);

/** The first four bytes of a control datagram. */
export function headOf(type: ControlType): Uint8Array {
  return Uint8Array.of(CONTROL_TYPES[type], VERSION, 0, 0);
}

/** Undefined: of no kind that this version knows. */
export function kindOf(bytes: Uint8Array): DatagramKind | undefined {
  const head = headIn(bytes);
  if (head === undefined) return undefined;
  if (head.second === 0) return TUNNEL_KINDS.get(head.type);
  return head.second === VERSION ? CONTROL_KINDS.get(head.type) : undefined;
}

/** The version of a control datagram that another version of Shoal sent; undefined: it is none. */
export function otherVersionOf(bytes: Uint8Array): number | undefined {
  const head = headIn(bytes);
  if (head === undefined || !CONTROL_KINDS.has(head.type)) return undefined;
  const version = Math.max(head.second, 1);
  return version === VERSION ? undefined : version;
}

/** The two bytes that tell kinds apart; undefined when the datagram is too short or ill-formed. */
function headIn(bytes: Uint8Array): { type: number; second: number } | undefined {
  const [type, second, ...reserved] = bytes.subarray(0, HEAD_SIZE);
  if (type === undefined || second === undefined || reserved.length !== 2) return undefined;
  return reserved.every((byte) => byte === 0) ? { type, second } : undefined;
}
