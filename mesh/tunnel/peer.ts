/** The state of one peer of the tunnel machine. Owner: `Device`; written by its machine only. */
import type { Crypto } from "../crypto.ts";
import type { Endpoint, Source } from "../endpoint.ts";
import type { EdgeName, PeerId, Prefix, Suite } from "../machine.ts";
import { CookieJar } from "../noise/cookie.ts";
import type { PendingInitiation } from "../noise/handshake.ts";
import { TIMESTAMP_LENGTH } from "../noise/tai64n.ts";
import { Slots } from "./slots.ts";
import { Timestamps } from "./timestamps.ts";
import { Unfinished } from "./unfinished.ts";

/** Why a handshake is wanted, and so what must still hold when it may be sent (R38). */
export type Wish =
  /** Data waits and no session may send it (R45). */
  | { readonly kind: "session" }
  /** The session of this index is near a limit (R1, R3, R11). */
  | { readonly kind: "rekey"; readonly index: number }
  /** Data was sent and nothing was heard since this boot time (R12). */
  | { readonly kind: "noAnswer"; readonly since: number }
  /** A person, the mesh or a keepalive asks for a session. */
  | { readonly kind: "asked" };

export const ALL_EDGES: readonly EdgeName[] = ["sessionNeeded", "unansweredData", "unsentReply"];

export class Peer {
  /** All zero: none is set, and that is mixed in (R24). */
  presharedKey: Uint8Array = new Uint8Array(32);
  /** X25519 of both static keys: not computed yet, or all zero and so refused (R25). */
  staticStatic: Uint8Array | "unknown" | "low order" = "unknown";
  readonly cookies: CookieJar;
  /** What we ask it for; a handshake of its own may ask for any that we speak. */
  suite: Suite = "chacha20-poly1305";

  endpoint: Endpoint | undefined;
  /** Where the mesh has heard the peer since boot ms `since`, while a session lives at `endpoint`. */
  elsewhere: { readonly endpoint: Endpoint; readonly since: number } | undefined;
  /** Its endpoint moves where its caller says, and to where it has answered: see {@link Tunnels.stay}. */
  isStaying = false;
  /** Where our response of this session went while it stayed elsewhere: who confirms the session has received it there. */
  offered:
    | { readonly localIndex: number; readonly endpoint: Endpoint; readonly source?: Source }
    | undefined;
  /** Boot ms at which the network said that the endpoint takes nothing. */
  refusedAt = -Infinity;
  /** Our address that the peer wrote to (R55), until a retry forgets it (R54). */
  source: Source | undefined;
  /** Milliseconds; 0: off. */
  persistentKeepalive = 0;
  readonly routes = new Map<string, Prefix>();

  /** The peer that this one is a lane of; itself where it is none. */
  readonly first: Peer;
  /** As many sessions as both sides take at once: with itself, 1..`LANES_MAX`. */
  lanesMax = 1;
  /** Its lanes by number, from 1 on, while it has a session; of a lane: none. */
  readonly lanes: Peer[] = [];
  /** Over so many of them, with itself, core spreads flows. */
  spread = 1;
  /** Of a lane: it was to send, and has no session. */
  isWaiting = false;
  /** Those of its lanes, by number: they outlast the lanes, so that no copy begins one. */
  readonly laneTimestamps = new Map<number, Timestamps>();
  /** When a lane that has gone last sent a handshake message: those that come wait for that, too (R38). */
  laneHandshakeSent = -Infinity;

  readonly timestamps = new Timestamps();
  /**
   * When the first and the last of its initiations came that were not after an earlier one, with none that was taken
   * between; undefined: none came since one was taken.
   */
  outdated: { readonly since: number; readonly last: number } | undefined;
  /**
   * The last one sent, by itself or by one of its lanes, which it outlasts; the next is greater whatever the clock
   * says (R64). Unused in a lane.
   */
  sentTimestamp: Uint8Array = new Uint8Array(TIMESTAMP_LENGTH);
  /** When its last initiation was taken (R39). Boot ms, as all that follow. */
  lastConsumed = -Infinity;
  /** When we last sent an initiation or, to one that does not stay, a response (R38, R59). */
  lastHandshakeSent = -Infinity;
  /**
   * Of one that stays: when we first answered a handshake of its since one was finished. It alone puts ours off (R38):
   * whoever begins handshakes in its name and finishes none would put it off for ever.
   */
  answeredAt = -Infinity;
  /** Of one that stays. */
  readonly unfinished = new Unfinished();
  /** Known not to be there. */
  isOffline = false;
  /** When we last heard that its program has started anew, and did not wait for R38. */
  startedAnewAt = -Infinity;
  /**
   * When we last received an authentic initiation or response (R59, R60). Of one that stays an initiation counts when it is
   * finished: before that it may be anybody's with a copy of its key, or of ours.
   */
  lastHandshakeReceived = -Infinity;
  /** Bytes of handshake messages to and, authenticated, from the peer: `wg show` counts them too. */
  readonly handshakeBytes = { sent: 0, received: 0 };

  /**
   * Our initiation that waits for its response. It lives beside the responder's role, so that two
   * peers that start at the same moment both get a session: other implementations keep one state
   * for both roles, drop each other's response, and stand still until a retry.
   */
  pending:
    | {
      readonly initiation: PendingInitiation;
      readonly localIndex: number;
      /** Where it went. */
      readonly to: Endpoint;
    }
    | undefined;
  /** Retries of the present attempt (R5). */
  retries = 0;
  /** What is to be done when R38 allows it again. */
  wish: Wish | undefined;
  readonly slots = new Slots();
  /** When the newest session became usable; 0: never. */
  lastSession = { wall: 0, boot: 0 };

  /** The edges that core would ring. */
  readonly armed = new Set<EdgeName>(ALL_EDGES);
  /** Unanswered data up to here was dealt with (R12). */
  noAnswerFloor = -Infinity;
  /** Random addition to the pending no-answer deadline (R12). */
  noAnswerJitter = 0;
  /** Received data up to here was dealt with (R57). */
  passiveFloor = -Infinity;
  /** Another keepalive is due unless anything but the last keepalive was sent since (R58). */
  another: { readonly txPackets: number; readonly at: number } | undefined;

  /** Its number as a lane; 0: it is none. */
  readonly lane: number;

  /** @param laneOf what it is a lane of, and its number there */
  constructor(
    readonly id: PeerId,
    readonly publicKey: Uint8Array,
    crypto: Crypto,
    laneOf?: { readonly first: Peer; readonly number: number },
  ) {
    this.first = laneOf?.first ?? this;
    this.lane = laneOf?.number ?? 0;
    this.cookies = new CookieJar(crypto, publicKey);
  }
}
