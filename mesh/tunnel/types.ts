/**
 * What goes into and comes out of the tunnel machine besides {@link Command}s: arrivals and edges
 * from core, facts read at a deadline, and the views that `wg show` and `status` print.
 */
import type { Endpoint, Source } from "../endpoint.ts";
import type { PeerId, Prefix, Suite } from "../machine.ts";

/** A handshake datagram (types 1 to 3) that core's gate let through. */
export interface Arrival {
  readonly bytes: Uint8Array;
  readonly from: Endpoint;
  /** The address of ours that it came to (R55). */
  readonly source?: Source;
}

/** News from core about one peer. Times are boot milliseconds. */
export type Edge =
  /** A packet was staged and no session may send (R45). Rings once. */
  | { readonly kind: "sessionNeeded"; readonly peer: PeerId }
  /** First data sent since the last authenticated receive left at `at` (R12, R60). Rings once. */
  | { readonly kind: "unansweredData"; readonly peer: PeerId; readonly at: number }
  /** First data received since the last authenticated send came at `at` (R57). Rings once. */
  | { readonly kind: "unsentReply"; readonly peer: PeerId; readonly at: number }
  /** The session of this local index moved from next to current (R43). */
  | { readonly kind: "sessionConfirmed"; readonly peer: PeerId; readonly index: number }
  /** A session passed a rekey limit (R1, R3, R11). Rings once per session. */
  | {
    readonly kind: "rekeyDue";
    readonly peer: PeerId;
    readonly index: number;
    readonly why: "age" | "receive" | "messages";
  }
  /** The network says by ICMP, which anybody can forge, that the peer's endpoint takes nothing. */
  | { readonly kind: "refused"; readonly peer: PeerId }
  /** Authenticated data came from elsewhere (R53). */
  | {
    readonly kind: "endpointMoved";
    readonly peer: PeerId;
    readonly endpoint: Endpoint;
    readonly source?: Source;
  };

/** What core knows about a peer's data messages. Times are boot milliseconds; 0: never. */
export interface PeerFacts {
  readonly txBytes: number;
  readonly rxBytes: number;
  readonly txPackets: number;
  readonly rxPackets: number;
  /** Keepalives included. */
  readonly lastAuthenticatedReceive: number;
  /** Keepalives apart. */
  readonly lastDataReceive: number;
  readonly lastAuthenticatedSend: number;
  readonly lastDataSend: number;
  /** First data sent since the last authenticated receive; 0: none. */
  readonly firstUnansweredData: number;
  /** First data received since the last authenticated send; 0: none. */
  readonly firstUnsentReply: number;
  /** Packets waiting for a session. */
  readonly staged: number;
}

/** A peer of which core has nothing to tell yet. */
export const NO_FACTS: PeerFacts = {
  txBytes: 0,
  rxBytes: 0,
  txPackets: 0,
  rxPackets: 0,
  lastAuthenticatedReceive: 0,
  lastDataReceive: 0,
  lastAuthenticatedSend: 0,
  lastDataSend: 0,
  firstUnansweredData: 0,
  firstUnsentReply: 0,
  staged: 0,
};

/** Reads a peer's facts; without side effects. Undefined for a peer that core does not know. */
export type FactReader = (peer: PeerId) => PeerFacts | undefined;

/** What a person may want to know. Secrets never stand in an event. */
export type TunnelEvent =
  /** An initiation left; `attempt` counts from 1 since something wanted a session (R5). */
  | {
    readonly kind: "handshakeSent";
    readonly peer: PeerId;
    readonly attempt: number;
    readonly endpoint: Endpoint;
  }
  /** A session is usable: an initiator got its response, or a responder was confirmed. */
  | {
    readonly kind: "handshakeDone";
    readonly peer: PeerId;
    readonly role: "initiator" | "responder";
    readonly endpoint: Endpoint;
  }
  /** No answer within the attempt window (R5, R62). */
  | { readonly kind: "handshakeGaveUp"; readonly peer: PeerId; readonly attempts: number }
  /** The peer's place changed, by authenticated traffic (R53). */
  | { readonly kind: "endpointMoved"; readonly peer: PeerId; readonly endpoint: Endpoint }
  /** The peer's timestamp lies ahead of our clock by this much: its clock or ours is wrong (T8). */
  | { readonly kind: "futureTimestamp"; readonly peer: PeerId; readonly aheadMs: number }
  /**
   * Somebody at this place begins handshakes in the peer's name, with a copy of its key or of ours, and finishes none, while
   * the peer itself answers ours.
   */
  | {
    readonly kind: "handshakesUnfinished";
    readonly peer: PeerId;
    readonly endpoint: Endpoint;
  }
  /** The peer's static key is of low order (R25): nothing will ever be sent to it. */
  | { readonly kind: "lowOrderKey"; readonly peer: PeerId }
  /** The boot clock went back: all sessions were dropped (R64). */
  | { readonly kind: "clockWentBack"; readonly byMs: number }
  /** The wall clock was set, so often in a row: all sessions begin anew. */
  | { readonly kind: "clockWasSet"; readonly byMs: number; readonly times: number };

/** One peer as `wg show` sees it; byte counters are facts of core. */
export interface PeerView {
  readonly id: PeerId;
  readonly publicKey: Uint8Array;
  /** 32 bytes, all zero when none is set. Secret: for the operator's socket only. */
  readonly presharedKey: Uint8Array;
  readonly endpoint: Endpoint | undefined;
  readonly source: Source | undefined;
  /** Seconds; 0: off. */
  readonly persistentKeepalive: number;
  readonly routes: readonly Prefix[];
  /** Unix ms at which the newest session became usable; 0: never. */
  readonly lastHandshakeWall: number;
  /** The same in boot ms. */
  readonly lastHandshakeBoot: number;
  /** Bytes of handshake messages, which core's facts leave out and `wg show` counts. */
  readonly handshakeBytes: { readonly sent: number; readonly received: number };
  /** Boot ms until which the current session may send (R4); 0: there is none. */
  readonly sessionUntil: number;
  /** Of the current session, whether it may still send or not; undefined: there is none. */
  readonly suite: Suite | undefined;
  /** The same as `sessionUntil` of each of its lanes. */
  readonly lanesUntil: readonly number[];
  /** An initiation of ours waits for its response. */
  readonly isShakingHands: boolean;
}

/** Outcome of adding a peer. */
export type AddPeerResult =
  | { readonly kind: "added"; readonly peer: PeerId }
  | { readonly kind: "exists"; readonly peer: PeerId }
  /** The key is our own: as in other WireGuards such a peer is left out. */
  | { readonly kind: "self" }
  /** The table is at its limit (R17). */
  | { readonly kind: "full"; readonly limit: number };
