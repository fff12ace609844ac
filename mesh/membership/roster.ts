/**
 * The roster: everybody whose record and membership were verified here, with what is known of how
 * to reach them. It judges records (membership, sequence, equivocation) and says who bears which name
 * and has which IPv4 address; it sends nothing.
 */
import type { Crypto } from "../crypto.ts";
import { type Decoded, fromHex } from "../codec.ts";
import { hostsOf, poolOf } from "./genesis.ts";
import { ip4Of, ip6Of } from "./address.ts";
import { Claims } from "./claims.ts";
import { FirstContacts } from "../door/first_contacts.ts";
import {
  type Endpoint,
  formatAddress,
  formatEndpoint,
  parseAddress,
  sameBytes,
  sameEndpoint,
  type Source,
} from "../endpoint.ts";
import type { Who } from "../event.ts";
import type { Now, PeerId } from "../machine.ts";
import type { NodeRecord } from "./record.ts";
import { type MemberId, mirrorOf } from "./identity.ts";
import {
  type Judge,
  type Judgement,
  type Membership,
  rankOf,
  RANKS,
  type Refusal,
} from "./judge.ts";
import type { Certificate } from "./statement.ts";

/** Members at most, the dead among them. At the limit newcomers are refused and counted. */
export const MEMBERS_MAX = 16_384;
/** Milliseconds during which an authenticated source is taken for the place of a member. */
const FRESH = 30_000;
/** Addresses of one key that are tried for each of the pool: the last free one is missed once in 10^6. */
const TRIES_EACH = 14;
/** A counter is 16 bits on the wire. */
const COUNTERS = 65_536;
/** `lyon`, `lyon-2` and so on that are tried: more machines than people give one name, and work that is soon done. */
const NAMES_TRIED = 256;
/** The rank of a claim that yields to every certificate: see claims.ts. */
const PROVISIONAL = RANKS.indexOf("provisional");
/** Places that are tried at once for a member that has not been heard of lately. */
const GUESSES_MAX = 4;
/** What a guest's claims are told apart by from a member's. */
const GUEST = " guest";
const utf8 = new TextEncoder();
/** Milliseconds for which it is good enough who was where. */
const OCCUPANTS_FRESH = 1_000;

/** Where authenticated control traffic of a member came from, and to which of our addresses. */
export interface Observed {
  readonly endpoint: Endpoint;
  readonly source: Source | undefined;
  /** Boot ms; -Infinity for one remembered from an earlier run. */
  readonly at: number;
}

export interface Member {
  readonly id: MemberId;
  record: NodeRecord;
  membership: Membership;
  readonly ip6: Uint8Array;
  observed: Observed | undefined;
  /** Its WireGuard peer; undefined while there is none. */
  peer: PeerId | undefined;
  /** Milliseconds of the last measured round trip; undefined: never measured. */
  rtt: number | undefined;
  /** core's last authenticated receive as read last, boot ms. */
  trafficAt: number;
  /** Unix seconds at which it was last known to live, kept over restarts. */
  aliveAt: number;
  /** For how many ms this node has heard others and not it, kept over restarts. */
  silentMs: number;
  /** Boot ms when people were last told that it does not answer, and whether they still believe so. */
  suspicionToldAt: number;
  isToldSuspect: boolean;
  /** Boot ms when people were last told that it has left; whether they believe that it left or died. */
  departureToldAt: number;
  isToldGone: boolean;
}

/** An address that another has now. */
interface AddressMove {
  readonly address: Uint8Array;
  readonly before: MemberId | undefined;
  readonly after: MemberId | undefined;
}

/** What came of a record. */
export type Acceptance =
  | { readonly kind: "new"; readonly member: Member }
  | { readonly kind: "updated"; readonly member: Member; readonly before: NodeRecord }
  /** Known already, or older than what is known. */
  | { readonly kind: "old"; readonly member: Member }
  /** Another record with a sequence that was used: the key is used twice. */
  | {
    readonly kind: "equivocation";
    readonly member: Member;
    readonly before: NodeRecord;
    readonly isTaken: boolean;
  }
  | { readonly kind: "refused"; readonly why: Refusal; readonly detail: string };

export class Roster {
  readonly #members = new Map<MemberId, Member>();
  readonly #byPeer = new Map<PeerId, Member>();
  readonly #guestsByPeer = new Map<PeerId, string>();
  /** As many as there is room for statements of admins and of the mesh key, at most. */
  readonly #absent = new Map<MemberId, Membership>();
  readonly #addresses = new Claims(true);
  /** IPv6 addresses, of which two are one only by accident, or where somebody has looked for such a key for long. */
  readonly #addresses6 = new Claims(true);
  readonly #names = new Claims();
  readonly meshId: Uint8Array;
  /** Who is where, and when (boot ms) all members were looked at for it. */
  #occupants: { readonly at: number; readonly by: Map<string, MemberId> } = {
    at: -Infinity,
    by: new Map(),
  };
  /** How often somebody came into the table or left it: names and addresses may stay as they are. */
  #moves = 0;
  /** Newcomers that the limit has cost. */
  refused = 0;

  constructor(
    private readonly crypto: Crypto,
    private readonly judgeOfAll: Judge,
    private readonly limit = MEMBERS_MAX,
    private readonly contacts = new FirstContacts(),
  ) {
    this.meshId = judgeOfAll.meshId;
  }

  /** While it stays the same, all members, their names and their addresses do. */
  get revision(): number {
    return this.#names.revision + this.#addresses.revision + this.#addresses6.revision +
      this.#moves;
  }

  get size(): number {
    return this.#members.size;
  }

  get hasRoom(): boolean {
    return this.#members.size < this.limit;
  }

  get(id: MemberId): Member | undefined {
    return this.#members.get(id);
  }

  byPeer(peer: PeerId): Member | undefined {
    return this.#byPeer.get(peer);
  }

  members(): MapIterator<Member> {
    return this.#members.values();
  }

  /** Whether the subject of a record that it has signed is a member. */
  judge(record: NodeRecord, now: Now): Judgement {
    return this.judgeOfAll.judge(record.id, Math.floor(now.wall / 1000), true);
  }

  /**
   * Takes a record whose signature was verified, if its subject is a member and it is newer.
   * Of two records with one sequence everybody keeps the one with the greater signature, whose first
   * byte gossip goes by, too (news.ts).
   */
  accept(record: NodeRecord, now: Now): Acceptance {
    const judgement = this.judge(record, now);
    if (judgement.kind === "refused") return judgement;
    const { membership } = judgement;
    const known = this.#members.get(record.id);
    if (known === undefined) {
      if (!this.hasRoom) {
        this.refused++;
        return { kind: "refused", why: "full", detail: `${this.limit} members are known` };
      }
      return { kind: "new", member: this.#add(record, membership, now) };
    }
    this.renew(known, membership);
    const before = known.record;
    if (record.sequence < before.sequence) return { kind: "old", member: known };
    if (record.sequence > before.sequence) {
      known.record = record;
      this.#occupyClaimed(known, now);
      return { kind: "updated", member: known, before };
    }
    const order = compareBytes(record.bytes.subarray(-64), before.bytes.subarray(-64)) ||
      compareBytes(record.bytes, before.bytes);
    if (order === 0) return { kind: "old", member: known };
    if (order > 0) {
      known.record = record;
      this.#occupyClaimed(known, now);
    }
    return { kind: "equivocation", member: known, before, isTaken: order > 0 };
  }

  /** Of two machines with a member's key this one's record counts, however far the other's numbers have gone. */
  holdTo(member: Member, record: NodeRecord, now: Now): void {
    member.record = record;
    this.#occupyClaimed(member, now);
  }

  remove(id: MemberId, now: Now): void {
    const member = this.#members.get(id);
    if (member === undefined) return;
    this.#members.delete(id);
    this.judgeOfAll.part(id);
    this.#moves++;
    this.reserve(id, this.judge(member.record, now));
    if (member.peer !== undefined) this.#byPeer.delete(member.peer);
  }

  /**
   * A certificate that counts holds its name and its address though its holder is not in the table: it was silent for so
   * long that it is forgotten, or has not come yet. So who has which name follows from the statements, and not from whom
   * this node has met.
   */
  reserve(id: MemberId, judgement: Judgement): void {
    if (this.#members.has(id)) return;
    if (judgement.kind === "member" && rankOf(judgement.membership) < PROVISIONAL) {
      const before = this.#absent.get(id);
      this.#absent.set(id, judgement.membership);
      if (!before || !isSameClaim(before, judgement.membership)) this.claim(judgement.membership);
    } else {
      this.#absent.delete(id);
      this.#addresses.release(id);
      this.#addresses6.release(id);
      this.#names.release(id);
    }
  }

  /** Keys whose certificates hold names and addresses, and that are not in the table. */
  absent(): Iterable<MemberId> {
    return this.#absent.keys();
  }

  /** The machine's routes changed: the kernel chooses from which address members are answered, until they are heard. */
  forgetSources(): void {
    for (const member of this.members()) {
      if (member.observed) member.observed = { ...member.observed, source: undefined };
    }
  }

  /** A member was heard at a place: whoever asks for it is told so from now on. */
  heardAt(member: Member, observed: Observed, now: Now): void {
    member.observed = observed;
    if (this.#isFresh(now)) {
      this.#occupants.by.set(formatEndpoint(observed.endpoint), member.id);
    }
  }

  /** Ties a member to its WireGuard peer. */
  bind(member: Member, peer: PeerId): void {
    member.peer = peer;
    this.#byPeer.set(peer, member);
  }

  /** Ties a guest that we serve to its WireGuard peer. */
  bindGuest(key: string, peer: PeerId): void {
    this.#guestsByPeer.set(peer, key);
  }

  unbindGuest(peer: PeerId): void {
    this.#guestsByPeer.delete(peer);
  }

  /** The key of a guest that we serve. */
  guestByPeer(peer: PeerId): string | undefined {
    return this.#guestsByPeer.get(peer);
  }

  /** The member, or guest, at the other end of a tunnel. */
  whoOf(peer: PeerId): Who | undefined {
    const member = this.#byPeer.get(peer);
    if (member) return this.who(member.id);
    const key = this.#guestsByPeer.get(peer);
    return key === undefined ? undefined : { id: key, name: this.nameOf(guestClaim(key)) };
  }

  /** A membership as it is judged now. @returns whether the member's name or address may have moved */
  renew(member: Member, membership: Membership): boolean {
    const before = member.membership;
    member.membership = membership;
    const isSame = isSameClaim(before, membership);
    if (!isSame) this.claim(membership);
    return !isSame;
  }

  /** What a member, or we ourselves, claim. */
  claim(membership: Membership): void {
    const { id, since, name, ip4Counter } = membership;
    const rank = rankOf(membership);
    this.#names.claim({ id, rank, since, wish: name });
    const key = Uint8Array.fromHex(id);
    const ip4 = ip4Of(this.crypto, this.meshId, key, ip4Counter);
    this.#addresses.claim({ id, rank, since, wish: formatAddress(ip4) });
    const ip6 = this.#members.get(id)?.ip6 ?? ip6Of(this.crypto, this.meshId, key);
    this.#addresses6.claim({ id, rank, since, wish: ip6.toHex() });
  }

  /** What a guest claims. Its claims have an id of their own: {@link guestClaim}. */
  claimGuest({ key, since, name, ip4Counter }: Certificate): void {
    const id = guestClaim(key);
    const rank = RANKS.indexOf("guest");
    this.#names.claim({ id, rank, since, wish: name });
    const ip4 = ip4Of(this.crypto, this.meshId, Uint8Array.fromHex(key), ip4Counter, "guest");
    this.#addresses.claim({ id, rank, since, wish: formatAddress(ip4) });
  }

  releaseGuest(key: string): void {
    this.#names.release(guestClaim(key));
    this.#addresses.release(guestClaim(key));
  }

  /** A member's IPv4 address (or our own); undefined while another has it. */
  ip4(id: MemberId): Uint8Array | undefined {
    const text = this.ip4Text(id);
    return text === undefined ? undefined : parseAddress(text);
  }

  /** The same, written as people do. */
  ip4Text(id: MemberId): string | undefined {
    return this.#addresses.holds(id) ? this.#addresses.get(id)?.wish : undefined;
  }

  /** Whether another member has the IPv6 address of a member, or ours. */
  hasLostIp6(id: MemberId): boolean {
    return this.#addresses6.get(id) !== undefined && !this.#addresses6.holds(id);
  }

  /** Whether each IPv4 address of the pool is somebody's: members that come now have an IPv6 address alone. */
  get isPoolFull(): boolean {
    return this.#addresses.wanted >= hostsOf(poolOf(this.meshId));
  }

  /** The IPv4 addresses that have changed hands since this was asked last, where a member of the table had or has it. */
  movedIp4(): AddressMove[] {
    return this.#movesOf(this.#addresses, parseAddress);
  }

  /** The same of IPv6. */
  movedIp6(): AddressMove[] {
    return this.#movesOf(this.#addresses6, fromHex);
  }

  #movesOf(claims: Claims, read: (wish: string) => Uint8Array | undefined): AddressMove[] {
    const isHere = (id: MemberId | undefined) => id !== undefined && this.#members.has(id);
    return claims.moves().flatMap(({ wish, before, after }) => {
      // Of thousands that hold one without being here nobody wants to know.
      if (!isHere(before) && !isHere(after)) return [];
      const address = read(wish);
      return address ? [{ address, before, after }] : [];
    });
  }

  /**
   * What a member is called. No two bear one name: who claims a name that another has is called by
   * its key, too.
   */
  nameOf(id: MemberId): string {
    const claim = this.#names.get(id);
    if (claim === undefined) return "";
    if (this.#names.holds(id)) return claim.wish;
    return `${claim.wish.slice(0, 30).replace(/-+$/, "")}-${this.#marked(id)}`;
  }

  /**
   * 32 digits that nobody else has behind a name. Of a member's key these are the first, as it has to sign
   * with that key. A guest's can be any bytes, and begin like the key of whom its certifier likes.
   */
  #marked(id: string): string {
    const digits = isGuestClaim(id) ? this.crypto.blake2s(utf8.encode(id)).toHex() : id;
    return digits.slice(0, 32);
  }

  /** Whether somebody else has this name for good: a provisional member yields to a certificate. */
  isNameTaken(name: string, by: MemberId): boolean {
    return this.#isTaken(this.#names, name, by);
  }

  /** Keys, of absent ones too, whose certificates that count bear this name: one of them has it. */
  *namesakes(name: string): Generator<MemberId> {
    for (const { id, rank } of this.#names.claimants(name)) {
      if (rank < PROVISIONAL && !isGuestClaim(id)) yield id;
    }
  }

  /** Who has the name, and who the address, that a member claims and has not got. */
  *ahead(id: MemberId): Generator<MemberId> {
    for (const claims of [this.#names, this.#addresses]) {
      const claim = claims.get(id);
      const holder = claim && claims.holder(claim.wish);
      if (holder !== undefined && holder !== id) yield holder;
    }
  }

  /**
   * `lyon`, or the first of `lyon-2`, `lyon-3`, ... that is free. Where many are taken, as by a thief that certifies
   * thousands, digits of the key, which nobody can take beforehand for each key.
   */
  freeName(name: string, by: MemberId): string {
    const tailed = (tail: string) => `${name.slice(0, 63 - tail.length).replace(/-+$/, "")}${tail}`;
    for (let n = 1; n <= NAMES_TRIED; n++) {
      const free = n === 1 ? name : tailed(`-${n}`);
      if (!this.isNameTaken(free, by)) return free;
    }
    return tailed(`-${this.#marked(by)}`);
  }

  /**
   * The first counter by which a key has an address that is free; 0 where all are taken.
   * @param before the one that it had, which is kept if it can be
   */
  freeCounter(id: MemberId, before = 0): number {
    return this.#freeCounter(Uint8Array.fromHex(id), id, "member", before);
  }

  /** The same for the key of a guest. */
  freeGuestCounter(key: string, before = 0): number {
    return this.#freeCounter(Uint8Array.fromHex(key), guestClaim(key), "guest", before);
  }

  #freeCounter(key: Uint8Array, by: string, holder: "member" | "guest", before: number): number {
    const isFree = (counter: number) => {
      const ip4 = ip4Of(this.crypto, this.meshId, key, counter, holder);
      return !this.#isTaken(this.#addresses, formatAddress(ip4), by);
    };
    if (isFree(before)) return before;
    const most = Math.min(COUNTERS, TRIES_EACH * hostsOf(poolOf(this.meshId)));
    for (let counter = 0; counter < most && !this.isPoolFull; counter++) {
      if (isFree(counter)) return counter;
    }
    return 0;
  }

  #isTaken(claims: Claims, wish: string, by: MemberId): boolean {
    const holder = claims.holder(wish);
    return holder !== undefined && holder !== by &&
      (claims.get(holder)?.rank ?? PROVISIONAL) < PROVISIONAL;
  }

  /** A member as people know it. */
  who(id: MemberId): Who {
    return { id, name: this.nameOf(id) };
  }

  /**
   * Where to send to a member: where it was heard lately, or every place that may be right. The
   * copies are one datagram, so at most one of them is delivered.
   *
   * A place that the member has not proven is not enough, however lately it was heard there: a copy of its key, or of ours,
   * can seal one datagram at any place. Until the proof the one that the member proved last is tried, too, so that a member
   * that has not moved answers from where it is. One that has moved proves its new place within a round trip. The others
   * are tried where it has proven none: who has proven several would get each answer at all of them.
   */
  places(member: Member, now: Now): { to: Endpoint; from?: Source }[] {
    const { id, observed, record } = member;
    const seen = observed &&
      { to: observed.endpoint, ...(observed.source ? { from: observed.source } : {}) };
    const isFresh = observed && now.boot - observed.at < FRESH;
    if (seen && isFresh && this.contacts.isProven(now, seen.to, id)) return [seen];
    const home = this.contacts.homeOf(id);
    if (seen && isFresh && home) return [seen, { to: home }];
    const places: { to: Endpoint; from?: Source }[] = seen ? [seen] : [];
    for (const to of home ? [home, ...record.endpoints] : record.endpoints) {
      if (!places.some((known) => sameEndpoint(known.to, to))) places.push({ to });
    }
    return places.slice(0, GUESSES_MAX);
  }

  /**
   * The member that was heard at a place, or else one that says that it is there. Anybody can make us
   * ask, and looking at all members for each question would be work at a stranger's word: that is done
   * once a second, so a member that is no more where it was is found there for as long. Where a member
   * comes to be is noted at once.
   */
  at(place: Endpoint, now: Now): Member | undefined {
    if (!this.#isFresh(now)) {
      this.#occupants = { at: now.boot, by: occupants(this.#members.values()) };
    }
    const id = this.#occupants.by.get(formatEndpoint(place));
    return id === undefined ? undefined : this.#members.get(id);
  }

  #isFresh(now: Now): boolean {
    return now.boot - this.#occupants.at < OCCUPANTS_FRESH;
  }

  /** Where a member says that it is. What was heard says more, and who said it first keeps it. */
  #occupyClaimed({ id, record }: Member, now: Now): void {
    if (!this.#isFresh(now)) return;
    for (const endpoint of record.endpoints) {
      const place = formatEndpoint(endpoint);
      const holder = this.#occupants.by.get(place);
      if (holder === undefined || !this.#members.has(holder)) this.#occupants.by.set(place, id);
    }
  }

  /** Our network changed: every place that may be right is tried until members are heard again. */
  moved(now: Now): void {
    for (const member of this.#members.values()) this.doubt(member, now);
  }

  /** The same of one member. */
  doubt(member: Member, now: Now): Member {
    const { observed } = member;
    if (observed) {
      const at = Math.min(observed.at, now.boot - FRESH);
      member.observed = { endpoint: observed.endpoint, source: undefined, at };
    }
    return member;
  }

  /**
   * The member that a person means: a name, a key (or its beginning, 8 digits), an address.
   * @param guesses whether the refusal may name one that is called nearly so; not for what cannot be undone
   */
  find(text: string, guesses = true): Decoded<Member> {
    const address = parseAddress(text);
    const matches = [...this.#members.values()].filter((member) => {
      if (address === undefined) {
        return this.nameOf(member.id) === text || text.length >= 8 && member.id.startsWith(text);
      }
      if (address.length === 16 && this.hasLostIp6(member.id)) return false;
      const own = address.length === 4 ? this.ip4(member.id) : member.ip6;
      return own !== undefined && sameBytes(own, address);
    });
    const [member, ...others] = matches;
    if (member === undefined) return { ok: false, error: this.#unfound(text, guesses) };
    if (others.length > 0) {
      const keys = matches.map(({ id }) => id.slice(0, 16)).join(", ");
      return {
        ok: false,
        error: `${text}: ${matches.length} members match: say which key: ${keys}`,
      };
    }
    return { ok: true, value: member };
  }

  /** The one member whose name begins, or ends, as what was typed does. */
  #meant(text: string): string {
    const near = new Set<string>();
    for (const { id } of this.#members.values()) {
      const name = this.nameOf(id);
      const isNear = text.length > 1 && name.startsWith(text.slice(0, 3)) ||
        text.length > 3 && name.endsWith(text.slice(-3));
      if (isNear) near.add(name);
    }
    const [name] = near;
    return near.size === 1 ? `did you mean '${name}'? ` : "";
  }

  #unfound(text: string, guesses: boolean): string {
    const holder = this.#names.holder(text);
    if (holder === undefined || !this.#absent.has(holder)) {
      return `${text}: no member has this name, key or address: ${
        guesses ? this.#meant(text) : ""
      }\`shoal status\` lists them all`;
    }
    return `${text}: the member of this name (${
      holder.slice(0, 16)
    }) is not here: it has not come yet, or has been ` +
      "silent for 30 days";
  }

  #add(record: NodeRecord, membership: Membership, now: Now): Member {
    const member: Member = {
      id: record.id,
      record,
      membership,
      ip6: ip6Of(this.crypto, this.meshId, record.key),
      observed: undefined,
      peer: undefined,
      rtt: undefined,
      trafficAt: 0,
      aliveAt: Math.floor(now.wall / 1000),
      silentMs: 0,
      suspicionToldAt: -Infinity,
      isToldSuspect: false,
      departureToldAt: -Infinity,
      isToldGone: false,
    };
    this.#members.set(member.id, member);
    this.judgeOfAll.meet(member.id);
    this.#moves++;
    this.#absent.delete(member.id);
    // By its certificate alone the other key with this tunnel key may have been thought the first.
    const mirror = mirrorOf(member.id);
    if (this.#absent.has(mirror)) {
      this.reserve(mirror, this.judgeOfAll.judge(mirror, Math.floor(now.wall / 1000)));
    }
    this.claim(membership);
    this.#occupyClaimed(member, now);
    return member;
  }
}

/**
 * By what the claims of a guest go: an X25519 key has as many digits as a member's key, and may have the same
 * ones.
 */
export function guestClaim(key: string): string {
  return `${key}${GUEST}`;
}

function isGuestClaim(id: string): boolean {
  return id.endsWith(GUEST);
}

/** Whether two memberships of one key claim the same. */
function isSameClaim(a: Membership, b: Membership): boolean {
  return a.name === b.name && a.ip4Counter === b.ip4Counter && a.since === b.since &&
    rankOf(a) === rankOf(b);
}

/** Whether nothing authenticated has come from a member in this run. */
export function isUnheard({ observed }: Member): boolean {
  return observed === undefined || observed.at === -Infinity;
}

/** Whether a text is a whole key as this project writes it. */
export function isKey(text: string): boolean {
  return text.length === 64 && fromHex(text) !== undefined;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Members by the places where they were heard, and others by those where they say that they are. */
function occupants(members: Iterable<Member>): Map<string, MemberId> {
  const claimed = new Map<string, MemberId>();
  const observed = new Map<string, MemberId>();
  for (const member of members) {
    if (member.observed) observed.set(formatEndpoint(member.observed.endpoint), member.id);
    for (const endpoint of member.record.endpoints) {
      const place = formatEndpoint(endpoint);
      if (!claimed.has(place)) claimed.set(place, member.id);
    }
  }
  for (const [place, id] of observed) claimed.set(place, id);
  return claimed;
}
