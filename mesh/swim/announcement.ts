/**
 * How a member announces its incarnations: it signs each one that it uses. So whoever passes such a
 * word on need not be trusted, and nobody but the subject can raise the number at which it is held.
 *
 * Without that, every bound on hearsay leaves a liar some numbers to spend: a victim that may be
 * pushed by one is pushed by one again and again, as fast as the liar speaks. With it, the only
 * things that a third party can say without proof are about numbers that the subject has used, and
 * the subject answers those with one number more, once a period at most (opinion.ts).
 */
import type { MemberId } from "./messages.ts";

export interface Announcements {
  /** Our own signature over one of our incarnations: 64 bytes. */
  readonly sign: (incarnation: number) => Uint8Array;
  /** Whether this is a member's signature over one of its incarnations. */
  readonly isSigned: (id: MemberId, incarnation: number, proof: Uint8Array) => boolean;
}
