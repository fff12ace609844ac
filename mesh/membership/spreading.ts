/**
 * How what was signed reaches the others: by rumours, which everybody passes on, and what cannot wait by itself as well, to
 * some members at random and to those that a thief cannot have made.
 */
import type { NodeEvent } from "../event.ts";
import type { Now, Outbox, Random } from "../machine.ts";
import { hasBeenHeard } from "../swim/membership.ts";
import type { SwimOutbox } from "../swim/outbox.ts";
import type { Swim } from "../swim/swim.ts";
import { PAYLOAD_MAX, type PayloadKind } from "../wire/seal.ts";
import type { MemberId } from "./identity.ts";
import { KIND, recordRumour, statementRumour, twinRumour } from "./news.ts";
import type { NodeRecord } from "./record.ts";
import type { Roster } from "./roster.ts";
import { encodeStatements, type Statement, subjectOf } from "./statement.ts";
import type { Statements } from "./statements.ts";

/** How many members hear at once of what cannot wait, from each that learns of it. */
const FANOUT = 4;
/** Members that hear of an end from whoever signed it, beside those. */
const OLD = 16;
/** Members that hear our own farewell from ourselves. */
const FAREWELLS = 128;
/** How many members greet a newcomer on their own, or tell somebody its end, on average. */
const GREETERS = 8;

/** How a part of a mesh reaches the others. */
export interface Sending {
  /** Seals for a member, and sends. */
  readonly send: (
    now: Now,
    to: MemberId,
    kind: PayloadKind,
    payload: Uint8Array,
    out: Outbox<NodeEvent>,
  ) => void;
  /** Where swim puts what it has to say. */
  readonly swimOut: (now: Now, out: Outbox<NodeEvent>) => SwimOutbox;
}

interface Links extends Sending {
  readonly random: Random;
  readonly roster: Roster;
  readonly statements: Statements;
  readonly swim: Swim;
}

export class Spreading {
  constructor(private readonly links: Links) {}

  // ---- Rumours ----------------------------------------------------------------------------------

  record(now: Now, record: NodeRecord, out: Outbox<NodeEvent>): void {
    const { swim, swimOut } = this.links;
    swim.spread(now, recordRumour(record), swimOut(now, out));
  }

  retractRecord(id: MemberId): void {
    this.links.swim.retract(KIND.record, id);
  }

  /** A statement travels as long as it counts. */
  statement(now: Now, statement: Statement, out: Outbox<NodeEvent>): void {
    const { statements, swim, swimOut } = this.links;
    if (statements.travels(statement)) {
      swim.spread(now, statementRumour(statement), swimOut(now, out));
    }
  }

  retract(statement: Statement): void {
    this.links.swim.retract(KIND.statement, statementRumour(statement).key);
  }

  /** A farewell travels as long as a certificate of its signer does. */
  farewellsOf(now: Now, changed: readonly Statement[], out: Outbox<NodeEvent>): void {
    const { statements } = this.links;
    for (const one of changed) {
      if (one.kind !== "admin" && one.kind !== "member") continue;
      const farewell = statements.farewell(one.certificate.key);
      if (!farewell) continue;
      if (!statements.travels(farewell)) this.retract(farewell);
      else this.statement(now, farewell, out);
    }
  }

  // ---- What cannot wait -------------------------------------------------------------------------

  /** Whoever passes on the record of somebody who has left can believe a farewell that does not travel. */
  showFarewell(now: Now, to: MemberId, of: MemberId, out: Outbox<NodeEvent>): void {
    const { statements } = this.links;
    const farewell = statements.farewell(of);
    if (!farewell || statements.travels(farewell)) return;
    this.#show([to], farewell, now, out);
  }

  /** Our own good-bye for good. */
  sayFarewell(now: Now, farewell: Statement, out: Outbox<NodeEvent>): void {
    this.#show(this.#some(FAREWELLS), farewell, now, out);
  }

  /**
   * Whoever is put out should know why nobody talks to it any more, and the others at once.
   * @param isOurs whether it was signed here
   */
  hurry(now: Now, statement: Statement, isOurs: boolean, out: Outbox<NodeEvent>): void {
    const subject = subjectOf(statement);
    if (this.links.roster.get(subject) && this.isGreeter()) {
      this.#show([subject], statement, now, out);
    }
    this.#show(this.#some(FANOUT), statement, now, out);
    if (isOurs) this.#show(this.#longestKnown(OLD), statement, now, out);
  }

  #show(to: readonly MemberId[], statement: Statement, now: Now, out: Outbox<NodeEvent>): void {
    const payload = encodeStatements([statement], PAYLOAD_MAX);
    for (const id of to) this.links.send(now, id, "statements", payload, out);
  }

  /**
   * Another machine uses the key of this record's subject, which is ourselves: nothing of ours may be the newest that others
   * hold, so this travels by itself, too.
   */
  warnOfTwin(now: Now, record: NodeRecord, out: Outbox<NodeEvent>): void {
    const { swim, swimOut, send } = this.links;
    swim.retract(KIND.twin, record.id);
    swim.spread(now, twinRumour(record), swimOut(now, out));
    for (const id of this.#some(FANOUT)) send(now, id, "record", record.bytes, out);
  }

  // ---- To whom ----------------------------------------------------------------------------------

  /** Whether we are one of the few that do something which not all need to do: so many of the whole mesh, on average. */
  isGreeter(): boolean {
    const { random, roster } = this.links;
    const [draw = 0] = random(1);
    return draw * roster.size < 256 * GREETERS;
  }

  /**
   * Those that are there of the members that came to us first: however many a thief makes later, and lets answer, they
   * are not among these.
   */
  #longestKnown(count: number): MemberId[] {
    const { roster, swim } = this.links;
    const known: MemberId[] = [];
    for (const { id } of roster.members()) {
      if (known.length === count) break;
      const view = swim.member(id);
      if (view?.status === "alive" && hasBeenHeard(view)) known.push(id);
    }
    return known;
  }

  /** So many living members at random, or all. */
  #some(count: number): MemberId[] {
    const { random, swim } = this.links;
    const live = [...swim.members()].filter(({ status }) => status === "alive");
    const chosen: MemberId[] = [];
    for (const group of [live.filter(hasBeenHeard), live.filter((one) => !hasBeenHeard(one))]) {
      while (chosen.length < count && group.length > 0) {
        const [high = 0, low = 0] = random(2);
        const [one] = group.splice((high * 256 + low) % group.length, 1);
        if (one) chosen.push(one.id);
      }
    }
    return chosen;
  }
}
