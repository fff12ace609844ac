/**
 * Who is in the mesh as far as we know: a table of members, ourselves among them, and the one rule
 * by which a word about a member changes it.
 *
 * A member's own word, authenticated, counts above all: a higher incarnation makes it alive. At one
 * incarnation the precedence is alive < suspect < dead and left, so whoever is wrongly suspected has
 * to say "alive" with a higher incarnation, and an old "alive" can never bring back the dead.
 *
 * Hearsay, the word of a third party, counts only at an incarnation that the subject itself has
 * announced, with its signature (announcement.ts): a member is never held at another. So nobody can
 * push a member's incarnation, whatever is claimed, and at the greatest incarnation, where nothing
 * higher can be said, the subject's own word wins against everything.
 */
import { bucketOf, type Buckets } from "./buckets.ts";
import {
  type Claim,
  type Cursor,
  INCARNATION_MAX,
  type Item,
  type MemberId,
  type Status,
  type Tag,
  type View,
} from "./messages.ts";
import type { Entry } from "./agenda.ts";

/** The tag that claims name a member by. */
export function tagOf(id: MemberId): Tag {
  return id.slice(0, 32);
}

/** A suspicion under way. */
export interface Accusation {
  /** Who accuses, each on its own. */
  readonly origins: Set<Tag>;
  /** Boot ms of its beginning, or of the suspect's last sign of life. */
  began: number;
  /** Whether somebody has declared the suspect dead already, so that less time is enough. */
  isShort: boolean;
  expiry: Entry | undefined;
}

export interface Member {
  readonly id: MemberId;
  readonly tag: Tag;
  status: Status;
  /** The highest that the member itself has announced. */
  incarnation: number;
  /** Its signature over that; none where its incarnation is known in another way. */
  proof: Uint8Array | undefined;
  /** How it was held before it left, by its own word alone; read while the status is left. */
  beforeFarewell:
    | { readonly incarnation: number; readonly proof: Uint8Array | undefined }
    | undefined;
  /** The incarnation that it used last. Less than the one above: it has forgotten that. */
  used: number;
  /** The incarnation at which it holds us, by its last message. */
  holdsUs: number;
  /** Boot ms of the last change of status. */
  since: number;
  /** Boot ms when something authenticated last came from it; -Infinity: never. */
  heardAt: number;
  /** Smoothed round trip and its variation in ms; 0: not measured yet. */
  rtt: number;
  rttVariation: number;
  /** Who accuses it, and when that ends: exactly while the status is suspect. */
  accusation: Accusation | undefined;
  /** Boot ms up to which what it was given on request is paid for (answers.ts). */
  answersPaid: number;
  /** Boot ms up to which the checks of its signatures are paid for (opinion.ts). */
  proofsPaid: number;
  /** Boot ms when it last passed on a false signature. */
  forgedAt: number;
}

/** Whether a member is to be talked to: it is alive, or may be. */
export function isLive(member: Member): boolean {
  return member.status === "alive" || member.status === "suspect";
}

/** Whether anything authenticated has come from it since this node was started. */
export function hasBeenHeard({ heardAt }: Pick<Member, "heardAt">): boolean {
  return heardAt !== -Infinity;
}

const RANK: Record<Status, number> = { alive: 0, suspect: 1, dead: 2, left: 2 };

export class Membership {
  readonly #members = new Map<Tag, Member>();
  readonly #buckets: Member[][] = [];
  #live = 0;
  #dead = 0;
  readonly self: Member;

  constructor(self: MemberId, incarnation: number, now: number, readonly fingerprint: Buckets) {
    this.self = this.#insert(self, incarnation, now);
  }

  /** All members, ourselves included. */
  get size(): number {
    return this.#members.size;
  }

  /** How many are alive or suspect, ourselves included. */
  get live(): number {
    return this.#live;
  }

  /** How many are dead, those that left not counted. */
  get dead(): number {
    return this.#dead;
  }

  get(tag: Tag): Member | undefined {
    return this.#members.get(tag);
  }

  values(): IterableIterator<Member> {
    return this.#members.values();
  }

  /** A new member, alive. The caller has made sure that its tag is free. */
  add(id: MemberId, incarnation: number, now: number): Member {
    return this.#insert(id, incarnation, now);
  }

  remove(member: Member): void {
    this.#count(member, -1);
    this.fingerprint.toggle(itemOf(member));
    this.#members.delete(member.tag);
    const bucket = this.#bucket(member.tag);
    bucket.splice(bucket.indexOf(member), 1);
  }

  /** Whether this word would change what is held of somebody, by precedence alone. */
  precedes(held: View, status: Status, incarnation: number): boolean {
    if (incarnation !== held.incarnation) return incarnation > held.incarnation;
    return RANK[status] > RANK[held.status];
  }

  /**
   * Changes a member. Never to a lower incarnation, and never to a lower status at the same one but
   * for the subject's own word at {@link INCARNATION_MAX}.
   */
  set(member: Member, status: Status, incarnation: number, now: number): void {
    const revived = incarnation === INCARNATION_MAX && status === "alive";
    if (!this.precedes(member, status, incarnation) && !revived) {
      throw new RangeError(
        `swim: ${status} ${incarnation} cannot follow ${member.status} ${member.incarnation}`,
      );
    }
    this.#set(member, status, incarnation, now);
  }

  /** Takes a farewell back that the member has not said: it is held as before that. */
  takeBack(member: Member, now: number): void {
    if (member.status !== "left" || !member.beforeFarewell) return;
    const { incarnation, proof } = member.beforeFarewell;
    member.beforeFarewell = undefined;
    member.proof = proof;
    this.#set(member, "alive", incarnation, now);
  }

  #set(member: Member, status: Status, incarnation: number, now: number): void {
    this.#count(member, -1);
    this.fingerprint.toggle(itemOf(member));
    if (member.status !== status) member.since = now;
    member.status = status;
    member.incarnation = incarnation;
    this.fingerprint.toggle(itemOf(member));
    this.#count(member, 1);
  }

  /** The members of a bucket as items, after a cursor; in no order. */
  *items(bucket: number, after: Cursor | undefined): Iterable<Item> {
    for (const member of this.#buckets[bucket] ?? []) {
      if (after === undefined || member.tag > after.tag) yield itemOf(member);
    }
  }

  #insert(id: MemberId, incarnation: number, now: number): Member {
    const member: Member = {
      id,
      tag: tagOf(id),
      status: "alive",
      incarnation,
      proof: undefined,
      beforeFarewell: undefined,
      used: incarnation,
      holdsUs: 0,
      since: now,
      heardAt: -Infinity,
      rtt: 0,
      rttVariation: 0,
      accusation: undefined,
      answersPaid: -Infinity,
      proofsPaid: -Infinity,
      forgedAt: -Infinity,
    };
    this.#members.set(member.tag, member);
    this.#bucket(member.tag).push(member);
    this.fingerprint.toggle(itemOf(member));
    this.#count(member, 1);
    return member;
  }

  #count(member: Member, by: number): void {
    if (isLive(member)) this.#live += by;
    else if (member.status === "dead") this.#dead += by;
  }

  #bucket(tag: Tag): Member[] {
    return this.#buckets[bucketOf(tag)] ??= [];
  }
}

/** What we say of a member; with its own signature where who hears it may not have seen that. */
export function claimOf(member: Member, self: Member, isProofNeeded: boolean): Claim {
  const { tag: subject, status, incarnation, proof, accusation } = member;
  const [origin = self.tag] = accusation?.origins ?? [];
  return {
    subject,
    status,
    incarnation,
    ...(status === "suspect" ? { origin } : {}),
    ...(isProofNeeded && proof !== undefined ? { proof } : {}),
  };
}

function itemOf(member: Member): Item {
  return { kind: 0, tag: member.tag, status: member.status, incarnation: member.incarnation };
}
