/**
 * What shares the one UDP port, told apart by its first four bytes: WireGuard's types 1 to 4 (R21),
 * and Shoal's own in a range that neither WireGuard nor STUN uses. Three zero bytes follow each.
 */

export type ControlType = "sealed" | "hello" | "ask" | "answer";
export type DatagramKind = ControlType | "handshake" | "data";

/** Above 0xc0: STUN begins with two zero bits (RFC 8489 section 5). */
export const CONTROL_TYPES: Readonly<Record<ControlType, number>> = {
  sealed: 0xc1,
  hello: 0xc2,
  ask: 0xc3,
  answer: 0xc4,
};

const KINDS: ReadonlyMap<number | undefined, DatagramKind> = new Map<number, DatagramKind>([
  [1, "handshake"],
  [2, "handshake"],
  [3, "handshake"],
  [4, "data"],
  ...Object.entries(CONTROL_TYPES).map(([kind, type]) => [type, kind as ControlType] as const),
]);

/** Undefined: of nobody that we know. */
export function kindOf(bytes: Uint8Array): DatagramKind | undefined {
  const [type, ...reserved] = bytes.subarray(0, 4);
  const isFormed = reserved.length === 3 && reserved.every((byte) => byte === 0);
  return isFormed ? KINDS.get(type) : undefined;
}
