/**
 * Signatures that the members of a laboratory made, so that what they signed can be altered and
 * signed again: what an insider can do to its own statements, without a word on what they say.
 */
import type { Crypto, SigningKey } from "../../mesh/crypto.ts";
import { joined, type Mutator } from "./mutator.ts";

const SIGNATURE = 64;
/** The oldest is forgotten. */
const KEPT = 512;

interface Signed {
  readonly key: SigningKey;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

export class Signatures {
  /** By the first four bytes of the signature. */
  readonly #kept = new Map<number, Signed>();

  remember(key: SigningKey, message: Uint8Array, signature: Uint8Array): void {
    const name = nameAt(signature, 0);
    this.#kept.delete(name);
    this.#kept.set(name, { key, message: message.slice(), signature: signature.slice() });
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > KEPT && oldest !== undefined) this.#kept.delete(oldest);
  }

  /**
   * Alters something that is signed within these bytes and signs it again: a signature stands behind
   * the end of what it covers. Undefined when there is none that we know.
   */
  forge(crypto: Crypto, bytes: Uint8Array, mutator: Mutator): Uint8Array | undefined {
    const found = this.#find(bytes, mutator);
    if (!found) return undefined;
    const { from, at, signed: { key, message } } = found;
    const unseen = message.length - (at - from);
    const altered = mutator.mutateInPlace(message.subarray(unseen));
    const whole = joined(message.subarray(0, unseen), altered);
    const signature = crypto.ed25519Sign(key, whole);
    this.remember(key, whole, signature);
    return joined(bytes.subarray(0, from), altered, signature, bytes.subarray(at + SIGNATURE));
  }

  /** Something that is signed within these bytes, by itself. */
  extract(bytes: Uint8Array, mutator: Mutator): Uint8Array | undefined {
    const found = this.#find(bytes, mutator);
    return found && bytes.slice(found.from, found.at + SIGNATURE);
  }

  /** One of the signatures in these bytes that we know, and where what it covers begins in them. */
  #find(bytes: Uint8Array, mutator: Mutator) {
    const found: { readonly at: number; readonly signed: Signed }[] = [];
    for (let at = 0; at + SIGNATURE <= bytes.length; at++) {
      const signed = this.#kept.get(nameAt(bytes, at));
      if (signed?.signature.every((byte, i) => byte === bytes[at + i])) found.push({ at, signed });
    }
    const chosen = mutator.pick(found);
    if (!chosen) return undefined;
    const { at, signed: { message } } = chosen;
    let from = at;
    while (
      from > 0 && at - from < message.length && message.at(from - 1 - at) === bytes[from - 1]
    ) {
      from--;
    }
    return { ...chosen, from };
  }
}

function nameAt(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0);
}
