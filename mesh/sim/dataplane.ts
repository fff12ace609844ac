/**
 * A model of core for the simulator and for tests: what `core/shoal.h` promises about sessions,
 * edges and facts, in the plainest code that keeps the promise. Data is sealed with the real AEAD,
 * so a session that only one side has is as useless here as there. It has no MTU, no offloads, no ICMP and
 * no order to keep; the replay window is a set of counters. What core refuses or drops, it refuses
 * or drops for the same reason (src/model_test.ts), but for the gate's rates and for what the kernel
 * says of a datagram.
 */
import type { Crypto } from "../crypto.ts";
import { type Endpoint, isAnswerable, sameBytes, sameEndpoint, type Source } from "../endpoint.ts";
import {
  type Command,
  type Datagram,
  type EdgeName,
  LANES_MAX,
  type PeerId,
  type Prefix,
  type Random,
  type Session,
  type Suite,
} from "../machine.ts";
import { CookieChecker } from "../noise/cookie.ts";
import { prefixText } from "../prefix.ts";
import { originOf } from "../wire/origin.ts";
import {
  type Arrival,
  type Edge,
  type FactReader,
  NO_FACTS,
  type PeerFacts,
} from "../tunnel/types.ts";
import {
  DATAGRAM_MAX,
  PEERS_MAX,
  type Refusal,
  refusalOfCommand,
  refusalOfDatagram,
  ROUTES_MAX,
} from "./refusal.ts";

/** What comes out of the model. */
export interface PlaneOutput {
  readonly datagram: (datagram: Datagram) => void;
  /** A datagram that is not data: the gate let it through. */
  readonly mail: (arrival: Arrival) => void;
  readonly edge: (edge: Edge) => void;
  /** Data of no session came from there. */
  readonly stray?: (from: Endpoint) => void;
  /** An inner packet for the TUN. */
  readonly deliver: (peer: PeerId, packet: Uint8Array) => void;
}

interface Keys extends Session {
  sent: number;
  readonly received: Set<bigint>;
  greatestReceived: bigint;
  hasRung: boolean;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface PlanePeer {
  readonly id: PeerId;
  /** The peer that it is a lane of; itself where it is none; undefined: it was one. */
  first: PlanePeer | undefined;
  /** Its lanes by number, from 1 on. */
  readonly lanes: PlanePeer[];
  /** Over so many of them, with itself, flows are spread. */
  spread: number;
  endpoint: Endpoint | undefined;
  source: Source | undefined;
  isOffline: boolean;
  isGuest: boolean;
  isStaying: boolean;
  /** Boot ms at which it was last told that it was heard elsewhere. */
  elsewhereToldAt: number;
  previous: Keys | undefined;
  current: Keys | undefined;
  next: Keys | undefined;
  readonly armed: Set<EdgeName>;
  readonly staged: Uint8Array[];
  readonly facts: Mutable<PeerFacts>;
}

const REJECT_AFTER_TIME = 180_000; // R4
const WINDOW = 8128n; // R13: steps behind the newest
const MAX_STAGED = 128; // R16
const COUNTER_LIMIT = 2n ** 64n - 2n ** 13n - 1n; // R2
/** Boot milliseconds between two strays of one source that are told of, and sources that are counted. */
const STRAY_PACE = 100;
const STRAY_SOURCES = 128;
/** Boot milliseconds between two words that a peer that stays is heard elsewhere. */
const ELSEWHERE_PACE = 100;
/** Boot milliseconds within which who gets data has answered (R57). */
const ANSWER_MAX = 11_000;
const HEADER = 16;
/** Where an inner packet says how many hops it may go on: IPv4, IPv6. */
const TTL = 8;
const HOP_LIMIT = 7;
const MESSAGE_DATA = 4;
/** Of types 1 to 3 (R20). */
const HANDSHAKE_LENGTHS: readonly number[] = [148, 92, 64];
const NOTHING = new Uint8Array(0);

export interface PlaneLimits {
  readonly peers: number;
  readonly routes: number;
  /** Whether the processor has instructions for AES; it has when absent. */
  readonly aesGcm?: boolean;
  /** Worker threads; 1 when absent. Here they only say which index may be a peer's. */
  readonly workers?: number;
}

/** Two suites open nothing of each other: here by what is authenticated beside the packet. */
const SUITE_MARK: Readonly<Record<Suite, Uint8Array>> = {
  "chacha20-poly1305": new Uint8Array(0),
  "aes-256-gcm": Uint8Array.of(1),
};

export class DataPlane {
  /** Whether the gate asks for cookies (R14, R30). */
  isLoaded = false;
  /** How often which reason to drop was met, by the names of core's counters after `drop_`. */
  readonly drops = new Map<string, number>();
  /** Packets that went on to another peer, or wait for its session. */
  forwarded = 0;
  readonly #peers = new Map<PeerId, PlanePeer>();
  readonly #sessions = new Map<number, { readonly peer: PlanePeer; readonly keys: Keys }>();
  /** By the text of the prefix: thousands of members have thousands of them. */
  readonly #routes = new Map<string, { readonly prefix: Prefix; readonly peer: PlanePeer }>();
  readonly #workers: number;
  /** By the length of an address: 4 or 16. */
  readonly #inner = new Map<number, Prefix>();
  #gate: CookieChecker | undefined;
  /** When data of no session was last told of, by its source; the oldest makes room. */
  readonly #strayTold = new Map<string, number>();

  constructor(
    private readonly crypto: Crypto,
    private readonly random: Random,
    private readonly out: PlaneOutput,
    private readonly limits: PlaneLimits = { peers: PEERS_MAX, routes: ROUTES_MAX },
  ) {
    this.#workers = limits.workers ?? 1;
  }

  /** A snapshot of how much each session has sent. @returns sets them back to it, as a virtual machine's memory is */
  counters(): () => void {
    const sent = Array.from(this.#sessions.values(), ({ keys }) => ({ keys, sent: keys.sent }));
    return () => {
      for (const { keys, sent: before } of sent) keys.sent = before;
    };
  }

  /** Our own address of one family, with the length of the mesh's network. */
  setInner(inner: Prefix): void {
    this.#inner.set(inner.address.length, inner);
  }

  /** Local indices of all sessions that live. */
  get indices(): number[] {
    return [...this.#sessions.keys()];
  }

  /** Which local index each slot of a peer holds. */
  slots(id: PeerId): { previous?: number; current?: number; next?: number } {
    const peer = this.#peers.get(id);
    return {
      ...(peer?.previous && { previous: peer.previous.localIndex }),
      ...(peer?.current && { current: peer.current.localIndex }),
      ...(peer?.next && { next: peer.next.localIndex }),
    };
  }

  readonly facts: FactReader = (id) => {
    const peer = this.#peers.get(id);
    return peer && { ...peer.facts, staged: peer.staged.length };
  };

  /**
   * Carries out a command at a boot time. A command that names a peer core does not know is void.
   * @returns why core refuses it; then nothing has changed
   */
  execute(boot: number, command: Command): Refusal | undefined {
    const peer = "peer" in command ? this.#peers.get(command.peer) : undefined;
    const first = command.kind === "addLane" ? this.#peers.get(command.of) : undefined;
    const isVoid = command.kind === "addLane"
      ? !first
      : "peer" in command && command.kind !== "addPeer" && !peer;
    const refusal = isVoid ? undefined : refusalOfCommand(command) ?? this.#refusal(command);
    if (isVoid || refusal) {
      if (command.kind !== "installSession") return refusal;
      this.crypto.wipe(command.session.sendKey, command.session.receiveKey);
      return refusal;
    }
    if (command.kind === "setIdentity") {
      const { publicKey } = command;
      const isZero = publicKey?.every((byte) => byte === 0) ?? true;
      this.#gate = !publicKey || isZero
        ? undefined
        : new CookieChecker(this.crypto, this.random, publicKey);
    } else if (command.kind === "addPeer") this.#peers.set(command.peer, newPeer(command.peer));
    else if (command.kind === "addLane") {
      const lane = newPeer(command.peer, first);
      if (first) first.spread = 1 + first.lanes.push(lane);
      this.#peers.set(command.peer, lane);
    } else if (peer) this.#change(boot, peer, command);
    return undefined;
  }

  /** Sends a datagram of mesh. @returns why core refuses it */
  send(datagram: Datagram): Refusal | undefined {
    const refusal = refusalOfDatagram(datagram);
    if (!refusal) this.out.datagram(datagram);
    return refusal;
  }

  /** What is refused because of what is there already. */
  #refusal(command: Command): Refusal | undefined {
    switch (command.kind) {
      case "addPeer": {
        const isNew = !this.#peers.has(command.peer);
        return isNew && this.#peers.size >= this.limits.peers ? "E_FULL" : undefined;
      }
      case "addLane": {
        const first = this.#peers.get(command.of);
        const number = 1 + (first?.lanes.length ?? 0);
        if (first?.first !== first) return "E_INVALID";
        if (number >= Math.min(this.#workers, LANES_MAX)) return "E_FULL";
        if (command.peer % this.#workers !== (command.of + number) % this.#workers) {
          return "E_INVALID";
        }
        return this.#peers.size >= this.limits.peers ? "E_FULL" : undefined;
      }
      case "spreadLanes": {
        const most = 1 + (this.#peers.get(command.peer)?.lanes.length ?? 0);
        return command.lanes < 1 || command.lanes > most ? "E_INVALID" : undefined;
      }
      case "setGuest": {
        const peer = this.#peers.get(command.peer);
        return peer && peer.first !== peer ? "E_INVALID" : undefined;
      }
      case "installSession":
        if (command.session.suite === "aes-256-gcm" && this.limits.aesGcm === false) {
          return "E_UNKNOWN";
        }
        if ((command.session.localIndex & 0xff) % this.#workers !== command.peer % this.#workers) {
          return "E_INVALID";
        }
        return this.#sessions.has(command.session.localIndex) ? "E_EXISTS" : undefined;
      case "addRoute": {
        const peer = this.#peers.get(command.peer);
        if (peer && peer.first !== peer) return "E_INVALID";
        const isHeld = this.#routes.has(prefixText(command.prefix));
        return !isHeld && this.#routes.size >= this.limits.routes ? "E_FULL" : undefined;
      }
      default:
        return undefined;
    }
  }

  #change(boot: number, peer: PlanePeer, command: Command): void {
    switch (command.kind) {
      case "removePeer":
        this.#clearSessions(peer);
        for (const [text, route] of this.#routes) {
          if (route.peer === peer) this.#routes.delete(text);
        }
        this.#peers.delete(peer.id);
        leaveLanes(peer);
        return;
      case "setEndpoint":
        peer.endpoint = normal(command.endpoint);
        peer.source = command.source;
        return;
      case "clearSource":
        peer.source = undefined;
        return;
      case "installSession":
        return this.#install(boot, peer, command.session);
      case "clearSessions":
        return this.#clearSessions(peer);
      case "sendKeepalive":
        if (command.unlessSent && (peer.current?.sent ?? 0) > 0) return;
        this.#seal(boot, peer, NOTHING);
        return;
      case "setOffline":
        peer.isOffline = command.isOffline;
        return;
      case "setGuest":
        peer.isGuest = true;
        return;
      case "setStaying":
        peer.isStaying = true;
        return;
      case "spreadLanes":
        peer.spread = command.lanes;
        return;
      case "dropStaged":
        peer.staged.length = 0;
        return;
      case "arm":
        return this.#arm(boot, peer, command.edges);
      case "addRoute":
        this.#routes.set(prefixText(command.prefix), { prefix: command.prefix, peer });
        return;
      case "removeRoute": {
        const text = prefixText(command.prefix);
        if (this.#routes.get(text)?.peer === peer) this.#routes.delete(text);
        return;
      }
    }
  }

  /** An inner packet from the TUN (R51). */
  sendPacket(boot: number, packet: Uint8Array): void {
    const parsed = parse(packet);
    if (!parsed) return this.#drop("tx_malformed");
    const peer = this.#holder(parsed.destination);
    if (!peer) return this.#drop("tx_no_route");
    this.#pass(boot, this.#laneFor(boot, peer, parsed), packet);
  }

  /** The lane of a flow, if it can send; core: `lane_for` and `steering.c`. */
  #laneFor(boot: number, peer: PlanePeer, { ports }: Packet): PlanePeer {
    const [a = 0, b = 0, c = 0, d = 0] = ports; // the same lane in both directions
    const number = ((a ^ c) + (b ^ d)) % peer.spread;
    const lane = peer.lanes[number - 1];
    if (!lane) return peer;
    // Nothing waits for it: the peer itself carries the packet.
    if (!maySend(boot, lane) && lane.armed.delete("sessionNeeded")) {
      this.out.edge({ kind: "sessionNeeded", peer: lane.id });
    }
    return maySend(boot, lane) && !lane.isOffline ? lane : peer;
  }

  /** Seals a packet for a peer, or lets it wait for a session. @returns whether the peer is there */
  #pass(boot: number, peer: PlanePeer, packet: Uint8Array): boolean {
    if (!peer.endpoint) {
      this.#drop("tx_no_endpoint");
      return false;
    }
    const first = peer.facts.firstUnansweredData;
    const isAnswered = maySend(boot, peer) && (first === 0 || boot - first < ANSWER_MAX);
    if (peer.isOffline && !isAnswered) {
      this.#drop("tx_offline");
      this.#ring(boot, peer, "sessionNeeded");
      return false;
    }
    if (!maySend(boot, peer)) {
      if (peer.staged.length === MAX_STAGED) peer.staged.shift();
      peer.staged.push(packet);
      this.#ring(boot, peer, "sessionNeeded");
    } else this.#seal(boot, peer, packet);
    return true;
  }

  /** What a guest and another peer send each other goes on (core/forward.h). @returns whether it was taken */
  #forward(boot: number, from: PlanePeer, packet: Packet): boolean {
    const inner = this.#inner.get(packet.destination.length);
    if (inner && sameBytes(inner.address, packet.destination)) return false;
    const to = this.#holder(packet.destination);
    if (!to || !from.isGuest && !to.isGuest) {
      if (!inner) return false;
      const isForNobody = from.isGuest && contains(inner, packet.destination);
      this.#drop(isForNobody ? "forward_no_route" : "rx_destination");
      return true;
    }
    const at = packet.source.length === 4 ? TTL : HOP_LIMIT;
    const hops = packet.bytes[at] ?? 0;
    if (from === to) this.#drop("forward_back");
    else if (hops <= 1) this.#drop("forward_hops");
    else {
      const bytes = packet.bytes.slice();
      bytes[at] = hops - 1;
      if (this.#pass(boot, to, bytes)) this.forwarded++;
    }
    return true;
  }

  /** A datagram from the wire. */
  receive(boot: number, bytes: Uint8Array, from: Endpoint, source?: Source): void {
    if (!isAnswerable(from)) return this.#drop("rx_unanswerable");
    const type = typeOf(bytes);
    if (type === MESSAGE_DATA) return this.#open(boot, bytes, from, source);
    if (bytes.length === 0) return this.#drop("rx_short");
    if (bytes.length > DATAGRAM_MAX) return this.#drop("rx_oversized");
    const arrival = { bytes, from, ...(source && { source }) };
    if (type === undefined || type < 1 || type > 3) return this.out.mail(arrival);
    if (bytes.length !== HANDSHAKE_LENGTHS[type - 1]) return this.#drop("handshake_length");
    if (type === 3) return this.out.mail(arrival);
    const admission = this.#gate?.admit(boot, bytes, from, this.isLoaded);
    if (admission?.kind === "pass") return this.out.mail(arrival);
    if (admission?.kind !== "challenge") return this.#drop("handshake_mac1");
    this.#drop("handshake_cookie");
    this.out.datagram({ bytes: admission.reply, to: from, ...(source && { from: source }) });
  }

  #install(boot: number, peer: PlanePeer, session: Session): void {
    const keys: Keys = {
      ...session,
      sendKey: session.sendKey.slice(),
      receiveKey: session.receiveKey.slice(),
      sent: 0,
      received: new Set(),
      greatestReceived: -1n,
      hasRung: false,
      birth: Math.min(session.birth, boot), // R64: no session is younger than now
    };
    this.crypto.wipe(session.sendKey, session.receiveKey);
    this.#sessions.set(keys.localIndex, { peer, keys });
    if (session.role === "responder") {
      this.#free(peer.next, peer.isStaying ? undefined : peer.previous);
      if (!peer.isStaying) peer.previous = undefined;
      peer.next = keys; // R42, and what ours is instead
      return;
    }
    this.#free(peer.previous, peer.next && peer.current); // R41
    peer.previous = peer.next ?? peer.current;
    peer.next = undefined;
    peer.current = keys;
    this.#flush(boot, peer);
  }

  #free(...sessions: (Keys | undefined)[]): void {
    for (const keys of sessions) {
      if (!keys) continue;
      this.crypto.wipe(keys.sendKey, keys.receiveKey);
      this.#sessions.delete(keys.localIndex);
    }
  }

  #clearSessions(peer: PlanePeer): void {
    this.#free(peer.previous, peer.current, peer.next);
    peer.previous = peer.current = peer.next = undefined;
  }

  #flush(boot: number, peer: PlanePeer): void {
    for (const packet of peer.staged.splice(0)) this.#seal(boot, peer, packet);
  }

  #seal(boot: number, peer: PlanePeer, packet: Uint8Array): void {
    const keys = peer.current;
    if (!keys || !peer.endpoint || !maySend(boot, peer)) return; // E_STATE
    const counter = keys.sent++;
    const padded = new Uint8Array(Math.ceil(packet.length / 16) * 16); // R18
    padded.set(packet);
    const sealed = this.crypto.chacha20poly1305Seal(
      keys.sendKey,
      nonce(BigInt(counter)),
      SUITE_MARK[keys.suite],
      padded,
    );
    const bytes = new Uint8Array(HEADER + sealed.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, MESSAGE_DATA, true);
    view.setUint32(4, keys.remoteIndex, true);
    view.setBigUint64(8, BigInt(counter), true);
    bytes.set(sealed, HEADER);

    const { facts } = peer;
    facts.txBytes += bytes.length;
    facts.txPackets++;
    facts.lastAuthenticatedSend = boot;
    facts.firstUnsentReply = 0;
    if (packet.length > 0) {
      facts.lastDataSend = boot;
      facts.firstUnansweredData ||= boot;
      this.#ring(boot, peer, "unansweredData");
    }
    this.out.datagram({ bytes, to: peer.endpoint, ...(peer.source && { from: peer.source }) });
    if (keys.rekeyAfterTime > 0 && boot >= keys.rekeyAfterTime) this.#rekey(peer, keys, "age");
    if (BigInt(keys.sent) > keys.rekeyAfterMessages) this.#rekey(peer, keys, "messages");
  }

  #tellStray(boot: number, from: Endpoint): void {
    const source = originOf(from);
    if (boot - (this.#strayTold.get(source) ?? -Infinity) < STRAY_PACE) return;
    this.#strayTold.delete(source);
    this.#strayTold.set(source, boot);
    const [oldest] = this.#strayTold.keys();
    if (this.#strayTold.size > STRAY_SOURCES && oldest) this.#strayTold.delete(oldest);
    this.out.stray?.(from);
  }

  #open(boot: number, bytes: Uint8Array, from: Endpoint, source: Source | undefined): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < 32) return this.#drop("rx_short");
    const session = this.#sessions.get(view.getUint32(4, true));
    if (!session) {
      this.#drop("rx_index");
      return this.#tellStray(boot, from);
    }
    const { peer, keys } = session;
    if (boot >= keys.birth + REJECT_AFTER_TIME) return this.#drop("rx_expired");
    const counter = view.getBigUint64(8, true);
    if (counter >= COUNTER_LIMIT) return this.#drop("rx_counter_limit");
    const isOld = counter + WINDOW < keys.greatestReceived;
    if (isOld || keys.received.has(counter)) return this.#drop("rx_replay");
    const sealed = bytes.subarray(HEADER);
    const plain = this.crypto
      .chacha20poly1305Open(keys.receiveKey, nonce(counter), SUITE_MARK[keys.suite], sealed);
    if (!plain) return this.#drop("rx_authentication");
    keys.received.add(counter);
    if (counter > keys.greatestReceived) keys.greatestReceived = counter;

    if (peer.next === keys) this.#confirm(boot, peer, keys);
    const isSame = peer.endpoint !== undefined && sameEndpoint(peer.endpoint, normal(from));
    const isElsewhere = !isSame && peer.isStaying && peer.endpoint !== undefined;
    if (!isElsewhere) {
      peer.endpoint = normal(from);
      peer.source = source;
    }
    const isTold = isElsewhere ? boot - peer.elsewhereToldAt >= ELSEWHERE_PACE : !isSame;
    if (isTold) {
      peer.elsewhereToldAt = boot;
      this.out.edge({
        kind: "endpointMoved",
        peer: peer.id,
        endpoint: from,
        ...(source && { source }),
      });
    }
    const { facts } = peer;
    facts.rxBytes += bytes.length;
    facts.rxPackets++;
    facts.lastAuthenticatedReceive = boot;
    facts.firstUnansweredData = 0;
    if (peer.current === keys && keys.rekeyOnReceive > 0 && boot >= keys.rekeyOnReceive) {
      this.#rekey(peer, keys, "receive");
    }
    if (plain.length === 0) return;
    facts.lastDataReceive = boot;
    facts.firstUnsentReply ||= boot;
    this.#ring(boot, peer, "unsentReply");
    const packet = parse(plain);
    if (!packet) return this.#drop("rx_malformed"); // R49
    const { first } = peer;
    if (!first || this.#holder(packet.source) !== first) return this.#drop("rx_source"); // R50
    if (!this.#forward(boot, first, packet)) this.out.deliver(first.id, packet.bytes);
  }

  /** R43. */
  #confirm(boot: number, peer: PlanePeer, keys: Keys): void {
    this.#free(peer.previous);
    peer.previous = peer.current;
    peer.current = keys;
    peer.next = undefined;
    this.out.edge({ kind: "sessionConfirmed", peer: peer.id, index: keys.localIndex });
    this.#flush(boot, peer);
  }

  #rekey(peer: PlanePeer, keys: Keys, why: "age" | "receive" | "messages"): void {
    if (keys.hasRung) return;
    keys.hasRung = true;
    this.out.edge({ kind: "rekeyDue", peer: peer.id, index: keys.localIndex, why });
  }

  #arm(boot: number, peer: PlanePeer, edges: readonly EdgeName[]): void {
    for (const edge of edges) {
      peer.armed.add(edge);
      this.#ring(boot, peer, edge);
    }
  }

  /** Rings an armed edge if its condition holds, and disarms it. */
  #ring(boot: number, peer: PlanePeer, edge: EdgeName): void {
    const { firstUnansweredData, firstUnsentReply } = peer.facts;
    const holds = {
      sessionNeeded: peer.staged.length > 0 && !maySend(boot, peer),
      unansweredData: firstUnansweredData !== 0,
      unsentReply: firstUnsentReply !== 0,
    }[edge];
    if (!holds || !peer.armed.delete(edge)) return;
    switch (edge) {
      case "sessionNeeded":
        return this.out.edge({ kind: edge, peer: peer.id });
      case "unansweredData":
        return this.out.edge({ kind: edge, peer: peer.id, at: firstUnansweredData });
      case "unsentReply":
        return this.out.edge({ kind: edge, peer: peer.id, at: firstUnsentReply });
    }
  }

  /** Longest prefix over the whole device. */
  #holder(address: Uint8Array): PlanePeer | undefined {
    let best: { readonly prefix: Prefix; readonly peer: PlanePeer } | undefined;
    for (const route of this.#routes.values()) {
      const isLonger = !best || route.prefix.length > best.prefix.length;
      if (isLonger && contains(route.prefix, address)) best = route;
    }
    return best?.peer;
  }

  #drop(why: string): void {
    this.drops.set(why, (this.drops.get(why) ?? 0) + 1);
  }
}

/** A peer goes, and the lanes behind it are lanes of nobody. */
function leaveLanes(peer: PlanePeer): void {
  if (peer.first && peer.first !== peer) {
    for (const name of ["txBytes", "rxBytes", "txPackets", "rxPackets"] as const) {
      peer.first.facts[name] += peer.facts[name];
    }
  }
  const lanes = peer.first?.lanes ?? [];
  for (const lane of lanes.splice(lanes.indexOf(peer) < 0 ? 0 : lanes.indexOf(peer))) {
    lane.first = undefined;
  }
  if (peer.first) peer.first.spread = Math.min(peer.first.spread, 1 + lanes.length);
}

/** @param first  whose lane it is */
function newPeer(id: PeerId, first?: PlanePeer): PlanePeer {
  const peer: PlanePeer = {
    first,
    lanes: [],
    spread: 1,
    id,
    endpoint: undefined,
    source: undefined,
    isOffline: false,
    isGuest: false,
    isStaying: false,
    elsewhereToldAt: -Infinity,
    previous: undefined,
    current: undefined,
    next: undefined,
    armed: new Set(["sessionNeeded", "unansweredData", "unsentReply"]),
    staged: [],
    facts: { ...NO_FACTS },
  };
  peer.first ??= peer;
  return peer;
}

function maySend(boot: number, peer: PlanePeer): boolean {
  return peer.current !== undefined && boot < peer.current.birth + REJECT_AFTER_TIME;
}

/** R23. */
function nonce(counter: bigint): Uint8Array {
  const bytes = new Uint8Array(12);
  new DataView(bytes.buffer).setBigUint64(4, counter, true);
  return bytes;
}

/** The first four bytes as core reads them (R21); undefined: there are not as many. */
function typeOf(bytes: Uint8Array): number | undefined {
  if (bytes.length < 4) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
}

/** Only a link-local address keeps its scope: elsewhere it means nothing. */
function normal(endpoint: Endpoint): Endpoint {
  const [a = 0, b = 0] = endpoint.address;
  const isLinkLocal = endpoint.address.length === 16 && a === 0xfe && (b & 0xc0) === 0x80;
  return isLinkLocal ? endpoint : { ...endpoint, scope: 0 };
}

interface Packet {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  /** Of TCP and UDP: 4 bytes. Of others: none. */
  readonly ports: Uint8Array;
  /** Without what follows the packet's own length. */
  readonly bytes: Uint8Array;
}

/** RFC 791 section 3.1 and RFC 8200 section 3; undefined for what core calls malformed. */
function parse(bytes: Uint8Array): Packet | undefined {
  const version = (bytes[0] ?? 0) >> 4;
  const word = (at: number) => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  if (version === 4 && bytes.length >= 20) {
    const header = ((bytes[0] ?? 0) & 15) * 4;
    const length = word(2);
    if (header < 20 || length < header || length > bytes.length) return undefined;
    return {
      source: bytes.subarray(12, 16),
      destination: bytes.subarray(16, 20),
      ports: portsAt(bytes, bytes[9], header),
      bytes: bytes.subarray(0, length),
    };
  }
  if (version !== 6 || bytes.length < 40) return undefined;
  const length = 40 + word(4);
  if (length > bytes.length) return undefined;
  return {
    source: bytes.subarray(8, 24),
    destination: bytes.subarray(24, 40),
    ports: portsAt(bytes, bytes[6], 40),
    bytes: bytes.subarray(0, length),
  };
}

function portsAt(bytes: Uint8Array, protocol: number | undefined, at: number): Uint8Array {
  return protocol === 6 || protocol === 17 ? bytes.subarray(at, at + 4) : NOTHING;
}

function contains(prefix: Prefix, address: Uint8Array): boolean {
  if (prefix.address.length !== address.length) return false;
  for (let bit = 0; bit < prefix.length; bit++) {
    const mask = 0x80 >> (bit & 7);
    if (((prefix.address[bit >> 3] ?? 0) ^ (address[bit >> 3] ?? 0)) & mask) return false;
  }
  return true;
}
