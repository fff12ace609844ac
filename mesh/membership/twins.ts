/**
 * Members whose key is used by two machines at once: a disk was copied. A record names the run that
 * made it, and nobody goes back to an earlier run; so when records of two runs take turns, two
 * machines make them. A member that sees that itself, or reads it in a record of the key, sounds the
 * alarm: it shows both places, and holds to the run that it knew first until that one is silent.
 *
 * A record that names another machine is believed whatever its sequence: whoever signed it has the key.
 * The second machine may be in the hands of somebody who signs newer and newer records, so that none of
 * the first one's is ever the newest; it cannot take back what that one says.
 */
import { type Endpoint, sameEndpoint } from "../endpoint.ts";
import type { Now } from "../machine.ts";
import type { MemberId } from "./identity.ts";
import type { NodeRecord, Twin } from "./record.ts";
import { TELLING_PACE } from "./telling.ts";

/** Milliseconds within which records of two runs have to take turns. */
const TURNS = 60_000;
/** Milliseconds of silence after which the first machine's place may be the other's. */
const SILENT = 30_000;
/** Milliseconds that the first one has to answer before: where members are many, none is heard twice a minute. */
const ANSWER = 5_000;
/** Milliseconds without a sign of the second machine after which the alarm ends. */
const ALARM = 10 * 60_000;
/** Milliseconds for which the second machine has to be silent after somebody else was at its place. */
const VACANT = 5_000;
/** Places of a second machine from which handshakes are refused. */
export const PLACES_MAX = 8;

interface Run {
  readonly run: string;
  /** Where its record said that it was. */
  endpoint: Endpoint | undefined;
  seenAt: number;
}

interface KnownRun extends Run {
  /** The last. */
  record: NodeRecord;
}

interface Watch {
  current: KnownRun;
  /** The run before, and when it ended. */
  before: KnownRun | undefined;
  changedAt: number;
  /** Set while two machines use the key: the one that is not believed. */
  other: Run | undefined;
  /** Where the other was seen to be. */
  readonly places: Endpoint[];
  /** Boot ms at which people last heard of an alarm; -Infinity: never. */
  toldAt: number;
  /** Boot ms at which another has proven to be where the second machine was, and nothing has come from that since. */
  vacatedAt: number;
  /** Boot ms at which the first was asked last whether it is there; -Infinity: never. */
  askedAt: number;
  /** What stands for the member when it does not answer. */
  successor: NodeRecord | undefined;
  /** The last record that named another machine. */
  declared: Declared | undefined;
  /** The same when an alarm ended: nobody begins it again by that. */
  settled: Declared | undefined;
}

/** Which of the records of a key it was. */
interface Declared {
  readonly run: string;
  readonly sequence: number;
}

/** A key that two machines use. */
export interface Alarm {
  readonly id: MemberId;
  /** The run that this node holds to, and where its machine is. */
  readonly first: string;
  /** Its last, which may be older than one of the other. */
  readonly record: NodeRecord;
  readonly firstPlace: Endpoint | undefined;
  readonly otherPlace: Endpoint | undefined;
  readonly places: readonly Endpoint[];
}

export class Twins {
  /** As large as the member table. */
  readonly #watched = new Map<MemberId, Watch>();
  /** Whose second machine's place was proven by somebody else. */
  readonly #vacated = new Set<MemberId>();
  /** Whose first machine is to be asked whether it is there, and whose was. */
  readonly #silent = new Set<MemberId>();
  readonly #asked = new Set<MemberId>();

  forget(id: MemberId): void {
    this.#watched.delete(id);
  }

  alarm(id: MemberId): Alarm | undefined {
    const watch = this.#watched.get(id);
    if (!watch?.other) return undefined;
    const { current, other, places } = watch;
    return {
      id,
      first: current.run,
      record: current.record,
      firstPlace: current.endpoint,
      otherPlace: other.endpoint,
      places,
    };
  }

  /** Whether people hear of an alarm that begins: of one key once in {@link TELLING_PACE}. */
  isWorthTelling(now: Now, id: MemberId): boolean {
    const watch = this.#watched.get(id);
    if (!watch || now.boot - watch.toldAt < TELLING_PACE) return false;
    watch.toldAt = now.boot;
    return true;
  }

  *alarms(): Generator<Alarm> {
    for (const id of this.#watched.keys()) {
      const alarm = this.alarm(id);
      if (alarm) yield alarm;
    }
  }

  /**
   * A newer record of a member. @returns whether it may take the place of the one that is held; it
   * may not while another run of the same key is the first.
   */
  record(now: Now, record: NodeRecord): boolean {
    const { id, run, twin } = record;
    const seen = seenIn(now, record);
    const watch = this.#watched.get(id);
    const declared = twin && namedIn(now, twin);
    if (watch === undefined) {
      const started: Watch = { ...UNWATCHED, current: seen, places: [] };
      this.#watched.set(id, started);
      if (declared) this.#sound(started, declared);
      return true;
    }
    if (watch.current.run === run) {
      Object.assign(watch.current, seen);
      if (declared && !watch.other && this.#isFirst(watch, declared.run)) return false;
      if (declared) this.#sound(watch, declared);
      return true;
    }
    if (watch.other) return this.#during(now, watch, seen);
    if (this.#isBack(now, watch, run)) {
      this.#holdToBefore(watch, seen);
      return true;
    }
    // Of several new runs in a minute the first followed the one that may still live.
    if (now.boot - watch.changedAt >= TURNS) watch.before = watch.current;
    watch.changedAt = now.boot;
    watch.current = seen;
    if (declared === undefined) return true;
    if (this.#isFirst(watch, declared.run)) return false;
    this.#sound(watch, declared);
    return true;
  }

  /**
   * A member's record that names another machine, whatever its sequence.
   * @returns whether its run is held to from now on, and was not before
   */
  declared(now: Now, record: NodeRecord): boolean {
    const { id, run, sequence, twin } = record;
    const watch = this.#watched.get(id);
    if (!watch || !twin || isSettled(watch, record)) return false;
    watch.declared = { run, sequence };
    const seen = seenIn(now, record);
    const isFirst = run === watch.current.run;
    const other = isFirst ? namedIn(now, twin) : seen;
    if (watch.other) {
      watch.other.seenAt = now.boot;
      if (other.endpoint) note(watch.places, other.endpoint);
      return false;
    }
    if (!isFirst && this.#isBack(now, watch, run)) {
      this.#holdToBefore(watch, seen);
      return true;
    }
    if (!isFirst || !this.#isFirst(watch, twin.run)) this.#sound(watch, other);
    return false;
  }

  /** First machines that have not been heard for long, while the second says something: to be asked at once. */
  takeSilent(): MemberId[] {
    const silent = [...this.#silent];
    this.#silent.clear();
    for (const id of silent) this.#asked.add(id);
    return silent;
  }

  /** Records of second machines whose first ones were asked and have not answered: {@link record} takes them now. */
  takeSuccessors(now: Now): NodeRecord[] {
    const records: NodeRecord[] = [];
    for (const id of this.#asked) {
      const watch = this.#watched.get(id);
      const isOver = !watch?.other || watch.current.seenAt > watch.askedAt;
      if (!isOver && now.boot - watch.askedAt < ANSWER) continue;
      this.#asked.delete(id);
      if (!isOver && watch.successor) records.push(watch.successor);
    }
    return records;
  }

  /** Something authentic has come from a member's run that is held to. */
  heard(now: Now, id: MemberId): void {
    const watch = this.#watched.get(id);
    if (watch) watch.current.seenAt = now.boot;
  }

  /**
   * The run that is held to is at this place, so the second machine is not: a first machine that starts anew is taken for
   * a second one, until its new run is held to.
   */
  firstAt(id: MemberId, place: Endpoint): void {
    const watch = this.#watched.get(id);
    if (!watch?.other) return;
    const { other, places } = watch;
    const at = places.findIndex((one) => sameEndpoint(one, place));
    if (at >= 0) places.splice(at, 1);
    if (other.endpoint && sameEndpoint(other.endpoint, place)) other.endpoint = places.at(-1);
  }

  /** The other machine was heard, at this place. */
  otherHeard(now: Now, id: MemberId, place: Endpoint): void {
    const watch = this.#watched.get(id);
    if (!watch?.other) return;
    watch.other.seenAt = now.boot;
    watch.vacatedAt = Infinity;
    watch.other.endpoint = place;
    note(watch.places, place);
  }

  /**
   * A member has proven to be at this place: who was there with the key of another has it no more, as after `shoal
   * identity renew`, unless something comes from it in the {@link VACANT} after that: an accomplice behind the same place
   * would end each alarm.
   */
  vacate(now: Now, place: Endpoint, by: MemberId): void {
    for (const [id, watch] of this.#watched) {
      if (!watch.other || id === by) continue;
      const { endpoint } = watch.other;
      if (endpoint && sameEndpoint(endpoint, place) && watch.vacatedAt === Infinity) {
        watch.vacatedAt = now.boot;
        this.#vacated.add(id);
      }
    }
  }

  /** Ends alarms whose second machine has been silent since its place was another's. @returns whose ended */
  endVacant(now: Now): MemberId[] {
    const ended: MemberId[] = [];
    for (const id of this.#vacated) {
      const watch = this.#watched.get(id);
      const isOver = !watch?.other || watch.vacatedAt === Infinity;
      if (!isOver && now.boot - watch.vacatedAt < VACANT) continue;
      this.#vacated.delete(id);
      if (isOver) continue;
      end(watch);
      ended.push(id);
    }
    return ended;
  }

  /** Ends alarms whose second machine is silent. @returns whose ended */
  expire(now: Now): MemberId[] {
    const ended: MemberId[] = [];
    for (const [id, watch] of this.#watched) {
      if (!watch.other || now.boot - watch.other.seenAt < ALARM) continue;
      end(watch);
      ended.push(id);
    }
    return ended;
  }

  /**
   * Whether the newcomer itself says that the run that we knew before it lives: then that one is the first, and is asked
   * when it has been silent here.
   */
  #isFirst(watch: Watch, run: string): boolean {
    const { before } = watch;
    if (before?.run !== run) return false;
    this.#holdToBefore(watch, before);
    return true;
  }

  #sound(watch: Watch, other: Run): void {
    if (other.run === watch.current.run) return;
    watch.other = other;
    watch.vacatedAt = Infinity;
    if (other.endpoint) note(watch.places, other.endpoint);
  }

  /** Whether this is the run before, which has made a record after the one that followed it: it lives, and was first. */
  #isBack(now: Now, { before, changedAt }: Watch, run: string): boolean {
    return before?.run === run && now.boot - changedAt < TURNS;
  }

  #holdToBefore(watch: Watch, seen: KnownRun): void {
    const other = watch.current;
    watch.current = seen;
    watch.before = undefined;
    this.#sound(watch, other);
  }

  #during(now: Now, watch: Watch, seen: KnownRun): boolean {
    if (now.boot - watch.current.seenAt < SILENT) {
      this.#sound(watch, seen);
      return false;
    }
    watch.successor = seen.record;
    if (watch.askedAt < watch.current.seenAt) {
      watch.askedAt = now.boot;
      this.#silent.add(seen.record.id);
    }
    if (now.boot - watch.askedAt < ANSWER) return false;
    // The first machine is silent: it was switched off, or started again.
    watch.current = seen;
    watch.before = undefined;
    watch.changedAt = now.boot;
    if (watch.other?.run === seen.run) end(watch);
    return true;
  }
}

const UNWATCHED = {
  before: undefined,
  changedAt: -Infinity,
  other: undefined,
  toldAt: -Infinity,
  vacatedAt: Infinity,
  askedAt: -Infinity,
  successor: undefined,
  declared: undefined,
  settled: undefined,
};

function seenIn(now: Now, record: NodeRecord): KnownRun {
  return { run: record.run, record, endpoint: record.endpoints[0], seenAt: now.boot };
}

function namedIn(now: Now, { run, endpoint }: Twin): Run {
  return { run, endpoint, seenAt: now.boot };
}

/** Whether an alarm about what a record says is over. */
function isSettled({ settled }: Watch, { run, sequence }: NodeRecord): boolean {
  return settled?.run === run && sequence <= settled.sequence;
}

function end(watch: Watch): void {
  watch.other = undefined;
  watch.vacatedAt = Infinity;
  watch.places.length = 0;
  watch.settled = watch.declared ?? watch.settled;
}

function note(places: Endpoint[], place: Endpoint): void {
  if (places.some((one) => sameEndpoint(one, place))) return;
  places.push(place);
  if (places.length > PLACES_MAX) places.shift();
}
