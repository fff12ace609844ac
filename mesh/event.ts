/** What a node tells the program around it, beside datagrams and commands. */
import type { Endpoint } from "./endpoint.ts";
import type { MemberId } from "./trust/identity.ts";
import type { TunnelEvent } from "./tunnel/types.ts";

/** A member as people know it. */
export interface Who {
  readonly id: MemberId;
  readonly name: string;
}

export type NodeEvent =
  /**
   * What `snapshot()` gives has changed: write it. A crash before that loses news, nothing else:
   * what must never be used twice was on disk before the start.
   */
  | { readonly kind: "persist" }
  /** A seed's host name is wanted: answer with `resolved`. */
  | { readonly kind: "resolve"; readonly seed: string }
  /** Our own inner addresses changed (also at the start). ip4 is absent while stepping aside. */
  | {
    readonly kind: "addresses";
    readonly ip4: Uint8Array | undefined;
    readonly ip6: Uint8Array | undefined;
  }
  /** We are a member now. `seed` is the member that answered, undefined for a founder. */
  | { readonly kind: "joined"; readonly seed: Who | undefined }
  /** A seed shows our request to its admin. */
  | { readonly kind: "joinPending"; readonly seed: string }
  /** A seed did not answer, refused, or is not what it should be; `why` is a whole sentence. */
  | { readonly kind: "joinFailed"; readonly seed: string; readonly why: string }
  /** Somebody without a token knocked: `approve` admits it. */
  | { readonly kind: "request"; readonly who: Who; readonly endpoint: Endpoint }
  | { readonly kind: "memberJoined"; readonly who: Who }
  | { readonly kind: "memberSuspected"; readonly who: Who }
  | { readonly kind: "memberRecovered"; readonly who: Who }
  | { readonly kind: "memberDied"; readonly who: Who }
  | { readonly kind: "memberLeft"; readonly who: Who }
  | { readonly kind: "memberReturned"; readonly who: Who; readonly absentMs: number }
  | { readonly kind: "memberRevoked"; readonly who: Who }
  /** A member's certificate is not valid at our time: it is a member again when it is. */
  | { readonly kind: "memberExpired"; readonly who: Who }
  /** Our key was revoked, or one that our certificate rests on: the mesh does not talk to us. */
  | { readonly kind: "revoked" }
  /** Two different records of one key with one sequence: the key is used twice. */
  | { readonly kind: "equivocation"; readonly who: Who }
  /** More identities joined with a token than it allowed. */
  | { readonly kind: "tokenOverused"; readonly token: string; readonly members: readonly Who[] }
  | {
    readonly kind: "pong";
    readonly who: Who;
    /** As `ping` returned it. */
    readonly nonce: number;
    readonly endpoint: Endpoint;
    readonly rttMs: number;
  }
  /** Nobody answered a ping within its timeout. */
  | { readonly kind: "pingLost"; readonly who: Who; readonly nonce: number }
  | {
    readonly kind: "tunnel";
    /** The member at its other end; absent when the news is about all. */
    readonly who?: Who;
    readonly event: TunnelEvent;
  };
