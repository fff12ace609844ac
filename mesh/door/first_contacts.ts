/**
 * How much a node sends to a place (address and port) that may have nothing to do with the mesh. A
 * member can write any place into its record, and anybody can send from an invented address; so what
 * a node sends somewhere on another's word is bounded, whatever the reason: greeting, gossip, probe.
 *
 * | the place | unasked datagrams |
 * |---|---|
 * | never proven | 3 in the first minute, then 1 in 10 minutes |
 * | proven in the last 10 minutes, and heard in the last 60 s | no limit here |
 * | proven once, silent for longer or not proven again | 4 at once, then 1 in 15 s |
 *
 * and beside these an answer to what came from there, of no more bytes than came.
 *
 * **Proven** is a place from which something came that only somebody could say who had received there
 * what we sent: the answer to a ping, a greeting's answer, the cookie of our own answer. A sealed
 * datagram alone does not do for a new place: a member can write another's address on it. For a place
 * that it has proven in the last 10 minutes, a new one shows that the member is still there.
 *
 * **10 minutes** after a proof, what is heard counts no more: a member that has given a place up can
 * go on writing that address on what it sends, and what it asks for would go to the next holder for
 * ever. From 5 minutes on, whatever is heard from there makes a ping go there, at most one in 15 s:
 * its answer is a new proof, so that whoever is still there never gets to the end.
 *
 * **A new place** of a member that is heard there is asked for a proof at once, by a ping that counts as an answer or as
 * one of the three, and again once in 15 s: what gossip sends there would use those up, and prove nothing. So is a place
 * that it has proven once, when it is heard there after a silence or ten minutes after the proof, and it is asked up to three
 * times in a second: whoever sleeps for half an hour would else have its probes answered seldom, be suspected, and deny it.
 *
 * A place is proven **for the member that proved it**, one at a time. To every other that is said, or
 * seems, to be there it is as good as never proven: else any member could write the address of
 * another on what it asks for, and have many times that sent there.
 *
 * **60 s** of silence: whoever we talk with answers within that, and an address that its holder gave
 * up stops receiving soon. In a large mesh two members often say nothing to each other for longer: then
 * a few datagrams at once suffice to begin again, and the first that is answered lifts the limit.
 *
 * **1 in 15 s** for a place that was proven once: the dead are asked now and then for ever, and after
 * a partition of ten minutes or of a day the two halves must find each other within a minute; two
 * nodes alone find each other within 15 s. A place is remembered for a day of silence.
 *
 * **1 in 10 minutes** for a place that never was: only two nodes that were both restarted during a
 * partition, whose memory of each other's places is gone too, wait that long, unless one of them
 * knocks at a seed.
 *
 * **Seeds** that a person named (`--join`, the seeds of a token) do not pass through here. They have
 * the back-off of joiner.ts: tries after 0, 0.5, 1.5, 3.5 ... s, then once a minute, each wait +-25 %, at
 * most four addresses of a name, at most 32 seeds, and only as long as no member talks to us.
 */
import { type Endpoint, formatEndpoint, parseEndpoint } from "../endpoint.ts";
import type { Datagram, Now } from "../machine.ts";
import type { MemberId } from "../membership/identity.ts";
import { originOf } from "../wire/origin.ts";
import { Allowance, type Share } from "./allowance.ts";

/** Datagrams to a place that is not proven, in its first minute. */
export const FIRST_MINUTE = 3;
const MINUTE = 60_000;
/** Milliseconds between two datagrams to it later. */
export const LATER = 600_000;
/**
 * Milliseconds without a datagram after which an unproven place is forgotten: three datagrams in
 * thirty minutes are no more than one in ten.
 */
export const UNPROVEN_TIME = FIRST_MINUTE * LATER;

/** Unproven places that are remembered; at the limit no new one is sent to. */
export const UNPROVEN_MAX = 16_384;
/** Of them at one IPv4 address or IPv6 /64, so that its many ports are not as many victims. */
export const PER_ORIGIN = 8;
/** Of them claimed by one member, whose record may change every second. */
export const PER_CLAIMANT = 16;

/** Places proven once that are remembered; at the limit the one heard longest ago is forgotten. */
export const PROVEN_MAX = 16_384;
/** Of them of one member; at the limit its own heard longest ago is forgotten. */
export const PROVEN_PER_MEMBER = 8;
/** Milliseconds after a place was heard in which there is no limit. */
export const PROVEN_TIME = 60_000;
/** Milliseconds after a proof in which what is heard from a place shows that the member is there. */
export const PROOF_TIME = 600_000;
/** Milliseconds after a proof from which on a new one is asked for, and between two requests. */
export const RENEWAL_TIME = 300_000;
export const RENEWAL_PACE = 15_000;
/** What is sent to a place proven once, later. */
export const SILENT: Share = { rate: 1 / 15, burst: 4 };
/** Milliseconds of silence after which a proven place is forgotten. */
export const REMEMBERED_TIME = 86_400_000;

/** Places that are owed an answer; at the limit the one heard longest ago is forgotten. */
export const CREDITS_MAX = 1024;
/** Milliseconds in which an answer is due, and bytes that are owed at most. */
export const CREDIT_TIME = 10_000;
export const CREDIT_MAX = 65_536;

interface Proven {
  readonly member: MemberId;
  /** Boot ms of the last proof, and of the last that was heard while that proof was good. */
  readonly provenAt: number;
  readonly heardAt: number;
  /** Boot ms of the last request for a new proof. */
  askedAt: number;
  /** From the first datagram after {@link PROVEN_TIME} of silence on. */
  silent: Allowance | undefined;
}

interface Unproven {
  readonly claimant: MemberId;
  readonly origin: string;
  /** Boot ms of the first and of the last datagram. */
  readonly first: number;
  last: number;
  /** Datagrams in the first minute. */
  count: number;
}

interface Credit {
  readonly bytes: number;
  readonly at: number;
}

export class FirstContacts {
  /** By place, the one heard last at the end. */
  readonly #proven = new Map<string, Proven>();
  /** The proven places of each member, in the same order. */
  readonly #ofMember = new Map<MemberId, Set<string>>();
  /** By place, the one sent to last at the end. */
  readonly #unproven = new Map<string, Unproven>();
  readonly #perOrigin = new Crowds();
  readonly #perClaimant = new Crowds();
  readonly #credits = new Map<string, Credit>();
  readonly counts = {
    /** Unasked datagrams that went to places never proven, and to places silent for long. */
    first: 0,
    silent: 0,
    /** Datagrams that were not sent: the place had its share. */
    refused: 0,
    /** ... because its origin, its claimant or the table had as many places as they may. */
    origin: 0,
    claimant: 0,
    full: 0,
    /** Answers that were longer than what came. */
    unearned: 0,
    /** Proven places that made room. */
    displaced: 0,
  };

  /**
   * Whether an unasked datagram may go to a place now; if so, it counts as sent.
   * @param claimant the member on whose word we believe to find it there.
   */
  may(now: Now, place: Endpoint, claimant: MemberId): boolean {
    const name = formatEndpoint(place);
    this.#forget(now);
    const proven = this.#proven.get(name);
    if (proven?.member === claimant) return this.#maySilent(now, proven);
    const known = this.#unproven.get(name);
    if (!known) return this.#mayNew(now, name, originOf(place), claimant);
    const isFirst = now.boot - known.first < MINUTE;
    if (isFirst ? known.count >= FIRST_MINUTE : now.boot - known.last < LATER) {
      this.counts.refused++;
      return false;
    }
    if (isFirst) known.count++;
    known.last = now.boot;
    this.#unproven.delete(name);
    this.#unproven.set(name, known);
    this.counts.first++;
    return true;
  }

  /** Whether so many bytes may answer what a member sent from a place; if so, they count as sent. */
  mayAnswer(now: Now, place: Endpoint, member: MemberId, bytes: number): boolean {
    if (this.isProven(now, place, member)) return true;
    const name = formatEndpoint(place);
    const credit = this.#credits.get(name);
    const owed = credit && now.boot - credit.at < CREDIT_TIME ? credit.bytes : 0;
    if (!credit || bytes > owed) {
      this.counts.unearned++;
      return false;
    }
    this.#credits.set(name, { bytes: owed - bytes, at: credit.at });
    return true;
  }

  /** Whether a datagram may go out, as an answer to what came from its place or as an unasked one. */
  maySend(now: Now, { to, bytes }: Datagram, claimant: MemberId): boolean {
    const credit = this.#credits.get(formatEndpoint(to));
    const isOwed = credit !== undefined && now.boot - credit.at < CREDIT_TIME &&
      credit.bytes >= bytes.length;
    return isOwed ? this.mayAnswer(now, to, claimant, bytes.length) : this.may(now, to, claimant);
  }

  /**
   * A member sent something from a place that is no copy: where it proved itself not long ago, it
   * still is.
   * @returns whether it did
   */
  heard(now: Now, place: Endpoint, member: MemberId): boolean {
    const name = formatEndpoint(place);
    const known = this.#proven.get(name);
    if (known?.member !== member || now.boot - known.provenAt >= PROOF_TIME) return false;
    this.#keep(name, { ...known, heardAt: now.boot, silent: undefined });
    return true;
  }

  /** Whether a member should prove its place again now, having been heard there; if so, it is asked. */
  mustRenew(now: Now, place: Endpoint, member: MemberId): boolean {
    const known = this.#proven.get(formatEndpoint(place));
    if (known?.member !== member || now.boot - known.provenAt < RENEWAL_TIME) return false;
    if (now.boot - known.askedAt < RENEWAL_PACE) return false;
    known.askedAt = now.boot;
    return true;
  }

  /** So many bytes came from a place, maybe as a copy: they may be answered. */
  owe(now: Now, place: Endpoint, bytes: number): void {
    const name = formatEndpoint(place);
    const credit = this.#credits.get(name);
    const owed = credit && now.boot - credit.at < CREDIT_TIME ? credit.bytes : 0;
    this.#credits.delete(name);
    const [oldest] = this.#credits.keys();
    if (this.#credits.size >= CREDITS_MAX && oldest !== undefined) this.#credits.delete(oldest);
    this.#credits.set(name, { bytes: Math.min(CREDIT_MAX, owed + bytes), at: now.boot });
  }

  /** A member at this place has repeated something that was sent to it alone. */
  proven(now: Now, place: Endpoint, member: MemberId): void {
    this.#forget(now);
    const name = formatEndpoint(place);
    this.#credits.delete(name);
    // What went there on another's word stays counted: each proof would give that one a new share.
    if (this.#unproven.get(name)?.claimant === member) this.#drop(name);
    this.#keep(name, proof(member, now.boot, now.boot));
  }

  /**
   * What was proven before a restart counts as proven once, and silent for long; and as due to be
   * proven again as soon as it is heard.
   */
  recall(now: Now, place: Endpoint, member: MemberId): void {
    const name = formatEndpoint(place);
    if (this.#proven.has(name)) return;
    this.#keep(name, proof(member, now.boot - RENEWAL_TIME, now.boot - PROVEN_TIME));
  }

  /** Whether a member has ever proven that it hears us at a place, as far as is remembered. */
  isRemembered(place: Endpoint, member: MemberId): boolean {
    return this.#proven.get(formatEndpoint(place))?.member === member;
  }

  /** The place at which a member was heard last, of those that it has proven; undefined: none is remembered. */
  homeOf(member: MemberId): Endpoint | undefined {
    let home: string | undefined;
    for (const place of this.#ofMember.get(member) ?? []) home = place; // PROVEN_PER_MEMBER at most.
    return home === undefined ? undefined : parseEndpoint(home);
  }

  /** Whether there is no limit now to what goes to a member at a place. */
  isProven(now: Now, place: Endpoint, member: MemberId): boolean {
    const proven = this.#proven.get(formatEndpoint(place));
    return proven?.member === member && now.boot - proven.heardAt < PROVEN_TIME;
  }

  /** How many places of each kind are remembered. */
  get size(): { readonly proven: number; readonly unproven: number; readonly credits: number } {
    const [proven, unproven, credits] = [this.#proven, this.#unproven, this.#credits];
    return { proven: proven.size, unproven: unproven.size, credits: credits.size };
  }

  #maySilent(now: Now, proven: Proven): boolean {
    if (now.boot - proven.heardAt < PROVEN_TIME) return true;
    proven.silent ??= new Allowance(now, SILENT);
    const isAllowed = proven.silent.take(now);
    this.counts[isAllowed ? "silent" : "refused"]++;
    return isAllowed;
  }

  #mayNew(now: Now, name: string, origin: string, claimant: MemberId): boolean {
    const why = this.#unproven.size >= UNPROVEN_MAX
      ? "full"
      : this.#perOrigin.count(origin) >= PER_ORIGIN
      ? "origin"
      : this.#perClaimant.count(claimant) >= PER_CLAIMANT
      ? "claimant"
      : "first";
    this.counts[why]++;
    if (why !== "first") return false;
    this.#unproven.set(name, { claimant, origin, first: now.boot, last: now.boot, count: 1 });
    this.#perOrigin.add(origin);
    this.#perClaimant.add(claimant);
    return true;
  }

  #keep(name: string, proven: Proven): void {
    const { member } = proven;
    this.#release(name);
    const own = this.#ofMember.get(member) ?? new Set();
    const [leastOwn] = own;
    if (own.size >= PROVEN_PER_MEMBER && leastOwn !== undefined) this.#displace(leastOwn);
    const [least] = this.#proven.keys();
    if (this.#proven.size >= PROVEN_MAX && least !== undefined) this.#displace(least);
    this.#proven.set(name, proven);
    this.#ofMember.set(member, own.add(name));
  }

  #displace(name: string): void {
    this.counts.displaced++;
    this.#release(name);
  }

  /** Takes a place out of the proven ones. */
  #release(name: string): void {
    const proven = this.#proven.get(name);
    if (!proven) return;
    this.#proven.delete(name);
    const own = this.#ofMember.get(proven.member);
    own?.delete(name);
    if (own?.size === 0) this.#ofMember.delete(proven.member);
  }

  /** Takes a place out of the unproven ones. */
  #drop(name: string): void {
    const unproven = this.#unproven.get(name);
    if (!unproven) return;
    this.#unproven.delete(name);
    this.#perOrigin.remove(unproven.origin);
    this.#perClaimant.remove(unproven.claimant);
  }

  #forget(now: Now): void {
    for (const [name, { last }] of this.#unproven) {
      if (now.boot - last < UNPROVEN_TIME) break; // and so all others
      this.#drop(name);
    }
    for (const [name, { heardAt }] of this.#proven) {
      if (now.boot - heardAt < REMEMBERED_TIME) break;
      this.#release(name);
    }
  }
}

function proof(member: MemberId, provenAt: number, heardAt: number): Proven {
  return { member, provenAt, heardAt, askedAt: -Infinity, silent: undefined };
}

/** How many there are of each. */
class Crowds {
  readonly #counts = new Map<string, number>();

  count(of: string): number {
    return this.#counts.get(of) ?? 0;
  }

  add(of: string): void {
    this.#counts.set(of, this.count(of) + 1);
  }

  remove(of: string): void {
    if (this.count(of) > 1) this.#counts.set(of, this.count(of) - 1);
    else this.#counts.delete(of);
  }
}
