/**
 * The Noise IKpsk2 handshake, both roles, without framing:
 *
 *     <- s
 *     ...
 *     -> e, es, s, ss, payload     initiate  -> read -> open
 *     <- e, ee, se, psk, payload   finish    <- respond
 *
 * Each role is a chain of values, so a step can only be taken from the step before it (R27), and
 * a message that fails leaves the value it was tried on as it was. Every Diffie-Hellman result is
 * checked for all-zero (R25): `undefined` then, and nothing is sent.
 *
 * The prologue is a parameter: the public IKpsk2 vectors differ from WireGuard in nothing else, and
 * a handshake for another cipher suite does by it. The caller passes the static-static secret in: it is computed once a peer.
 */
import type { Crypto } from "../crypto.ts";
import type { Suite } from "../machine.ts";
import { type SplitKeys, SymmetricState } from "./symmetric.ts";

const encoder = new TextEncoder();
const PROTOCOL_NAME = encoder.encode("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s");

/** What two handshakes for different suites of a session differ in; nothing on the wire names it. */
export interface Dialect {
  readonly suite: Suite;
  /** Its sessions are lanes of a peer; which one, its timestamp says (tai64n.ts). */
  readonly isLane?: true;
  /** Mixed into the transcript first, so that both ends use the same dialect or get no session. */
  readonly prologue: Uint8Array;
  /** Mixed in as the transport keys are drawn, so that no key is used with two ciphers. */
  readonly keyUse: Uint8Array;
}

/** WireGuard's own (R22). */
export const WIREGUARD: Dialect = {
  suite: "chacha20-poly1305",
  prologue: encoder.encode("WireGuard v1 zx2c4 Jason@zx2c4.com"),
  keyUse: new Uint8Array(0),
};

/** Between two nodes of ours whose processors have instructions for AES: see core/README.md. */
export const SHOAL_AES: Dialect = {
  suite: "aes-256-gcm",
  prologue: encoder.encode("Shoal v1 AES-256-GCM"),
  keyUse: encoder.encode("Shoal v1 AES-256-GCM transport keys"),
};

/** For lanes between two nodes of ours: see core/README.md. */
export const SHOAL_LANE: Dialect = {
  suite: "chacha20-poly1305",
  isLane: true,
  prologue: encoder.encode("Shoal v1 lane ChaCha20-Poly1305"),
  keyUse: encoder.encode("Shoal v1 lane ChaCha20-Poly1305 transport keys"),
};

/** The same where both have instructions for AES. */
export const SHOAL_AES_LANE: Dialect = {
  suite: "aes-256-gcm",
  isLane: true,
  prologue: encoder.encode("Shoal v1 lane AES-256-GCM"),
  keyUse: encoder.encode("Shoal v1 lane AES-256-GCM transport keys"),
};

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
  readonly suite: Suite;
  /** 32 bytes that name this handshake. */
  readonly handshakeHash: Uint8Array;
  readonly payload: Uint8Array;
}

/** A dialect, and the state before its first message. */
interface Beginning {
  readonly dialect: Dialect;
  readonly state: SymmetricState;
}

/** Factory of both roles; the states before the first message are computed once. */
export class Noise {
  readonly #beginnings: readonly Beginning[];

  /** @param dialects those that are understood; what arrives is tried with them in this order */
  constructor(readonly crypto: Crypto, dialects: readonly Dialect[]) {
    this.#beginnings = dialects.map((dialect) => ({
      dialect,
      state: SymmetricState.start(crypto, PROTOCOL_NAME, dialect.prologue),
    }));
  }

  speaks(suite: Suite, isLane = false): boolean {
    return this.#beginning(suite, isLane) !== undefined;
  }

  #beginning(suite: Suite, isLane: boolean): Beginning | undefined {
    return this.#beginnings.find(({ dialect }) =>
      dialect.suite === suite && (dialect.isLane ?? false) === isLane
    );
  }

  /**
   * Initiator, first message.
   * @param ephemeralSecret 32 random bytes; belongs to the handshake from now on, which wipes it.
   * @param suite one that is spoken, and of a lane, if it is one
   * @returns undefined when a key agreement is all zero (R25).
   */
  initiate(
    us: StaticKeys,
    them: RemoteKeys,
    ephemeralSecret: Uint8Array,
    payload: Uint8Array,
    suite: Suite = "chacha20-poly1305",
    isLane = false,
  ): { parts: InitiationParts; pending: PendingInitiation } | undefined {
    const beginning = this.#beginning(suite, isLane);
    if (!beginning) throw new RangeError(`a suite that is not spoken: ${suite}`);
    const { dialect } = beginning;
    const state = beginning.state.clone();
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
      pending: new PendingInitiation(this.crypto, state, ephemeralSecret, dialect),
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
    const es = this.crypto.x25519(us.secretKey, ephemeral);
    if (!es) return undefined;
    let mixed: SymmetricState | undefined; // the first one: what is secret in it all have in common
    let read: ReadInitiation | undefined;
    for (const { dialect, state: start } of this.#beginnings) {
      const state = start.clone();
      state.mixHash(us.publicKey);
      state.mixHash(ephemeral);
      if (mixed) state.adoptKeys(mixed);
      else {
        state.mixChain(ephemeral);
        state.mixKey(es);
        mixed = start.clone();
        mixed.adoptKeys(state);
      }
      const remoteStatic = state.decryptAndHash(sealedStatic);
      if (remoteStatic) {
        read = new ReadInitiation(this.crypto, state, ephemeral, remoteStatic, dialect);
        break;
      }
      state.wipe();
    }
    mixed?.wipe();
    return read;
  }
}

/** Initiator, waiting for the response. */
export class PendingInitiation {
  readonly #crypto: Crypto;
  readonly #state: SymmetricState;
  readonly #ephemeralSecret: Uint8Array;
  readonly #dialect: Dialect;

  constructor(
    crypto: Crypto,
    state: SymmetricState,
    ephemeralSecret: Uint8Array,
    dialect: Dialect,
  ) {
    this.#crypto = crypto;
    this.#state = state;
    this.#ephemeralSecret = ephemeralSecret;
    this.#dialect = dialect;
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
    const { suite, keyUse } = this.#dialect;
    const finished = payload &&
      { keys: state.split(keyUse), suite, handshakeHash: state.hash.slice(), payload };
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
  readonly #dialect: Dialect;

  constructor(
    crypto: Crypto,
    state: SymmetricState,
    ephemeral: Uint8Array,
    readonly remoteStatic: Uint8Array,
    dialect: Dialect,
  ) {
    this.#crypto = crypto;
    this.#state = state;
    this.#ephemeral = ephemeral;
    this.#dialect = dialect;
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
        this.#dialect,
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
  readonly #dialect: Dialect;

  constructor(
    crypto: Crypto,
    state: SymmetricState,
    ephemeral: Uint8Array,
    remoteStatic: Uint8Array,
    readonly payload: Uint8Array,
    dialect: Dialect,
  ) {
    this.#dialect = dialect;
    this.#crypto = crypto;
    this.#state = state;
    this.#ephemeral = ephemeral;
    this.#remoteStatic = remoteStatic;
  }

  /** Whether it asks for a session of a lane. */
  get isLane(): boolean {
    return this.#dialect.isLane ?? false;
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
      keys: state.split(this.#dialect.keyUse),
      suite: this.#dialect.suite,
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
