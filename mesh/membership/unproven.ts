/**
 * Rumours that nobody entitled has signed, as far as is known yet: the statement about their signer may
 * be on its way. They are judged again when something new was said.
 */
import type { Rumour } from "../swim/messages.ts";
import type { MemberId } from "./identity.ts";
import { KIND } from "./news.ts";
import { signerOf, type Statement } from "./statement.ts";

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

  /**
   * Hands those out that a new statement may be the proof of, to be judged once more. An admin can say
   * something every second: all that waits must not be verified again for each word.
   */
  takeFor(statement: Statement): Heard[] {
    const [taken, rest] = [[], []] as [Heard[], Heard[]];
    for (const one of this.#all) (mayProve(statement, one.rumour) ? taken : rest).push(one);
    this.#all = rest;
    return taken;
  }
}

function mayProve(statement: Statement, { kind, key, bytes }: Rumour): boolean {
  switch (statement.kind) {
    case "successor":
    case "admin":
      return true; // Whose word counts has changed.
    case "member": {
      const subject = kind === KIND.statement ? signerOf(bytes) : key;
      return subject === statement.certificate.key;
    }
    case "token":
      return kind === KIND.record;
    case "guest":
    case "demoted":
    case "removed":
    case "withdrawn":
    case "left":
      return false;
  }
}
