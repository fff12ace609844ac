/**
 * Signatures of incarnations that cost nothing: whoever knows how can make anybody's, which in the
 * simulation nobody does but their owner.
 */
import type { Announcements } from "../swim/announcement.ts";
import type { MemberId } from "../swim/messages.ts";

export function toyAnnouncements(self: MemberId): Announcements {
  return {
    sign: (incarnation) => toyProof(self, incarnation),
    isSigned(id, incarnation, proof) {
      const right = toyProof(id, incarnation);
      for (let i = 0; i < right.length; i++) if (right[i] !== proof[i]) return false;
      return proof.length === right.length;
    },
  };
}

/** A member's signature over one of its incarnations. */
export function toyProof(id: MemberId, incarnation: number): Uint8Array {
  const proof = new Uint8Array(64);
  proof.setFromHex(id);
  new DataView(proof.buffer).setUint32(32, incarnation);
  return proof;
}
