/**
 * Lanes: further sessions with one peer, which core gives to further workers (core/README.md). A
 * lane is a `Peer` with a handshake, slots, timers and edges of its own; it is where its peer is,
 * and there only while that one has a session. Its handshakes speak a dialect of lanes, so that it
 * is authentic that a lane is asked for; which one, the timestamp says.
 */
import type { Device, Step } from "./device.ts";
import { Peer } from "./peer.ts";
import { Timestamps } from "./timestamps.ts";

/** Adds the lanes that a peer has not yet. They shake hands when something is to be sent by them. */
export function openLanes(device: Device, step: Step, peer: Peer): void {
  const { endpoint, source, lanes } = peer;
  if (!endpoint || peer.lane > 0 || peer.slots.all.length === 0) return;
  for (let number = lanes.length + 1; number < peer.lanesMax; number++) {
    if (!device.hasRoomForLane()) return;
    const id = device.newIdOf((device.workerOf(peer.id) + number) % device.indices.workers);
    const lane = new Peer(id, peer.publicKey, device.crypto, { first: peer, number });
    lane.endpoint = endpoint;
    lane.source = source;
    lane.lastHandshakeSent = peer.laneHandshakeSent;
    lane.isStaying = peer.isStaying;
    lane.isOffline = peer.isOffline;
    device.peers.set(id, lane);
    lanes.push(lane);
    step.out.command({ kind: "addLane", peer: id, of: peer.id });
    step.out.command({ kind: "setEndpoint", peer: id, endpoint, ...(source && { source }) });
    if (lane.isStaying) step.out.command({ kind: "setStaying", peer: id });
    if (lane.isOffline) step.out.command({ kind: "setOffline", peer: id, isOffline: true });
    peer.spread = 1 + lanes.length; // core's, too
  }
  spreadLanes(step, peer);
}

/** Flows are spread over the lanes before the first one that waits for a session: those of the others go by these. */
export function spreadLanes(step: Step, peer: Peer): void {
  const waiting = peer.lanes.findIndex(({ isWaiting }) => isWaiting);
  const spread = 1 + (waiting < 0 ? peer.lanes.length : waiting);
  if (spread === peer.spread) return;
  peer.spread = spread;
  step.out.command({ kind: "spreadLanes", peer: peer.id, lanes: spread });
}

/** Of a lane that a peer may have, or of itself (0); undefined: that it may not have. */
export function timestampsOf(peer: Peer, isLane: boolean, number: number): Timestamps | undefined {
  if (!isLane) return peer.timestamps;
  if (number === 0 || number >= peer.lanesMax) return undefined;
  const timestamps = peer.laneTimestamps.get(number) ?? new Timestamps();
  peer.laneTimestamps.set(number, timestamps);
  return timestamps;
}

/** The lane that a peer asks for, or itself (0); undefined while it has no session, or no room is left. */
export function laneFor(device: Device, step: Step, peer: Peer, number: number): Peer | undefined {
  if (number === 0) return peer;
  openLanes(device, step, peer);
  return peer.lanes[number - 1];
}
