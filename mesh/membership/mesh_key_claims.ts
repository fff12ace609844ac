/**
 * Which members have the mesh key: that decides what a person is told before the last one goes. A record says so by a
 * signature of that key over its subject and its run, so none says it of a key that it does not have. What was signed by a
 * mesh key that was replaced proves nothing any more.
 */
import type { Crypto, SigningKey } from "../crypto.ts";
import { Writer } from "../codec.ts";
import { type MemberId, signatureLabel } from "./identity.ts";
import type { NodeRecord } from "./record.ts";

/** Claims whose signature is looked at each time that somebody asks; of more the rest waits for the next time. */
export const CLAIMS_EACH = 64;

const LABEL = signatureLabel("mesh key holder");

/**
 * Shows that whoever makes the records of a run has the mesh key.
 * @param key the public key of those records
 * @param run 8 random bytes, hexadecimal
 */
export function claimMeshKey(
  crypto: Crypto,
  meshId: Uint8Array,
  meshSigning: SigningKey,
  key: Uint8Array,
  run: string,
): Uint8Array {
  return crypto.ed25519Sign(meshSigning, signedPart(meshId, key, run));
}

function signedPart(meshId: Uint8Array, key: Uint8Array, run: string): Uint8Array {
  return new Writer().bytes(LABEL).bytes(meshId).bytes(key).bytes(Uint8Array.fromHex(run)).finish();
}

/** By which mesh key a claim was looked at, and whether that has signed it. */
interface Looked {
  readonly meshKey: string;
  readonly isProven: boolean;
}

export class MeshKeyClaims {
  readonly #looked = new WeakMap<NodeRecord, Looked>();
  /** Claims that had to wait. */
  deferred = 0;

  constructor(private readonly crypto: Crypto, private readonly meshId: Uint8Array) {}

  /**
   * Members whose records prove that they have the mesh key.
   * @param records those first that are looked at before others
   * @param meshKey of now
   */
  holders(records: Iterable<NodeRecord>, meshKey: string): Set<MemberId> {
    const holders = new Set<MemberId>();
    let left = CLAIMS_EACH;
    for (const record of records) {
      if (!record.capabilities.meshKey) continue;
      const isKnown = this.#looked.get(record)?.meshKey === meshKey;
      if (!isKnown && left === 0) {
        this.deferred++;
        continue;
      }
      if (!isKnown) left--;
      if (this.#isProven(record, meshKey)) holders.add(record.id);
    }
    return holders;
  }

  #isProven(record: NodeRecord, meshKey: string): boolean {
    const known = this.#looked.get(record);
    if (known?.meshKey === meshKey) return known.isProven;
    const { meshKeyClaim, key, run } = record;
    const isProven = meshKeyClaim !== undefined &&
      this.crypto.ed25519Verify(
        meshKeyClaim,
        signedPart(this.meshId, key, run),
        Uint8Array.fromHex(meshKey),
      );
    this.#looked.set(record, { meshKey, isProven });
    return isProven;
  }
}
