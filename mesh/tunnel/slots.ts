/**
 * A mirror of core's three session slots (R40 to R43), kept so that the index table stays exact
 * and that we know whether a session is there that may send. Core and this class follow the same
 * rules, but core confirms a session when a packet comes and we hear of it later, perhaps after
 * another session was installed here and there. A confirmation can only have happened while its
 * session was in next, so it is put where it belongs, and what was installed since is done again.
 */
import type { Session, Suite } from "../machine.ts";

/** What the mirror knows about a session. */
export interface Slot {
  readonly localIndex: number;
  /** Boot ms. */
  readonly birth: number;
  readonly suite: Suite;
}

/** What a change means for the index table. */
export interface SlotChange {
  readonly freed: readonly Slot[];
  /** The installed one; after late news also what was freed too early. */
  readonly added: readonly Slot[];
}

interface State {
  readonly previous?: Slot | undefined;
  readonly current?: Slot | undefined;
  readonly next?: Slot | undefined;
}

interface Installation {
  readonly before: State;
  readonly role: Session["role"];
  readonly slot: Slot;
  readonly keepsPrevious: boolean;
}

/** Installations to remember: a peer's are 20 ms apart at least (R39), mail is younger than that. */
const MAX_HISTORY = 8;

export class Slots {
  #state: State = {};
  #history: Installation[] = [];

  /** The only slot that sends. */
  get current(): Slot | undefined {
    return this.#state.current;
  }

  /** One that was offered, and that the initiator has not used yet (R42). */
  get next(): Slot | undefined {
    return this.#state.next;
  }

  /** All that receive (R44). */
  get all(): readonly Slot[] {
    return slotsOf(this.#state);
  }

  /**
   * R41: an initiator's session is current at once. R42: a responder's waits in next.
   * @param keepsPrevious  ours, instead of R42: until it is confirmed it frees nothing but an older one in next
   */
  install(role: Session["role"], slot: Slot, keepsPrevious = false): SlotChange {
    const before = this.#state;
    this.#history.push({ before, role, slot, keepsPrevious });
    if (this.#history.length > MAX_HISTORY) this.#history.shift();
    this.#state = installed(before, role, slot, keepsPrevious);
    return difference(slotsOf(before), this.all);
  }

  /**
   * R43: next becomes current and current previous.
   * @returns undefined when no session has waited for this confirmation.
   */
  confirm(localIndex: number): SlotChange | undefined {
    const before = this.all;
    if (this.#state.next?.localIndex === localIndex) {
      this.#state = confirmed(this.#state);
      this.#history = [];
    } else {
      const late = this.#history.findIndex(({ before }) => before.next?.localIndex === localIndex);
      const [displaced, ...later] = this.#history.slice(Math.max(late, 0));
      if (late < 0 || !displaced) return undefined;
      this.#history = [];
      this.#state = confirmed(displaced.before);
      for (const { role, slot, keepsPrevious } of [displaced, ...later]) {
        this.install(role, slot, keepsPrevious);
      }
    }
    return difference(before, this.all);
  }

  /** R61, R65. */
  clear(): SlotChange {
    const before = this.all;
    this.#state = {};
    this.#history = [];
    return difference(before, []);
  }
}

function installed(
  { previous, current, next }: State,
  role: Session["role"],
  slot: Slot,
  keepsPrevious: boolean,
): State {
  if (role === "initiator") return { previous: next ?? current, current: slot };
  return keepsPrevious ? { previous, current, next: slot } : { current, next: slot };
}

function confirmed(state: State): State {
  return { previous: state.current, current: state.next };
}

function slotsOf({ previous, current, next }: State): Slot[] {
  return [previous, current, next].filter((slot) => slot !== undefined);
}

function difference(before: readonly Slot[], after: readonly Slot[]): SlotChange {
  return {
    freed: before.filter((slot) => !after.includes(slot)),
    added: after.filter((slot) => !before.includes(slot)),
  };
}
