/**
 * Handshakes of the tunnel machine: when one is sent, and what an arriving message changes.
 *
 * A message changes nothing before it is authentic as a whole. What then happens is the same for
 * both roles: the peer's endpoint follows it (R53), core gets the session, timers start.
 */
import type { Endpoint, Source } from "../endpoint.ts";
import { sameBytes, sameEndpoint } from "../endpoint.ts";
import type { PeerId, Session } from "../machine.ts";
import type { Finished } from "../noise/handshake.ts";
import {
  decodeHandshakeMessage,
  encodeInitiation,
  encodeResponse,
  type HandshakeMessage,
} from "../noise/messages.ts";
import { laneOf, nextTimestamp, ofLane, wallOf } from "../noise/tai64n.ts";
import {
  FUTURE_TIMESTAMP,
  HANDSHAKE_TOS,
  INITIATION_INTERVAL,
  OUTDATED_FOR,
  REKEY_AFTER_MESSAGES,
  REKEY_AFTER_TIME,
  REKEY_ON_RECEIVE_AFTER,
  REKEY_TIMEOUT,
  ZERO_KEYS_AFTER,
} from "./constants.ts";
import type { Device, Step } from "./device.ts";
import { laneFor, openLanes, spreadLanes, timestampsOf } from "./lanes.ts";
import { ALL_EDGES, type Peer, type Wish } from "./peer.ts";
import type { Arrival } from "./types.ts";

type Message<K extends HandshakeMessage["kind"]> = Extract<HandshakeMessage, { kind: K }>;

const NOTHING = new Uint8Array(0);

/**
 * Starts a handshake unless one is being tried; as soon as R38 allows it. A wish that had to wait
 * is looked at again then: it may have become void.
 */
export function wantHandshake(device: Device, step: Step, peer: Peer, wish: Wish): void {
  if (device.timers.has(peer.id, "handshake retry")) return;
  const allowedAt = Math.max(peer.lastHandshakeSent, peer.answeredAt) + REKEY_TIMEOUT;
  if (step.boot < allowedAt) {
    peer.wish = wish;
    device.timers.set(peer.id, "handshake wanted", allowedAt);
    return;
  }
  peer.retries = 0;
  sendInitiation(device, step, peer);
}

/**
 * Sends an initiation and sets the timer of its retry (R6). Where that is impossible (no key, no
 * endpoint, a peer's key of low order, R25) what waits for the session is dropped instead; the
 * edge is armed again when the obstacle goes.
 */
export function sendInitiation(device: Device, step: Step, peer: Peer): void {
  const { keys, timers } = device;
  timers.clear(peer.id, "handshake wanted");
  peer.wish = undefined;
  const staticStatic = keys && device.isUp && peer.endpoint && device.staticStatic(step, peer);
  if (!keys || !peer.endpoint || !staticStatic) {
    step.out.command({ kind: "dropStaged", peer: peer.id });
    return;
  }
  const { first } = peer;
  const { suite } = first;
  const isLane = peer.lane > 0;
  first.sentTimestamp = ofLane(nextTimestamp(step.wall, first.sentTimestamp), peer.lane);
  const initiation = device.noise.initiate(
    keys,
    { publicKey: peer.publicKey, staticStatic },
    device.random(32),
    first.sentTimestamp,
    device.noise.speaks(suite, isLane) ? suite : "chacha20-poly1305",
    isLane,
  );
  if (!initiation) {
    step.out.command({ kind: "dropStaged", peer: peer.id });
    return;
  }
  device.dropPending(peer);
  const localIndex = device.allocateIndex(peer);
  const { elsewhere, retries } = peer;
  // In turns: whoever answers is where the peer is (R53).
  const endpoint = elsewhere && retries % 2 === 0 ? elsewhere.endpoint : peer.endpoint;
  peer.pending = { initiation: initiation.pending, localIndex, to: endpoint };
  sendHandshake(step, peer, encodeInitiation(localIndex, initiation.parts), endpoint);
  device.counters.initiationsSent++;
  if (!isLane) {
    step.out.event({ kind: "handshakeSent", peer: peer.id, attempt: retries + 1, endpoint });
  }
  timers.set(peer.id, "handshake retry", step.boot + REKEY_TIMEOUT + device.jitter());
}

/**
 * A datagram that core's gate let through.
 * @param isRefused whether a peer that it may be from is not believed at that place
 * @returns the peer whose handshake, or that of its lane, was taken: it is authentic, and no copy
 */
export function receiveHandshake(
  device: Device,
  step: Step,
  arrival: Arrival,
  isRefused: (peer: PeerId) => boolean = () => false,
): PeerId | undefined {
  if (!device.isUp || !device.keys) {
    device.counters.dropDown++;
    return undefined;
  }
  const message = decodeHandshakeMessage(arrival.bytes);
  switch (message?.kind) {
    case undefined:
      device.counters.dropMalformed++;
      return undefined;
    case "initiation":
      return receiveInitiation(device, step, arrival, message, isRefused);
    case "response":
      return receiveResponse(device, step, arrival, message, isRefused);
    case "cookieReply":
      receiveCookieReply(device, step, message);
      return undefined;
  }
}

function receiveInitiation(
  device: Device,
  step: Step,
  arrival: Arrival,
  message: Message<"initiation">,
  isRefused: (peer: PeerId) => boolean,
): PeerId | undefined {
  const { keys, counters } = device;
  if (!keys) return undefined;
  const read = device.noise.read(keys, message.ephemeral, message.sealedStatic);
  if (!read) {
    counters.dropUnauthentic++;
    return undefined;
  }
  const asker = device.byKey(read.remoteStatic);
  if (!asker) {
    read.wipe();
    counters.dropUnknownPeer++;
    return undefined;
  }
  if (isRefused(asker.id)) {
    read.wipe();
    return undefined;
  }
  const staticStatic = device.staticStatic(step, asker);
  const consumed = staticStatic && read.open(staticStatic, message.sealedPayload);
  if (!consumed) {
    read.wipe();
    counters.dropUnauthentic++;
    return undefined;
  }
  const timestamp = consumed.payload;
  const lane = consumed.isLane ? laneOf(timestamp) : 0;
  const timestamps = timestampsOf(asker, consumed.isLane, lane);
  if (!timestamps) {
    consumed.wipe();
    counters.dropLane++;
    return undefined;
  }
  if (!timestamps.isNews(timestamp, step.wall, asker.isStaying)) {
    consumed.wipe();
    counters.dropReplay++;
    if (asker.isStaying && lane === 0) beginInstead(device, step, asker);
    return undefined;
  }
  const peer = laneFor(device, step, asker, lane);
  if (!peer) {
    consumed.wipe();
    counters.dropLane++;
    return undefined;
  }
  if (step.boot < peer.lastConsumed + INITIATION_INTERVAL) {
    consumed.wipe();
    counters.dropFlood++;
    return undefined;
  }
  timestamps.take(timestamp, step.wall, asker.isStaying);
  peer.lastConsumed = step.boot;
  const aheadMs = wallOf(timestamp) - step.wall;
  if (aheadMs > FUTURE_TIMESTAMP) {
    step.out.event({ kind: "futureTimestamp", peer: asker.id, aheadMs });
  }

  const response = consumed.respond(asker.presharedKey, device.random(32), NOTHING);
  if (!response) {
    counters.dropUnauthentic++;
    return undefined;
  }
  counters.initiationsTaken++;
  if (!peer.isStaying) heardHandshake(step, peer);
  asker.handshakeBytes.received += arrival.bytes.length;
  const localIndex = device.allocateIndex(peer);
  const { from: endpoint, source } = arrival;
  const isThere = peer.endpoint && sameEndpoint(peer.endpoint, endpoint);
  // A lane is where its peer is. Where ours go to is not for whoever begins one with a copied key to say.
  if (lane > 0) peer.offered = undefined;
  else if (!peer.isStaying || isThere || !peer.endpoint) {
    moveEndpoint(step, peer, endpoint, source);
    peer.offered = undefined;
  } else peer.offered = { localIndex, endpoint, ...(source && { source }) };
  install(device, step, peer, "responder", localIndex, message.sender, response.finished);
  const bytes = encodeResponse(localIndex, message.sender, response.parts);
  sendHandshake(step, peer, bytes, arrival.from, peer.isStaying);
  counters.responsesSent++;
  if (peer.isStaying) begun(device, step, peer, endpoint);
  return asker.id;
}

/** It is the peer's own, and no copy's: it counts as a sign of life, and its clock is well. */
function heardHandshake(step: Step, peer: Peer): void {
  peer.lastHandshakeReceived = step.boot;
  peer.outdated = undefined;
}

/** Ours, not WireGuard's: a handshake of a member was answered, and is not finished yet. */
function begun(device: Device, step: Step, peer: Peer, from: Endpoint): void {
  if (peer.answeredAt === -Infinity) peer.answeredAt = step.boot;
  const mustAsk = peer.unfinished.begin(step.boot, from);
  if (mustAsk && peer.endpoint) wantHandshake(device, step, peer, { kind: "asked" });
}

/**
 * Ours, not WireGuard's: a member's initiation that is not after an earlier one is a copy, or the member's clock was put
 * back and it starts anew. Where it is, and not where that came from, an initiation of ours asks: a member gets its
 * session by that, and a copy costs one handshake as often as R38 allows.
 */
function beginInstead(device: Device, step: Step, peer: Peer): void {
  const { since = step.boot, last = step.boot } = peer.outdated ?? {};
  const isNew = step.boot - last > OUTDATED_FOR;
  peer.outdated = { since: isNew ? step.boot : since, last: step.boot };
  if (peer.endpoint) wantHandshake(device, step, peer, { kind: "asked" });
}

function receiveResponse(
  device: Device,
  step: Step,
  arrival: Arrival,
  message: Message<"response">,
  isRefused: (peer: PeerId) => boolean,
): PeerId | undefined {
  const { keys, counters } = device;
  const peer = device.indices.get(message.receiver);
  if (!keys || peer?.pending?.localIndex !== message.receiver) {
    counters.dropUnexpected++;
    return undefined;
  }
  const { first } = peer;
  if (isRefused(first.id)) return undefined;
  const { initiation, localIndex, to } = peer.pending;
  const finished = initiation.finish(keys, first.presharedKey, message);
  if (!finished) {
    counters.dropUnauthentic++;
    return undefined;
  }
  counters.responsesTaken++;
  device.dropPending(peer); // its index lives on as the session's
  peer.lastHandshakeReceived = step.boot;
  first.handshakeBytes.received += arrival.bytes.length;
  // What it answers has reached it where that went, whatever address it writes on the answer.
  if (peer !== first) peer.elsewhere = undefined; // A lane is where its peer is.
  else if (peer.isStaying && !sameEndpoint(arrival.from, to)) {
    moveEndpoint(step, peer, to, undefined);
  } else moveEndpoint(step, peer, arrival.from, arrival.source);
  install(device, step, peer, "initiator", localIndex, message.sender, finished);
  // R41: what was staged left with the installation; if nothing was, this confirms the session.
  step.out.command({ kind: "sendKeepalive", peer: peer.id, unlessSent: true });
  handshakeDone(device, step, peer, "initiator");
  return first.id;
}

/** R34: takes the cookie, sends nothing, moves nothing. */
function receiveCookieReply(device: Device, step: Step, message: Message<"cookieReply">): void {
  const peer = device.indices.get(message.receiver);
  if (!peer) device.counters.dropUnexpected++;
  else if (peer.cookies.accept(step.boot, message.nonce, message.sealedCookie)) {
    device.counters.cookiesTaken++;
  } else device.counters.dropUnauthentic++;
}

/**
 * A session became usable: ours by the response, the peer's by its first packet (R43). Whatever
 * handshake is still under way has lost its purpose.
 */
export function handshakeDone(
  device: Device,
  step: Step,
  peer: Peer,
  role: Session["role"],
): void {
  device.dropPending(peer);
  device.timers.clear(peer.id, "handshake retry");
  device.timers.clear(peer.id, "handshake wanted");
  peer.wish = undefined;
  peer.retries = 0;
  peer.elsewhere = undefined;
  peer.answeredAt = -Infinity;
  if (role === "responder") {
    if (peer.isStaying) heardHandshake(step, peer);
    peer.unfinished.finish();
  } else if (peer.unfinished.answered(step.boot) && peer.unfinished.place) {
    const { place } = peer.unfinished;
    step.out.event({ kind: "handshakesUnfinished", peer: peer.first.id, endpoint: place });
  }
  peer.lastSession = { wall: step.wall, boot: step.boot };
  if (peer.endpoint && peer.lane === 0) {
    step.out.event({ kind: "handshakeDone", peer: peer.id, role, endpoint: peer.endpoint });
  }
  device.arm(step, peer, idleEdges(device, peer));
  peer.isWaiting = false;
  if (peer.lane > 0) spreadLanes(step, peer.first);
  else openLanes(device, step, peer);
  if (role !== "initiator") return; // The other side does this.
  if (peer.lane > 0) renewForLanes(device, step, peer.first);
  else if (peer.lanesMax > 1) {
    device.timers.set(peer.id, "lanes in use", step.boot + REKEY_AFTER_TIME);
  }
}

/**
 * The session of a peer itself is renewed while a lane is used, though nothing goes by it: with it the lanes would end,
 * and until then the peer would count as one without a session.
 */
export function renewForLanes(device: Device, step: Step, peer: Peer): void {
  const { current } = peer.slots;
  if (!current || step.boot < current.birth + REKEY_AFTER_TIME) return;
  const isUsed = peer.lanes.some((lane) => device.maySend(step, lane));
  if (isUsed) wantHandshake(device, step, peer, { kind: "asked" });
}

/** Edges whose timer is not running: while it runs, the facts are read then anyway. */
function idleEdges(device: Device, peer: Peer) {
  return ALL_EDGES.filter((edge) =>
    !(edge === "unansweredData" && device.timers.has(peer.id, "no answer")) &&
    !(edge === "unsentReply" && device.timers.has(peer.id, "passive keepalive"))
  );
}

/** R53: an authentic message moves the endpoint; answers leave from where it came to (R55). */
export function moveEndpoint(
  step: Step,
  peer: Peer,
  to: Endpoint,
  source: Source | undefined,
): void {
  const hasMoved = !peer.endpoint || !sameEndpoint(peer.endpoint, to);
  if (!hasMoved && sameSource(peer.source, source)) return;
  setEndpoint(step, peer, to, source);
  if (hasMoved) step.out.event({ kind: "endpointMoved", peer: peer.id, endpoint: to });
}

/** Tells core too. A peer takes its lanes along. */
export function setEndpoint(
  step: Step,
  peer: Peer,
  endpoint: Endpoint,
  source: Source | undefined,
): void {
  for (const one of [peer, ...peer.lanes]) {
    one.endpoint = endpoint;
    one.source = source;
    step.out.command({
      kind: "setEndpoint",
      peer: one.id,
      endpoint,
      ...(source && { source }),
    });
  }
}

function sameSource(a: Source | undefined, b: Source | undefined): boolean {
  if (!a || !b) return a === b;
  return a.ifindex === b.ifindex && sameBytes(a.address, b.address);
}

function sendHandshake(
  step: Step,
  peer: Peer,
  bytes: Uint8Array,
  to: Endpoint,
  isAnybodys = false,
): void {
  peer.cookies.stamp(step.boot, bytes);
  if (!isAnybodys) peer.lastHandshakeSent = step.boot;
  peer.first.handshakeBytes.sent += bytes.length;
  // Our address there means nothing at another place.
  const isThere = peer.endpoint && sameEndpoint(peer.endpoint, to);
  const from = isThere && peer.source ? { from: peer.source } : {};
  step.out.send({ bytes, to, tos: HANDSHAKE_TOS, peer: peer.first.id, ...from });
}

/** Gives core the session and mirrors what that does to the slots (R40 to R42). */
function install(
  device: Device,
  step: Step,
  peer: Peer,
  role: Session["role"],
  localIndex: number,
  remoteIndex: number,
  { keys, suite }: Finished,
): void {
  const isInitiator = role === "initiator";
  const slot = { localIndex, birth: step.boot, suite };
  device.applySlots(peer, peer.slots.install(role, slot, peer.isStaying));
  step.out.command({
    kind: "installSession",
    peer: peer.id,
    session: {
      role,
      suite,
      localIndex,
      remoteIndex,
      sendKey: isInitiator ? keys.initiatorToResponder : keys.responderToInitiator,
      receiveKey: isInitiator ? keys.responderToInitiator : keys.initiatorToResponder,
      birth: step.boot,
      rekeyAfterTime: isInitiator ? step.boot + REKEY_AFTER_TIME : 0,
      rekeyOnReceive: isInitiator ? step.boot + REKEY_ON_RECEIVE_AFTER : 0,
      rekeyAfterMessages: REKEY_AFTER_MESSAGES,
    },
  });
  device.timers.set(peer.id, "zero keys", step.boot + ZERO_KEYS_AFTER);
}
