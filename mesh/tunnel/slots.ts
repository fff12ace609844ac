/**
 * A mirror of core's three session slots (R40 to R43), kept so that the index table stays exact
 * and that we know whether a session is there that may send. Core and this class follow the same
 * rules from the same inputs. Core's confirmations arrive late, though: a session that was replaced
 * here may have become current there a moment before. It is remembered until the next change, so
 * that the late news sets the mirror right.
 */

/** What the mirror knows about a session. */
export interface Slot {
  readonly localIndex: number;
  /** Boot ms. */
  readonly birth: number;
}

/** What a change did to the index table. */
export interface SlotChange {
  readonly freed: readonly Slot[];
  /** Freed before, and found to live after all. */
  readonly restored?: Slot;
}

export class Slots {
  #previous: Slot | undefined;
  #current: Slot | undefined;
  #next: Slot | undefined;
  #replacedNext: Slot | undefined;

  /** The only slot that sends. */
  get current(): Slot | undefined {
    return this.#current;
  }

  /** All that receive (R44). */
  get all(): readonly Slot[] {
    return present(this.#previous, this.#current, this.#next);
  }

  /** R41: current at once; an unconfirmed next survives as previous, else the old current does. */
  installInitiator(slot: Slot): SlotChange {
    const freed = this.#next ? present(this.#previous, this.#current) : present(this.#previous);
    this.#previous = this.#next ?? this.#current;
    this.#next = undefined;
    this.#replacedNext = undefined;
    this.#current = slot;
    return { freed };
  }

  /** R42: waits in next; previous and an older next are freed. */
  installResponder(slot: Slot): SlotChange {
    const freed = present(this.#previous, this.#next);
    this.#replacedNext = this.#next;
    this.#previous = undefined;
    this.#next = slot;
    return { freed };
  }

  /**
   * R43: next becomes current and current previous.
   * @returns undefined when no slot has waited for this confirmation.
   */
  confirm(localIndex: number): SlotChange | undefined {
    if (this.#next?.localIndex === localIndex) {
      const freed = present(this.#previous);
      this.#previous = this.#current;
      this.#current = this.#next;
      this.#next = undefined;
      this.#replacedNext = undefined;
      return { freed };
    }
    if (this.#replacedNext?.localIndex === localIndex) {
      // Core: confirmed (current → previous), then our install freed that previous.
      const freed = present(this.#current);
      const restored = this.#replacedNext;
      this.#current = restored;
      this.#replacedNext = undefined;
      return { freed, restored };
    }
    return undefined;
  }

  /** R61, R65. */
  clear(): SlotChange {
    const freed = this.all;
    this.#previous =
      this.#current =
      this.#next =
      this.#replacedNext =
        undefined;
    return { freed };
  }
}

function present(...slots: (Slot | undefined)[]): Slot[] {
  return slots.filter((slot) => slot !== undefined);
}
