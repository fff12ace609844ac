/**
 * The roster: everybody whose record and membership were verified here, with what is known of how
 * to reach them. It judges records (trust, sequence, equivocation) and gives out IPv4 addresses; it
 * sends nothing.
 */
import type { Crypto } from "./crypto.ts";
import { type Decoded, fromHex } from "./codec.ts";
import { AddressBook, ip4Of, ip6Of } from "./address.ts";
import { type Endpoint, parseAddress, sameBytes, sameEndpoint, type Source } from "./endpoint.ts";
import type { Who } from "./event.ts";
import type { Now, PeerId } from "./machine.ts";
import type { NodeRecord } from "./record.ts";
import type { Membership } from "./trust/certificate.ts";
import { type MemberId, meshIdOf } from "./trust/identity.ts";
import type { Judgement, Refusal, Trust } from "./trust/trust.ts";

/** Members at most, the dead among them. At the limit newcomers are refused and counted. */
export const MEMBERS_MAX = 16_384;
/** Milliseconds during which an authenticated source is taken for the place of a member. */
const FRESH = 30_000;
/** Places that are tried at once for a member that has not been heard of lately. */
const GUESSES_MAX = 4;

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
  readonly #book = new AddressBook();
  readonly meshId: Uint8Array;
  /** Newcomers that the limit has cost. */
  refused = 0;

  constructor(
    private readonly crypto: Crypto,
    private readonly trust: Trust,
    private readonly self: MemberId,
    private readonly limit = MEMBERS_MAX,
  ) {
    this.meshId = meshIdOf(crypto, trust.meshKey);
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

  members(): IterableIterator<Member> {
    return this.#members.values();
  }

  /** Whether the subject of a record is a member. */
  judge(record: NodeRecord, now: Now): Judgement {
    return this.trust.judge(record, Math.floor(now.wall / 1000));
  }

  /**
   * Takes a record whose signature was verified, if its subject is a member and it is newer.
   * Of two records with one sequence everybody keeps the one with the greater bytes.
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
      return { kind: "new", member: this.#add(record, membership) };
    }
    const before = known.record;
    if (record.sequence < before.sequence) return { kind: "old", member: known };
    if (record.sequence > before.sequence) {
      this.#replace(known, record, membership);
      return { kind: "updated", member: known, before };
    }
    const order = compareBytes(record.bytes, before.bytes);
    if (order === 0) return { kind: "old", member: known };
    if (order > 0) this.#replace(known, record, membership);
    return { kind: "equivocation", member: known, before, isTaken: order > 0 };
  }

  remove(id: MemberId): void {
    const member = this.#members.get(id);
    if (member === undefined) return;
    this.#members.delete(id);
    this.#book.release(id);
    if (member.peer !== undefined) this.#byPeer.delete(member.peer);
  }

  /** Ties a member to its WireGuard peer. */
  bind(member: Member, peer: PeerId): void {
    member.peer = peer;
    this.#byPeer.set(peer, member);
  }

  /** Our own wish for an address stands in the same book. */
  claimOwn(key: Uint8Array, counter: number, issuedAt: number): void {
    this.#book.claim({
      id: this.self,
      issuedAt,
      ip4: ip4Of(this.crypto, this.meshId, key, counter),
    });
  }

  /** A member's IPv4 address (or our own); undefined while it must step aside. */
  ip4(id: MemberId): Uint8Array | undefined {
    return this.#book.addressOf(id);
  }

  /** Who else wants or holds an address that `id` wants too. */
  rivals(id: MemberId): MemberId[] {
    return this.#book.rivals(id);
  }

  /** Whether somebody holds the address that a key has with this counter. */
  isTaken(key: Uint8Array, counter: number): boolean {
    const holder = this.#book.holder(ip4Of(this.crypto, this.meshId, key, counter));
    return holder !== undefined && holder !== this.self;
  }

  /**
   * Where to send to a member: where it was heard lately, or every place that may be right. The
   * copies are one datagram, so at most one of them is delivered.
   */
  places(member: Member, now: Now): { to: Endpoint; from?: Source }[] {
    const { observed } = member;
    const seen = observed &&
      { to: observed.endpoint, ...(observed.source ? { from: observed.source } : {}) };
    if (seen && now.boot - observed.at < FRESH) return [seen];
    const claimed = member.record.endpoints
      .filter((endpoint) => !seen || !sameEndpoint(endpoint, seen.to))
      .map((to) => ({ to }));
    return [...(seen ? [seen] : []), ...claimed].slice(0, GUESSES_MAX);
  }

  /** Our network changed: every place that may be right is tried until members are heard again. */
  moved(now: Now): void {
    for (const member of this.#members.values()) {
      const { observed } = member;
      if (!observed) continue;
      const at = Math.min(observed.at, now.boot - FRESH);
      member.observed = { endpoint: observed.endpoint, source: undefined, at };
    }
  }

  /** The member that a person means: a name, a key (or its beginning, 8 digits), an address. */
  find(text: string): Decoded<Member> {
    const address = parseAddress(text);
    const matches = [...this.#members.values()].filter((member) => {
      if (address === undefined) {
        return member.membership.name === text || text.length >= 8 && member.id.startsWith(text);
      }
      const own = address.length === 4 ? this.ip4(member.id) : member.ip6;
      return own !== undefined && sameBytes(own, address);
    });
    const [member, ...others] = matches;
    if (member === undefined) {
      return {
        ok: false,
        error: `${text}: no member has this name, key or address: \`shoal status\` lists them all`,
      };
    }
    if (others.length > 0) {
      const keys = matches.map(({ id }) => id.slice(0, 16)).join(", ");
      return {
        ok: false,
        error: `${text}: ${matches.length} members match: say which key: ${keys}`,
      };
    }
    return { ok: true, value: member };
  }

  #add(record: NodeRecord, membership: Membership): Member {
    const member: Member = {
      id: record.id,
      record,
      membership,
      ip6: ip6Of(this.crypto, this.meshId, record.key),
      observed: undefined,
      peer: undefined,
      rtt: undefined,
      trafficAt: 0,
    };
    this.#members.set(member.id, member);
    this.#claim(member);
    return member;
  }

  #replace(member: Member, record: NodeRecord, membership: Membership): void {
    member.record = record;
    member.membership = membership;
    this.#claim(member);
  }

  #claim({ id, record, membership }: Member): void {
    const ip4 = ip4Of(this.crypto, this.meshId, record.key, record.ip4Counter);
    this.#book.claim({ id, issuedAt: membership.issuedAt, ip4 });
  }
}

/** A member as people know it. */
export function whoOf(member: Member): Who;
export function whoOf(member: Member | undefined): Who | undefined;
export function whoOf(member: Member | undefined): Who | undefined {
  return member && { id: member.id, name: member.membership.name };
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
