/**
 * Signatures of incarnations that cost nothing: whoever knows how can make anybody's, which in the
 * simulation nobody does but their owner.
 */
import type { Announcements } from "../swim/announcement.ts";
import type { MemberId } from "../swim/messages.ts";

export function toyAnnouncements(self: MemberId): Announcements {
  return {
    sign: (incarnation) => toyProof(self, incarnation),
    isSigned: (id, incarnation, proof) =>
      proof.length === 64 && toyProof(id, incarnation).every((byte, i) => byte === proof[i]),
  };
}

/** A member's signature over one of its incarnations. */
export function toyProof(id: MemberId, incarnation: number): Uint8Array {
  const proof = new Uint8Array(64);
  for (let i = 0; i < 32; i++) proof[i] = parseInt(id.slice(2 * i, 2 * i + 2), 16);
  new DataView(proof.buffer).setUint32(32, incarnation);
  return proof;
}
