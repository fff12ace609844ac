/**
 * How long to wait for a member's answer, learned from its answers (RFC 6298's estimator), and until
 * it has given any, from everybody's.
 */
import type { Member } from "./membership.ts";

/** Nobody is given up sooner, in ms: less than a busy machine's scheduling would be hasty. */
const LEAST = 200;
/** Nobody is waited for longer, and this long before anything was measured. */
const MOST = 500;

/** A smoothed round trip and its variation, in ms; 0: not measured. */
interface RoundTrip {
  rtt: number;
  rttVariation: number;
}

export class Patience {
  readonly #everybody: RoundTrip = { rtt: 0, rttVariation: 0 };

  /** Takes one measured round trip, in ms, into account. */
  observe(member: Member, roundTrip: number): void {
    smooth(member, roundTrip);
    smooth(this.#everybody, roundTrip);
  }

  /** Milliseconds after which a direct answer is late. */
  of(member: Member): number {
    const { rtt, rttVariation } = member.rtt > 0 ? member : this.#everybody;
    return rtt === 0 ? MOST : Math.min(MOST, Math.max(LEAST, rtt + 4 * rttVariation));
  }
}

function smooth(estimate: RoundTrip, roundTrip: number): void {
  if (estimate.rtt === 0) {
    estimate.rtt = roundTrip;
    estimate.rttVariation = roundTrip / 2;
    return;
  }
  const error = Math.abs(estimate.rtt - roundTrip);
  estimate.rttVariation += (error - estimate.rttVariation) / 4;
  estimate.rtt += (roundTrip - estimate.rtt) / 8;
}
