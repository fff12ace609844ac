/**
 * What the parts of the tunnel machine share: keys, peers, indices, timers and counters of one
 * WireGuard device. The parts are functions over it: `handshakes.ts` and `duties.ts`; `Tunnels` is
 * the door.
 */
import type { Crypto } from "../crypto.ts";
import type { EdgeName, Outbox, PeerId, Random } from "../machine.ts";
import { type Dialect, Noise, type StaticKeys, WIREGUARD } from "../noise/handshake.ts";
import { IndexTable } from "../noise/indices.ts";
import { MAX_JITTER, MAX_PEERS, REJECT_AFTER_TIME } from "./constants.ts";
import type { Peer } from "./peer.ts";
import type { SlotChange } from "./slots.ts";
import { Timers } from "./timers.ts";
import type { TunnelEvent } from "./types.ts";

/** One step of the machine: its time and its effects. */
export interface Step {
  /** Boot ms, never less than in an earlier step. */
  readonly boot: number;
  /** Unix ms. */
  readonly wall: number;
  readonly out: Outbox<TunnelEvent>;
}

/** Handshake messages by fate. Each message that is not used counts once under `drop...`. */
export interface TunnelCounters {
  initiationsSent: number;
  responsesSent: number;
  initiationsTaken: number;
  responsesTaken: number;
  cookiesTaken: number;
  /** The device is down or has no key. */
  dropDown: number;
  /** No handshake message by length and type (R20, R21). */
  dropMalformed: number;
  /** Not authentic, or a key of low order (R25). */
  dropUnauthentic: number;
  /** An authentic initiation of a key that is no peer. */
  dropUnknownPeer: number;
  /** A timestamp that is not greater (R37). */
  dropReplay: number;
  /** More than 50 initiations of a peer in a second (R39). */
  dropFlood: number;
  /** A receiver index that names nothing, or nothing that waits for this (R27). */
  dropUnexpected: number;
  /** An authentic initiation for a lane that the peer may not have, or not now. */
  dropLane: number;
}

export class Device {
  readonly noise: Noise;
  readonly indices: IndexTable<Peer>;
  readonly timers = new Timers();
  readonly peers = new Map<PeerId, Peer>();
  keys: StaticKeys | undefined;
  isUp = false;
  readonly counters: TunnelCounters = {
    initiationsSent: 0,
    responsesSent: 0,
    initiationsTaken: 0,
    responsesTaken: 0,
    cookiesTaken: 0,
    dropDown: 0,
    dropMalformed: 0,
    dropUnauthentic: 0,
    dropUnknownPeer: 0,
    dropReplay: 0,
    dropFlood: 0,
    dropUnexpected: 0,
    dropLane: 0,
  };
  readonly #byKey = new Map<string, Peer>();
  #lastId = 0;
  /** Peers that were added, lanes not counted. */
  #dealt = 0;

  /**
   * @param dialects what handshakes are understood, in the order in which they are tried
   * @param workers of core
   * @param maxPeers the most peers, lanes among them (R17)
   */
  constructor(
    readonly crypto: Crypto,
    readonly random: Random,
    dialects: readonly Dialect[] = [WIREGUARD],
    workers = 1,
    readonly maxPeers = MAX_PEERS,
  ) {
    this.noise = new Noise(crypto, dialects);
    this.indices = new IndexTable(random, workers);
  }

  /** A fresh number for a peer that is no lane: workers have them by turns, whatever numbers lanes got. */
  newId(): PeerId {
    return this.newIdOf(++this.#dealt % this.indices.workers);
  }

  /** A fresh number for a peer, or a lane, that a worker of core has to have. */
  newIdOf(worker: number): PeerId {
    do this.#lastId++; while (this.workerOf(this.#lastId) !== worker);
    return this.#lastId;
  }

  /** The worker of core that has a peer. */
  workerOf(id: PeerId): number {
    return id % this.indices.workers;
  }

  /** A fresh receiver index for a peer, which core's worker of that peer gets (shoal.h, `workers`). */
  allocateIndex(peer: Peer): number {
    return this.indices.allocate(peer, this.workerOf(peer.id));
  }

  hasRoom(): boolean {
    return this.peers.size < this.maxPeers;
  }

  /** Lanes leave the last quarter of the table to peers. */
  hasRoomForLane(): boolean {
    return this.peers.size < this.maxPeers * 3 / 4;
  }

  add(peer: Peer): void {
    this.peers.set(peer.id, peer);
    this.#byKey.set(keyText(peer.publicKey), peer);
  }

  delete(peer: Peer): void {
    this.peers.delete(peer.id);
    this.#byKey.delete(keyText(peer.publicKey));
  }

  byKey(publicKey: Uint8Array): Peer | undefined {
    return this.#byKey.get(keyText(publicKey));
  }

  /** 0..333 ms, evenly (R6). */
  jitter(): number {
    const bytes = this.random(4);
    const word = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
    return Math.floor(word / 2 ** 32 * (MAX_JITTER + 1));
  }

  /** X25519 of both static keys, computed when first needed; undefined: of low order (R25). */
  staticStatic(step: Step, { first: peer }: Peer): Uint8Array | undefined {
    if (peer.staticStatic === "unknown" && this.keys) {
      const secret = this.crypto.x25519(this.keys.secretKey, peer.publicKey);
      if (!secret) step.out.event({ kind: "lowOrderKey", peer: peer.id });
      peer.staticStatic = secret ?? "low order";
    }
    return typeof peer.staticStatic === "string" ? undefined : peer.staticStatic;
  }

  /** Forgets what was computed from our key or the peer's. */
  forgetStaticStatic(peer: Peer): void {
    if (typeof peer.staticStatic !== "string") this.crypto.wipe(peer.staticStatic);
    peer.staticStatic = "unknown";
  }

  /** Boot ms until which the current session may send (R4, R45); 0: there is none. */
  sendsUntil(peer: Peer): number {
    const { current } = peer.slots;
    return current ? current.birth + REJECT_AFTER_TIME : 0;
  }

  /** A session exists that may send, as far as its age goes. */
  maySend(step: Step, peer: Peer): boolean {
    return step.boot < this.sendsUntil(peer);
  }

  /** Keeps the index table in step with the slots (R40). */
  applySlots(peer: Peer, change: SlotChange): void {
    for (const slot of change.freed) this.indices.free(slot.localIndex);
    for (const slot of change.added) this.indices.hold(slot.localIndex, peer);
  }

  /** Wipes an initiation that waits (R65) and frees its index. */
  dropPending(peer: Peer): void {
    if (!peer.pending) return;
    peer.pending.initiation.wipe();
    this.indices.free(peer.pending.localIndex);
    peer.pending = undefined;
  }

  /** Ends lanes of a peer from a number on. */
  closeLanes(step: Step, peer: Peer, from = 1): void {
    const { lanes } = peer;
    peer.spread = Math.min(peer.spread, Math.max(1, from)); // core's, too
    while (lanes.length >= from) {
      const lane = lanes.pop();
      if (!lane) return;
      peer.laneHandshakeSent = Math.max(peer.laneHandshakeSent, lane.lastHandshakeSent);
      this.dropPending(lane);
      this.timers.clearAll(lane.id);
      this.applySlots(lane, lane.slots.clear());
      this.peers.delete(lane.id);
      step.out.command({ kind: "removePeer", peer: lane.id });
    }
  }

  /** Arms those of the edges that are not armed. */
  arm(step: Step, peer: Peer, wanted: readonly EdgeName[]): void {
    const edges = wanted.filter((edge) => !peer.armed.has(edge));
    if (edges.length === 0) return;
    for (const edge of edges) peer.armed.add(edge);
    step.out.command({ kind: "arm", peer: peer.id, edges });
  }

  /** Zeroes handshake and sessions and stops all timers of a peer (R61, R65). */
  forget(step: Step, peer: Peer): void {
    this.dropPending(peer);
    this.timers.clearAll(peer.id);
    peer.wish = undefined;
    peer.another = undefined;
    peer.elsewhere = undefined;
    this.endSessions(step, peer);
  }

  /** Zeroes the sessions alone; lanes are none without those of their peer. */
  endSessions(step: Step, peer: Peer): void {
    this.closeLanes(step, peer);
    this.applySlots(peer, peer.slots.clear());
    step.out.command({ kind: "clearSessions", peer: peer.id });
  }
}

/** A public key as a map's key. */
function keyText(publicKey: Uint8Array): string {
  return publicKey.toHex();
}
