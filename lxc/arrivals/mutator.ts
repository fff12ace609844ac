/** Bytes and places that nobody expects, from one seed. */
import type { Arrival } from "../../mesh/tunnel/types.ts";
import { type Endpoint, parseAddress } from "../../mesh/endpoint.ts";
import type { Seeded } from "../../mesh/sim/random.ts";

/** Longest result; a mutant must fit into what seals it. */
const LONGEST = 1200;
const BYTES = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff];
const NUMBERS = [0n, 1n, 2n ** 15n, 2n ** 16n - 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 48n - 1n];
const ADDRESSES = [
  "0.0.0.0",
  "10.0.0.1",
  "100.64.0.1",
  "127.0.0.1",
  "169.254.169.254",
  "192.0.2.77",
  "224.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "::192.0.2.1",
  "64:ff9b::192.0.2.1",
  "2001:db8::7",
  "fe80::1",
  "ff02::1",
].flatMap((text) => parseAddress(text) ?? []);
/** ::ffff:192.0.2.1, which no text gives. */
const MAPPED = Uint8Array.fromHex("00000000000000000000ffffc0000201");
const PORTS = [0, 1, 53, 51820, 65535];

/** How the IPv4 addresses of a laboratory begin (mesh/sim/node_lab.ts). */
const NETWORK = [192, 0, 2];

export class Mutator {
  constructor(readonly random: Seeded) {}

  pick<T>(items: readonly T[]): T | undefined {
    return items[this.random.below(items.length)];
  }

  /** Some bytes, one to three changes away from these. `donor` lends pieces of its own. */
  mutate(bytes: Uint8Array, donor: Uint8Array): Uint8Array {
    let changed: Uint8Array = bytes.slice();
    for (let n = 1 + this.random.below(3); n > 0; n--) changed = this.#change(changed, donor);
    return changed.subarray(0, LONGEST);
  }

  /** The same with as many bytes: for what stands between lengths that must stay right. */
  mutateInPlace(bytes: Uint8Array): Uint8Array {
    const changed = bytes.slice();
    if (changed.length === 0) return changed;
    for (let n = 1 + this.random.below(3); n > 0; n--) this.#overwrite(changed);
    return changed;
  }

  /** Any place, sendable or not. */
  place(): Endpoint {
    const address = this.random.chance(0.1) ? MAPPED : this.pick(ADDRESSES) ?? MAPPED;
    const port = this.random.chance(0.5) ? this.pick(PORTS) ?? 0 : this.random.below(2 ** 16);
    const isLinkLocal = address[0] === 0xfe;
    return { address, port, scope: isLinkLocal ? this.random.below(4) : 0 };
  }

  /** Where a datagram came to: mostly an address of the sender's family, as core has it. */
  source(from: Endpoint): Arrival["source"] {
    if (this.random.chance(0.1)) return undefined;
    if (this.random.chance(0.1)) return { address: new Uint8Array(0), ifindex: 2 };
    const { length } = from.address;
    return { address: this.random.bytes(length), ifindex: this.random.below(4) };
  }

  #change(bytes: Uint8Array, donor: Uint8Array): Uint8Array {
    const { random } = this;
    const at = random.below(bytes.length + 1);
    const length = random.below(Math.min(80, bytes.length - at) + 1);
    switch (random.below(9)) {
      case 0: // cut off
        return bytes.slice(0, at);
      case 1: // more at the end
        return joined(bytes, random.chance(0.5) ? new Uint8Array(length) : random.bytes(length));
      case 2: // a piece is missing
        return joined(bytes.subarray(0, at), bytes.subarray(at + length));
      case 3: // a piece twice
        return joined(bytes.subarray(0, at + length), bytes.subarray(at));
      case 4: { // a piece of another
        const from = random.below(donor.length + 1);
        const piece = donor.subarray(from, from + random.below(200));
        return joined(bytes.subarray(0, at), piece, bytes.subarray(at + piece.length));
      }
      case 5: { // a place, as anything that has an address in it may have
        const { address, port } = this.place();
        const piece = joined(address, Uint8Array.of(port >> 8, port & 0xff));
        return joined(bytes.subarray(0, at), piece, bytes.subarray(at + piece.length));
      }
      default: {
        const changed = bytes.slice();
        if (changed.length > 0) this.#overwrite(changed);
        return changed;
      }
    }
  }

  #overwrite(bytes: Uint8Array): void {
    const { random } = this;
    if (random.chance(0.25) && this.#displace(bytes)) return;
    const at = random.below(bytes.length);
    switch (random.below(3)) {
      case 0:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
        return;
      case 1:
        bytes[at] = this.pick(BYTES) ?? 0;
        return;
      default: {
        const size = this.pick([2, 4, 6]) ?? 2;
        const number = this.pick(NUMBERS) ?? 0n;
        for (let i = 0; i < size && at + i < bytes.length; i++) {
          bytes[at + i] = Number(number >> BigInt(8 * (size - 1 - i)) & 0xffn);
        }
      }
    }
  }

  /** A place of the laboratory that stands here, wherever that is, becomes one of any kind. */
  #displace(bytes: Uint8Array): boolean {
    const found = [];
    for (let at = 0; at + 6 <= bytes.length; at++) {
      if (NETWORK.every((byte, i) => bytes[at + i] === byte)) found.push(at);
    }
    const at = this.pick(found);
    if (at === undefined) return false;
    const { address, port } = this.place();
    if (address.length === 4) bytes.set(address, at);
    if (this.random.chance(0.5)) bytes.set([port >> 8, port & 0xff], at + 4);
    return true;
  }
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
