/** Signatures over incarnations (../swim/announcement.ts) by the members' identity keys. */
import { Writer } from "../codec.ts";
import type { Crypto } from "../crypto.ts";
import type { Announcements } from "../swim/announcement.ts";
import { type Identity, signatureLabel } from "./identity.ts";

const LABEL = signatureLabel("incarnation");

export function announcements(
  crypto: Crypto,
  meshId: Uint8Array,
  { signing }: Identity,
): Announcements {
  const message = (incarnation: number) =>
    new Writer().bytes(LABEL).bytes(meshId).u32(incarnation).finish();
  return {
    sign: (incarnation) => crypto.ed25519Sign(signing, message(incarnation)),
    isSigned: (id, incarnation, proof) =>
      crypto.ed25519Verify(proof, message(incarnation), Uint8Array.fromHex(id)),
  };
}
