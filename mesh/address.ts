/**
 * Addresses inside the mesh, which every node computes for every other without asking anybody.
 *
 * IPv6: `fd`, 40 bits of the mesh id, 16 zero bits, 64 bits of the key's hash. All members share
 * one /64; two keys clash once in 2^32 members.
 *
 * IPv4: 22 bits of a hash over the key and a counter, in 100.64.0.0/10 (RFC 6598). That does clash:
 * with 2,000 members in more than every third mesh. Then everybody gives the address to the same
 * one: the member whose membership was issued earlier (by an admin's signature, so not chosen by
 * the joiner), at equal times the lower key. The other holds no IPv4 address until its next
 * record, in which it has raised its counter.
 */
import type { Crypto } from "./crypto.ts";
import type { Prefix } from "./machine.ts";
import { Writer } from "./codec.ts";
import type { MemberId } from "./trust/identity.ts";

const IP6_LABEL = new TextEncoder().encode("shoal ip6 1");
const IP4_LABEL = new TextEncoder().encode("shoal ip4 1");

/** 100.64.0.0/10 */
export const IP4_PREFIX: Prefix = { address: Uint8Array.of(100, 64, 0, 0), length: 10 };
const IP4_HOSTS = 2 ** 22 - 2; // neither the network's own nor the broadcast address

/** Whether 4 bytes are an address of {@link IP4_PREFIX}. */
export function isInIp4Network([a, b = 0, ...rest]: Uint8Array): boolean {
  return rest.length === 2 && a === 100 && b >> 6 === 1;
}

/** The /64 of the whole mesh. */
function ip6Prefix(meshId: Uint8Array): Prefix {
  const address = new Uint8Array(16);
  address[0] = 0xfd;
  address.set(meshId.subarray(0, 5), 1);
  return { address, length: 64 };
}

export function ip6Of(crypto: Crypto, meshId: Uint8Array, key: Uint8Array): Uint8Array {
  const { address } = ip6Prefix(meshId);
  address.set(crypto.blake2s(IP6_LABEL, meshId, key).subarray(0, 8), 8);
  return address;
}

export function ip4Of(
  crypto: Crypto,
  meshId: Uint8Array,
  key: Uint8Array,
  counter: number,
): Uint8Array {
  const hash = crypto.blake2s(IP4_LABEL, meshId, key, new Writer().u16(counter).finish());
  // 48 bits modulo 2^22 - 2: the bias is below 2^-25.
  const host = 1 + hash.subarray(0, 6).reduce((sum, byte) => sum * 256 + byte, 0) % IP4_HOSTS;
  return Uint8Array.of(100, 64 + (host >> 16), (host >> 8) & 0xff, host & 0xff);
}

/** One member's wish for an IPv4 address. */
export interface Claim {
  readonly id: MemberId;
  /** Unix seconds, signed by an admin. */
  readonly issuedAt: number;
  readonly ip4: Uint8Array;
}

/** Whether `a` keeps an address that `b` wants too. The same on every node. */
function hasPrecedence(a: Claim, b: Claim): boolean {
  return a.issuedAt !== b.issuedAt ? a.issuedAt < b.issuedAt : a.id < b.id;
}

/** Who holds which IPv4 address. As large as the member table that feeds it. */
export class AddressBook {
  readonly #claims = new Map<MemberId, Claim>();
  readonly #wanted = new Map<string, Set<MemberId>>();

  /** A member's wish, replacing its earlier one. */
  claim(claim: Claim): void {
    this.release(claim.id);
    this.#claims.set(claim.id, claim);
    const name = claim.ip4.join(".");
    const wanting = this.#wanted.get(name) ?? new Set();
    this.#wanted.set(name, wanting.add(claim.id));
  }

  /** Forgets a member's wish. */
  release(id: MemberId): void {
    const old = this.#claims.get(id);
    if (old === undefined) return;
    this.#claims.delete(id);
    const name = old.ip4.join(".");
    const wanting = this.#wanted.get(name);
    wanting?.delete(id);
    if (wanting?.size === 0) this.#wanted.delete(name);
  }

  /** Who else wants the address that this member wants. */
  rivals(id: MemberId): MemberId[] {
    const name = this.#claims.get(id)?.ip4.join(".");
    return [...this.#wanted.get(name ?? "") ?? []].filter((other) => other !== id);
  }

  /** The one member that holds an address. */
  holder(ip4: Uint8Array): MemberId | undefined {
    let best: Claim | undefined;
    for (const id of this.#wanted.get(ip4.join(".")) ?? []) {
      const claim = this.#claims.get(id);
      if (claim && (best === undefined || hasPrecedence(claim, best))) best = claim;
    }
    return best?.id;
  }

  /** A member's address if it holds it, undefined while it must step aside. */
  addressOf(id: MemberId): Uint8Array | undefined {
    const claim = this.#claims.get(id);
    return claim && this.holder(claim.ip4) === id ? claim.ip4 : undefined;
  }
}
