/**
 * The Noise IKpsk2 handshake, both roles, without framing:
 *
 *     <- s
 *     ...
 *     -> e, es, s, ss, payload     initiate   → read → open
 *     <- e, ee, se, psk, payload   finish     ←   respond
 *
 * Each role is a chain of values, so a step can only be taken from the step before it (R27), and
 * a message that fails leaves the value it was tried on as it was. Every Diffie-Hellman result is
 * checked for all-zero (R25): `undefined` then, and nothing is sent.
 *
 * The prologue is a parameter because the public IKpsk2 vectors differ from WireGuard in nothing
 * else. The caller passes the static-static secret in: it is computed once a peer.
 */
import type { Crypto } from "../crypto.ts";
import { type SplitKeys, SymmetricState } from "./symmetric.ts";

const encoder = new TextEncoder();
const PROTOCOL_NAME = encoder.encode("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s");

/** WireGuard's prologue (R22). */
export const WIREGUARD_PROLOGUE = encoder.encode("WireGuard v1 zx2c4 Jason@zx2c4.com");

/** Our side: the static key pair. */
export interface StaticKeys {
  readonly secretKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** The other side, as the initiator knows it. */
export interface RemoteKeys {
  readonly publicKey: Uint8Array;
  /** X25519 of both static keys. */
  readonly staticStatic: Uint8Array;
}

/** The parts of the first message. */
export interface InitiationParts {
  readonly ephemeral: Uint8Array;
  /** The initiator's static public key, sealed: 48 bytes. */
  readonly sealedStatic: Uint8Array;
  /** Payload and tag. */
  readonly sealedPayload: Uint8Array;
}

/** The parts of the second message. */
export interface ResponseParts {
  readonly ephemeral: Uint8Array;
  readonly sealedPayload: Uint8Array;
}

/** What both sides hold in the end. The keys are theirs to wipe. */
export interface Finished {
  readonly keys: SplitKeys;
  /** 32 bytes that name this handshake. */
  readonly handshakeHash: Uint8Array;
  readonly payload: Uint8Array;
}

/** Factory of both roles for one prologue; the state before the first message is computed once. */
export class Noise {
  readonly #start: SymmetricState;

  constructor(readonly crypto: Crypto, prologue: Uint8Array) {
    this.#start = SymmetricState.start(crypto, PROTOCOL_NAME, prologue);
  }

  /**
   * Initiator, first message.
   * @param ephemeralSecret 32 random bytes; belongs to the handshake from now on, which wipes it.
   * @returns undefined when a key agreement is all zero (R25).
   */
  initiate(
    us: StaticKeys,
    them: RemoteKeys,
    ephemeralSecret: Uint8Array,
    payload: Uint8Array,
  ): { parts: InitiationParts; pending: PendingInitiation } | undefined {
    const state = this.#start.clone();
    state.mixHash(them.publicKey);
    const ephemeral = this.crypto.x25519PublicKey(ephemeralSecret);
    state.mixHash(ephemeral);
    state.mixChain(ephemeral);
    const es = this.crypto.x25519(ephemeralSecret, them.publicKey);
    if (!es) {
      state.wipe();
      this.crypto.wipe(ephemeralSecret);
      return undefined;
    }
    state.mixKey(es);
    const sealedStatic = state.encryptAndHash(us.publicKey);
    state.mixKey(them.staticStatic.slice());
    const sealedPayload = state.encryptAndHash(payload);
    return {
      parts: { ephemeral, sealedStatic, sealedPayload },
      pending: new PendingInitiation(this.crypto, state, ephemeralSecret),
    };
  }

  /**
   * Responder, first half of the first message: who is asking?
   * @returns undefined when the message is not meant for this key, or not authentic.
   */
  read(
    us: StaticKeys,
    ephemeral: Uint8Array,
    sealedStatic: Uint8Array,
  ): ReadInitiation | undefined {
    const state = this.#start.clone();
    state.mixHash(us.publicKey);
    state.mixHash(ephemeral);
    state.mixChain(ephemeral);
    const es = this.crypto.x25519(us.secretKey, ephemeral);
    if (es) {
      state.mixKey(es);
      const remoteStatic = state.decryptAndHash(sealedStatic);
      if (remoteStatic) return new ReadInitiation(this.crypto, state, ephemeral, remoteStatic);
    }
    state.wipe();
    return undefined;
  }
}

/** Initiator, waiting for the response. */
export class PendingInitiation {
  readonly #crypto: Crypto;
  readonly #state: SymmetricState;
  readonly #ephemeralSecret: Uint8Array;

  constructor(crypto: Crypto, state: SymmetricState, ephemeralSecret: Uint8Array) {
    this.#crypto = crypto;
    this.#state = state;
    this.#ephemeralSecret = ephemeralSecret;
  }

  /**
   * Takes the response. On success this value is used up: wipe it.
   * @returns undefined, and nothing has changed, when the response is not authentic.
   */
  finish(us: StaticKeys, presharedKey: Uint8Array, response: ResponseParts): Finished | undefined {
    const ee = this.#crypto.x25519(this.#ephemeralSecret, response.ephemeral);
    const se = this.#crypto.x25519(us.secretKey, response.ephemeral);
    if (!ee || !se) return undefined;
    const state = this.#state.clone();
    state.mixHash(response.ephemeral);
    state.mixChain(response.ephemeral);
    state.mixChain(ee);
    state.mixChain(se);
    this.#crypto.wipe(ee, se);
    state.mixKeyAndHash(presharedKey);
    const payload = state.decryptAndHash(response.sealedPayload);
    const finished = payload &&
      { keys: state.split(), handshakeHash: state.hash.slice(), payload };
    state.wipe();
    return finished;
  }

  /** R65. */
  wipe(): void {
    this.#state.wipe();
    this.#crypto.wipe(this.#ephemeralSecret);
  }
}

/** Responder, knowing who claims to ask, not yet whether it is true. */
class ReadInitiation {
  readonly #crypto: Crypto;
  readonly #state: SymmetricState;
  readonly #ephemeral: Uint8Array;

  constructor(
    crypto: Crypto,
    state: SymmetricState,
    ephemeral: Uint8Array,
    readonly remoteStatic: Uint8Array,
  ) {
    this.#crypto = crypto;
    this.#state = state;
    this.#ephemeral = ephemeral;
  }

  /**
   * The second half: authenticates the asker and its payload. Uses this value up.
   * @param staticStatic X25519 of our static key and {@link remoteStatic}.
   */
  open(staticStatic: Uint8Array, sealedPayload: Uint8Array): ConsumedInitiation | undefined {
    this.#state.mixKey(staticStatic.slice());
    const payload = this.#state.decryptAndHash(sealedPayload);
    if (payload) {
      return new ConsumedInitiation(
        this.#crypto,
        this.#state,
        this.#ephemeral,
        this.remoteStatic,
        payload,
      );
    }
    this.wipe();
    return undefined;
  }

  /** R65, when the handshake goes no further. */
  wipe(): void {
    this.#state.wipe();
  }
}

/** Responder, with an authentic initiation. */
class ConsumedInitiation {
  readonly #crypto: Crypto;
  readonly #state: SymmetricState;
  readonly #ephemeral: Uint8Array;
  readonly #remoteStatic: Uint8Array;

  constructor(
    crypto: Crypto,
    state: SymmetricState,
    ephemeral: Uint8Array,
    remoteStatic: Uint8Array,
    readonly payload: Uint8Array,
  ) {
    this.#crypto = crypto;
    this.#state = state;
    this.#ephemeral = ephemeral;
    this.#remoteStatic = remoteStatic;
  }

  /**
   * The second message. Uses this value and the ephemeral secret up, and wipes them (R65).
   * @returns undefined when a key agreement is all zero (R25).
   */
  respond(
    presharedKey: Uint8Array,
    ephemeralSecret: Uint8Array,
    payload: Uint8Array,
  ): { parts: ResponseParts; finished: Finished } | undefined {
    const state = this.#state;
    const ephemeral = this.#crypto.x25519PublicKey(ephemeralSecret);
    const ee = this.#crypto.x25519(ephemeralSecret, this.#ephemeral);
    const se = this.#crypto.x25519(ephemeralSecret, this.#remoteStatic);
    this.#crypto.wipe(ephemeralSecret);
    if (!ee || !se) {
      this.wipe();
      return undefined;
    }
    state.mixHash(ephemeral);
    state.mixChain(ephemeral);
    state.mixChain(ee);
    state.mixChain(se);
    this.#crypto.wipe(ee, se);
    state.mixKeyAndHash(presharedKey);
    const sealedPayload = state.encryptAndHash(payload);
    const finished = {
      keys: state.split(),
      handshakeHash: state.hash.slice(),
      payload: this.payload,
    };
    state.wipe();
    return { parts: { ephemeral, sealedPayload }, finished };
  }

  /** R65, when the handshake goes no further. */
  wipe(): void {
    this.#state.wipe();
  }
}
