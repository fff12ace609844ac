/**
 * What falls due: one function for each timer. Core keeps facts and rings an edge once when a
 * condition begins; at the deadline the facts say whether it still holds, began anew meanwhile
 * (the deadline moves), or ended (the edge is armed again). So bulk traffic costs mesh nothing.
 *
 * An edge rings at once when it is armed while its condition holds. A condition that was dealt with
 * already must therefore not make its timer run in a circle: the floors in `Peer` say up to when
 * everything was dealt with, and no timer is set less than its whole interval after its floor.
 */
import type { PeerId } from "../machine.ts";
import {
  CLOCK_TOLERANCE,
  KEEPALIVE_TIMEOUT,
  LANE_RETRIES,
  MAX_RETRIES,
  NO_ANSWER_TIMEOUT,
  REFUSED_AFTER,
  ZERO_KEYS_AFTER,
} from "./constants.ts";
import type { Device, Step } from "./device.ts";
import { renewForLanes, sendInitiation, wantHandshake } from "./handshakes.ts";
import type { Peer } from "./peer.ts";
import type { TimerName } from "./timers.ts";
import { type FactReader, NO_FACTS, type PeerFacts } from "./types.ts";

/** A timer of a peer is due; it is not set any more. */
type Duty = (device: Device, step: Step, peer: Peer, facts: PeerFacts) => void;

const DUTIES: Readonly<Record<TimerName, Duty>> = {
  "handshake retry": retryHandshake,
  "handshake wanted": startWanted,
  "no answer": checkAnswer,
  "passive keepalive": checkReply,
  "persistent keepalive": keepAlive,
  "zero keys": zeroKeys,
  "elsewhere": tryElsewhere,
  "refused": askRefused,
  "lanes in use": renewForLanes,
};

/** Does everything that is due now. */
export function performDue(device: Device, step: Step, read: FactReader): void {
  const { timers, peers } = device;
  for (let due = timers.peek(); due && due.at <= step.boot; due = timers.peek()) {
    const { peer: id, timer } = due;
    timers.clear(id, timer);
    const peer = peers.get(id);
    if (peer) DUTIES[timer](device, step, peer, plausible(step, read, id));
  }
}

/** First unanswered data left at `at`: R12. */
export function expectAnswer(device: Device, peer: Peer, at: number): void {
  peer.noAnswerJitter = device.jitter();
  device.timers.set(peer.id, "no answer", answerDue(peer, Math.max(at, answerFloor(peer))));
}

/** First unreplied data came at `at`: R57. */
export function expectReply(device: Device, peer: Peer, at: number): void {
  const since = Math.max(at, replyFloor(peer));
  device.timers.set(peer.id, "passive keepalive", since + KEEPALIVE_TIMEOUT);
}

/** Says that we are here; where no session may say it, a handshake does (as Linux does). */
export function keepaliveOrHandshake(device: Device, step: Step, peer: Peer): void {
  if (device.maySend(step, peer)) {
    step.out.command({ kind: "sendKeepalive", peer: peer.id, unlessSent: false });
  } else if (peer.endpoint) wantHandshake(device, step, peer, { kind: "asked" });
}

/** R6, R5, R54, R62. */
function retryHandshake(device: Device, step: Step, peer: Peer): void {
  // Its peer carries what was the lane's; they come again with the peer's next session.
  if (peer.lane > 0 && peer.retries === LANE_RETRIES) {
    return device.closeLanes(step, peer.first, peer.lane);
  }
  if (peer.retries <= MAX_RETRIES) {
    peer.retries++;
    clearSource(step, peer);
    sendInitiation(device, step, peer);
    return;
  }
  device.timers.clear(peer.id, "passive keepalive");
  peer.another = undefined;
  if (!device.timers.has(peer.id, "zero keys")) {
    device.timers.set(peer.id, "zero keys", step.boot + ZERO_KEYS_AFTER);
  }
  step.out.command({ kind: "dropStaged", peer: peer.id });
  step.out.event({ kind: "handshakeGaveUp", peer: peer.id, attempts: peer.retries + 1 });
  peer.retries = 0;
  device.arm(step, peer, ["sessionNeeded"]);
}

/** The peer was heard outside the tunnel at another place: is it still heard through the tunnel? */
function tryElsewhere(device: Device, step: Step, peer: Peer, facts: PeerFacts): void {
  if (peer.elsewhere === undefined) return;
  if (facts.lastAuthenticatedReceive > peer.elsewhere.since) peer.elsewhere = undefined;
  else wantHandshake(device, step, peer, { kind: "asked" });
}

/**
 * The network says that the peer's endpoint takes nothing. Anybody can say so, and nothing changes for
 * it: who is heard within a second is there, and whoever is not is asked by a handshake, as often as
 * R38 allows.
 */
export function doubt(device: Device, step: Step, peer: Peer): void {
  if (!device.isUp || device.timers.has(peer.id, "refused")) return;
  peer.refusedAt = step.boot;
  device.timers.set(peer.id, "refused", step.boot + REFUSED_AFTER);
}

function askRefused(device: Device, step: Step, peer: Peer, facts: PeerFacts): void {
  const since = lastHeard(peer, facts);
  if (since > peer.refusedAt) return;
  if (device.maySend(step, peer)) wantHandshake(device, step, peer, { kind: "noAnswer", since });
}

/** R38 allows it now: does the wish still hold? */
function startWanted(device: Device, step: Step, peer: Peer, facts: PeerFacts): void {
  const wish = peer.wish;
  peer.wish = undefined;
  switch (wish?.kind) {
    case undefined:
      return;
    case "session":
      if (facts.staged > 0) return wantHandshake(device, step, peer, wish);
      return device.arm(step, peer, ["sessionNeeded"]);
    case "rekey":
      if (peer.slots.current?.localIndex !== wish.index) return;
      return wantHandshake(device, step, peer, wish);
    case "noAnswer":
      if (lastHeard(peer, facts) > wish.since) return;
      return wantHandshake(device, step, peer, wish);
    case "asked":
      return wantHandshake(device, step, peer, wish);
  }
}

/** R12, R60: 15 s and some after data was sent, and nothing was heard. */
function checkAnswer(device: Device, step: Step, peer: Peer, facts: PeerFacts): void {
  const { firstUnansweredData: first, lastDataSend } = facts;
  if (first === 0) return device.arm(step, peer, ["unansweredData"]);
  const since = sinceFloor(first, lastDataSend, answerFloor(peer));
  if (since === undefined) {
    // Dealt with, and nothing sent since. Look again while the session can still carry data.
    if (device.maySend(step, peer)) {
      device.timers.set(peer.id, "no answer", step.boot + NO_ANSWER_TIMEOUT);
    }
    return;
  }
  if (step.boot < answerDue(peer, since)) {
    return device.timers.set(peer.id, "no answer", answerDue(peer, since));
  }
  const wish = { kind: "noAnswer", since: lastHeard(peer, facts) } as const;
  peer.noAnswerFloor = step.boot;
  clearSource(step, peer);
  wantHandshake(device, step, peer, wish);
  if (device.maySend(step, peer)) expectAnswer(device, peer, step.boot);
}

/** R57, R58: 10 s after data was received, and nothing was sent. */
function checkReply(device: Device, step: Step, peer: Peer, facts: PeerFacts): void {
  const { firstUnsentReply: first, lastDataReceive, txPackets } = facts;
  const another = peer.another;
  peer.another = undefined;
  const isCancelled = another === undefined ||
    txPackets > another.txPackets + 1 || peer.lastHandshakeSent > another.at;
  if (!isCancelled) return reply(device, step, peer, facts, first !== 0);

  if (first === 0) return device.arm(step, peer, ["unsentReply"]);
  const since = sinceFloor(first, lastDataReceive, replyFloor(peer));
  if (since === undefined) {
    if (device.maySend(step, peer)) {
      device.timers.set(peer.id, "passive keepalive", step.boot + KEEPALIVE_TIMEOUT);
    }
    return;
  }
  if (step.boot < since + KEEPALIVE_TIMEOUT) {
    return device.timers.set(peer.id, "passive keepalive", since + KEEPALIVE_TIMEOUT);
  }
  reply(device, step, peer, facts, lastDataReceive > first);
}

/** Sends the passive keepalive; another one follows if more data came meanwhile (R58). */
function reply(
  device: Device,
  step: Step,
  peer: Peer,
  facts: PeerFacts,
  isAnotherDue: boolean,
): void {
  peer.passiveFloor = step.boot;
  keepaliveOrHandshake(device, step, peer);
  if (!isAnotherDue) return device.arm(step, peer, ["unsentReply"]);
  peer.another = { txPackets: facts.txPackets, at: step.boot };
  device.timers.set(peer.id, "passive keepalive", step.boot + KEEPALIVE_TIMEOUT);
}

/** R59. */
function keepAlive(device: Device, step: Step, peer: Peer, facts: PeerFacts): void {
  const interval = peer.persistentKeepalive;
  if (interval === 0) return;
  const lastTraffic = Math.max(
    lastHeard(peer, facts),
    facts.lastAuthenticatedSend,
    peer.lastHandshakeSent,
  );
  const dueAt = lastTraffic + interval;
  if (step.boot < dueAt) return device.timers.set(peer.id, "persistent keepalive", dueAt);
  keepaliveOrHandshake(device, step, peer);
  device.timers.set(peer.id, "persistent keepalive", step.boot + interval);
}

/**
 * R61. What keeps the peer alive, keeps on, and so does a handshake that has just begun: after the sleep of a machine the
 * first packet asks for it before this is looked at, and the answer would find nothing. Its own end sets this anew.
 */
function zeroKeys(device: Device, step: Step, peer: Peer): void {
  if (peer.pending && peer.retries === 0) return device.endSessions(step, peer);
  device.forget(step, peer);
  device.arm(step, peer, ["sessionNeeded"]);
  if (peer.persistentKeepalive > 0) {
    device.timers.set(peer.id, "persistent keepalive", step.boot + peer.persistentKeepalive);
  }
}

/** R54: sticky, but not too sticky. */
function clearSource(step: Step, peer: Peer): void {
  peer.source = undefined;
  step.out.command({ kind: "clearSource", peer: peer.id });
}

/** Handshake messages are authentic traffic too (R59, R60). */
function lastHeard(peer: Peer, facts: PeerFacts): number {
  return Math.max(facts.lastAuthenticatedReceive, peer.lastHandshakeReceived);
}

function answerFloor(peer: Peer): number {
  return Math.max(peer.lastHandshakeReceived, peer.noAnswerFloor);
}

function answerDue(peer: Peer, since: number): number {
  return since + NO_ANSWER_TIMEOUT + peer.noAnswerJitter;
}

function replyFloor(peer: Peer): number {
  return Math.max(peer.lastHandshakeSent, peer.passiveFloor);
}

/**
 * When a condition that core saw begin at `first` began for us, who dealt with everything up to
 * `floor`; undefined: not yet.
 */
function sinceFloor(first: number, last: number, floor: number): number | undefined {
  if (first > floor) return first;
  return last > floor ? floor : undefined;
}

/** Facts with times that lie ahead of the clock taken as never: they are from before a step (R64). */
function plausible(step: Step, read: FactReader, peer: PeerId): PeerFacts {
  const facts = read(peer) ?? NO_FACTS;
  const time = (at: number) => at > step.boot + CLOCK_TOLERANCE ? 0 : at;
  return {
    ...facts,
    lastAuthenticatedReceive: time(facts.lastAuthenticatedReceive),
    lastDataReceive: time(facts.lastDataReceive),
    lastAuthenticatedSend: time(facts.lastAuthenticatedSend),
    lastDataSend: time(facts.lastDataSend),
    firstUnansweredData: time(facts.firstUnansweredData),
    firstUnsentReply: time(facts.firstUnsentReply),
  };
}
