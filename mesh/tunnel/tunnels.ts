/**
 * A WireGuard device without IO: its key, its peers, their handshakes and timers. Both the plain
 * WireGuard mode and the mesh node drive this one machine; core moves the packets.
 *
 * It is a machine as `machine.ts` says: every method that may act takes the time and an outbox.
 * Rules 6, 9 to 12, 20 to 27, 34, 36 to 45 and 53 to 65 of WireGuard live below here as far as
 * they decide; those about single packets live in core.
 */
import type { Crypto } from "../crypto.ts";
import { type Endpoint, sameEndpoint, type Source } from "../endpoint.ts";
import {
  type Deadline,
  LANES_MAX,
  type Now,
  type Outbox,
  type PeerId,
  type Prefix,
  type Random,
  type Suite,
} from "../machine.ts";
import type { Dialect } from "../noise/handshake.ts";
import { networkOf, prefixText } from "../prefix.ts";
import { WallWatch } from "../wall_watch.ts";
import {
  CLOCK_TOLERANCE,
  ELSEWHERE_AFTER,
  MAX_PEERS,
  OUTDATED_FOR,
  OUTDATED_SINCE,
  REKEY_TIMEOUT,
} from "./constants.ts";
import { Device, type Step, type TunnelCounters } from "./device.ts";
import { doubt, expectAnswer, expectReply, keepaliveOrHandshake, performDue } from "./duties.ts";
import {
  handshakeDone,
  moveEndpoint,
  receiveHandshake,
  setEndpoint,
  wantHandshake,
} from "./handshakes.ts";
import { openLanes, spreadLanes } from "./lanes.ts";
import { Leaps } from "./leaps.ts";
import { ALL_EDGES, Peer } from "./peer.ts";
import {
  type AddPeerResult,
  type Arrival,
  type Edge,
  type FactReader,
  NO_FACTS,
  type PeerFacts,
  type PeerView,
  type TunnelEvent,
} from "./types.ts";

export interface TunnelsOptions {
  readonly crypto: Crypto;
  readonly random: Random;
  /** The most peers (R17); 65,536 when absent. */
  readonly maxPeers?: number;
  /** What handshakes are understood; WireGuard's alone when absent. */
  readonly dialects?: readonly Dialect[];
  /** Worker threads of core; 1 when absent. */
  readonly workers?: number;
}

type Out = Outbox<TunnelEvent>;

const KEY_LENGTH = 32;

export class Tunnels {
  readonly #device: Device;
  /** Who holds which prefix: each is held once in the whole device (R50). */
  readonly #holders = new Map<string, Peer>();
  #lastBoot = -Infinity;
  readonly #watch = new WallWatch();
  readonly #leaps = new Leaps();

  constructor(options: TunnelsOptions) {
    this.#device = new Device(
      options.crypto,
      options.random,
      options.dialects,
      options.workers,
      options.maxPeers ?? MAX_PEERS,
    );
  }

  /** Our static public key; undefined while none is set. */
  get publicKey(): Uint8Array | undefined {
    return this.#device.keys?.publicKey;
  }

  /** Our static private key, for the operator's socket only (R66); undefined while none is set. */
  get privateKey(): Uint8Array | undefined {
    return this.#device.keys?.secretKey;
  }

  get isUp(): boolean {
    return this.#device.isUp;
  }

  get counters(): Readonly<TunnelCounters> {
    return this.#device.counters;
  }

  /** When {@link due} wants to be called, and why. */
  get deadline(): Deadline | undefined {
    const due = this.#device.timers.peek();
    const renewal = this.#leaps.due ?? Infinity;
    if (renewal < (due?.at ?? Infinity)) return { at: renewal, why: "follow up a set clock" };
    return due && { at: due.at, why: `${due.timer} of peer ${due.peer}` };
  }

  // ---- What a person, or the mesh, asks -------------------------------------------------------

  /**
   * Sets our static private key, or with undefined takes it away. All sessions end; a peer with
   * the same key is removed. The secret is copied.
   */
  setPrivateKey(now: Now, secretKey: Uint8Array | undefined, out: Out): void {
    for (const id of this.changePrivateKey(now, secretKey, out)) this.restart(now, id, out);
  }

  /**
   * {@link setPrivateKey} without its long part, for devices with many peers.
   * @returns the peers that the caller has to {@link restart}
   */
  changePrivateKey(now: Now, secretKey: Uint8Array | undefined, out: Out): PeerId[] {
    const step = this.#begin(now, out);
    const device = this.#device;
    if (secretKey) requireKey("private key", secretKey);
    const before = device.keys;
    if (before && secretKey && device.crypto.equal(before.secretKey, secretKey)) return [];
    const publicKey = secretKey && device.crypto.x25519PublicKey(secretKey);
    device.keys = secretKey && publicKey && { secretKey: secretKey.slice(), publicKey };
    if (before) device.crypto.wipe(before.secretKey);
    out.command({ kind: "setIdentity", publicKey });
    const self = publicKey && device.byKey(publicKey);
    if (self) this.#remove(step, self);
    return this.ids();
  }

  /** Ends what a peer had with our old private key, and begins anew with the present one. */
  restart(now: Now, id: PeerId, out: Out): void {
    const step = this.#begin(now, out);
    const peer = this.#device.peers.get(id);
    if (!peer) return;
    this.#device.forgetStaticStatic(peer);
    this.#stop(step, peer);
    if (this.#device.isUp) this.#start(step, peer);
  }

  /** Lets handshakes flow: the interface is up. */
  up(now: Now, out: Out): void {
    const step = this.#begin(now, out);
    if (this.#device.isUp) return;
    this.#device.isUp = true;
    for (const peer of this.#peers()) this.#start(step, peer);
  }

  /** The interface is down: all sessions are zeroed (R65), what was staged is dropped. */
  down(now: Now, out: Out): void {
    const step = this.#begin(now, out);
    if (!this.#device.isUp) return;
    this.#device.isUp = false;
    for (const peer of this.#peers()) {
      this.#stop(step, peer);
      out.command({ kind: "dropStaged", peer: peer.id });
    }
  }

  /** Adds a peer without endpoint, preshared key, keepalive or routes. The key is copied. */
  addPeer(now: Now, publicKey: Uint8Array, out: Out): AddPeerResult {
    this.#begin(now, out);
    requireKey("public key", publicKey);
    const device = this.#device;
    const existing = device.byKey(publicKey);
    if (existing) return { kind: "exists", peer: existing.id };
    if (device.keys && device.crypto.equal(device.keys.publicKey, publicKey)) {
      return { kind: "self" };
    }
    if (!device.hasRoom()) return { kind: "full", limit: device.maxPeers };
    const peer = new Peer(device.newId(), publicKey.slice(), device.crypto);
    device.add(peer);
    out.command({ kind: "addPeer", peer: peer.id });
    return { kind: "added", peer: peer.id };
  }

  /** Zeroes its keys and forgets it. A number that names no peer does nothing, here and below. */
  removePeer(now: Now, id: PeerId, out: Out): void {
    const step = this.#begin(now, out);
    const peer = this.#device.peers.get(id);
    if (peer) this.#remove(step, peer);
  }

  /** Zeroes a peer's sessions: it has said that it is not there any more. */
  endSessions(now: Now, id: PeerId, out: Out): void {
    const step = this.#begin(now, out);
    const peer = this.#device.peers.get(id);
    if (!peer) return;
    this.#device.forget(step, peer);
    if (this.#device.isUp) this.#start(step, peer);
  }

  /** Says whether a peer is known not to be there: what is sent to it is answered so at once. */
  setOffline(id: PeerId, isOffline: boolean, out: Out): void {
    const peer = this.#device.peers.get(id);
    if (!peer || peer.isOffline === isOffline) return;
    for (const one of [peer, ...peer.lanes]) {
      one.isOffline = isOffline;
      out.command({ kind: "setOffline", peer: one.id, isOffline });
    }
  }

  /** Says that a peer is a guest: what it and other peers send each other goes through us. */
  setGuest(id: PeerId, out: Out): void {
    if (this.#device.peers.has(id)) out.command({ kind: "setGuest", peer: id });
  }

  /**
   * From now on the peer's endpoint moves by {@link move}, and to a place where it has received something of ours: R53
   * lets whoever has its keys lead what is sent to it to a third party, by a message with an invented source.
   */
  stay(id: PeerId, out: Out): void {
    const peer = this.#device.peers.get(id);
    if (!peer || peer.isStaying) return;
    for (const one of [peer, ...peer.lanes]) {
      one.isStaying = true;
      out.command({ kind: "setStaying", peer: one.id });
    }
  }

  /** A peer that stays is here: it has said something that only who receives here can know. */
  move(now: Now, id: PeerId, endpoint: Endpoint, source: Source | undefined, out: Out): void {
    const step = this.#begin(now, out);
    const peer = this.#device.peers.get(id);
    if (peer) moveEndpoint(step, peer, endpoint, source);
  }

  /** Takes effect with the next handshake: what it asks for, where we speak that too. */
  setSuite(id: PeerId, suite: Suite): void {
    const peer = this.#device.peers.get(id);
    if (peer) peer.suite = suite;
  }

  /**
   * How many sessions at once a peer and we take: its lanes, with itself. They come while it has a
   * session, and go with it. WireGuard knows nothing of them: 1 is what every peer begins with.
   */
  setLanes(now: Now, id: PeerId, count: number, out: Out): void {
    const step = this.#begin(now, out);
    const peer = this.#device.peers.get(id);
    if (!peer) return;
    const { workers } = this.#device.indices;
    peer.lanesMax = Math.max(1, Math.min(count, workers, LANES_MAX));
    this.#device.closeLanes(step, peer, peer.lanesMax);
    openLanes(this.#device, step, peer);
  }

  /**
   * A peer sends by a session that we do not have, and has one that we know: that of a lane, then. Or it was pushed out by
   * that of a handshake which somebody began in its name: then it gets the next one.
   */
  mendLanes(now: Now, id: PeerId, out: Out): void {
    const step = this.#begin(now, out);
    const device = this.#device;
    const peer = device.peers.get(id);
    if (!peer || !device.isUp) return;
    openLanes(device, step, peer);
    if (peer.unfinished.isOpen(step.boot)) wantHandshake(device, step, peer, { kind: "asked" });
    for (const lane of peer.lanes) {
      if (!device.maySend(step, lane)) wantHandshake(device, step, lane, { kind: "asked" });
    }
  }

  /** The peer that a number, which may be a lane's, belongs to. */
  firstOf(id: PeerId): PeerId {
    return this.#device.peers.get(id)?.first.id ?? id;
  }

  /** What core knows of a peer, with all that went by its lanes. */
  facts(id: PeerId, read: FactReader): PeerFacts | undefined {
    const own = read(id);
    const lanes = this.#device.peers.get(id)?.lanes ?? [];
    if (!own || lanes.length === 0) return own;
    return lanes.reduce((sum, { id }) => {
      const facts = read(id) ?? NO_FACTS;
      return {
        ...sum,
        txBytes: sum.txBytes + facts.txBytes,
        rxBytes: sum.rxBytes + facts.rxBytes,
        txPackets: sum.txPackets + facts.txPackets,
        rxPackets: sum.rxPackets + facts.rxPackets,
        lastAuthenticatedReceive: Math.max(
          sum.lastAuthenticatedReceive,
          facts.lastAuthenticatedReceive,
        ),
      };
    }, own);
  }

  /** Takes effect with the next handshake (R24); undefined: none. The key is copied. */
  setPresharedKey(id: PeerId, presharedKey: Uint8Array | undefined): void {
    const peer = this.#device.peers.get(id);
    if (!peer) return;
    if (presharedKey) requireKey("preshared key", presharedKey);
    this.#device.crypto.wipe(peer.presharedKey);
    peer.presharedKey = presharedKey?.slice() ?? new Uint8Array(KEY_LENGTH);
  }

  /** A person's word on where the peer is: holds until authentic traffic knows better (R53). */
  setEndpoint(now: Now, id: PeerId, endpoint: Endpoint, out: Out): void {
    const step = this.#begin(now, out);
    const peer = this.#device.peers.get(id);
    if (!peer) return;
    // Said again, it takes nothing from what is known: the source that answers, and the session.
    if (peer.endpoint && sameEndpoint(peer.endpoint, endpoint)) return;
    const isFirst = peer.endpoint === undefined;
    setEndpoint(step, peer, endpoint, undefined);
    if (!this.#device.isUp) return;
    this.#device.arm(step, peer, ["sessionNeeded"]);
    if (isFirst && peer.persistentKeepalive > 0) keepaliveOrHandshake(this.#device, step, peer);
  }

  /**
   * The machine's addresses or routes changed: from which of them a peer is reached best, the kernel says until the
   * peer is heard again. Core looks after its own copy.
   */
  forgetSources(): void {
    for (const peer of this.#device.peers.values()) peer.source = undefined;
  }

  /**
   * A hint on where the peer is, from gossip or anything else without authority: taken only while
   * no session lives (R53). A live one may be at a place that is gone, though: where nothing comes
   * through it meanwhile, a handshake is tried at the new place, and its answer moves the endpoint.
   * @returns whether it was taken.
   */
  suggestEndpoint(now: Now, id: PeerId, endpoint: Endpoint, out: Out): boolean {
    const step = this.#begin(now, out);
    const device = this.#device;
    const peer = device.peers.get(id);
    if (!peer) return false;
    if (!device.maySend(step, peer)) {
      this.setEndpoint(now, id, endpoint, out);
      return true;
    }
    peer.elsewhere = undefined;
    if (peer.endpoint && sameEndpoint(peer.endpoint, endpoint)) return false;
    peer.elsewhere = { endpoint, since: step.boot };
    device.timers.set(id, "elsewhere", step.boot + ELSEWHERE_AFTER);
    return false;
  }

  /** Seconds, 0..65535; 0: off (R59). Switched on, the first one is sent at once. */
  setPersistentKeepalive(now: Now, id: PeerId, seconds: number, out: Out): void {
    const step = this.#begin(now, out);
    if (!Number.isInteger(seconds) || seconds < 0 || seconds > 65535) {
      throw new RangeError(`persistent keepalive: ${seconds}, must be 0..65535 seconds`);
    }
    const device = this.#device;
    const peer = device.peers.get(id);
    if (!peer) return;
    // A timer that begins anew each time the same is said would never end.
    if (peer.persistentKeepalive === seconds * 1000) return;
    const wasOff = peer.persistentKeepalive === 0;
    peer.persistentKeepalive = seconds * 1000;
    if (seconds === 0) device.timers.clear(id, "persistent keepalive");
    else if (device.isUp) {
      device.timers.set(id, "persistent keepalive", step.boot + peer.persistentKeepalive);
      if (wasOff) keepaliveOrHandshake(device, step, peer);
    }
  }

  /** Allows the peer a prefix; one that another peer holds moves to it. Host bits are cut off. */
  addRoute(id: PeerId, wanted: Prefix, out: Out): void {
    const peer = this.#device.peers.get(id);
    if (!peer) return;
    const prefix = networkOf(wanted);
    const key = prefixText(prefix);
    if (this.#holders.get(key) === peer) return; // What changes nothing costs nothing.
    this.#holders.get(key)?.routes.delete(key);
    this.#holders.set(key, peer);
    peer.routes.set(key, prefix);
    out.command({ kind: "addRoute", peer: id, prefix });
  }

  /** Who holds exactly this prefix. */
  holderOf(prefix: Prefix): PeerId | undefined {
    return this.#holders.get(prefixText(networkOf(prefix)))?.id;
  }

  /** Takes a prefix away, if this peer holds it. */
  removeRoute(id: PeerId, wanted: Prefix, out: Out): void {
    const peer = this.#device.peers.get(id);
    if (!peer) return;
    const prefix = networkOf(wanted);
    const key = prefixText(prefix);
    if (!peer.routes.delete(key)) return;
    this.#holders.delete(key);
    out.command({ kind: "removeRoute", peer: id, prefix });
  }

  /** Asks for a new session now, or as soon as R38 allows it. */
  startHandshake(now: Now, id: PeerId, out: Out): void {
    const step = this.#begin(now, out);
    const peer = this.#device.peers.get(id);
    if (peer && this.#device.isUp) {
      wantHandshake(this.#device, step, peer, { kind: "asked" });
    }
  }

  /**
   * A peer's program has started anew: it has forgotten the session that we send by, and the
   * handshake that we have begun. Where there is either, or a wish, a handshake begins at once. The wait
   * of R38 was for the earlier run; it is skipped once in 5 s, so a peer that says so over and over
   * costs at most twice what R38 allows.
   */
  startedAnew(now: Now, id: PeerId, out: Out): void {
    const step = this.#begin(now, out);
    const device = this.#device;
    const peer = device.peers.get(id);
    if (!peer || !device.isUp) return;
    const { timers } = device;
    device.closeLanes(step, peer);
    const isWanted = device.maySend(step, peer) || timers.has(id, "handshake retry") ||
      timers.has(id, "handshake wanted");
    if (step.boot >= peer.startedAnewAt + REKEY_TIMEOUT) {
      peer.startedAnewAt = step.boot;
      peer.lastHandshakeSent = peer.laneHandshakeSent = -Infinity;
      peer.answeredAt = -Infinity;
      timers.clear(id, "handshake retry");
    }
    if (isWanted) wantHandshake(device, step, peer, { kind: "asked" });
  }

  // ---- What core reports ----------------------------------------------------------------------

  /** A handshake datagram of type 1 to 3 that passed core's gate. */
  receive(
    now: Now,
    arrival: Arrival,
    out: Out,
    isRefused?: (peer: PeerId) => boolean,
  ): PeerId | undefined {
    return receiveHandshake(this.#device, this.#begin(now, out), arrival, isRefused);
  }

  /** An edge rang. News about a peer that was removed meanwhile is void. */
  edge(now: Now, edge: Edge, out: Out): void {
    const step = this.#begin(now, out);
    const device = this.#device;
    const peer = device.peers.get(edge.peer);
    if (!peer) return;
    switch (edge.kind) {
      case "sessionNeeded":
        peer.armed.delete(edge.kind);
        if (!device.isUp) return;
        // Nothing waits for the session of a lane: its peer carries it meanwhile.
        if (peer.lane > 0) {
          peer.isWaiting = !device.maySend(step, peer);
          spreadLanes(step, peer.first);
        }
        return wantHandshake(device, step, peer, { kind: peer.lane > 0 ? "asked" : "session" });
      case "unansweredData":
        peer.armed.delete(edge.kind);
        if (device.isUp) expectAnswer(device, peer, Math.min(edge.at, step.boot));
        return;
      case "unsentReply":
        peer.armed.delete(edge.kind);
        if (device.isUp) expectReply(device, peer, Math.min(edge.at, step.boot));
        return;
      case "sessionConfirmed":
        return this.#confirmed(step, peer, edge.index);
      case "rekeyDue":
        if (!device.isUp || peer.slots.current?.localIndex !== edge.index) return;
        return wantHandshake(device, step, peer, { kind: "rekey", index: edge.index });
      case "refused":
        return doubt(device, step, peer);
      case "endpointMoved":
        if (peer.isStaying && peer.endpoint) return; // It was heard there: no more is known.
        peer.endpoint = edge.endpoint;
        peer.source = edge.source;
        return out.event({ kind: "endpointMoved", peer: peer.id, endpoint: edge.endpoint });
    }
  }

  /** The deadline came. Facts are read for the peers that something is due for. */
  due(now: Now, facts: FactReader, out: Out): void {
    performDue(this.#device, this.#begin(now, out), facts);
  }

  /** Looks at the clocks: to be called now and then while nothing else is, see {@link WallWatch}. */
  look(now: Now, out: Out): void {
    this.#begin(now, out);
  }

  // ---- What a person may see ------------------------------------------------------------------

  /** The number of the peer with this key. */
  peerByKey(publicKey: Uint8Array): PeerId | undefined {
    return this.#device.byKey(publicKey)?.id;
  }

  peer(id: PeerId): PeerView | undefined {
    const peer = this.#device.peers.get(id);
    return peer && this.#view(peer);
  }

  /** {@link PeerView.sessionUntil}, without the rest of the view. */
  sessionUntil(id: PeerId): number {
    const peer = this.#device.peers.get(id);
    return peer === undefined ? 0 : this.#device.sendsUntil(peer);
  }

  /** The local index of a session that a peer was offered and has not used yet. */
  offeredIndex(id: PeerId): number | undefined {
    return this.#device.peers.get(id)?.slots.next?.localIndex;
  }

  /** Peers whose initiations have been too old for a while: their clock was ahead, or somebody sends copies. */
  *outdated(now: Now): Generator<PeerId> {
    for (const { id, outdated } of this.#peers()) {
      const { since = 0, last = -Infinity } = outdated ?? {};
      if (now.boot - last <= OUTDATED_FOR && last - since >= OUTDATED_SINCE) yield id;
    }
  }

  /** Peers in whose names somebody begins handshakes and does not finish them, and from where the last one came. */
  *unfinished(now: Now): Generator<{ readonly peer: PeerId; readonly place: Endpoint }> {
    for (const { id: peer, unfinished, lanes } of this.#peers()) {
      const [place] = [unfinished, ...lanes.map((lane) => lane.unfinished)]
        .flatMap((one) => one.isNamed(now.boot) && one.place ? [one.place] : []);
      if (place) yield { peer, place };
    }
  }

  /** How often the wall clock was set in a row, where that goes on and is no accident; else 0. */
  clockLeaps(now: Now): number {
    return this.#leaps.repeated(now.boot);
  }

  /** How many peers there are, lanes not counted. */
  get size(): number {
    return this.ids().length;
  }

  /** The numbers of all peers in the order in which they were added. */
  ids(): PeerId[] {
    return Array.from(this.#peers(), ({ id }) => id);
  }

  /** All peers in the order in which they were added. */
  peers(): PeerView[] {
    return Array.from(this.#peers(), (peer) => this.#view(peer));
  }

  /** Those that are no lanes. */
  #peers(): IteratorObject<Peer> {
    return this.#device.peers.values().filter(({ lane }) => lane === 0);
  }

  #view(peer: Peer): PeerView {
    return {
      id: peer.id,
      publicKey: peer.publicKey,
      presharedKey: peer.presharedKey,
      endpoint: peer.endpoint,
      source: peer.source,
      persistentKeepalive: peer.persistentKeepalive / 1000,
      routes: [...peer.routes.values()],
      lastHandshakeWall: peer.lastSession.wall,
      lastHandshakeBoot: peer.lastSession.boot,
      handshakeBytes: peer.handshakeBytes,
      sessionUntil: this.#device.sendsUntil(peer),
      suite: peer.slots.current?.suite,
      isShakingHands: this.#device.timers.has(peer.id, "handshake retry"),
      lanesUntil: peer.lanes.map((lane) => this.#device.sendsUntil(lane)),
    };
  }

  /** Core moved a session from next to current (R43). */
  #confirmed(step: Step, peer: Peer, index: number): void {
    const change = peer.slots.confirm(index);
    if (!change) return;
    this.#device.applySlots(peer, change);
    const { offered } = peer;
    if (offered?.localIndex === index) moveEndpoint(step, peer, offered.endpoint, offered.source);
    handshakeDone(this.#device, step, peer, "responder");
  }

  #remove(step: Step, peer: Peer): void {
    const device = this.#device;
    device.forget(step, peer);
    device.forgetStaticStatic(peer);
    device.crypto.wipe(peer.presharedKey);
    for (const key of peer.routes.keys()) this.#holders.delete(key);
    device.delete(peer);
    step.out.command({ kind: "removePeer", peer: peer.id });
  }

  #start(step: Step, peer: Peer): void {
    const device = this.#device;
    device.arm(step, peer, ALL_EDGES);
    if (peer.persistentKeepalive === 0) return;
    device.timers.set(
      peer.id,
      "persistent keepalive",
      step.boot + peer.persistentKeepalive,
    );
    keepaliveOrHandshake(device, step, peer);
  }

  /** Ends all sessions; the next handshake need not wait (R38), and replays are still known (R37). */
  #stop(step: Step, peer: Peer): void {
    this.#device.forget(step, peer);
    peer.lastHandshakeSent = peer.laneHandshakeSent = -Infinity;
    peer.answeredAt = -Infinity;
    peer.lastHandshakeReceived = -Infinity;
    peer.lastConsumed = -Infinity;
    peer.noAnswerFloor = -Infinity;
    peer.passiveFloor = -Infinity;
    peer.retries = 0;
  }

  /**
   * Takes the time of a step. A boot clock that went back (R64) cannot say how old a key is: all
   * sessions end, so that none lives longer for it, and every timer starts anew.
   *
   * They end, too, when the wall clock was set: that may be a virtual machine which was set back to a snapshot of its
   * memory, whose sessions would seal with counters that were used. Whom one served gets the next at once; a time
   * server that sets the clock at a boot costs no more than that, and one that does so again and again what leaps.ts says.
   */
  #begin(now: Now, out: Out): Step {
    const setByMs = this.#watch.look(now);
    const byMs = this.#lastBoot - now.boot;
    const hasStepped = byMs > CLOCK_TOLERANCE;
    this.#lastBoot = hasStepped ? now.boot : Math.max(this.#lastBoot, now.boot);
    const step = { boot: this.#lastBoot, wall: now.wall, out };
    if (hasStepped) {
      this.#leaps.forget();
      out.event({ kind: "clockWentBack", byMs });
    } else {
      const leaps = this.#leaps.look(step.boot, setByMs);
      if (!leaps) return step;
      const { isTold, ...rest } = leaps;
      if (isTold) out.event({ kind: "clockWasSet", ...rest });
    }
    const device = this.#device;
    for (const peer of this.#peers()) {
      const isInUse = device.maySend(step, peer) || peer.slots.next !== undefined ||
        peer.pending !== undefined;
      this.#stop(step, peer);
      if (!device.isUp) continue;
      this.#start(step, peer);
      if (isInUse && !hasStepped) wantHandshake(device, step, peer, { kind: "asked" });
    }
    return step;
  }
}

function requireKey(name: string, key: Uint8Array): void {
  if (key.length !== KEY_LENGTH) {
    throw new RangeError(`${name}: ${key.length} bytes, must be ${KEY_LENGTH}`);
  }
}
