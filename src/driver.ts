/**
 * The loop. It wakes a machine when core rings, when its one deadline is due, or when a person asked
 * for something, and carries out what the machine then put into its outbox: commands in order, then
 * datagrams, then events. Nothing else in the program owns a timer or a socket of the data plane.
 *
 * Everything happens in one thread and one step at a time, so a machine never meets itself half way.
 *
 * **Nothing that arrives ends the program.** What core refuses is counted and told, and the rest is
 * carried out. An exception of the machine in a step for a datagram or an edge is a {@link Fault}:
 * it is told and counted, the input is dropped, and so are all effects of that step. Half of them
 * would be worse than none: a message that offers a session which core was never given, an address
 * announced and not set. Without any, the step is to the other side what a lost datagram is, and
 * every machine here lives with those: its timers ask again. What the machine had changed in itself
 * stays; where that asks for a command that was discarded, core treats later ones about it as void.
 *
 * An exception of a timer is told and counted likewise. The machine keeps its deadline then, so the
 * timer rests a second and tries again: what it fell over may go by itself, as a member that leaves.
 * A timer that failed {@link TIMER_FAILURES_MAX} times in a row does not heal: sessions are not
 * renewed, nobody is found dead, and whoever looks at the process sees it alive. Then the last
 * exception ends in `onDefect`, as does all that is thrown outside of steps; its duty is to close
 * the data plane and leave, so that whoever supervises the program starts it again. So does a
 * {@link Failure}: the program around the machine says by it that this computer refused what the
 * node cannot be without, such as the first write of its state.
 */
import * as net from "node:net";
import { CoreError } from "../ffi/core_error.ts";
import type { Device, PeerHandle } from "../ffi/device.ts";
import type { LinkState, Mail } from "../ffi/mail.ts";
import {
  type Command,
  type Datagram,
  type Deadline,
  Effects,
  type Now,
  type Outbox,
  type PeerId,
} from "../mesh/machine.ts";
import { type Endpoint, isAnswerable } from "../mesh/endpoint.ts";
import type { Arrival, Edge, FactReader, PeerFacts } from "../mesh/tunnel/types.ts";
import { WallWatch } from "../mesh/wall_watch.ts";
import { readClock } from "./clock.ts";
import { Failure } from "./exit.ts";
import { type Cause, type Fault, faultOf } from "./fault.ts";

/** A machine that lives on core's mail and its own deadline: the tunnels alone, or a mesh node. */
export interface Driven<E> {
  /** When it wants to be called without a cause from outside; undefined: never. */
  readonly deadline: Deadline | undefined;
  receive(now: Now, arrival: Arrival, out: Outbox<E>): void;
  edge(now: Now, edge: Edge, out: Outbox<E>): void;
  /** Data of a session that core does not have came from there. */
  stray?(now: Now, from: Endpoint, out: Outbox<E>): void;
  due(now: Now, facts: FactReader, out: Outbox<E>): void;
}

/** What core says that concerns no machine. */
export type CoreNews =
  | { readonly kind: "link"; readonly news: LinkState; readonly mtu: number }
  | { readonly kind: "offloadDemoted"; readonly offload: string; readonly errno: number }
  /** io_uring was asked for and is not used; plain calls go on. */
  | { readonly kind: "ioRefused"; readonly errno: number }
  /** The data plane stands still. */
  | { readonly kind: "workerFailed"; readonly errno: number }
  | { readonly kind: "routes" }
  /** Routes lead our own datagrams to there into the tunnel. */
  | { readonly kind: "loop"; readonly to: Endpoint }
  /** Core refused a command; it changed nothing. */
  | {
    readonly kind: "commandRefused";
    readonly command: Command["kind"];
    readonly error: CoreError;
  }
  /** Core refused a datagram, which no kernel could have sent. */
  | { readonly kind: "datagramRefused"; readonly to: Endpoint; readonly size: number }
  /** A step raised an exception, and what it was made for was dropped. */
  | { readonly kind: "faultCaught"; readonly fault: Fault };

export interface DriverOptions<E> {
  readonly device: Device;
  readonly machine: Driven<E>;
  readonly onEvent: (event: E) => void;
  readonly onNews: (news: CoreNews) => void;
  readonly onDefect: (error: unknown) => void;
  /** The clock of the steps; a laboratory has one of its own. */
  readonly clock?: () => Now;
  readonly heartbeat?: Heartbeat;
}

/**
 * Tells somebody outside that the loop goes round. A beat comes from the end of a turn and from nowhere else: a loop
 * that stands still cannot send one.
 */
export interface Heartbeat {
  /** Milliseconds between two beats, at the least; while the loop goes round, at most twice that. */
  readonly everyMs: number;
  readonly beat: () => void;
}

/**
 * Timers of the run time stand still while the machine sleeps, deadlines are boot time (R63): so no
 * timer is set further ahead than this, and a deadline that passed during sleep is late by at most
 * this much. Data needs no timer: core's first packet after sleep rings.
 */
const TIMER_MAX_MS = 10_000;

/** Milliseconds for which mail is taken before the rest of the program gets its turn. */
const SLICE_MS = 4;

/** Failures of the timer in a row that end the program, and the rest after each in milliseconds. */
export const TIMER_FAILURES_MAX = 10;
export const TIMER_REST_MS = 1_000;

export class Driver<E> {
  /** Datagrams that the kernel did not take. */
  unsent = 0;
  /** Datagrams that core refused, each told as news. */
  refusedDatagrams = 0;
  /** Commands that core refused, each told as news. */
  refusedCommands = 0;
  /** Datagrams from where nothing can be sent back to, and news that a peer is there. */
  unanswerable = 0;
  /** Exceptions that were caught, each told as news. */
  faults = 0;
  /** The last of them. */
  lastFault: Fault | undefined;

  readonly #handles = new Map<PeerId, PeerHandle>();
  readonly #device: Device;
  readonly #clock: () => Now;
  readonly #bell: net.Socket;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The deadline (boot ms) for which it is set. */
  #timerAt = Infinity;
  #timerFailures = 0;
  readonly #watch = new WallWatch();
  /** Boot ms before which the timer rests. */
  #restUntil = -Infinity;
  /** Boot ms of the last beat. */
  #beatAt = -Infinity;
  #isClosed = false;
  #isDraining = false;

  constructor(private readonly options: DriverOptions<E>) {
    this.#device = options.device;
    this.#clock = options.clock ?? readClock;
    this.#bell = new net.Socket({ fd: options.device.info().doorbellFd, readable: true });
    this.#bell.on("data", () => this.#drain());
    this.#bell.on("error", (error) => this.options.onDefect(error));
    this.#drainLater();
  }

  /** Reads what core knows about a peer. */
  readonly facts: FactReader = (peer: PeerId): PeerFacts | undefined => {
    const handle = this.#handles.get(peer);
    return handle === undefined ? undefined : this.#device.facts(handle);
  };

  /**
   * Lets the caller ask the machine for something, and carries out what comes of it. Not to be
   * called from within a step. What the machine throws is the caller's, and nothing is carried out.
   */
  step<T>(ask: (now: Now, out: Outbox<E>) => T): T {
    const effects = new Effects<E>();
    let answer: T;
    try {
      answer = ask(this.#clock(), effects);
    } catch (error) {
      discard(effects);
      throw error;
    }
    this.#carryOut({ kind: "call" }, effects);
    this.#setTimer();
    return answer;
  }

  /** Takes one mail as if core had just sent it: the door for everything that arrives. */
  deliver(mail: Mail): void {
    this.#guarded(() => {
      this.#take(mail);
      this.#setTimer();
    });
  }

  /** A step for what this program found out by itself, such as the addresses of a name. */
  tell(what: string, work: (now: Now, out: Outbox<E>) => void): void {
    this.#guarded(() => {
      this.#attempt({ kind: "found", what }, (out) => work(this.#clock(), out));
      this.#setTimer();
    });
  }

  /** Does what is due by now; the driver's own timer calls it, too. */
  due(): void {
    this.#guarded(() => {
      const now = this.#clock();
      const deadline = this.#deadline(now);
      // Whoever has sessions has a deadline, so this comes round each TIMER_MAX_MS at least.
      const wasSet = this.#watch.look(now) !== 0;
      if (deadline !== undefined && (deadline.at <= now.boot || wasSet)) {
        const { machine } = this.options;
        const cause: Cause = { kind: "timer", deadline };
        const caught = this.#attempt(cause, (out) => machine.due(now, this.facts, out));
        if (caught) this.#timerFailed(now, caught.error);
        else this.#timerFailures = 0;
      }
      this.#setTimer();
    });
  }

  /** Stops calling the machine and lets go of the doorbell. The device stays open. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#bell.destroy();
  }

  /** What waits is taken at once, for some milliseconds; then everything else has its turn. */
  #drain(): void {
    if (this.#isDraining) return;
    this.#guarded(() => {
      const end = this.#clock().boot + SLICE_MS;
      let isMore: boolean;
      do isMore = this.#device.drain((mail) => this.#take(mail)); while (
        isMore && !this.#isClosed && this.#clock().boot < end
      );
      if (isMore) this.#drainLater();
      this.#setTimer();
    });
  }

  /**
   * By a timer, not by an immediate: the run time lets some sixty immediates pass before it looks at a
   * socket again. Beside turns of 2 ms that called the next by an immediate an answer at a Unix socket
   * took 1,400 ms; by a timer under 3 ms. A timer costs one to three milliseconds, an immediate
   * 0.004: so what has just come does not wait for one.
   */
  #drainLater(): void {
    this.#isDraining = true;
    setTimeout(() => {
      this.#isDraining = false;
      this.#drain();
    }, 0);
  }

  #take(mail: Mail): void {
    if (this.#isClosed) return; // By what the same buffer brought before.
    const { machine, onNews } = this.options;
    switch (mail.kind) {
      case "datagram": {
        const { arrival } = mail;
        // Core drops these itself: the machine must not depend on it.
        if (!isAnswerable(arrival.from)) return void this.unanswerable++;
        this.#attempt(mail, (out) => machine.receive(this.#clock(), arrival, out));
        return;
      }
      case "edge": {
        const { edge } = mail;
        const isMove = edge.kind === "endpointMoved";
        if (isMove && !isAnswerable(edge.endpoint)) return void this.unanswerable++;
        this.#attempt(mail, (out) => machine.edge(this.#clock(), edge, out));
        return;
      }
      case "stray":
        if (!isAnswerable(mail.from)) return void this.unanswerable++;
        this.#attempt(mail, (out) => machine.stray?.(this.#clock(), mail.from, out));
        return;
      case "ioRefused":
      case "link":
      case "loop":
      case "routes":
      case "workerFailed":
        return onNews(mail);
      case "offloadDemoted": {
        const offload = this.#device.offloadName(mail.offload);
        return onNews({ kind: "offloadDemoted", offload, errno: mail.errno });
      }
    }
  }

  /** One step that nobody waits for. @returns what the machine threw */
  #attempt(
    cause: Cause,
    work: (out: Effects<E>) => void,
  ): { readonly error: unknown } | undefined {
    const effects = new Effects<E>();
    try {
      work(effects);
    } catch (error) {
      discard(effects);
      if (error instanceof Failure) throw error;
      this.#caught(cause, error);
      return { error };
    }
    this.#carryOut(cause, effects);
    return undefined;
  }

  #caught(cause: Cause, error: unknown): void {
    const fault = faultOf(cause, error);
    this.faults++;
    this.lastFault = fault;
    this.options.onNews({ kind: "faultCaught", fault });
  }

  #timerFailed(now: Now, error: unknown): void {
    this.#restUntil = now.boot + TIMER_REST_MS;
    if (++this.#timerFailures === TIMER_FAILURES_MAX) this.options.onDefect(error);
  }

  /**
   * What the machine waits for; while the timer rests, the end of that. The machine computes its
   * deadline from its state, so it may fall over what arrived: that counts as a failure of the timer.
   */
  #deadline(now: Now): Deadline | undefined {
    if (now.boot < this.#restUntil) return { at: this.#restUntil, why: "the timer failed" };
    try {
      return this.options.machine.deadline;
    } catch (error) {
      this.#caught({ kind: "timer", deadline: undefined }, error);
      this.#timerFailed(now, error);
      return { at: this.#restUntil, why: "the deadline could not be told" };
    }
  }

  /** Most of what arrives changes no deadline: then the timer that is set stays. */
  #setTimer(): void {
    if (this.#isClosed) return;
    const now = this.#clock();
    this.#beat(now);
    const most = Math.min(TIMER_MAX_MS, this.options.heartbeat?.everyMs ?? Infinity);
    const deadline = this.#deadline(now);
    const at = deadline?.at ?? (this.options.heartbeat ? Infinity : undefined);
    if (this.#timer !== undefined && at === this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (at === undefined) return;
    // Rounded up: a timer that fires a fraction of a millisecond early would have to be set again.
    const wait = Math.ceil(at - now.boot);
    this.#timerAt = at;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.due();
    }, Math.min(Math.max(wait, 1), most));
  }

  #beat(now: Now): void {
    const { heartbeat } = this.options;
    if (heartbeat === undefined || now.boot - this.#beatAt < heartbeat.everyMs) return;
    this.#beatAt = now.boot;
    heartbeat.beat();
  }

  #guarded(work: () => void): void {
    if (this.#isClosed) return;
    try {
      work();
    } catch (error) {
      this.options.onDefect(error);
    }
  }

  /** Every effect for itself: one that fails costs none of the others. */
  #carryOut(cause: Cause, { commands, datagrams, events }: Effects<E>): void {
    for (const command of commands) {
      this.#effect(cause, () => this.#command(command), (error) => {
        this.refusedCommands++;
        this.options.onNews({ kind: "commandRefused", command: command.kind, error });
      });
    }
    for (const datagram of datagrams) this.#effect(cause, () => this.#send(datagram));
    for (const event of events) this.#effect(cause, () => this.options.onEvent(event));
  }

  #effect(cause: Cause, work: () => void, onRefusal?: (error: CoreError) => void): void {
    try {
      work();
    } catch (error) {
      if (error instanceof Failure) throw error;
      if (onRefusal && error instanceof CoreError) onRefusal(error);
      else this.#caught(cause, error);
    }
  }

  #send(datagram: Datagram): void {
    const outcome = this.#device.send(datagram);
    if (outcome === "unsent") this.unsent++;
    if (outcome !== "refused") return;
    this.refusedDatagrams++;
    const { to, bytes } = datagram;
    this.options.onNews({ kind: "datagramRefused", to, size: bytes.length });
  }

  #command(command: Command): void {
    const device = this.#device;
    if (command.kind === "setIdentity") return device.setIdentity(command.publicKey);
    if (command.kind === "addPeer") {
      this.#handles.set(command.peer, device.addPeer(command.peer));
      return;
    }
    if (command.kind === "addLane") {
      const first = this.#handles.get(command.of);
      if (first !== undefined) {
        this.#handles.set(command.peer, device.addLane(first, command.peer));
      }
      return;
    }
    const peer = this.#handles.get(command.peer);
    if (peer === undefined) {
      if (command.kind === "installSession") wipe(command.session);
      return; // A command that names a peer core does not know is void.
    }
    switch (command.kind) {
      case "removePeer":
        this.#handles.delete(command.peer);
        return device.removePeer(peer);
      case "setEndpoint":
        return device.setEndpoint(peer, command.endpoint, command.source);
      case "clearSource":
        return device.clearSource(peer);
      case "installSession":
        return device.installSession(peer, command.session);
      case "clearSessions":
        return device.clearSessions(peer);
      case "sendKeepalive":
        device.keepalive(peer, command.unlessSent);
        return;
      case "setOffline":
        return device.setOffline(peer, command.isOffline);
      case "setGuest":
        return device.setGuest(peer);
      case "setStaying":
        return device.setStaying(peer);
      case "spreadLanes":
        return device.spreadLanes(peer, command.lanes);
      case "dropStaged":
        return device.dropStaged(peer);
      case "arm":
        return device.arm(peer, command.edges);
      case "addRoute":
        return device.addRoute(peer, command.prefix);
      case "removeRoute":
        return device.removeRoute(peer, command.prefix);
    }
  }
}

/** What is not carried out must leave no keys behind (R65). */
function discard({ commands }: Pick<Effects, "commands">): void {
  for (const command of commands) if (command.kind === "installSession") wipe(command.session);
}

function wipe(session: { readonly sendKey: Uint8Array; readonly receiveKey: Uint8Array }): void {
  session.sendKey.fill(0);
  session.receiveKey.fill(0);
}
