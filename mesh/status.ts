/**
 * The status document, as far as mesh knows it: `shoal status --json` of the fixed names. Whoever
 * prints it adds the interface's name and the data plane. Fields may be added, never renamed.
 */
import type { Suite } from "./machine.ts";
import type { MemberId } from "./membership/identity.ts";
import type { Standing } from "./membership/judge.ts";

export type PeerState = "alive" | "suspect" | "dead" | "left";

export interface PeerStatus {
  readonly name: string;
  /** Hexadecimal Ed25519 key. */
  readonly key: MemberId;
  /** Both "" while it must step aside for another holder of its address. */
  readonly ip4: string;
  readonly ip6: string;
  readonly state: PeerState;
  readonly path: "direct" | "relay" | "none";
  /** `ADDRESS:PORT`; "" when none is known. */
  readonly endpoint: string;
  /** The last measured round trip; null when never measured. */
  readonly rtt_ms: number | null;
  readonly tx_bytes: number;
  readonly rx_bytes: number;
  /** Seconds since the newest tunnel session became usable; null without one. */
  readonly handshake_age_s: number | null;
  /** What seals its tunnel's data now, "chacha20-poly1305" or "aes-256-gcm"; "" without a session. */
  readonly suite: Suite | "";
  /** Its sessions that may send now, those of its lanes and its own; 0 without one. */
  readonly lanes: number;
  /** As many as its record and ours allow: 1 where either of us has one worker, or has lanes switched off. */
  readonly lanes_max: number;
  /** Why the path is as it is; "" when there is nothing to say. */
  readonly reason: string;
  readonly groups: readonly string[];
  readonly admin: boolean;
  /** By what it is a member. */
  readonly standing: Standing;
  /** It says that it holds the mesh key. */
  readonly mesh_key: boolean;
  readonly relay: boolean;
  /** Seconds since the state began. */
  readonly since_s: number;
  /** RFC 3339; "" for what has no end. */
  readonly expires: string;
  readonly version: string;
}

/** A stock WireGuard device, and the member that serves it. */
export interface GuestStatus {
  readonly name: string;
  /** Its X25519 key in base64, as WireGuard writes it. */
  readonly key: string;
  /** "" while another has its address. */
  readonly ip4: string;
  readonly ip6: string;
  /** Name and key of the member that serves it. */
  readonly host: string;
  readonly host_key: MemberId;
  /**
   * Of one that this node serves: whether it was heard in the last 90 s. Of another's: whether its
   * host is there.
   */
  readonly state: "active" | "silent" | "elsewhere" | "offline";
  /** `ADDRESS:PORT`; "" when none is known. This and the next four: at its host only. */
  readonly endpoint: string;
  readonly tx_bytes: number;
  readonly rx_bytes: number;
  /** Seconds since it was heard last; null: not since this node was started. */
  readonly heard_s: number | null;
  readonly handshake_age_s: number | null;
  readonly groups: readonly string[];
  /** RFC 3339 */
  readonly expires: string;
}

/** Somebody who knocked without a token and waits for `approve`. */
export interface RequestStatus {
  readonly name: string;
  readonly key: MemberId;
  readonly endpoint: string;
  /** Seconds since it knocked last. */
  readonly age_s: number;
}

export interface SelfStatus {
  readonly name: string;
  readonly key: MemberId;
  /** Both "" while not a member of a mesh, or while stepping aside for another holder. */
  readonly ip4: string;
  readonly ip6: string;
  readonly port: number;
  readonly groups: readonly string[];
  readonly admin: boolean;
  /** By what it is a member; "none" while it is none. */
  readonly standing: Standing | "none";
  /** The mesh key of now is on this machine. */
  readonly mesh_key: boolean;
  /** RFC 3339; "" for what has no end. */
  readonly expires: string;
}

/** Somebody whose certificate does not count any more, since its signer lost its office. */
export interface VoidStatus {
  readonly name: string;
  readonly key: MemberId;
  /** Who had signed it. */
  readonly by: string;
}

/** Where a node stands with its mesh. */
export type JoinState =
  /** Member of a mesh; nobody else need be reachable. */
  | "member"
  /** Knocking at the seeds. */
  | "joining"
  /** A seed showed our request to its admin and we wait for `approve`. */
  | "pending"
  /** Left; the node will say nothing more. */
  | "left";

export interface NodeStatus {
  readonly v: 1;
  readonly self: SelfStatus;
  readonly mesh: {
    /** What members compare; it stays when the mesh key is replaced. */
    readonly id: string;
    /** A DNS label, from the founding; "" while not a member of a mesh. */
    readonly name: string;
    /** The network of its IPv4 addresses, `100.64.0.0/10`; "" while not a member of a mesh. */
    readonly pool: string;
    /** The mesh key of now. */
    readonly key: string;
    readonly state: JoinState;
    /** Seconds for which those who ask without a token are answered; 0: they are not. */
    readonly door_open_s: number;
  };
  readonly peers: readonly PeerStatus[];
  readonly guests: readonly GuestStatus[];
  readonly requests: readonly RequestStatus[];
  /** Keys that a person trusts on this node alone and that were not heard of yet. */
  readonly trusted: readonly { readonly key: MemberId; readonly name: string }[];
  readonly void: readonly VoidStatus[];
  /** Sentences with what is wrong and what to do. */
  readonly health: readonly string[];
  /** Control datagrams that were dropped, by reason. */
  readonly control: Readonly<Record<string, number>>;
}
