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
