/** What a node tells the program around it, beside datagrams and commands. */
import type { Endpoint } from "./endpoint.ts";
import type { Prefix } from "./machine.ts";
import type { MemberId } from "./membership/identity.ts";
import type { Refusal } from "./membership/judge.ts";
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
  /** Our own inner addresses changed (also at the start). What another has is absent. */
  | {
    readonly kind: "addresses";
    readonly ip4: Uint8Array | undefined;
    readonly ip6: Uint8Array | undefined;
    /** The network that the IPv4 addresses of the mesh are in. */
    readonly pool: Prefix;
  }
  /**
   * A door has answered, and counts us as a use of its token as soon as it hears that we are here. Our key must be on disk
   * before that leaves: who is stopped then asks with the same key again, which the door has counted.
   */
  | { readonly kind: "welcomed" }
  /** We are a member now. `seed` is the member that answered, undefined for a founder. */
  | { readonly kind: "joined"; readonly seed: Who | undefined }
  /** A seed shows our request to its admin. */
  | { readonly kind: "joinPending"; readonly seed: string }
  /** A seed did not answer, refused, or is not what it should be; `why` is a whole sentence. */
  | {
    readonly kind: "joinFailed";
    readonly seed: string;
    readonly why: string;
    /** A clock is wrong: it goes on by itself when that is right. */
    readonly isOfClock?: true;
  }
  /** Somebody without a token knocked: `approve` admits it. */
  | { readonly kind: "request"; readonly who: Who; readonly endpoint: Endpoint }
  | { readonly kind: "memberJoined"; readonly who: Who }
  | { readonly kind: "memberSuspected"; readonly who: Who }
  | { readonly kind: "memberRecovered"; readonly who: Who }
  | { readonly kind: "memberDied"; readonly who: Who }
  | { readonly kind: "memberLeft"; readonly who: Who }
  | { readonly kind: "memberReturned"; readonly who: Who; readonly absentMs: number }
  /** A member was put out, or what made it one does not count any more. */
  | { readonly kind: "memberOut"; readonly who: Who; readonly why: Refusal }
  /** A member's certificate is not valid at our time: it is a member again when it is. */
  | { readonly kind: "memberExpired"; readonly who: Who }
  /** Somebody ended its own membership for good. */
  | { readonly kind: "memberGone"; readonly who: Who }
  | { readonly kind: "renamed"; readonly who: Who; readonly before: string }
  /** A member serves a guest from now on, or the guest is none any more. `who.id` is the guest's own key. */
  | { readonly kind: "guestAdded"; readonly who: Who; readonly host: Who }
  | { readonly kind: "guestGone"; readonly who: Who }
  /** What we know was compared with what a member knows. */
  | { readonly kind: "compared"; readonly who: Who }
  /** Our own key was put out of the mesh. */
  | { readonly kind: "revoked" }
  /**
   * The mesh key gave somebody an office, or ended it. `isHistory`, here and below: it was signed before this node was a
   * member, and is no news but to this node.
   */
  | { readonly kind: "promoted"; readonly who: Who; readonly isHistory: boolean }
  | { readonly kind: "demoted"; readonly who: Who; readonly isHistory: boolean }
  /** Somebody has removed a key from the mesh for ever. */
  | { readonly kind: "removed"; readonly who: Who; readonly by: Who; readonly isHistory: boolean }
  /** The recovery key named another mesh key. */
  | { readonly kind: "meshKeyReplaced"; readonly key: string; readonly isHistory: boolean }
  /** More identities wanted to join with an invite than it admits; this one is refused. */
  | { readonly kind: "inviteOverused"; readonly invite: string; readonly key: MemberId }
  /** Two different records of one key with one sequence: the key is used twice. */
  | { readonly kind: "equivocation"; readonly who: Who }
  /** Two machines use one key; the one that is not believed is there. */
  | {
    readonly kind: "twin";
    readonly who: Who;
    readonly endpoint?: Endpoint;
    /** Nothing was signed there: it may be our own key instead. */
    readonly mayBeOurs?: boolean;
  }
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
