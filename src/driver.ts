/**
 * The loop. It wakes a machine when core rings, when its one deadline is due, or when a person asked
 * for something, and carries out what the machine then put into its outbox: commands in order, then
 * datagrams, then events. Nothing else in the program owns a timer or a socket of the data plane.
 *
 * Everything happens in one thread and one step at a time, so a machine never meets itself half way.
 * What is thrown while nobody waits for an answer is a defect of ours; it ends in `onDefect`, whose
 * duty is to close the data plane and leave.
 */
import * as net from "node:net";
import { CoreError } from "../ffi/core_error.ts";
import type { Device, PeerHandle } from "../ffi/device.ts";
import type { LinkState, Mail } from "../ffi/mail.ts";
import {
  type Command,
  type Deadline,
  Effects,
  type Now,
  type Outbox,
  type PeerId,
} from "../mesh/machine.ts";
import type { Arrival, Edge, FactReader, PeerFacts } from "../mesh/tunnel/types.ts";
import { readClock } from "./clock.ts";

/** A machine that lives on core's mail and its own deadline: the tunnels alone, or a mesh node. */
export interface Driven<E> {
  /** When it wants to be called without a cause from outside; undefined: never. */
  readonly deadline: Deadline | undefined;
  receive(now: Now, arrival: Arrival, out: Outbox<E>): void;
  edge(now: Now, edge: Edge, out: Outbox<E>): void;
  due(now: Now, facts: FactReader, out: Outbox<E>): void;
}

/** What core says that concerns no machine. */
export type CoreNews =
  | { readonly kind: "link"; readonly news: LinkState; readonly mtu: number }
  | { readonly kind: "offloadDemoted"; readonly offload: string; readonly errno: number }
  /** The data plane stands still. */
  | { readonly kind: "workerFailed"; readonly errno: number }
  /** Core refused a command; it changed nothing. */
  | {
    readonly kind: "commandRefused";
    readonly command: Command["kind"];
    readonly error: CoreError;
  };

export interface DriverOptions<E> {
  readonly device: Device;
  readonly machine: Driven<E>;
  readonly onEvent: (event: E) => void;
  readonly onNews: (news: CoreNews) => void;
  readonly onDefect: (error: unknown) => void;
}

/**
 * Timers of the run time stand still while the machine sleeps, deadlines are boot time (R63): so no
 * timer is set further ahead than this, and a deadline that passed during sleep is late by at most
 * this much. Data needs no timer: core's first packet after sleep rings.
 */
const TIMER_MAX_MS = 10_000;

export class Driver<E> {
  /** Datagrams that the kernel did not take. */
  unsent = 0;
  /** Commands that core refused, each told as news. */
  refused = 0;

  readonly #handles = new Map<PeerId, PeerHandle>();
  readonly #device: Device;
  readonly #bell: net.Socket;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;
  #isDraining = false;

  constructor(private readonly options: DriverOptions<E>) {
    this.#device = options.device;
    this.#bell = new net.Socket({ fd: options.device.info().doorbellFd, readable: true });
    this.#bell.on("data", () => this.#drain());
    this.#bell.on("error", (error) => this.options.onDefect(error));
    this.#drain();
  }

  /** Reads what core knows about a peer. */
  readonly facts: FactReader = (peer: PeerId): PeerFacts | undefined => {
    const handle = this.#handles.get(peer);
    return handle === undefined ? undefined : this.#device.facts(handle);
  };

  /**
   * Lets the caller ask the machine for something, and carries out what comes of it. Not to be
   * called from within a step.
   */
  step<T>(ask: (now: Now, out: Outbox<E>) => T): T {
    const effects = new Effects<E>();
    const answer = ask(readClock(), effects);
    this.#carryOut(effects);
    this.#setTimer();
    return answer;
  }

  /** Stops calling the machine and lets go of the doorbell. The device stays open. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#bell.destroy();
  }

  /** One buffer of mail a turn, so that timers and people get theirs while mail pours in. */
  #drain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    setImmediate(() => {
      this.#isDraining = false;
      this.#guarded(() => {
        if (this.#device.drain((mail) => this.#take(mail))) this.#drain();
        this.#setTimer();
      });
    });
  }

  #take(mail: Mail): void {
    if (this.#isClosed) return; // By what the same buffer brought before.
    const { machine } = this.options;
    const effects = new Effects<E>();
    switch (mail.kind) {
      case "datagram":
        machine.receive(readClock(), mail.arrival, effects);
        break;
      case "edge":
        machine.edge(readClock(), mail.edge, effects);
        break;
      case "link":
      case "workerFailed":
        this.options.onNews(mail);
        break;
      case "offloadDemoted": {
        const offload = this.#device.offloadName(mail.offload);
        this.options.onNews({ kind: "offloadDemoted", offload, errno: mail.errno });
        break;
      }
    }
    this.#carryOut(effects);
  }

  #due(): void {
    this.#guarded(() => {
      const deadline = this.options.machine.deadline;
      const now = readClock();
      if (deadline !== undefined && deadline.at <= now.boot) {
        const effects = new Effects<E>();
        this.options.machine.due(now, this.facts, effects);
        this.#carryOut(effects);
      }
      this.#setTimer();
    });
  }

  #setTimer(): void {
    clearTimeout(this.#timer);
    const deadline = this.options.machine.deadline;
    if (this.#isClosed || deadline === undefined) return;
    // Rounded up: a timer that fires a fraction of a millisecond early would have to be set again.
    const wait = Math.ceil(deadline.at - readClock().boot);
    this.#timer = setTimeout(() => this.#due(), Math.min(Math.max(wait, 1), TIMER_MAX_MS));
  }

  #guarded(work: () => void): void {
    if (this.#isClosed) return;
    try {
      work();
    } catch (error) {
      this.options.onDefect(error);
    }
  }

  #carryOut({ commands, datagrams, events }: Effects<E>): void {
    for (const command of commands) {
      try {
        this.#command(command);
      } catch (error) {
        if (!(error instanceof CoreError)) throw error;
        this.refused++;
        this.options.onNews({ kind: "commandRefused", command: command.kind, error });
      }
    }
    for (const datagram of datagrams) {
      if (!this.#device.send(datagram)) this.unsent++;
    }
    for (const event of events) this.options.onEvent(event);
  }

  #command(command: Command): void {
    const device = this.#device;
    if (command.kind === "setIdentity") return device.setIdentity(command.publicKey);
    if (command.kind === "addPeer") {
      this.#handles.set(command.peer, device.addPeer(command.peer));
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

function wipe(session: { readonly sendKey: Uint8Array; readonly receiveKey: Uint8Array }): void {
  session.sendKey.fill(0);
  session.receiveKey.fill(0);
}
