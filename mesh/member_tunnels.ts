/**
 * The members' WireGuard peers: one each, with the member's addresses as its routes and the best
 * known place as its endpoint. Data-plane facts come back from here as signs of life.
 */
import type { Crypto } from "./crypto.ts";
import { type Endpoint, sameEndpoint, type Source } from "./endpoint.ts";
import type { NodeEvent } from "./event.ts";
import type { FirstContacts } from "./door/first_contacts.ts";
import type { Datagram, Now, Outbox, Prefix } from "./machine.ts";
import type { MemberId } from "./membership/identity.ts";
import type { Member, Roster } from "./membership/roster.ts";
import type { Tunnels } from "./tunnel/tunnels.ts";
import type { FactReader, TunnelEvent } from "./tunnel/types.ts";

/** Where a tunnel would lead if its member proved to be there. */
interface Candidate {
  readonly endpoint: Endpoint;
  readonly source: Source | undefined;
}

export class MemberTunnels {
  /** Of members whose data came from elsewhere: the last such place. */
  readonly #candidates = new Map<MemberId, Candidate>();

  constructor(
    private readonly crypto: Crypto,
    private readonly roster: Roster,
    private readonly contacts: FirstContacts,
    private readonly tunnels: Tunnels,
    /** As many as our own record says that we take. */
    private readonly lanes = 1,
  ) {}

  /**
   * An outbox for the tunnels: their news is told as news of a member, and what they send to a place
   * that has not proven itself is bounded as everything is.
   */
  outbox(now: Now, out: Outbox<NodeEvent>): Outbox<TunnelEvent> {
    const event = (event: TunnelEvent) => {
      const who = "peer" in event ? this.roster.whoOf(event.peer) : undefined;
      out.event({ kind: "tunnel", ...(who ? { who } : {}), event });
    };
    const send = (datagram: Datagram) => {
      const { peer } = datagram;
      const claimant = peer === undefined
        ? undefined
        : this.roster.byPeer(peer)?.id ?? this.roster.guestByPeer(peer);
      if (this.contacts.maySend(now, datagram, claimant ?? "")) out.send(datagram);
    };
    return { command: out.command, send, event };
  }

  /** A member whose key has no image, or that the table has no room for, stays without a tunnel. */
  add(now: Now, member: Member, out: Outbox<NodeEvent>): void {
    const image = this.crypto.ed25519ToX25519Public(member.record.key);
    const guest = image && this.tunnels.peerByKey(image);
    // Somebody was certified as a guest by the key of a member: the key is the member's.
    if (guest !== undefined && this.roster.guestByPeer(guest) !== undefined) {
      this.tunnels.removePeer(now, guest, this.outbox(now, out));
    }
    const added = image && this.tunnels.addPeer(now, image, this.outbox(now, out));
    if (added?.kind !== "added" && added?.kind !== "exists") return;
    this.roster.bind(member, added.peer);
    this.tunnels.stay(added.peer, this.outbox(now, out));
    this.suit(now, member, out);
  }

  /**
   * The next handshake with a member asks for the suite that its record allows, and it has as many lanes as its record and
   * ours say.
   */
  suit(now: Now, { peer, record }: Member, out: Outbox<NodeEvent>): void {
    if (peer === undefined) return;
    const { aesGcm, lanes } = record.capabilities;
    this.tunnels.setSuite(peer, aesGcm ? "aes-256-gcm" : "chacha20-poly1305");
    this.tunnels.setLanes(now, peer, Math.min(this.lanes, lanes), this.outbox(now, out));
  }

  /** The member with this WireGuard key. */
  byKey(key: Uint8Array): Member | undefined {
    const peer = this.tunnels.peerByKey(key);
    return peer === undefined ? undefined : this.roster.byPeer(peer);
  }

  /** A member was found not to be there, or to be there again. */
  setOffline(now: Now, { peer }: Member, isOffline: boolean, out: Outbox<NodeEvent>): void {
    if (peer !== undefined) this.tunnels.setOffline(peer, isOffline, this.outbox(now, out));
  }

  /** A member has said good-bye: its sessions have ended with its program. */
  end(now: Now, { peer }: Member, out: Outbox<NodeEvent>): void {
    if (peer !== undefined) this.tunnels.endSessions(now, peer, this.outbox(now, out));
  }

  remove(now: Now, member: Member, out: Outbox<NodeEvent>): void {
    this.#candidates.delete(member.id);
    if (member.peer !== undefined) this.tunnels.removePeer(now, member.peer, this.outbox(now, out));
  }

  /** Gives a member's tunnel, which may be new, the addresses that are the member's. */
  route(now: Now, { id, ip6, peer }: Member, out: Outbox<NodeEvent>): void {
    if (peer === undefined) return;
    for (const address of [this.roster.ip4(id), this.roster.hasLostIp6(id) ? undefined : ip6]) {
      if (address) this.tunnels.addRoute(peer, hostRoute(address), this.outbox(now, out));
    }
  }

  /**
   * Takes the addresses that have changed hands from the tunnels of those that had them, and gives them to those
   * that have them. What it costs does not grow with the number of those that claim one in vain: a thief can make thousands.
   */
  reroute(now: Now, out: Outbox<NodeEvent>): void {
    for (
      const { address, before, after } of [...this.roster.movedIp4(), ...this.roster.movedIp6()]
    ) {
      const [had, has] = [before, after].map((id) =>
        id === undefined ? undefined : this.roster.get(id)?.peer
      );
      const route = hostRoute(address);
      if (had !== undefined) this.tunnels.removeRoute(had, route, this.outbox(now, out));
      if (has !== undefined) this.tunnels.addRoute(has, route, this.outbox(now, out));
    }
  }

  /**
   * Authentic data of a member came from another place than its tunnel leads to. It leads there once the member has
   * proven that it receives there: whoever writes an invented source on a packet would have its downloads sent to that.
   * @returns whether that is known already
   */
  heardElsewhere(
    now: Now,
    { id, peer }: Member,
    endpoint: Endpoint,
    source: Source | undefined,
    out: Outbox<NodeEvent>,
  ): boolean {
    if (peer === undefined) return true;
    if (this.contacts.isProven(now, endpoint, id)) {
      this.tunnels.move(now, peer, endpoint, source, this.outbox(now, out));
      return true;
    }
    this.#candidates.set(id, { endpoint, source });
    return false;
  }

  /** A member has proven to be at a place. */
  proven(now: Now, member: Member, place: Endpoint, out: Outbox<NodeEvent>): void {
    const { id, peer } = member;
    if (peer === undefined) return;
    const candidate = this.#candidates.get(id);
    if (candidate && sameEndpoint(candidate.endpoint, place)) {
      this.#candidates.delete(id);
      this.tunnels.move(now, peer, place, candidate.source, this.outbox(now, out));
    }
    if (this.tunnels.sessionUntil(peer) > now.boot) return;
    // A handshake that has begun meanwhile went where the member was before.
    if (this.aim(now, member, out)) this.startedAnew(now, member, out);
  }

  /** Where a member's tunnel leads now. */
  endpoint({ peer }: Member): Endpoint | undefined {
    return peer === undefined ? undefined : this.tunnels.peer(peer)?.endpoint;
  }

  /**
   * Tells a member's tunnel where to send, as long as no session lives (R53): to a place that the member has proven lately
   * rather than to one where it was heard alone, as a copy of its key, or of ours, can seal one datagram at any place.
   * @returns whether it leads elsewhere from now on
   */
  aim(now: Now, member: Member, out: Outbox<NodeEvent>): boolean {
    const { id, peer } = member;
    const places = this.roster.places(member, now);
    const best = places.find(({ to }) => this.contacts.isProven(now, to, id)) ?? places[0];
    if (peer === undefined || best === undefined) return false;
    const current = this.tunnels.peer(peer)?.endpoint;
    if (current && sameEndpoint(current, best.to)) return false;
    return this.tunnels.suggestEndpoint(now, peer, best.to, this.outbox(now, out));
  }

  /** A member has started anew: its tunnel needs not wait for R12, 15 s, to notice that. */
  startedAnew(now: Now, { peer }: Member, out: Outbox<NodeEvent>): void {
    if (peer !== undefined) this.tunnels.startedAnew(now, peer, this.outbox(now, out));
  }

  /** A member sends to us by a session that we do not have: it gets one, unless that has begun. */
  missing(now: Now, member: Member, out: Outbox<NodeEvent>): void {
    const { peer } = member;
    if (peer === undefined) return;
    if (this.tunnels.sessionUntil(peer) > now.boot) {
      return this.tunnels.mendLanes(now, peer, this.outbox(now, out));
    }
    this.aim(now, member, out);
    this.tunnels.startHandshake(now, peer, this.outbox(now, out));
  }

  /** Members with a live session. */
  *live(now: Now): Generator<Member> {
    for (const member of this.roster.members()) {
      if (member.peer !== undefined && this.tunnels.sessionUntil(member.peer) > now.boot) {
        yield member;
      }
    }
  }

  /** Members whose tunnels have carried authenticated traffic to us since this was asked last. */
  *heard(now: Now, facts: FactReader): Generator<Member> {
    for (const member of this.live(now)) {
      const { peer } = member;
      const at = (peer && this.tunnels.facts(peer, facts)?.lastAuthenticatedReceive) ?? 0;
      if (at <= member.trafficAt) continue;
      member.trafficAt = at;
      yield member;
    }
  }
}

function hostRoute(address: Uint8Array): Prefix {
  return { address, length: 8 * address.length };
}
