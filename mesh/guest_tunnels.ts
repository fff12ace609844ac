/**
 * How guests are reached. At its host a guest is a WireGuard peer of its own, for which core forwards;
 * for every other member its addresses are two more of the host's. So a packet of a guest is believed
 * from its host alone (R50), and a guest of a host that is off is as unreachable as that host.
 */
import { type Endpoint, sameBytes, sameEndpoint } from "./endpoint.ts";
import type { NodeEvent } from "./event.ts";
import type { FirstContacts } from "./door/first_contacts.ts";
import {
  type Deadline,
  type Now,
  type Outbox,
  type PeerId,
  type Prefix,
  secondsOf,
} from "./machine.ts";
import type { MemberTunnels } from "./member_tunnels.ts";
import { type Guest, type Guests, GUESTS_PER_HOST } from "./membership/guests.ts";
import type { MemberId } from "./membership/identity.ts";
import type { Roster } from "./membership/roster.ts";
import type { Tunnels } from "./tunnel/tunnels.ts";
import type { FactReader } from "./tunnel/types.ts";

/**
 * Milliseconds of silence after which a guest counts as not being there: three keepalives of the file that we print.
 * What is sent to it is answered so then, unless a session is.
 */
export const GUEST_SILENT_AFTER = 90_000;

/**
 * Keys of guests beyond which they are judged once in so many milliseconds, and not at each change: an admin that is
 * stolen can certify thousands, one by one.
 */
export const MANY = 1_024;
const PACE = 1_000;

/** What was set up for a guest. */
interface Reach {
  /** The peer that its addresses are routed to: its own at its host, else its host's. */
  readonly peer: PeerId;
  readonly host: MemberId;
  ip4: Uint8Array | undefined;
  readonly ip6: Uint8Array;
  /** The session that its last handshake gave it, by our index, and where our answer went. */
  offer?: { readonly index: number; readonly place: Endpoint } | undefined;
}

export class GuestTunnels {
  readonly #reached = new Map<string, Reach>();
  /** Where guests that we served were: before a restart, or before their certificate lost its signer. */
  readonly #recalled = new Map<string, Endpoint>();
  /** Boot ms of the last authentic packet of a guest that we serve. */
  readonly #heardAt = new Map<string, number>();
  #isStale = true;
  #reviewedAt = -Infinity;
  /** What a restart remembers is no news. */
  #isFirst = true;

  constructor(
    private readonly self: MemberId,
    readonly guests: Guests,
    private readonly roster: Roster,
    private readonly contacts: FirstContacts,
    private readonly tunnels: Tunnels,
    private readonly members: MemberTunnels,
  ) {}

  /** Something changed on which it depends who is a guest, or how one is reached. */
  touch(): void {
    this.#isStale = true;
  }

  /** When {@link settle} is due though nothing else is; undefined: it is not. */
  deadline(): Deadline | undefined {
    return this.#isStale ? { at: this.#due, why: "judge guests" } : undefined;
  }

  get #due(): number {
    return this.guests.candidates > MANY ? this.#reviewedAt + PACE : -Infinity;
  }

  /**
   * Sets up what follows from all that changed.
   * @param isAsked a person waits for it, who does not ask as often as that would be too much
   */
  settle(now: Now, out: Outbox<NodeEvent>, isAsked = false): void {
    if (!this.#isStale || !isAsked && now.boot < this.#due) return;
    this.#isStale = false;
    this.#reviewedAt = now.boot;
    const { came, went } = this.guests.review(secondsOf(now));
    // First what ends: nothing is taken from a member that has it meanwhile.
    for (const [key, reach] of this.#reached) {
      const guest = this.guests.get(key);
      if (!guest || this.#peerFor(guest) !== reach.peer) this.#end(now, key, reach, out);
    }
    this.members.reroute(now, out);
    for (const guest of this.guests.all()) this.#reach(now, guest, out);
    if (!this.#isFirst) this.#tell(came, went, out);
    this.#isFirst = false;
  }

  #tell(came: readonly Guest[], went: readonly Guest[], out: Outbox<NodeEvent>): void {
    for (const guest of came) {
      const who = { id: guest.key, name: this.guests.nameOf(guest) };
      out.event({ kind: "guestAdded", who, host: this.roster.who(guest.host) });
    }
    for (const { key, certificate: { name } } of went) {
      out.event({ kind: "guestGone", who: { id: key, name } });
    }
  }

  /** The peer of a guest as things are; undefined: it has none now. */
  #peerFor({ key, host }: Guest): PeerId | undefined {
    if (host !== this.self) return this.roster.get(host)?.peer;
    const peer = this.tunnels.peerByKey(Uint8Array.fromHex(key));
    return peer !== undefined && this.roster.guestByPeer(peer) === key ? peer : undefined;
  }

  #end(now: Now, key: string, { peer, host, ip4, ip6 }: Reach, out: Outbox<NodeEvent>): void {
    this.#reached.delete(key);
    const tunnelOut = this.members.outbox(now, out);
    if (host === this.self) {
      const place = this.tunnels.peer(peer)?.endpoint;
      if (place && this.contacts.isRemembered(place, key)) this.recall(key, place);
      this.#heardAt.delete(key);
      this.roster.unbindGuest(peer);
      return this.tunnels.removePeer(now, peer, tunnelOut);
    }
    this.#unroute(peer, host, ip4, now, out);
    this.tunnels.removeRoute(peer, { address: ip6, length: 128 }, tunnelOut);
  }

  /** The address may be the host's own by now. */
  #unroute(
    peer: PeerId,
    host: MemberId,
    ip4: Uint8Array | undefined,
    now: Now,
    out: Outbox<NodeEvent>,
  ): void {
    const own = this.roster.ip4(host);
    if (!ip4 || host !== this.self && own && sameBytes(own, ip4)) return;
    this.tunnels.removeRoute(peer, { address: ip4, length: 32 }, this.members.outbox(now, out));
  }

  #reach(now: Now, guest: Guest, out: Outbox<NodeEvent>): void {
    const { key, host, ip6 } = guest;
    const peer = this.#peerFor(guest) ??
      (host === this.self ? this.#serve(now, key, out) : undefined);
    if (peer === undefined) return;
    const reach = this.#reached.get(key) ?? { peer, host, ip4: undefined, ip6 };
    this.#reached.set(key, reach);
    this.#route(now, peer, { address: ip6, length: 128 }, out);
    const ip4 = this.guests.ip4(guest);
    if (reach.ip4 && !(ip4 && sameBytes(ip4, reach.ip4))) {
      this.#unroute(peer, host, reach.ip4, now, out);
    }
    reach.ip4 = ip4;
    if (ip4) this.#route(now, peer, { address: ip4, length: 32 }, out);
  }

  /** A member's address is never taken from it, nor our own. */
  #route(now: Now, peer: PeerId, prefix: Prefix, out: Outbox<NodeEvent>): void {
    if (this.tunnels.holderOf(prefix) !== undefined) return;
    this.tunnels.addRoute(peer, prefix, this.members.outbox(now, out));
  }

  /** Makes the peer of a guest of ours; undefined: its key is a member's, or there is no room. */
  #serve(now: Now, key: string, out: Outbox<NodeEvent>): PeerId | undefined {
    const tunnelOut = this.members.outbox(now, out);
    const added = this.tunnels.addPeer(now, Uint8Array.fromHex(key), tunnelOut);
    if (added.kind !== "added") return undefined;
    const { peer } = added;
    this.roster.bindGuest(key, peer);
    this.tunnels.setGuest(peer, tunnelOut);
    this.tunnels.setOffline(peer, true, tunnelOut);
    const place = this.#recalled.get(key);
    this.#recalled.delete(key);
    if (!place) return peer;
    this.contacts.recall(now, place, key);
    this.tunnels.setEndpoint(now, peer, place, tunnelOut);
    // It keeps to the session that we have forgotten, and would not notice for two minutes.
    this.tunnels.startHandshake(now, peer, tunnelOut);
    return peer;
  }

  /** A guest of ours was there: it is looked for there when it is one again. */
  recall(key: string, place: Endpoint): void {
    const [oldest] = this.#recalled.keys();
    if (this.#recalled.size >= GUESTS_PER_HOST && oldest !== undefined) {
      this.#recalled.delete(oldest);
    }
    this.#recalled.set(key, place);
  }

  /** Where the guests that we serve are, as far as they have proven it. */
  *places(): Generator<{ readonly key: string; readonly place: Endpoint }> {
    for (const [key, { peer, host }] of this.#reached) {
      const place = host === this.self ? this.tunnels.peer(peer)?.endpoint : undefined;
      if (place && this.contacts.isRemembered(place, key)) yield { key, place };
    }
  }

  /** The tunnel of a guest that we serve. */
  peerOf(key: string): PeerId | undefined {
    const reach = this.#reached.get(key);
    return reach?.host === this.self ? reach.peer : undefined;
  }

  /** Boot ms at which a guest that we serve was heard last; undefined: never in this run. */
  heardAt(key: string): number | undefined {
    return this.#heardAt.get(key);
  }

  /** A guest was offered a session of this local index at a place. */
  offered(peer: PeerId, index: number | undefined, place: Endpoint): void {
    const key = this.roster.guestByPeer(peer);
    const reach = key === undefined ? undefined : this.#reached.get(key);
    if (reach) reach.offer = index === undefined ? undefined : { index, place };
  }

  /**
   * A guest has used a session for the first time. If it is the one that it was offered last, it receives where that
   * was: only who got our answer there has its keys. Of another session it says nothing, since a guest may ask for
   * one in the name of a third place and use another.
   * @returns whether that place is news
   */
  confirmed(now: Now, peer: PeerId, index: number): boolean {
    const key = this.roster.guestByPeer(peer);
    const offer = key === undefined ? undefined : this.#reached.get(key)?.offer;
    const place = this.tunnels.peer(peer)?.endpoint;
    if (key === undefined || !place || offer?.index !== index) return false;
    if (!sameEndpoint(place, offer.place)) return false;
    const isNews = !this.contacts.isRemembered(place, key);
    this.contacts.proven(now, place, key);
    return isNews;
  }

  /** Data of a session that we do not have came from the place of a guest: it gets a new one. */
  missing(now: Now, from: Endpoint, out: Outbox<NodeEvent>): void {
    for (const { peer, host } of this.#reached.values()) {
      const view = host === this.self ? this.tunnels.peer(peer) : undefined;
      if (!view?.endpoint || !sameEndpoint(view.endpoint, from)) continue;
      if (view.sessionUntil > now.boot) continue;
      this.tunnels.startHandshake(now, peer, this.members.outbox(now, out));
    }
  }

  /** Looks which guests that we serve were heard of late, and which are silent. */
  watch(now: Now, facts: FactReader, out: Outbox<NodeEvent>): void {
    for (const [key, { peer, host }] of this.#reached) {
      if (host !== this.self) continue;
      const view = this.tunnels.peer(peer);
      // An answer to our handshake is no data, and a sign of life.
      const at = Math.max(
        facts(peer)?.lastAuthenticatedReceive ?? 0,
        view?.lastHandshakeBoot ?? 0,
      );
      const before = this.#heardAt.get(key) ?? 0;
      if (at > before) {
        this.#heardAt.set(key, at);
        if (view?.endpoint) this.contacts.heard(now, view.endpoint, key);
      }
      const isSilent = at === 0 || now.boot - at > GUEST_SILENT_AFTER;
      this.tunnels.setOffline(peer, isSilent, this.members.outbox(now, out));
    }
  }
}
