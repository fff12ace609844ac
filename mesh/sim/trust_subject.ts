/** What the trust oracle is compared with: the statements of a mesh as the product keeps and judges them. */
import type { OracleGenesis, OracleGuest, OracleStatement, Verdict } from "./trust_oracle.ts";

/** A statement before it is bytes. `signer` is what it claims, `signedBy` the key that makes the signature. */
export type Draft = Omit<OracleStatement, "hash">;

export interface Signed {
  readonly bytes: Uint8Array;
  /** Of these bytes, in hex. */
  readonly hash: string;
}

export interface TrustUnderTest {
  /** The public key, in hex, of the key pair with this number; equal numbers give equal keys. */
  key(number: number): string;
  /** The bytes of a statement for a mesh. Any draft can be signed, whatever it claims. */
  sign(draft: Draft, genesis: OracleGenesis): Signed;
  /** A node's statements: none yet. */
  newSet(genesis: OracleGenesis, ip4Of: Ip4Of): TrustSet;
}

/** The IPv4 address of a key with a counter; addresses are few here, so that they clash. */
export type Ip4Of = (key: string, counter: number) => number;

export interface TrustSet {
  /** Takes a statement. False: not kept now, because its signer has no office as far as is known; it is offered again. */
  add(bytes: Uint8Array): boolean;
  meshKey(): string;
  /** Active admins. */
  admins(): readonly string[];
  judge(key: string, now: number): Verdict;
  /** Every member, under which name it is shown, and whether the address of its counter is its own. */
  members(now: number): ReadonlyMap<string, Shown>;
  /** Those that are served, in any order. */
  guests(now: number): readonly OracleGuest[];
  /** How many keys a token admits; undefined: nobody that counts has made it. */
  usesOf(token: string): number | undefined;
  isWithdrawn(token: string): boolean;
  /** Of the keys that only signers which no longer count have admitted those whose certificates it was ever shown. */
  voidMembers(now: number): readonly string[];
  /** The same of the keys that only such signers have removed. */
  voidRemovals(): readonly string[];
  /** `signer number` of numbers that their signer used twice: all, or as many as are shown. */
  conflicts(): { readonly shown: readonly string[]; readonly isAll: boolean };
}

export interface Shown {
  readonly name: string;
  readonly hasIp4: boolean;
}
