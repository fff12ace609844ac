/**
 * Where swim puts what should happen. It knows members, not addresses, so it has an outbox of its
 * own: whoever composes it encodes, seals and addresses the messages, and verifies the rumours.
 */
import type { MemberId, Message, Rumour } from "./messages.ts";

export type SwimEvent =
  /** Admitted, or heard of for the first time as alive. */
  | { readonly kind: "joined"; readonly id: MemberId }
  | { readonly kind: "suspected"; readonly id: MemberId }
  /** A suspicion ended with a word of the subject. */
  | { readonly kind: "recovered"; readonly id: MemberId }
  | { readonly kind: "died"; readonly id: MemberId }
  /** By its own word. */
  | { readonly kind: "departed"; readonly id: MemberId }
  /** Dead or left before, alive now: after a healed partition, or a restart. */
  | { readonly kind: "returned"; readonly id: MemberId; readonly absentMs: number }
  /** A push-pull of ours with this member has ended: we know what it knows, but for rumours of these kinds on their way. */
  | { readonly kind: "levelled"; readonly id: MemberId; readonly wanted: ReadonlySet<number> }
  /** We were held suspect, dead or left by someone and have said otherwise. */
  | { readonly kind: "refuted"; readonly incarnation: number };

export interface SwimOutbox {
  /**
   * To be encoded, sealed for this member and sent; it is never retried by whoever sends it.
   * @returns to how many places; 0: nothing was sent, since nothing may go to where it is just now
   */
  readonly message: (to: MemberId, message: Message) => number;
  /**
   * A rumour newer than the one that swim holds, as this member passed it on. Nobody has verified
   * it: who finds it true answers with Swim.spread, who does not lets it fall.
   */
  readonly rumour: (from: MemberId, rumour: Rumour) => void;
  readonly event: (event: SwimEvent) => void;
}

/** The step under way: its time in boot ms, and where its effects go. */
export interface Moment {
  now: number;
  out: SwimOutbox;
}
