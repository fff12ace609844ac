/** What a run of the fuzz has met, and what is wrong with it. */
import type { Fault } from "../../src/fault.ts";
import { PAYLOAD_KINDS, ROLES_MET, UNREACHABLE } from "./protocol.ts";
import type { Victim } from "./victim.ts";

/** What a member sends by itself is natural; a flood is one datagram, many times. */
export type InputKind = "datagram" | "natural" | "edge" | "core" | "flood";

export interface Report {
  readonly inputs: Readonly<Record<InputKind, number>>;
  /** Of the datagrams that are not natural, those that a key opened: 0..1. */
  readonly openedShare: number;
  readonly kinds: Readonly<Record<string, number>>;
  /** What the node under fire met and was, and what it told those whom it turned away. */
  readonly met: Readonly<Record<string, number>>;
  readonly counters: Readonly<Record<string, number>>;
  /** Commands and datagrams that core was made to refuse. */
  readonly forcedRefusals: number;
}

export class Tally {
  readonly inputs: Record<InputKind, number> = {
    datagram: 0,
    natural: 0,
    edge: 0,
    core: 0,
    flood: 0,
  };
  readonly faults: { readonly where: string; readonly fault: Fault }[] = [];
  readonly defects: { readonly where: string; readonly error: unknown }[] = [];
  /** What a member around the node threw: it believed something that core refuses it. */
  readonly broken: { readonly where: string; readonly error: unknown }[] = [];
  readonly #kinds = new Map<string, number>();
  readonly #met = new Map<string, number>();
  readonly #counters = new Map<string, number>();
  #opened = 0;
  #forced = 0;
  #ownRefusals = 0;

  input(kind: InputKind, isOpened = false): void {
    this.inputs[kind]++;
    if (isOpened && kind === "datagram") this.#opened++;
  }

  /** Inputs that nobody expects, each another one. */
  get total(): number {
    const { datagram, edge, core } = this.inputs;
    return datagram + edge + core;
  }

  /** An opened payload of this kind reached the machine. */
  reached(kind: string): void {
    this.#kinds.set(kind, (this.#kinds.get(kind) ?? 0) + 1);
  }

  /** The node under fire met somebody, or was somebody, of this kind. */
  meet(kind: string): void {
    this.#met.set(kind, (this.#met.get(kind) ?? 0) + 1);
  }

  /** The counters of a node as they stand: the highest that was seen counts. */
  count(counters: Readonly<Record<string, number>>): void {
    for (const [name, count] of Object.entries(counters)) {
      this.#counters.set(name, Math.max(count, this.#counters.get(name) ?? 0));
    }
  }

  /** A node has lived until now. */
  end(victim: Victim, where: string): void {
    for (const fault of victim.faults.splice(0)) this.faults.push({ where, fault });
    for (const error of victim.defects.splice(0)) this.defects.push({ where, error });
    this.#forced += victim.forcedRefusals.commands + victim.forcedRefusals.datagrams;
    this.#ownRefusals += victim.ownRefusals();
  }

  report(): Report {
    return {
      inputs: { ...this.inputs },
      openedShare: this.#opened / Math.max(1, this.inputs.datagram),
      kinds: Object.fromEntries(this.#kinds),
      met: Object.fromEntries([...this.#met].sort()),
      counters: Object.fromEntries([...this.#counters].sort()),
      forcedRefusals: this.#forced,
    };
  }

  /** What is wrong, a line each; nothing when all is well. `isLong`: every counter must have moved. */
  complaints(isLong: boolean): string[] {
    const lines: string[] = [];
    for (const { where, fault } of this.faults.slice(0, 5)) {
      lines.push(`an exception was caught (${where}): ${fault.cause}: ${fault.stack}`);
    }
    for (const { where, error } of this.defects) {
      lines.push(`the node would have ended (${where}): ${error}`);
    }
    for (const { where, error } of this.broken) {
      const what = error instanceof Error ? error.stack : String(error);
      lines.push(`a member around the node broke (${where}): ${what}`);
    }
    if (this.#ownRefusals > 0) lines.push(`core refused ${this.#ownRefusals} times by itself`);
    const { openedShare } = this.report();
    if (openedShare < 0.5) lines.push(`only ${Math.round(100 * openedShare)} % passed the seal`);
    for (const kind of PAYLOAD_KINDS) {
      if (!this.#kinds.has(kind)) lines.push(`no payload of kind ${kind} was reached`);
    }
    for (const kind of isLong ? ROLES_MET : []) {
      if (!this.#met.has(kind)) lines.push(`the node never met "${kind}"`);
    }
    for (const [name, count] of this.#counters) {
      const excuse = UNREACHABLE[name];
      if (count > 0 && excuse) lines.push(`${name} is not unreachable: it is ${count}`);
      if (count === 0 && !excuse && isLong) lines.push(`${name} was not reached`);
    }
    return lines;
  }
}
