import type { Prefix } from "./machine.ts";

/**
 * The prefix with its host bits cut off.
 * @throws {RangeError} when the address is of no family or the length beyond it
 */
export function networkOf({ address, length }: Prefix): Prefix {
  const bits = address.length * 8;
  if ((bits !== 32 && bits !== 128) || !(length >= 0 && length <= bits)) {
    throw new RangeError(`prefix: length ${length} of ${bits} bits`);
  }
  if (length === bits) return { address: address.slice(), length };
  const cut = address.map((byte, i) => {
    const kept = Math.min(8, Math.max(0, length - 8 * i));
    return byte & (0xff << (8 - kept));
  });
  return { address: cut, length };
}

/** A network as the key of a table: two are the same exactly if their texts are. */
export function prefixText({ address, length }: Prefix): string {
  return `${address.toHex()}/${length}`;
}
