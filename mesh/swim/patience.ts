/** How long to wait for a member's answer, learned from its answers (RFC 6298's estimator). */
import type { Member } from "./membership.ts";

/** Nobody is given up sooner: less than a busy machine's scheduling would be hasty. */
const LEAST = 200;
/** Nobody is waited for longer, and this long where nothing was measured yet. */
const MOST = 500;

/** Takes one measured round trip, in ms, into account. */
export function observe(member: Member, roundTrip: number): void {
  if (member.rtt === 0) {
    member.rtt = roundTrip;
    member.rttVariation = roundTrip / 2;
    return;
  }
  const error = Math.abs(member.rtt - roundTrip);
  member.rttVariation += (error - member.rttVariation) / 4;
  member.rtt += (roundTrip - member.rtt) / 8;
}

/** Milliseconds after which a direct answer is late. */
export function patience(member: Member): number {
  if (member.rtt === 0) return MOST;
  return Math.min(MOST, Math.max(LEAST, member.rtt + 4 * member.rttVariation));
}
