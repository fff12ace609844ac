/**
 * The contract of every machine in mesh: a machine takes the time and one input, appends what
 * should happen to an {@link Outbox}, and reports one {@link Deadline}. It never awaits, reads a
 * clock, draws randomness of its own or performs an effect. So every step is atomic, can be
 * replayed, and explains itself.
 *
 * Whoever drives a machine carries out, after each step: the commands in order, then the
 * datagrams in order, then the events. So a session is installed before the message leaves that
 * lets the other side use it.
 */
import type { Endpoint, Source } from "./endpoint.ts";

/** The two clocks, in milliseconds, read once per step. */
export interface Now {
  /** CLOCK_BOOTTIME: every interval and deadline (R63). */
  readonly boot: number;
  /** Unix time: only what is shown to people or compared with another machine. */
  readonly wall: number;
}

/** Unix time in whole seconds, as everything that is signed has it. */
export function secondsOf({ wall }: Now): number {
  return Math.floor(wall / 1000);
}

/** When a machine wants to be called again, in boot milliseconds, and what for. */
export interface Deadline {
  readonly at: number;
  readonly why: string;
}

/** A source of cryptographically strong bytes, passed in so that a seed can replay a run. */
export type Random = (length: number) => Uint8Array;

/** One UDP datagram to send. It is never retried by whoever sends it. */
export interface Datagram {
  readonly bytes: Uint8Array;
  readonly to: Endpoint;
  /** Our address to send from (R55); without it the kernel chooses. */
  readonly from?: Source;
  /** The whole DSCP and ECN byte (R19); 0 when absent. */
  readonly tos?: number;
  /** The peer whose handshake it is. */
  readonly peer?: PeerId;
}

/**
 * A peer's number inside mesh: 1 .. 2^32-1, never used again after the peer is removed, so that
 * late news about a removed peer cannot be taken for another's.
 */
export type PeerId = number;

/** An inner network that a peer may use as source and is sent to as destination. */
export interface Prefix {
  /** 4 or 16 bytes, network order; bits beyond the length are zero. */
  readonly address: Uint8Array;
  /** 0..32 or 0..128. */
  readonly length: number;
}

/** What seals the data of a session. WireGuard knows the first only; see core/README.md for the other. */
export type Suite = "chacha20-poly1305" | "aes-256-gcm";

/** As many lanes as a peer may have, itself included: SHOAL_LANES_MAX of core. */
export const LANES_MAX = 4;

/** Keys of one derived session. Whoever executes the command wipes both keys afterwards (R65). */
export interface Session {
  readonly role: "initiator" | "responder";
  readonly suite: Suite;
  /** Receiver index of what the peer sends us. */
  readonly localIndex: number;
  /** Receiver index of what we send. */
  readonly remoteIndex: number;
  readonly sendKey: Uint8Array;
  readonly receiveKey: Uint8Array;
  /** Boot ms at which the keys were derived; core refuses them 180 s later (R4). */
  readonly birth: number;
  /** Boot ms from which a send asks for a new session (R3: initiators); 0: never. */
  readonly rekeyAfterTime: number;
  /** Boot ms from which a receive asks for a new session (R11: initiators); 0: never. */
  readonly rekeyOnReceive: number;
  /** Send counter that asks for a new session (R1). */
  readonly rekeyAfterMessages: bigint;
}

/** The edges that ring once and must be armed again by command `arm`. */
export type EdgeName = "sessionNeeded" | "unansweredData" | "unsentReply";

/** What mesh asks of core. A command that names a peer core does not know is void. */
export type Command =
  /** Our static public key (the gate checks MAC1 with it, R28); undefined: no handshake passes. */
  | { readonly kind: "setIdentity"; readonly publicKey: Uint8Array | undefined }
  | { readonly kind: "addPeer"; readonly peer: PeerId }
  /**
   * The next lane of peer `of`: a peer with sessions of its own, in the worker behind that of the
   * lane before it, which `peer` modulo the number of workers has to name.
   */
  | { readonly kind: "addLane"; readonly peer: PeerId; readonly of: PeerId }
  /** Over how many of its lanes, with itself, flows are spread: over all when one was added. */
  | { readonly kind: "spreadLanes"; readonly peer: PeerId; readonly lanes: number }
  /** Wipes its sessions, drops what it staged, removes its routes. Of a peer with lanes: last. */
  | { readonly kind: "removePeer"; readonly peer: PeerId }
  | {
    readonly kind: "setEndpoint";
    readonly peer: PeerId;
    readonly endpoint: Endpoint;
    readonly source?: Source;
  }
  /** Forgets the sticky source address (R54). */
  | { readonly kind: "clearSource"; readonly peer: PeerId }
  /** Initiator: current at once, staged packets leave (R41). Responder: next (R42). */
  | { readonly kind: "installSession"; readonly peer: PeerId; readonly session: Session }
  /** Wipes and frees all three slots (R61, R65). */
  | { readonly kind: "clearSessions"; readonly peer: PeerId }
  /** One empty data message on the current session. */
  | {
    readonly kind: "sendKeepalive";
    readonly peer: PeerId;
    /** Only if this session has not sent anything yet: confirms a new session (R41). */
    readonly unlessSent: boolean;
  }
  /** A peer that is known not to be there: what is sent to it without a session is answered so. */
  | { readonly kind: "setOffline"; readonly peer: PeerId; readonly isOffline: boolean }
  /** A peer that knows nobody but us: what it and other peers send each other goes through us. */
  | { readonly kind: "setGuest"; readonly peer: PeerId }
  /** Its endpoint moves by `setEndpoint` alone; authentic data from elsewhere is told all the same. */
  | { readonly kind: "setStaying"; readonly peer: PeerId }
  /** Drops what waits for a session (R62). */
  | { readonly kind: "dropStaged"; readonly peer: PeerId }
  /** Arms edges again; one whose condition holds already rings at once. */
  | { readonly kind: "arm"; readonly peer: PeerId; readonly edges: readonly EdgeName[] }
  /** Allows a prefix; one that another peer holds moves to this one. */
  | { readonly kind: "addRoute"; readonly peer: PeerId; readonly prefix: Prefix }
  /** Void if this peer does not hold the prefix. */
  | { readonly kind: "removeRoute"; readonly peer: PeerId; readonly prefix: Prefix };

/**
 * Where a machine puts what should happen. `E` are the events that the machine tells people; an
 * outbox that takes more kinds of events serves as an outbox for fewer.
 */
export interface Outbox<in E = never> {
  readonly command: (command: Command) => void;
  readonly send: (datagram: Datagram) => void;
  readonly event: (event: E) => void;
}

/** The plain outbox: three lists, carried out in this order. */
export class Effects<E = never> implements Outbox<E> {
  readonly commands: Command[] = [];
  readonly datagrams: Datagram[] = [];
  readonly events: E[] = [];
  readonly command = (command: Command): void => void this.commands.push(command);
  readonly send = (datagram: Datagram): void => void this.datagrams.push(datagram);
  readonly event = (event: E): void => void this.events.push(event);
}
