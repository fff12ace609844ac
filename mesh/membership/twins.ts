/**
 * Members whose key is used by two machines at once: a disk was copied. A record names the run that
 * made it, and nobody goes back to an earlier run; so when records of two runs take turns, two
 * machines make them. A member that sees that itself, or reads it in a record of the key, sounds the
 * alarm: it shows both places, and holds to the run that it knew first until that one is silent.
 *
 * A record that names another machine is believed whatever its sequence: whoever signed it has the key.
 * The second machine may be in the hands of somebody who signs newer and newer records, so that none of
 * the first one's is ever the newest; it cannot take back what that one says. It says when that was, and
 * counts for {@link ALARM} from then on, so that nobody begins an alarm again by showing it later.
 *
 * A copy may seal a few datagrams and sign nothing. They name their run, too: where the run that is held to answers a question
 * that was put after that, there are two machines. That it is heard after that shows nothing: whoever is between two nodes can
 * keep what a run has sent until the next one has begun. Both ends of a seal have its key, so the second machine has the
 * member's key or ours.
 *
 * Signs of life of either machine are what nobody can repeat: sealed datagrams that are no copies, and
 * records with a higher sequence than the last of their run. Packets in a tunnel are none of a run.
 */
import { type Endpoint, sameEndpoint } from "../endpoint.ts";
import type { Now } from "../machine.ts";
import type { MemberId } from "./identity.ts";
import { isRecent, type NodeRecord, TWIN_TIME } from "./record.ts";
import { TELLING_PACE } from "./telling.ts";

/** Milliseconds within which records of two runs have to take turns, or an answer of the first has to follow the second. */
const TURNS = 60_000;
/** Milliseconds that news take. */
const ON_ITS_WAY = 10_000;
/** Milliseconds after which it is not known where the first machine is. */
const SILENT = 30_000;
/** Milliseconds between two questions to a run that is held to, while others seal datagrams in its member's name. */
const STRAY_PACE = 1_000;
/** Milliseconds of silence after which its place may be the second's: a machine that is started anew is there before. */
const GONE = 120_000;
/** Milliseconds that the first one has to answer before: where members are many, none is heard twice a minute. */
const ANSWER = 5_000;
/** Milliseconds without a sign of the second machine after which the alarm ends. */
const ALARM = TWIN_TIME;
/** Milliseconds for which the second machine has to be silent after somebody else was at its place. */
const VACANT = 5_000;
/** Runs before the present one that are remembered. */
const BEFORE_MAX = 8;
/** Places of a second machine from which handshakes are refused. */
export const PLACES_MAX = 8;

/** Digits of a run that stand in datagrams. */
const SEALED_DIGITS = 8;

/** The run of a machine of which nothing is known. */
const NOBODYS = "";

interface Run {
  /** Its first {@link SEALED_DIGITS} alone where it has only sealed something. */
  run: string;
  /** The highest of its records; 0: none is known. */
  sequence: number;
  /** Where its record said that it was. */
  endpoint: Endpoint | undefined;
  seenAt: number;
  /** The last; undefined where only another's has named it. */
  record?: NodeRecord;
}

/**
 * What was sealed by other runs than the one that is held to, while no record says that there is another: all of them
 * together, since a copy can name another run in each datagram.
 */
interface Stray {
  /** The last. */
  readonly run: string;
  /** Boot ms of the first and of the last. */
  readonly since: number;
  readonly at: number;
  /** At most {@link PLACES_MAX}, the last at the end. */
  readonly places: Endpoint[];
  /** Boot ms at which the run that is held to was asked last; -Infinity: never. */
  askedAt: number;
}

type KnownRun = Run & { record: NodeRecord };

interface Watch {
  current: KnownRun;
  /** Where its datagrams come from. */
  home: Endpoint | undefined;
  /** The runs before, of those that began within a minute of each other the first and the last ones; and when that was. */
  before: readonly KnownRun[];
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
  /** Boot ms at which that was said by a run that is neither the first nor the second; -Infinity: it is the second's. */
  thirdAt: number;
  stray: Stray | undefined;
}

/** A key that two machines use. */
export interface Alarm {
  readonly id: MemberId;
  /** The run that this node holds to, and where its machine is. */
  readonly first: string;
  readonly second: string;
  /** Its last, which may be older than one of the other. */
  readonly record: NodeRecord;
  readonly firstPlace: Endpoint | undefined;
  readonly otherPlace: Endpoint | undefined;
  readonly places: readonly Endpoint[];
  /** The second has signed nothing: it may have our key instead. */
  readonly mayBeOurs: boolean;
}

export class Twins {
  /** As large as the member table. */
  readonly #watched = new Map<MemberId, Watch>();
  /** Whose second machine's place was proven by somebody else. */
  readonly #vacated = new Set<MemberId>();
  /** Whose first machine is asked whether it is there. */
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
      second: other.run,
      record: current.record,
      firstPlace: current.endpoint,
      otherPlace: other.endpoint,
      places,
      mayBeOurs: other.run.length === SEALED_DIGITS,
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
    const { id, run } = record;
    const seen = seenIn(now, record);
    const watch = this.#watched.get(id);
    const named = namedIn(now, record);
    if (watch === undefined) {
      const started: Watch = { ...UNWATCHED, current: seen, places: [] };
      this.#watched.set(id, started);
      if (named) this.#sound(started, named);
      return true;
    }
    if (watch.current.run === run) {
      Object.assign(watch.current, seen);
      return !named || this.#names(watch, named);
    }
    if (this.#isBack(now, watch, seen, TURNS)) {
      this.#holdToBefore(watch, seen);
      return true;
    }
    if (watch.other || named) {
      const isSuccessor = this.#newcomer(now, watch, seen, named);
      if (isSuccessor) this.#succeed(now, watch, seen);
      return isSuccessor;
    }
    // Somebody who copies a key can begin as many runs as he likes: the first of all stays among these.
    const isSoon = now.boot - watch.changedAt < TURNS;
    const [oldest, ...rest] = isSoon ? watch.before : [];
    watch.before = [...(oldest ? [oldest] : []), ...rest.slice(2 - BEFORE_MAX), watch.current];
    this.#change(now, watch, seen);
    return true;
  }

  /**
   * A member's record that names another machine, whatever its sequence.
   * @returns whether its run is held to from now on, and was not before
   */
  declared(now: Now, record: NodeRecord): boolean {
    const { id, run } = record;
    const watch = this.#watched.get(id);
    const named = namedIn(now, record);
    if (!watch || !named) return false;
    if (run === watch.current.run) {
      this.#names(watch, named);
      return false;
    }
    const seen = seenIn(now, record);
    if (this.#isBack(now, watch, seen, ALARM)) {
      this.#holdToBefore(watch, seen);
      return true;
    }
    this.#newcomer(now, watch, { ...seen, seenAt: named.seenAt }, named);
    return false;
  }

  /** So much is said in a member's name about another machine that its own word may not be heard: it is a sign of that. */
  drowned(now: Now, id: MemberId): void {
    const watch = this.#watched.get(id);
    if (!watch) return;
    const [oldest] = now.boot - watch.changedAt < TURNS ? watch.before : [];
    if (watch.other) watch.other.seenAt = now.boot;
    else if (oldest) this.#holdToBefore(watch, oldest);
    else this.#sound(watch, { run: NOBODYS, sequence: 0, endpoint: undefined, seenAt: now.boot });
  }

  /** First machines that have not been heard for long, while another says something: to be asked at once. */
  takeSilent(): MemberId[] {
    return [...this.#asked];
  }

  /** Records of machines whose first ones were asked and have not answered: {@link record} takes them now. */
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

  /**
   * A sealed datagram that is no copy has come from a member at this place. Where its run is the one that is held to, the
   * second machine is not there: a first machine that starts anew is taken for a second one, until its new run is held to.
   * @param run as it stands in the datagram
   * @returns whether another run has sealed something: whether the one that is held to lives is to be asked now
   */
  heard(now: Now, id: MemberId, place: Endpoint, run: string): boolean {
    const watch = this.#watched.get(id);
    if (!watch) return false;
    if (!isSameRun(run, watch.current.run)) {
      const last = isStray(now, watch) ? watch.stray : undefined;
      const { since, places, askedAt } = last ??
        { since: now.boot, places: [], askedAt: -Infinity };
      note(places, place);
      watch.stray = { run, since, at: now.boot, places, askedAt };
      return isAskedNow(now, watch.stray);
    }
    watch.current.seenAt = now.boot;
    watch.home = place;
    const { other, places, stray } = watch;
    if (!other) return stray !== undefined && isStray(now, watch) && isAskedNow(now, stray);
    const at = places.findIndex((one) => sameEndpoint(one, place));
    if (at >= 0) places.splice(at, 1);
    if (other.endpoint && sameEndpoint(other.endpoint, place)) other.endpoint = places.at(-1);
    return false;
  }

  /**
   * A member has answered a question. @param run as it stands in the answer @param askedAt boot ms of the question
   * @returns whether that shows that two runs live, as another has sealed something before: {@link tookTurns} is due
   */
  answered(now: Now, id: MemberId, run: string, askedAt: number): boolean {
    const watch = this.#watched.get(id);
    if (!watch || watch.other || !isStray(now, watch)) return false;
    return isSameRun(run, watch.current.run) && askedAt >= (watch.stray?.since ?? Infinity);
  }

  /** Two runs have sealed datagrams by turns: there are two machines. */
  tookTurns(id: MemberId): void {
    const watch = this.#watched.get(id);
    if (!watch?.stray) return;
    const { stray: { run, places, at }, home } = watch;
    watch.stray = undefined;
    // Anybody may write the first one's address on what it sends.
    const others = places.filter((place) => !home || !sameEndpoint(home, place));
    for (const place of others) note(watch.places, place);
    this.#sound(watch, { run, sequence: 0, endpoint: others.at(-1), seenAt: at });
  }

  /** A sealed datagram that is no copy has come from the other machine, at this place. */
  otherHeard(now: Now, id: MemberId, place: Endpoint): void {
    const watch = this.#watched.get(id);
    if (!watch?.other) return;
    watch.other.seenAt = now.boot;
    watch.vacatedAt = Infinity;
    const { record } = watch.other;
    if (record && now.boot - watch.current.seenAt >= GONE) this.#isGone(now, watch, record);
    // Anybody may write the first one's address on what it sends.
    const isHome = watch.home && sameEndpoint(watch.home, place);
    if (isHome && now.boot - watch.current.seenAt < SILENT) return;
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
   * The run that is held to names another machine. That may be the run that was known before it, which then was first: the
   * newcomer says so itself. @returns whether it is held to on
   */
  #names(watch: Watch, named: Run): boolean {
    const before = watch.before.find(({ run }) => run === named.run);
    // Before that it may have gone.
    const isSince = named.seenAt > watch.changedAt - ON_ITS_WAY;
    if (!watch.other && before && isSince) {
      this.#holdToBefore(watch, before);
      return false;
    }
    this.#sound(watch, named);
    return true;
  }

  /**
   * Another run than the first says something while there is an alarm, or begins one by naming a machine, which came before
   * it. The second machine takes the first one's place when that is silent and does not answer either; a third run may be the
   * first machine, started anew, so the first is asked at once.
   * @returns whether it may take the place
   */
  #newcomer(now: Now, watch: Watch, seen: KnownRun, named: Run | undefined): boolean {
    if (!watch.other && named) {
      const isOurs = isSameRun(named.run, watch.current.run);
      this.#sound(watch, isOurs ? seen : { ...named, endpoint: seen.endpoint ?? named.endpoint });
    }
    const isThird = watch.other !== undefined && !isSameRun(watch.other.run, seen.run);
    if (!isThird) this.#sound(watch, seen);
    const isSilent = now.boot - watch.current.seenAt >= (isThird ? 0 : GONE);
    return isSilent && this.#isGone(now, watch, seen.record);
  }

  /** The first machine was switched off, or started again. */
  #succeed(now: Now, watch: Watch, seen: KnownRun): void {
    const isThird = !watch.other || !isSameRun(watch.other.run, seen.run);
    watch.before = [watch.current];
    this.#change(now, watch, seen);
    if (!isThird) end(watch);
  }

  /** Whether this is the run before, which has made a record after the one that followed it: it lives, and was first. */
  #isBack(now: Now, { before, changedAt }: Watch, seen: KnownRun, within: number): boolean {
    const isNew = (one: KnownRun) => one.run === seen.run && one.sequence < seen.sequence;
    return now.boot - changedAt < within && before.some(isNew);
  }

  #holdToBefore(watch: Watch, seen: KnownRun): void {
    const other = watch.current;
    watch.current = seen;
    watch.home = undefined;
    watch.before = [];
    watch.other = undefined;
    watch.stray = undefined;
    watch.places.length = 0;
    this.#sound(watch, other);
  }

  #change(now: Now, watch: Watch, seen: KnownRun): void {
    watch.changedAt = now.boot;
    watch.current = seen;
    watch.home = undefined;
    watch.stray = undefined;
  }

  /** What is known of another machine than the first. What is known already is no sign that it lives. */
  #sound(watch: Watch, other: Run): void {
    if (isSameRun(other.run, watch.current.run)) return;
    const known = watch.other;
    if (known && isSameRun(known.run, other.run)) {
      if (other.run.length > known.run.length) known.run = other.run;
      if (other.sequence > 0 && other.sequence <= known.sequence) return;
      known.sequence = Math.max(known.sequence, other.sequence);
      known.seenAt = Math.max(known.seenAt, other.seenAt);
      known.endpoint = other.endpoint ?? known.endpoint;
      if (other.record) known.record = other.record;
    } else if (!known || other.seenAt >= known.seenAt) watch.other = { ...other };
    watch.vacatedAt = Infinity;
    if (other.endpoint) note(watch.places, other.endpoint);
  }

  /**
   * Asks the first machine, which has been silent. @returns whether it was asked for long enough. The second one waits while
   * there is a third.
   */
  #isGone(now: Now, watch: Watch, successor: NodeRecord): boolean {
    const isThird = !watch.other || !isSameRun(successor.run, watch.other.run);
    if (isThird) watch.thirdAt = now.boot;
    else if (now.boot - watch.thirdAt < GONE) return false;
    watch.successor = successor;
    const isAnswered = watch.current.seenAt > watch.askedAt;
    if (isAnswered && now.boot - watch.askedAt >= ANSWER) {
      watch.askedAt = now.boot;
      this.#asked.add(successor.id);
    }
    return watch.current.seenAt <= watch.askedAt && now.boot - watch.askedAt >= ANSWER;
  }
}

const UNWATCHED = {
  before: [],
  changedAt: -Infinity,
  other: undefined,
  toldAt: -Infinity,
  vacatedAt: Infinity,
  home: undefined,
  askedAt: -Infinity,
  successor: undefined,
  thirdAt: -Infinity,
  stray: undefined,
};

/** Whether other runs have sealed something lately. */
function isStray(now: Now, { stray }: Watch): boolean {
  return stray !== undefined && now.boot - stray.at < TURNS;
}

/** Whether the run that is held to is to be asked now; if so, it is. */
function isAskedNow(now: Now, stray: Stray): boolean {
  if (now.boot - stray.askedAt < STRAY_PACE) return false;
  stray.askedAt = now.boot;
  return true;
}

/** Whether two runs are one, of which one may be known by its first digits alone. */
function isSameRun(a: string, b: string): boolean {
  return a.slice(0, SEALED_DIGITS) === b.slice(0, SEALED_DIGITS);
}

function seenIn(now: Now, record: NodeRecord): KnownRun {
  const { run, sequence, endpoints: [endpoint] } = record;
  return { run, sequence, record, endpoint, seenAt: now.boot };
}

/** The other machine that a record names; undefined: none, or that was too long ago by our clock. */
function namedIn(now: Now, { twin }: NodeRecord): Run | undefined {
  if (!twin || !isRecent(now, twin)) return undefined;
  const { run, endpoint, at } = twin;
  const age = Math.max(0, now.wall - 1000 * at);
  return { run, sequence: 0, endpoint, seenAt: now.boot - age };
}

function end(watch: Watch): void {
  watch.other = undefined;
  watch.vacatedAt = Infinity;
  watch.places.length = 0;
}

function note(places: Endpoint[], place: Endpoint): void {
  if (places.some((one) => sameEndpoint(one, place))) return;
  places.push(place);
  if (places.length > PLACES_MAX) places.shift();
}
