/**
 * Guests: stock WireGuard devices, such as a phone. A guest knows one member, its host, by one key at
 * one place; every other member reaches it through that one. It has a name and addresses like a member,
 * and is none: its key signs nothing, so it has no record, no gossip and no say.
 *
 * Who is a guest is a function of the statements and the clock, as everything else (invariant 2): the
 * certificate signed last counts, while nothing has withdrawn its key, it has not ended, and its host is
 * a member that an admin has certified. So a guest ends with its host. Of the guests of one host the
 * {@link GUESTS_PER_HOST} that were certified first count, before all others those that the host itself, or the mesh key,
 * has certified: the times in certificates are their signer's word, and another admin may be a thief.
 *
 * A guest gets no name and no address that a certified member has (claims.ts).
 */
import type { Crypto } from "../crypto.ts";
import { parseAddress, sameBytes } from "../endpoint.ts";
import { ip6Of } from "./address.ts";
import type { MemberId } from "./identity.ts";
import { CLOCK_SKEW, type Judge } from "./judge.ts";
import { guestClaim, type Roster } from "./roster.ts";
import type { Certificate, StatementOf } from "./statement.ts";

/** Guests that one member serves at most. */
export const GUESTS_PER_HOST = 64;

export interface Guest {
  /** Its X25519 key, hexadecimal. */
  readonly key: string;
  readonly certificate: Certificate;
  readonly host: MemberId;
  /** Unix seconds: the last moment in which it is served. */
  readonly until: number;
  /** Who signed its certificate. */
  readonly by: string;
  readonly ip6: Uint8Array;
  /** Of the certificate. */
  readonly hash: string;
}

/** What a review has changed. */
export interface GuestChanges {
  readonly came: readonly Guest[];
  readonly went: readonly Guest[];
}

export class Guests {
  readonly #current = new Map<string, Guest>();
  #surplus: ReadonlyMap<MemberId, number> = new Map();

  constructor(
    private readonly crypto: Crypto,
    private readonly judge: Judge,
    private readonly roster: Roster,
    private readonly perHost = GUESTS_PER_HOST,
  ) {}

  get size(): number {
    return this.#current.size;
  }

  /** How many keys a review has to look at. */
  get candidates(): number {
    return this.judge.statements.guestKeys().size;
  }

  /** Hosts that have more guests than may be, and how many are not served for that. */
  get surplus(): ReadonlyMap<MemberId, number> {
    return this.#surplus;
  }

  get(key: string): Guest | undefined {
    return this.#current.get(key);
  }

  all(): MapIterator<Guest> {
    return this.#current.values();
  }

  /** Those that a member serves. */
  *of(host: MemberId): Generator<Guest> {
    for (const guest of this.#current.values()) if (guest.host === host) yield guest;
  }

  /** What a guest is called: as a member, by its key, too, where somebody else has its name. */
  nameOf({ key }: Guest): string {
    return this.roster.nameOf(guestClaim(key));
  }

  /** Its IPv4 address; undefined while somebody else has it. */
  ip4({ key }: Guest): Uint8Array | undefined {
    return this.roster.ip4(guestClaim(key));
  }

  /** Those that a person can mean by a name, an address, or a key as WireGuard writes it or in 8 or more digits. */
  find(text: string): Guest[] {
    const address = parseAddress(text);
    return [...this.#current.values()].filter((guest) => {
      if (address === undefined) {
        return this.nameOf(guest) === text || text.length >= 8 && guest.key.startsWith(text) ||
          Uint8Array.fromHex(guest.key).toBase64() === text;
      }
      const own = address.length === 4 ? this.ip4(guest) : guest.ip6;
      return own !== undefined && sameBytes(own, address);
    });
  }

  /** Judges all of them anew. @param now unix seconds */
  review(now: number): GuestChanges {
    const found = this.#found(now);
    const came: Guest[] = [];
    const went: Guest[] = [];
    for (const guest of this.#current.values()) {
      if (found.has(guest.key)) continue;
      this.roster.releaseGuest(guest.key);
      this.#current.delete(guest.key);
      went.push(guest);
    }
    for (const guest of found.values()) {
      const before = this.#current.get(guest.key);
      if (before?.hash === guest.hash) continue;
      this.roster.claimGuest(guest.certificate);
      this.#current.set(guest.key, guest);
      if (!before) came.push(guest);
    }
    return { came, went };
  }

  #found(now: number): Map<string, Guest> {
    const byHost = new Map<MemberId, StatementOf<"guest">[]>();
    for (const key of this.judge.statements.guestKeys()) {
      const statement = this.#certificate(key, now);
      if (!statement) continue;
      const guests = byHost.get(statement.host);
      if (guests) guests.push(statement);
      else byHost.set(statement.host, [statement]);
    }
    const found = new Map<string, Guest>();
    const surplus = new Map<MemberId, number>();
    for (const [host, guests] of byHost) {
      if (!this.#mayServe(host, now)) continue;
      const own = new Set(guests.filter((guest) => this.#isOwn(guest)));
      guests.sort((a, b) => Number(own.has(b)) - Number(own.has(a)) || byPrecedence(a, b));
      for (const statement of guests.slice(0, this.perHost)) {
        found.set(statement.certificate.key, this.#guest(statement));
      }
      if (guests.length > this.perHost) surplus.set(host, guests.length - this.perHost);
    }
    this.#surplus = surplus;
    return found;
  }

  #isOwn({ certificate, host }: StatementOf<"guest">): boolean {
    return this.judge.statements.isHostsOwn(certificate.key, host);
  }

  #certificate(key: string, now: number): StatementOf<"guest"> | undefined {
    const { statements } = this.judge;
    const statement = statements.guest(key, now + CLOCK_SKEW);
    if (!statement || statements.isWithdrawn(key)) return undefined;
    return statement.until < now - CLOCK_SKEW ? undefined : statement;
  }

  #guest({ certificate, host, until, signer, hash }: StatementOf<"guest">): Guest {
    const { key } = certificate;
    const before = this.#current.get(key);
    if (before?.hash === hash) return before;
    const ip6 = ip6Of(this.crypto, this.judge.meshId, Uint8Array.fromHex(key), "guest");
    return { key, certificate, host, until, by: signer, ip6, hash };
  }

  /** A member that a token has let in, or that is trusted on this node alone, has no guests. */
  #mayServe(host: MemberId, now: number): boolean {
    const judgement = this.judge.judge(host, now);
    if (judgement.kind !== "member") return false;
    const { standing } = judgement.membership;
    return standing === "admin" || standing === "certified";
  }
}

/** The order in which the guests of one host count, where all or none are its own. */
function byPrecedence(
  { certificate: a }: StatementOf<"guest">,
  { certificate: b }: StatementOf<"guest">,
): number {
  return a.since - b.since || (a.key < b.key ? -1 : 1);
}
