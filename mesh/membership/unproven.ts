/**
 * Rumours that nobody entitled has signed, as far as is known yet: the statement about their signer may
 * be on its way. They are judged again when something new was said.
 */
import type { Rumour } from "../swim/messages.ts";
import type { MemberId } from "./identity.ts";

/** Rumours whose proof has not come yet, and of them from one member; the oldest makes room. */
export const UNPROVEN_MAX = 256;
export const UNPROVEN_EACH = 8;

/** A rumour and the member that passed it on. */
export interface Heard {
  readonly from: MemberId;
  readonly rumour: Rumour;
}

export class Unproven {
  #all: Heard[] = [];
  /** Rumours that had to make room. */
  dropped = 0;

  keep(one: Heard): void {
    const isSame = ({ rumour }: Heard) =>
      rumour.kind === one.rumour.kind && rumour.key === one.rumour.key;
    if (this.#all.some(isSame)) return;
    const ofSender = this.#all.filter(({ from }) => from === one.from);
    const [oldestOfSender] = ofSender;
    if (ofSender.length >= UNPROVEN_EACH && oldestOfSender) {
      this.#all.splice(this.#all.indexOf(oldestOfSender), 1);
      this.dropped++;
    } else if (this.#all.length >= UNPROVEN_MAX) {
      this.#all.shift();
      this.dropped++;
    }
    this.#all.push(one);
  }

  /** Hands all of them out, to be judged once more. */
  takeAll(): Heard[] {
    return this.#all.splice(0);
  }
}
